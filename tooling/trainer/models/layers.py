"""What a backbone consists of: asked of Keras itself, in a container of the TensorFlow image."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from trainkit.keras import architectures

from trainer import atomic_files
from trainer.engine import daemon, one_off
from trainer.errors import ImageError, InvalidInput
from trainer.images import build, spec, trainer_image
from trainer.progress import Steps
from trainer.subprocesses import interruptible
from trainer.workspace.settings import Workspace

if TYPE_CHECKING:
    from trainkit.keras.layer_report import Report

IMAGE = "tensorflow"
SUFFIXES = (".png", ".svg")
_REFUSED = 2  # what trainkit.keras.layer_report ends with when the question itself is wrong


@dataclass(frozen=True)
class Question:
    """Which backbone, for images of which size (None: its own), unfrozen from where (None: not said).

    `full` draws each layer, and not the blocks.
    """

    backbone: str
    image_size: int | None = None
    unfreeze_from: str | None = None
    full: bool = False


def report(
    workspace: Workspace,
    question: Question,
    screen: Steps,
    output: Path | None = None,
    *,
    force: bool = False,
) -> Report:
    """The report, and with `output` a drawing in that file. The image is built if it is missing.

    Raises `InputError` for a question that cannot be and `InvalidInput` for a file that cannot be written,
    both before anything is started; `EngineError`, `ImageError`. An existing file is replaced with `force`
    only.
    """
    backbone = architectures.backbone(question.backbone)
    architectures.check(
        backbone.name, question.image_size or backbone.image_size, question.unfreeze_from or "none"
    )
    if output:
        _check_output(output, force=force)
    with interruptible():
        client = daemon.connect()
        image = trainer_image.plan(workspace, spec.spec(workspace, IMAGE))
        screen.step(f"Building {image.tag}")
        build.ensure(workspace, client, image, screen)
        screen.step(f"Reading the layers of {backbone.title}")
        drawing = f"/tmp/drawing{output.suffix.lower()}" if output else None  # noqa: S108 (the container's)
        request = json.dumps({**asdict(question), "drawing": drawing})
        answer = one_off.run(
            client, image.tag, ["python", "-m", "trainkit.keras.layer_report", request], fetch=drawing
        )
        layer_report = _parsed(answer, image.tag)
        if output:
            if answer.file is None:
                raise _failed(image.tag, "it drew nothing")
            _write(output, answer.file, force=force)
        return layer_report


def _parsed(answer: one_off.Output, tag: str) -> Report:
    try:
        payload = json.loads(answer.out)
    except ValueError:
        payload = None
    if payload and answer.code == 0:
        return cast("Report", payload)
    if payload and answer.code == _REFUSED:
        raise InvalidInput(payload["message"], payload["hint"])
    lines = answer.err.strip().splitlines()
    raise _failed(tag, lines[-1] if lines else f"exit code {answer.code}")


def _failed(tag: str, reason: str) -> ImageError:
    return ImageError(
        f"The layers could not be read in {tag}: {reason}",
        f"Rebuild the image: trainer build-image {IMAGE} --no-cache",
    )


def _check_output(file: Path, *, force: bool) -> None:
    if file.suffix.lower() not in SUFFIXES:
        raise InvalidInput(
            f"{file} is not a valid file name for a drawing.",
            f"Specify a file that ends in {' or '.join(SUFFIXES)}.",
        )
    if not file.parent.is_dir():
        raise InvalidInput(f"There is no folder {file.parent}.", "Make it first, or choose another one.")
    if file.is_dir():
        raise InvalidInput(f"{file} is a folder.", "Specify a file.")
    if os.path.lexists(file) and not force:
        raise _taken(file)
    if not os.access(file.parent, os.W_OK):
        raise InvalidInput(f"You may not write into the folder {file.parent}.", "Choose another one.")


def _write(file: Path, content: bytes, *, force: bool) -> None:
    """All of it or nothing, and never over a file that came there in the meantime."""
    unfinished = atomic_files.beside(file)
    try:
        try:
            unfinished.write_bytes(content)
            if force:
                unfinished.replace(file)
            else:
                atomic_files.rename(unfinished, file)
        finally:
            unfinished.unlink(missing_ok=True)
    except FileExistsError:
        raise _taken(file) from None
    except OSError as error:
        raise InvalidInput(f"{file} cannot be written: {error.strerror}.", "Choose another place.") from None


def _taken(file: Path) -> InvalidInput:
    return InvalidInput(f"{file} exists already.", "Choose another name, or use --force to replace it.")
