import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support import REPOSITORY
from trainer.cli.layers import complete_backbone, complete_block
from trainer.cli.layers import layers as command
from trainer.models import layers
from trainer.models.layers import Question
from trainer.projects import sources
from trainer.workspace import settings
from trainkit.keras.architectures import BACKBONES

from unit.helpers import DEAD_ENGINE, Result

if TYPE_CHECKING:
    from trainkit.keras.layer_report import BlockRow, LayerRow, Report, State

PROJECTS = sources.names(settings.find(REPOSITORY))
Trainer = Callable[..., Result]


def block(
    name: str, first: int, last: int, parameters: int, trains: int, state: "State | None"
) -> "BlockRow":
    return {
        "name": name, "first": first, "last": last, "layers": last - first + 1, "output_shape": [9, 9, 64],
        "parameters": parameters, "trains_from_here": trains, "state": state,
    }  # fmt: skip


def layer(index: int, name: str, kind: str, block: str, parameters: int, state: "State | None") -> "LayerRow":
    return {
        "index": index, "name": name, "type": kind, "block": block, "output_shape": [9, 9, 64],
        "parameters": parameters, "inputs": [index - 1], "state": state,
    }  # fmt: skip


def report(unfreeze_from: str | None) -> "Report":
    """A small network."""
    on = unfreeze_from is not None
    return {
        "backbone": "inceptionv3", "title": "InceptionV3", "image_size": 299, "features": 2048, "layers": 4,
        "parameters": 2_000_000, "unfreeze_from": unfreeze_from, "first_trained": 2 if on else None,
        "trains": 1_500_000 if on else None,
        "blocks": [
            block("stem", 0, 1, 500_000, 1_999_000, "frozen" if on else None),
            block("mixed0", 2, 2, 1_500_000, 1_500_000, "trains" if on else None),
            block("pool", 3, 3, 0, 0, "no weights" if on else None),
        ],
        "all_layers": [
            layer(0, "input_layer", "InputLayer", "stem", 0, "no weights" if on else None),
            layer(1, "batch_normalization", "BatchNormalization", "stem", 500_000, "frozen" if on else None),
            layer(2, "conv2d", "Conv2D", "mixed0", 1_500_000, "trains" if on else None),
            layer(3, "pooling", "GlobalAveragePooling2D", "pool", 0, "no weights" if on else None),
        ],
    }  # fmt: skip


@dataclass
class UseCase:
    """Stands for `layers.report` and keeps what it was asked."""

    asked: list[tuple[Question, Path | None, bool]] = field(default_factory=list)

    def report(
        self, _: object, question: Question, __: object, output: Path | None, *, force: bool
    ) -> "Report":
        self.asked.append((question, output, force))
        return report(question.unfreeze_from)


@pytest.fixture
def use_case(monkeypatch: pytest.MonkeyPatch) -> UseCase:
    """The answer is that of a small network."""
    told = UseCase()
    monkeypatch.setattr(layers, "report", told.report)
    return told


def test_the_blocks_are_a_table(trainer: Trainer, use_case: UseCase) -> None:
    done = trainer("layers", "inceptionv3")
    assert (done.code, done.err) == (0, "")
    assert [line.rstrip() for line in done.out.splitlines()] == [
        "BLOCK   LAYERS  COUNT  OUTPUT  PARAMETERS   TRAINS FROM HERE",
        "stem    0–1         2  9×9×64     500,000   1,999,000  100.0%",  # noqa: RUF001
        "mixed0  2           1  9×9×64   1,500,000   1,500,000  75.0%",  # noqa: RUF001
        "pool    3           1  9×9×64           0",  # noqa: RUF001
        "",
        "InceptionV3: 4 layers, 2,000,000 parameters; 299×299×3 → 2,048 features",  # noqa: RUF001
        "TRAINS FROM HERE: with this block and all after it unfrozen.",
        "Batch normalisations stay frozen.",
    ]
    assert use_case.asked == [(Question("inceptionv3"), None, False)]


def test_what_trains_is_in_the_table_when_it_is_asked_for(trainer: Trainer, use_case: UseCase) -> None:
    done = trainer("layers", "inceptionv3", "--unfreeze-from", "mixed0", "-o", "a.svg", "--force")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0][-1] == "STATE"
    assert [line[-1] for line in lines[1:3]] == ["frozen", "trains"]
    assert "Unfrozen from mixed0: 1,500,000 parameters train (75.0%)." in done.out
    assert done.out.endswith("\nDrawing: a.svg\n")
    assert use_case.asked == [(Question("inceptionv3", unfreeze_from="mixed0"), Path("a.svg"), True)]


def test_each_layer_is_listed_under_its_block(trainer: Trainer, use_case: UseCase) -> None:
    done = trainer("layers", "inceptionv3", "--full", "--unfreeze-from", "2", "--image-size", "96")
    assert [line.split() for line in done.out.splitlines()[:8]] == [
        ["#", "NAME", "TYPE", "OUTPUT", "PARAMS"],
        ["──", "stem"],
        ["0", "input_layer", "InputLayer", "9×9×64"],  # noqa: RUF001
        ["1", "○", "batch_normalization", "BatchNormalization", "9×9×64", "500,000"],  # noqa: RUF001
        ["──", "mixed0"],
        ["2", "●", "conv2d", "Conv2D", "9×9×64", "1,500,000"],  # noqa: RUF001
        ["──", "pool"],
        ["3", "pooling", "GlobalAveragePooling2D", "9×9×64"],  # noqa: RUF001
    ]
    assert "● trains   ○ stays frozen" in done.out
    assert "The last 2 layers unfrozen: 1,500,000 parameters train (75.0%)." in done.out
    assert use_case.asked == [(Question("inceptionv3", 96, "2", full=True), None, False)]


@pytest.mark.parametrize("full", [False, True])
def test_json_is_the_report(trainer: Trainer, use_case: UseCase, full: bool) -> None:
    done = trainer("layers", "inceptionv3", "--json", "-o", "a.png", *(["--full"] if full else []))
    payload = json.loads(done.out)
    expected = {**report(None), "drawing": "a.png"}
    if not full:
        del expected["all_layers"]
    assert payload == expected
    assert len(use_case.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("inceptionv4", "There is no backbone inceptionv4.", "Did you mean inceptionv3?"),
        ("inceptionv3 --image-size 74", "InceptionV3 cannot work on images of 74 by 74 pixels.",
         "Take 75 at least; it was made for 299."),
        ("inceptionv3 --unfreeze-from mixd7", "InceptionV3 has no block mixd7 to train from.",
         "Did you mean mixed7? Or use all, none, or a number of last layers."),
        ("inceptionv3 -o layers.pdf", "layers.pdf is not a valid file name for a drawing.",
         "Specify a file that ends in .png or .svg."),
        ("", "Missing argument 'NAME'.", "trainer layers --help"),
        ("inceptionv3 --image-size 0", "Invalid value for '--image-size': 0 is not in the range x>=1.",
         "trainer layers --help"),
    ],
)  # fmt: skip
def test_bad_input_is_reported_in_two_lines(
    trainer: Trainer, arguments: str, message: str, hint: str
) -> None:
    done = trainer("layers", *arguments.split())
    assert (done.code, done.out, done.err) == (2, "", f"Error: {message}\nHint:  {hint}\n")


def test_without_an_engine(trainer: Trainer) -> None:
    done = trainer("layers", "inceptionv3")
    assert (done.code, done.out) == (82, "")
    assert done.err.startswith(f"Error: No Docker engine answers at {DEAD_ENGINE}.\nHint:  ")


def test_the_help_names_every_backbone(trainer: Trainer) -> None:
    output = trainer("layers", "--help").out
    assert all(name in output for name in BACKBONES)
    assert "trainer layers inceptionv3 --unfreeze-from mixed7 -o layers.png" in output


def offered(words: list[str], incomplete: str, *, of_blocks: bool) -> list[str]:
    context = command.make_context("layers", words, resilient_parsing=True)
    complete = complete_block if of_blocks else complete_backbone
    return [item.value for item in complete(context, command.params[0], incomplete)]


def test_backbones_and_their_blocks_are_completed() -> None:
    assert offered([], "inc", of_blocks=False) == ["inceptionv3"]
    assert offered([], "", of_blocks=False) == [
        "inceptionv3", "efficientnetb0", *(name for name in PROJECTS if name not in BACKBONES)
    ]  # fmt: skip
    assert offered(["inceptionv3"], "mixed1", of_blocks=True) == ["mixed1", "mixed10"]
    assert offered(["efficientnetb0"], "block6", of_blocks=True) == [
        "block6a",
        "block6b",
        "block6c",
        "block6d",
    ]
    assert offered([], "a", of_blocks=True) == ["all"]
    assert "pool" not in offered(["inceptionv3"], "", of_blocks=True)
