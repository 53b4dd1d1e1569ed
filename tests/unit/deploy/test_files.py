"""Files for platforms that build a folder by themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from trainer.deploy import files, platforms
from trainer.deploy.files import PlatformFiles
from trainer.errors import InvalidInput, SecretsError
from trainer.workspace.settings import Workspace, find

from unit.deploy.helpers import FILES, make_server_folder
from unit.helpers import fails, git, put

PLATFORMS = ["compose", "dokku", "fly", "render"]
ACCOUNTS = ["MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD", "MLFLOW_FLASK_SERVER_SECRET_KEY"]


@pytest.fixture
def place(tmp_path: Path) -> Workspace:
    """A workspace with a server's folder, on a machine without docker."""
    put(tmp_path / "site" / "trainer.yaml")
    make_server_folder(tmp_path / "site")
    return find(tmp_path / "site")


@pytest.fixture(autouse=True)
def _no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda _: None)


def made(place: Workspace, platform: str, app: str = "my-mlflow") -> PlatformFiles:
    return platforms.make(place, platform, app, place.root.parent / platform)


def written(place: Workspace, platform: str) -> Path:
    folder = place.root.parent / platform
    files.write(made(place, platform), folder)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def values(path: Path) -> dict[str, str]:
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_servers_folder_is_copied_and_nothing_of_it_is_left_open(place: Workspace, platform: str) -> None:
    result = content(written(place, platform))
    for name, text in FILES.items():
        assert result[f"mlflow_tracking_server/{name}"] == text.encode()
    assert not [name for name, text in result.items() if b"@APP@" in text or b"@ADMIN@" in text]


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_second_call_changes_nothing_and_keeps_the_passwords(place: Workspace, platform: str) -> None:
    folder = written(place, platform)
    before = content(folder)
    states = files.write(made(place, platform), folder)
    assert content(folder) == before
    assert set(states.values()) <= {"same", "kept"}


@pytest.mark.parametrize(
    ("platform", "name"), [("compose", ".env"), ("dokku", "mlflow.env"), ("fly", "mlflow.env")]
)
def test_secrets_are_generated_for_their_owner_alone_and_ignored_by_git(
    place: Workspace, platform: str, name: str
) -> None:
    folder = written(place, platform)
    path = folder / name
    assert path.stat().st_mode & 0o777 == 0o600
    said = values(path)
    assert set(ACCOUNTS) <= set(said)
    assert len(said["MLFLOW_AUTH_ADMIN_PASSWORD"]) >= 12
    assert said["MLFLOW_AUTH_ADMIN_USERNAME"] not in ("admin", "")
    said = {name: value for name, value in said.items() if value}
    assert len(set(said.values())) == len(said)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    assert name not in git(folder, "ls-files").splitlines()
    # No other file holds them.
    others = b"".join(
        text for other, text in content(folder).items() if other != name and ".git/" not in other
    )
    assert [value for value in said.values() if value.encode() in others] == []


def test_two_calls_generate_different_passwords(place: Workspace) -> None:
    first, second = (made(place, "fly").secrets["mlflow.env"] for _ in range(2))
    assert not set(first.values()) & set(second.values())


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_file_of_the_users_own_is_never_overwritten(place: Workspace, platform: str) -> None:
    folder = place.root.parent / platform
    mine = {"compose": "compose.yaml", "dokku": "deploy.sh", "fly": "mlflow_tracking_server/fly.toml",
            "render": "render.yaml"}[platform]  # fmt: skip
    put(folder / mine, "mine\n")
    before = content(folder)
    with fails(
        InvalidInput,
        f"{folder / mine} is there, and it is another one.",
        "Nothing was written. See the difference: --dry-run; replace it: --force; or elsewhere: -o DIR",
    ):
        files.write(made(place, platform), folder)
    assert content(folder) == before


def test_files_that_were_edited_are_counted_shown_and_replaced_where_that_is_asked_for(
    place: Workspace,
) -> None:
    folder = written(place, "compose")
    secrets = (folder / ".env").read_bytes()
    for name in ("compose.yaml", "prometheus/alerts.yml", "prometheus/prometheus.yml"):
        put(folder / name, (folder / name).read_text() + "# mine\n")
    with fails(
        InvalidInput,
        f"{folder / 'compose.yaml'} is there, and it is another one, and so are 2 files more.",
    ):
        written(place, "compose")
    wanted = made(place, "compose")
    shown = files.difference(wanted, folder, "prometheus/alerts.yml").splitlines()
    assert [line for line in shown if line.startswith(("-", "+"))][2:] == ["-# mine"]
    states = files.write(wanted, folder, force=True)
    assert [name for name, state in states.items() if state == "changed"] == [
        "compose.yaml", "prometheus/alerts.yml", "prometheus/prometheus.yml"
    ]  # fmt: skip
    assert "# mine" not in (folder / "compose.yaml").read_text()
    assert (folder / ".env").read_bytes() == secrets


def test_a_gitignore_that_names_the_secrets_is_enough_and_one_that_does_not_is_no_reason_to_overwrite_it(
    place: Workspace,
) -> None:
    folder = place.root.parent / "compose"
    put(folder / ".gitignore", "build/\n")
    with fails(InvalidInput, f"{folder / '.gitignore'} does not name /.env, which holds secrets."):
        written(place, "compose")
    assert list(content(folder)) == [".gitignore"]
    put(folder / ".gitignore", "build/\n.env\n")
    written(place, "compose")
    assert (folder / ".gitignore").read_text() == "build/\n.env\n"


def test_secrets_that_are_there_have_to_be_all_there_and_private(place: Workspace) -> None:
    folder = place.root.parent / "compose"
    put(folder / ".env", "DATABASE_PASSWORD=mine\n").chmod(0o600)
    with fails(
        InvalidInput,
        f"{folder / '.env'} is there, but does not set MLFLOW_AUTH_ADMIN_USERNAME.",
        "Move it away, or add that line.",
    ):
        written(place, "compose")
    (folder / ".env").chmod(0o644)
    with fails(SecretsError, f"Other users of this machine can read {folder / '.env'}."):
        written(place, "compose")


def test_a_write_that_fails_half_way_is_completed_by_the_next(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = made(place, "compose")
    real, left = os.fdopen, [4]

    def full(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            os.close(arguments[0])
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    folder = place.root.parent / "compose"
    monkeypatch.setattr("os.fdopen", full)
    with pytest.raises(InvalidInput, match="cannot be written: No space left on device"):
        files.write(wanted, folder)
    assert ".gitignore" in content(folder)
    assert ".env" not in content(folder)
    monkeypatch.setattr("os.fdopen", real)
    files.write(wanted, folder)
    assert set(content(folder)) == {*wanted.files, ".env"}


@pytest.mark.parametrize("name", ["My-App", "a", "a b", "../up", "$(x)"])
def test_a_name_that_cannot_be_is_refused(place: Workspace, name: str) -> None:
    with fails(InvalidInput, f"{name} cannot be the name of an app on Heroku."):
        made(place, "compose", name)


# What each platform gets


def test_fly_has_a_release_a_health_check_and_no_secret(place: Workspace) -> None:
    folder = written(place, "fly")
    payload = tomllib.loads((folder / "mlflow_tracking_server" / "fly.toml").read_text())
    assert payload["app"] == "my-mlflow"
    assert payload["deploy"]["release_command"] == "python -m mlflow_server release"
    assert payload["processes"]["app"] == "python -m mlflow_server web"
    assert str(payload["http_service"]["internal_port"]) == payload["env"]["PORT"]
    assert payload["http_service"]["force_https"] is True
    assert [check["path"] for check in payload["http_service"]["checks"]] == ["/health"]
    assert not set(ACCOUNTS) & set(payload["env"])
    steps = made(place, "fly").next
    assert "fly secrets import --stage --app my-mlflow <../mlflow.env" in steps
    assert payload["env"]["S3_BUCKET"] in "\n".join(steps)


def test_render_has_a_database_and_generates_passwords_there(place: Workspace) -> None:
    payload: dict[str, Any] = yaml.safe_load((written(place, "render") / "render.yaml").read_text())
    (database,), (service,) = payload["databases"], payload["services"]
    variables = {variable.pop("key"): variable for variable in service["envVars"]}
    assert variables["DATABASE_URL"]["fromDatabase"] == {
        "name": database["name"],
        "property": "connectionString",
    }
    assert variables["MLFLOW_AUTH_ADMIN_PASSWORD"] == {"generateValue": True}
    assert variables["MLFLOW_FLASK_SERVER_SECRET_KEY"] == {"generateValue": True}
    assert variables["MLFLOW_AUTH_ADMIN_USERNAME"] == {"value": "my-mlflow-admin"}
    assert variables["AWS_SECRET_ACCESS_KEY"] == {"sync": False}
    assert service["healthCheckPath"] == "/health"
    assert service["dockerContext"] == "./mlflow_tracking_server"


SSH = """#!/bin/sh
# A stand-in for a Dokku host: what was asked for is there the next time.
[ "$1" = -n ] && shift || cat > "$STATE/stdin-$(ls "$STATE" | wc -l)"
shift
echo "$*" >> "$STATE/asked"
case "$*" in
    *apps:exists*) grep -q apps:create "$STATE/asked" ;;
    *postgres:exists*) grep -q postgres:create "$STATE/asked" ;;
    *postgres:linked*) grep -q 'postgres:link ' "$STATE/asked" ;;
    *storage:list*) grep storage:mount "$STATE/asked" ;;
    *docker-options:report*) grep docker-options:add "$STATE/asked" ;;
esac
"""


def test_the_script_for_dokku_passes_no_secret_as_an_argument_and_does_nothing_twice(
    place: Workspace, tmp_path: Path
) -> None:
    folder = written(place, "dokku")
    put(tmp_path / "bin" / "ssh", SSH).chmod(0o755)
    state = tmp_path / "state"
    state.mkdir()
    environment = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "STATE": str(state)}
    command = ["sh", str(folder / "deploy.sh"), "root@dokku.example.com", "mlflow.example.com"]
    subprocess.run(command, env=environment, check=True, stdin=subprocess.DEVNULL)
    asked = (state / "asked").read_text()
    secret = values(folder / "mlflow.env")
    assert [value for value in secret.values() if value in asked] == []
    received = [path.read_bytes() for path in sorted(state.glob("stdin-*"))]
    assert (folder / "mlflow.env").read_bytes() in received
    assert any(text.startswith(b"\x1f\x8b") for text in received)  # the archive
    for line in (
        "dokku apps:create my-mlflow",
        "dokku postgres:create my-mlflow-db",
        "dokku postgres:link my-mlflow-db my-mlflow",
        "dokku config:set --no-restart my-mlflow ALLOWED_HOSTS=mlflow.example.com",
        "dokku storage:mount my-mlflow /var/lib/dokku/data/storage/my-mlflow:/data",
        "dokku docker-options:add my-mlflow deploy,run "
        "'--env-file /var/lib/dokku/data/storage/my-mlflow.env'",
        "dokku git:from-archive --archive-type tar.gz my-mlflow --",
    ):
        assert asked.splitlines().count(line) == 1, line
    subprocess.run(command, env=environment, check=True, stdin=subprocess.DEVNULL)
    again = (state / "asked").read_text().removeprefix(asked)
    assert [line for line in again.splitlines() if ":create" in line or ":link " in line or ":mount" in line
            or ":add" in line] == []  # fmt: skip


def test_the_script_for_dokku_says_how_it_is_called(place: Workspace) -> None:
    done = subprocess.run(
        ["sh", str(written(place, "dokku") / "deploy.sh")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.split(":")[0]) == (2, "Usage")


def test_the_script_for_dokku_is_as_shellcheck_likes_it(place: Workspace) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("shellcheck")), str(written(place, "dokku") / "deploy.sh")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    assert done.returncode == 0


def test_the_files_are_named_for_another_program(place: Workspace) -> None:
    wanted = made(place, "render")
    states = files.planned(wanted, place.root.parent / "nothing")
    assert json.loads(json.dumps(states))["render.yaml"] == "new"
    assert not (place.root.parent / "nothing").exists()


def test_what_a_killed_command_left_is_replaced_by_the_next(place: Workspace) -> None:
    folder = place.root.parent / "compose"
    put(folder / ".compose.yaml.unfinished", "half of")
    put(folder / "..env.unfinished", "half of").chmod(0o600)
    written(place, "compose")
    assert not list(folder.rglob("*.unfinished"))
    assert "/..env.unfinished" in (folder / ".gitignore").read_text().splitlines()


def test_nothing_is_written_through_a_link_that_leads_out_of_the_folder(place: Workspace) -> None:
    folder = place.root.parent / "compose"
    elsewhere = place.root.parent / "elsewhere"
    elsewhere.mkdir()
    folder.mkdir()
    (folder / "mlflow_tracking_server").symlink_to(elsewhere)
    with fails(
        InvalidInput,
        f"{folder / 'mlflow_tracking_server'} leads out of {folder} by a link.",
        "Nothing was written. Choose another: -o DIR",
    ):
        written(place, "compose")
    assert list(elsewhere.iterdir()) == []
    assert [path.name for path in folder.iterdir()] == ["mlflow_tracking_server"]
