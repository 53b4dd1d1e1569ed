"""In a Python of its own each: what a script sees of the search for garbage."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY

START = "import gc; from trainkit.imports import postpone_search; postpone_search(); postpone_search()\n"
MANY = "made = [[] for _ in range(50_000)]\n"
YOUNG, OLDER, OLDEST = gc.get_threshold()  # each Python has its own
USUAL = f"[{(YOUNG, OLDER, OLDEST)}, 0]"
LOOK = "print([gc.get_threshold(), len(gc.callbacks)])\n"


@pytest.fixture
def python(tmp_path: Path) -> Python:
    return Python(tmp_path)


class Python:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def module(self, text: str) -> None:
        (self.folder / "big.py").write_text("import gc\n" + text)

    def says(self, script: str) -> list[str]:
        path = [str(self.folder), str(REPOSITORY / "trainer_images" / "trainkit")]
        return subprocess.run(
            [sys.executable, "-c", START + script],
            env={"PYTHONPATH": ":".join(path)}, check=True, capture_output=True, text=True,
        ).stdout.splitlines()  # fmt: skip


def test_only_new_objects_are_searched_while_a_script_imports(python: Python) -> None:
    python.module(MANY)
    searched = "print([search['collections'] for search in gc.get_stats()])\n"
    young, older, oldest = map(int, python.says(f"import big\n{searched}")[0].strip("[]").split(","))
    assert young > 0.7 * 50_000 / YOUNG
    assert (older, oldest) == (0, 0)


def test_all_is_as_usual_from_the_first_search_after_the_imports(python: Python) -> None:
    python.module(MANY + LOOK)
    during, after = python.says(f"import big\n{MANY}{LOOK}")
    assert during == f"[{(YOUNG, 1_000_000, OLDEST)}, 1]"
    assert after == USUAL


def test_garbage_that_grew_old_during_the_imports_is_found_after_them(python: Python) -> None:
    python.module("class Node: pass\nnode = Node(); node.itself = node\n" + MANY)
    drop = "import weakref\nleft = weakref.ref(big.node)\ndel big.node\n"
    assert python.says(f"import big\n{drop}{MANY}print(left())\n") == ["None"]


def test_a_threshold_of_the_scripts_own_stays(python: Python) -> None:
    python.module(MANY)
    assert python.says(f"gc.set_threshold(900, 5, 5)\nimport big\n{MANY}{LOOK}") == ["[(900, 5, 5), 0]"]


def test_a_training_that_is_imported_itself_does_not_keep_its_garbage(python: Python) -> None:
    python.module(MANY.replace("50_000", str(3_500 * YOUNG)) + LOOK)
    assert python.says("import big\n") == [USUAL]
