"""Networks that are scored, one a file."""
