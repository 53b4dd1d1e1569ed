"""Every command with hostile arguments in odd surroundings: one clear error, and never a bug of trainer's.

2,000 cases from one seed, which is printed when one fails; `FUZZ_SEED=N` and `FUZZ_CASES=N` choose others,
`FUZZ_ONLY=N` runs the case of that number alone. Nothing outside of a temporary folder is reached or touched.
"""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import webbrowser
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from trainer.backends import environments
from trainer.cli.main import main
from trainer.datasets.synthetic import drawing
from trainer.datasets.synthetic.looks import Appearance
from trainer.engine import daemon
from trainer.engine.context import Endpoint
from trainer.errors import ImageError, InvalidInput, TrackingError
from trainer.queue.changes import Changes
from trainer.server import process
from trainer.workspace.settings import find
from urllib3.util import Retry

from unit.cli.fuzz_cases import NOWHERE, SURROUNDINGS, arguments, copied, make_good
from unit.helpers import DEAD_ENGINE, put

SEED = int(os.environ.get("FUZZ_SEED", "1"))
CASES = int(os.environ.get("FUZZ_CASES", "2000"))
ONLY = os.environ.get("FUZZ_ONLY")
GROUPS = 20
DOCUMENT = Path(__file__).parents[3] / "docs" / "exit-codes.md"
BUG, NOT_REPRODUCED = 80, 1
CODES = {int(code) for code in re.findall(r"^\|\s*(\d+)\s*\|", DOCUMENT.read_text(), re.MULTILINE)} - {BUG}


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("good")
    make_good(root)
    return root


@dataclass(frozen=True)
class Ended:
    code: object
    out: str
    err: str


def call(words: list[str], chance: random.Random, monkeypatch: pytest.MonkeyPatch) -> Ended:
    """The command line in this process, with streams of its own."""
    encoding = chance.choice(["utf-8", "utf-8", "utf-8", "latin-1"])
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, "backslashreplace") for _ in range(2))
    typed = io.TextIOWrapper(io.BytesIO(chance.choice([b"", b"y\n", b"\xff\n", b"a b\n", b"x" * 9000])))
    with monkeypatch.context() as patched:
        for name, stream in (("stdin", typed), ("stdout", out), ("stderr", err)):
            patched.setattr(f"sys.{name}", stream)
        try:
            main(words)
            code: object = None
        except SystemExit as ended:
            code = ended.code
    for stream in (out, err):
        stream.flush()
    texts = [stream.buffer.getvalue().decode(encoding) for stream in (out, err)]
    return Ended(code, *texts)


def wrong(words: list[str], ended: Ended) -> str | None:
    """What a user would complain about, if there is anything."""
    allowed = CODES if words[-1:] != [] and "reproduce" in words else CODES - {NOT_REPRODUCED}
    if "bug in trainer" in ended.out + ended.err:
        return "it calls itself a bug"
    if "Traceback (most recent" in ended.out + ended.err:
        return "a traceback"
    if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", ended.err):
        return "a control character on stderr"
    if ended.code not in allowed:
        return f"the exit code {ended.code} is not documented for it"
    if ended.code and not re.search(
        r"(?s)^Error: \S.*\nHint:  \S[^\n]*(\n[^\n]+)*\n\Z", ended.err, re.MULTILINE
    ):
        return "no error in two lines at the end of stderr"
    return None


def _no_real_engine(connect: Callable[[Endpoint], object], place: Endpoint) -> None:
    connect(place)
    raise AssertionError(f"a real engine answers at {place.address}")


class _Drawn:
    """Draws one picture of each look and size; further ones are copies of it."""

    def __init__(self) -> None:
        self._draw = drawing.draw
        self._drawn: dict[tuple[int, int], Image.Image] = {}

    def __call__(self, list_jobs: Appearance, rng: np.random.Generator, size: int) -> Image.Image:
        key = (id(list_jobs), size)
        if key not in self._drawn:
            self._drawn[key] = self._draw(list_jobs, rng, size)
        return self._drawn[key]


def _refuse_server(*_: object) -> None:
    raise TrackingError("No server is started here.", "Go on.")


def _refuse_environment(*_: object) -> None:
    raise ImageError("No environment is made here.", "Go on.")


def _refuse_to_wait(*_: object) -> bool:
    raise TrackingError("Nothing is waited for here.", "Go on.")


@pytest.mark.timeout(600, method="thread")
@pytest.mark.parametrize("group", range(GROUPS))
def test_no_command_line_is_a_bug(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    with pytest.raises(InvalidInput):
        find(tmp_path)  # or somebody's workspace would be played with
    monkeypatch.chdir(tmp_path)  # which puts the folder back that the next test is in
    monkeypatch.setattr(daemon, "_client", partial(_no_real_engine, daemon._client))
    monkeypatch.setattr(process, "_start", _refuse_server)
    monkeypatch.setattr(environments, "_install", _refuse_environment)
    monkeypatch.setattr(Changes, "within", _refuse_to_wait)  # which `trainer queue work` does for ever
    monkeypatch.setattr(webbrowser, "open", lambda *_: False)
    monkeypatch.setattr(drawing, "draw", _Drawn())
    monkeypatch.setattr(Retry, "get_backoff_time", lambda _: 0.0)  # refused: tried again at once
    for name, said in {"DOCKER_HOST": DEAD_ENGINE, "MLFLOW_TRACKING_URI": NOWHERE,
                       "HTTP_PROXY": NOWHERE, "HTTPS_PROXY": NOWHERE, "ALL_PROXY": NOWHERE,
                       "GIT_CEILING_DIRECTORIES": str(tmp_path)}.items():  # fmt: skip
        monkeypatch.setenv(name, said)
    own = tmp_path / "case"
    complaints = []
    numbers = range(group, CASES, GROUPS) if ONLY is None else [int(ONLY)] if group == 0 else []
    for number in numbers:
        chance = random.Random(f"{SEED}/{number}")
        words = arguments(chance)
        path = own / "w"
        copied(good, path)
        outside = put(own / "outside" / "keep", "as it was")
        before = dict(os.environ)
        os.chdir(path)
        odd = chance.randrange(len(SURROUNDINGS)) if chance.random() < 0.6 else None
        try:
            if odd is not None:
                SURROUNDINGS[odd](chance)
            tempfile.tempdir = None
            ended = call(words, chance, monkeypatch)
            assert outside.read_text() == "as it was"
        finally:
            os.chdir(tmp_path)
            os.environ.clear()
            os.environ.update(before)
            tempfile.tempdir = None
            _remove(own)
        if problem := wrong(words, ended):
            complaints.append(
                f"case {number} of seed {SEED}, surroundings {odd}: trainer {words!r}: {problem}\n"
                f"{ended.err[-1500:]}"
            )
    assert complaints == [], f"FUZZ_SEED={SEED}\n" + "\n\n".join(complaints)
    assert threading.active_count() < 50


# What a shell can do to a command; {} is where its words go.
SHELLS = [
    "{} >&-",
    "{} 2>&-",
    "{} <&-",
    "{} <&- >&- 2>&-",
    "{} >/dev/full",
    "{} 2>/dev/full",
    "{} >/dev/full 2>&1",
    "{} | true",
    "{} </dev/full",
    "mkdir gone && cd gone && rmdir ../gone && {}",
    "LC_ALL=C {}",
    "LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {}",
    "PYTHONIOENCODING=latin-1 {}",
    "PYTHONIOENCODING=ascii {}",
    "umask 777 && {}",
    "ulimit -n 12 && {}",
    "(sleep 1; true) | {}",
    "TMPDIR=/no/such HOME= PATH=/bin {}",
]
# These would start something that no other process of the test can hold back.
NOT_ALONE = {
    *(("run",), ("sweep",), ("ui",), ("server", "up"), ("reconcile",)),
    *(("queue", "work"), ("queue", "attend")),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("shell", SHELLS)
def test_no_stream_and_no_place_makes_it_a_bug(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", NOWHERE)
    monkeypatch.setenv("HTTPS_PROXY", NOWHERE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    copied(good, tmp_path / "w")
    chance = random.Random(f"{SEED}/{shell}")
    for words in (["run", "demo", "--dry-run"], _alone(chance), _alone(chance)):
        line = shell.replace("{}", '"$@"')
        done = subprocess.run(
            ["bash", "-c", line, "bash", sys.executable, "-m", "trainer", *words],
            cwd=tmp_path / "w", stdin=subprocess.DEVNULL, capture_output=True, check=False,
        )  # fmt: skip
        said = (done.stdout + done.stderr).decode(errors="replace")
        assert "bug in trainer" not in said, (shell, words, said)
        assert "Traceback (most recent" not in said, (shell, words, said)
        assert "Exception ignored" not in said, (shell, words, said)
        assert done.returncode in CODES - {NOT_REPRODUCED} or "reproduce" in words, (shell, words, said)


def _alone(chance: random.Random) -> list[str]:
    while True:
        words = arguments(chance)
        if not any(tuple(words[: len(path)]) == path for path in NOT_ALONE) and words[0] != "--workspace":
            return words


def _remove(place: Path) -> None:
    for folder in [place, *(path for path in place.rglob("*") if path.is_dir() and not path.is_symlink())]:
        folder.chmod(0o755)
    shutil.rmtree(place)
