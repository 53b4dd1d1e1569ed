"""What the tests of a deployment share: a workspace with a server's folder, and Heroku on this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from heroku_stub import TOKEN, Heroku, heroku_on
from shown import Shown
from trainer.deploy import heroku, heroku_build, verify
from trainer.deploy.heroku import Outcome
from trainer.deploy.heroku_plan import App
from trainer.workspace.settings import Workspace, find

from unit.deploy import fake_heroku
from unit.helpers import git, put

FILES = {
    "Dockerfile": "FROM scratch\n",
    "heroku.yml": "build:\n  docker:\n    web: Dockerfile\n",
    "mlflow_server/__main__.py": "print('serving')\n",
}


@dataclass
class Site:
    """A workspace in git, a login, and Heroku."""

    workspace: Workspace
    stub: Heroku
    commands_file: Path
    screen: Shown = field(default_factory=Shown)

    def deploy(
        self,
        name: str = "my-mlflow",
        *,
        region: str | None = None,
        team: str | None = None,
        force: bool = False,
    ) -> Outcome:
        """Deploy, with a screen that begins empty."""
        self.screen = Shown()
        return heroku.deploy(self.workspace, App(name, region, team), self.screen, force=force)

    def commands(self) -> list[str]:
        """What the heroku command was called with."""
        return self.commands_file.read_text().splitlines() if self.commands_file.exists() else []

    @property
    def secrets(self) -> str:
        """The content of secrets.env."""
        return self.workspace.secrets_file.read_text()


def make_server_folder(root: Path) -> None:
    """A small mlflow_tracking_server/."""
    for name, content in FILES.items():
        put(root / "mlflow_tracking_server" / name, content)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Somebody who is logged in, on a Heroku without apps."""
    root = tmp_path / "site"
    put(root / "trainer.yaml")
    put(root / ".gitignore", "secrets.env\n.trainer/\n__pycache__/\n")
    make_server_folder(root)
    git(root, "init", "--quiet")
    put(
        tmp_path / "bin" / "heroku", f'#!/bin/sh\nexec {sys.executable} -SI {fake_heroku.__file__} "$@"\n'
    ).chmod(0o755)
    for name in [name for name in os.environ if name.startswith("HEROKU_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_TOKEN", TOKEN)
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "commands"))
    monkeypatch.setattr(heroku_build, "POLL_S", 0)
    monkeypatch.setattr(verify, "POLL_S", 0)
    with heroku_on() as stub:
        monkeypatch.setenv("HEROKU_HOST", stub.uri)
        yield Site(find(root), stub, tmp_path / "commands")
