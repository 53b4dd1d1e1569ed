"""What MLflow does in a run when its script chooses a server, an experiment, or an environment for a step.

A run has all three. So `set_tracking_uri` and `set_experiment` change nothing, and a step (`mlflow.run`) is
run beside the script that starts it, as a child run. Each is said once, on stderr.

Python reads this at every start, also in images that are built from a project's own environment file, where
it is the only file of trainkit's. So it has to do with Python 3.7 and any MLflow, and imports little.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

VARIABLE = "TRAINER_RUN_ID"
_SAID = "TRAINER_SAID"


def watch() -> None:
    """In a process of a run, change MLflow when it is imported. A second call does nothing."""
    if VARIABLE not in os.environ or any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    # A step has a run of its own. MLflow removes its own variable when it takes up the run.
    os.environ[VARIABLE] = os.environ.get("MLFLOW_RUN_ID", os.environ[VARIABLE])
    sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds MLflow as Python does. What holds in this process is noted before the script can change it."""

    def __init__(self) -> None:
        self._server = os.environ.get("MLFLOW_TRACKING_URI", "")
        self._experiment = os.environ.get("MLFLOW_EXPERIMENT_ID", "")
        self._folder = os.path.abspath(".")  # noqa: PTH100 (pathlib takes long to import)

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Called by Python for every module that is imported."""
        if name != "mlflow":
            return None
        from importlib.util import find_spec

        sys.meta_path.remove(self)
        spec = find_spec(name)
        if spec and spec.loader:
            execute = spec.loader.exec_module

            def execute_and_change(module: ModuleType) -> None:
                execute(module)
                self._change(module)

            spec.loader.exec_module = execute_and_change  # type: ignore[method-assign]
        return spec

    def _change(self, mlflow: ModuleType) -> None:
        try:
            keep_server(mlflow, self._server)
            keep_experiment(mlflow, self._experiment)
            keep_steps(self._folder)
        except (ImportError, AttributeError):
            pass  # a part of MLflow that is not installed, or a script that is called mlflow.py


def keep_server(mlflow: ModuleType, server: str) -> None:
    """Whatever the script says, it asks the server of the run."""

    def set_tracking_uri(uri: object) -> None:
        if str(uri) != server:
            _say_once(
                f"The tracking URI {_without_password(uri)}",
                "this run reports to the server that it was started with. "
                "To choose another: trainer run --tracking-uri URI",
            )

    set_tracking_uri(os.environ.get("MLFLOW_TRACKING_URI", server))
    mlflow.set_tracking_uri(server)  # from now on MLflow does not look at the variable
    for module in (mlflow, mlflow.tracking):
        vars(module)["set_tracking_uri"] = set_tracking_uri


def keep_experiment(mlflow: ModuleType, experiment: str) -> None:
    """Whatever the script says, it logs to the experiment of the run."""
    refuse = mlflow.set_experiment

    def set_experiment(
        experiment_name: str | None = None, experiment_id: str | None = None, **_others: object
    ) -> object:
        if (experiment_name is None) == (experiment_id is None):
            return refuse(experiment_name, experiment_id)
        current = mlflow.get_experiment(experiment)
        if experiment_name != current.name and str(experiment_id) != experiment:
            _say_once(
                f"set_experiment({experiment_name or experiment_id!r})",
                f"this run is in {current.name!r}. To choose another: trainer run --experiment NAME",
            )
        return current

    for module in (mlflow, mlflow.tracking.fluent):
        vars(module)["set_experiment"] = set_experiment


def keep_steps(folder: str) -> None:
    """A project that the script runs is run with the Python, the packages and the files of this process."""
    import atexit

    from mlflow import MlflowClient, active_run
    from mlflow.projects.backend import local

    load, run = local.load_project, local.LocalBackend.run

    def load_project(path: str) -> object:
        project = load(path)
        wanted = _environment(project)
        if wanted and wanted != _environment(load(folder)):
            _say_once(
                f"The environment of the project {os.path.relpath(path, folder)}",
                "its steps use the environment of this run. "
                "Add what they need to the environment of the project that was started",
            )
        project.docker_env = None
        return project

    def run_here(
        self: object, project_uri: str, entry_point: str, params: object, version: str | None,
        backend_config: dict[str, object], tracking_uri: str, experiment_id: str,
    ) -> object:  # fmt: skip
        is_waited_for = backend_config.get("SYNCHRONOUS", True)
        for name, value in (("ENV_MANAGER", "local"), ("USE_CONDA", False)):  # this, and MLflow's before 1.26
            if name in backend_config:
                backend_config[name] = value
        # Without parameters, MLflow's own way not to wait fails.
        step = run(
            self, project_uri, entry_point, params or {}, version, backend_config, tracking_uri, experiment_id
        )
        if active_run() is None and step.run_id != os.environ[VARIABLE]:
            MlflowClient().set_tag(step.run_id, "mlflow.parentRunId", os.environ[VARIABLE])
        if not is_waited_for:
            atexit.register(step.wait)  # as MLflow says it does; the run would end without it
        return step

    local.load_project, local.LocalBackend.run = load_project, run_here


def _environment(project: object) -> object:
    """What a project says that it needs; None where it says nothing."""
    image = (getattr(project, "docker_env", None) or {}).get("image")
    # Of MLflow 2 and 3, and 1.
    path = getattr(project, "env_config_path", None) or getattr(project, "conda_env_path", None)
    if image or not path:
        return image
    with open(path, "rb") as file:  # noqa: PTH123 (as above)
        return file.read()


def _without_password(uri: object) -> str:
    scheme, slashes, rest = str(uri).partition("//")
    return scheme + slashes + rest.rpartition("@")[2]


def _say_once(what: str, why: str) -> None:
    printed = os.environ.get(_SAID, "").splitlines()
    if what not in printed:
        os.environ[_SAID] = "\n".join([*printed, what])  # what is started from here on does not repeat it
        print(f"Warning: {what} is not used: {why}.", file=sys.stderr, flush=True)
