"""The pages that one learns from, typed command by command by a reader at a terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from documentation import LEARNED, Block, blocks, matches, others
from PIL import Image
from reader import Reader
from support import REPOSITORY, clean_environment, copy_repository
from trainer.datasets.synthetic.customers import Customers

NEWCOMER = ("README.md", "docs/tutorial.md", "docs/models.md")
RESEARCHER = ("docs/coming-from-mlflow-run.md",)
TABLE_USER = ("docs/learning-a-table.md",)
TEAMMATE = ("docs/joining-a-team.md",)
QUEUE_USER = ("docs/queue.md",)
SEARCHER = ("docs/sweeps.md",)
JOURNEYS = (NEWCOMER, TABLE_USER, RESEARCHER, TEAMMATE, QUEUE_USER, SEARCHER)
PAGES = [REPOSITORY / page for journey in JOURNEYS for page in journey]
BLOCKS = [(journey, block) for journey in JOURNEYS for page in journey for block in blocks(REPOSITORY / page)]
OURS = str(Path(sys.prefix) / "bin")
MOST_SILENCE_S = 2
PASSWORD = "correct horse"
CLASSES = ("Acne and Rosacea Photos", "Eczema Photos", "Warts Molluscum Photos")


@dataclass(frozen=True)
class Team:
    """A repository with a project, and a server that has a run of it."""

    folder: Path
    uri: str


def _trainer(folder: Path, *arguments: str, given: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-m", "trainer", *arguments],
        cwd=folder, env=clean_environment(), input=given, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """What a team has had for a while: a server in a container, accounts, a project and a run of it."""
    folder = tmp_path_factory.mktemp("team") / "lab"
    _trainer(folder.parent, "init", folder.name)
    try:
        uri = _trainer(folder, "server", "up", "--port", "5390").strip()
        for name in ("ada", "bob"):
            _trainer(folder, "server", "users", "add", name, "--password-stdin", given=f"{PASSWORD}\n")
        _trainer(folder, "new", "digits", "--template", "sklearn")
        # Who makes the first run owns the experiment.
        _trainer(folder, "run", "digits", "--n-estimators", "20", "--run-name", "baseline")
        _trainer(folder, "server", "users", "grant", "bob", "digits")
        with (folder / "trainer.yaml").open("a") as settings:
            settings.write(f"tracking_uri: {uri}\n")
        git = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
        for step in (["add", "."], ["commit", "--quiet", "-m", "Digits"]):
            subprocess.run([*git, *step], check=True)
        yield Team(folder, uri)
    finally:
        _trainer(folder, "server", "down", "--force")
        name = json.loads(_trainer(folder, "server", "status", "--json"))["container"]
        for kind in ("rm", "volume rm", "network rm"):
            subprocess.run(["docker", *kind.split(), name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    """Somebody who begins the journey, with what they have."""
    home = tmp_path_factory.mktemp("reader")
    if request.param == NEWCOMER:
        copy_repository(home / "trainer")
        reader = Reader(home / "trainer")
    elif request.param == TABLE_USER:
        (home / "downloads").mkdir()
        table = home / "downloads" / "customers.csv"
        Customers().make(table)
        reader = Reader(home, path=OURS)
    elif request.param in (QUEUE_USER, SEARCHER):
        reader = Reader(home, path=OURS)
    else:
        of_team: Team = request.getfixturevalue("team")
        if request.param == RESEARCHER:
            _downloads(home / "old" / "pictures")
        reader = Reader(
            home,
            answers={"User name:": "ada" if request.param == RESEARCHER else "bob", "Password:": PASSWORD},
            names={
                "https://mlflow.example.com": of_team.uri,
                "https://git.example.com/team/lab.git": str(of_team.folder),
            },
            path=OURS,
        )
    yield reader
    reader.close()
    for workspace in filter(Path.exists, (home / "trainer", home / "lab")):
        _trainer(workspace, "server", "down")


def _downloads(folder: Path) -> None:
    """Pictures as a browser leaves them: one folder too deep, with what else lies there."""
    for number, name in enumerate(CLASSES):
        place = folder / "train" / name
        place.mkdir(parents=True)
        for picture in range(12):
            shade = (60 * number + 4 * picture, 90, 200 - 12 * picture)
            Image.new("RGB", (64 + picture, 64), shade).save(place / f"{picture}.jpg")
        (place / "Thumbs.db").write_bytes(b"\0")
    (folder / "train" / CLASSES[0] / "broken.jpg").touch()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("reader", "block"),
    [pytest.param(journey, block, id=f"{block.page}:{block.line}")
     for journey, block in BLOCKS if not block.not_run],
    indirect=["reader"],
    scope="module",  # else the reader starts again with each block
)  # fmt: skip
def test_a_block_does_what_the_page_says(reader: Reader, block: Block) -> None:
    for command, shown in block.commands:
        typed = reader.type(command)
        print(f"{typed.silence:.1f} s of silence: {command}")
        if command.startswith("trainer "):
            assert typed.silence <= MOST_SILENCE_S, f"{command}\n{typed.shown}"
        fails = any(line.startswith("Error: ") for line in (shown or "").splitlines())
        assert (typed.code != 0) == fails, f"{command}\n{typed.shown}"
        if shown:
            assert matches(shown, typed.shown), f"{command}\n{typed.shown}\nis not\n{shown}"


def test_hardly_any_block_is_left_out() -> None:
    assert [block.not_run for _, block in BLOCKS if block.not_run] == ["it is what runs this page"]


def test_three_pages_have_a_part_to_look_things_up_in() -> None:
    with_both = [page.name for page in PAGES if LEARNED in page.read_text()]
    assert with_both == ["models.md", "queue.md", "sweeps.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_hides_in_a_block_that_is_not_run(page: Path) -> None:
    assert others(page) == []
