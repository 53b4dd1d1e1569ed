"""What is answered, a module for each protocol."""
