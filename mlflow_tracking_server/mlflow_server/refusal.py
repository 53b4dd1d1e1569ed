"""The one way in which this server says that it will not go on."""

from __future__ import annotations


class Refusal(Exception):
    """Ends the process with exit code 1 and one line: what is wrong, and what to do about it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(" ".join(f"{message} {remedy}".split()))
