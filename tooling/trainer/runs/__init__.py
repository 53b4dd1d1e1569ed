"""A run's life: launched, followed, ended, and what is done with it afterwards."""
