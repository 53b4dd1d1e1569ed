"""What the options of `trainer sweep` say, and a file that stands in the place of the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar, cast

import click

from trainer.cli.sweep.command import SPEC
from trainer.errors import InvalidInput
from trainer.sweeps.search import durations, objectives, space
from trainer.sweeps.search.objectives import Goal
from trainer.sweeps.search.spec import RunOptions, SweepSpec

T = TypeVar("T")
_TRIALS = 20


def seconds(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """Callback of --timeout."""
    if text is None:
        return None
    found = durations.seconds(text)
    if found is None:
        raise InvalidInput(f"--timeout {text} is no time.", f"Write it so: {durations.EXAMPLES}.")
    return found


def configurations(
    _: click.Context, __: click.Parameter, said: tuple[str, ...]
) -> tuple[dict[str, str], ...]:
    """Callback of --try."""
    found = []
    for text in said:
        pairs = [item.partition("=") for item in text.split(",")]
        if not all(equals and name.strip() for name, equals, _value in pairs):
            raise InvalidInput(
                f"--try {text!r} is no configuration.", "Write it so: --try depth=4,optimizer=adam"
            )
        found.append({name.strip(): value.strip() for name, _equals, value in pairs})
    return tuple(found)


def spec(
    ctx: click.Context, project: str, values: Mapping[str, str], options: Mapping[str, object]
) -> SweepSpec:
    """The sweep: what the file says, and instead of it what the command line does. Raises `InvalidInput`."""
    file: SweepSpec | None = ctx.meta.get(SPEC)
    base = file or SweepSpec(project, (), ())
    searched = space.parse(cast(tuple[str, ...], options["searched"]))
    found = replace(
        base,
        entry_point=_said(options, "entry_point", base.entry_point),
        parameters={**base.parameters, **values},
        dimensions=searched or base.dimensions,
        objectives=objectives.objectives(
            cast(tuple[str, ...], options["metrics"]), cast("Goal | None", options["goal"])
        )
        or base.objectives,
        constraints=tuple(map(objectives.constraint, cast(tuple[str, ...], options["constraints"])))
        or base.constraints,
        trials=_said(options, "trials", base.trials),
        parallel=_said(options, "parallel", base.parallel),
        sampler=_said(options, "sampler", base.sampler),
        pruner=_said(options, "pruner", base.pruner),
        seed=_said(options, "seed", base.seed),
        timeout_s=_said(options, "timeout", base.timeout_s),
        repeat=_said(options, "repeat", base.repeat),
        tries=cast(tuple[dict[str, str], ...], options["tries"]) or base.tries,
        stop_after=_said(options, "stop_after", base.stop_after),
        run_name=_said(options, "run_name", base.run_name),
        options=_run_options(base.options, options),
    )
    ends = (found.trials, found.timeout_s, found.stop_after)
    if found.sampler != "grid" and all(end is None for end in ends):
        return replace(found, trials=_TRIALS)
    return found


def _run_options(base: RunOptions, options: Mapping[str, object]) -> RunOptions:
    return RunOptions(
        backend=_said(options, "backend", base.backend),
        image=_said(options, "image", base.image),
        gpus=_said(options, "gpus", base.gpus),
        cpus=_said(options, "cpus", base.cpus),
        memory=_said(options, "memory", base.memory),
        warm=_said(options, "warm", base.warm),
        experiment=_said(options, "experiment", base.experiment),
        tags={**base.tags, **cast(dict[str, str], options["tags"])},
    )


def _said(options: Mapping[str, object], name: str, otherwise: T) -> T:
    value = options[name]
    return otherwise if value is None else cast(T, value)
