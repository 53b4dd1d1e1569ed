"""Check the project on a machine with a GPU, in minutes, and write one JSON and one page.

    PYTHONPATH=tooling python3 -m gpu_check --wheels .trainer/gpu-wheels --out gpu_check

It takes Python 3.12 with PyTorch and JAX, and the wheels of `make gpu-check-wheels`. Exit code 0: every
section is complete and no check failed. What takes a GPU is `no GPU here` on a machine without one, and
never passed.
"""

from __future__ import annotations

import argparse
import math
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from gpu_check import orphans, page, record, running
from gpu_check.environment import EnvironmentFailed, make, missing
from gpu_check.plan import SECTIONS, PlannedSection
from gpu_check.record import Record, Section
from gpu_check.setting import Setting

_AT_THE_END_S = 5.0  # of the time: to write the last section down
_JSON, _PAGE = "gpu_check.json", "gpu_check.md"


def main() -> None:
    """Run the sections that there is time for, and write the results after each."""
    arguments = _arguments()
    begun = time.monotonic()
    sections = _selected(arguments.only, small=arguments.small)
    out = _made(arguments.out.absolute())
    signal.signal(signal.SIGTERM, _interrupt)
    orphans.adopt()
    record = Record(
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), arguments.small, arguments.minutes, len(sections)
    )
    folder = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    try:
        python = make(folder / "environment", arguments.wheels.absolute())
        if absent := missing():
            print(f"This Python lacks {', '.join(absent)}: sections that need it fail.", file=sys.stderr)
        setting = Setting(
            str(folder), str(folder / "environment"), shutil.which("nvidia-smi") is not None, arguments.small
        )
        for planned in sections:
            print(f"{planned.title} …", flush=True)
            section = running.run(planned, python, setting, begun + arguments.minutes * 60 - _AT_THE_END_S)
            record = _written(record, section, time.monotonic() - begun, out)
    except EnvironmentFailed as error:
        _fail(error.message, error.hint)
    except KeyboardInterrupt:
        record = _cut(record, sections[len(record.sections) :], time.monotonic() - begun, out)
        print("Interrupted.", file=sys.stderr)
    finally:
        if arguments.keep:
            print(f"What the sections wrote: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for failure in record.failures:
        print(f"failed: {failure}")
    print(f"{record.summary} {out / _PAGE}")
    sys.exit(0 if record.is_complete and not record.failures else 1)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _fail(message: str, hint: str) -> NoReturn:
    sys.exit(f"Error: {message}\nHint:  {hint}")


def _made(out: Path) -> Path:
    """The folder, which has no results yet: those of a GPU that is gone cannot be taken again."""
    if (out / _JSON).exists():
        _fail(f"There are results of an earlier check in {out}.", "Use another folder: --out FOLDER")
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / _JSON).touch()
        (out / _JSON).unlink()
    except OSError as error:
        _fail(f"{out} cannot be written: {error.strerror}.", "Use another folder: --out FOLDER")
    return out


def _written(record: Record, section: Section, seconds: float, out: Path) -> Record:
    """The record with one more section; both files say so."""
    print(f"  {section.ended}, {section.seconds:.0f} s, {len(section.findings)} results", flush=True)
    return _kept(replace(record, seconds=seconds, sections=(*record.sections, section)), out)


def _cut(record: Record, missing: Sequence[PlannedSection], seconds: float, out: Path) -> Record:
    """The record with the sections that an interrupted check did not come to."""
    rest = [Section(planned.name, planned.title, "not run: interrupted", 0.0) for planned in missing]
    return _kept(replace(record, seconds=seconds, sections=(*record.sections, *rest)), out)


def _kept(previous: Record, out: Path) -> Record:
    try:
        record.write(previous, out / _JSON)
        record.replace(out / _PAGE, page.render(previous))
    except OSError as error:
        print(f"Error: {out} cannot be written: {error.strerror}. The page so far:\n", file=sys.stderr)
        print(page.render(previous), flush=True)
    return previous


def _selected(names: Sequence[str], *, small: bool) -> list[PlannedSection]:
    record = [planned.name for planned in SECTIONS]
    if unknown := [name for name in names if name not in record]:
        _fail(f"There is no section {unknown[0]}.", f"The sections are {', '.join(record)}.")
    return [
        planned for planned in SECTIONS if (planned.name in names if names else not (small and planned.large))
    ]


def _minutes(text: str) -> float:
    minutes = float(text)
    if not (math.isfinite(minutes) and minutes > 0):
        raise argparse.ArgumentTypeError("it must be more than 0")
    return minutes


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Sections: {', '.join(planned.name for planned in SECTIONS)}",
    )  # fmt: skip
    parser.add_argument(
        "--wheels", type=Path, default=Path(".trainer/gpu-wheels"), metavar="FOLDER",
        help="folder that make gpu-check-wheels filled [default: %(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("gpu_check"), metavar="FOLDER",
        help=f"folder for {_JSON} and {_PAGE} [default: %(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--minutes", type=_minutes, default=8.0, help="time limit of the whole check [default: %(default)g]"
    )
    parser.add_argument("--small", action="store_true", help="use small models and data, to try it on a CPU")
    parser.add_argument("--only", nargs="+", default=[], metavar="SECTION", help="run these sections only")
    parser.add_argument("--keep", action="store_true", help="keep the environment and the sections' logs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
