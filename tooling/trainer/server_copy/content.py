"""What a run has, as data that can be compared: the difference is what is copied, and what is verified."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from trainer.server_copy import reading
from trainer.server_copy.reading import Input, Point, Record
from trainer.tracking import run_tags
from trainer.tracking.client import Client

T = TypeVar("T", str, int)
_RUN_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])")


@dataclass(frozen=True, order=True)
class Link:
    """A logged model that a run made, or was given."""

    made: bool
    model_id: str
    step: int


@dataclass(frozen=True)
class Content:
    """Of a run, whichever server has it."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    points: frozenset[Point]
    datasets: Mapping[str, Input]
    """By all that is said of them, in one form."""
    files: Mapping[str, int]
    """Sizes by paths."""
    models: frozenset[Link] = frozenset()

    def without(self, other: Content) -> Content:
        """What the other one has not, or not like this."""
        return Content(
            _less(self.params, other.params),
            _less(self.tags, other.tags),
            self.points - other.points,
            {form: dataset for form, dataset in self.datasets.items() if form not in other.datasets},
            _less(self.files, other.files),
            self.models - other.models,
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {
            "parameters": len(self.params), "tags": len(self.tags), "metric values": len(self.points),
            "datasets": len(self.datasets), "artifacts": len(self.files),
            "links to logged models": len(self.models),
        }  # fmt: skip


def of(client: Client, record: Record, files: Mapping[str, int]) -> Content:
    """What the run has; its artifacts are known."""
    points = (point for key in record.run.metrics for point in reading.points(client, record.run.id, key))
    tags = {key: value for key, value in record.tags.items() if key != run_tags.COPIED_FROM}
    inputs = {_form(item): item for item in record.inputs}
    links = [Link(True, item["model_id"], int(item.get("step", 0))) for item in record.outputs]
    links += [Link(False, item["model_id"], 0) for item in record.uses]
    return Content(record.run.parameters, tags, frozenset(points), inputs, files, frozenset(links))


def translated(text: str, ids: Mapping[str, str]) -> str:
    """With the ids of copies in the place of those of their originals."""
    return _RUN_ID.sub(lambda found: ids.get(found[0], found[0]), text)


def _less(items: Mapping[str, T], other: Mapping[str, T]) -> dict[str, T]:
    return {key: value for key, value in items.items() if key not in other or other[key] != value}


def _form(dataset_input: Input) -> str:
    tags = sorted((tag["key"], tag.get("value", "")) for tag in dataset_input.get("tags", []))
    fields = sorted((key, value) for key, value in dataset_input["dataset"].items() if value)
    return json.dumps([fields, tags])
