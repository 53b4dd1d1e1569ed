"""`trainer serve --trust-pickle`: a model without an ONNX file, in the image of its run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import docker
import pytest
import requests
from support import Site
from trainer.serving import container
from trainer.workspace import settings

TOKEN = "0123456789abcdef-of-the-tests"
TRAIN = """\
import mlflow
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.semi_supervised import LabelPropagation

with mlflow.start_run():
    frame = pd.DataFrame({'a': [0.0, 1, 2, 3], 'b': [1.0, 0, 1, 0]})
    model = LabelPropagation().fit(frame, ['x', 'x', 'y', 'y'])
    mlflow.sklearn.log_model(model, name='model', input_example=frame, pip_requirements=[],
                             serialization_format='cloudpickle')
"""


@pytest.fixture(scope="module")
def lab(client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:  # noqa: ARG001
    """A workspace with spread@1, which has no way to ONNX."""
    lab = Site(tmp_path_factory.mktemp("lab") / "lab", port=5458)
    folder = lab.root / "train_code" / "spread"
    folder.mkdir()
    (folder / "MLproject").write_text(
        "name: spread\ndocker_env:\n  image: trainer/sklearn\n"
        "entry_points:\n  main:\n    command: python train.py\n"
    )
    (folder / "train.py").write_text(TRAIN)
    ran = lab.trainer("run", "spread", timeout_s=1200)
    assert ran.code == 0, ran.err
    done = lab.trainer("models", "register", ran.run_id)
    assert done.code == 0, done.err
    yield lab
    lab.trainer("serve", "stop", "--all")
    lab.trainer("server", "down")


def test_without_the_flag_it_is_refused_in_two_lines(lab: Site) -> None:
    refused = lab.trainer("serve", "spread@1")
    assert (refused.code, refused.error) == (2, [
        "Error: spread@1 has no ONNX file, and loading a model of sklearn runs whatever code its maker put "
        "into it.",
        "Hint:  If you trust who trained it: trainer serve spread@1 --trust-pickle",
    ])  # fmt: skip
    for command in (["predict", "spread@1", "rows.csv"], ["build-image", "serve", "--model", "spread@1"]):
        refused = lab.trainer(*command)
        assert (refused.code, refused.error[1]) == (
            2, "Hint:  Its framework can serve it: trainer serve spread@1 --trust-pickle"
        )  # fmt: skip


def test_it_answers_in_the_image_of_its_run_and_says_why(lab: Site, client: docker.DockerClient) -> None:
    (lab.root / "token").write_text(f"{TOKEN}\n")
    done = lab.trainer("serve", "spread@1", "--trust-pickle", "--detach", "--token-file", "token",
                       "--host", "127.0.0.1")  # fmt: skip
    assert done.code == 0, done.err
    url = done.out.strip()
    assert "spread@1 is served by its framework, in trainer/sklearn:" in done.err
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{url}/version", timeout=10).status_code == 401
    for path in ("ping", "health"):
        assert requests.get(f"{url}/{path}", timeout=10).ok
    version = requests.get(f"{url}/version", headers=headers, timeout=10).json()
    assert (version["model"], version["framework"].split()[0]) == ("spread@1", "sklearn")
    assert version["served_by"].startswith("sklearn ")
    assert "LabelPropagation" in version["served_by"]
    rows = {"rows": [{"a": 0, "b": 1}, {"a": "3", "b": 0}]}
    said = requests.post(f"{url}/predict", json=rows, headers=headers, timeout=30).json()
    assert [each["class"] for each in said["predictions"]] == ["x", "y"]
    assert sum(said["predictions"][0]["probabilities"].values()) == pytest.approx(1)
    invoked = {"dataframe_records": rows["rows"]}
    said = requests.post(f"{url}/invocations", json=invoked, headers=headers, timeout=30).json()
    assert said == {"predictions": ["x", "y"]}
    wrong = requests.post(f"{url}/predict", json={"rows": [{"a": 1}]}, headers=headers, timeout=30)
    assert (wrong.status_code, wrong.json()["error"]) == (400, "Row 1 has no column 'b'.")
    figures = requests.get(f"{url}/metrics", headers=headers, timeout=10).text
    assert 'model_predictions_total{class="x"}' in figures

    name = container.called(settings.find(lab.root), "spread")
    served = client.containers.get(name)
    host = served.attrs["HostConfig"]
    assert served.attrs["Config"]["Image"].startswith("trainer/sklearn:")
    assert served.attrs["Config"]["User"] == "65534:65534"
    assert host["ReadonlyRootfs"]
    assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
    assert host["Memory"] == host["MemorySwap"] == 2 * 1024**3
    everything = json.dumps(served.attrs)
    assert TOKEN not in everything
    assert "canary" not in everything  # of secrets.env
    script = (
        "import socket\ntry: socket.create_connection(('192.0.2.1', 53), 1)\nexcept OSError: print('no')\n"
        "try: open('/model/logged/why.json', 'a')\nexcept OSError: print('no')"
    )
    code, output = served.exec_run(["python", "-c", script])
    assert isinstance(output, bytes)
    assert (code, output.split()) == (0, [b"no", b"no"])
    assert lab.trainer("serve", "stop", "spread").code == 0
