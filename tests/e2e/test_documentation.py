"""README and tutorial, typed command by command by a reader who has nothing but a clone of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from documentation import Block, blocks, matches, others
from support import REPOSITORY, clean_environment, copy_repository

PAGES = (REPOSITORY / "README.md", REPOSITORY / "docs" / "tutorial.md")
BLOCKS = [block for page in PAGES for block in blocks(page)]
END = "--- that was it ---"


class Shell:
    """One bash, as the reader has it all along: folder, variables and environments stay as they are."""

    def __init__(self, folder: Path) -> None:
        ours = str(Path(sys.prefix) / "bin")
        path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != ours)
        name = {"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.com"}
        name |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in name.items()}
        self._bash = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env={**clean_environment(), **name, "PATH": path},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def type(self, command: str) -> tuple[int, str]:
        """The exit code of a command, and what it printed."""
        assert self._bash.stdin
        assert self._bash.stdout
        self._bash.stdin.write(f"{{ {command}\n}} </dev/null\necho; echo '{END}' $?\n")
        self._bash.stdin.flush()
        lines: list[str] = []
        for line in self._bash.stdout:
            if line.startswith(END):
                return int(line.removeprefix(END)), "".join(lines)
            lines.append(line)
        raise AssertionError(f"the shell ended in {command}\n{''.join(lines)}")

    def close(self) -> None:
        """End it."""
        self._bash.kill()
        self._bash.communicate()


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """A shell in a clone of the repository."""
    home = tmp_path_factory.mktemp("reader")
    copy_repository(home / "trainer")
    shell = Shell(home / "trainer")
    yield shell
    shell.close()
    down = [sys.executable, "-m", "trainer", "server", "down"]
    for workspace in filter(Path.exists, (home / "trainer", home / "lab")):
        subprocess.run(down, cwd=workspace, check=False, capture_output=True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if not block.not_run], ids=lambda block: f"{block.page}:{block.line}"
)
def test_a_block_does_what_the_page_says(shell: Shell, block: Block) -> None:
    for command, shown in block.commands:
        code, printed = shell.type(command)
        assert code == 0, f"{command}\n{printed}"
        if shown:
            assert matches(shown, printed), f"{command}\n{printed}\nis not\n{shown}"


def test_hardly_any_block_is_left_out() -> None:
    assert [block.not_run for block in BLOCKS if block.not_run] == ["it is what runs this page"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_hides_in_a_block_that_is_not_run(page: Path) -> None:
    assert others(page) == []
