"""Models: what they consist of."""
