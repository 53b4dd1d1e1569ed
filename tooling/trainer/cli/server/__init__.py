"""`trainer server` and `trainer ui`."""
