"""The live line of a command, and the thread that writes it together with what is printed."""
