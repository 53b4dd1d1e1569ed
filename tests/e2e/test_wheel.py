"""The newcomer's hour: an empty folder, and nothing of trainer but its wheel."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support import REPOSITORY, clean_environment
from trainer.scaffold import templates

UV = Path(sys.executable).parent / "uv"
PORT = 5380


@dataclass(frozen=True)
class Place:
    """A folder, and the virtual environment beside it."""

    folder: Path
    environment: Path

    def call(self, program: str, *arguments: str) -> str:
        """What the program of the environment prints; it has to end well."""
        done = subprocess.run(
            [self.environment / "bin" / program, *arguments],
            cwd=self.folder, env=clean_environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout + done.stderr

    def install(self, *arguments: str) -> None:
        """Put packages into the environment, in the versions of the lock files."""
        command: list[str | Path] = [
            UV,
            "pip",
            "install",
            "--quiet",
            "--python",
            self.environment / "bin" / "python",
        ]
        subprocess.run([*command, "--compile-bytecode", *arguments], check=True, cwd=self.folder)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build: list[str | Path] = [
        UV,
        "build",
        "--quiet",
        "--wheel",
        "--no-build-isolation",
        "--python",
        sys.executable,
    ]
    subprocess.run([*build, "--out-dir", folder, REPOSITORY], check=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def place(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An empty folder in which somebody has typed the first commands."""
    home = tmp_path_factory.mktemp("newcomer")
    place = Place(home / "lab", home / "venv")
    place.folder.mkdir()
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, place.environment], check=True)
    place.install("--require-hashes", "--requirement", str(REPOSITORY / "requirements.txt"))
    place.install("--no-deps", str(wheel))
    yield place
    place.call("trainer", "server", "down")


def begin(place: Place) -> None:
    place.call("trainer", "init")
    # Another port than that of a server which somebody may have on this machine.
    (place.folder / "trainer.yaml").write_text(f"server_port: {PORT}\n")


def test_the_wheel_carries_what_git_has_and_no_more(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
         "trainer_images", "templates", "mlflow_tracking_server"],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    expected = {name for name in listed if (REPOSITORY / name).exists()}
    names = zipfile.ZipFile(wheel).namelist()
    carried = {name.removeprefix("trainer/_shipped/") for name in names if "/_shipped/" in name}
    expected |= {".gitignore", "secrets.env.example", "data/.gitignore", "data/README.md"}
    assert carried == expected


def test_four_commands_lead_from_an_empty_folder_to_a_run_in_the_browser(place: Place) -> None:
    begin(place)
    place.call("trainer", "new", "mine", "--template", "tensorflow")
    ran = place.call("trainer", "run", "mine", "--epochs", "1")
    shown = place.call("trainer", "ui", "--no-browser")
    assert "\nFINISHED  " in ran
    assert "validation_accuracy" in ran
    address = re.search(r"http://127\.0\.0\.1:\d+", shown)
    assert address
    assert address.group() in ran
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(address.group())
    account = json.loads(place.call("trainer", "env", "--json"))
    password = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    password.add_password(
        None, address.group(), account["MLFLOW_TRACKING_USERNAME"], account["MLFLOW_TRACKING_PASSWORD"]
    )
    opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(password))
    with opener.open(address.group()) as page:
        assert "MLflow" in page.read().decode()
    assert place.call("trainer", "runs", "mine").count("FINISHED") == 1


def test_images_and_server_are_those_of_the_repository(place: Place) -> None:
    """The same inputs wherever they lie: nothing is built anew for another way of installing."""
    begin(place)
    asking = (
        "from trainer.server import files; from trainer.workspace import settings; "
        "print(files.pack(settings.find()).version)"
    )
    ours = subprocess.run(
        [sys.executable, "-c", asking], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert place.call("python", "-c", asking) == ours.stdout
    listed = [sys.executable, "-m", "trainer", "images"]
    images = subprocess.run(listed, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert place.call("trainer", "images") == images.stdout


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", templates.names())
def test_a_project_of_each_template_passes_its_own_test(place: Place, name: str) -> None:
    begin(place)
    place.install("--constraint", str(REPOSITORY / "requirements-dev.txt"), "pytest")
    place.call("trainer", "new", f"my_{name}", "--template", name)
    assert "1 passed" in place.call("pytest", f"train_code/my_{name}")
