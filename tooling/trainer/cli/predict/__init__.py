"""The command `trainer predict`."""
