"""A container that stays: its interpreter has imported the frameworks, and forks a process for each run."""
