"""Small datasets of real files for the tests of `trainer data`, and processes that are killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

# Runs a statement in copies of a folder. Each time it is hit a few lines later, until it comes to its end.
_KILLER = """
import os, shutil, signal, sys
from pathlib import Path
from trainer.datasets.build import split, subset
from trainer.datasets.rename import classes
from trainer.datasets.synthetic import sample
from trainer.errors import Interrupted
template, copies, number, most = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[4]), int(sys.argv[5])
code = compile(sys.argv[3], "statement", "exec")

def run(root, stop):
    seen = 0
    def trace(frame, event, _):
        nonlocal seen
        if f"{os.sep}trainer{os.sep}datasets{os.sep}" not in frame.f_code.co_filename:
            return None
        if event == "line":
            seen += 1
            if seen == stop:
                os.kill(os.getpid(), number)
        return trace
    sys.settrace(trace)
    try:
        exec(code, {**globals(), "root": root})
    except (Interrupted, KeyboardInterrupt):
        pass
    sys.settrace(None)
    return seen

def copy(name):
    return shutil.copytree(template, copies / name, symlinks=True)

lines = run(copy("all"), 0)
for stop in range(1, lines + 1, max(1, lines // most)):
    root = copy(str(stop))
    child = os.fork()
    if not child:
        run(root, stop)
        os._exit(0)
    os.waitpid(child, 0)
"""


def hit_everywhere(
    statement: str, template: Path, copies: Path, number: signal.Signals = signal.SIGKILL, most: int = 70
) -> list[Path]:
    """Copies of the template in which the signal hit the statement (of `root`), at about `most` moments."""
    copies.mkdir()
    subprocess.run(
        [sys.executable, "-c", _KILLER, str(template), str(copies), statement, str(int(number)), str(most)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    return sorted(path for path in copies.iterdir() if path.name != "all")


def picture(path: Path, seed: int, size: tuple[int, int] = (24, 24)) -> Path:
    """An image file, in the format of its suffix: coarse noise, that of no other seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size, Image.Resampling.NEAREST).save(path)
    return path


def dataset(root: Path, classes: Mapping[str, int], first: int = 0) -> Path:
    """A dataset with so many different images of each class; a class may be "train/CLASS"."""
    seed = first
    for name, count in classes.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            picture(root / name / f"{number}.png", seed)
            seed += 1
    return root


def tree(root: Path) -> dict[str, bytes]:
    """Path → content of every file that is part of the dataset: hidden ones are not."""
    files = (path for path in root.rglob("*") if path.is_file())
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in files
        if not any(part.startswith(".") for part in path.relative_to(root).parts)
    }
