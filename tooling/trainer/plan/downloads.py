"""Parameters of type path that name something elsewhere: it is fetched for the run, as MLflow does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from trainer.errors import InvalidInput
from trainer.tracking.endpoint import Server
from trainer.urls import without_password
from trainer.workspace.run_folder import RunFolder

# In a process of its own: importing MLflow takes a second, and only these runs pay for it. The URI, which may
# have a password in it, is on no command line.
_FETCH = (
    "import os, mlflow; print(mlflow.artifacts.download_artifacts("
    "artifact_uri=os.environ['TRAINER_INPUT'], dst_path=os.environ['TRAINER_PLACE']))"
)
_PATIENCE_S = 60


def name(uri: str) -> str:
    """What the file or folder is called in the run."""
    last = urlsplit(uri).path.rstrip("/").rpartition("/")[2]
    return "data" if last in ("", ".", "..") else last


def fetch(
    downloads: Mapping[str, str], folder: RunFolder, server: Server, step: Callable[[str], None]
) -> None:
    """Fetch each parameter's URI to PARAMETER/NAME of the folder's inputs.

    `runs:/…` and `models:/…` are of the tracking server. Raises `InvalidInput` where one cannot be had.
    """
    for parameter, uri in downloads.items():
        step(f"Fetching {without_password(uri)}")
        target = folder.inputs / parameter  # a name that leads nowhere else (`names.check`)
        target.mkdir(parents=True)
        is_web = urlsplit(uri).scheme in ("http", "https")
        error = _from_the_web(uri, target) if is_web else _from_a_store(uri, target, server)
        if error:
            raise InvalidInput(
                f"--{parameter.replace('_', '-')} names {without_password(uri)}, which cannot be fetched: "
                f"{error.replace(uri, without_password(uri))}",
                "Check the address, or fetch it yourself and name the file.",
            )


def _from_the_web(uri: str, target: Path) -> str | None:
    """MLflow, in spite of its documentation, cannot. What went wrong, if something did."""
    import requests

    try:
        with requests.get(uri, stream=True, timeout=_PATIENCE_S) as answer:
            if not answer.ok:
                return f"{answer.status_code} {answer.reason}"
            with (target / name(uri)).open("wb") as written:
                for piece in answer.iter_content(1 << 20):
                    written.write(piece)
    except requests.RequestException as error:
        return type(error).__name__
    return None


def _from_a_store(uri: str, target: Path, server: Server) -> str | None:
    """With MLflow, from whatever it knows. What went wrong, if something did."""
    done = subprocess.run(
        [sys.executable, "-c", _FETCH],
        env={**os.environ, **server.environment, "TRAINER_INPUT": uri, "TRAINER_PLACE": str(target)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if done.returncode != 0:
        return (done.stderr.strip() or "no reason given").splitlines()[-1]
    downloaded, destination = Path(done.stdout.splitlines()[-1]), target / name(uri)
    if downloaded == target:  # the whole of something, which has no name of its own
        downloaded = target.rename(target.with_name(f"{target.name}.whole"))
        target.mkdir()
    if downloaded != destination:
        downloaded.rename(destination)
    return None
