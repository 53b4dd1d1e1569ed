"""A deployment with Heroku's own command, against a stand-in for its API, of the real server.

The command is installed from its registry; HEROKU_HOST sends it to the stand-in (heroku_stub.py), which
starts the server that was uploaded. No real Heroku is reached.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from heroku_stub import CONTRACT, TOKEN, Heroku, HerokuApp, heroku_on
from support import CANARY, DEAD_ENGINE, REPOSITORY, Result, Site
from trainer import archives

VERSION = "11.10.0"
API_PORT, WEB_PORT, SITE_PORT = 5701, 5702, 5750
DEPLOY = ("server", "deploy", "--platform", "heroku", "--app", "my-mlflow")


@pytest.fixture(scope="module")
def cli() -> Path:
    """The folder with Heroku's command, installed once and kept in the user's cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "trainer-tests"
    folder = cache / f"heroku-{VERSION}"
    if not (folder / "node_modules" / ".bin" / "heroku").exists():
        _install(cache, folder)
    return folder / "node_modules"


def _install(cache: Path, folder: Path) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    path = cache / f"{folder.name}-{os.getpid()}"
    command = ["npm", "install", "--prefix", str(path), "--no-audit", "--no-fund", f"heroku@{VERSION}"]
    trouble = "npm is not installed."
    if shutil.which("npm"):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=500)
        if done.returncode == 0:
            with contextlib.suppress(OSError):  # somebody else was faster
                path.rename(folder)
            return
        trouble = f"{' '.join(command)} failed: {done.stderr[-500:]}"
    if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
        pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but: {trouble}")
    pytest.skip(trouble)


@dataclass
class Server:
    """The server that was deployed, on this machine instead of a dyno."""

    place: Path
    process: subprocess.Popen[bytes] | None = None
    variables: dict[str, str] = field(default_factory=dict)

    def start(self, app: HerokuApp) -> None:
        """Unpack what was uploaded and start it with the app's config vars, as a dyno does."""
        self.stop()
        source = self.place / "source"
        shutil.rmtree(source, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(app.source)) as tar:
            archives.unpack(tar, source)
        self.variables = {name: value for name, value in app.config.items() if "BUCKETEER" not in name}
        # There is neither PostgreSQL nor a bucket here.
        self.variables["DATABASE_URL"] = f"sqlite:///{self.place}/mlflow.db"
        self.variables["ARTIFACTS_DIR"] = str(self.place / "artifacts")
        with (self.place / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mlflow_server", "up"],
                env={
                    **self.variables,
                    "PATH": os.environ["PATH"],
                    "PYTHONPATH": str(source),
                    "PORT": str(WEB_PORT),
                },
                cwd=self.place,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        """End it."""
        if self.process:
            self.process.terminate()
            self.process.wait(timeout=30)
        self.process = None


@dataclass
class World:
    """Somebody who is logged in with Heroku's command, in a workspace."""

    site: Site
    stub: Heroku
    server: Server
    home: Path

    def log_in(self) -> None:
        """As `heroku login` leaves it on a machine without a key ring."""
        netrc = self.home / ".netrc"
        netrc.write_text(f"machine 127.0.0.1:{API_PORT}\n  login me@example.com\n  password {TOKEN}\n")
        netrc.chmod(0o600)


@pytest.fixture
def world(cli: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A Heroku without apps."""
    for name in list(os.environ):
        if name.startswith(("HEROKU_", "MLFLOW_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    cache = os.environ.get("UV_CACHE_DIR") or str(Path("~/.cache/uv").expanduser())
    for name, value in {
        "HOME": str(home),
        "UV_CACHE_DIR": cache,
        "PATH": f"{cli / '.bin'}:{os.environ['PATH']}",
        "HEROKU_HOST": f"http://127.0.0.1:{API_PORT}",
        "DISABLE_TELEMETRY": "true",
        "HEROKU_DISABLE_AUTOUPDATE": "1",  # it would go on in the background
        "HEROKU_SKIP_NEW_VERSION_CHECK": "1",
        "DOCKER_HOST": DEAD_ENGINE,
    }.items():
        monkeypatch.setenv(name, value)
    site = Site(tmp_path / "site", SITE_PORT)
    shutil.copytree(REPOSITORY / "mlflow_tracking_server", site.root / "mlflow_tracking_server")
    server = Server(tmp_path / "dyno")
    server.place.mkdir()
    with heroku_on(API_PORT) as stub:
        stub.web_url = f"http://127.0.0.1:{WEB_PORT}/"
        stub.released = server.start
        result = World(site, stub, server, home)
        result.log_in()
        yield result
        server.stop()


def watched(process: subprocess.Popen[str]) -> tuple[Result, bytes]:
    """The command when it has ended, and the argument vectors of all processes meanwhile."""
    seen: set[bytes] = set()
    while process.poll() is None:
        for place in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                seen.add(place.read_bytes())
        time.sleep(0.02)
    out, err = process.communicate()
    return Result(process.returncode, out, err), b"\n".join(seen)


def test_from_nothing_to_a_tracked_run_and_no_secret_is_seen(world: World) -> None:
    done, arguments = watched(world.site.start(*DEPLOY, "--region", "eu", "--json"))
    assert done.code == 0, done.err
    payload = json.loads(done.out)
    assert payload["changed"] == ["create", "heroku-postgresql", "bucketeer", "config", "build", "store"]
    assert (payload["uri"], payload["mlflow"]) == (f"http://127.0.0.1:{WEB_PORT}", "3.17.2")
    assert world.stub.changes() == [
        "POST /apps",
        "POST /apps/my-mlflow/addons",
        "POST /apps/my-mlflow/addons",
        "PATCH /apps/my-mlflow/config-vars",
        "POST /sources",
        "PUT /put/1?signature=canary-put",
        "POST /apps/my-mlflow/builds",
    ]
    _assert_what_arrived(world.stub)
    app = world.stub.apps["my-mlflow"]
    _assert_nothing_was_seen(world, app, done, arguments)
    _assert_secrets_env(world, app)

    run = world.site.trainer("run", "probe", "--backend", "local", "-e", "quick", timeout_s=500)
    assert run.code == 0, run.err
    assert f"http://127.0.0.1:{WEB_PORT}/#/experiments/" in run.err
    account = (app.config["MLFLOW_AUTH_ADMIN_USERNAME"], app.config["MLFLOW_AUTH_ADMIN_PASSWORD"])
    stored = requests.get(
        f"http://127.0.0.1:{WEB_PORT}/api/2.0/mlflow/runs/get",
        params={"run_id": run.run_id},
        auth=account,
        timeout=30,
    )
    assert stored.json()["run"]["info"]["status"] == "FINISHED"

    world.stub.asked.clear()
    again = world.site.trainer(*DEPLOY, "--json")
    assert again.code == 0, again.err
    assert json.loads(again.out)["changed"] == []
    assert world.stub.changes() == []


def _assert_what_arrived(stub: Heroku) -> None:
    """Bodies as the reference has them, and who sent them: Heroku's command what costs money."""
    arrived = {str(asked): asked for asked in stub.asked if asked.changes}
    made = [asked for asked in stub.asked if asked.changes and "heroku-cli" in asked.headers["user-agent"]]
    assert [asked.path for asked in made] == ["/apps", "/apps/my-mlflow/addons", "/apps/my-mlflow/addons"]
    assert json.loads(made[0].body) == {"name": "my-mlflow", "region": "eu", "stack": "container"}
    assert [json.loads(asked.body)["plan"]["name"] for asked in made[1:]] == [
        "heroku-postgresql:essential-0",
        "bucketeer:hobbyist",
    ]
    config = json.loads(arrived["PATCH /apps/my-mlflow/config-vars"].body)
    assert sorted(config) == [
        "ALLOWED_HOSTS",
        "MLFLOW_AUTH_ADMIN_PASSWORD",
        "MLFLOW_AUTH_ADMIN_USERNAME",
        "MLFLOW_FLASK_SERVER_SECRET_KEY",
    ]
    blob = json.loads(arrived["POST /apps/my-mlflow/builds"].body)["source_blob"]
    assert set(blob) == {"url", "version", "checksum"}
    for asked in stub.asked:
        assert asked.headers.get("accept", "").startswith("application/vnd.heroku+json; version=3") or (
            asked.path.startswith(("/put/", "/log/"))
        ), asked


def _secret_values(app: HerokuApp) -> list[str]:
    names = (
        "MLFLOW_AUTH_ADMIN_PASSWORD",
        "MLFLOW_FLASK_SERVER_SECRET_KEY",
        "BUCKETEER_AWS_SECRET_ACCESS_KEY",
    )
    return [TOKEN, "canary-database-7e", *(app.config[name] for name in names)]


def _assert_nothing_was_seen(world: World, app: HerokuApp, done: Result, arguments: bytes) -> None:
    assert b"addons:create" in arguments  # the command was looked at while it ran
    state = world.site.root / ".trainer"
    places = {
        "argument vectors": arguments.decode(errors="replace"),
        "output": done.out + done.err,
        "addresses": "\n".join(map(str, world.stub.asked)),
        "what trainer keeps": "".join(path.read_text() for path in state.rglob("*") if path.is_file()),
        "what Heroku's command keeps": "".join(
            path.read_text(errors="replace")
            for path in world.home.rglob("*")
            if path.is_file() and path.name != ".netrc"
        ),
    }
    values = [*_secret_values(app), CANARY]
    assert [name for name, text in places.items() if any(value in text for value in values)] == []


def _assert_secrets_env(world: World, app: HerokuApp) -> None:
    path = world.site.root / "secrets.env"
    assert path.stat().st_mode & 0o777 == 0o600
    before, *lines = path.read_text().splitlines()
    assert before.startswith("PROBE_TOKEN=")
    assert lines == [
        f"MLFLOW_TRACKING_URI='http://127.0.0.1:{WEB_PORT}'",
        f"MLFLOW_TRACKING_USERNAME='{app.config['MLFLOW_AUTH_ADMIN_USERNAME']}'",
        f"MLFLOW_TRACKING_PASSWORD='{app.config['MLFLOW_AUTH_ADMIN_PASSWORD']}'",
    ]


def test_a_call_that_is_stopped_while_an_addon_is_made_is_completed_by_the_next(world: World) -> None:
    world.stub.slow_addons, world.stub.polls = True, 10**6
    process = world.site.start(*DEPLOY)
    give_up = time.monotonic() + 120
    while not any(app.addons for app in world.stub.apps.values()) and time.monotonic() < give_up:
        time.sleep(0.1)
    done, seconds = world.site.stop(process, signal.SIGINT)
    assert (done.code, seconds < 10) == (130, True)
    assert "What was created so far stays; the same command continues from there." in done.err
    world.stub.polls = 0
    done = world.site.trainer(*DEPLOY, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["changed"] == ["bucketeer", "wait", "config", "build", "store"]
    assert len(world.stub.apps["my-mlflow"].addons) == 2


def test_what_differs_is_changed_with_the_command(world: World) -> None:
    world.stub.apps["my-mlflow"] = app = world.stub.new_app("my-mlflow")
    assert world.site.trainer(*DEPLOY).code == 0
    assert app.info["build_stack"]["name"] == "container"
    app.formation[0]["quantity"] = 0
    done = world.site.trainer(*DEPLOY, "--json")
    assert json.loads(done.out)["changed"] == ["scale"], done.err
    assert app.formation[0]["quantity"] == 1


def test_what_the_command_complains_of_is_two_lines(world: World) -> None:
    (world.home / ".netrc").unlink()
    done = world.site.trainer(*DEPLOY)
    assert (done.code, done.err.splitlines()[-2:]) == (
        90,
        ["Error: The heroku command is not logged in.", "Hint:  heroku login"],
    )
    world.log_in()
    world.stub.refuse = lambda asked: (
        (402, CONTRACT["errors"]["verification_required"]["answer"])
        if asked.method == "POST" and asked.path.endswith("/addons")
        else None
    )
    done = world.site.trainer(*DEPLOY)
    assert (done.code, done.err.splitlines()[-2:]) == (
        90,
        [
            "Error: `heroku addons:create heroku-postgresql:essential-0 --app my-mlflow --wait` failed: "
            "Please verify your account to install this add-on plan (please enter a credit card).",
            "Hint:  Fix the cause, then run the same command again: it continues from here.",
        ],
    )


def test_a_name_that_is_taken_meanwhile_is_reported(world: World) -> None:
    world.stub.others.add("my-mlflow")
    world.stub.refuse = lambda asked: (
        (404, CONTRACT["errors"]["not_found"]["answer"]) if str(asked) == "GET /apps/my-mlflow" else None
    )
    done = world.site.trainer(*DEPLOY)
    assert (done.code, done.err.splitlines()[-2]) == (
        90,
        "Error: The app name my-mlflow is already taken.",
    )


def test_the_stand_in_answers_in_the_shapes_that_the_command_is_written_for(cli: Path) -> None:
    """Heroku publishes the API's schema as types; every field of heroku_api.json is one of them."""
    types = (cli / "@heroku-cli" / "schema" / "lib" / "index.d.ts").read_text()
    unknown = []
    for kind, said in CONTRACT.items():
        if isinstance(said, dict) and "schema" in said:
            assert said["documentation"].startswith(
                "https://devcenter.heroku.com/articles/platform-api-reference#"
            )
            body = re.search(
                rf"^export interface {said['schema']} \{{\n(.*?)^\}}", types, re.DOTALL | re.MULTILINE
            )
            assert body, kind
            known = set(re.findall(r"^  (\w+)\??:", body[1], re.MULTILINE))
            unknown += [f"{kind}.{name}" for name in said["answer"] if name not in known]
    assert unknown == []
