"""The MLproject format, and where projects come from."""
