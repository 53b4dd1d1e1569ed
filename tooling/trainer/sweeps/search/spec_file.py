"""A sweep as a file, `sweep.yaml`: what its command line says, with the same words.

project: sklearn
search:
  max_depth: int:2,12
  estimator: [random_forest, hist_gradient_boosting]
metrics:
  accuracy: maximize
trials: 40
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import TypeVar, get_args

import yaml

from trainer import atomic_files, yaml_file
from trainer.errors import InvalidInput
from trainer.projects.parameters import nearest
from trainer.sweeps.search import durations, objectives, space
from trainer.sweeps.search.objectives import GOALS
from trainer.sweeps.search.spec import Pruner, RunOptions, Sampler, SweepSpec

T = TypeVar("T")
_FLAGS = ("yes", "no")
_OPTIONS = tuple(field.name for field in fields(RunOptions))
_KEYS = (
    "project", "entry_point", "parameters", "search", "metrics", "constraints", "trials", "parallel",
    "sampler", "pruner", "seed", "timeout", "repeat", "try", "stop_after", "run_name", *_OPTIONS,
)  # fmt: skip


def write(path: Path, spec: SweepSpec) -> None:
    """Write it; what is as by default is left out."""
    atomic_files.write(path, text(spec).encode())


def text(spec: SweepSpec) -> str:
    """The file's content."""
    defaults = SweepSpec("", (), ())
    values: dict[str, object] = {
        "project": spec.project,
        "entry_point": spec.entry_point,
        "parameters": _plain(spec.parameters),
        "search": {dimension.name: dimension.text for dimension in spec.dimensions},
        "metrics": {objective.metric: objective.goal for objective in spec.objectives},
        "constraints": [constraint.text for constraint in spec.constraints],
        "trials": spec.trials,
        "parallel": spec.parallel,
        "sampler": spec.sampler,
        "pruner": spec.pruner,
        "seed": spec.seed,
        "timeout": spec.timeout_s and yaml_file.plain(f"{spec.timeout_s:.15g}"),
        "repeat": spec.repeat,
        "try": [_plain(values) for values in spec.tries],
        "stop_after": spec.stop_after,
        "run_name": spec.run_name,
        **asdict(spec.options),
    }
    usual: dict[str, object] = {
        "entry_point": defaults.entry_point, "sampler": defaults.sampler, "pruner": defaults.pruner,
        "parallel": defaults.parallel, "seed": defaults.seed, "repeat": defaults.repeat,
    }  # fmt: skip
    said = {key: value for key, value in values.items() if value not in (None, {}, [])}
    kept = {key: value for key, value in said.items() if usual.get(key) != value}
    return yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)


def _plain(values: Mapping[str, str]) -> dict[str, str | int | float]:
    return {name: yaml_file.plain(value) for name, value in values.items()}


def read(path: Path) -> SweepSpec:
    """The sweep. Raises `InvalidInput` for what is none, naming the file."""
    document = yaml_file.read(path, words=True)
    if not isinstance(document, dict):
        raise InvalidInput(f"{path} has no keys.", "To write one: trainer sweep PROJECT --save FILE")
    for key in document:
        if key not in _KEYS:
            raise InvalidInput(f"{path} has the unknown key {key}.", nearest(str(key), _KEYS, "The keys are"))
    file = _File(path, document)
    metrics = file.texts("metrics")
    for metric, goal in metrics.items():
        if goal not in GOALS:
            raise InvalidInput(
                f"{path}: the metric {metric} has no direction {goal}.",
                nearest(goal, GOALS, "The directions are"),
            )
    return SweepSpec(
        project=file.required("project"),
        dimensions=space.parse([f"{name}={said}" for name, said in file.texts("search").items()]),
        objectives=objectives.objectives([f"{name}:{goal}" for name, goal in metrics.items()], None),
        trials=file.count("trials"),
        entry_point=file.text("entry_point") or "main",
        parameters=file.texts("parameters"),
        constraints=tuple(map(objectives.constraint, file.list("constraints"))),
        parallel=file.count("parallel") or 1,
        sampler=file.one_of("sampler", "tpe", get_args(Sampler)),
        pruner=file.one_of("pruner", "none", get_args(Pruner)),
        seed=file.count("seed", least=0) or 0,
        timeout_s=file.seconds("timeout"),
        repeat=file.count("repeat") or 1,
        tries=file.mappings("try"),
        stop_after=file.count("stop_after"),
        run_name=file.text("run_name"),
        options=RunOptions(
            backend=file.text("backend"),
            image=file.text("image"),
            gpus=file.text("gpus"),
            cpus=file.count("cpus"),
            memory=file.text("memory"),
            warm=file.flag("warm"),
            experiment=file.text("experiment"),
            tags=file.texts("tags"),
        ),
    )


class _File:
    """What a file says, by its keys."""

    def __init__(self, path: Path, document: Mapping[str, object]) -> None:
        self._path = path
        self._document = document

    def text(self, key: str) -> str | None:
        value = self._document.get(key)
        return None if value is None else self._scalar(key, value)

    def flag(self, key: str) -> bool | None:
        value = self._document.get(key)
        if value is None or isinstance(value, bool):
            return value
        if value in _FLAGS:
            return value == "yes"
        raise self._refusal(key, "yes or no", "true")

    def required(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise InvalidInput(f"{self._path} names no {key}.", f"Add the line: {key}: NAME")
        return value

    def texts(self, key: str) -> dict[str, str]:
        value = self._document.get(key) or {}
        if not isinstance(value, dict):
            raise self._refusal(key, "names with their values", "name: value")
        joined = {name: self._joined(key, each) for name, each in value.items()}
        return {yaml_file.name(self._path, key, name): each for name, each in joined.items()}

    def list(self, key: str) -> list[str]:
        value = self._document.get(key) or []
        return [self._scalar(key, each) for each in (value if isinstance(value, list) else [value])]

    def mappings(self, key: str) -> tuple[dict[str, str], ...]:
        value = self._document.get(key) or []
        found = []
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict):
                raise self._refusal(key, "configurations", "- {name: value}")
            found.append({str(name): self._scalar(key, item) for name, item in each.items()})
        return tuple(found)

    def count(self, key: str, least: int = 1) -> int | None:
        value = self._document.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise self._refusal(key, f"a whole number from {least}", str(max(least, 4)))
        return value

    def seconds(self, key: str) -> float | None:
        if (text := self.text(key)) is None:
            return None
        if (found := durations.seconds(text)) is None:
            raise self._refusal(key, "a time", "8h")
        return found

    def one_of(self, key: str, usual: T, known: tuple[T, ...]) -> T:
        value = self.text(key)
        for each in known:
            if value == each:
                return each
        if value is None:
            return usual
        raise InvalidInput(
            f"{self._path}: there is no {key} {value}.",
            nearest(value, [str(each) for each in known], "There are"),
        )

    def _joined(self, key: str, value: object) -> str:
        if isinstance(value, list):
            return ",".join(self._scalar(key, each) for each in value)
        return self._scalar(key, value)

    def _scalar(self, key: str, value: object) -> str:
        if (text := yaml_file.scalar(value)) is not None:
            return text
        raise self._refusal(key, "text or a number", "value")

    def _refusal(self, key: str, what: str, example: str) -> InvalidInput:
        return InvalidInput(f"{self._path}: {key} has to be {what}.", f"Such as {key}: {example}")
