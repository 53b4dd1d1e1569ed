"""Names that the server has others for: those made up while it was away, and those it cannot store."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from trainkit.spool_journal import Record

OFFLINE_TAG = "trainer.offline_id"
_NOT_STORED = re.compile("#|%(?=[0-9A-Fa-f]{2})")


def stored(path: str) -> str:
    """The path of an artifact as MLflow's server can store it: it refuses `#`, and takes `%41` for `A`."""
    return _NOT_STORED.sub(lambda found: f"~{ord(found[0]):X}", path)


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
