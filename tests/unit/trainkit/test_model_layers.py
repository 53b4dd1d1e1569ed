import json
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from trainkit.models import model_layers
from trainkit.models.model_layers import Layer, ModelLayers


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    files: dict[str, str] = {}

    def log_text(text: str, name: str) -> None:
        files[name] = text

    monkeypatch.setattr("trainkit.models.model_layers.mlflow.log_text", log_text)
    return files


def layer(name: str, inside: str = "", shape: list[int | None] | None = None, parameters: int = 0) -> Layer:
    return Layer(
        name=name, type="Dense", inside=inside, output_shape=shape, parameters=parameters, trains=parameters
    )


def test_the_steps_of_a_pipeline_are_logged(
    logged: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    model_layers.log(make_pipeline(StandardScaler(), LogisticRegression()))
    assert capsys.readouterr().out == "Pipeline: 2 steps\n"
    lines = logged["layers.txt"].splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [
        ["standardscaler", "StandardScaler"],
        ["logisticregression", "LogisticRegression"],
    ]


def test_an_estimator_alone_is_its_only_step() -> None:
    assert [row["name"] for row in model_layers.of(LogisticRegression())["layers"]] == ["LogisticRegression"]


def test_a_script_that_is_asked_for_its_layers_ends_there_and_logs_nothing(
    logged: dict[str, str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINER_LAYERS", "mark ")
    print("half a line", end="")
    with pytest.raises(SystemExit) as ended:
        model_layers.log(LogisticRegression())
    assert not ended.value.code
    assert not logged
    last = capsys.readouterr().out.splitlines()[-1]
    assert json.loads(last.removeprefix("mark "))["framework"] == "sklearn"


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(TypeError, match="is no model of"):
        model_layers.of(Path())


def test_layers_inside_of_others_are_indented() -> None:
    rows = [layer("pixels", shape=[8, None, 3]), layer("head", parameters=1234), layer("dense", "head", [4])]
    assert list(model_layers.table(rows)) == [
        "layer    type   output shape  parameters",
        "pixels   Dense  8 x ? x 3              0",
        "head     Dense                     1,234",
        "  dense  Dense  4                      0",
    ]


def test_the_summary_says_what_trains_where_that_is_not_all() -> None:
    model = ModelLayers(name="m", framework="keras", parameters=1234, trains=1234, layers=[layer("a")])
    assert model_layers.summary(model) == "m: 1 layers, 1,234 parameters"
    assert model_layers.summary({**model, "trains": 4}) == "m: 1 layers, 1,234 parameters, 4 of them train"
