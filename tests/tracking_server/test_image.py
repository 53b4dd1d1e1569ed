"""What the folder's files have to agree on; no engine is needed."""

from __future__ import annotations

import json
import re

import yaml

from tracking_server.containers import FOLDER, REPOSITORY

# What Heroku's builder and runtime do not know.
UNKNOWN_TO_HEROKU = ("VOLUME", "EXPOSE", "SHELL", "STOPSIGNAL", "HEALTHCHECK")


def _instructions() -> dict[str, list[str]]:
    text = re.sub(r"\\\n", " ", re.sub(r"(?m)^#.*\n", "", (FOLDER / "Dockerfile").read_text()))
    results: dict[str, list[str]] = {}
    for line in filter(None, text.splitlines()):
        name, _, rest = line.partition(" ")
        results.setdefault(name, []).append(rest.strip())
    return results


def test_the_dockerfile_keeps_to_what_heroku_builds_and_runs() -> None:
    instructions = _instructions()
    assert not instructions.keys() & set(UNKNOWN_TO_HEROKU)
    assert not any("--mount" in run for run in instructions["RUN"]), "mounts are BuildKit's"
    assert any(re.search(r"install .*\bcurl\b", run) for run in instructions["RUN"])
    [command] = instructions["CMD"]
    assert json.loads(command) == ["python", "-m", "mlflow_server", "up"]
    assert instructions["USER"] == ["1000:1000"]


def _version(path: str, package: str) -> str:
    match = re.search(rf"(?m)^{package}==(\S+)", (REPOSITORY / path).read_text())
    assert match, path
    return match[1]


def test_server_and_trainer_images_have_one_version_of_mlflow() -> None:
    theirs = _version("trainer_images/sklearn/requirements.txt", "mlflow-skinny")
    ours = {
        _version("mlflow_tracking_server/requirements.txt", package)
        for package in ("mlflow", "mlflow-skinny")
    }
    assert ours == {theirs}


def test_the_requirements_are_locked_and_uv_is_that_of_the_trainer_images() -> None:
    lock = (FOLDER / "requirements.txt").read_text()
    requirements = re.findall(r"(?m)^[a-z0-9][^ ]*==", lock)
    hashed = re.findall(r"(?m)^[a-z0-9][^\n]*\\\n +--hash=sha256:", lock)
    assert len(requirements) == len(hashed) > 80
    for line in (FOLDER / "requirements.in").read_text().splitlines():
        if name := re.match(r"[\w-]+", line):
            assert re.search(rf"(?m)^{name[0]}==", lock), name[0]
    assert (FOLDER / "uv.txt").read_text() == (REPOSITORY / "trainer_images" / "uv.txt").read_text()


def test_herokus_two_files_ask_for_the_same_add_ons_and_every_secret_is_generated() -> None:
    button = json.loads((FOLDER / "app.json").read_text())
    manifest = yaml.safe_load((FOLDER / "heroku.yml").read_text())
    assert button["stack"] == "container"
    assert button["addons"] == manifest["setup"]["addons"]
    assert {addon["plan"] for addon in button["addons"]} == {"heroku-postgresql", "bucketeer"}
    for name in ("MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"):
        assert button["env"][name]["generator"] == "secret"
    assert manifest["release"]["command"] == ["python -m mlflow_server release"]
    assert manifest["run"]["web"].endswith("python -m mlflow_server web")
