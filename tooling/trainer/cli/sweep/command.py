"""A command that takes a project with its parameters as options, or the file of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trainer.cli.runs.project.command import ProjectCommand
from trainer.errors import InvalidInput
from trainer.projects.mlproject import EntryPoint, Project

if TYPE_CHECKING:
    from trainer.sweeps.search.spec import SweepSpec

# Where `ctx.meta` has what the file says that stands in the place of the project.
SPEC = "trainer.sweep"
# And the project as it was typed.
TYPED = "trainer.typed"
_OF_QUEUED_RUNS = ("--queue", "--priority", "--after")


class SweepCommand(ProjectCommand):
    """A project as `trainer run` takes it, or a file that names one."""

    seeds_project = False  # --seed is the search's

    def no_such(
        self, project: Project, entry_point: EntryPoint, name: str, own: Sequence[str]
    ) -> InvalidInput:
        """Those of a queued run are none of a sweep's."""
        if name in _OF_QUEUED_RUNS:
            return InvalidInput(
                "A sweep is not queued.",
                f"Leave out {name}: a sweep waits by itself for the cores and GPUs of its trials.",
            )
        return super().no_such(project, entry_point, name, own)

    def _look_for(self, ctx: click.Context, args: list[str]) -> tuple[str | None, ...]:
        name, version, entry_point, like, warm = super()._look_for(ctx, args)
        if name and Path(name).suffix in (".yaml", ".yml"):
            spec = ctx.meta[SPEC] = _read(Path(name))
            name, entry_point = spec.project, entry_point or spec.entry_point
        ctx.meta[TYPED] = name
        return name, version, entry_point, like, warm


def _read(path: Path) -> SweepSpec:
    from trainer.sweeps.search import spec_file

    return spec_file.read(path)
