"""A model in use: its server, in a container of an image of its own."""
