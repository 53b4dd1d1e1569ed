"""What served models have answered: their logs, as the host reads and labels them."""
