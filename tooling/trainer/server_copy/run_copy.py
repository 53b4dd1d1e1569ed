"""A run is filled with what it has not yet, compared with its original, and only then ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from trainer.counted import counted
from trainer.errors import TrackingError
from trainer.server_copy import content, files, reading
from trainer.server_copy.content import Content
from trainer.server_copy.files import ArtifactHolder, RunArtifacts
from trainer.server_copy.plan import Plan, PlannedRun
from trainer.server_copy.reading import API, Point, Record
from trainer.server_copy.report import Report, refused
from trainer.tracking.client import Client

_MOST = {"metrics": 1000, "params": 100, "tags": 100}  # the API's limits for one call
# By kind and name, why something was refused.
Problems = dict[tuple[str, object], TrackingError]


def where(record: Record) -> str:
    """What a run is called in what is told."""
    return f"run {record.run.name or record.run.id} ({record.run.id})"


def complete(
    planned: Plan, original: PlannedRun, copied: Record, ids: Mapping[str, str], folder: Path, report: Report
) -> None:
    """Bring what the copy has not. A copy that has ended on its server was complete before: its artifacts are
    compared by their sizes, and its tags are left as they are there."""
    origin, target, record = planned.origin, planned.target, original.record
    run_name = where(record)
    if original.unlisted:
        report.tell(run_name, "its artifacts", original.unlisted)
    expected = _expected(origin, original, ids)
    holder = RunArtifacts(target, copied.run)
    current = content.of(target, copied, holder.listed())
    before = remaining = expected.without(current)
    problems: Problems = {}
    if not copied.deleted:
        missing = _to_send(expected, current, copied)
        problems = _send(target, copied.run.id, missing)
        problems |= transfer(target, RunArtifacts(origin, record.run), holder, missing.files, folder)
        if any(missing.counts.values()):
            current = content.of(target, reading.run(target, copied.run.id), holder.listed())
            remaining = expected.without(current)
        report.made.update({kind: number - remaining.counts[kind] for kind, number in before.counts.items()})
    unsure = {str(name) for kind, name in problems if kind == "artifacts"}
    remaining = replace(
        remaining, files={**remaining.files, **{path: expected.files[path] for path in unsure}}
    )
    _compare(run_name, expected, remaining, current, problems, report)
    # What is there and differs is looked at again by the next call.
    if record.ended and not (copied.ended or copied.deleted or unsure & current.files.keys()):
        _end(target, copied.run.id, record)
    if record.deleted and not copied.deleted:
        target.send("POST", f"{API}/runs/delete", {"run_id": copied.run.id})
    if copied.deleted and not record.deleted:
        restore = f"mlflow runs restore --run-id {copied.run.id}"
        report.remarks.append(f"{run_name}: its copy was deleted, and stays so. To restore it: {restore}")
    report.equal["runs"] += 1


def _expected(origin: Client, original: PlannedRun, ids: Mapping[str, str]) -> Content:
    sizes = {file.path: file.size or 0 for file in original.files}
    original_content = content.of(origin, original.record, sizes)
    tags = {key: content.translated(value, ids) for key, value in original_content.tags.items()}
    known_links = [link for link in original_content.models if link.model_id.removeprefix("m-") in ids]
    links = [replace(link, model_id=content.translated(link.model_id, ids)) for link in known_links]
    return replace(original_content, tags=tags, models=frozenset(links))


def _to_send(expected: Content, current: Content, copied: Record) -> Content:
    missing = expected.without(current)
    kept_tags = current.tags if copied.ended else {}
    return replace(
        missing,
        params={key: value for key, value in missing.params.items() if key not in current.params},
        tags={key: value for key, value in missing.tags.items() if key not in kept_tags},
        files=missing.files if copied.ended else expected.files,
    )


def _send(target: Client, run_id: str, missing: Content) -> Problems:
    kinds: dict[str, list[tuple[object, dict[str, object]]]] = {
        "metrics": [(point, _metric(point)) for point in sorted(missing.points)],
        "params": [(key, {"key": key, "value": value}) for key, value in missing.params.items()],
        "tags": [(key, {"key": key, "value": value}) for key, value in missing.tags.items()],
    }
    problems: Problems = {}
    for kind, items in kinds.items():
        most = _MOST[kind]
        for start in range(0, len(items), most):
            problems |= _in_parts(target, run_id, kind, items[start : start + most])
    for form, dataset in missing.datasets.items():
        body = {"run_id": run_id, "datasets": [dataset]}
        error = refused(target, partial(target.send, "POST", f"{API}/runs/log-inputs", body))
        if error:
            problems["datasets", form] = error
    for link in sorted(missing.models):
        path, step_field = ("outputs", {"step": link.step}) if link.made else ("log-inputs", {})
        payload = {"run_id": run_id, "models": [{"model_id": link.model_id, **step_field}]}
        error = refused(target, partial(target.send, "POST", f"{API}/runs/{path}", payload))
        if error:
            problems["models", link] = error
    return problems


def _in_parts(
    target: Client, run_id: str, kind: str, items: Sequence[tuple[object, dict[str, object]]]
) -> Problems:
    """A call is refused as a whole: what of it is, is found by halves."""
    body = {"run_id": run_id, kind: [item for _, item in items]}
    error = refused(target, partial(target.send, "POST", f"{API}/runs/log-batch", body))
    if error is None:
        return {}
    if len(items) == 1:
        return {(kind, items[0][0]): error}
    half = len(items) // 2
    return _in_parts(target, run_id, kind, items[:half]) | _in_parts(target, run_id, kind, items[half:])


def transfer(
    client: Client, origin: ArtifactHolder, target: ArtifactHolder, paths: Iterable[str], folder: Path
) -> Problems:
    """Bring artifacts to a server."""
    problems: Problems = {}
    for path in sorted(paths):
        error = refused(client, partial(files.copy, origin, target, path, folder))
        if error:
            problems["artifacts", path] = error
    return problems


def _metric(point: Point) -> dict[str, object]:
    # JSON has no NaN: the API takes the word.
    value: object = "NaN" if point.value == "NaN" else float(point.value)
    return {"key": point.key, "value": value, "timestamp": point.timestamp, "step": point.step}


def _compare(
    run_name: str, expected: Content, remaining: Content, current: Content, problems: Problems, report: Report
) -> None:
    counts = remaining.counts
    for kind, number in expected.counts.items():
        report.compared(kind, number, number - counts[kind])
    for what, kind, missing, present in (
        ("parameter", "params", remaining.params, current.params),
        ("tag", "tags", remaining.tags, current.tags),
        ("artifact", "artifacts", remaining.files, current.files),
    ):
        for name in missing:
            other = "it is another one there" if name in present else "it is not there"
            report.tell(run_name, f"{what} {name}", problems.get((kind, name), other))
    for link in sorted(remaining.models):
        reason_for_link = problems.get(("models", link), "it is not there")
        report.tell(run_name, f"its link to the logged model {link.model_id}", reason_for_link)
    values: dict[tuple[str, str], int] = {}
    for point in sorted(remaining.points):
        error = problems.get(("metrics", point))
        reason = (point.key, error.message if error else "not there")
        values[reason] = values.get(reason, 0) + 1
    for (key, why), number in values.items():
        report.tell(run_name, f"{counted(number, 'value')} of the metric {key}", why)
    for form, dataset in remaining.datasets.items():
        other = "it is not there, or another one of that name is"
        report.tell(
            run_name, f"dataset {dataset['dataset']['name']}", problems.get(("datasets", form), other)
        )


def _end(target: Client, run_id: str, record: Record) -> None:
    body: dict[str, object] = {"run_id": run_id, "status": record.status}
    if record.ended_ms:
        body["end_time"] = record.ended_ms
    target.send("POST", f"{API}/runs/update", body)
