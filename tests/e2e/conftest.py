"""The engine, for journeys that look at it."""

from __future__ import annotations

from sites import client  # noqa: F401 (fixture)
