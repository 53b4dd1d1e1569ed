"""The sections of the check: each module has `find`, which yields findings as it makes them."""
