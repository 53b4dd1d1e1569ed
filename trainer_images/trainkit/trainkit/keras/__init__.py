"""Keras models and their training."""
