"""Checks of the machine, backups, and removing what is no longer used."""
