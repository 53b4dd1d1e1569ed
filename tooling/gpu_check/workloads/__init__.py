"""What is trained: the networks of the projects, and made-up pictures."""
