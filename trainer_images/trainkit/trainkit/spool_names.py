"""What was made up while the server was away, and how the server calls it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from trainkit.spool_journal import Record

OFFLINE_TAG = "trainer.offline_id"


def translated(record: Record, names: Mapping[str, str]) -> Record:
    """The record in the server's names."""
    return cast(Record, json.loads(replaced(json.dumps(record), names))) if names else record


def replaced(text: str, names: Mapping[str, str]) -> str:
    """The text with what was made up as the server calls it."""
    # Longest first: an address has an id in it. Made-up names are random, so nothing else reads like them.
    for local in sorted(names, key=len, reverse=True):
        text = text.replace(local, names[local])
    return text


def by_tag(local: str) -> str:
    """The filter that finds on the server what has this made-up name."""
    return f"tags.`{OFFLINE_TAG}` = '{local}'"
