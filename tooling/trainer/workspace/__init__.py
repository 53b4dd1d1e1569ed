"""What lies in a workspace's folder: settings, secrets, the folders of runs, what trainer brings along."""
