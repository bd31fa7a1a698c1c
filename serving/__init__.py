"""A server of exported models, and what tries it."""
