"""Renaming the classes of a data set."""
