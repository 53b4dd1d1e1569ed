"""Reports and drawings of backbones. Run in the tensorflow image, which has graphviz."""

from __future__ import annotations

import functools
import html
import json
import re
from pathlib import Path

import keras
import pytest
from PIL import Image
from trainkit.errors import InputError
from trainkit.keras import layer_drawing, layer_report
from trainkit.keras.layer_report import Report, Request
from trainkit.models import model_layers

GREEN = layer_drawing.FILLS["trains"]


def request(backbone: str = "inceptionv3", unfreeze_from: str | None = None) -> Request:
    return Request(backbone=backbone, image_size=None, unfreeze_from=unfreeze_from, full=False, drawing=None)


@functools.cache
def report(backbone: str = "inceptionv3", unfreeze_from: str | None = None) -> Report:
    """The answer to a request. It is shared."""
    return layer_report.answer(request(backbone, unfreeze_from))


def states(found: Report) -> dict[str, str | None]:
    return {block["name"]: block["state"] for block in found["blocks"]}


@pytest.mark.parametrize(
    ("backbone", "size", "features", "layers", "parameters"),
    [("inceptionv3", 299, 2048, 312, 21_802_784), ("efficientnetb0", 224, 1280, 239, 4_049_571)],
)
def test_a_backbone_has_the_size_it_was_made_for(
    backbone: str, size: int, features: int, layers: int, parameters: int
) -> None:
    result = report(backbone)
    assert (result["image_size"], result["features"]) == (size, features)
    assert result["layers"] == len(result["all_layers"]) == layers
    assert result["parameters"] == sum(layer["parameters"] for layer in result["all_layers"]) == parameters
    assert result["parameters"] == sum(block["parameters"] for block in result["blocks"])
    assert {result["trains"], result["first_trained"], *states(result).values()} == {None}


def test_a_block_says_what_trains_from_there() -> None:
    blocks = {block["name"]: block for block in report()["blocks"]}
    assert blocks["mixed7"] == {
        "name": "mixed7", "first": 197, "last": 228, "layers": 32, "output_shape": [17, 17, 768],
        "parameters": 2_143_872, "trains_from_here": 14_942_208, "state": None,
    }  # fmt: skip
    assert blocks["pool"]["trains_from_here"] == 0
    # What unfreezing makes of the model itself is compared in test_backbones.
    assert report("inceptionv3", "mixed7")["trains"] == 14_942_208


def test_a_block_trains_in_full_in_part_or_not_at_all() -> None:
    from_block = states(report("inceptionv3", "mixed7"))
    assert from_block["mixed6"] == "frozen"
    assert [from_block[f"mixed{n}"] for n in range(7, 11)] == ["trains"] * 4
    assert from_block["pool"] == "no weights"
    in_the_middle = states(report("inceptionv3", "100"))
    assert (in_the_middle["mixed6"], in_the_middle["mixed7"], in_the_middle["mixed8"]) == (
        "frozen", "partly", "trains",
    )  # fmt: skip
    assert set(states(report("inceptionv3", "none")).values()) == {"frozen", "no weights"}


def test_a_batch_normalisation_stays_frozen_where_all_trains() -> None:
    kinds: dict[str | None, set[str]] = {}
    for layer in report("inceptionv3", "all")["all_layers"]:
        kinds.setdefault(layer["state"], set()).add(layer["type"])
    assert kinds["trains"] == {"Conv2D"}
    assert kinds["frozen"] == {"BatchNormalization"}
    assert "Concatenate" in kinds["no weights"]


def test_a_layer_says_what_it_is_made_from() -> None:
    layers = report()["all_layers"]
    assert layers[0]["inputs"] == []
    mixed = layers[40]
    assert (mixed["name"], mixed["type"], mixed["block"]) == ("mixed0", "Concatenate", "mixed0")
    assert [layers[index]["type"] for index in mixed["inputs"]] == ["Activation"] * 4
    assert all(layer["inputs"] and max(layer["inputs"]) < layer["index"] for layer in layers[1:])


@pytest.mark.parametrize("backbone", ["inceptionv3", "efficientnetb0"])
def test_the_blocks_are_drawn_on_a_page(backbone: str, tmp_path: Path) -> None:
    layer_drawing.draw(report(backbone), tmp_path / "blocks.png", full=False)
    with Image.open(tmp_path / "blocks.png") as picture:
        picture.load()
        width, height = picture.size
    assert 1.2 < height / width < 1.6, "the proportions of a page"
    assert 1000 < width < 2000


def drawn(found: Report, folder: Path, *, full: bool) -> str:
    layer_drawing.draw(found, folder / "drawing.svg", full=full)
    return (folder / "drawing.svg").read_text()


def texts(svg: str) -> list[str]:
    return [" ".join(html.unescape(text).split()) for text in re.findall(r">([^<>\n]+)</text>", svg)]


def test_the_drawing_of_blocks_says_what_the_report_says(tmp_path: Path) -> None:
    output = texts(drawn(report("inceptionv3", "mixed7"), tmp_path, full=False))
    assert output[0] == "InceptionV3"
    assert "312 layers, 21.80 M parameters; 299 × 299 × 3 pixels → 2,048 features" in output  # noqa: RUF001
    assert "unfrozen from mixed7" in output
    assert ": 14.94 M parameters train (68.5%)" in output
    for block in report()["blocks"]:
        assert block["name"] in output
    place = output.index("mixed7")
    assert output[place : place + 6] == [
        "mixed7", "197 – 228", "17 × 17 × 768", "2.14 M", "14.94 M", "69%"  # noqa: RUF001
    ]  # fmt: skip
    assert {"trains", "stays frozen", "has no weights"} <= set(output)
    assert "trains in part" not in output


def test_what_trains_is_green(tmp_path: Path) -> None:
    # One patch of each colour is the legend's.
    assert drawn(report("inceptionv3", "mixed7"), tmp_path, full=False).count(f'fill="{GREEN}"') == 1 + 4
    assert drawn(report("inceptionv3", "all"), tmp_path, full=False).count(f'fill="{GREEN}"') == 1 + 12
    assert GREEN not in drawn(report("inceptionv3", "none"), tmp_path, full=False)
    assert GREEN not in drawn(report(), tmp_path, full=False)


@pytest.mark.parametrize("backbone", ["inceptionv3", "efficientnetb0"])
def test_all_layers_are_drawn_with_their_connections(backbone: str, tmp_path: Path) -> None:
    result = report(backbone)
    svg = drawn(result, tmp_path, full=True)
    output = texts(svg)
    assert all(f"{layer['index']} {layer['name']}" in output for layer in result["all_layers"])
    assert svg.count('class="node"') == result["layers"]
    assert svg.count('class="edge"') == sum(len(layer["inputs"]) for layer in result["all_layers"])
    assert svg.count('class="cluster"') == len(result["blocks"])


def test_a_png_that_no_program_could_show_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        layer_drawing.draw(report(), tmp_path / "all.png", full=True)
    assert re.fullmatch(
        r"The drawing would be 3\d,\d{3} pixels high, too many for a PNG \(at most 32,000\)\.",
        caught.value.message,
    )
    assert caught.value.hint == "Specify a file that ends in .svg."
    assert list(tmp_path.iterdir()) == []


def test_the_answer_is_printed_as_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {
        **request("efficientnetb0", "block6a"),
        "image_size": 32,
        "drawing": str(tmp_path / "blocks.svg"),
    }
    monkeypatch.setattr("sys.argv", ["layer_report", json.dumps(asked)])
    layer_report.main()
    payload = json.loads(capsys.readouterr().out)
    assert (payload["backbone"], payload["image_size"], payload["first_trained"]) == (
        "efficientnetb0",
        32,
        163,
    )
    assert "unfrozen from block6a" in (tmp_path / "blocks.svg").read_text()


def test_a_request_that_cannot_be_is_a_refusal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["layer_report", json.dumps(request("inceptionv3", "mixd7"))])
    with pytest.raises(SystemExit) as ended:
        layer_report.main()
    assert ended.value.code == layer_report.REFUSED
    assert json.loads(capsys.readouterr().out) == {
        "message": "InceptionV3 has no block mixd7 to train from.",
        "hint": "Did you mean mixed7? Or use all, none, or a number of last layers.",
    }


def test_the_layers_of_any_model_with_those_inside_of_others() -> None:
    head = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dropout(0.5), keras.layers.Dense(4)], name="head"
    )
    pixels = keras.Input((6, 6, 1), name="pixels")
    frozen = keras.layers.Conv2D(8, 3, name="conv", trainable=False)
    outputs = head(keras.layers.GlobalAveragePooling2D(name="pool")(frozen(pixels)))
    found = model_layers.of(keras.Model(pixels, outputs, name="net"))
    assert (found["framework"], found["parameters"], found["trains"]) == ("keras", 116, 36)
    shapes = {row["name"]: (row["inside"], row["output_shape"], row["parameters"]) for row in found["layers"]}
    assert shapes["pixels"] == ("", [6, 6, 1], 0)
    assert shapes["conv"] == ("", [4, 4, 8], 80)
    assert shapes["head"] == ("", [4], 36)
    assert [row[:2] for name, row in shapes.items() if name.startswith("dense")] == [("head", [4])]


def test_a_model_whose_layers_were_not_called_has_no_shapes() -> None:
    found = model_layers.of(keras.Sequential([keras.layers.Dense(4, name="a")]))
    assert [(row["name"], row["output_shape"], row["parameters"]) for row in found["layers"]] == [
        ("a", None, 0)
    ]
