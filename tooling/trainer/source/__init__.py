"""The snapshot of a project's code."""
