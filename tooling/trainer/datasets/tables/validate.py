"""Checking a table: its rows as they are written, then what is in its columns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from trainer.counted import counted
from trainer.datasets import Report, silent
from trainer.datasets.tables import columns as of_columns
from trainer.datasets.tables import files, header, rows
from trainer.datasets.tables.findings import Finding, Kind
from trainer.datasets.tables.rows import Row
from trainer.datasets.verdict import Verdict


def validate(root: Path, target: str = "", min_rows: int = 10, report: Report = silent) -> Verdict[Finding]:
    """Check a CSV file, or each of a folder of them, and whether two of these have a row in common.

    Raises `InvalidInput` where there is no column `target`.
    """
    paths = files.of(root)
    findings: list[Finding] = []
    columns: tuple[str, ...] = ()
    seen: dict[tuple[str, ...], tuple[Path, int]] = {}
    count = 0
    report("Checking", 0, len(paths))
    for done, path in enumerate(paths, start=1):
        of_file, names, taken = _of_file(path, target, min_rows)
        if columns and names and names != columns:
            of_file.append(Finding(Kind.OTHER_HEADER, f"not those of {paths[0].name}"))
        of_file += _of_two_files(path, taken, seen)
        findings += [replace(finding, file=path.name if len(paths) > 1 else "") for finding in of_file]
        columns, count = columns or names, count + len(taken)
        report("Checking", done, len(paths))
    order = list(Kind)
    findings.sort(key=lambda finding: (order.index(finding.kind), finding.file, finding.lines))
    size = {"rows": count, "columns": len(columns)}
    subject = f"{counted(count, 'row')} of {counted(len(columns), 'column')}"
    return Verdict(root, subject, size, tuple(findings))


def _of_file(path: Path, target: str, min_rows: int) -> tuple[list[Finding], tuple[str, ...], list[Row]]:
    """What is wrong with one file, the names of its columns, and its rows that have a value."""
    if broken := rows.broken(path):
        what = f"byte 0x{broken.byte:02X} at {broken.place:,}; probably {rows.encoding(path)}"
        return [Finding(Kind.NOT_UTF8, what, lines=(broken.line,))], (), []
    all_rows = list(rows.read(path))
    names = tuple(cell.strip() for cell in all_rows[0].cells) if all_rows else ()
    taken = [row for row in all_rows[1:] if not row.is_empty]
    if target and names:
        header.position(target, names, "--target", path)
    if not taken:
        return [Finding(Kind.NO_ROWS)], names, []
    findings = [*_of_header(names), *_of_rows(all_rows, taken, len(names))]
    # In a row of another length a cell may stand below the name of its neighbour.
    sound = [row for row in taken if len(row.cells) == len(names)]
    findings += of_columns.findings(path, names, sound, target, min_rows) if sound else ()
    return findings, names, taken


def _of_header(names: Sequence[str]) -> Iterator[Finding]:
    for number, name in enumerate(names, start=1):
        if not name:
            yield Finding(Kind.NO_NAME, f"column {number}")
        elif name in names[: number - 1]:
            yield Finding(Kind.SAME_NAME, f"columns {names.index(name) + 1} and {number}", (name,))


def _of_rows(all_rows: Sequence[Row], taken: Sequence[Row], width: int) -> Iterator[Finding]:
    if all_rows[-1].text.count('"') % 2:
        yield Finding(Kind.OPEN_QUOTE, "all that follows is one cell", lines=(all_rows[-1].line,))
    first: dict[tuple[str, ...], int] = {}
    for row in taken:
        if len(row.cells) != width:
            what = f"{counted(len(row.cells), 'cell')}, and the header has {width}"
            yield Finding(Kind.LENGTH, what, lines=(row.line,))
        earlier = first.setdefault(_cells(row), row.line)
        if earlier != row.line:
            yield Finding(Kind.COPY, f"as line {earlier:,}", lines=(row.line,))
    empty = tuple(row.line for row in all_rows[1:] if row.is_empty)
    # What follows the last row is how some programs end a file.
    if empty := tuple(line for line in empty if line < taken[-1].line):
        yield Finding(Kind.EMPTY_ROW, lines=empty)


def _of_two_files(
    path: Path, taken: Sequence[Row], seen: dict[tuple[str, ...], tuple[Path, int]]
) -> Iterator[Finding]:
    shared: defaultdict[Path, list[int]] = defaultdict(list)
    for row in taken:
        other, _ = seen.setdefault(_cells(row), (path, row.line))
        if other != path:
            shared[other].append(row.line)
    for other, lines in shared.items():
        yield Finding(Kind.SPLIT_LEAK, f"also in {other.name}", lines=tuple(lines))


def _cells(row: Row) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row.cells)
