"""This machine: its disk, its GPUs, its hardware."""
