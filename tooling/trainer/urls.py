"""URLs as they may be shown and stored."""

from __future__ import annotations

import re


def without_password(uri: str) -> str:
    """The URL without user name and password."""
    return re.sub(r"//[^/@]*@", "//", uri)
