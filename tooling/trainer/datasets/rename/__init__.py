"""Renaming the classes of a dataset."""
