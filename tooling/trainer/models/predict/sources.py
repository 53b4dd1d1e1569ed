"""What is predicted for: pictures in files and folders, rows in CSV files, or what comes on stdin."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from trainkit.data.image_folder import SUFFIXES

from trainer.errors import InvalidInput

STDIN = "-"


@dataclass(frozen=True)
class Source:
    """A file, or stdin, which has no `path`. `name` is what it is called in answers.

    `inside` is its path in the folder that was given, or its own name.
    """

    name: str
    path: Path | None
    inside: PurePath


def pictures(given: Sequence[str]) -> list[Source]:
    """The files that were named, and the images of the folders, each once and in their order.

    Raises `InvalidInput` for what is not there, and for a folder without an image.
    """
    return list(dict.fromkeys(_each(given, _images)))


def tables(given: Sequence[str]) -> list[Source]:
    """The files that were named, each once. Raises `InvalidInput` for a folder, and for what is not there."""
    return list(dict.fromkeys(_each(given, _no_folder)))


def _each(given: Iterable[str], expand: Callable[[Path], Iterable[Source]]) -> Iterator[Source]:
    for text in given:
        path = Path(text)
        if text == STDIN:
            yield Source("stdin", None, PurePath("stdin"))
        elif path.is_dir():
            yield from expand(path)
        elif path.is_file():
            yield Source(text, path, PurePath(path.name))
        elif path.exists():  # to read a pipe could take for ever
            raise InvalidInput(f"{text} is no file.", "Redirect it to stdin, and use - as the input.")
        else:
            raise InvalidInput(f"There is no file {text}.", "Check the path of the input.")


def _images(folder: Path) -> Iterator[Source]:
    inside = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    images = sorted(path for path in inside if path.suffix.lower() in SUFFIXES and not _is_hidden(path))
    if not images:
        raise InvalidInput(f"{folder} has no image.", "Specify a file, or a folder with images.")
    for path in images:
        yield Source(str(folder / path), folder / path, path)


def _is_hidden(path: PurePath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _no_folder(folder: Path) -> Iterable[Source]:
    raise InvalidInput(f"{folder} is a folder, and the model takes rows of a table.", "Specify a CSV file.")
