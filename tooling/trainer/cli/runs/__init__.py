"""The commands that start runs, and those on runs that exist."""
