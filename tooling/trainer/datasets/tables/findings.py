"""What can be wrong with a table, as data: kinds, how bad they are, and the lines they are about."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum

from trainer.datasets.findings import Severity


class Kind(StrEnum):
    """What was found; the value is how it is called in tables and in JSON."""

    NOT_UTF8 = "text that is not UTF-8"
    NO_ROWS = "file without rows"
    OPEN_QUOTE = "quotation mark that is not closed"
    LENGTH = "row of another length than the header"
    SAME_NAME = "columns of the same name"
    OTHER_HEADER = "file with other columns"
    MIXED = "other words among numbers or dates"
    ONE_CLASS = "target that is the same everywhere"
    RARE_CLASS = "class with one row"
    SPLIT_LEAK = "same row in two files"
    LEAK = "column that gives the target away"
    PARTLY_NUMBERS = "column of numbers and words"
    WRITTEN_NUMBERS = "numbers that are taken for words"
    NO_TARGET = "row without a target"
    FEW_ROWS = "class with few rows"
    COPY = "same row twice"
    EMPTY_ROW = "empty row"
    NO_NAME = "column without a name"
    MOSTLY_MISSING = "column that is mostly missing"
    EQUAL = "columns that say the same"
    MISSING = "column with missing cells"
    CONSTANT = "column with one value"
    ID = "column of ids"
    TEXT = "column of texts"

    @property
    def severity(self) -> Severity:
        """How bad it is."""
        return _MEANINGS[self][0]

    @property
    def fix(self) -> str:
        """What to do about it, in which DIR stands for the dataset; nothing for what needs no fix."""
        return _MEANINGS[self][1]


_LEFT_OUT = "A training leaves it out by itself."
_MEANINGS = {
    Kind.NOT_UTF8: (Severity.ERROR, "Convert it: iconv -f ENCODING -t UTF-8 FILE > NEW"),
    Kind.NO_ROWS: (Severity.ERROR, "Add a line of column names and rows."),
    Kind.OPEN_QUOTE: (Severity.ERROR, 'Close it, or write a quotation mark in a text twice: ""'),
    Kind.LENGTH: (
        Severity.ERROR,
        "Put text that has the separator in it into quotation marks, or add the missing cells.",
    ),
    Kind.SAME_NAME: (Severity.ERROR, "Rename all but one."),
    Kind.OTHER_HEADER: (Severity.ERROR, "Give all files the same columns, in the same order."),
    Kind.MIXED: (
        Severity.ERROR,
        "Correct the cells, or empty them; or run with --categorical COLUMN, or --drop COLUMN.",
    ),
    Kind.ONE_CLASS: (Severity.ERROR, "Specify another --target, or add rows of another class."),
    Kind.RARE_CLASS: (Severity.ERROR, "Add rows of the class, or remove it: a split needs one on each side."),
    Kind.SPLIT_LEAK: (
        Severity.ERROR,
        "Split the whole table again; equal rows stay together: trainer data split FILE NEW",
    ),
    Kind.LEAK: (
        Severity.WARNING,
        "Look whether it is known before the target is; if not, leave it out: --drop COLUMN",
    ),
    Kind.PARTLY_NUMBERS: (
        Severity.WARNING,
        "If it is a quantity, correct or empty these cells: a training takes the column for words.",
    ),
    Kind.WRITTEN_NUMBERS: (
        Severity.WARNING,
        "If it is a quantity, remove thousands separators and units: 4582.20 for 4.582,20 €.",
    ),
    Kind.NO_TARGET: (Severity.WARNING, "Fill the target in, or remove the rows."),
    Kind.FEW_ROWS: (Severity.WARNING, "Add rows of the class, or join it with another."),
    Kind.COPY: (Severity.WARNING, "Remove the copies, unless they are different samples."),
    Kind.EMPTY_ROW: (Severity.WARNING, "Remove the rows."),
    Kind.NO_NAME: (Severity.WARNING, "Give it a name in the header."),
    Kind.MOSTLY_MISSING: (Severity.WARNING, "Leave it out: --drop COLUMN"),
    Kind.EQUAL: (Severity.WARNING, "Leave one of them out: --drop COLUMN"),
    Kind.MISSING: (Severity.NOTE, ""),
    Kind.CONSTANT: (Severity.NOTE, _LEFT_OUT),
    Kind.ID: (Severity.NOTE, _LEFT_OUT),
    Kind.TEXT: (Severity.NOTE, f"{_LEFT_OUT} To take it as a category: --categorical COLUMN"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found: what of, the columns, and the lines in the file, from 1."""

    kind: Kind
    what: str = ""
    columns: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    file: str = ""
    """Of a table that is a folder of files."""

    def line(self, most: int | None = None) -> str:
        """One line; of many lines of the file it names `most`."""
        shown = [f"{number:,}" for number in self.lines[:most]]
        more = [f"{len(self.lines) - len(shown):,} more"] if len(shown) < len(self.lines) else []
        lines = f"line{'s' if len(self.lines) > 1 else ''} {', '.join(shown + more)}" if self.lines else ""
        place = " ".join(filter(None, (self.file, lines)))
        return ": ".join(filter(None, (place, " and ".join(self.columns), self.what)))

    def as_json(self) -> dict[str, object]:
        """For `--json`."""
        return {"severity": self.kind.severity, **asdict(self)}
