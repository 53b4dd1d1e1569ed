"""The plan of a run as `--dry-run` prints it: what differs from the defaults, then the rest, in few lines."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

import click

from trainer.backends import registry
from trainer.cli import output
from trainer.plan import request, seeding
from trainer.plan.run_plan import RunPlan


def show(plan: RunPlan, unchecked: str | None, *, as_json: bool) -> None:
    """Print it. `unchecked` says why not all could be checked that a run is refused for."""
    for remark in plan.remarks:
        click.echo(remark, err=True)
    if as_json:
        output.as_json({**plan.as_json(), "unchecked": unchecked})
        return
    rows = [*_rows(plan), ("not checked", unchecked or "")]
    output.table(("What", "Planned"), [(name, text) for name, text in rows if text])


def _rows(plan: RunPlan) -> Iterator[tuple[str, str]]:
    code, inputs, resources = plan.code, plan.inputs, plan.resources
    entry_point = "" if code.entry_point == "main" else f", entry point {code.entry_point}"
    changed = {
        name: text for name, value in inputs.parameters.items() if (text := _change(plan, name, value))
    }
    declared = {parameter.name: parameter.default for parameter in code.declared.parameters}
    others = {
        name: declared.get(name) or value for name, value in inputs.parameters.items() if name not in changed
    }
    variables = {
        name: value
        for name, value in plan.environment.variables.items()
        if request.SAME_IN_ALL_RUNS.get(name) != value
    }
    mounts = [f"{m.source} → {m.target}{' (read-only)' if m.read_only else ''}" for m in inputs.mounts]
    limits = {
        "gpus": resources.gpus,
        "cpus": None if resources.cpus is None else str(resources.cpus),
        "memory": resources.memory,
        "shared_memory": resources.shared_memory,
        "pids": str(resources.pids_limit),
    }
    yield "project", f"{code.project} ({code.source}){entry_point}"
    yield "changed", "\n".join([*changed.values(), *_options(plan)])
    yield "by default", _pairs(others)
    yield "asks to", "\n".join(plan.asked.wants)
    yield "image", plan.image.tag
    yield "command", shlex.join(plan.command)
    yield "mounts", "\n".join(mounts)
    yield "variables", _pairs(variables)
    yield "secrets", "  ".join(plan.environment.secret_names)
    yield "limits", _pairs({name: value for name, value in limits.items() if value is not None})


def _change(plan: RunPlan, name: str, value: str) -> str | None:
    """What is said of a parameter whose value is not the default; None if it is."""
    origin = plan.inputs.origins.get(name, "default")
    declared = plan.code.declared.parameter(name)
    default = declared.default if declared else None
    if origin == "default" or value == default:
        return None
    instead = "" if default is None else f", not {shlex.quote(default)}"
    return f"{name}={shlex.quote(value)}{instead}{' (trainer.yaml)' if origin == 'settings' else ''}"


def _options(plan: RunPlan) -> Iterator[str]:
    """Those of `trainer run` that were chosen, here or in trainer.yaml."""
    tracking, environment, resources = plan.tracking, plan.environment, plan.resources
    usual = {
        "backend": registry.DEFAULT,
        "experiment": plan.code.project,
        "gpus": "all" if plan.image.wants_gpus else "none",
    }
    chosen = {"backend": plan.backend, "experiment": tracking.experiment, "gpus": resources.gpus}
    yield from (f"--{name} {shlex.quote(value)}" for name, value in chosen.items() if value != usual[name])
    if warm := plan.inputs.warm_start:
        yield f"--warm-start {warm.run_id[:8]} ({warm.name}: {warm.model})"
    if tracking.run_name:
        yield f"--run-name {shlex.quote(tracking.run_name)}"
    yield from (f"--tag {shlex.quote(f'{key}={value}')}" for key, value in tracking.tags.items())
    if resources.cpus:
        yield f"--cpus {resources.cpus}"
    if resources.memory:
        yield f"--memory {resources.memory}"
    if environment.seed is not None and seeding.PARAMETER not in plan.inputs.parameters:
        yield f"--seed {environment.seed}"
    flags = {
        "--read-only": resources.read_only,
        "--deterministic": environment.deterministic,
        "--keep-files": tracking.keep_files,
    }
    yield from (flag for flag, is_set in flags.items() if is_set)


def _pairs(pairs: Mapping[str, str]) -> str:
    return "  ".join(f"{name}={shlex.quote(value)}" for name, value in pairs.items())
