"""A model that only its framework can run: the same server, in the image of the model's run.

That image has no server. The code of ours, and the few packages that it lacks, come from the image that other
models are served in, by the volume.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from trainer.engine import one_off
from trainer.errors import EngineError
from trainer.serving import volume
from trainer.serving.volume import Model

if TYPE_CHECKING:
    import docker
    from trainkit.inference.serving_file import Entry

ENTRYPOINT = ("python", "-m", "model_server")
ENVIRONMENT: Mapping[str, str] = MappingProxyType({
    "PYTHONPATH": f"{volume.FOLDER}/code:{volume.FOLDER}/packages",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HOME": "/tmp",  # noqa: S108 (the container's own)
    "MPLCONFIGDIR": "/tmp",  # noqa: S108
    "KERAS_HOME": "/tmp",  # noqa: S108
    "TF_CPP_MIN_LOG_LEVEL": "3",
})  # fmt: skip
# What the server imports that MLflow does not bring.
_PACKAGES = ("httptools", "orjson", "prometheus_client", "python_multipart")
_KIT = "/tmp/kit.tar"  # noqa: S108 (the container's own)
_PACK = f"""
import tarfile
from importlib.util import find_spec
with tarfile.open({_KIT!r}, "w") as tar:
    tar.add("/opt/code", "code")
    for name in {_PACKAGES!r}:
        tar.add(find_spec(name).submodule_search_locations[0], "packages/" + name)
"""
_LOGGED = "logged"


@dataclass(frozen=True)
class LoggedModel(Model):
    """A model as its run has logged it; `path` is the folder that `trainkit.models.as_logged` loads.

    `image` is that of its run, `why` what keeps it from being an ONNX file.
    """

    image: str = ""
    why: str = ""
    run_id: str = ""

    @property
    def entry(self) -> Entry:
        """What the server is told of it."""
        from trainkit.inference.serving_file import Entry

        return Entry(file=_LOGGED, label=self.label, version=self.version)

    def add_to(self, tar: tarfile.TarFile) -> None:
        """Its files, which everybody may read."""
        from trainkit.models.export import WHY

        tar.add(self.path, _LOGGED, filter=_readable)
        text = json.dumps({"why": self.why, "run_id": self.run_id}).encode()
        entry = tarfile.TarInfo(f"{_LOGGED}/{WHY}")
        entry.mode, entry.size = 0o444, len(text)
        tar.addfile(entry, io.BytesIO(text))


def kit(client: docker.DockerClient, serve_image: str) -> bytes:
    """A tar with the server, of the image that other models are served in. Raises `EngineError`."""
    packed = one_off.run(client, serve_image, ["python", "-c", _PACK], fetch=_KIT)
    if packed.code or packed.file is None:
        said = packed.err.strip().splitlines()
        raise EngineError(
            f"The server cannot be taken from {serve_image}: {said[-1] if said else 'it was killed'}",
            "Build it again: trainer build-image serve --no-cache",
        )
    return packed.file


def _readable(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o755 if entry.isdir() else 0o444
    return entry
