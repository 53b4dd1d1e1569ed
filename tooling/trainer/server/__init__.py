"""The workspace's own tracking server, and which server runs report to."""
