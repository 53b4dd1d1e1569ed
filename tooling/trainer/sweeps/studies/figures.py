"""What a sweep looks like: pictures of its search, drawn by Optuna and made readable at 1000 pixels."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from trainer.sweeps.search.domains import Choices, Domain
from trainer.sweeps.studies import samplers
from trainer.sweeps.studies.study import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna.trial import FrozenTrial

_SIZE, _DPI = (10, 5), 100
_LEAST_TRIALS = 4
_SLICES_IN_A_PICTURE = 3
_CHARACTERS_BELOW_A_SLICE = 20
_AXES_OF_A_FRONT = (2, 3)
_GRID = "#dddddd"
_LABELS = {
    "Best Value": "best so far",
    "Best Trial": "the best trials",
    "Trial": "other trials",
    "Feasible Trial": "other trials",
    "Infeasible Trial": "trials that break a constraint",
}
"""Optuna's, in plain words."""


class _Picture(NamedTuple):
    name: str
    title: str


def draw(study: Study, folder: Path) -> list[Path]:
    """The pictures that there are complete trials for, as PNG files in the folder, which has to exist."""
    import matplotlib
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    paths = []
    # Optuna sets a style for the whole process. How a colour bar is placed is decided when it is made.
    with samplers.quiet(), matplotlib.rc_context({"figure.constrained_layout.use": True}):
        for picture in _pictures(study):
            figure = pyplot.gcf()
            paths.append(folder / f"{picture.name}.png")
            try:
                _finish(figure, picture)
                figure.savefig(paths[-1], dpi=_DPI)
            finally:
                pyplot.close(figure)
    return paths


def importances(study: Study, objective: int = 0) -> Mapping[str, float]:
    """How much each parameter had to do with an objective, the most important one first; 1 in all.

    Empty where the trials do not tell: fewer than four that are complete, or all of the same result.
    """
    from optuna import importance

    results = _results(study, objective)
    if len(results) < _LEAST_TRIALS or len(set(results)) == 1:
        return {}
    evaluator = importance.PedAnovaImportanceEvaluator()
    with samplers.quiet():
        found = importance.get_param_importances(study.inner, evaluator=evaluator, target=_result(objective))
    return found if any(found.values()) else {}


def _pictures(study: Study) -> Iterator[_Picture]:
    """Each is pyplot's current figure until the next is asked for."""
    metrics = [objective.metric for objective in study.spec.objectives]
    told = [number for number in range(len(metrics)) if _results(study, number)]
    if told and len(metrics) in _AXES_OF_A_FRONT:
        yield _front(study, metrics)
    for number in told:
        yield _history(study, number)
    for number in told:
        if importances(study, number):
            yield _importances(study, number)
    for number in told:
        yield from _slices(study, number)


def _front(study: Study, metrics: list[str]) -> _Picture:
    from optuna.visualization import matplotlib as plots

    plots.plot_pareto_front(study.inner, target_names=metrics)
    return _Picture(
        "pareto_front",
        "The best trials: none is better in one metric and as good in the others",
    )


def _history(study: Study, objective: int) -> _Picture:
    from matplotlib.ticker import MaxNLocator
    from optuna.visualization import matplotlib as plots

    metric = study.spec.objectives[objective].metric
    several = len(study.spec.objectives) > 1
    # Optuna draws the best so far of a study's one objective alone.
    target = _result(objective) if several else None
    axes = plots.plot_optimization_history(study.inner, target=target, target_name=metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    title = f"{metric} of each trial" + _greyed(study)
    return _Picture(_name("optimization_history", study, objective), title)


def _importances(study: Study, objective: int) -> _Picture:
    from optuna.importance import PedAnovaImportanceEvaluator
    from optuna.visualization import matplotlib as plots

    metric = study.spec.objectives[objective].metric
    axes = plots.plot_param_importances(
        study.inner, PedAnovaImportanceEvaluator(), target=_result(objective), target_name=metric
    )
    axes.set_title("", loc="left")
    axes.set_xlabel("Share of the differences")
    axes.set_ylabel("")
    axes.set_xlim(0, axes.get_xlim()[1] * 1.05)
    axes.legend([]).remove()
    return _Picture(
        _name("parameter_importances", study, objective),
        f"How much each parameter matters to {metric}",
    )


def _slices(study: Study, objective: int) -> Iterator[_Picture]:
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as plots

    metric = study.spec.objectives[objective].metric
    known = {name for trial in study.trials if trial.results for name in trial.values}
    names = [item.name for item in study.spec.dimensions if item.name in known]
    domains = {item.name: item.domain for item in study.spec.dimensions}
    for part in itertools.count():
        chosen = names[part * _SLICES_IN_A_PICTURE :][:_SLICES_IN_A_PICTURE]
        if not chosen:
            return
        plots.plot_slice(study.inner, params=chosen, target=_result(objective), target_name=metric)
        for axes in pyplot.gcf().axes:
            if axes.get_xlabel() in domains:
                _readable_ticks(axes, domains[axes.get_xlabel()])
        name = _name("slices", study, objective) + (f"_{part + 1}" if part else "")
        yield _Picture(name, f"{metric} by each parameter; the darker, the later the trial{_greyed(study)}")


def _greyed(study: Study) -> str:
    broken = any(not trial.is_feasible for trial in study.trials if trial.results)
    return "; grey ones break a constraint" if broken else ""


def _readable_ticks(axes: Axes, domain: Domain) -> None:
    from matplotlib import ticker

    if isinstance(domain, Choices):
        labels = [label.get_text().strip("'") for label in axes.get_xticklabels()]
        long = sum(map(len, labels)) > _CHARACTERS_BELOW_A_SLICE
        axes.set_xticks(
            axes.get_xticks(), labels, rotation=30 if long else 0, ha="right" if long else "center"
        )
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif domain.log:
        low, high = axes.get_xlim()
        axes.xaxis.set_major_locator(
            ticker.LogLocator(subs=(1,) if high > 100 * low else (1, 2, 5), numticks=5)
        )
        axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    else:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4, integer=domain.whole, min_n_ticks=1))


def _finish(figure: Figure, picture: _Picture) -> None:
    figure.set_size_inches(_SIZE)
    figure.set_layout_engine("constrained", h_pad=0.1, w_pad=0.1)
    figure.set_facecolor("white")
    for axes in figure.axes:
        axes.set_title("")
        axes.set_facecolor("white")
        axes.grid(visible=bool(axes.get_xlabel()), color=_GRID)
        for line in axes.lines:
            line.set_drawstyle("steps-post")
        if legend := axes.get_legend():
            handles, labels = axes.get_legend_handles_labels()
            legend.remove()
            if len(labels) > 1:
                plain = [_LABELS.get(label, label) for label in labels]
                figure.legend(handles, plain, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(picture.title, fontsize=13)


def _result(objective: int) -> Callable[[FrozenTrial], float]:
    def result(trial: FrozenTrial) -> float:
        return float(trial.values[objective])

    return result


def _results(study: Study, objective: int) -> list[float]:
    found = (trial.results[objective] for trial in study.trials if trial.results)
    return [result for result in found if math.isfinite(result)]


def _name(kind: str, study: Study, objective: int) -> str:
    if len(study.spec.objectives) == 1:
        return kind
    metric = re.sub(r"[^\w.-]+", "_", study.spec.objectives[objective].metric)
    return f"{kind}_{metric}"
