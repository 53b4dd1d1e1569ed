"""One section in a process of its own, so that its crash or hang is its own.

    python -m gpu_check.section NAME FINDINGS SETTING

Each finding is a line of the file at once: what was found before a process dies is there.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from gpu_check import orphans
from gpu_check.plan import SECTIONS
from gpu_check.setting import Setting


def main(name: str, findings: Path, setting: Setting) -> None:
    """Write what the section finds."""
    orphans.end_with_parent()
    [planned] = (section for section in SECTIONS if section.name == name)
    module = import_module(f"gpu_check.sections.{planned.module}")
    with findings.open("a", encoding="utf-8") as lines:
        for finding in module.find(setting):
            lines.write(json.dumps(asdict(finding)) + "\n")
            lines.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Setting.of(sys.argv[3]))
