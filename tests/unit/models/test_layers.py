"""`trainer layers` without an engine: the image's answer is what each test says it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from shown import Shown
from trainer.engine import daemon, one_off
from trainer.engine.one_off import Output
from trainer.errors import ImageError, InvalidInput, TrainerError
from trainer.images import build
from trainer.models import layers
from trainer.models.layers import Question
from trainer.workspace.settings import Workspace
from trainkit.errors import InputError

from unit.helpers import put

if TYPE_CHECKING:
    from trainkit.keras.layer_report import Report

QUESTION = Question("inceptionv3", unfreeze_from="mixed7")
ANSWER = Output(0, '{"backbone": "inceptionv3"}', "noise of TensorFlow", b"<svg/>")


class Image:
    """Answers as it is told, and keeps what it was asked."""

    def __init__(self, answer: Output) -> None:
        self.answer = answer
        self.meanwhile: Callable[[], object] = dict
        self.asked: list[dict[str, object]] = []
        self.commands: list[list[str]] = []

    def run(self, _: object, tag: str, command: list[str], *, fetch: str | None) -> Output:
        assert tag.startswith("trainer/tensorflow:")
        self.commands.append(command[:-1])
        self.asked.append(json.loads(command[-1]))
        assert fetch == self.asked[-1]["drawing"]
        self.meanwhile()
        return self.answer


@pytest.fixture
def image(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Image:
    """The TensorFlow image, which is there and answers."""
    put(workspace.images / "tensorflow" / "image.yaml")
    put(workspace.images / "tensorflow" / "requirements.txt")
    told = Image(ANSWER)
    monkeypatch.setattr(daemon, "connect", lambda: None)
    monkeypatch.setattr(build, "ensure", lambda *_: ("sha256:1", False))
    monkeypatch.setattr(one_off, "run", told.run)
    return told


def ask(
    workspace: Workspace, question: Question = QUESTION, file: Path | None = None, *, force: bool = False
) -> Report:
    return layers.report(workspace, question, Shown(), file, force=force)


def test_the_question_reaches_the_image_and_its_answer_comes_back(workspace: Workspace, image: Image) -> None:
    assert ask(workspace)["backbone"] == "inceptionv3"
    assert image.commands == [["python", "-m", "trainkit.keras.layer_report"]]
    assert image.asked == [
        {
            "backbone": "inceptionv3",
            "image_size": None,
            "unfreeze_from": "mixed7",
            "full": False,
            "drawing": None,
        }
    ]


@pytest.mark.parametrize("name", ["layers.svg", "layers.PNG"])
def test_the_drawing_is_written(workspace: Workspace, image: Image, tmp_path: Path, name: str) -> None:
    ask(workspace, file=tmp_path / name)
    assert (tmp_path / name).read_bytes() == b"<svg/>"
    assert image.asked[0]["drawing"] == f"/tmp/drawing{Path(name).suffix.lower()}"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "site"])


def test_a_file_that_exists_is_replaced_on_request_only(
    workspace: Workspace, image: Image, tmp_path: Path
) -> None:
    file = put(tmp_path / "layers.svg", "mine")
    with pytest.raises(InvalidInput) as caught:
        ask(workspace, file=file)
    assert (caught.value.message, caught.value.hint) == (
        f"{file} exists already.", "Choose another name, or use --force to replace it.",
    )  # fmt: skip
    assert image.asked == []
    assert file.read_text() == "mine"
    ask(workspace, file=file, force=True)
    assert file.read_text() == "<svg/>"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["layers.svg", "site"]


def test_a_file_that_comes_there_meanwhile_is_kept(
    workspace: Workspace, image: Image, tmp_path: Path
) -> None:
    file = tmp_path / "layers.svg"
    image.meanwhile = lambda: put(file, "mine")
    with pytest.raises(InvalidInput, match="exists already"):
        ask(workspace, file=file)
    assert file.read_text() == "mine"


def test_a_dangling_link_counts_as_a_file(workspace: Workspace, image: Image, tmp_path: Path) -> None:
    file = tmp_path / "layers.svg"
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidInput, match="exists already"):
        ask(workspace, file=file)
    assert image.asked == []


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        (
            "layers.pdf",
            "{file} is not a valid file name for a drawing.",
            "Specify a file that ends in .png or .svg.",
        ),
        (
            "layers",
            "{file} is not a valid file name for a drawing.",
            "Specify a file that ends in .png or .svg.",
        ),
        ("gone/layers.svg", "There is no folder {file.parent}.", "Make it first, or choose another one."),
        ("folder.svg", "{file} is a folder.", "Specify a file."),
    ],
)
def test_a_file_that_cannot_be_is_refused_before_anything_starts(
    workspace: Workspace, image: Image, tmp_path: Path, name: str, message: str, hint: str
) -> None:
    (tmp_path / "folder.svg").mkdir()
    file = tmp_path / name
    with pytest.raises(InvalidInput) as caught:
        ask(workspace, file=file, force=True)
    assert (caught.value.message, caught.value.hint) == (message.format(file=file), hint)
    assert image.asked == []


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question("inceptionv4"), "There is no backbone inceptionv4."),
        (Question("inceptionv3", 74), "InceptionV3 cannot work on images of 74 by 74 pixels."),
        (Question("inceptionv3", unfreeze_from="mixd7"), "InceptionV3 has no block mixd7 to train from."),
    ],
)
def test_a_question_that_cannot_be_is_refused_before_anything_starts(
    workspace: Workspace, image: Image, question: Question, message: str
) -> None:
    with pytest.raises(InputError) as caught:
        ask(workspace, question)
    assert caught.value.message == message
    assert image.asked == []


def failure(workspace: Workspace, kind: type[TrainerError], file: Path | None = None) -> tuple[str, str]:
    with pytest.raises(TrainerError) as caught:
        ask(workspace, file=file)
    assert type(caught.value) is kind
    return caught.value.message, caught.value.hint


def test_what_the_image_refuses_is_reported_in_its_words(workspace: Workspace, image: Image) -> None:
    image.answer = Output(2, '{"message": "Too high.", "hint": "Specify an .svg."}', "noise of TensorFlow")
    assert failure(workspace, InvalidInput) == ("Too high.", "Specify an .svg.")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Output(1, "", "noise\nModuleNotFoundError: No module named 'pydot'\n\n"),
         "ModuleNotFoundError: No module named 'pydot'"),
        (Output(137, "", ""), "exit code 137"),
        (Output(2, "", "usage: python"), "usage: python"),
        (Output(0, "not json", ""), "exit code 0"),
    ],
)  # fmt: skip
def test_an_image_that_fails_is_named_with_the_reason(
    workspace: Workspace, image: Image, answer: Output, reason: str
) -> None:
    image.answer = answer
    message, hint = failure(workspace, ImageError)
    assert message.startswith("The layers could not be read in trainer/tensorflow:")
    assert message.endswith(f": {reason}")
    assert hint == "Rebuild the image: trainer build-image tensorflow --no-cache"


def test_a_drawing_that_did_not_come_is_an_error(workspace: Workspace, image: Image, tmp_path: Path) -> None:
    image.answer = Output(0, '{"backbone": "inceptionv3"}', "", None)
    message, _ = failure(workspace, ImageError, tmp_path / "layers.svg")
    assert message.endswith("it drew nothing")
    assert not (tmp_path / "layers.svg").exists()


def test_without_an_engine_there_is_the_engines_error(workspace: Workspace) -> None:
    put(workspace.images / "tensorflow" / "image.yaml")
    message, _ = failure(workspace, daemon.EngineUnavailable)
    assert message.startswith("No Docker engine answers at ")


def test_a_workspace_without_the_image_says_so(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon, "connect", lambda: None)
    assert failure(workspace, InvalidInput)[0] == "There is no trainer image tensorflow."
