"""README and tutorial, typed command by command by a reader who has nothing but a clone of the repository."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documentation import Block, blocks, matches, others
from reader import Reader
from support import REPOSITORY, copy_repository

PAGES = (REPOSITORY / "README.md", REPOSITORY / "docs" / "tutorial.md")
BLOCKS = [block for page in PAGES for block in blocks(page)]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """A reader in a clone of the repository."""
    home = tmp_path_factory.mktemp("reader")
    copy_repository(home / "trainer")
    reader = Reader(home / "trainer")
    yield reader
    reader.close()
    down = [sys.executable, "-m", "trainer", "server", "down"]
    for workspace in filter(Path.exists, (home / "trainer", home / "lab")):
        subprocess.run(down, cwd=workspace, check=False, capture_output=True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if not block.not_run], ids=lambda block: f"{block.page}:{block.line}"
)
def test_a_block_does_what_the_page_says(reader: Reader, block: Block) -> None:
    for command, shown in block.commands:
        typed = reader.type(command)
        assert typed.code == 0, f"{command}\n{typed.shown}"
        if shown:
            assert matches(shown, typed.shown), f"{command}\n{typed.shown}\nis not\n{shown}"


def test_hardly_any_block_is_left_out() -> None:
    assert [block.not_run for block in BLOCKS if block.not_run] == ["it is what runs this page"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_hides_in_a_block_that_is_not_run(page: Path) -> None:
    assert others(page) == []
