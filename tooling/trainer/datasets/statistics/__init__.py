"""Describing a data set in numbers and pictures."""
