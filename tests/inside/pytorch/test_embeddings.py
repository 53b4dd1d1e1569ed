"""Categories of a table as embeddings, from raw rows to each form of the model. Run in the pytorch image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skops.io
import torch
from mlflow.entities import Run
from numpy.typing import NDArray
from torch import Tensor
from trainkit import run_environment
from trainkit.errors import InputError
from trainkit.torch import embeddings, export, training
from trainkit.torch import layers as torch_layers
from trainkit.torch import network as torch_network
from trainkit.torch.model import Model, Scale
from trainkit.torch.training import Settings

TOWNS = [f"town{n:02}" for n in range(30)]


@pytest.fixture
def shops(data: Path) -> Path:
    """Whether a shop is open is up to its town, of which there are 30; `kind` has missing cells, too."""
    random = np.random.default_rng(0)
    rows = ["size,town,kind,state"]
    for i in range(900):
        place = random.integers(0, 30)
        kind = "" if i % 20 == 3 else ("food", "books")[random.integers(0, 2)]
        rows.append(f"{random.normal():.4f},{TOWNS[place]},{kind},{'open' if place % 3 else 'shut'}")
    path = data / "shops.csv"
    path.write_text("\n".join(rows))
    return path


OPTIONS = {"data": "shops.csv", "categories": "embedding", "epochs": 12, "learning_rate": 0.01}


def folder_of(run: Run) -> Path:
    return Path(mlflow.artifacts.download_artifacts(run_id=run.info.run_id))


@pytest.mark.parametrize(("count", "width"), [(0, 2), (1, 3), (30, 11), (50_000, 600)])
def test_the_width_is_by_the_rule_of_fast_ai(count: int, width: int) -> None:
    [made] = embeddings.of({"town": [str(number) for number in range(count)]})
    assert (made.vectors, made.width) == (count + 2, width)


def test_categories_are_learnt_as_vectors_and_every_model_takes_them(
    run_project: Callable[..., Run], shops: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_project(**OPTIONS)
    output = capsys.readouterr().out
    for line in (
        "town    category        -  embedding, 30 categories",
        "kind    category       45  embedding, 2 categories, missing as one more",
    ):
        assert line in output
    told = [" ".join(line.split()) for line in output.splitlines()]
    for line in (
        "input 3",
        "town: Embedding(32, 11) 11 352",
        "kind: Embedding(4, 3) 3 12",
        "numbers and embeddings 15",
        "1 Linear(out_features=64) 64 1,024",
    ):
        assert line in told
    assert run.data.metrics["validation_accuracy"] > 0.95
    assert run.data.metrics["onnx_max_difference"] < 1e-5

    folder = folder_of(run)
    layers = [line.split() for line in (folder / "layers.txt").read_text().splitlines()]
    assert ["embeddings", "Embeddings", "15", "364"] in layers
    assert ["embeddings.town", "Embedding(32,", "11)", "11", "352"] in layers
    raw = pd.read_csv(shops).drop(columns="state")
    model = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model")
    answers = model.predict(raw)
    assert (answers.idxmax(axis=1) == pd.read_csv(shops)["state"]).mean() > 0.95
    trusted = skops.io.get_untrusted_types(file=folder / "preprocessing.skops")
    numbers = skops.io.load(folder / "preprocessing.skops", trusted=trusted).transform(raw)
    weights = export.load(folder / "model.pt")
    assert np.allclose(weights(torch.from_numpy(numbers)).detach().numpy(), answers, atol=1e-6)
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"input": numbers})[0], answers, atol=1e-5)


def test_unknown_and_missing_categories_have_a_vector_of_their_own(
    run_project: Callable[..., Run], shops: Path
) -> None:
    assert shops.is_file()
    run = run_project(**OPTIONS | {"epochs": 2})
    folder = folder_of(run)
    before = skops.io.load(
        folder / "preprocessing.skops",
        trusted=skops.io.get_untrusted_types(file=folder / "preprocessing.skops"),
    )
    row = {"size": 0.0, "town": "town05", "kind": "food"}
    changed: list[dict[str, object]] = [{}, {"kind": "toys"}, {"kind": None}, {"town": "x"}, {"town": None}]
    raw = pd.DataFrame([row | change for change in changed])
    assert before.transform(raw)[:, 1:].tolist() == [[5, 1], [5, -2], [5, -1], [-2, 1], [-2, 1]]
    tables = export.load(folder / "model.pt").network[0].tables
    assert [table.weight[0].abs().sum().item() for table in tables] == [0, 0], "the unknown one"
    assert tables[1].weight[1].abs().sum().item() > 0, "the missing one is learnt"
    answers = mlflow.pyfunc.load_model(f"runs:/{run.info.run_id}/model").predict(raw)
    assert np.isfinite(answers.to_numpy()).all()
    assert len(answers.drop_duplicates()) == 4, "a missing town is one that training has not seen"


def test_numbers_that_are_names_are_embedded(run_project: Callable[..., Run], data: Path) -> None:
    rows = [f"{i % 7 + 0.5},{i % 3},{'odd' if i % 3 else 'even'}" for i in range(120)]
    (data / "codes.csv").write_text("\n".join(["size,code,kind", *rows]))
    run = run_project(
        data="codes.csv", categorical="code", categories="embedding", epochs=12, learning_rate=0.02
    )
    assert run.data.metrics["validation_accuracy"] == 1
    saved = torch.load(folder_of(run) / "model.pt", weights_only=True)
    assert saved["categories"] == {"code": ["0.0", "1.0", "2.0"]}


def test_two_runs_are_the_same_to_the_last_bit(run_project: Callable[..., Run], shops: Path) -> None:
    assert shops.is_file()
    first, second = (run_project(**OPTIONS | {"epochs": 2}).data.metrics for _ in range(2))
    assert first["val_loss"] == second["val_loss"]


def test_a_table_without_categories_has_nothing_to_embed(
    run_project: Callable[..., Run], data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "numbers.csv").write_text(
        "\n".join(["a,b", *(f"{i % 7 + 0.5},{'xy'[i % 2]}" for i in range(60))])
    )
    run_project(data="numbers.csv", categories="embedding", epochs=1)
    assert "Embedding(" not in capsys.readouterr().out


class Coded:
    """A number, and a category that decides."""

    def __init__(self, count: int) -> None:
        generator = torch.Generator().manual_seed(count)
        self.target = torch.randint(0, 2, (count,), generator=generator)
        noise = torch.randn(count, generator=generator, dtype=torch.float64)
        self.features = torch.stack([noise, self.target.double()], dim=1)

    def __len__(self) -> int:
        return len(self.features)

    def inputs(self, positions: NDArray[np.int64]) -> Tensor:
        return self.features[torch.from_numpy(positions)]


def test_a_training_that_was_cut_off_goes_on_with_its_embeddings(tmp_path: Path) -> None:
    def fitted(folder: str, *epochs: int) -> dict[str, Tensor]:
        for last in epochs:
            torch.manual_seed(0)
            layers = torch_layers.parse("- Linear: 4\n- ReLU\n- Linear: classes", 2)
            network = torch_network.build(layers, (2,), 2, 8, {"kind": ["a", "b"]})
            model = Model(network, "CrossEntropyLoss", Scale(torch.zeros(1), torch.ones(1)))
            settings = Settings("Adam", 0.01, 0.9, batch_size=8, epochs=last, patience=0, seed=0)
            training.fit(model, Coded(40), Coded(20), settings, lambda *_: None, tmp_path / folder)
        state: dict[str, Tensor] = model.state_dict()
        return state

    at_once, in_parts = fitted("at once", 3), fitted("in parts", 1, 3)
    assert any(name.endswith("tables.0.weight") for name in at_once)
    assert all(torch.equal(value, in_parts[name]) for name, value in at_once.items())


def further(monkeypatch: pytest.MonkeyPatch, earlier: Run) -> None:
    monkeypatch.setenv(run_environment.WARM_START, str(folder_of(earlier) / "model.pt"))
    monkeypatch.setenv(run_environment.WARM_START_RUN, earlier.info.run_id)


def test_a_warm_start_begins_with_the_embeddings(
    run_project: Callable[..., Run],
    shops: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert shops.is_file()
    earlier = run_project(**OPTIONS)
    further(monkeypatch, earlier)
    run = run_project(**OPTIONS | {"epochs": 1})
    assert "warm start: the weights of the run" in capsys.readouterr().out
    assert run.data.metrics["val_loss"] < 0.2


@pytest.mark.parametrize(
    ("options", "town", "message", "hint"),
    [
        (
            {"categories": "one-hot"},
            "town00",
            "The earlier run had --categories embedding, and this one has one-hot.",
            "Use --categories embedding.",
        ),
        (
            {},
            "another",
            "The table has other columns or categories than that of the earlier run: "
            "town_another, and it had town_town00.",
            "Give it a table with the same ones.",
        ),
    ],
)
def test_a_warm_start_of_another_table_or_another_network_is_refused(
    run_project: Callable[..., Run],
    shops: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, object],
    town: str,
    message: str,
    hint: str,
) -> None:
    further(monkeypatch, run_project(**OPTIONS | {"epochs": 1}))
    shops.write_text(shops.read_text().replace("town00", town))
    with pytest.raises(InputError) as caught:
        run_project(**OPTIONS | options)
    assert (caught.value.message, caught.value.hint) == (message, hint)
