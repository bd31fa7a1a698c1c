"""Architectures, and nothing but architectures."""
