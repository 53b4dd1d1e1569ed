"""Runs in containers of the Docker engine."""
