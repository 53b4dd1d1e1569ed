"""A table divided into train, validation and test: one file each, with the rows as they are written."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainkit.data import image_folder
from trainkit.data.image_folder import Image, ImageFolder

from trainer import atomic_files
from trainer.counted import counted
from trainer.datasets import Report, silent
from trainer.datasets.build import building
from trainer.datasets.tables import header, rows
from trainer.datasets.tables.rows import Row
from trainer.errors import InvalidInput

# With more different numbers than these the target is a quantity, which is cut into as many equal parts.
_MOST_CLASSES, _PARTS = 20, 10
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Request:
    """What is asked for. `shares` of the splits add up to 1.

    With `target` each class of that column is divided by the shares. With `group` rows that have the same
    value in that column stay together; without, rows with the same cells do.
    """

    source: Path
    shares: Mapping[str, float]
    seed: int = 0
    target: str = ""
    group: str = ""


@dataclass(frozen=True)
class Division:
    """The split of each row that is taken, by the line it begins on, and the rows of each class in each.

    Without a target there is one class, without a name. `empty` is the number of rows without a value, which
    are left out. `alone` is the number of rows without a value of the group, each of which is one by itself.
    """

    request: Request
    splits: Mapping[int, str]
    counts: Mapping[str, Mapping[str, int]]
    groups: int
    empty: int
    alone: int = 0

    @property
    def shares(self) -> dict[str, float]:
        """What each split has got of the rows."""
        taken = Counter(self.splits.values())
        return {name: taken[name] / len(self.splits) for name in self.names}

    @property
    def names(self) -> list[str]:
        """The splits that have a share."""
        return [name for name, share in self.request.shares.items() if share > 0]

    def identity(self) -> dict[str, object]:
        """What tells this plan from any other, for `building`."""
        request, stat = self.request, self.request.source.stat()
        facts = {
            "source": str(request.source.resolve()),
            "bytes": stat.st_size,
            "changed_ns": stat.st_mtime_ns,
        }
        asked = {"shares": dict(request.shares), "seed": request.seed}
        return {"table_split": {**facts, **asked, "target": request.target, "group": request.group}}

    def check(self, target: Path) -> None:
        """Raises `InvalidInput` where `make` would for a reason that can be known now."""
        building.check(target, self.identity())

    def make(self, target: Path, report: Report = silent) -> None:
        """Write the folder `target` with a file for each split; see `building.build`."""
        building.build(target, self.identity(), lambda folder: self._fill(folder, report))

    def _fill(self, folder: Path, report: Report) -> None:
        source = self.request.source
        for done, name in enumerate(self.names, start=1):
            path = folder / f"{name}{source.suffix}"
            unfinished = atomic_files.beside(path)
            with unfinished.open("wb") as file:
                file.writelines(self._lines(name))
            unfinished.replace(path)
            report("Writing", done, len(self.names))

    def _lines(self, name: str) -> Iterator[bytes]:
        source = self.request.source
        with source.open("rb") as file:
            yield _BOM if file.read(len(_BOM)) == _BOM else b""
        all_rows = rows.read(source)
        first = next(all_rows).text
        end = "\r\n" if first.endswith("\r\n") else "\n"
        yield _ended(first, end)
        for row in all_rows:
            if self.splits.get(row.line) == name:
                yield _ended(row.text, end)


def plan(request: Request, report: Report = silent) -> Division:
    """Divide by `image_folder.split`, which goes by content: the order of the rows does not matter.

    Raises `InvalidInput` for a column that is not there and for a class with fewer rows than splits, and
    `InputError` for shares that do not add up.
    """
    if not all(map(math.isfinite, request.shares.values())):
        raise InvalidInput(
            "A share is not a number.", "For instance --train 0.7 --validation 0.15 --test 0.15"
        )
    report("Reading", 0, 2)
    all_rows = list(rows.read(request.source))
    report("Dividing", 1, 2)
    if not all_rows:
        raise InvalidInput(f"{request.source} is empty.", "Specify a CSV file with rows.")
    names = [cell.strip() for cell in all_rows[0].cells]
    taken = [row for row in all_rows[1:] if not row.is_empty]
    classes = _classes(request, names, taken)
    keys = _keys(request, names, taken)
    digests = {PurePosixPath(str(row.line)): key for row, key in zip(taken, keys, strict=True)}
    _check_classes(request, classes, keys)
    images = tuple(
        Image(PurePosixPath(str(row.line)), label) for row, label in zip(taken, classes, strict=True)
    )
    folder = ImageFolder(request.source, tuple(dict.fromkeys(sorted(classes))), images)
    divided = image_folder.split(folder, digests, request.shares, request.seed)
    splits = {int(str(image.path)): image.split or "" for image in divided.images}
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for image in divided.images:
        counts[image.label][image.split or ""] += 1
    return Division(
        request,
        splits,
        {name: counts[name] for name in divided.classes},
        len(set(keys)),
        len(all_rows) - 1 - len(taken),
        sum(not group for group in _groups(request, names, taken)),
    )


def _check_classes(request: Request, classes: Sequence[str], keys: Sequence[str]) -> None:
    splits = [name for name, share in request.shares.items() if share > 0]
    different: defaultdict[str, set[str]] = defaultdict(set)
    for label, key in zip(classes, keys, strict=True):
        different[label].add(key)
    what = f"value of {request.group}" if request.group else "different row"
    for label, some in different.items():
        if len(some) < len(splits):
            of = f"The class {label or '(missing)'} of {request.target}" if request.target else "The table"
            raise InvalidInput(
                f"{of} has {counted(len(some), what)}: too few for {', '.join(splits)}.",
                "Add rows, or split without --target." if request.target else "Add rows.",
            )
    if not different:
        raise InvalidInput(f"{request.source.name} has no rows below its header.", "Add rows.")


def _classes(request: Request, names: Sequence[str], taken: Sequence[Row]) -> list[str]:
    """The class of each row: none without a target, parts of equal size for a quantity."""
    if not request.target:
        return [""] * len(taken)
    position = header.position(request.target, names, "--target", request.source)
    words = [_cell(row, position) for row in taken]
    numbers = {word: _number(word) for word in set(words) if word}
    if len(numbers) <= _MOST_CLASSES or any(number is None for number in numbers.values()):
        return words
    ordered = sorted((numbers[word] or 0.0) for word in words if word)
    first = {value: place for place, value in reversed(list(enumerate(ordered)))}
    parts = {word: first[number or 0.0] * _PARTS // len(ordered) for word, number in numbers.items()}
    edges = {part: [n or 0.0 for w, n in numbers.items() if parts[w] == part] for part in set(parts.values())}
    shown = {part: f"{min(values):g} … {max(values):g}" for part, values in edges.items()}
    return [shown[parts[word]] if word else "" for word in words]


def _keys(request: Request, names: Sequence[str], taken: Sequence[Row]) -> list[str]:
    """What keeps rows together: the value of the group's column, or all of the cells."""
    if not request.group:
        return [_hash("\0".join(cell.strip() for cell in row.cells)) for row in taken]
    # A row that does not say which group it is of is one by itself.
    groups = _groups(request, names, taken)
    return [_hash(group or f"\0{row.text}") for row, group in zip(taken, groups, strict=True)]


def _groups(request: Request, names: Sequence[str], taken: Sequence[Row]) -> list[str]:
    if not request.group:
        return []
    position = header.position(request.group, names, "--group", request.source)
    return [_cell(row, position) for row in taken]


def _cell(row: Row, position: int) -> str:
    return row.cells[position].strip() if position < len(row.cells) else ""


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", ".") if text.count(",") == 1 else text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _ended(text: str, end: str) -> bytes:
    return (text if text.endswith(("\n", "\r")) else text + end).encode()
