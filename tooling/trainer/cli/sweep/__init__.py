"""`trainer sweep`: search the parameters of a project."""
