"""Commands in a container as a run has it, that are no run."""
