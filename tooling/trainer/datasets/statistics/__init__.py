"""Describing a dataset in numbers and pictures."""
