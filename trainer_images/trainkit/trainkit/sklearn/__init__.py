"""What is done with models of scikit-learn alone."""
