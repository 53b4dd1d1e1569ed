"""Models on a server before MLflow 3, which has no logged models: files of their run, as MLflow 2 had them.

A run always makes a logged model. On such a server its made-up id stands for a folder of the run's artifacts:
`models:/m-…` is remembered as `runs:/RUN/NAME`, and its address as the address of that folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import cast

from trainkit.spool.journal import Record
from trainkit.spool.names import stored
from trainkit.spool.responses import API, ServerUnavailable, Transport, why

LOG_MODEL = f"{API}/runs/log-model"
_OF_MODELS = f"{API}/logged-models"
_ADDRESS = re.compile(r"mlflow-artifacts:/offline/(m-[0-9a-f]+)/artifacts")
# What the page has of a description. An old server fails at others, such as a signature with newer types.
_SHOWN = ("artifact_path", "flavors", "mlflow_version", "model_uuid", "run_id", "utc_time_created")
_LONGEST_DESCRIPTION = 1 << 20  # characters of an MLmodel file; to parse a longer one takes too long


def version_without(transport: Transport) -> str | None:
    """The version of a server that has no logged models, else None. Raises `ServerUnavailable`."""
    response = transport.send("GET", "/version")
    if response.status in (401, 429) or response.status >= 500:
        raise ServerUnavailable(why(response))
    match = re.match(r"[012]\.\d+[\w.]*", response.text.strip())
    return match[0] if response.status == 200 and match else None


def is_about_models(path: object) -> bool:
    """Whether a request to this path is about logged models."""
    return str(path).startswith(_OF_MODELS)


def names(local: str, record: Record, run: Mapping[str, str]) -> dict[str, str]:
    """What a model that is made on such a server is called there; `run` is the info of the run it is of."""
    body = cast(Record, record["body"])
    path = re.sub(r'["\\]', "~", stored(str(body.get("name") or "model")))  # names are replaced in JSON
    return {
        local: local.removeprefix("m-"),
        f"models:/{local}": f"runs:/{run['run_id']}/{path}",
        str(record["uri"]): f"{run['artifact_uri']}/{path}",
    }


def model_uri(record: Record, names: Mapping[str, str]) -> str | None:
    """`runs:/RUN/NAME` if the record's file is of a model that is stored there."""
    match = _ADDRESS.fullmatch(str(record.get("uri")))
    return names.get(f"models:/{match[1]}") if match else None


def is_needless(record: Record, names: Mapping[str, str]) -> bool:
    """Whether a request tells of logged models that are files of a run on the server."""
    if "method" not in record:
        return False
    path, body = str(record["path"]), cast(Mapping[str, list[Mapping[str, str]]], record.get("body") or {})
    if path.startswith(f"{_OF_MODELS}/"):
        models = [path.removeprefix(f"{_OF_MODELS}/").partition("/")[0]]
    elif path.endswith("/runs/outputs") or (path.endswith("/runs/log-inputs") and not body.get("datasets")):
        models = [str(model.get("model_id")) for model in body.get("models") or []]
    else:
        return False
    return bool(models) and all(f"models:/{model}" in names for model in models)


def described(text: str, uri: str) -> str:
    """The content of an MLmodel file as MLflow 2 would have written it for `runs:/RUN/NAME`."""
    run_id, _, name = uri.removeprefix("runs:/").partition("/")
    rest = re.sub(r"^(artifact_path|model_id|run_id):.*\n(\s.*\n)*", "", text, flags=re.MULTILINE)
    return f"artifact_path: {json.dumps(name, ensure_ascii=False)}\nrun_id: {run_id}\n{rest}"


def logged(text: str, uri: str) -> Record | None:
    """The request by which MLflow's page knows the model; None for a description that is invalid."""
    import yaml

    class Plain(yaml.SafeLoader):
        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):  # a few of them make an endless text
                raise yaml.YAMLError
            return super().compose_node(parent, index)

    if len(text) > _LONGEST_DESCRIPTION:
        return None
    try:
        description = yaml.load(text, Plain)  # noqa: S506 (it is a safe one)
        model = json.dumps({name: description[name] for name in _SHOWN if name in description}, default=str)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return None
    run_id = uri.removeprefix("runs:/").partition("/")[0]
    return {"method": "POST", "path": LOG_MODEL, "body": {"run_id": run_id, "model_json": model}}


def registered(body: Record, names: Mapping[str, str]) -> Record:
    """The request for a version of a registered model, of a model that is files of a run."""
    uri = names.get(f"models:/{body.get('model_id')}")
    if uri is None:
        return body
    address = names[f"mlflow-artifacts:/offline/{body['model_id']}/artifacts"]
    less = {key: value for key, value in body.items() if key != "model_id"}
    return {**less, "source": address, "run_id": uri.removeprefix("runs:/").partition("/")[0]}
