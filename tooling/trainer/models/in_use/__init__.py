"""Served models whose alias moves: the version that it points to answers."""
