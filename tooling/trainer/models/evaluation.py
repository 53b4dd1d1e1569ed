"""Champion and challenger on the same samples, which neither has learned from, and the run that keeps it."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from trainer.errors import InvalidInput
from trainer.models import aliases, locate, samples, scores, verdict
from trainer.models.registry import Version
from trainer.models.samples import Samples
from trainer.models.verdict import Comparison
from trainer.tracking import edit
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotThere
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from trainkit.inference.predictor import Predictor

Doing = Callable[[str, int, int], None]
_FILE_STORE, _TRACKING_URI = "MLFLOW_ALLOW_FILE_STORE", "MLFLOW_TRACKING_URI"
_HELD_OUT = ("predictions_test.csv", "predictions_validation.csv")
"""The artifacts of a run that list what it did not learn from."""


@dataclass(frozen=True)
class Entrant:
    """A version and its model."""

    version: Version
    model: Predictor


@dataclass(frozen=True)
class Evaluation:
    """What the two were compared by, and what came out. `remarks` say what is not known of the samples."""

    comparison: Comparison
    samples: Samples
    classes: tuple[str, ...]
    remarks: tuple[str, ...]
    answers: tuple[NDArray[np.float64], NDArray[np.float64]]

    def as_data(self) -> dict[str, object]:
        """The comparison for another program."""
        return {
            **asdict(self.comparison),
            "verdict": self.comparison.verdict.value,
            "dataset": self.samples.name,
            "split": self.samples.split,
            "remarks": self.remarks,
        }


@dataclass(frozen=True)
class Evidence:
    """The run that keeps an evaluation, and why MLflow's validation failed, None where it did not."""

    run_id: str
    failure: str | None


def entrant(workspace: Workspace, version: Version, doing: Doing) -> Entrant:
    """The version with its model, whose ONNX file is brought here. Raises as `locate.locate` does."""
    from trainkit.inference.predictor import Predictor

    found = locate.locate(workspace, f"{version.model}@{version.number}", doing)
    return Entrant(version, Predictor.open(found.path))


def evaluate(
    client: Client,
    champion: Entrant,
    challenger: Entrant,
    dataset: Path,
    metric: str,
    floors: Mapping[str, float],
    doing: Doing,
) -> Evaluation:
    """Compare the two on the samples of the dataset that neither of them has learned from.

    `floors` are the least recall of classes. `doing` is told what is being done, how much of it, and of how
    much. Raises `InvalidInput` for models or a dataset that cannot be compared, `InputError` for a sample
    that cannot be read, `TrackingError`.
    """
    name = _score(champion, challenger, metric, floors)
    chosen = samples.load(dataset, challenger.model.description)
    chosen, remarks = _held_out(client, chosen, (champion, challenger))
    if not len(chosen):
        raise InvalidInput(
            f"{dataset.name} has no samples that neither of the two models has learned from.",
            "Use a dataset with a test split: --on DATASET",
        )

    def asked(entrant: Entrant) -> NDArray[np.float64]:
        text = f"Asking {entrant.version.model}@{entrant.version.number}"
        return chosen.answers(entrant.model, lambda done: doing(text, done, len(chosen)))

    answers = asked(champion), asked(challenger)
    classes = challenger.model.description.classes
    comparison = verdict.compare(name, chosen.truth, *answers, classes=classes, floors=floors)
    return Evaluation(comparison, chosen, classes, remarks, answers)


def _score(
    champion: Entrant, challenger: Entrant, metric: str, floors: Mapping[str, float]
) -> scores.ScoreName:
    before, now = champion.model.description, challenger.model.description
    if (before.classes, before.target) != (now.classes, now.target):
        raise InvalidInput(
            f"{champion.version.model}@{champion.version.number} and @{challenger.version.number} "
            "do not answer the same question: their classes or targets differ.",
            "Promote without --if-better, or to another alias.",
        )
    if unknown := [name for name in floors if name not in now.classes]:
        raise InvalidInput(
            f"--floor names the class {unknown[0]}, which the model does not know.",
            f"It knows {', '.join(now.classes)}." if now.classes else "It has no classes.",
        )
    return scores.named(metric, classes=bool(now.classes))


def _held_out(
    client: Client, chosen: Samples, entrants: Sequence[Entrant]
) -> tuple[Samples, tuple[str, ...]]:
    remarks = []
    for entrant in entrants:
        name = f"{entrant.version.model}@{entrant.version.number}"
        run = client.get_run(entrant.version.run_id)
        if not any(digest.startswith(chosen.digest) for digest in run.inputs.values()):
            remarks.append(f"{name} was trained on another dataset; what both may have is not known.")
            continue
        tables = [table for file in _HELD_OUT if (table := _artifact(client, run, file))]
        if tables:
            chosen = chosen.only({key for table in tables for key in _keys(table)})
        else:
            remarks.append(f"{name} was trained on {chosen.name}; which of it, its run does not say.")
    return chosen, tuple(remarks)


def _keys(table: str) -> Iterator[str]:
    """Paths of images, or numbers of rows: the first column."""
    rows = csv.reader(io.StringIO(table))
    next(rows, None)
    return (row[0] for row in rows if row)


def _artifact(client: Client, run: Run, path: str) -> str | None:
    try:
        return b"".join(client.download(run, path)).decode()
    except NotThere:
        return None


def keep(
    client: Client, evaluation: Evaluation, champion: Version, challenger: Version, least_gain: float
) -> Evidence:
    """Keep the evaluation as a run of the model's own experiment.

    It has the scores of both as MLflow's evaluator defines them, each with its figures, the comparison and
    every answer. `least_gain` is what the score has to gain; MLflow validates that.
    """
    comparison, chosen = evaluation.comparison, evaluation.samples
    experiment = aliases.experiment_id(client, challenger.model)
    tags = {"trainer.verdict": comparison.verdict.value}
    run = client.create_run(experiment, f"{challenger.number} against {champion.number}", tags)
    client.log_parameters(run.id, {
        "model": challenger.model, "champion": str(champion.number), "challenger": str(challenger.number),
        "dataset": chosen.name, "dataset_digest": chosen.digest, "samples": str(len(chosen)),
        "metric": comparison.metric,
    })  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        metrics, failure = _validated(evaluation, place, least_gain)
        _write_answers(evaluation, place / "answers.csv")
        (place / "comparison.json").write_text(json.dumps(evaluation.as_data(), indent=2))
        edit.log_metrics(client, run.id, metrics)
        for path in sorted(place.rglob("*")):
            if path.is_file():
                client.upload(run, path, str(path.relative_to(place)))
    client.end_run(run.id, "FINISHED")
    return Evidence(run.id, failure)


def _validated(evaluation: Evaluation, place: Path, least_gain: float) -> tuple[dict[str, float], str | None]:
    """The metrics of MLflow's evaluator by whose they are, and why its validation fails; files in `place`."""
    import pandas as pd

    truth, has_classes = evaluation.samples.truth, evaluation.answers[0].ndim == 2
    with _own_tracking() as mlflow:
        results = {}
        for who, answers in zip(("champion", "challenger"), evaluation.answers, strict=True):
            said = answers.argmax(axis=1) if has_classes else answers
            with mlflow.start_run():
                results[who] = mlflow.models.evaluate(
                    data=pd.DataFrame({"truth": truth.astype(float), "answer": said.astype(float)}),
                    predictions="answer", targets="truth", evaluators="default",
                    model_type="classifier" if has_classes else "regressor",
                    evaluator_config={"log_explainer": False, "log_model_explainability": False},
                )  # fmt: skip
            results[who].save(str(place / who))
        failure = None
        name = scores.MLFLOW_NAMES.get(evaluation.comparison.metric)
        if least_gain and name:
            threshold = mlflow.models.MetricThreshold(
                min_absolute_change=least_gain,
                greater_is_better=scores.gain(evaluation.comparison.metric, 0, 1) > 0,
            )
            try:
                mlflow.validate_evaluation_results(
                    {name: threshold}, results["challenger"], results["champion"]
                )
            except mlflow.models.evaluation.validation.ModelValidationFailedException as error:
                failure = str(error)
    metrics = {
        f"{who}_{name}": float(v) for who, result in results.items() for name, v in result.metrics.items()
    }
    return metrics, failure


@contextmanager
def _own_tracking() -> Iterator[ModuleType]:
    """Within: MLflow in this process, tracking to a folder that is gone afterwards, and saying nothing."""
    import mlflow

    before = mlflow.get_tracking_uri()
    logger = logging.getLogger("mlflow")
    level = logger.level
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        variables = {name: os.environ.get(name) for name in (_FILE_STORE, _TRACKING_URI)}
        os.environ[_FILE_STORE] = "true"
        mlflow.set_tracking_uri(f"file://{folder}/runs")
        logger.setLevel(logging.ERROR)
        try:
            yield mlflow
        finally:
            logger.setLevel(level)
            mlflow.set_tracking_uri(before)  # which sets the variable, too
            for name, value in variables.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def _write_answers(evaluation: Evaluation, path: Path) -> None:
    """A line for each sample: what it is, the truth, and what each of the two answered."""
    chosen, classes = evaluation.samples, evaluation.classes

    def shown(answer: NDArray[np.float64]) -> list[object]:
        if not classes:
            return [float(answer)]
        return [classes[int(answer.argmax())], round(float(answer.max()), 6)]

    heading = [
        f"{who}{part}"
        for who in ("champion", "challenger")
        for part in (["", "_probability"] if classes else [""])
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["sample", "truth", *heading])
        for key, truth, *answers in zip(chosen.keys, chosen.truth, *evaluation.answers, strict=True):
            said = [cell for answer in answers for cell in shown(answer)]
            writer.writerow([key, classes[int(truth)] if classes else float(truth), *said])
