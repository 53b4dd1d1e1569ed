"""The page of a check, made of its JSON and of nothing else.

PYTHONPATH=tooling python3 -m gpu_check.page gpu_check.json > gpu_check.md
"""

from __future__ import annotations

import sys
from pathlib import Path

from gpu_check.plan import KERAS_BACKENDS
from gpu_check.record import Finding, Record, Section, read

GPU = "GPU"
"""The finding of the first section whose value is the page's name."""
_HEADING = ("what", "value", "unit", "framework", "notes")


def render(record: Record) -> str:
    """The page in Markdown."""
    names = [finding.value for section in record.sections for finding in section.findings
             if finding.what == GPU and finding.value is not None]  # fmt: skip
    kind = "small, to try the check itself" if record.small else f"at most {record.minutes:g} minutes"
    parts = [
        f"# GPU check: {names[0] if names else 'no GPU'}",
        f"{record.begun}; {kind}; {record.seconds:.0f} seconds. {record.summary}",
        *_backends(record),
        *(_section(section) for section in record.sections),
    ]
    return "\n\n".join(parts) + "\n"


def _backends(record: Record) -> list[str]:
    """On which of Keras's backends something was trained, and on which nothing was."""
    trained = {
        section.keras_backend for section in record.sections
        if any(finding.unit == "samples/s" or finding.outcome == "passed" for finding in section.findings)
    } - {""}  # fmt: skip
    ran = [name for backend, name in KERAS_BACKENDS.items() if backend in trained]
    did_not = [name for backend, name in KERAS_BACKENDS.items() if backend not in trained]
    parts = [f"Keras was run on {' and '.join(ran)}."] if ran else []
    missing = f"Keras was not run on {' or '.join(did_not)}." if ran else "Keras was not run on any backend."
    return [" ".join([*parts, missing] if did_not else parts)]


def _section(section: Section) -> str:
    rows = [_HEADING, *(_row(finding) for finding in section.findings)]
    heading, *body = (f"| {' | '.join(map(_cell, row))} |" for row in rows)
    ended = "" if section.ended == "complete" else f"{_cell(section.ended)}\n\n"
    table = "\n".join((heading, "|---" * len(_HEADING) + "|", *body)) if body else ""
    return f"## {section.title}\n\n{ended}{table}\n\n{section.seconds:.0f} seconds.".replace(
        "\n\n\n\n", "\n\n"
    )


def _row(finding: Finding) -> tuple[str, ...]:
    if finding.outcome != "measured":
        cell = finding.outcome if finding.value is None else f"{finding.outcome}: {_value(finding)}"
        return (finding.what, cell, finding.unit, finding.by, finding.said)
    return (finding.what, _value(finding), finding.unit, finding.by, finding.said)


def _value(finding: Finding) -> str:
    return f"{finding.value:.4g}" if isinstance(finding.value, float) else str(finding.value)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    try:
        sys.stdout.write(render(read(Path(sys.argv[1]))))
    except (IndexError, OSError, ValueError, TypeError, KeyError):
        sys.exit("Error: That is no JSON of a check.\nHint:  python3 -m gpu_check.page gpu_check.json")
