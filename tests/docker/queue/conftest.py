"""The queue of the workspace."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from queues import Queue, add_project
from support import Site


@pytest.fixture
def queue(site: Site) -> Iterator[Queue]:
    """The queue of the workspace; it is empty afterwards."""
    add_project(site)
    made = Queue(site)
    yield made
    made.close()
