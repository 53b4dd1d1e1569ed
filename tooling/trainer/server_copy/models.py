"""Registered models, their versions with the same numbers, and their aliases."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import cast

from trainer.errors import TrackingError
from trainer.server_copy import content, reading, registry
from trainer.server_copy.plan import Plan
from trainer.server_copy.reading import API, Record
from trainer.server_copy.registry import Model, Version
from trainer.server_copy.report import Bar, Report
from trainer.tracking import run_tags


def copy(
    planned: Plan, copies: Mapping[str, Record], ids: Mapping[str, str], report: Report, bar: Bar
) -> None:
    """Copy the registered models. `copies` are the runs by their originals; `ids` are of all copies."""
    originals = {planned_run.record.run.id: planned_run.record for planned_run in planned.runs}
    existing = {model.name: model for model in registry.of(planned.target)}
    for number, model in enumerate(planned.models):
        bar("Copying registered models", number, len(planned.models))
        copying = _Copying(planned, originals, copies, ids, report)
        call = partial(copying.model, model, existing.get(model.name))
        report.attempt(planned.target, f"registered model {model.name}", "the model", call)


class _Copying:
    def __init__(
        self,
        planned: Plan,
        originals: Mapping[str, Record],
        copies: Mapping[str, Record],
        ids: Mapping[str, str],
        report: Report,
    ) -> None:
        self._origin, self._target = planned.origin.server.uri, planned.target
        self._originals, self._copies, self._report = originals, copies, report
        self._ids = ids

    def model(self, model: Model, existing: Model | None) -> None:
        if existing is None:
            body = {
                "name": model.name,
                "description": model.description,
                "tags": _tags(model.tags, self._ids),
            }
            self._post("registered-models/create", body)
            self._report.made["registered models"] += 1
        else:
            for key, value in model.tags.items():
                if key not in existing.tags:
                    self._post("registered-models/set-tag", {"name": model.name, "key": key, "value": value})
        present = list(existing.versions) if existing else []
        numbers: dict[int, int] = {}
        for version in model.versions:
            call = partial(self._version, version, present, numbers)
            self._report.attempt(self._target, f"registered model {model.name}",
                                 f"version {version.number}", call)  # fmt: skip
        self._report.compared("registered models", 1, 1)
        self._report.compared("model versions", len(model.versions), len(numbers))
        self._aliases(model, existing.aliases if existing else {}, numbers)

    def _version(self, version: Version, present: list[Version], numbers: dict[int, int]) -> None:
        """Write down the number of the version's copy, which is made if it is not there."""
        for candidate in present:
            if self._is_copy(candidate, version):
                if candidate.number >= version.number:
                    numbers[version.number] = candidate.number
                    return
                self._delete(candidate)
        payload = self._payload(version)
        while True:
            created = reading.said(self._target, "POST", "model-versions/create", payload)["model_version"]
            number = int(cast(Mapping[str, str], created)["version"])
            if number >= version.number:
                break
            # Of a version that was deleted, the number is not given again.
            self._delete(Version(version.model, number, "", "", "", "", "", {}))
        self._report.made["model versions"] += 1
        numbers[version.number] = number
        if number != version.number:
            self._report_omission(version, f"it is version {number} there: there was one of that number")
        if version.stage:
            body = {"name": version.model, "version": str(number), "stage": version.stage,
                    "archive_existing_versions": False}  # fmt: skip
            self._post("model-versions/transition-stage", body)

    def _payload(self, version: Version) -> dict[str, object]:
        original, copied = self._originals.get(version.run_id), self._copies.get(version.run_id)
        if version.run_id and (original is None or copied is None):
            raise TrackingError(f"its run {version.run_id} is not copied.", "Copy its experiment, too.")
        source, model_id = version.source, version.model_id
        if model_id and model_id.removeprefix("m-") not in self._ids:
            raise TrackingError(f"its logged model {model_id} is not copied.", "Copy to MLflow 3.")
        if original and copied:
            root = original.run.artifact_uri.rstrip("/")
            if source.startswith(f"{root}/"):
                source = copied.run.artifact_uri.rstrip("/") + source.removeprefix(root)
        source = content.translated(source, self._ids)
        return {
            "name": version.model, "source": source, "run_id": copied.run.id if copied else "",
            "description": version.description,
            **({"model_id": content.translated(model_id, self._ids)} if model_id else {}),
            "tags": [
                *_tags(version.tags, self._ids),
                {"key": run_tags.COPIED_FROM, "value": self._mark(version)},
            ],
        }  # fmt: skip

    def _mark(self, version: Version) -> str:
        return f"{self._origin}/{version.model}/{version.number}"

    def _is_copy(self, candidate: Version, version: Version) -> bool:
        mark = candidate.tags.get(run_tags.COPIED_FROM, "")
        is_of_run = bool(version.run_id) and candidate.run_id == self._ids.get(version.run_id)
        return mark == self._mark(version) or (is_of_run and mark.endswith(f"/{version.number}"))

    def _delete(self, version: Version) -> None:
        body = {"name": version.model, "version": str(version.number)}
        self._target.send("DELETE", f"{API}/model-versions/delete", body)

    def _aliases(self, model: Model, existing: Mapping[str, int], numbers: Mapping[int, int]) -> None:
        for alias, number in model.aliases.items():
            expected = numbers.get(number)
            if expected is None:
                continue  # it is told of the version
            if alias in existing:
                is_equal = existing[alias] == expected
                if not is_equal:
                    self._report.tell(f"registered model {model.name}", f"alias {alias}",
                                      f"it is version {existing[alias]}'s there")  # fmt: skip
            else:
                body = {"name": model.name, "alias": alias, "version": str(expected)}
                self._post("registered-models/alias", body)
                self._report.made["aliases"] += 1
                is_equal = True
            self._report.compared("aliases", 1, int(is_equal))

    def _post(self, path: str, body: Mapping[str, object]) -> None:
        self._target.send("POST", f"{API}/{path}", body)

    def _report_omission(self, version: Version, why: str) -> None:
        self._report.tell(f"registered model {version.model}", f"version {version.number}", why)


def _tags(tags: Mapping[str, str], ids: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"key": key, "value": content.translated(value, ids)}
        for key, value in tags.items()
        if key != run_tags.COPIED_FROM
    ]
