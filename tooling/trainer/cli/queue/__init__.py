"""`trainer queue`: runs that wait for their turn."""
