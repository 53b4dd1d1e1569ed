"""Changes to runs that a tracking server has. Every function raises `TrackingError`."""

from __future__ import annotations

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
