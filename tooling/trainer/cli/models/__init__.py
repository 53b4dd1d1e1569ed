"""`trainer models` and its commands."""
