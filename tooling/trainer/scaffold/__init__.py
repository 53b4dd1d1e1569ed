"""What a user starts from: a workspace, and projects in it. No file that is there is ever overwritten."""
