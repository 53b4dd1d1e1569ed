"""What runs may have of a machine, so that no two have the same: GPUs, cores, memory."""
