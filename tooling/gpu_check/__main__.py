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
from gpu_check.plan import SECTIONS, Planned
from gpu_check.record import Record, Section
from gpu_check.setting import Setting

_AT_THE_END_S = 5.0  # of the time: to write the last section down
_JSON, _PAGE = "gpu_check.json", "gpu_check.md"


def main() -> None:
    """Run the sections that there is time for, and write the results after each."""
    asked = _arguments()
    begun = time.monotonic()
    wanted = _wanted(asked.only, small=asked.small)
    out = _made(asked.out.absolute())
    signal.signal(signal.SIGTERM, _interrupt)
    orphans.adopt()
    known = Record(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), asked.small, asked.minutes, len(wanted))
    place = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    try:
        python = make(place / "environment", asked.wheels.absolute())
        if absent := missing():
            print(f"This Python lacks {', '.join(absent)}: sections that need it fail.", file=sys.stderr)
        setting = Setting(
            str(place), str(place / "environment"), shutil.which("nvidia-smi") is not None, asked.small
        )
        for planned in wanted:
            print(f"{planned.title} …", flush=True)
            section = running.run(planned, python, setting, begun + asked.minutes * 60 - _AT_THE_END_S)
            known = _written(known, section, time.monotonic() - begun, out)
    except EnvironmentFailed as problem:
        _fail(problem.message, problem.hint)
    except KeyboardInterrupt:
        known = _cut(known, wanted[len(known.sections) :], time.monotonic() - begun, out)
        print("Interrupted.", file=sys.stderr)
    finally:
        if asked.keep:
            print(f"What the sections wrote: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)
    for failure in known.failures:
        print(f"failed: {failure}")
    print(f"{known.summary} {out / _PAGE}")
    sys.exit(0 if known.is_complete and not known.failures else 1)


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
    except OSError as problem:
        _fail(f"{out} cannot be written: {problem.strerror}.", "Use another folder: --out FOLDER")
    return out


def _written(known: Record, section: Section, seconds: float, out: Path) -> Record:
    """The record with one more section; both files say so."""
    print(f"  {section.ended}, {section.seconds:.0f} s, {len(section.findings)} results", flush=True)
    return _kept(replace(known, seconds=seconds, sections=(*known.sections, section)), out)


def _cut(known: Record, missing: Sequence[Planned], seconds: float, out: Path) -> Record:
    """The record with the sections that an interrupted check did not come to."""
    rest = [Section(planned.name, planned.title, "not run: interrupted", 0.0) for planned in missing]
    return _kept(replace(known, seconds=seconds, sections=(*known.sections, *rest)), out)


def _kept(known: Record, out: Path) -> Record:
    try:
        record.write(known, out / _JSON)
        record.replace(out / _PAGE, page.render(known))
    except OSError as problem:
        print(f"Error: {out} cannot be written: {problem.strerror}. The page so far:\n", file=sys.stderr)
        print(page.render(known), flush=True)
    return known


def _wanted(names: Sequence[str], *, small: bool) -> list[Planned]:
    known = [planned.name for planned in SECTIONS]
    if unknown := [name for name in names if name not in known]:
        _fail(f"There is no section {unknown[0]}.", f"The sections are {', '.join(known)}.")
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
