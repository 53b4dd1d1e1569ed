"""The model registry of a run that logs over a spool. It answers at once or says why not."""

from __future__ import annotations

import json
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.store.model_registry.rest_store import RestStore
from mlflow.tracking._tracking_service.utils import _get_store
from mlflow.utils.credentials import get_default_host_creds

from trainkit import run_environment
from trainkit.spool.models import registered
from trainkit.spool.names import replaced

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from trainkit.spool.store import SpoolStore

_PATIENCE_S = 300.0  # about as long as MLflow's own client tries


class DirectRegistry(RestStore):  # type: ignore[misc]  # mlflow is not typed
    """The server's registry. A version's number is the server's to give, so nothing here can be deferred."""

    def __init__(self, store_uri: str) -> None:
        super().__init__(partial(get_default_host_creds, store_uri.removeprefix("spool+")))
        self._tracking: SpoolStore = _get_store(store_uri)

    def _call_endpoint(
        self, api: type[Message], json_body: str | None, *rest: object, **named: object
    ) -> Message:
        if not self._is_delivered():
            raise MlflowException(
                "The model registry cannot wait for the tracking server, which is away or has not received "
                "this run's files yet. The model itself is safe on disk: register it when `trainer sync` has "
                "brought it.",
                TEMPORARILY_UNAVAILABLE,
            )
        names = self._tracking.spool.names()
        if json_body:
            json_body = replaced(json.dumps(registered(json.loads(json_body), names)), names)
        return super()._call_endpoint(api, json_body, *rest, **named)

    def _is_delivered(self) -> bool:
        """Wait for it, also while the server is away: a moment without it is to cost no run."""
        give_up = time.monotonic() + _PATIENCE_S
        while not self._tracking.sender.drain(max(0.0, give_up - time.monotonic())):
            if os.environ.get(run_environment.OFFLINE) or time.monotonic() > give_up:
                return False
            time.sleep(0.5)
        return True
