"""What the tests of a study search, and how its trials end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from trainer.sweeps.search import space
from trainer.sweeps.search.objectives import Constraint, Objective
from trainer.sweeps.search.spec import SweepSpec
from trainer.sweeps.studies.study import Study
from trainer.sweeps.studies.trials import Asked

LOSS = Objective("loss", "minimize")
SIZE = Objective("model_mb", "minimize")
SMALL = Constraint("model_mb", "<=", 5)
SEARCH = (
    "lr=loguniform:1e-5,1e-1",
    "depth=int:2,8",
    "width=logint:16,256",
    "dropout=uniform:0,0.5,0.1",
    "optimizer=adam,sgd",
    "momentum=uniform:0,0.9 if optimizer=sgd",
)
GRID = ("depth=int:1,3", "optimizer=adam,sgd", "momentum=uniform:0,0.9,0.3 if optimizer=sgd")


def searched(*said: str, **fields: Any) -> SweepSpec:
    return SweepSpec(
        **{"project": "digits", "dimensions": space.parse(said or SEARCH), "objectives": (LOSS,)} | fields
    )


def loss(values: Mapping[str, str]) -> float:
    return (math.log10(float(values.get("lr", 1e-3))) + 3) ** 2 + float(values["depth"]) / 10


def size(values: Mapping[str, str]) -> float:
    return float(values["depth"])


def end(study: Study, asked: Asked) -> None:
    """As the run of these values would."""
    results = [{LOSS: loss, SIZE: size}[objective](asked.values) for objective in study.spec.objectives]
    study.ended(asked.number, results, [size(asked.values) - 5 for _ in study.spec.constraints])


def search(study: Study, trials: int) -> list[dict[str, str]]:
    """What was asked, one after the other."""
    found = []
    for _ in range(trials):
        asked = study.ask()
        end(study, asked)
        found.append(dict(asked.values))
    return found
