"""Scripts may import modules of trainkit by the names they had before, and are told the new ones."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support import REPOSITORY
from trainkit.former_names import ATTRIBUTES, FORMER

TRAINKIT = REPOSITORY / "trainer_images" / "trainkit"


def script(text: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", text],
        env={"PYTHONPATH": str(TRAINKIT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("former", FORMER)
def test_every_former_name_leads_to_a_module_and_is_none_itself(former: str) -> None:
    path = TRAINKIT / "trainkit" / Path(*FORMER[former].split("."))
    assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()
    assert not (TRAINKIT / "trainkit" / f"{former}.py").exists()


def test_both_names_are_one_module() -> None:
    done = script(
        "from trainkit import image_folder\n"
        "from trainkit.image_folder import TRAIN\n"
        "import trainkit.image_folder as old, trainkit.data.image_folder as new\n"
        "print(image_folder is old is new, new.__spec__.name, TRAIN is new.TRAIN)\n"
    )
    assert done.stdout == "True trainkit.data.image_folder True\n"


def test_the_warning_names_the_new_module_and_the_line_of_the_script() -> None:
    done = script("\nfrom trainkit.image_folder import TRAIN\n")
    assert done.stderr.startswith(
        "<string>:2: DeprecationWarning: trainkit.image_folder is trainkit.data.image_folder now"
    )


def test_nothing_is_imported_for_it_until_a_former_name_is_asked_for() -> None:
    done = script("import trainkit, sys; print([name for name in sys.modules if 'trainkit' in name])", "-S")
    assert done.stdout == "['trainkit']\n"


def test_a_name_that_no_module_had_is_not_found() -> None:
    assert find_spec("trainkit.nothing_such") is None
    done = script("from trainkit import nothing_such")
    assert "ImportError: cannot import name 'nothing_such' from 'trainkit'" in done.stderr


def definitions(module: str) -> set[str]:
    """The names at the top of a module, without importing the framework that it may need."""
    tree = ast.parse((TRAINKIT / "trainkit" / Path(*module.split("."))).with_suffix(".py").read_text())
    names = {node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)}
    return names | {target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
                    if isinstance(target, ast.Name)}  # fmt: skip


@pytest.mark.parametrize(("module", "former"), [(m, name) for m in ATTRIBUTES for name in ATTRIBUTES[m]])
def test_every_former_attribute_leads_to_one_and_is_none_itself(module: str, former: str) -> None:
    owner, _, present = ATTRIBUTES[module][former][0].rpartition(".")
    assert present in definitions(owner)
    assert former not in definitions(module)
    assert "__getattr__" in definitions(module)
