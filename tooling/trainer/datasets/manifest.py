"""data/NAME.manifest.json: the versions of a dataset, tracked by git beside the data that is not.

The format is documented in docs/data.md. A file has a line of its own, so that `git diff` shows what changed.
Only the last version is there whole; each version says what it changed, by which the one before it is had.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from trainer import atomic_files
from trainer.datasets import changes, many_objects
from trainer.datasets.changes import Changes
from trainer.datasets.contents import Contents, File, Files
from trainer.errors import InvalidInput

_SCHEMA = 1
LEAST_PREFIX = 4


class _File(TypedDict):
    size: int
    sha256: str


class _Version(TypedDict):
    version: int
    digest: str
    created: str
    files: int
    bytes: int
    added: list[str]
    removed: dict[str, _File]
    changed: dict[str, _File]


@dataclass(frozen=True)
class Version:
    """A version: its number (from 1), digest, when it was taken (UTC, ISO 8601), and its size."""

    number: int
    digest: str
    created: str
    files: int
    bytes: int
    changes: Changes
    """From the version before it; none for the first. Of added files, only the paths are known here."""

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {
            "version": self.number,
            "digest": self.digest,
            "created": self.created,
            "files": self.files,
            "bytes": self.bytes,
            **self.changes.as_json(),
        }


@dataclass(frozen=True)
class Manifest:
    """The versions of a dataset, the oldest first, and the files of the last."""

    name: str
    versions: tuple[Version, ...] = ()
    files: Files | None = None
    source: str | None = None
    """Where its files can be had, in the words of who took a snapshot: a URL, say."""

    @property
    def last(self) -> Version | None:
        """The newest version."""
        return self.versions[-1] if self.versions else None

    def with_version(self, contents: Contents, created: str) -> Manifest:
        """The manifest with one version more; itself where the last one has the same files."""
        if self.last and self.files == contents.files:
            return self
        since = Changes() if self.files is None else changes.between(self.files, contents.files)
        number = len(self.versions) + 1
        size = len(contents.files), contents.bytes
        version = Version(number, contents.digest, created, *size, since)
        return Manifest(self.name, (*self.versions, version), contents.files, self.source)

    def version(self, text: str) -> Version:
        """The version of that number, or whose digest begins like that. Raises `InvalidInput`."""
        if text.isdigit() and 1 <= int(text) <= len(self.versions):
            return self.versions[int(text) - 1]
        matches = self.with_digest(text.lower()) if len(text) >= LEAST_PREFIX else []
        if len({version.digest for version in matches}) == 1:
            return matches[-1]
        if matches:
            raise InvalidInput(
                f"Several versions of {self.name} begin with {text}.", "Use more of the digest."
            )
        raise InvalidInput(
            f"{self.name} has no version {text}.",
            f"Use a number from 1 to {len(self.versions)}, or how a digest begins (4 digits at least): "
            f"trainer data show {self.name}",
        )

    def with_digest(self, prefix: str) -> list[Version]:
        """The versions whose digest begins like that."""
        return [version for version in self.versions if version.digest.startswith(prefix)]

    def files_of(self, version: Version) -> Files:
        """The files of a version. Raises `InvalidInput` where the history does not lead to it."""
        files = self.files or {}
        for later in reversed(self.versions[version.number :]):
            files = changes.undone(files, later.changes)
        if Contents(files).digest != version.digest:
            raise InvalidInput(
                f"The manifest of {self.name} does not add up to version {version.number}: it was edited.",
                f"Get it back as it was: git checkout -- data/{self.name}.manifest.json",
            )
        return files


@many_objects()
def read(path: Path, name: str) -> Manifest:
    """The manifest, without versions where there is no file. Raises `InvalidInput`."""
    try:
        payload = json.loads(path.read_bytes())
        if payload["schema"] != _SCHEMA:
            raise InvalidInput(
                f"{path} has the schema {payload['schema']}; this trainer understands {_SCHEMA}.",
                "Use the trainer that wrote it, or a newer one.",
            )
        versions = tuple(_version(version) for version in payload["versions"])
        numbers = [version.number for version in versions]
        source = payload.get("source")
        manifest = Manifest(name, versions, _files(payload["files"]), str(source) if source else None)
        if not manifest.last or numbers != list(range(1, len(numbers) + 1)):
            raise ValueError("the versions are not numbered from 1")
    except FileNotFoundError:
        return Manifest(name)
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InvalidInput(
            f"{path} is not a dataset manifest: it was edited, or git left the marks of a conflict in it.",
            "Get it back as it was (git checkout), or move it away and take a new one: "
            f"trainer data snapshot {name}",
        ) from None
    manifest.files_of(manifest.last)
    return manifest


def write(path: Path, manifest: Manifest) -> None:
    """Write the manifest wholly or not at all."""
    atomic_files.write(path, "".join(_text(manifest)).encode())


def _text(manifest: Manifest) -> Iterator[str]:
    """JSON, with a line for each file."""
    source = f'"source": {_json(manifest.source)},\n' if manifest.source else ""
    yield f'{{\n"schema": {_SCHEMA},\n"name": {_json(manifest.name)},\n{source}"versions": ['
    for position, version in enumerate(manifest.versions):
        facts: dict[str, object] = {
            "version": version.number,
            "digest": version.digest,
            "created": version.created,
            "files": version.files,
            "bytes": version.bytes,
        }
        yield f"{',' * (position > 0)}\n {{\n"
        yield "".join(f'  "{name}": {_json(value)},\n' for name, value in facts.items())
        yield f'  "added": {_lines("[", sorted(map(_json, version.changes.added)), "]")},\n'
        yield f'  "removed": {_file_lines(version.changes.removed)},\n'
        yield f'  "changed": {_file_lines(version.changes.changed)}\n }}'
    yield f'\n],\n"files": {_file_lines(manifest.files or {})}\n}}\n'


def _file_lines(files: Files) -> str:
    lines = [
        f'{_json(path)}: {{"size": {file.size}, "sha256": "{file.sha256}"}}'
        for path, file in sorted(files.items())
    ]
    return _lines("{", lines, "}")


def _lines(begin: str, lines: list[str], end: str) -> str:
    return begin + "\n    " + ",\n    ".join(lines) + "\n  " + end if lines else begin + end


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _version(payload: _Version) -> Version:
    since = Changes(
        dict.fromkeys(payload["added"], File(0, "")), _files(payload["removed"]), _files(payload["changed"])
    )
    return Version(
        payload["version"], payload["digest"], payload["created"], payload["files"], payload["bytes"], since
    )


def _files(payload: dict[str, _File]) -> dict[str, File]:
    return {path: File(file["size"], file["sha256"]) for path, file in payload.items()}
