"""What an earlier version of trainer left on this disk is delivered by today's."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.away import PORTS, OutageSite

EARLIER = Path(__file__).parents[1] / "earlier_runs"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[OutageSite]:
    """A workspace with its server."""
    site = OutageSite(tmp_path / "site", PORTS["earlier"], "local")
    yield site
    site.trainer("server", "down", "--force")


@pytest.mark.parametrize("run_id", [path.name for path in EARLIER.glob("*/")])
def test_a_run_of_an_earlier_version_is_listed_and_delivered(served: OutageSite, run_id: str) -> None:
    site = served
    folder = site.root / ".trainer" / "runs" / run_id
    shutil.copytree(EARLIER / run_id, folder)
    record = json.loads((folder / "record.json").read_text()) | {"host": socket.gethostname()}
    (folder / "record.json").write_text(json.dumps(record))
    [left] = json.loads(site.sync("--dry-run", "--json").out)
    assert (left["run_id"], left["status"], left["points"], left["files"]) == (run_id, "FINISHED", 3, 5)
    done = site.sync()
    assert (done.code, done.out.count(" delivered")) == (0, 1), done.err
    [run] = site.runs()
    assert (run.info.status, run.info.run_name) == ("FINISHED", record["name"])
    assert (run.info.start_time, run.info.end_time) == (1795786308105, 1795786318254)
    assert (run.data.params, run.data.tags["shape"]) == ({"alpha": "0.5"}, "round")
    points = site.client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in points] == [(0, 1.0), (1, 0.5), (2, 1 / 3)]
    paths = ("", "trainer")
    files = {file.path for path in paths for file in site.client.list_artifacts(run.info.run_id, path)}
    assert files == {"notes.txt", "train.log", "trainer", *(f"trainer/{name}" for name in (
        "image.tar.gz", "run.json", "source.tar.gz"))}  # fmt: skip
    assert site.leftovers() == []
