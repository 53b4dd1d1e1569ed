"""Changes to runs that a tracking server has. Every function raises `TrackingError`."""

from __future__ import annotations

import time
from collections.abc import Mapping

from trainer.tracking.client import Client
from trainer.tracking.connection import API


def delete(client: Client, run_id: str) -> None:
    """Mark the run as deleted. The server keeps it until `mlflow gc` removes it."""
    client.send("POST", f"{API}/runs/delete", {"run_id": run_id})


def restore(client: Client, run_id: str) -> None:
    """Undo `delete`."""
    client.send("POST", f"{API}/runs/restore", {"run_id": run_id})


def rename(client: Client, run_id: str, name: str) -> None:
    """Rename the run. Several runs may have the same name."""
    client.send("POST", f"{API}/runs/update", {"run_id": run_id, "run_name": name})


def log_metrics(client: Client, run_id: str, metrics: Mapping[str, float]) -> None:
    """Log a value of each metric, now and at step 0; a thousand at most."""
    now = int(time.time() * 1000)
    points = [{"key": key, "value": value, "timestamp": now, "step": 0} for key, value in metrics.items()]
    client.send("POST", f"{API}/runs/log-batch", {"run_id": run_id, "metrics": points})
