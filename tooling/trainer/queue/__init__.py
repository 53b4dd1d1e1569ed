"""Runs that wait for their turn on this machine."""
