"""Who has what of the engine's machine, kept by the engine itself: in the labels of containers.

A slot is a container that is created and never started. While somebody decides what is free, it has the one
name `trainer-slots`, which the engine gives to nobody else meanwhile; when that is decided, it is renamed.
So of all who claim at once one decides at a time, and one who was too slow, and was taken for dead, finds
that its container is gone and has taken nothing.
"""
