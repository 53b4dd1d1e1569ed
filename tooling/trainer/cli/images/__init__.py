"""`trainer build-image` and `trainer images`."""
