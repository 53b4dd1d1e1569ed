"""The commands that are given a project: its parameters are options of theirs."""
