"""Check the project on a machine with a card, in minutes. It takes Python 3.12 with PyTorch, and wheels.

    PYTHONPATH=tooling python3 -m gpu_check --wheels .trainer/gpu-wheels --out gpu_check

Exit code 1 where something did not pass. What takes a card is `no card here` on a machine without one.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from gpu_check import page, record, running
from gpu_check.environment import EnvironmentFailed, make
from gpu_check.plan import SECTIONS, Planned
from gpu_check.record import Record, Section
from gpu_check.setting import Setting

_AT_THE_END_S = 5.0  # of the time: to write the last section down


def main() -> None:
    """Run the sections that there is time for, and write the results after each."""
    asked = _arguments()
    begun = time.monotonic()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    out: Path = asked.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    wheels: Path = asked.wheels.absolute()
    known = Record(datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), asked.small, asked.minutes)
    place = Path(tempfile.mkdtemp(prefix="gpu-check-"))
    try:
        python = make(place / "environment", wheels)
        setting = Setting(
            str(place), str(place / "environment"), shutil.which("nvidia-smi") is not None, asked.small
        )
        for planned in _wanted(asked.only, small=asked.small):
            print(f"{planned.title} …", flush=True)
            section = running.run(planned, python, setting, begun + asked.minutes * 60 - _AT_THE_END_S)
            known = _written(known, section, time.monotonic() - begun, out)
    except EnvironmentFailed as problem:
        known = _written(known, Section("environment", "Environment", f"failed: {problem}", 0.0), 0.0, out)
    finally:
        if asked.keep:
            print(f"What the sections wrote: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)
    for failure in known.failures:
        print(f"failed: {failure}")
    sys.exit(1 if known.failures else 0)


def _written(known: Record, section: Section, seconds: float, out: Path) -> Record:
    """The record with one more section; both files say so."""
    known = replace(known, seconds=seconds, sections=(*known.sections, section))
    print(f"  {section.ended}, {section.seconds:.0f} s, {len(section.findings)} findings", flush=True)
    record.write(known, out / "gpu_check.json")
    record.replace(out / "gpu_check.md", page.render(known))
    return known


def _wanted(names: Sequence[str], *, small: bool) -> list[Planned]:
    known = [planned.name for planned in SECTIONS]
    if unknown := [name for name in names if name not in known]:
        sys.exit(f"There is no section {unknown[0]}. There are {', '.join(known)}.")
    return [
        planned for planned in SECTIONS if (planned.name in names if names else not (small and planned.large))
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gpu_check", description=__doc__.split("\n\n")[0] if __doc__ else None
    )
    parser.add_argument(
        "--wheels", type=Path, default=Path(".trainer/gpu-wheels"), help="of make gpu-check-wheels"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("gpu_check"), help="folder for gpu_check.json and .md"
    )
    parser.add_argument("--minutes", type=float, default=8.0, help="it ends after so many, with what it has")
    parser.add_argument(
        "--small", action="store_true", help="small enough for a CPU: to try the check itself"
    )
    parser.add_argument("--only", nargs="*", default=[], metavar="SECTION", help="these alone")
    parser.add_argument("--keep", action="store_true", help="leave the logs of the sections")
    return parser.parse_args()


if __name__ == "__main__":
    main()
