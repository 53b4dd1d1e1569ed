"""`trainer data`."""
