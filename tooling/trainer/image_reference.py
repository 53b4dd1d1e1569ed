"""References to images, as Docker writes them: one that is none is refused before an engine is asked."""

from __future__ import annotations

import re

from trainer.errors import InvalidInput

# The grammar of github.com/distribution/reference; a first part with `.`, `:` or a capital is a registry.
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_TAG = r":\w[\w.-]{0,127}"
_DIGEST = r"@[A-Za-z][\w+.-]*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"(?:{_HOST}/)?{_PART}(?:/{_PART})*(?:{_TAG})?(?:{_DIGEST})?", re.ASCII)


def check(reference: str, where: str) -> str:
    """The reference itself.

    Raises `InvalidInput`, naming where it was said, for what no engine understands.
    """
    if not _REFERENCE.fullmatch(reference):
        raise InvalidInput(
            f"{where} is {reference!r}, which is not an image reference.",
            "Write NAME, NAME:TAG, REGISTRY/NAME:TAG or NAME@sha256:…, in lower case, as for `docker pull`.",
        )
    return reference
