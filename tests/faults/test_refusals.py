"""What a tracking server refuses for good costs no other run and no other record."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import nginx
import pytest
from trainer.tracking import delivery
from trainer.tracking.delivery import SpoolWriter
from trainer.tracking.endpoint import Server
from trainer.workspace import run_folders
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace, find
from trainkit.spool.journal import Spool
from trainkit.spool.responses import LOG_BATCH

from faults.away import PORTS, OutageSite, gate

LIMIT = 100_000


@pytest.fixture
def fronted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OutageSite]:
    """A workspace with a server, and with the account for a front of it."""
    site = OutageSite(tmp_path / "site", PORTS["many"], "local")
    for name, value in site.access.items():
        if name != "MLFLOW_TRACKING_URI":
            monkeypatch.setenv(name, value)
    yield site
    site.trainer("server", "down", "--force")


def offline(workspace: Workspace, uri: str, experiment: str, name: str, size: int = 10) -> Path:
    """The folder of a run as `trainer run --offline` leaves it: a metric, a file of that size, and an end."""
    folder = run_folders.new_folder(workspace)
    book = SpoolWriter(folder)
    book.begin_offline(experiment, name, {})
    run = delivery.known_run(Server(uri), folder)
    folder, lock = run_folders.write(
        workspace, folder, Record(run.id, "demo", "local", uri, False, name=name)
    )
    lock.release()
    book = SpoolWriter(folder)
    metric = {"key": "loss", "value": 0.5, "timestamp": 1000, "step": 1}
    spool = Spool(folder.spool)
    spool.append({"method": "POST", "path": LOG_BATCH, "body": {"run_id": run.id, "metrics": [metric]}})
    big = folder.path / "weights.bin"
    big.write_bytes(os.urandom(size))
    book.upload(run, big, "model/weights.bin")
    book.end_run(run.id, "FINISHED")
    run_folders.end(folder, "FINISHED")
    return folder.path


def test_of_fifty_runs_one_is_refused_and_49_are_delivered(fronted: OutageSite) -> None:
    site = fronted
    workspace = find(site.root)
    gone = site.client.create_experiment("gone")
    site.client.delete_experiment(gone)
    with gate(site.uri) as front:
        front.name, front.longest = "nginx/1.22.1", LIMIT
        names = [f"run-{number:02}" for number in range(50)]
        folders = {
            name: offline(
                workspace,
                front.uri,
                "gone" if name == "run-07" else "demo",
                name,
                3 * LIMIT if name == "run-23" else 10,
            )
            for name in names
        }
        spools = {
            name: json.loads((folder / "spool" / "run.json").read_text())["info"]
            for name, folder in folders.items()
        }
        written = int(time.time() * 1000)
        time.sleep(1)
        done = site.sync()
        assert done.code == 84, done.out + done.err
        assert done.out.count(" delivered") == 49
        assert done.out.count("delivered, but for what was refused") == 1
        assert done.out.count("on this disk") == 1
        large, lost = spools["run-23"]["run_id"], spools["run-07"]["run_id"]
        told = (
            f"The tracking server refused 1 record of the run {large[:8]} for good: "
            "model/weights.bin (0.3 MB): nginx/1.22.1, in front of the server, answered 413: "
            "Request Entity Too Large, by its limit for a request (nginx: client_max_body_size)."
        )
        assert told in done.err
        assert " are on this disk alone: the server answered 400: " in done.err
        assert "<" not in done.err
        assert site.leftovers() == [lost]
        assert f"{told} It is in {site.root}/.trainer/refused/{large}" in site.sync("--dry-run").err
        seen = {run.info.run_name: run for run in site.runs()}
        assert sorted(seen) == [name for name in names if name != "run-07"]
        assert {run.info.status for run in seen.values()} == {"FINISHED"}
        assert {run.data.metrics["loss"] for run in seen.values()} == {0.5}
        assert [name for name, run in seen.items() if "trainer.refused" in run.data.tags] == ["run-23"]
        # The times are those of the runs, whenever they were brought here.
        for name, run in seen.items():
            assert run.info.start_time == spools[name]["start_time"]
            assert spools[name]["start_time"] <= run.info.end_time <= written
        site.client.restore_experiment(gone)
        late_sync = site.sync()
        assert late_sync.code == 0, late_sync.err  # what was refused before is told, and no new failure
        assert late_sync.out.count(" delivered") == 1
        assert told in late_sync.err
    assert site.leftovers() == []
    (late,) = site.client.search_runs([gone])
    assert (late.info.status, late.info.start_time) == ("FINISHED", spools["run-07"]["start_time"])


def test_what_nginx_finds_too_large_is_named_with_its_limit(fronted: OutageSite, tmp_path: Path) -> None:
    site = fronted
    workspace = find(site.root)
    with nginx.front(site.uri, tmp_path / "front", limit="100k") as front:
        folders = {name: offline(workspace, front, "demo", name, size) for name, size in
                   (("small", 10), ("large", 3 * LIMIT))}  # fmt: skip
        large = json.loads((folders["large"] / "spool" / "run.json").read_text())["info"]["run_id"]
        done = site.sync()
    assert done.code == 84, done.out + done.err
    told = re.search(
        rf"The tracking server refused 1 record of the run {large[:8]} for good: "
        r"model/weights\.bin \(0\.3 MB\): nginx/[\d.]+, in front of the server, answered 413: "
        r"Request Entity Too Large, by its limit for a request \(nginx: client_max_body_size\)\.",
        done.err,
    )
    assert told, done.err
    assert "<" not in done.err
    assert site.leftovers() == []
    kept = site.root / ".trainer" / "refused" / large
    assert next(kept.rglob("weights.bin")).stat().st_size == 3 * LIMIT
    seen = {run.info.run_name: run for run in site.runs()}
    assert {name: run.info.status for name, run in seen.items()} == {"small": "FINISHED", "large": "FINISHED"}
    assert ["trainer.refused" in seen[name].data.tags for name in ("small", "large")] == [False, True]
    [stored] = site.client.list_artifacts(seen["small"].info.run_id, "model")
    assert stored.file_size == 10
    port = int(front.rpartition(":")[2])
    with nginx.front(site.uri, tmp_path / "raised", limit="10m", port=port):
        assert large[:8] in site.sync().err  # unasked it is not sent again
        again = site.sync("--refused")
        assert (again.code, again.out.count(" delivered")) == (0, 1), again.err
    run = site.client.get_run(seen["large"].info.run_id)
    assert (run.info.status, "trainer.refused" in run.data.tags) == ("FINISHED", False)
    assert [file.file_size for file in site.client.list_artifacts(run.info.run_id, "model")] == [3 * LIMIT]
    assert not kept.exists()
    assert site.leftovers() == []


def test_code_that_is_too_large_is_kept_and_sent_again_when_the_limit_was_raised(fronted: OutageSite) -> None:
    site = fronted
    (site.root / "train_code" / "probe" / "table.bin").write_bytes(os.urandom(3 * LIMIT))
    with gate(site.uri) as front:
        front.name, front.longest = "nginx/1.22.1", LIMIT
        done = site.trainer("run", "probe", "--backend", "local", "--tracking-uri", front.uri)
        assert (done.code, "FINISHED" in done.out) == (84, True), done.out + done.err
        [seen] = site.runs()
        run_id, short = seen.info.run_id, seen.info.run_id[:8]
        for archive, without in (
            (r"source\.tar\.gz", "neither resumed nor reproduced"),
            (r"image\.tar\.gz", "resumed and reproduced as long as its image is there"),
        ):
            assert re.search(
                rf"^trainer/{archive} \(0\.\d MB\) is too large to be stored: .* answered 413: .*\n"
                rf"Without it the run can be {without}\. It is kept on this disk\. "
                rf"Raise its limit .* Then: trainer sync {short} --refused$",
                done.err,
                re.MULTILINE,
            ), done.err
        told = (
            f"The tracking server refused 2 records of the run {short} for good: "
            "trainer/source.tar.gz (0.3 MB): "
        )
        assert told in done.err
        assert f"refused: {told}" in site.trainer("show", run_id).out
        assert "FINISHED*" in site.trainer("runs", "probe").out
        assert told in site.sync("--dry-run").err
        lacks = site.trainer("reproduce", run_id, "--dry-run")
        assert (lacks.code, lacks.err.splitlines()[-1].endswith(f": trainer sync {short} --refused")) == (
            2,
            True,
        )
        front.longest = 10 * LIMIT
        again = site.sync(short, "--refused")
        assert (again.code, again.out.count(" delivered")) == (0, 1), again.err
        assert site.trainer("reproduce", run_id, "--dry-run").code == 0
        assert "FINISHED*" not in site.trainer("runs", "probe").out
    assert [file.path for file in site.client.list_artifacts(run_id, "trainer")] == [
        "trainer/image.tar.gz", "trainer/run.json", "trainer/source.tar.gz",
    ]  # fmt: skip
    assert not (site.root / ".trainer" / "refused" / run_id).exists()
