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

from gpu_check import orphans, running
from gpu_check.environment import EnvironmentFailed, make, missing
from gpu_check.plan import SECTIONS, PlannedSection
from gpu_check.record import Record, Section
from gpu_check.results import Results, fail
from gpu_check.setting import Setting

_AT_THE_END_S = 5.0  # of the time: to write the last section down
_WHEELS = Path(__file__).parents[2] / ".trainer" / "gpu-wheels"


def main() -> None:
    """Run the sections that there is time for, and write the results after each."""
    arguments = _arguments()
    begun = time.monotonic()
    sections = _selected(arguments.only, small=arguments.small)
    has_gpu = shutil.which("nvidia-smi") is not None
    if not (has_gpu or arguments.small):
        fail(
            "There is no nvidia-smi on PATH, so no GPU can be checked.",
            "Add its folder to PATH, or pass --small to try the check on a CPU.",
        )
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    orphans.adopt()
    results = Results.claim(arguments.out.absolute())
    record = Record(
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), arguments.small, arguments.minutes, len(sections)
    )
    folder = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    try:
        python = make(folder / "environment", arguments.wheels.absolute())
        if absent := missing():
            print(f"This Python lacks {', '.join(absent)}: sections that need it fail.", file=sys.stderr)
        setting = Setting(str(folder), str(folder / "environment"), has_gpu, arguments.small)
        for planned in sections:
            print(f"{planned.title} …", flush=True)
            section = running.run(planned, python, setting, begun + arguments.minutes * 60 - _AT_THE_END_S)
            print(f"  {section.ended}, {section.seconds:.0f} s, {len(section.findings)} results", flush=True)
            record = replace(record, seconds=time.monotonic() - begun, sections=(*record.sections, section))
            results.write(record)
            if section.is_interrupted:
                raise KeyboardInterrupt
    except EnvironmentFailed as error:
        results.release()
        fail(error.message, error.hint)
    except KeyboardInterrupt:
        rest = sections[len(record.sections) :]
        not_run = [Section(planned.name, planned.title, "not run: interrupted", 0.0) for planned in rest]
        record = replace(record, seconds=time.monotonic() - begun, sections=(*record.sections, *not_run))
        results.write(record)
        print("Interrupted.", file=sys.stderr)
    finally:
        orphans.end_all()
        if arguments.keep:
            print(f"Sections' logs: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    for failure in record.failures:
        print(f"failed: {failure}")
    are_kept = results.close(record)
    print(f"{record.summary} {results.page}")
    sys.exit(0 if record.is_complete and not record.failures and are_kept else 1)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _selected(names: Sequence[str], *, small: bool) -> list[PlannedSection]:
    all_names = [planned.name for planned in SECTIONS]
    if unknown := [name for name in names if name not in all_names]:
        fail(f"There is no section {unknown[0]}.", f"The sections are {', '.join(all_names)}.")
    return [
        planned for planned in SECTIONS if (planned.name in names if names else not (small and planned.large))
    ]


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not (math.isfinite(minutes) and minutes > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return minutes


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu_check", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"Sections: {', '.join(planned.name for planned in SECTIONS)}",
    )  # fmt: skip
    parser.add_argument(
        "--wheels", type=Path, default=_WHEELS, metavar="FOLDER",
        help="folder that make gpu-check-wheels filled [default: %(default)s]",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("gpu_check"), metavar="FOLDER",
        help="folder for gpu_check.json and gpu_check.md [default: %(default)s]",
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
