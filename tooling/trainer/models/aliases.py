"""Which version an alias pointed to, and when: MLflow keeps the present one alone.

Each move of an alias is a tag of the version that it was moved to, and no tag is set twice. Which of two
moves at the same time comes first is decided by a claim: a parameter of a run that each model has for this,
since MLflow takes a value of a parameter once.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from trainer.errors import InvalidInput, TrackingError
from trainer.host import user
from trainer.models import registry
from trainer.models.registry import Version
from trainer.tracking import run_tags, search
from trainer.tracking.client import Client, Run
from trainer.tracking.connection import API
from trainer.tracking.failures import refusal

if TYPE_CHECKING:
    import requests

Why = Literal["promote", "rollback"]
PREFIX = "trainer.alias."
"""Of the tags."""
_CLAIMS = "aliases"
"""The name of the run that has the claims of a model."""
_CLAIMED_S = 30
"""How long a move may take from its claim to its end."""
_MADE_S = 10
_WITHDRAWN = ".withdrawn"
"""Of the parameter that takes a claim back: nothing was moved."""


@dataclass(frozen=True)
class Move:
    """An alias was moved. `before` is the version that it pointed to until then, None where to none.

    `at` is in seconds since 1970. `evidence` is the run that compared the two versions.
    """

    alias: str
    number: int
    version: int
    before: int | None
    at: float
    by: str
    why: Why
    evidence: str | None = None

    @property
    def tag(self) -> str:
        """The key of its tag."""
        return f"{PREFIX}{self.alias}.{self.number:04d}"


class Overtaken(TrackingError):
    """Somebody else has moved the alias at the same time."""


def history(versions: Sequence[Version], alias: str | None = None) -> list[Move]:
    """The moves that the versions of a model have as tags, of one alias or all, the last one first."""
    moves = (
        Move(**json.loads(value))
        for version in versions
        for key, value in version.tags.items()
        if key.startswith(PREFIX)
    )
    chosen = [move for move in moves if alias in (None, move.alias)]
    return sorted(chosen, key=lambda move: (move.at, move.number), reverse=True)


def previous(versions: Sequence[Version], alias: str) -> Version:
    """The version that a rollback of the alias leads to: what it pointed to before its last promotion.

    A second rollback goes one promotion further back. Raises `InvalidInput` where there is none.
    """
    present = {version.number: version for version in versions}
    holder = next((version for version in versions if alias in version.aliases), None)
    if holder is None:
        raise InvalidInput(
            f"No version has the alias {alias}.", "`trainer models list` shows which aliases there are."
        )
    promoted_to_it = (
        move for move in history(versions, alias) if (move.why, move.version) == ("promote", holder.number)
    )
    move = next(promoted_to_it, None)
    if move is None or move.before is None:
        raise InvalidInput(
            f"{holder.model}@{holder.number} is the first version that was {alias}: nothing is before it.",
            f"To see all of them: trainer models history {holder.model}",
        )
    if move.before not in present:
        raise InvalidInput(
            f"{holder.model}@{move.before}, which was {alias} before, has been deleted.",
            f"Choose another version: trainer models promote {holder.model}@VERSION --alias {alias}",
        )
    return present[move.before]


def move(
    client: Client, version: Version, alias: str, before: int | None, why: Why, evidence: str | None = None
) -> Move:
    """Have the alias point to the version, and write that down. `before` is where it was seen to point.

    Raises `Overtaken` where it does not point there any more, or somebody else is moving it now.
    """
    name = version.model
    claims_run = _claims_run(client, name)
    parameters = client.get_run(claims_run).parameters
    claims = _claims(parameters, alias)
    listed = registry.versions(client, name)
    written = {done.number for done in history(listed, alias)}
    for claim in claims:
        if claim.number not in written and claim.tag + _WITHDRAWN not in parameters:
            _complete(client, listed, claim)
    number = max((claim.number for claim in claims), default=0) + 1
    planned = Move(alias, number, version.number, before, time.time(), user.name(), why, evidence)
    _claim(client, claims_run, planned, name)
    if registry.model(client, name).aliases.get(alias) != before:
        _log(client, claims_run, planned.tag + _WITHDRAWN, "")
        raise _overtaken(alias, name)
    registry.set_alias(client, name, alias, version.number)
    registry.tag(client, version, planned.tag, _written(planned))
    return planned


def experiment_id(client: Client, name: str) -> str:
    """The experiment with what concerns a registered model: evaluations, and the claims. It is made."""
    _make_experiment(client, name)
    return client.experiment_id(_experiment(name))


def _experiment(name: str) -> str:
    return f"{name} (model)"


def _make_experiment(client: Client, name: str) -> bool:
    """Whether it was not there before."""
    tags = {run_tags.NOTE: f"Evaluations of the registered model {name}.", run_tags.REGISTERED_MODEL: name}
    pairs = [{"key": key, "value": value} for key, value in tags.items()]
    body = {"name": _experiment(name), "tags": pairs}
    return client.send("POST", f"{API}/experiments/create", body, ok=(400,)).ok


def _complete(client: Client, versions: Sequence[Version], claim: Move) -> None:
    """What a move is that has not written its tag: under way, or cut off before or after it took effect."""
    target = next((version for version in versions if version.number == claim.version), None)
    if time.time() - claim.at < _CLAIMED_S:
        raise _overtaken(claim.alias, versions[0].model)
    if target and claim.alias in target.aliases:
        registry.tag(client, target, claim.tag, _written(claim))


def _claims_run(client: Client, name: str) -> str:
    """The run that has the claims, made by whoever makes the experiment; the others wait for it."""
    is_new = _make_experiment(client, name)
    own = client.experiment_id(_experiment(name))
    deadline = time.monotonic() + (0 if is_new else _MADE_S)
    while not (found := _named(client, own)) and time.monotonic() < deadline:
        time.sleep(0.2)
    if not found:
        made = client.create_run(own, _CLAIMS, {})
        client.end_run(made.id, "FINISHED")
        found = _named(client, own)
    return min(found, key=lambda run: (run.started or 0, run.id)).id


def _named(client: Client, experiment_id: str) -> list[Run]:
    return search.newest(client, experiment_id, None, f"attributes.run_name = '{_CLAIMS}'")


def _claims(parameters: Mapping[str, str], alias: str) -> list[Move]:
    own = re.compile(rf"{re.escape(f'{PREFIX}{alias}.')}\d+")
    return [Move(**json.loads(value)) for key, value in parameters.items() if own.fullmatch(key)]


def _claim(client: Client, run_id: str, planned: Move, name: str) -> None:
    answer = _log(client, run_id, planned.tag, _written(planned))
    if not answer.ok:
        if planned.tag in client.get_run(run_id).parameters:
            raise _overtaken(planned.alias, name)
        raise refusal(client.server, answer)


def _log(client: Client, run_id: str, key: str, value: str) -> requests.Response:
    body = {"run_id": run_id, "key": key, "value": value}
    return client.send("POST", f"{API}/runs/log-parameter", body, ok=(400,))


def _overtaken(alias: str, name: str) -> Overtaken:
    return Overtaken(
        f"Somebody else has moved the alias {alias} of {name} in the meantime.",
        f"See what it is now, and decide again: trainer models history {name}",
    )


def _written(move: Move) -> str:
    return json.dumps(asdict(move))
