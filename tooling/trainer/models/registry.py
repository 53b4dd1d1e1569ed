"""MLflow's model registry, by its REST API: registered models, their versions and aliases.

Every function that asks the server raises `TrackingError`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NotRequired, TypedDict, cast

from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest
from trainer.tracking.client import Client
from trainer.tracking.connection import API
from trainer.tracking.failures import refusal

_PAGE = 200
# What MLflow takes for an alias: no number, no v and a number, not `latest`.
_ALIAS = re.compile(r"(?!latest$)(?!v?\d+$)[\w-]{1,255}", re.IGNORECASE | re.ASCII)

# MLflow takes no / and no :, and @ is before the alias.
_NAME = re.compile(r"\w([\w .-]{0,253}[\w.-])?")


@dataclass(frozen=True)
class Reference:
    """A version as a user names it: NAME@ALIAS, NAME@NUMBER, or NAME alone, which is the newest."""

    name: str
    alias: str | None = None
    number: int | None = None


@dataclass(frozen=True)
class Version:
    """A version of a registered model. `source` is where its files are, `created` in seconds since 1970."""

    model: str
    number: int
    run_id: str
    source: str
    created: float
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Model:
    """A registered model. `aliases` are the numbers of versions by alias."""

    name: str
    created: float
    description: str = ""
    aliases: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


class _Tag(TypedDict):
    key: str
    value: str


class _Alias(TypedDict):
    alias: str
    version: str


class _Version(TypedDict):
    name: str
    version: str
    creation_timestamp: int | str
    run_id: NotRequired[str]
    source: NotRequired[str]
    description: NotRequired[str]
    tags: NotRequired[list[_Tag]]
    aliases: NotRequired[list[str]]


class _Model(TypedDict):
    name: str
    creation_timestamp: int | str
    description: NotRequired[str]
    tags: NotRequired[list[_Tag]]
    aliases: NotRequired[list[_Alias]]


def parse(text: str) -> Reference:
    """What NAME, NAME@ALIAS or NAME@NUMBER says. Raises `InvalidInput`."""
    name, at, which = text.rpartition("@") if "@" in text else (text, "", "")
    if not name or (at and not which):
        raise InvalidInput(f"{text} names no model.", "Write NAME@ALIAS or NAME@VERSION, e.g. skin@champion.")
    if which.isascii() and which.isdecimal():
        return Reference(name, number=int(which))
    return Reference(name, alias=check_alias(which) if which else None)


def check_alias(text: str) -> str:
    """The alias, if MLflow takes it. Raises `InvalidInput`."""
    if not _ALIAS.fullmatch(text):
        raise InvalidInput(
            f"{text} is not valid as an alias.", "Use letters, digits, _ and -; not a number, v1 or latest."
        )
    return text


def check_name(text: str) -> str:
    """The name of a model, if MLflow takes it and a version of it can be named. Raises `InvalidInput`."""
    if not _NAME.fullmatch(text):
        raise InvalidInput(
            f"{text!r} is not valid as the name of a model.",
            "Use letters, digits, spaces, _, - and dots, at most 255.",
        )
    return text


def models(client: Client) -> list[Model]:
    """All registered models, by name."""
    found = (_model(cast(_Model, m)) for m in _pages(client, "registered-models", "registered_models", ""))
    return sorted(found, key=lambda model: model.name)


def model(client: Client, name: str) -> Model:
    """The registered model. Raises `InvalidInput` where there is none, which names a near one."""
    answer = client.send("GET", f"{API}/registered-models/get", query={"name": name}, ok=(400, 404))
    if answer.ok:
        return _model(cast(_Model, answer.json()["registered_model"]))
    names = [other.name for other in models(client)]
    hint = nearest(name, names, "There are") if names else "Register one: trainer models register RUN"
    raise InvalidInput(f"There is no registered model {name}.", hint)


def versions(client: Client, name: str) -> list[Version]:
    """The versions of the model, the newest first. Raises `InvalidInput` where there is no such model."""
    aliases = model(client, name).aliases
    quoted = name.replace("'", "''")
    found = _pages(client, "model-versions", "model_versions", f"name='{quoted}'")
    listed = [_version(cast(_Version, v), aliases) for v in found]
    return sorted(listed, key=lambda version: -version.number)


def of_run(client: Client, run_id: str) -> list[Version]:
    """The versions that are a run's, of whatever model, the newest first. Their aliases are not asked for."""
    found = _pages(client, "model-versions", "model_versions", f"run_id='{run_id}'")
    return sorted((_version(cast(_Version, v), {}) for v in found), key=lambda version: -version.created)


def version(client: Client, reference: Reference) -> Version:
    """The version that is meant. Raises `InvalidInput` where there is none."""
    found = model(client, reference.name)
    number = reference.number
    if reference.alias:
        number = found.aliases.get(reference.alias)
        if number is None:
            given = ", ".join(sorted(found.aliases))
            raise InvalidInput(
                f"{reference.name} has no alias {reference.alias}.",
                f"It has {given}." if given
                else f"Give it to a version: trainer models promote {reference.name}@1 "
                f"--alias {reference.alias}",
            )  # fmt: skip
    if number is not None:
        query = {"name": reference.name, "version": str(number)}
        answer = client.send("GET", f"{API}/model-versions/get", query=query, ok=(404,))
        if answer.ok:
            return _version(cast(_Version, answer.json()["model_version"]), found.aliases)
    listed = versions(client, reference.name)
    if number is None and listed:
        return listed[0]
    what = f"{reference.name} has no version{'' if number is None else f' {number}'}."
    numbers = ", ".join(str(each.number) for each in reversed(listed))
    hint = f"It has {numbers}." if numbers else "Register one: trainer models register RUN"
    raise InvalidInput(what, hint)


def create(
    client: Client, name: str, source: str, run_id: str, tags: Mapping[str, str], model_id: str | None = None
) -> Version:
    """Register a version whose files are at `source`; the model is made where it is missing.

    `model_id` is that of the logged model that the files are of.
    """
    answer = client.send("POST", f"{API}/registered-models/create", {"name": name}, ok=(400,))
    if not answer.ok and answer.json().get("error_code") != "RESOURCE_ALREADY_EXISTS":
        raise refusal(client.server, answer)
    body = {
        "name": name,
        "source": source,
        "run_id": run_id,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
        **({"model_id": model_id} if model_id else {}),
    }
    # Not twice: each call makes a version.
    made = client.send("POST", f"{API}/model-versions/create", body, again=False).json()["model_version"]
    return _version(cast(_Version, made), {})


def set_alias(client: Client, name: str, alias: str, number: int) -> None:
    """Have the alias point to this version, and to no other."""
    body = {"name": name, "alias": alias, "version": str(number)}
    client.send("POST", f"{API}/registered-models/alias", body)


def tag(client: Client, version: Version, key: str, value: str) -> None:
    """Set a tag of the version."""
    body = {"name": version.model, "version": str(version.number), "key": key, "value": value}
    client.send("POST", f"{API}/model-versions/set-tag", body)


def _pages(client: Client, kind: str, key: str, condition: str) -> Iterator[object]:
    query = {"max_results": str(_PAGE), **({"filter": condition} if condition else {})}
    while True:
        payload = client.send("GET", f"{API}/{kind}/search", query=query).json()
        yield from payload.get(key, [])
        token = payload.get("next_page_token")
        if not token:
            return
        query["page_token"] = token


def _model(raw: _Model) -> Model:
    return Model(
        raw["name"],
        int(raw["creation_timestamp"]) / 1000,
        raw.get("description", ""),
        {each["alias"]: int(each["version"]) for each in raw.get("aliases", [])},
        _tags(raw.get("tags", [])),
    )


def _version(raw: _Version, aliases: Mapping[str, int]) -> Version:
    number = int(raw["version"])
    return Version(
        raw["name"],
        number,
        raw.get("run_id", ""),
        raw.get("source", ""),
        int(raw["creation_timestamp"]) / 1000,
        raw.get("description", ""),
        _tags(raw.get("tags", [])),
        tuple(sorted(alias for alias, target in aliases.items() if target == number)),
    )


def _tags(raw: list[_Tag]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in raw}
