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
from support import Site

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
    assert (listed.code, listed.err) == (0, "")
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


def test_a_filter_that_the_server_refuses_is_said_in_its_words(three: tuple[Site, dict[str, str]]) -> None:
    site, _ = three
    for condition in ("nonsense", "nonsense = 1", "metrics.accuracy > 'x"):
        done = site.trainer("runs", "--filter", condition)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("Error: The tracking server rejects the query: ")
        assert "Invalid" in done.err
        assert done.err.count("\n") == 2


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
