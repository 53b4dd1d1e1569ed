"""The ONNX file that is meant by a path, a run, NAME@ALIAS or NAME@VERSION."""

from __future__ import annotations

from trainer.errors import InvalidInput, TrackingError
from trainer.models import registry, version_tags
from trainer.models.kept import FILE, Bar, Kept, ModelFile
from trainer.models.registry import Reference, Version
from trainer.runs import resolve, server
from trainer.server import selection
from trainer.tracking.artifacts import listing
from trainer.tracking.client import Client
from trainer.tracking.failures import Unreachable
from trainer.workspace import secrets
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

OWN = "own"
"""What the workspace's own server is called, whose address changes."""
ARTIFACTS = (f"onnx/{FILE}", FILE)
"""Of a run: what its registration exports, and what a project exports itself."""


class NotExported(InvalidInput):
    """A version that was registered as its run has logged it, or by another tool: without `framework`."""

    def __init__(self, name: str, framework: str | None) -> None:
        super().__init__(
            f"{name} has no ONNX file: it is "
            f"{f'a model of {framework}' if framework else 'no model that trainer has registered'}.",
            f"Its framework can serve it: trainer serve {name} --trust-pickle"
            if framework
            else f"See what it is: trainer models show {name}",
        )
        self.name, self.framework = name, framework


def locate(workspace: Workspace, text: str, bar: Bar) -> ModelFile:
    """The ONNX file of a run (its id, its name, @last, @best:METRIC), of NAME@ALIAS or of NAME@VERSION.

    Which version an alias means is asked of the server each time. All else that was fetched before is found
    without one. Raises `InvalidInput` where there is no such model, or no ONNX file of it; `TrackingError`.
    """
    kept = Kept(workspace)
    name, at, _ = text.partition("@")
    if not (name and at):
        return _of_run(kept, text, bar)
    reference = registry.parse(text)
    if reference.number is None:
        return _of_alias(kept, reference, bar)
    found = kept.of(_version_key(workspace, reference.name, reference.number), text)
    return found or _of_version(kept, *_asked(workspace, reference), bar)


def _of_alias(kept: Kept, reference: Reference, bar: Bar) -> ModelFile:
    workspace, named = kept.workspace, f"{reference.name}@{reference.alias}"
    alias = f"{asked_server(workspace)} {named}"
    try:
        client, version = _asked(workspace, reference)
    except Unreachable:
        number = kept.index().get(alias)
        found = number and kept.of(_version_key(workspace, reference.name, int(number)), named)
        if not found:
            raise
        remark = f"The tracking server does not answer. {named} was version {number} when it was last asked."
        return ModelFile(found.path, f"{reference.name}@{number}", found.sha256, remark)
    kept.remember(alias, str(version.number))
    return _of_version(kept, client, version, bar)


def _asked(workspace: Workspace, reference: Reference) -> tuple[Client, Version]:
    client, _ = selection.existing(workspace)
    return client, registry.version(client, reference)


def _of_version(kept: Kept, client: Client, version: Version, bar: Bar) -> ModelFile:
    name = f"{version.model}@{version.number}"
    stored_as = version.tags.get(version_tags.FORMAT)
    if stored_as != version_tags.ONNX:
        raise NotExported(name, stored_as)
    run = client.get_run(version.run_id)
    folder = version.source.removeprefix(run.artifact_uri).strip("/")
    key = _version_key(kept.workspace, version.model, version.number)
    return kept.fetch(key, name, client, run, f"{folder}/{FILE}", version.tags.get(version_tags.SHA256), bar)


def _of_run(kept: Kept, text: str, bar: Bar) -> ModelFile:
    record = _resolved(kept.workspace, text)
    key, name = f"run {record.run_id}", record.name or record.run_id
    if found := kept.of(key, name):
        return found
    client, run = server.run_of(kept.workspace, record)
    artifacts = {artifact.path for artifact in listing.of_run(client, run)}
    artifact = next((path for path in ARTIFACTS if path in artifacts), None)
    if artifact is None:
        raise InvalidInput(
            f"The run {name} has no ONNX file.", f"Export its model: trainer models register {run.id[:8]}"
        )
    return kept.fetch(key, name, client, run, artifact, None, bar)


def _resolved(workspace: Workspace, text: str) -> Record:
    """The run; the error says so where it is a model that has the name."""
    try:
        return resolve.resolve(workspace, text)
    except resolve.AmbiguousRun:
        raise
    except InvalidInput as error:
        try:
            client, _ = selection.existing(workspace)
            newest = registry.version(client, Reference(text))
        except (InvalidInput, TrackingError):
            raise error from None
        raise InvalidInput(
            f"There is no run {text}, but a model of that name.",
            f"Say which version, such as {text}@{newest.number}: trainer models show {text}",
        ) from None


def _version_key(workspace: Workspace, name: str, number: int) -> str:
    return f"{asked_server(workspace)} {name}@{number}"


def asked_server(workspace: Workspace) -> str:
    """The address of the tracking server that knows registered models, or `OWN`."""
    chosen = selection.chosen(workspace, secrets.load(workspace))
    return chosen.uri if chosen else OWN
