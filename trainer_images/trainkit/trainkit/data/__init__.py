"""Datasets: image folders, tables, downloads."""
