"""`trainer serve`."""
