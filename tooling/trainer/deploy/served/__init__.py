"""A model in use on a platform: the image with the model in it."""
