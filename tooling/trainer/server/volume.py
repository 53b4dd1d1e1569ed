"""The store on the volume of the server's container: saved, replaced and counted."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from trainer.engine import daemon
from trainer.engine.one_off import private_tar
from trainer.errors import TrackingError
from trainer.server import store_archive
from trainer.server.container import DATA, name, restoring
from trainer.server.store_archive import INCOMING, OWNER
from trainer.subprocesses import deferred_signals
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import docker

_LABEL = "trainer.server_store"
_FULL = 1 << 20  # bytes: with less, a server can write next to nothing


@dataclass(frozen=True)
class Space:
    """Of a disk, in bytes."""

    free: int
    total: int

    @property
    def is_full(self) -> bool:
        """Whether a server cannot go on with it."""
        return self.free < _FULL

    def __str__(self) -> str:
        """`3.2 of 50.0 GB free`."""
        unit, name = (1e9, "GB") if self.total >= 1e9 else (1e6, "MB")
        return f"{self.free / unit:.1f} of {self.total / unit:.1f} {name} free"


class Volume:
    """The store on the server's volume, worked on by a short-lived container of the image `image`."""

    def __init__(self, client: docker.DockerClient, workspace: Workspace, image: str) -> None:
        self._client = client
        self._volume = name(workspace)
        self._image = image
        self._interrupted = restoring(workspace)

    def exists(self) -> bool:
        """Whether there is one, whatever it holds."""
        from docker.errors import NotFound

        with daemon.failures():
            try:
                self._client.volumes.get(self._volume)
            except NotFound:
                return False
        return True

    def backup(self, out: BinaryIO) -> None:
        """Write the store as a tar (`store_archive`); the server may be running."""
        self._run("backup", out=out)

    def restore(self, archive: BinaryIO) -> dict[str, int]:
        """Put the archive in the place of the store; the server must be stopped. What is there now."""
        self._interrupted.touch()
        output = self._run("restore", archive=archive)
        self._interrupted.unlink()
        return output

    def counts(self) -> dict[str, int]:
        """Table → rows."""
        return self._run("counts")

    def space(self) -> Space:
        """What is free of the volume's disk."""
        return Space(**self._run("space"))

    def settle(self) -> None:
        """Complete or undo a `restore` that was interrupted, and remove what it left behind."""
        with daemon.failures():
            for container in self._client.containers.list(
                all=True, filters={"label": f"{_LABEL}={self._volume}"}, ignore_removed=True
            ):
                if container.status == "running":
                    container.wait()  # it works on without us
                container.remove(force=True)
        if self._interrupted.exists():
            self._run("finish")
            self._interrupted.unlink()

    def _run(
        self, action: str, out: BinaryIO | None = None, archive: BinaryIO | None = None
    ) -> dict[str, int]:
        from docker.types import LogConfig

        with daemon.failures(), tempfile.TemporaryFile() as stderr:
            with deferred_signals():
                container = self._client.containers.create(
                    self._image,
                    ["python", "-I", "/srv/store_archive.py", action, DATA],
                    labels={_LABEL: self._volume},
                    user=f"{OWNER}:{OWNER}",
                    volumes={self._volume: {"bind": DATA, "mode": "rw"}},
                    network_mode="none",
                    cap_drop=["ALL"],
                    security_opt=["no-new-privileges"],
                    log_config=LogConfig(type="none"),
                )
            try:
                script = Path(store_archive.__file__).read_bytes()
                container.put_archive("/srv", private_tar({"store_archive.py": script}, OWNER, OWNER))
                if archive:
                    container.put_archive(DATA, private_tar({f"{INCOMING}/": b""}, OWNER, OWNER))
                    container.put_archive(f"{DATA}/{INCOMING}", archive)
                attached = self._client.api.attach(str(container.id), stream=True, demux=True)
                container.start()
                for text, error in attached:
                    if text and out:
                        out.write(text)
                    stderr.write(error or b"")
                code = container.wait()["StatusCode"]
            finally:
                with deferred_signals(drop=True):
                    container.remove(force=True)
            stderr.seek(0)
            lines = stderr.read().decode(errors="replace").strip().splitlines() or [""]
        if code != 0:
            raise TrackingError(f"The tracking store: {lines[-1]}", "Nothing in it was changed.")
        return cast(dict[str, int], json.loads(lines[-1]))
