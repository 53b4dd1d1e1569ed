"""A deployment as data: what `--dry-run` prints is what is carried out."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

SHOWN_INSTEAD = "***"


@dataclass(frozen=True)
class Deferred:
    """A value that is known only when the plan is carried out. A secret one is never printed."""

    name: str
    secret: bool = False

    def __str__(self) -> str:
        """How the plan shows it."""
        return SHOWN_INSTEAD if self.secret else f"<{self.name}>"


Body = Mapping[str, "str | Deferred | Body"]


@dataclass(frozen=True)
class Command:
    """A program with its arguments, which everybody on this machine can see."""

    argv: tuple[str, ...]

    def __str__(self) -> str:
        """As one would type it."""
        return shlex.join(self.argv)


@dataclass(frozen=True)
class Request:
    """An HTTP request. `<name>` in the URL is a value that is known later."""

    method: str
    url: str
    body: Body = field(default_factory=dict)

    def __str__(self) -> str:
        """Method, address and body, secrets masked."""
        body = json.dumps(_shown(self.body)) if self.body else ""
        return f"{self.method} {self.url} {body}".rstrip()

    def filled(self, values: Mapping[str, str]) -> Request:
        """The request to send: every later value in its place. Raises `KeyError` for one that is missing."""
        url = self.url
        for name, value in values.items():
            url = url.replace(f"<{name}>", value)
        return Request(self.method, url, _filled(self.body, values))


@dataclass(frozen=True)
class Note:
    """Something that is done on this machine."""

    text: str

    def __str__(self) -> str:
        """The text."""
        return self.text


@dataclass(frozen=True)
class Step:
    """A part of a plan. `when` says what has to be so for it to be needed; empty: always."""

    key: str
    title: str
    actions: tuple[Command | Request | Note, ...]
    when: str = ""

    def as_json(self) -> dict[str, object]:
        """For another program; secrets are masked."""
        return {
            "step": self.key,
            "title": self.title,
            "when": self.when or "always",
            "actions": [str(action) for action in self.actions],
        }


@dataclass(frozen=True)
class Plan:
    """All steps, in order."""

    steps: tuple[Step, ...]

    def command(self, key: str) -> Command:
        """The first command of a step."""
        return next(action for action in self._step(key).actions if isinstance(action, Command))

    def request(self, key: str, of: str = "") -> Request:
        """A request of a step: the first one, or the first with `of` in its method and URL."""
        requests = (action for action in self._step(key).actions if isinstance(action, Request))
        return next(request for request in requests if of in f"{request.method} {request.url}")

    def title(self, key: str) -> str:
        """What the step does."""
        return self._step(key).title

    def _step(self, key: str) -> Step:
        return next(step for step in self.steps if step.key == key)


def _shown(body: Body) -> dict[str, object]:
    return {name: _shown(value) if isinstance(value, Mapping) else str(value) for name, value in body.items()}


def _filled(body: Body, values: Mapping[str, str]) -> Body:
    return {name: _value(value, values) for name, value in body.items()}


def _value(value: str | Deferred | Body, values: Mapping[str, str]) -> str | Body:
    if isinstance(value, Mapping):
        return _filled(value, values)
    return values[value.name] if isinstance(value, Deferred) else value
