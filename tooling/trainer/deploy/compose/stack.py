"""The folder that `docker compose up` makes the stack from.

What differs between two stacks is in .env: passwords, ports, and which profiles run. The other files are the
same for all, so that a later call only adds to them.
"""

from __future__ import annotations

import json
import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.deploy.accounts import accounts, then
from trainer.deploy.compose import check, ports
from trainer.deploy.files import PlatformFiles
from trainer.errors import InvalidInput
from trainer.images import spec
from trainer.serving import container, image, service
from trainer.workspace import secrets_file
from trainer.workspace.settings import DEFAULT_BASE_IMAGE, Workspace

if TYPE_CHECKING:
    from trainer.serving.volume import Model

NAME = "compose"
ENV = ".env"
FILES = Path(__file__).parent / "files"
PROFILES = ("s3", "observe")
MODEL = "model"
"""The profile of the served model, its service, and the folder that it is in."""
SERVER = "model_server"
"""What its image is built from."""
TARGETS = "prometheus/targets/model.json"
_MOUNTED = (f"{MODEL}/", "prometheus/", "grafana/")
_PROFILES, _BUCKET, _BASE = "COMPOSE_PROFILES", "S3_BUCKET", "BASE_IMAGE"


@dataclass(frozen=True)
class Wanted:
    """What a stack has besides the tracking server and its database."""

    model: Model | None = None
    profiles: tuple[str, ...] = ()


def make(workspace: Workspace, app: str, folder: Path, wanted: Wanted) -> PlatformFiles:
    """The files of the stack; raises `InvalidInput` where what models are served with is missing."""
    there = secrets_file.read(folder / ENV)
    settings = _settings(workspace, wanted, there)
    files = {
        path.relative_to(FILES).as_posix(): path.read_bytes().replace(b"@APP@", app.encode())
        for path in sorted(FILES.rglob("*"))
        if path.is_file()
    }
    server: dict[str, bytes] = {}
    if wanted.model:
        server = {f"{SERVER}/{name}": path.read_bytes() for name, path in image.inputs(workspace).items()}
    ours = _served(wanted.model) if wanted.model else {}
    files |= server | ours
    return PlatformFiles(
        files,
        {ENV: {"DATABASE_PASSWORD": random.token_urlsafe(24), **accounts(), **_others()}},
        _next(wanted, {**there, **settings}),
        copied=frozenset(server),
        settings=settings,
        ours=frozenset(ours),
        mounted=frozenset(
            name for name in files if name.startswith((f"{MODEL}/", "prometheus/", "grafana/"))
        ),
        conflicts=check.alone,
    )


def _served(model: Model) -> dict[str, bytes]:
    """What the server has of the model, and Prometheus of the server. The file that is watched comes last."""
    from trainkit.inference.serving_file import NAME as SERVING_FILE
    from trainkit.inference.serving_file import ServingFile

    return {
        TARGETS: json.dumps([{"targets": [f"{MODEL}:{container.PORT}"]}]).encode() + b"\n",
        f"{MODEL}/{model.entry.file}": model.path.read_bytes(),
        f"{MODEL}/{SERVING_FILE}": ServingFile(model=model.entry).text().encode(),
    }


def finish(folder: Path) -> str | None:
    """Remove models that were served before the last; have compose read the files. Raises `DeployError`."""
    for path in sorted((folder / MODEL).glob("*.onnx"), key=lambda path: path.stat().st_mtime)[:-2]:
        path.unlink()
    return check.config(folder)


def _others() -> dict[str, str]:
    return {
        "S3_ACCESS_KEY": random.token_hex(10),
        "S3_SECRET_KEY": random.token_urlsafe(30),
        "GRAFANA_PASSWORD": random.token_urlsafe(18),
        "MODEL_TOKEN": "",  # compose makes a file of it, and there has to be something to make it of
    }


def _settings(workspace: Workspace, wanted: Wanted, there: Mapping[str, str]) -> dict[str, str]:
    """What .env is to say besides; `there` is what it says, empty where there is none."""
    said = [profile for profile in there.get(_PROFILES, "").split(",") if profile]
    profiles = [*([MODEL] if wanted.model else []), *wanted.profiles]
    settings = {}
    if set(profiles) - set(said):
        settings[_PROFILES] = ",".join(dict.fromkeys([*said, *profiles]))
    if wanted.model:
        settings["MODEL_NAME"] = service.name_of(wanted.model.label)
    if "s3" in wanted.profiles and not there.get(_BUCKET):
        if there:
            raise InvalidInput(
                f"The artifacts of this stack are in its volume, and its {ENV} names no {_BUCKET}.",
                "Make a stack with S3 in another folder: -o DIR",
            )
        settings[_BUCKET] = "mlflow"
    if not there:
        settings |= ports.instead_of_taken()
        base = spec.chosen_base(workspace)
        settings |= {_BASE: base} if base != DEFAULT_BASE_IMAGE else {}
    return settings


def _next(wanted: Wanted, said: Mapping[str, str]) -> list[str]:
    """What is printed; `said` is what .env says."""
    url = {name: f"http://localhost:{said.get(name, port)}" for name, port in ports.PORTS.items()}
    steps = ["docker compose up --detach --build --wait"]
    if wanted.model:
        steps.append(f"The model answers at {url['MODEL_PORT']}.")
    if "observe" in wanted.profiles:
        steps.append(f"Grafana is at {url['GRAFANA_PORT']}: log in as admin, with GRAFANA_PASSWORD of .env.")
    return [
        *steps,
        "",
        "For runs in containers on the same machine, add MLFLOW_ADDRESS=172.17.0.1 to .env (the address of",
        "Docker's bridge: docker network inspect bridge) and write that address instead of localhost.",
        *then(url["MLFLOW_PORT"], "(its value in .env)"),
    ]
