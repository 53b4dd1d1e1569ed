"""From a run to a model in use: the terminal and each protocol of the server give the same answers."""

from __future__ import annotations

import base64
import csv
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence

import docker
import pytest
import requests
from PIL import Image
from support import REPOSITORY, Site
from trainer.datasets.synthetic.customers import Customers

COLOURS = {"blue": (20, 20, 220), "green": (20, 220, 20), "red": (220, 20, 20)}
Answers = list[tuple[str, float]]


@pytest.fixture(scope="module")
def site(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:  # noqa: ARG001
    """A fresh workspace with pictures of three colours and a table of customers."""
    site = Site(tmp_path_factory.mktemp("use") / "site", port=5471)
    for project in ("tensorflow", "pytorch_layers"):
        shutil.copytree(REPOSITORY / "train_code" / project, site.root / "train_code" / project)
    for name, colour in COLOURS.items():
        folder = site.root / "data" / "paint" / name
        folder.mkdir(parents=True)
        for number in range(12):
            shade = tuple(min(255, part + 2 * number) for part in colour)
            Image.new("RGB", (24 + number, 20), shade).save(folder / f"{number}.jpg")
    Customers().make(site.root / "data" / "customers.csv")
    yield site
    site.trainer("serve", "stop", "--all")
    site.trainer("server", "down")


def _in_use(site: Site, name: str, data: str, *run: str) -> str:
    """Run, register, promote and serve: the address of the server."""
    ran = site.trainer("run", *run, timeout_s=1200)
    assert ran.code == 0, ran.err
    registered = site.trainer("models", "register", "@last", "--name", name)
    assert (registered.code, registered.out.splitlines()[0]) == (0, f"{name}@1"), registered.err
    promoted = site.trainer(
        "models", "promote", f"{name}@1", "--if-better", "val_accuracy", "--on", data
    )  # fmt: skip
    assert (promoted.code, promoted.out) == (0, f"{name}@champion is version 1 (was none).\n"), promoted.err
    served = site.trainer("serve", f"{name}@champion", "--detach")
    assert served.code == 0, served.err
    return served.out.strip()


def _printed(site: Site, model: str, *inputs: str) -> Answers:
    done = site.trainer("predict", model, *inputs, "--json")
    assert done.code == 0, done.err
    return _read(json.loads(done.out))


def _read(said: Mapping[str, list[Mapping[str, object]]]) -> Answers:
    return [(str(each["class"]), float(str(each["confidence"]))) for each in said["predictions"]]


def _infer(url: str, name: str, tensors: Sequence[Mapping[str, object]]) -> Answers:
    answer = requests.post(f"{url}/v2/models/{name}/infer", json={"inputs": tensors}, timeout=30).json()
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    return list(zip(outputs["class"], outputs["confidence"], strict=True))


def _agree(answers: Answers, *others: Answers) -> None:
    for each in others:
        assert [name for name, _ in each] == [name for name, _ in answers]
        assert [share for _, share in each] == pytest.approx([share for _, share in answers], abs=1e-6)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    "run",
    [
        ("tensorflow", "--data", "paint", "--image-size", "16", "--epochs", "1", "--batch-size", "8"),
        ("pytorch_layers", "--data", "paint", "--image-size", "16", "--epochs", "2", "--batch-size", "8"),
    ],
    ids=lambda run: run[0],
)
def test_images_get_the_same_answers_everywhere(site: Site, run: tuple[str, ...]) -> None:
    name = run[0]
    url = _in_use(site, name, "paint", *run)
    files = [site.root / "data" / "paint" / colour / "7.jpg" for colour in COLOURS]
    printed = _printed(site, f"{name}@champion", *map(str, files))
    posted: Answers = []
    for file in files:
        with file.open("rb") as content:
            answer = requests.post(f"{url}/predict", files={"image": (file.name, content)}, timeout=30)
        posted += _read(answer.json())
    texts = [base64.b64encode(file.read_bytes()).decode() for file in files]
    tensor = {"name": "image", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    _agree(printed, posted, _infer(url, name, [tensor]))


def test_rows_get_the_same_answers_everywhere_and_from_the_next_version(site: Site) -> None:
    forest = ("sklearn", "--data", "customers.csv", "--target", "churned", "--n-estimators")
    url = _in_use(site, "churn", "customers.csv", *forest, "2")
    inputs = requests.get(f"{url}/v2/models/churn", timeout=10).json()["inputs"]
    taken = {tensor["name"]: tensor["datatype"] for tensor in inputs}
    rows = _rows(site, list(taken))
    first = _printed(site, "churn@champion", "asked.csv")
    _agree(first, *_asked(url, taken, rows))

    assert site.trainer("run", *forest, "100").code == 0
    assert site.trainer("models", "register", "@last", "--name", "churn").code == 0
    promoted = site.trainer("models", "promote", "churn@2")
    assert promoted.code == 0, promoted.err
    second = _printed(site, "churn@2", "asked.csv")
    assert [share for _, share in second] != pytest.approx([share for _, share in first], abs=1e-6)
    _wait_for(site, url, 2)
    _agree(second, _printed(site, "churn@champion", "asked.csv"), *_asked(url, taken, rows))
    assert site.trainer("models", "rollback", "churn").code == 0
    _wait_for(site, url, 1)
    _agree(first, _printed(site, "churn@champion", "asked.csv"), *_asked(url, taken, rows))


def _rows(site: Site, columns: list[str]) -> list[dict[str, str]]:
    """Rows without missing cells, written to `asked.csv` too."""
    with (site.root / "data" / "customers.csv").open(newline="") as file:
        whole = [{name: row[name] for name in columns} for row in csv.DictReader(file)]
    rows = [row for row in whole if all(row.values())][:20]
    with (site.root / "asked.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return rows


def _asked(url: str, taken: Mapping[str, str], rows: Sequence[Mapping[str, str]]) -> tuple[Answers, Answers]:
    """What `/predict` and `/v2` answer to the rows."""
    cells = {
        name: [row[name] if datatype == "BYTES" else float(row[name]) for row in rows]
        for name, datatype in taken.items()
    }
    as_rows = [dict(zip(cells, values, strict=True)) for values in zip(*cells.values(), strict=True)]
    posted = _read(requests.post(f"{url}/predict", json={"rows": as_rows}, timeout=30).json())
    tensors = [
        {"name": name, "datatype": taken[name], "shape": [len(rows), 1], "data": values}
        for name, values in cells.items()
    ]
    return posted, _infer(url, "churn", tensors)


def _wait_for(site: Site, url: str, number: int) -> None:
    """Until the version is the one that answers."""
    wanted = site.client.get_model_version("churn", str(number)).tags["trainer.sha256"]
    deadline = time.monotonic() + 60
    while requests.get(f"{url}/version", timeout=10).json()["version"] != wanted:
        assert time.monotonic() < deadline
        time.sleep(0.2)
