"""Live runs for unit tests: those of the local backend are files, and their server answers as it is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from trainer import locks
from trainer.datasets.inputs import Data
from trainer.host.hardware import Hardware
from trainer.images.build import ImageOrigin
from trainer.plan.run_plan import RunPlan
from trainer.runs import run_record
from trainer.runs.run_record import RunRecord
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, put

API = "/api/2.0/mlflow"
ID = "3f4c6bc04430469fb2cde66a128e00dd"


ORIGIN = ImageOrigin(
    "sha256:1234", (f"x/small@sha256:{'56' * 32}",), "debian:12", "sha256:78", "debian@sha256:9a"
)
HOST = Hardware("Linux-6.1-x86_64", "AMD EPYC", 2, 1 << 34, ("H100, driver 580",))


def pins_of(plan: RunPlan, *data: Data) -> RunRecord:
    """What pins a run of the plan, on a machine and in an image that there are not."""
    return run_record.of(plan, ORIGIN, HOST, data, "c0de", run_record.commit(plan))


def record(server: HttpServer, **changes: object) -> Record:
    """A run of the local backend that reports to the server."""
    made = Record(
        ID, "demo", "local", server.uri, False, name="brave-hen", image="trainer/small:abababababab"
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def live(workspace: Workspace, run: Record, *, output: bytes = b"", result: str | None = None) -> Path:
    """Write the live run down; with a result its job has ended, else the caller's process is its job."""
    folder, lock = run_folders.write(workspace, run_folders.new_folder(workspace), run)
    lock.release()
    put(folder.job_output, output)
    if result is None:
        locks.acquire(folder.job_lock)
    else:
        put(folder.job_result, result)
    return folder.path


def knows(server: HttpServer, run: Record, status: str = "RUNNING", **tags: str) -> dict[str, object]:
    """The server has the run; every call about it works."""
    payload: dict[str, object] = {
        "info": {
            "run_id": run.run_id,
            "experiment_id": "7",
            "run_name": run.name,
            "status": status,
            "artifact_uri": f"mlflow-artifacts:/7/{run.run_id}/artifacts",
        },
        "data": {"tags": [{"key": key.replace("__", "."), "value": value} for key, value in tags.items()]},
    }
    server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": payload}))]
    for call in ("update", "log-batch"):
        server.replies[f"{API}/runs/{call}"] = [Reply()]
    server.replies[artifact(run, "train.log")] = [Reply(body="stored output\n")]
    return payload


def artifact(run: Record, path: str) -> str:
    """Where the server keeps an artifact."""
    return f"/api/2.0/mlflow-artifacts/artifacts/7/{run.run_id}/artifacts/{path}"


def not_there() -> Reply:
    """How MLflow's server says that it does not have a run or an artifact."""
    said = json.dumps({"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "not there"})
    return Reply(404, said, (("Content-Type", "application/json"),))


def told(server: HttpServer) -> list[object]:
    """What the server was told of runs, without reading calls."""
    return [json.loads(asked.body) for asked in server.asked if asked.method == "POST"]
