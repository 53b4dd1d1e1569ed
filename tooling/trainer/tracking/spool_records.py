"""Which records of a journal are of the kinds that trainkit writes. A run may write others there."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TypeGuard

from trainkit.spool.journal import Record
from trainkit.spool.responses import API, LOG_BATCH

_MADE_UP = re.compile(r"(m-)?[0-9a-f]{32}|mlflow-artifacts:/offline/(m-)?[0-9a-f]{32}/artifacts")
_METHODS = ("POST", "PATCH", "PUT", "DELETE")


def is_sound(record: Record) -> bool:
    """Whether a record has all that delivery, and the view of a run, take for granted."""
    if "known" in record:
        return _is_known(record)
    if "create" in record:
        return _is_made(record)
    if "file" in record:
        return _has(record, "file", "uri", "path") and _can_be_sent(f"{record['uri']}/{record['path']}")
    return _is_request(record)


def is_made_up(name: str) -> bool:
    """Whether it is a name of those that are made up while the server is away."""
    return _MADE_UP.fullmatch(name) is not None


def _is_known(record: Record) -> bool:
    match record["known"]:
        case "run":
            return _is_object(run := record.get("run")) and _has(run.get("info"), "run_id") and _is_data(run)
        case "model":
            return _is_object(model := record.get("model")) and _has(model.get("info"), "model_id")
    return False


def _is_data(run: Mapping[str, object]) -> bool:
    data = run.get("data") or {}
    return _is_object(data) and _has_points(data) and _has_pairs(data)


def _is_made(record: Record) -> bool:
    body = record.get("body")
    if not (_is_object(body) and _has(record, "local") and is_made_up(str(record["local"]))):
        return False
    match record["create"]:
        case "experiment":
            return _has(body, "name")
        case "run":
            is_whole = _has(body, "experiment_id") and "start_time" in body and _has_pairs(body)
        case "model":
            is_whole = _has(body, "experiment_id")
        case _:
            return False
    return is_whole and _has(record, "uri") and is_made_up(str(record["uri"]))


def _is_request(record: Record) -> bool:
    if not _has(record, "method", "path") or record["method"] not in _METHODS:
        return False
    path, body = str(record["path"]), record.get("body") or {}
    if not (_is_object(body) and all(isinstance(body.get(name) or [], list) for name in _LISTS)):
        return False
    if path == LOG_BATCH:
        return _has(body, "run_id") and _has_points(body) and _has_pairs(body)
    if path.endswith("/runs/outputs"):
        models = body.get("models")
        return _has(body, "run_id") and isinstance(models, list) and all(_has(m, "model_id") for m in models)
    if path.endswith("/runs/log-inputs"):
        models = body.get("models") or []
        return isinstance(models, list) and all(_has(m, "model_id") for m in models)
    if path.endswith("/runs/log-model"):
        return _has(body, "run_id", "model_json") and _is_json_object(str(body["model_json"]))
    if path == f"{API}/runs/delete-tag":
        return _has(body, "run_id", "key")
    if path == f"{API}/runs/update":
        return all(isinstance(body.get(name) or "", str) for name in ("run_id", "status", "run_name"))
    return True


_LISTS = ("metrics", "params", "tags")


def _has_points(value: Mapping[str, object]) -> bool:
    points = value.get("metrics") or []
    return isinstance(points, list) and all(_is_point(point) for point in points)


def _is_point(point: object) -> bool:
    if not _has(point, "key"):
        return False
    try:
        float(str(point.get("value")))
        int(str(point.get("step") or 0))
        int(str(point.get("timestamp") or 0))
    except ValueError:
        return False
    return True


def _has_pairs(value: Mapping[str, object]) -> bool:
    lists = [value.get(name) or [] for name in ("params", "tags")]
    return all(
        isinstance(pairs, list) and all(_has(pair, "key", "value") for pair in pairs) for pairs in lists
    )


def _can_be_sent(path: str) -> bool:
    try:
        return bool(path.encode())
    except UnicodeEncodeError:
        return False


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_object(value: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(value, Mapping)


def _has(value: object, *texts: str) -> TypeGuard[Mapping[str, object]]:
    """Whether it is an object that has all of these texts."""
    return isinstance(value, Mapping) and all(isinstance(value.get(name), str) for name in texts)
