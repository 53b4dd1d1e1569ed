"""The registered models of a server, with their versions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

from trainer.server_copy.reading import Pair, pages, pairs
from trainer.tracking.client import Client

_MODELS = 100
_OF_MODEL = re.compile(r"models:/(m-[0-9a-f]{32})(?:/|$)")


class _Alias(TypedDict):
    alias: str
    version: str


class _Model(TypedDict):
    name: str
    description: NotRequired[str]
    tags: NotRequired[list[Pair]]
    aliases: NotRequired[list[_Alias]]


class _Version(TypedDict):
    name: str
    version: str
    source: NotRequired[str]
    run_id: NotRequired[str]
    model_id: NotRequired[str]
    description: NotRequired[str]
    current_stage: NotRequired[str]
    tags: NotRequired[list[Pair]]


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    model: str
    number: int
    source: str
    run_id: str
    model_id: str
    description: str
    stage: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Model:
    """A registered model."""

    name: str
    description: str
    tags: Mapping[str, str]
    aliases: Mapping[str, int]
    versions: tuple[Version, ...] = ()


def of(client: Client) -> list[Model]:
    """The registered models with their versions."""
    versions: dict[str, list[Version]] = {}
    for version in cast(
        Iterator[_Version],
        pages(client, "model-versions/search", {"max_results": str(_MODELS)}, "model_versions"),
    ):
        versions.setdefault(version["name"], []).append(_version(version))
    query = {"max_results": str(_MODELS)}
    models = cast(Iterator[_Model], pages(client, "registered-models/search", query, "registered_models"))
    return [
        Model(
            item["name"], item.get("description", ""), pairs(item.get("tags", [])),
            {alias["alias"]: int(alias["version"]) for alias in item.get("aliases", [])},
            tuple(sorted(versions.get(item["name"], []), key=lambda version: version.number)),
        )
        for item in models
    ]  # fmt: skip


def _version(item: _Version) -> Version:
    stage = item.get("current_stage", "")
    of_model = _OF_MODEL.match(item.get("source", ""))  # a search does not name the logged model otherwise
    model_id = item.get("model_id", "") or (of_model[1] if of_model else "")
    return Version(
        item["name"], int(item["version"]), item.get("source", ""), item.get("run_id", ""), model_id,
        item.get("description", ""), "" if stage == "None" else stage,
        pairs(item.get("tags", [])),
    )  # fmt: skip
