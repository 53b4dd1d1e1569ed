"""A run's container: followed, asked how it ended, stopped, removed."""

from __future__ import annotations

import contextlib
import io
import os
import re
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from trainer import archives
from trainer.backends.base import JobResult, read_result
from trainer.backends.docker.config import CODE, GRACE_S, RESULT, SPOOL, WRITTEN
from trainer.backends.docker.slots import claims, holders
from trainer.engine import daemon
from trainer.errors import EngineError
from trainer.workspace.run_folder import RunFolder

if TYPE_CHECKING:
    import docker

PATIENCE_S = 60
_RESULT_SIZE = 1 << 10
_WRITTEN_SIZE = 1 << 24  # some hundred thousand files
_HEADERS = 1 << 16  # and the padding: what a tar of one file has beyond its content


class State(TypedDict):
    """Of a container, as the engine inspects it."""

    Status: str
    ExitCode: int
    OOMKilled: bool
    FinishedAt: str


class _Mounted(TypedDict):
    Destination: str


class DockerJob:
    """One container."""

    def __init__(self, client: docker.DockerClient, name: str, slot: str = "") -> None:
        """`slot` is the token of what it has for itself, where that is known: its labels say it, too."""
        self._client = client
        self._name = name
        self._slot = slot
        self._ended: JobResult | None = None

    def follow(self) -> Iterator[bytes]:
        """The container's output, live. A closed stream is no end: look again until the container stopped."""
        since: float | None = None
        deadline: float | None = None
        while True:
            try:
                yield from self._logs(follow=True, since=since)
                since, deadline = time.time(), None
                if self.end() is not None:
                    return
            except EngineError:
                # The engine may be restarting; its containers are looked at again when it is back.
                since, deadline = since or time.time(), deadline or time.monotonic() + PATIENCE_S
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def output(self) -> Iterator[bytes]:
        """All of the container's output so far."""
        return self._logs(follow=False)

    def _logs(self, *, follow: bool, since: float | None = None) -> Iterator[bytes]:
        from docker.errors import NotFound

        with daemon.failures(), contextlib.suppress(NotFound):
            yield from self._client.api.logs(self._name, stream=True, follow=follow, since=since)

    def end(self) -> JobResult | None:
        """How the container ended; a result without an exit code if it is gone."""
        from docker.errors import NotFound

        if self._ended:
            return self._ended
        with daemon.failures():
            try:
                state = cast(State, self._client.api.inspect_container(self._name)["State"])
            except NotFound:
                return JobResult(None)
            if state["Status"] == "created":
                return JobResult(None)  # its launcher died before it started it
            if state["Status"] not in ("exited", "dead"):
                return None
            result = self._result()
            code, stopped_by = result or (state["ExitCode"], None)
            self._ended = JobResult(
                code,
                state["OOMKilled"],
                stopped_by,
                recorded=result is not None,
                at=datetime.fromisoformat(state["FinishedAt"]).timestamp(),
            )
            return self._ended

    def _result(self) -> tuple[int, int | None] | None:
        """What start.sh wrote when the command had ended, if it came to that."""
        text = self._read(RESULT, _RESULT_SIZE)
        return None if text is None else read_result(text)

    def _read(self, path: str, most: int) -> str | None:
        """What start.sh wrote; None for what cannot be its file: the run may have put there what it liked."""
        from docker.errors import NotFound

        try:
            return content(self._client.api.get_archive(self._name, path)[0], most)
        except NotFound:
            return None

    def written(self) -> dict[str, int]:
        """What start.sh found; nothing where the container was cut off, or its image has no `find`."""
        with daemon.failures():
            listing = self._read(WRITTEN, _WRITTEN_SIZE) or ""
        _, *listed = re.split(r"^([0-9]+) \.//\./", listing, flags=re.MULTILINE)
        sizes = dict(
            zip((path.removesuffix("\n") for path in listed[1::2]), map(int, listed[::2]), strict=True)
        )
        return {path: size for path, size in sizes.items() if ".." not in path.split("/")}

    def bring(self, path: str, folder: Path) -> Path | None:
        """The file, copied out of the container."""
        from docker.errors import NotFound

        with daemon.failures(), tempfile.TemporaryFile() as packed:
            try:
                for piece in self._client.api.get_archive(self._name, os.fsencode(f"{CODE}/{path}"))[0]:
                    packed.write(piece)
            except NotFound:
                return None
            packed.seek(0)
            with tarfile.open(fileobj=packed) as tar:
                archives.unpack(tar, folder)
        return folder / Path(path).name

    def fetch(self, folder: RunFolder) -> None:
        """Bring the spool from the container, where it is not mounted."""
        from docker.errors import NotFound

        if self._has_mounted_spool():
            return
        with daemon.failures(), contextlib.suppress(NotFound), tempfile.TemporaryFile() as packed:
            for piece in self._client.api.get_archive(self._name, SPOOL)[0]:
                packed.write(piece)
            packed.seek(0)
            with tarfile.open(fileobj=packed) as tar:
                archives.unpack(tar, folder.path)

    def _has_mounted_spool(self) -> bool:
        from docker.errors import NotFound

        with daemon.failures():
            try:
                mounts = cast(list[_Mounted], self._client.api.inspect_container(self._name)["Mounts"])
            except NotFound:
                return True
        return any(mount["Destination"] == SPOOL for mount in mounts)

    def stop(self) -> None:
        """SIGINT (a Python script runs its `finally`), SIGKILL after the grace period."""
        from docker.errors import APIError

        with daemon.failures(), contextlib.suppress(APIError):
            self._client.api.stop(self._name, timeout=GRACE_S)

    def remove(self) -> None:
        """Remove the container with its anonymous volumes, killing it if it still runs, then its slot."""
        from docker.errors import APIError

        with daemon.failures(), contextlib.suppress(APIError):
            config = self._client.api.inspect_container(self._name)["Config"]
            self._slot = self._slot or holders.token(config["Labels"] or {})
            self._client.api.remove_container(self._name, force=True, v=True)
        if self._slot:
            claims.give_back(self._client, self._slot)


def content(packed: Iterable[bytes], most: int) -> str | None:
    """The text of a tar's only file; None for anything else, of which no more is read than has to be."""
    read = bytearray()
    for piece in packed:
        read += piece
        if len(read) > most + _HEADERS:
            break
    try:
        with tarfile.open(fileobj=io.BytesIO(read), mode="r:") as tar:
            member = tar.next()
            if member is None or not member.isreg() or member.size > most:
                return None
            file = tar.extractfile(member)
            return file.read().decode(errors="surrogateescape") if file else None
    except tarfile.TarError:
        return None
