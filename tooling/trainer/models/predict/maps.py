"""Pictures of what a model saw: an occlusion map beside each answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer import atomic_files
from trainer.errors import InvalidInput
from trainer.models.predict.sources import Source

if TYPE_CHECKING:
    from trainkit.inference.predictor import Pixels, Predictor

_SUFFIX = ".occlusion.png"


def plan(given: Sequence[Source], folder: Path) -> list[Path]:
    """The file for each picture, by its path in the folder that was given.

    Raises `InvalidInput` where one exists.
    """
    planned: dict[Path, None] = {}
    for source in given:
        path, number = folder / source.inside.with_suffix(_SUFFIX), 2
        while path in planned:
            path, number = folder / source.inside.with_suffix(f".{number}{_SUFFIX}"), number + 1
        planned[path] = None
    for path in planned:
        if path.exists() or path.is_symlink():
            raise InvalidInput(f"{path} exists.", "Move it away, or use another folder: -o DIR")
    return list(planned)


def write(path: Path, picture: Pixels, predictor: Predictor) -> None:
    """Explain the most probable class, or the quantity. The file appears when it is whole.

    Raises `FileExistsError` where somebody has made one meanwhile.
    """
    from trainkit.inference import explanation

    explained = explanation.occlusion(picture, lambda hidden: predictor.answers(hidden).values)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = atomic_files.beside(path)
    try:
        unfinished.write_bytes(explanation.png(explained))
        atomic_files.rename(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
