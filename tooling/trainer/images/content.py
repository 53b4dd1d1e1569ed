"""What is in an image: its files, and the settings that a container of it starts with."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import IO, TYPE_CHECKING

from trainer.engine import daemon

if TYPE_CHECKING:
    import docker

_KINDS = {
    tarfile.DIRTYPE: "folder",
    tarfile.SYMTYPE: "symbolic link",
    tarfile.LNKTYPE: "hard link",
    tarfile.FIFOTYPE: "pipe",
    tarfile.CHRTYPE: "device",
    tarfile.BLKTYPE: "device",
}
_TOLD_EVERY = 2000  # files
_CHUNK = 1 << 20


@dataclass(frozen=True)
class File:
    """What matters of a file. When it was written does not: an image's byte code does not depend on it."""

    kind: str
    mode: str
    owner: str
    link: str
    size: int
    sha256: str
    attributes: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Difference:
    """A path, or a part of the image's settings, and how it differs between two images."""

    path: str
    what: str


def files(client: docker.DockerClient, image_id: str, report: Callable[[str], None]) -> dict[str, File]:
    """Path → file, of the whole image. Raises `EngineError`; no container is left behind."""
    with daemon.failures():
        container = client.api.create_container(image_id, ["nothing"])["Id"]
        try:
            return _read(client.api.export(container), report)
        finally:
            client.api.remove_container(container)


def settings(client: docker.DockerClient, image_id: str) -> dict[str, str]:
    """What a container starts with: environment, command, user, labels, …, and the platform."""
    with daemon.failures():
        inspected = client.api.inspect_image(image_id)
    values = {**inspected["Config"], "Os": inspected["Os"], "Architecture": inspected["Architecture"]}
    return {name: json.dumps(value, sort_keys=True) for name, value in values.items()}


def differences(first: Mapping[str, File], second: Mapping[str, File]) -> Iterator[Difference]:
    """How two images' files differ, by path."""
    for path in sorted(first.keys() | second.keys()):
        before, after = first.get(path), second.get(path)
        if before is None or after is None:
            yield Difference(path, f"only in the {'second' if before is None else 'first'} build")
        elif before != after:
            yield Difference(path, ", ".join(_changed(before, after)))


def settings_differences(first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Difference]:
    """How two images' settings differ."""
    for name in sorted(first.keys() | second.keys()):
        before, after = first.get(name, "nothing"), second.get(name, "nothing")
        if before != after:
            yield Difference(f"setting {name}", f"{before}, then {after}")


def _changed(before: File, after: File) -> Iterator[str]:
    names = [
        field.name for field in fields(File) if getattr(before, field.name) != getattr(after, field.name)
    ]
    for name in names:
        if name == "sha256":
            yield "content"
        else:
            yield f"{name} {getattr(before, name)}, then {getattr(after, name)}"


def _read(pieces: Iterator[bytes], report: Callable[[str], None]) -> dict[str, File]:
    entries: dict[str, File] = {}
    with tarfile.open(fileobj=io.BufferedReader(_ChunkReader(pieces), _CHUNK), mode="r|") as tar:
        for entry in tar:
            content = tar.extractfile(entry) if entry.isreg() else None
            entries[f"/{entry.name}"] = File(
                kind=_KINDS.get(entry.type, "file"),
                mode=f"{entry.mode:o}",
                owner=f"{entry.uid}:{entry.gid}",
                link=entry.linkname,
                size=entry.size,
                sha256=_sha256(content) if content else "",
                attributes=tuple(
                    sorted(item for item in entry.pax_headers.items() if item[0].startswith("SCHILY.xattr."))
                ),
            )
            if len(entries) % _TOLD_EVERY == 0:
                report(f"{len(entries)} files read")
    return entries


def _sha256(content: IO[bytes]) -> str:
    sha = hashlib.sha256()
    while piece := content.read(_CHUNK):
        sha.update(piece)
    return sha.hexdigest()


class _ChunkReader(io.RawIOBase):
    """A stream of pieces as a file, for tarfile."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It can be read from, and that is all."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """The next bytes; none at the end."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
