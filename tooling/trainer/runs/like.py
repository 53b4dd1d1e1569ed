"""What a run was started with, for a new run that is like it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from trainer.counted import counted
from trainer.datasets import catalog, recorded
from trainer.datasets.inputs import Data
from trainer.errors import InvalidInput
from trainer.masking import MASK
from trainer.plan import warm_start
from trainer.plan.warm_start import WarmStart
from trainer.projects import sources
from trainer.projects.mlproject import EntryPoint, Project
from trainer.projects.parameters import is_elsewhere
from trainer.runs import resolve, server, stored_run
from trainer.runs.run_record import RunRecord
from trainer.tracking.artifacts import listing, logged_models
from trainer.tracking.client import Client, Run
from trainer.workspace.settings import Workspace

_KERAS = {"keras", "tensorflow"}
"""What MLflow calls its models of Keras."""


@dataclass(frozen=True)
class EarlierRun:
    """The run, and the record that is stored with it."""

    id: str
    name: str
    record: RunRecord

    def project(self, workspace: Workspace) -> str:
        """Its project, as `trainer run` takes it.

        Raises `InvalidInput` where it is not in the workspace: code at a URL that a server names is run only
        where the user names it too.
        """
        record = self.record
        if sources.is_remote(record.source):
            raise InvalidInput(
                f"The run {self.name} is of {record.source}.",
                f"trainer run {record.source} --like {self.id[:8]}",
            )
        if record.project in sources.names(workspace) and record.source == f"train_code/{record.project}":
            return record.project
        folder = workspace.root / record.source
        if folder.is_dir() and folder.resolve().is_relative_to(workspace.root):
            return str(folder)
        raise InvalidInput(
            f"The run {self.name} is of the project {record.project}, which is not in this workspace.",
            f"Get its code: trainer new {record.project} --from {self.id[:8]}",
        )

    @property
    def options(self) -> Mapping[str, object]:
        """By the names of the options of `trainer run`: what the run had of them."""
        record, resources = self.record, self.record.resources
        options: dict[str, object] = {
            "entry_point": record.entry_point,
            "experiment": record.experiment,
            "gpus": resources.gpus,
            "cpus": resources.cpus,
            "memory": resources.memory,
            "read_only": resources.read_only,
            "seed": record.seed,
            "deterministic": record.deterministic,
            "keep_files": record.keep_files,
        }
        return {name: value for name, value in options.items() if value is not None}

    @property
    def secrets(self) -> frozenset[str]:
        """The parameters whose value held a secret, which was not recorded."""
        parameters = self.record.parameters.items()
        return frozenset(name for name, parameter in parameters if MASK.decode() in parameter.value)

    def parameters(self, project: Project, entry_point: EntryPoint) -> Mapping[str, str]:
        """The values that it had. A file of its code is the one that the project has now.

        Left out are those of `secrets`, and a path that was the default: the project has its own.
        """
        return {
            name: str(project.folder / parameter.in_code) if parameter.in_code else parameter.value
            for name, parameter in self.record.parameters.items()
            if name not in self.secrets and not self._is_default_path(name, entry_point)
        }

    def check_data(self, workspace: Workspace, values: Mapping[str, str]) -> None:
        """Raises `InvalidInput` where one of the `values`, which it had, names data that is not here."""
        for data in self._datasets(values):
            if not (workspace.data / data.name).exists():
                name = shlex.quote(data.name)
                files = f"{counted(data.files, 'file')}, digest {data.digest[:8]}"
                raise InvalidInput(
                    f"{self.name} had {data.name} ({files}), which is not in {workspace.data}.",
                    catalog.as_in_manifest(workspace, data.name)
                    or f"Put it there, pass another one with --{data.parameter.replace('_', '-')}, "
                    f"or: trainer data import FILE --as {name}",
                )

    def differing_data(
        self, workspace: Workspace, values: Mapping[str, str], step: Callable[[str], None]
    ) -> Iterator[str]:
        """A line for each dataset of the run that is among `values` and is not as it was.

        Raises `InvalidInput` for one that cannot be read.
        """
        for data in self._datasets(values):
            step(f"Comparing {data.name} with what {self.name} had")
            if difference := recorded.difference(workspace, data.name, data.digest):
                yield f"{data.name} differs from that of {self.name}: {difference}."

    def _datasets(self, values: Mapping[str, str]) -> Iterator[Data]:
        yield from (
            data for data in self.record.data if values.get(data.parameter) == data.name and data.is_dataset
        )

    def _is_default_path(self, name: str, entry_point: EntryPoint) -> bool:
        had, declared = self.record.parameters[name], entry_point.parameter(name)
        if had.type != "path" or is_elsewhere(had.value) or declared is None or declared.default is None:
            return False
        if had.origin == "default":
            return True
        # What --like took over was once recorded as given: the default, in the folder of who started the run.
        default = Path(declared.default).parts
        end = Path(had.value).parts[-len(default) - 1 :]
        return end in ((folder, *default) for folder in (self.record.project, Path(self.record.source).name))


def find(workspace: Workspace, text: str) -> EarlierRun:
    """The run as a user names it.

    Raises `InvalidInput` where it is not one run, or `trainer` did not make it; `TrackingError`.
    """
    client, run = server.run_of(workspace, resolve.resolve(workspace, text))
    return EarlierRun(run.id, run.name, stored_run.pins_of(client, run))


def find_with_model(workspace: Workspace, text: str) -> tuple[EarlierRun, WarmStart]:
    """As `find`, of a run that has finished, and its model, which another run can train further.

    Raises `InvalidInput` also where it has not finished, or has no such model.
    """
    client, run = server.run_of(workspace, resolve.resolve(workspace, text))
    if run.status != "FINISHED":
        going_on = run.status in ("RUNNING", "SCHEDULED")
        wait = f"Wait for its end: trainer attach {run.id[:8]}"
        raise InvalidInput(
            f"The run {run.name} is {run.status}: only the model of a finished run is trained further.",
            wait if going_on else f"One that was cut off goes on with: trainer resume {run.id[:8]}",
        )
    earlier = EarlierRun(run.id, run.name, stored_run.pins_of(client, run))
    return earlier, WarmStart(run.id, run.name, _model(client, run), run.url)


def _model(client: Client, run: Run) -> str:
    """The artifact with all weights."""
    paths = {artifact.path for artifact in listing.of_run(client, run)}
    if warm_start.TORCH in paths:
        return warm_start.TORCH
    flavors = logged_models.flavors(client, run, warm_start.KERAS)
    if flavors is None:
        raise InvalidInput(
            f"The run {run.name} has no model to train further.",
            f"`trainer show {run.id[:8]}` lists what it has.",
        )
    if not flavors & _KERAS:
        kind = ", ".join(sorted(flavors - {"python_function"})) or "another kind"
        raise InvalidInput(
            f"The model of the run {run.name} is of {kind}: only those of Keras and PyTorch go on.",
            f"Start a new run with its parameters: trainer run --like {run.id[:8]}",
        )
    return warm_start.KERAS
