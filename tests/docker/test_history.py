"""Runs listed, shown and compared: those of three MLflow clients, on the workspace's own server."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset as DatasetEntity
from mlflow.entities import DatasetInput, InputTag, Metric, Param, RunTag
from support import CANARY, Site

NAMES = ("slow", "steady", "quick")
FINAL = {"slow": 0.5, "steady": 0.9, "quick": 0.7}


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, dict[str, str]]]:
    """A workspace with these runs, and their ids by name. They need no engine."""
    root = tmp_path_factory.mktemp("three")
    site = Site(root / "site", port=5450)
    client = site.client
    experiment = client.create_experiment("birds")
    ids = {name: _make(client, experiment, name, place, root) for place, name in enumerate(NAMES)}
    yield site, ids
    site.trainer("server", "down")


def _make(client: MlflowClient, experiment: str, name: str, place: int, root: Path) -> str:
    tags = {
        "mlflow.source.type": "PROJECT",
        "mlflow.source.name": "train_code/birds",
        "trainer.image": "trainer/small:abababababab",
        "trainer.code_digest": f"{place // 2}" * 64,
        "trainer.end": "done",
    }
    run_id: str = client.create_run(experiment, run_name=name, tags=tags).info.run_id
    curve = [Metric("accuracy", round(FINAL[name] * step / 9, 3), 1000 + step, step) for step in range(10)]
    system = Metric("system/cpu", 1.0, 1000, 0)
    params = [Param("rate", f"0.{place}"), Param("epochs", "10")]
    client.log_batch(run_id, [*curve, system], params, [RunTag("team", "vision")])
    data = DatasetEntity("feathers", f"digest{place // 2}", "local", "{}")
    client.log_inputs(run_id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
    archive = root / name / "source.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        for path, content in (("train.py", f"rate = 0.{place // 2}\n"), ("same.py", "x = 1\n")):
            entry = tarfile.TarInfo(f"code/{path}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content.encode()))
    client.log_artifact(run_id, str(archive), "trainer")
    client.set_terminated(run_id, "FAILED" if name == "slow" else "FINISHED")
    return run_id


def _words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_runs_are_listed_filtered_and_sorted(three: tuple[Site, dict[str, str]]) -> None:
    site, ids = three
    listed = site.trainer("runs")
    assert (listed.code, listed.error) == (0, [])
    heading, *rows = _words(listed.out)
    assert heading == "STATUS RUN ID PROJECT AGE TOOK accuracy"
    assert [row.split()[:4] for row in rows] == [
        ["FAILED" if name == "slow" else "FINISHED", name, ids[name][:8], "birds"] for name in reversed(NAMES)
    ]
    best = json.loads(site.trainer("runs", "birds", "--sort", "-accuracy", "--limit", "2", "--json").out)
    assert [(run["name"], run["metrics"]["accuracy"]) for run in best] == [("steady", 0.9), ("quick", 0.7)]
    some = site.trainer(
        "runs", "--filter", "params.rate = '0.1' AND metrics.accuracy > 0.5", "--columns", "rate"
    )
    assert [row.split()[1] for row in _words(some.out)[1:]] == ["steady"]
    assert _words(some.out)[1].endswith(" 0.1")


def test_a_filter_that_the_server_refuses_is_reported_in_its_words(
    three: tuple[Site, dict[str, str]],
) -> None:
    site, _ = three
    for condition in ("nonsense", "nonsense = 1", "metrics.accuracy > 'x"):
        done = site.trainer("runs", "--filter", condition)
        assert (done.code, done.out) == (2, "")
        assert done.error[0].startswith("Error: The tracking server rejects the query: ")
        assert "Invalid" in done.err
        assert len(done.error) == 2


def test_the_best_run_is_shown_with_its_curve(three: tuple[Site, dict[str, str]]) -> None:
    site, ids = three
    shown = _words(site.trainer("show", "@best:accuracy").out)
    assert shown[0] == f"FINISHED steady {ids['steady']}"
    assert "ended: done" in shown
    assert f"{site.uri}/#/experiments/1/runs/{ids['steady']}?workflowType=machine_learning" in shown
    assert "data feathers digest0" in shown
    assert "accuracy 0.9 ▁▂▃▃▄▅▆▆▇█ steps 0 to 9" in shown
    assert shown[-2:][0] == "trainer/"
    assert shown[-1].startswith("source.tar.gz ")
    # The run with the lowest value of all has failed.
    assert _words(site.trainer("show", "@best:-accuracy").out)[0].split()[1] == "quick"


def test_three_runs_are_compared_with_their_code(three: tuple[Site, dict[str, str]], tmp_path: Path) -> None:
    site, ids = three
    compared = site.trainer("compare", "slow", ids["steady"][:8], "@best:-accuracy", "--code")
    assert compared.code == 0, compared.err
    lines = _words(compared.out)
    assert lines[0] == "slow steady quick"
    order = ["Parameters 1 more equal", "rate 0.0 0.1 0.2", "Metrics", "accuracy 0.5 0.9 (+0.4) * 0.7 (+0.2)",
             "Code 1 more equal", "code digest 000000000000 000000000000 111111111111", "Data",
             "feathers digest0 digest0 digest1", "Equal: image.",
             "Code of slow → steady", "No difference.", "Code of slow → quick", "--- a/train.py",
             "-rate = 0.0", "+rate = 0.1"]  # fmt: skip
    places = [lines.index(line) for line in order]
    assert places == sorted(places)
    assert not any("same.py" in line or "system/cpu" in line for line in lines)
    page = tmp_path / "page.html"
    assert site.trainer("compare", "slow", "quick", "--html", str(page)).code == 0
    assert page.read_text().count("<polyline") == 2
    assert site.trainer("compare", "slow", "quick", "--html", str(page)).code == 2


def test_a_run_is_deleted_and_restored(three: tuple[Site, dict[str, str]]) -> None:
    site, ids = three
    slow, quick = ids["slow"], ids["quick"]
    deleted = site.trainer("runs", "delete", "slow", quick[:8], "slow")
    assert deleted.out == f"Deleted slow ({slow[:8]}).\nDeleted quick ({quick[:8]}).\n"
    assert deleted.err.endswith(f"To undo: trainer runs restore {slow[:8]} {quick[:8]}\n")
    assert site.run(slow).info.lifecycle_stage == "deleted"
    assert [row.split()[1] for row in _words(site.trainer("runs").out)[1:]] == ["steady"]
    listed = json.loads(site.trainer("runs", "birds", "--deleted", "--json").out)
    assert [(run["name"], run["status"]) for run in listed] == [("quick", "DELETED"), ("slow", "DELETED")]
    gone = site.trainer("runs", "delete", "steady", "slow")
    assert (gone.code, gone.error[0]) == (2, "Error: There is no run slow.")
    assert site.run(ids["steady"]).info.lifecycle_stage == "active"
    wrong = site.trainer("runs", "restore", "steady")
    assert (wrong.code, wrong.error) == (
        2,
        [
            "Error: There is no deleted run steady.",
            "Hint:  `trainer runs list --deleted` lists the deleted runs.",
        ],
    )
    restored = site.trainer(*deleted.err.partition("To undo: trainer ")[2].split())
    assert restored.out == f"Restored slow ({slow[:8]}).\nRestored quick ({quick[:8]}).\n"
    assert site.run(slow).info.lifecycle_stage == "active"
    assert site.trainer("runs", "list", "--deleted").out == "No runs.\n"


def test_a_run_that_has_not_ended_is_not_deleted(three: tuple[Site, dict[str, str]]) -> None:
    site, _ = three
    live = site.client.create_run("0", run_name="live").info.run_id
    done = site.trainer("runs", "delete", "steady", "live")
    assert (done.code, done.out) == (2, "")
    assert done.error == [
        "Error: The run live has not ended.",
        f"Hint:  Stop it first: trainer stop {live[:8]}",
    ]
    assert site.run(live).info.lifecycle_stage == "active"
    site.client.delete_run(live)


def test_a_run_is_renamed(three: tuple[Site, dict[str, str]]) -> None:
    site, ids = three
    run_id = ids["quick"]
    done = site.trainer("runs", "rename", "quick", "the best one")
    assert done.out == f"Renamed quick ({run_id[:8]}) to the best one.\n"
    assert site.run(run_id).info.run_name == "the best one"
    assert site.trainer("runs", "rename", "the best one", "quick").code == 0
    for name in ("", " ", "n" * 251, CANARY):
        refused = site.trainer("runs", "rename", "quick", name)
        assert (refused.code, len(refused.error)) == (2, 2), name
        assert CANARY not in refused.err
    assert site.run(run_id).info.run_name == "quick"


def test_tags_of_a_run_are_set_and_removed(three: tuple[Site, dict[str, str]]) -> None:
    site, ids = three
    done = site.trainer("runs", "tag", "quick", "stage=a=b", "team=tables", "mlflow.note.content=Fast.")
    assert done.out == f"Tagged quick ({ids['quick'][:8]}).\n"
    tags = site.run(ids["quick"]).data.tags
    assert (tags["stage"], tags["team"], tags["mlflow.note.content"]) == ("a=b", "tables", "Fast.")
    assert site.trainer("runs", "tag", "quick", "team=vision", "--remove", "stage").code == 0
    tags = site.run(ids["quick"]).data.tags
    assert ("stage" in tags, tags["team"]) == (False, "vision")
    for arguments in (
        ["quick"],
        ["quick", "a"],
        ["quick", "a=1", "a=2"],
        ["quick", "a=1", "--remove", "a"],
        ["quick", "--remove", "stage"],
        ["quick", "trainer.end=done"],
        ["quick", "--remove", "mlflow.runName"],
        ["quick", "a:b;=1"],
        ["quick", f"token={CANARY}"],
        ["nobody", "a=1"],
    ):
        refused = site.trainer("runs", "tag", *arguments)
        assert (refused.code, refused.out, len(refused.error)) == (2, "", 2), arguments
        assert CANARY not in refused.err
    assert site.run(ids["quick"]).data.tags == tags


def test_artifacts_are_downloaded_and_nothing_is_overwritten(
    three: tuple[Site, dict[str, str]], tmp_path: Path
) -> None:
    site, ids = three
    place = tmp_path / "model"
    (place / "data").mkdir(parents=True)
    (place / "MLmodel").write_text("flavors: {}\n")
    (place / "data" / "weights with spaces.bin").write_bytes(b"\0" * 100_000)
    site.client.log_artifacts(ids["quick"], str(place), "model")
    target = tmp_path / "out"
    done = site.trainer("download", "quick", "-o", str(target))
    assert done.code == 0, done.err
    files = {path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()}
    assert files == {"model/MLmodel", "model/data/weights with spaces.bin", "trainer/source.tar.gz"}
    assert done.out.splitlines() == [f"{target}/{name}" for name in sorted(files)]
    assert (target / "model" / "data" / "weights with spaces.bin").read_bytes() == b"\0" * 100_000
    (target / "model" / "MLmodel").unlink()
    again = site.trainer("download", "quick", "-o", str(target))
    assert again.out == f"{target}/model/MLmodel\n"
    assert again.err.endswith("Downloaded 1 file (12 B); 2 files there already.\n")
    (target / "model" / "MLmodel").write_text("mine")
    refused = site.trainer("download", "quick", "-o", str(target))
    assert (refused.code, refused.out) == (2, "")
    assert refused.error == [
        f"Error: {target}/model/MLmodel exists, and is another file.",
        "Hint:  Download to another folder: -o DIR",
    ]
    assert (target / "model" / "MLmodel").read_text() == "mine"
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "trainer").write_text("mine")
    refused = site.trainer("download", "quick", "-o", str(blocked))
    assert (refused.code, [path.name for path in blocked.iterdir()]) == (2, ["trainer"])
    assert refused.error[0] == f"Error: {blocked}/trainer exists, and is another file."


def test_one_artifact_is_downloaded_to_the_current_folder(three: tuple[Site, dict[str, str]]) -> None:
    site, ids = three
    assert site.trainer("download", "steady", "trainer/source.tar.gz").out == "source.tar.gz\n"
    (site.root / "source.tar.gz").unlink()
    payload = json.loads(site.trainer("download", "steady", "trainer", "--json").out)
    assert (payload["run_id"], payload["present"]) == (ids["steady"], [])
    assert payload["downloaded"][0]["file"] == "trainer/source.tar.gz"
    assert site.trainer("download", "steady").out == "steady/trainer/source.tar.gz\n"
    for artifact, hint in (
        ("trainer/source.tar", "Did you mean trainer/source.tar.gz?"),
        ("x", f"`trainer show {ids['steady'][:8]}` lists them."),
    ):
        done = site.trainer("download", "steady", artifact)
        assert done.error == [f"Error: The run steady has no artifact {artifact}.", f"Hint:  {hint}"]
        assert done.code == 2


def test_the_page_of_a_run_is_opened(three: tuple[Site, dict[str, str]]) -> None:
    site, ids = three
    done = site.trainer("open", "steady", "--no-browser")
    assert done.out == f"{site.uri}/#/experiments/1/runs/{ids['steady']}?workflowType=machine_learning\n"
    assert "Log in as" in done.err


def test_trials_are_folded_below_their_sweep(three: tuple[Site, dict[str, str]]) -> None:
    site, _ = three
    client = site.client
    experiment = client.create_experiment("nests")
    parent = client.create_run(experiment, run_name="sweep", start_time=1000).info.run_id
    for number in range(3):
        tags = {"mlflow.parentRunId": parent, "trainer.trial": str(number)}
        trial = client.create_run(experiment, run_name=f"t{number}", start_time=2000 + number, tags=tags).info
        client.log_metric(trial.run_id, "eggs", number)
        client.set_terminated(trial.run_id, "KILLED" if number == 1 else "FINISHED")
    client.log_metric(parent, "eggs", 2)
    client.set_terminated(parent)
    for sort in ("-start", "start", "-eggs", "duration"):  # each of which the server answers in another order
        folded = _words(site.trainer("runs", "nests", "--limit", "1", "--sort", sort).out)[1:]
        assert [line.split()[1] for line in folded[:1]] == ["sweep"]
        assert folded[1:] == ["└─ 3 trials: 2 FINISHED, 1 KILLED"]
    rows = _words(site.trainer("runs", "nests", "--children").out)[1:]
    assert [row.split()[1:3] for row in rows][1:] == [["├─", "t0"], ["├─", "t1"], ["└─", "t2"]]
    assert site.trainer("runs", "delete", "sweep").code == 0
    orphans = _words(site.trainer("runs", "nests").out)[1:]
    assert [row.split()[1] for row in orphans] == ["t2", "t1", "t0"]
