"""What is done with a model of any framework."""
