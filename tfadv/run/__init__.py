"""One training run: what determines it, and its files."""
