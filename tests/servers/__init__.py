"""Runs that report to MLflow servers of other versions, real ones."""
