"""Searching the parameters of a project: many runs, one of which is the best."""
