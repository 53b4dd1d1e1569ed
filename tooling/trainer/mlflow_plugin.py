"""MLflow's plug-in point: `mlflow run PROJECT --backend trainer-docker` is `trainer run PROJECT`.

MLflow neither waits for a plug-in's run nor ends it, so this returns when the run has ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import mlflow
from mlflow.entities import RunStatus
from mlflow.exceptions import ExecutionException
from mlflow.projects import utils
from mlflow.projects.backend.abstract_backend import AbstractBackend
from mlflow.projects.submitted_run import SubmittedRun

from trainer import printable
from trainer.backends.docker.backend import DockerBackend
from trainer.backends.local.backend import LocalBackend
from trainer.backends.registry import BackendType
from trainer.cli import streams
from trainer.cli.live.progress import Progress
from trainer.engine.daemon import EngineUnavailable
from trainer.errors import Interrupted, InvalidInput, TrainerError
from trainer.plan import request as plans
from trainer.plan.target import Target
from trainer.projects import mlproject, sources
from trainer.projects.parameters import nearest
from trainer.runs.launch import Result, launch
from trainer.server import selection
from trainer.workspace import secrets, settings

# What --backend-config may say, and what MLflow itself puts beside it.
OPTIONS = ("image", "gpus", "cpus", "memory", "read_only", "base_image", "seed", "deterministic",
           "keep_files", "yes")  # fmt: skip
# What this backend would leave out without a word.
_NOT_HONOURED = (
    (utils.PROJECT_DOCKER_ARGS, "--docker-args", f"--backend-config takes {', '.join(OPTIONS)}."),
    (utils.PROJECT_DOCKER_AUTH, "docker_auth", "Images are pulled with the credentials of `docker login`."),
    (utils.PROJECT_ENV_MANAGER, "--env-manager", "A python_env or conda_env becomes an image, made by uv."),
)
_MLFLOWS_OWN = {
    utils.PROJECT_BUILD_IMAGE,
    utils.PROJECT_DOCKER_ARGS,
    utils.PROJECT_DOCKER_AUTH,
    utils.PROJECT_ENV_MANAGER,
    utils.PROJECT_STORAGE_DIR,
    utils.PROJECT_SYNCHRONOUS,
}


class EndedRun(SubmittedRun):  # type: ignore[misc]  # mlflow is not typed
    """A run that has ended well."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self._run_id = run_id

    @property
    def run_id(self) -> str:
        """The MLflow run's id."""
        return self._run_id

    def wait(self) -> bool:
        """There is nothing to wait for."""
        return True

    def get_status(self) -> str:
        """FINISHED: other ends raise."""
        return str(RunStatus.to_string(RunStatus.FINISHED))

    def cancel(self) -> None:
        """There is nothing to cancel."""


class _Backend(AbstractBackend):  # type: ignore[misc]  # mlflow is not typed
    backend: ClassVar[BackendType]

    def run(
        self,
        project_uri: str,
        entry_point: str,
        params: Mapping[str, object],
        version: str | None,
        backend_config: Mapping[str, object] | str | None,
        tracking_uri: str,
        experiment_id: str,
    ) -> EndedRun:
        """Run the project and return when it has ended; raises `ExecutionException` unless it ended well."""
        try:
            result = self._run(
                project_uri,
                entry_point,
                params,
                version,
                _options(backend_config),
                tracking_uri,
                experiment_id,
            )
            if result.error:
                raise result.error
        except EngineUnavailable as error:
            raise ExecutionException(_message(error.with_alternative("--backend trainer-local"))) from None
        except TrainerError as error:
            raise ExecutionException(_message(error)) from None
        except Interrupted:
            raise KeyboardInterrupt from None
        return EndedRun(result.run.id)

    def _run(
        self, uri: str, entry_point: str, params: Mapping[str, object], version: str | None,
        options: Mapping[str, str], tracking_uri: str, experiment_id: str,
    ) -> Result:  # fmt: skip
        workspace = settings.find(Path(uri) if Path(uri).is_dir() else None)
        source = sources.resolve(workspace, uri, version)
        try:
            request = plans.RunRequest(
                project=mlproject.load(source.folder),
                source=source.name,
                commit=source.commit,
                entry_point=entry_point,
                parameters={name: str(value) for name, value in params.items()},
                backend=Target(self.backend.name, self.backend.isolated),
                image=options.get("image"),
                gpus=options.get("gpus"),
                cpus=_integer("cpus", options),
                memory=options.get("memory"),
                read_only=_boolean("read_only", options),
                base_image=options.get("base_image"),
                seed=_integer("seed", options),
                deterministic=_boolean("deterministic", options),
                keep_files=_boolean("keep_files", options) is True,
            )
            plan = plans.make(workspace, request)
            is_server = tracking_uri.startswith(("http://", "https://"))
            with streams.harmless(), Progress() as progress:
                result = launch(
                    workspace,
                    plan,
                    progress,
                    tracking_uri=tracking_uri if is_server else None,
                    experiment_id=experiment_id if is_server else None,
                    allowed=plan.asked.asks if _boolean("yes", options) else (),
                )
        except TrainerError as error:
            source.name_in(error)
            raise
        finally:
            source.close()
        if not is_server:
            # MLflow goes on to tag the run; it would look in its local default store otherwise.
            server = selection.connect(workspace)[0].server
            os.environ.update(server.environment)
            mlflow.set_tracking_uri(server.uri)
        return result


class DockerProjectBackend(_Backend):
    """`--backend trainer-docker`."""

    backend = DockerBackend


class LocalProjectBackend(_Backend):
    """`--backend trainer-local`."""

    backend = LocalBackend


def _message(error: TrainerError) -> str:
    return printable.lines(secrets.hide(f"{error.message}\n{error.hint}"))


def _boolean(name: str, options: Mapping[str, str]) -> bool | None:
    value = options.get(name)
    if value not in (None, "True", "False"):
        raise InvalidInput(f"--backend-config: {name} is {value}.", "Write true or false.")
    return None if value is None else value == "True"


def _integer(name: str, options: Mapping[str, str]) -> int | None:
    value = options.get(name)
    if value is not None and not value.isdecimal():
        raise InvalidInput(f"--backend-config: {name} is {value}.", "Write a whole number.")
    return None if value is None else int(value)


def _options(backend_config: Mapping[str, object] | str | None) -> dict[str, str]:
    try:
        config = (
            json.loads(Path(backend_config).read_text(encoding="utf-8"))
            if isinstance(backend_config, str)
            else dict(backend_config or {})
        )
    except (OSError, ValueError):
        raise InvalidInput(
            f"{backend_config} is not a JSON file.", '--backend-config \'{"memory": "8g"}\''
        ) from None
    for key, option, remedy in _NOT_HONOURED:
        if config.get(key):
            raise InvalidInput(f"{option} is not honoured by this backend.", remedy)
    options = {str(name): str(value) for name, value in config.items() if name not in _MLFLOWS_OWN}
    for name in options:
        if name not in OPTIONS:
            raise InvalidInput(
                f"--backend-config: unknown option {name}.", nearest(name, OPTIONS, "It takes")
            )
    return options
