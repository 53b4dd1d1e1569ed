"""`trainer server deploy`, as it is called."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from heroku_stub import TOKEN
from trainer.cli.main import main
from trainer.deploy import heroku
from trainer.deploy.heroku_plan import App
from trainer.deploy.plan import Body, Deferred, Plan, Request, Step

from unit.deploy.helpers import Site, site
from unit.helpers import Result, put

__all__ = ["site"]
HEROKU = ("server", "deploy", "--platform", "heroku", "--app", "my-mlflow")


@pytest.fixture
def call(site: Site, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.chdir(site.workspace.root)
    return Call(capfd)


class Call:
    """`trainer ARGUMENTS…`, called in the workspace."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.capfd = capfd

    def __call__(self, *arguments: str) -> Result:
        self.capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = self.capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, out, err)


@pytest.fixture
def nothing_there(call: Call, monkeypatch: pytest.MonkeyPatch) -> Call:
    """`trainer`, with no heroku command, no network, no account."""

    def unreachable(*_: object, **__: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.delenv("HEROKU_HOST")
    monkeypatch.setattr("requests.Session.request", unreachable)
    monkeypatch.setattr("socket.create_connection", unreachable)
    return call


def test_a_dry_run_needs_nobody_and_prints_every_step(nothing_there: Call, site: Site) -> None:
    done = nothing_there(*HEROKU, "--region", "eu", "--team", "science", "--dry-run")
    assert (done.code, done.err) == (0, "")
    version = heroku.plan(site.workspace, App("my-mlflow")).request("build").body["source_blob"]
    assert isinstance(version, dict)
    api = "https://api.heroku.com"
    for line in (
        "heroku auth:token",
        f"GET {api}/apps/my-mlflow",
        "heroku apps:create my-mlflow --stack container --no-remote --region eu --team science",
        "heroku stack:set container --app my-mlflow",
        "heroku addons:create heroku-postgresql:essential-0 --app my-mlflow --wait",
        "heroku addons:create bucketeer:hobbyist --app my-mlflow --wait",
        f'PATCH {api}/apps/my-mlflow/config-vars {{"MLFLOW_AUTH_ADMIN_USERNAME": "***", '
        '"MLFLOW_AUTH_ADMIN_PASSWORD": "***", "MLFLOW_FLASK_SERVER_SECRET_KEY": "***", '
        '"ALLOWED_HOSTS": "<host of web_url>"}',
        f"POST {api}/sources",
        "PUT <put_url>",
        f'POST {api}/apps/my-mlflow/builds {{"source_blob": {{"url": "<get_url>", '
        f'"version": "{version["version"]}", "checksum": "{version["checksum"]}"}}}}',
        f"GET {api}/apps/my-mlflow/releases/<release_id>",
        "heroku ps:scale web=1 --app my-mlflow",
        "GET <web_url>/health",
        "set MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD in secrets.env "
        "(mode 600)",
    ):
        assert f"      {line}\n" in done.out
    assert not site.workspace.secrets_file.exists()
    assert not site.workspace.state.exists()


def test_a_dry_run_for_another_program(nothing_there: Call) -> None:
    done = nothing_there(*HEROKU, "--dry-run", "--json")
    payload = json.loads(done.out)
    assert (payload["platform"], payload["app"]) == ("heroku", "my-mlflow")
    steps = {step["step"]: step for step in payload["steps"]}
    assert list(steps) == [
        "login", "find", "create", "look", "stack", "heroku-postgresql", "bucketeer", "wait", "config",
        "upload", "build", "follow", "release", "scale", "check", "store",
    ]  # fmt: skip
    assert steps["create"] == {
        "step": "create",
        "title": "Create the app",
        "when": "it does not exist",
        "actions": ["heroku apps:create my-mlflow --stack container --no-remote"],
    }


def test_nothing_is_asked_that_the_plan_does_not_name(site: Site) -> None:
    site.deploy()
    planned = heroku.plan(site.workspace, App("my-mlflow"))
    actions = [str(action) for step in planned.steps for action in step.actions]
    assert [command for command in site.commands() if f"heroku {command}" not in actions] == []
    patterns = [
        re.sub(r"<\w+>", ".+", re.escape(action.split(" {")[0]).replace(r"\<", "<").replace(r"\>", ">"))
        for action in actions
    ]
    ours = [asked for asked in site.stub.asked if "python-requests" in asked.headers.get("user-agent", "")]
    assert len(ours) > 15
    for asked in ours:
        request = f"{asked.method} {site.stub.uri}{asked.path}"
        assert any(re.fullmatch(pattern, request) for pattern in patterns), request


def test_a_plan_prints_no_secret_and_fills_it_in_when_it_is_carried_out() -> None:
    body: Body = {
        "NAME": Deferred("NAME", secret=True),
        "inner": {"url": Deferred("url"), "plain": "text"},
    }
    request = Request("POST", "https://x/<url>/y", body)
    assert (
        str(request) == 'POST https://x/<url>/y {"NAME": "***", "inner": {"url": "<url>", "plain": "text"}}'
    )
    filled = request.filled({"NAME": "canary", "url": "u"})
    assert filled.url == "https://x/u/y"
    assert filled.body == {"NAME": "canary", "inner": {"url": "u", "plain": "text"}}
    with pytest.raises(KeyError):
        request.filled({"url": "u"})


def test_a_step_without_a_condition_is_always_taken() -> None:
    assert Step("x", "Do it", ()).as_json()["when"] == "always"
    assert Plan((Step("x", "Do it", ()),)).title("x") == "Do it"


def test_what_came_of_it_is_printed(call: Call, site: Site) -> None:
    done = call(*HEROKU)
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "Ready  MLflow 3.17.2 on Heroku, app my-mlflow",
        f"{site.stub.uri}/web/my-mlflow",
        "Runs report there: its address, user and password are in secrets.env.",
    ]
    assert "Create the app …\nCreating my-mlflow... done\n" in done.err
    assert "Follow the build …\n-----> Building\nStep 1\n" in done.err


def test_what_came_of_it_for_another_program(call: Call, site: Site) -> None:
    done = call(*HEROKU, "--json")
    assert json.loads(done.out) == {
        "platform": "heroku",
        "app": "my-mlflow",
        "uri": f"{site.stub.uri}/web/my-mlflow",
        "mlflow": "3.17.2",
        "changed": ["create", "heroku-postgresql", "bucketeer", "config", "build", "store"],
        "secrets_file": str(site.workspace.secrets_file),
    }
    assert json.loads(call(*HEROKU, "--json").out)["changed"] == []


def test_an_environment_that_names_another_server_is_reported(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://other.example.com")
    done = call(*HEROKU)
    assert done.err.splitlines()[-1] == "But MLFLOW_TRACKING_URI of the environment comes first: unset it."


def test_a_failure_is_two_lines_and_exit_code_90(call: Call, site: Site) -> None:
    site.stub.build_ends = ["failed"]
    done = call(*HEROKU)
    assert done.code == 90
    assert done.out == ""
    assert done.err.splitlines()[-2:] == [
        "Error: The build on Heroku failed: Done",
        f"Hint:  See {site.workspace.state / 'deploy-my-mlflow.log'}",
    ]


def test_debug_output_shows_no_secret(call: Call, site: Site) -> None:
    site.deploy()
    config = site.stub.apps["my-mlflow"].config
    hidden = [TOKEN, config["MLFLOW_AUTH_ADMIN_PASSWORD"], config["DATABASE_URL"]]
    site.stub.build_log = " ".join(hidden)
    site.stub.build_ends = ["failed"]
    put(site.workspace.root / "mlflow_tracking_server" / "Dockerfile", "FROM debian\n")
    site.workspace.secrets_file.unlink()  # so that nothing but the deployment itself knows them
    done = call("--debug", *HEROKU)
    assert done.code == 90
    assert "Traceback" in done.err
    assert [value for value in hidden if value in done.err + done.out] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("heroku",), "The app has no name."),
        (("fly", "-o", "x"), "The app has no name."),
        (("heroku", "--app", "my-app", "-o", "x"), "--output is for platforms that files are written for."),
        (("heroku", "--app", "My-App"), "My-App cannot be the name of an app on Heroku."),
        (("dokku",), "Where are the files for dokku to go?"),
        (("render", "-o", "x", "--model", "m.onnx"), "--model needs --platform compose."),
        (("heroku", "--app", "my-app", "--profile", "s3"), "--profile needs --platform compose."),
        (("compose", "-o", "x", "--model", "no.onnx"), "There is no file no.onnx."),
        (("compose", "-o", "x", "--region", "eu"), "--region needs --platform heroku."),
        (("render", "-o", "x", "--team", "t"), "--team needs --platform heroku."),
    ],
)
def test_what_does_not_go_together_is_reported(call: Call, arguments: tuple[str, ...], message: str) -> None:
    done = call("server", "deploy", "--platform", *arguments)
    assert done.code == 2
    assert done.err.splitlines()[0] == f"Error: {message}"
    assert not Path("x").exists()


def test_files_are_listed_with_what_to_do_next(call: Call) -> None:
    done = call("server", "deploy", "--platform", "compose", "-o", "my server")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert lines[:2] == ["new   my server/mlflow_tracking_server/ (3 files)", "new   my server/compose.yaml"]
    assert lines[-10:-5] == [
        "  cd 'my server'",
        "  docker compose up --detach --build --wait",
        "",
        "  For runs in containers on the same machine, add MLFLOW_ADDRESS=172.17.0.1 to .env (the address of",
        "  Docker's bridge: docker network inspect bridge) and write that address instead of localhost.",
    ]
    again = call("server", "deploy", "--platform", "compose", "-o", "my server")
    states = [line.split()[0] for line in again.out.partition("\n\n")[0].splitlines()]
    assert states == ["same"] * (len(states) - 1) + ["kept"]


def test_a_stack_goes_to_a_folder_of_its_own_unless_another_is_named(call: Call) -> None:
    assert call("server", "deploy", "--platform", "compose").code == 0
    assert Path("deploy/compose.yaml").is_file()


def test_a_dry_run_shows_the_difference_to_what_was_edited_and_fails_as_the_call_would(call: Call) -> None:
    call("server", "deploy", "--platform", "compose")
    Path("deploy/compose.yaml").write_text("mine\n")
    done = call("server", "deploy", "--platform", "compose", "--dry-run")
    assert done.code == 2
    assert "differs  deploy/compose.yaml" in done.out.splitlines()
    assert "-mine" in done.out.splitlines()
    assert done.err.splitlines()[-2] == "Error: deploy/compose.yaml is there, and it is another one."
    assert Path("deploy/compose.yaml").read_text() == "mine\n"
    assert call("server", "deploy", "--platform", "compose", "--force").code == 0
    assert Path("deploy/compose.yaml").read_text() != "mine\n"


def test_files_can_be_planned_alone(call: Call) -> None:
    done = call("server", "deploy", "--platform", "render", "-o", "there", "--dry-run", "--json")
    payload = json.loads(done.out)
    assert payload["files"]["render.yaml"] == "new"
    assert not Path("there").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_call_that_is_stopped_says_so_and_the_next_goes_on(site: Site, number: signal.Signals) -> None:
    site.stub.polls = 10**6
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *HEROKU],
        cwd=site.workspace.root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up = time.monotonic() + 60
    while not any("/builds/" in asked.path for asked in list(site.stub.asked)) and time.monotonic() < give_up:
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert err.splitlines()[-3:] == [
        "What was created so far stays; the same command continues from there.",
        f"Error: Stopped by {number.name}.",
        "Hint:  The same command starts it again.",
    ]
    site.stub.polls = 0
    assert site.deploy().changed == ("store",)
    assert len(site.stub.apps["my-mlflow"].builds) == 1
