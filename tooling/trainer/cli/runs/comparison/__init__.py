"""What `trainer compare` shows: a table in the terminal, and a page."""
