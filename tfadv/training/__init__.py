"""Training a run, and what happens around its steps."""
