"""What is searched, and what for."""
