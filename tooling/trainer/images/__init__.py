"""What an image is, how it is built, and what it is called."""
