"""`trainer runs` and its commands."""
