"""Datasets that are tables: CSV files, described, checked, divided and compared."""
