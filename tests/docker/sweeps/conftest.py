"""Trials on a real engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support import Site
from trials import Trials


@pytest.fixture(scope="session")
def port() -> int:
    """Beside the tests of other folders."""
    return 5340


@pytest.fixture
def trials(site: Site) -> Iterator[Trials]:
    """Trials whose slots are in the workspace."""
    made = Trials(site, site.root / ".trainer" / "sweeps" / "parent" / "slots")
    yield made
    made.close()
