"""PyTorch networks and their training."""
