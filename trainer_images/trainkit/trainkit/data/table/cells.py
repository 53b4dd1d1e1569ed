"""What a cell of a table means by itself. It imports nothing, so that a server of models needs no pandas."""

MISSING_WORDS = ("", "-", "--", "?", ".", "na", "n/a", "#n/a", "nan", "null", "none", "nil")
"""In lower case, what means a missing cell among numbers and dates. Among words only an empty cell does."""
ISO_8601 = "ISO8601"
"""The format of a date that is written year first."""
UNKNOWN, MISSING = -2, -1
"""The numbers of a category that training has not seen, and of a missing one; the others count from 0."""
