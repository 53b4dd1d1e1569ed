"""What holds for all tests."""

from __future__ import annotations

import gc
import os
import signal

import pytest

# Tests send them. `nohup`, or a shell that starts the tests in the background, would have every process of
# theirs ignore them.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
# What these tests were called with is not meant for the pytest that a test calls.
os.environ.pop("PYTEST_ADDOPTS", None)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test that mounts a disk, or starts an engine, takes root; all others run as who they are for."""
    if os.geteuid() and item.get_closest_marker("root"):
        pytest.skip("takes root: run `pytest -m root` as root")


def pytest_collection_finish() -> None:
    """What was imported and collected lives to the end: no garbage collection looks at it again."""
    gc.collect()
    gc.freeze()
