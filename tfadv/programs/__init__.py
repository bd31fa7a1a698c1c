"""Command-line programs: each parses flags and calls one function."""
