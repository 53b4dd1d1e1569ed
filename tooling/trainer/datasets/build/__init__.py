"""Datasets that are made of another one, and of the files of a download."""
