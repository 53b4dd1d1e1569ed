"""The whole way to Heroku, against a stand-in for its API."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from heroku_stub import BUCKET, DATABASE_URL, TOKEN, Answer, HerokuApp, ReceivedRequest, error
from trainer.deploy import heroku_api, heroku_build, verify
from trainer.deploy.heroku_plan import App
from trainer.errors import DeployError, InvalidInput, SecretsError, TrackingDenied, TrainerError
from trainer.workspace import secrets

from unit.deploy.helpers import Site, site
from unit.helpers import fails, put

__all__ = ["site"]
EVERYTHING = ("create", "heroku-postgresql", "bucketeer", "config", "build", "store")
ORDER = [
    "POST /apps",
    "POST /apps/my-mlflow/addons",
    "POST /apps/my-mlflow/addons",
    "PATCH /apps/my-mlflow/config-vars",
    "POST /sources",
    "PUT /put/1?signature=canary-put",
    "POST /apps/my-mlflow/builds",
]


def test_from_nothing_to_a_server_that_runs_report_to(site: Site) -> None:
    outcome = site.deploy()
    assert outcome.changed == EVERYTHING
    assert (outcome.uri, outcome.version) == (f"{site.stub.uri}/web/my-mlflow", "3.17.2")
    assert site.stub.changes() == ORDER
    assert site.commands() == [
        "auth:token",
        "apps:create my-mlflow --stack container --no-remote",
        "addons:create heroku-postgresql:essential-0 --app my-mlflow --wait",
        "addons:create bucketeer:hobbyist --app my-mlflow --wait",
    ]
    config = site.stub.apps["my-mlflow"].config
    assert len(config["MLFLOW_AUTH_ADMIN_PASSWORD"]) >= 12
    assert config["MLFLOW_AUTH_ADMIN_USERNAME"] != "admin"
    assert len(config["MLFLOW_FLASK_SERVER_SECRET_KEY"]) >= 32
    assert config["ALLOWED_HOSTS"] == "127.0.0.1"
    assert secrets.load(site.workspace).values == {
        "MLFLOW_TRACKING_URI": outcome.uri,
        "MLFLOW_TRACKING_USERNAME": config["MLFLOW_AUTH_ADMIN_USERNAME"],
        "MLFLOW_TRACKING_PASSWORD": config["MLFLOW_AUTH_ADMIN_PASSWORD"],
    }
    assert stat.S_IMODE(site.workspace.secrets_file.stat().st_mode) == 0o600


def test_what_is_shown_is_steps_and_logs(site: Site) -> None:
    site.deploy()
    assert site.screen.steps == [
        "See who is logged in",
        "Find the app",
        "Create the app",
        "See what the app has",
        "Add heroku-postgresql:essential-0",
        "Add bucketeer:hobbyist",
        "Set the config vars",
        "Upload mlflow_tracking_server/",
        "Build it there",
        "Follow the build",
        "Wait for the release",
        "Check the server",
        "Have the workspace's runs report there",
    ]
    shown = "\n".join(site.screen.lines)
    assert "-----> Building\nStep 1\nStep 2\nDone\nThe database is ready." in shown


def test_a_second_call_changes_nothing(site: Site) -> None:
    first = site.deploy()
    before = (
        site.secrets,
        site.workspace.secrets_file.stat().st_mtime_ns,
        dict(site.stub.apps["my-mlflow"].config),
    )
    site.stub.asked.clear()
    second = site.deploy()
    assert (second.changed, second.uri) == ((), first.uri)
    assert site.stub.changes() == []
    assert before == (
        site.secrets,
        site.workspace.secrets_file.stat().st_mtime_ns,
        site.stub.apps["my-mlflow"].config,
    )


def test_changed_files_are_built_and_nothing_else_is_touched(site: Site) -> None:
    site.deploy()
    put(site.workspace.root / "mlflow_tracking_server" / "Dockerfile", "FROM debian\n")
    assert site.deploy().changed == ("build",)
    assert len(site.stub.apps["my-mlflow"].builds) == 2
    assert site.deploy().changed == ()


def test_only_what_is_missing_of_an_app_is_made(site: Site) -> None:
    site.deploy()
    app = site.stub.apps["my-mlflow"]
    app.addons.pop()
    app.info["build_stack"]["name"] = "heroku-24"
    app.formation[0]["quantity"] = 0
    del app.config["MLFLOW_FLASK_SERVER_SECRET_KEY"]
    password = app.config["MLFLOW_AUTH_ADMIN_PASSWORD"]
    assert site.deploy().changed == ("stack", "bucketeer", "config", "scale")
    assert app.info["build_stack"]["name"] == "container"
    assert app.formation[0]["quantity"] == 1
    assert app.config["MLFLOW_AUTH_ADMIN_PASSWORD"] == password


def test_an_app_with_a_larger_database_keeps_it(site: Site) -> None:
    site.deploy()
    site.stub.apps["my-mlflow"].addons[0]["plan"]["name"] = "heroku-postgresql:standard-0"
    assert site.deploy().changed == ()


def test_an_app_that_was_made_by_hand_and_is_empty_is_used(site: Site) -> None:
    site.stub.apps["my-mlflow"] = site.stub.new_app("my-mlflow")
    assert site.deploy().changed == ("stack", *EVERYTHING[1:])


def test_an_app_that_runs_something_else_is_left_alone(site: Site) -> None:
    shop = site.stub.new_app("my-shop")
    shop.formation = [{"type": "web", "quantity": 2}]
    site.stub.apps["my-shop"] = shop
    with fails(
        DeployError,
        "The app my-shop runs something else.",
        "Choose another: --app NAME. If it is a tracking server, set its config var "
        "MLFLOW_AUTH_ADMIN_USERNAME.",
    ):
        site.deploy("my-shop")
    assert site.stub.changes() == []


def test_region_and_team_go_to_a_new_app(site: Site) -> None:
    site.deploy(region="eu", team="science")
    assert "apps:create my-mlflow --stack container --no-remote --region eu --team science" in site.commands()
    assert site.stub.changes()[0] == "POST /teams/apps"
    info = site.stub.apps["my-mlflow"].info
    assert (info["region"]["name"], info["team"]["name"]) == ("eu", "science")
    assert site.deploy(region="eu", team="science").changed == ()


def test_what_cannot_be_changed_of_an_app_is_reported(site: Site) -> None:
    site.deploy()
    with fails(DeployError, "The app my-mlflow is there, and its region is us, not eu."):
        site.deploy(region="eu")
    with fails(DeployError, "The app my-mlflow is there, and its team is none, not science."):
        site.deploy(team="science")


@pytest.mark.parametrize("request_number", range(len(ORDER)))
def test_a_call_that_was_cut_off_anywhere_is_completed_by_the_next(site: Site, request_number: int) -> None:
    def cut_off(asked: ReceivedRequest) -> Answer | None:
        done = [item for item in site.stub.asked if item.changes]
        return error("forbidden") if asked.changes and len(done) > request_number else None

    site.stub.refuse = cut_off
    with pytest.raises(TrainerError):
        site.deploy()
    site.stub.refuse = lambda _: None
    outcome = site.deploy()
    app = site.stub.apps["my-mlflow"]
    assert len(app.addons) == 2
    assert len(app.builds) == 1
    assert (
        secrets.load(site.workspace).values["MLFLOW_TRACKING_PASSWORD"]
        == app.config["MLFLOW_AUTH_ADMIN_PASSWORD"]
    )
    assert outcome.version == "3.17.2"


def test_a_call_that_was_cut_off_behind_the_door_is_completed_by_the_next(site: Site) -> None:
    """The request came through, its answer did not: nothing is made twice."""
    cut = {"POST /apps/my-mlflow/builds", "PATCH /apps/my-mlflow/config-vars", "GET /web/my-mlflow/version"}

    def lost(asked: ReceivedRequest) -> Answer | None:
        if str(asked) not in cut:
            return None
        cut.remove(str(asked))
        site.stub.answer(asked)
        return 500, "lost"

    site.stub.refuse = lost
    for _ in range(4):
        try:
            outcome = site.deploy()
        except TrainerError:
            continue
        break
    assert cut == set()
    assert len(site.stub.apps["my-mlflow"].builds) == 1
    assert outcome.changed == ("store",)


def test_addons_that_an_earlier_call_left_in_the_making_are_waited_for(site: Site) -> None:
    site.stub.apps["my-mlflow"] = app = site.stub.new_app("my-mlflow", stack="container")
    site.stub.slow_addons = True
    for plan in ("heroku-postgresql:essential-0", "bucketeer:hobbyist"):
        site.stub._add(app, {"plan": {"name": plan}})
    assert site.deploy().changed == ("wait", "config", "build", "store")
    assert "addons:wait --app my-mlflow" in site.commands()
    assert app.config["DATABASE_URL"] == DATABASE_URL


def test_the_login_goes_to_the_api_alone_and_no_secret_into_an_address(site: Site) -> None:
    site.deploy()
    config = site.stub.apps["my-mlflow"].config
    hidden = [TOKEN, *(value for name, value in config.items() if name.startswith("MLFLOW_"))]
    for asked in site.stub.asked:
        api = asked.path.startswith(("/apps", "/sources", "/oauth", "/teams"))
        assert (TOKEN in asked.headers.get("authorization", "")) == api, asked
        assert not any(value in asked.path for value in hidden), asked
        # A signed address takes no type, or the signature is wrong.
        assert not asked.path.startswith("/put/") or "content-type" not in asked.headers


def test_a_netrc_has_no_say_in_who_asks(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "netrc", "machine 127.0.0.1 login other password wrong\n").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert site.deploy().changed == EVERYTHING


def test_without_the_heroku_command_it_says_how_to_get_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with fails(
        DeployError,
        "The program heroku is not installed.",
        "npm install --global heroku (https://devcenter.heroku.com/articles/heroku-cli), then: heroku login",
    ):
        site.deploy()


def test_without_a_login_it_says_how_to_log_in(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TOKEN", "")
    with fails(DeployError, "The heroku command is not logged in.", "heroku login"):
        site.deploy()
    assert site.stub.asked == []


def test_a_login_that_is_no_longer_good(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_TOKEN", "old-token")
    with fails(DeployError, "Heroku does not accept the login of the heroku command.", "heroku login"):
        site.deploy()
    monkeypatch.setenv("HEROKU_API_KEY", "old-token")
    with fails(
        DeployError,
        "Heroku does not accept the login of the heroku command.",
        "heroku login HEROKU_API_KEY is set: it comes before the login.",
    ):
        site.deploy()


TAKEN = (
    "The app name my-mlflow is already taken.",
    "Choose another name (--app NAME), or log in to the account that owns it: heroku login",
)


def test_a_name_that_somebody_else_has(site: Site) -> None:
    site.stub.others.add("my-mlflow")
    with fails(DeployError, *TAKEN):
        site.deploy()


def test_a_name_that_somebody_else_takes_meanwhile(site: Site) -> None:
    site.stub.others.add("my-mlflow")
    site.stub.refuse = lambda asked: error("not_found") if str(asked) == "GET /apps/my-mlflow" else None
    with fails(DeployError, *TAKEN):
        site.deploy()


@pytest.mark.parametrize("name", ["My-App", "ab", "1st", "-app", "a_b", "a" * 31, "app.name", "app name", ""])
def test_a_name_that_cannot_be_is_refused_before_anything_is_asked(site: Site, name: str) -> None:
    with fails(
        InvalidInput,
        f"{name} cannot be the name of an app on Heroku.",
        "3 to 30 lower case letters, digits and dashes, the first one a letter: --app my-mlflow",
    ):
        site.deploy(name)
    assert site.stub.asked == []


@pytest.mark.parametrize("name", ["abc", "a" * 30, "a1-2-", "my-mlflow"])
def test_names_that_can_be(name: str) -> None:
    assert App(name).name == name


def test_an_account_that_heroku_wants_to_know_better(site: Site) -> None:
    site.stub.refuse = lambda asked: (
        error("verification_required") if "addons" in str(asked) and asked.changes else None
    )
    with fails(
        DeployError,
        "`heroku addons:create heroku-postgresql:essential-0 --app my-mlflow --wait` failed: Please verify "
        "your account to install this add-on plan (please enter a credit card).",
        "Fix the cause, then run the same command again: it continues from here.",
    ):
        site.deploy()


def test_what_heroku_refuses_is_reported_in_its_words(site: Site) -> None:
    site.stub.refuse = lambda asked: error("verification_required") if str(asked) == "POST /sources" else None
    with fails(
        DeployError,
        "Heroku refuses POST /sources: Please verify your account to install this add-on plan (please "
        "enter a credit card).",
        "See https://devcenter.heroku.com/articles/account-verification",
    ):
        site.deploy()


def test_a_login_that_asks_too_often(site: Site) -> None:
    site.stub.refuse = lambda asked: error("rate_limit") if str(asked) == "POST /sources" else None
    with fails(DeployError, "Heroku's rate limit for this login is exceeded.", "Try again in a few minutes."):
        site.deploy()


def test_a_heroku_that_cannot_be_reached(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROKU_HOST", "http://127.0.0.1:1")
    monkeypatch.setattr(heroku_api, "RETRIES", 0)
    with fails(
        DeployError, "Heroku's API cannot be reached: ConnectionError.", "Check that this machine is online."
    ):
        site.deploy()


def test_an_api_that_fails_for_a_moment_is_asked_again_but_never_to_build_twice(site: Site) -> None:
    failed: list[str] = []

    def once(asked: ReceivedRequest) -> Answer | None:
        if (
            asked.method in ("GET", "PUT")
            and asked.path.startswith(("/apps", "/put"))
            and str(asked) not in failed
        ):
            failed.append(str(asked))
            return error("service_unavailable")
        return None

    site.stub.refuse = once
    assert site.deploy().version == "3.17.2"
    assert len(failed) > 8
    site.stub.refuse = lambda asked: error("service_unavailable") if asked.method == "POST" else None
    put(site.workspace.root / "mlflow_tracking_server" / "Dockerfile", "FROM debian\n")
    site.stub.asked.clear()
    with fails(DeployError, "Heroku's API answered 503.", "See https://status.heroku.com, and try again."):
        site.deploy()
    assert site.stub.changes() == ["POST /sources"]


def test_a_build_that_fails_is_reported_with_the_end_of_its_log(site: Site) -> None:
    site.stub.build_log = "-----> Building\n!\tError: docker build exit status 1\n\n"
    site.stub.build_ends = ["failed"]
    log = site.workspace.state / "deploy-my-mlflow.log"
    with fails(DeployError, "The build on Heroku failed: !\tError: docker build exit status 1", f"See {log}"):
        site.deploy()
    assert "-----> Building" in log.read_text()
    assert not site.workspace.secrets_file.exists()
    assert site.deploy().changed == ("build", "store")


def test_a_release_phase_that_fails_is_reported_with_the_end_of_its_log_and_tried_again(site: Site) -> None:
    site.stub.release_log = "mlflow_server: The database does not answer."
    site.stub.release_ends = ["failed"]
    log = site.workspace.state / "deploy-my-mlflow.log"
    with fails(
        DeployError,
        "The release phase on Heroku failed: mlflow_server: The database does not answer.",
        f"The release before it keeps running. See {log}",
    ):
        site.deploy()
    assert site.deploy().changed == ("build", "store")
    assert len(site.stub.apps["my-mlflow"].builds) == 2


@pytest.mark.parametrize("ranges", [True, False])
def test_a_log_that_breaks_off_is_read_on_and_no_line_comes_twice(site: Site, ranges: bool) -> None:
    site.stub.build_log = "".join(f"line {number}\n" for number in range(40))
    site.stub.polls, site.stub.ranges, site.stub.breaks_after = 12, ranges, 37
    if not ranges:
        site.stub.breaks_after = len(site.stub.build_log) - 5
    site.deploy()
    lines = [line for line in site.screen.lines if line.startswith("line ")]
    assert lines == (site.stub.build_log.splitlines() if ranges else site.stub.build_log.splitlines()[:-1])


def test_a_build_that_goes_on_and_on_is_left_and_followed_by_the_next_call(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.stub.polls = 10**6
    monkeypatch.setattr(heroku_build, "BUILD_S", 0.1)
    with fails(
        DeployError,
        "The build on Heroku has not ended yet.",
        "Nothing is lost: run the same command again to keep waiting for it.",
    ):
        site.deploy()
    site.stub.polls = 0
    assert site.deploy().changed == ("store",)


def test_a_server_that_does_not_come_up_in_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "READY_S", 0.2)
    site.stub.dyno = "crashed"
    uri = f"{site.stub.uri}/web/my-mlflow"
    hint = "See what it says: heroku logs --app my-mlflow. Then run the same command again."
    with fails(DeployError, f"{uri} is not ready after 0.2 s: its dyno is crashed.", hint):
        site.deploy()
    site.stub.dyno = "up"
    site.stub.health = [(503, "")] * 10**4
    with fails(DeployError, f"{uri} is not ready after 0.2 s: /health answers 503.", hint):
        site.deploy()
    site.stub.health = [(200, "<html>Something else</html>")] * 10**4
    with fails(DeployError, f"{uri} is not ready after 0.2 s: /health answers 200, but not OK.", hint):
        site.deploy()


def test_a_server_that_needs_a_moment_is_waited_for(site: Site) -> None:
    site.stub.health = [(404, "no such app"), (503, ""), (502, "")]
    assert site.deploy().changed == EVERYTHING


def test_a_server_that_lets_in_everybody_is_not_used(site: Site) -> None:
    site.stub.open_to_all = True
    with fails(
        DeployError,
        f"{site.stub.uri}/web/my-mlflow answers without a password.",
        "Do not use it: everybody could.",
    ):
        site.deploy()
    assert not site.workspace.secrets_file.exists()


def test_a_server_that_does_not_know_its_name(site: Site) -> None:
    site.stub.forbidden_host = True
    with fails(
        DeployError,
        f"{site.stub.uri}/web/my-mlflow does not answer to that name.",
        "Add 127.0.0.1 to its variable ALLOWED_HOSTS.",
    ):
        site.deploy()


def change_password(app: HerokuApp, password: str) -> str:
    name = next(iter(app.accounts))
    app.accounts[name] = password
    return name


def test_an_administrator_who_has_changed_the_password(site: Site) -> None:
    site.deploy()
    name = change_password(site.stub.apps["my-mlflow"], "chosen-later-1")
    with fails(
        TrackingDenied,
        f"{site.stub.uri}/web/my-mlflow refuses the user {name} with the password of its config vars.",
        "It was changed since the first start: put user name and password as they are now in secrets.env.",
    ):
        site.deploy()
    secrets.store(site.workspace, {"MLFLOW_TRACKING_PASSWORD": "chosen-later-1"})
    before = site.secrets
    assert site.deploy().changed == ()
    assert site.secrets == before


def test_an_account_of_ones_own_stays_in_secrets_env(site: Site) -> None:
    site.deploy()
    site.stub.apps["my-mlflow"].accounts["me"] = "my-own-password"
    secrets.store(
        site.workspace, {"MLFLOW_TRACKING_USERNAME": "me", "MLFLOW_TRACKING_PASSWORD": "my-own-password"}
    )
    before = site.secrets
    assert site.deploy().changed == ()
    assert site.secrets == before


OTHER = "MINE=1\nMLFLOW_TRACKING_URI=https://other.example.com\nMLFLOW_TRACKING_PASSWORD=theirs-12345\n"


def test_another_server_in_secrets_env_is_kept_and_nothing_is_made(site: Site) -> None:
    put(site.workspace.secrets_file, OTHER).chmod(0o600)
    with fails(
        SecretsError,
        f"{site.workspace.secrets_file} sets MLFLOW_TRACKING_URI, MLFLOW_TRACKING_PASSWORD for another "
        "tracking server.",
        "Keep what you need of it elsewhere and remove it there, or lose it: --force",
    ):
        site.deploy()
    assert site.stub.changes() == []
    assert site.secrets == OTHER


def test_another_server_in_secrets_env_is_replaced_with_force(site: Site) -> None:
    put(site.workspace.secrets_file, OTHER).chmod(0o600)
    outcome = site.deploy(force=True)
    values = secrets.load(site.workspace).values
    assert (values["MINE"], values["MLFLOW_TRACKING_URI"]) == ("1", outcome.uri)


def test_a_password_without_an_address_is_kept_too(site: Site) -> None:
    """It may be for a server that trainer.yaml names."""
    put(site.workspace.secrets_file, "MLFLOW_TRACKING_PASSWORD=theirs-12345\n").chmod(0o600)
    with fails(
        SecretsError,
        f"{site.workspace.secrets_file} sets MLFLOW_TRACKING_PASSWORD for another tracking server.",
    ):
        site.deploy()
    assert site.stub.changes() == []


def test_a_password_that_the_server_does_not_accept_is_not_replaced_in_silence(site: Site) -> None:
    uri = site.deploy().uri
    right = secrets.load(site.workspace).values
    secrets.store(site.workspace, {"MLFLOW_TRACKING_PASSWORD": "mistyped-12345"})
    before = site.secrets
    with fails(
        SecretsError,
        f"{site.workspace.secrets_file} sets MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME, "
        f"MLFLOW_TRACKING_PASSWORD which {uri} does not accept.",
    ):
        site.deploy()
    assert site.secrets == before
    assert site.deploy(force=True).changed == ("store",)
    assert secrets.load(site.workspace).values == right


def test_a_secrets_file_that_git_would_commit_is_refused_before_anything_is_made(site: Site) -> None:
    (site.workspace.root / ".gitignore").unlink()
    with fails(SecretsError, f"git would commit {site.workspace.secrets_file}: no .gitignore names it."):
        site.deploy()
    assert site.commands() == []


@pytest.mark.parametrize("missing", ["Dockerfile", "heroku.yml"])
def test_a_folder_that_is_not_all_there_is_refused_before_anything_is_asked(site: Site, missing: str) -> None:
    path = site.workspace.root / "mlflow_tracking_server" / missing
    path.unlink()
    with fails(InvalidInput, f"{path} is not there."):
        site.deploy()
    assert site.commands() == []


@pytest.mark.parametrize(
    "host",
    [
        "https://evil.example.com",
        "evil.example.com",
        "heroku.com.evil.net",
        "http://api.heroku.com",
        "localhost.evil.net",
    ],
)
def test_a_login_is_not_sent_to_strangers(site: Site, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HEROKU_HOST", host)
    with fails(
        InvalidInput,
        f"HEROKU_HOST is {host}, which is not an address of Heroku.",
        "Unset it; the login would be sent there.",
    ):
        site.deploy()
    assert site.commands() == []


def test_no_secret_is_shown_whatever_heroku_prints(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build log, a program's output and an error that hold secrets: masked wherever they end up."""
    site.deploy()
    app = site.stub.apps["my-mlflow"]
    password = app.config["MLFLOW_AUTH_ADMIN_PASSWORD"]
    hidden = [TOKEN, DATABASE_URL, "canary-database-7e", password, BUCKET["BUCKETEER_AWS_SECRET_ACCESS_KEY"]]
    leak = " ".join(hidden)
    monkeypatch.setenv("FAKE_LEAK", leak)
    app.addons.pop()
    site.stub.build_log = f"ENV {leak}\n"
    site.stub.build_ends = ["failed"]
    put(site.workspace.root / "mlflow_tracking_server" / "Dockerfile", "FROM debian\n")
    with pytest.raises(DeployError) as caught:
        site.deploy()
    log = (site.workspace.state / "deploy-my-mlflow.log").read_text()
    seen = "\n".join([*site.screen.lines, *map(str, caught.value.args), caught.value.message, log])
    assert seen.count("*** *** *** *** ***") >= 4  # it did pass by
    assert [value for value in hidden if value in seen] == []
    site.stub.refuse = lambda asked: (422, {"id": "x", "message": leak}) if asked.method == "POST" else None
    with pytest.raises(DeployError) as caught:
        site.deploy()
    assert caught.value.message == "Heroku refuses POST /sources: *** *** *** *** ***"
    assert caught.value.__suppress_context__


def test_ordinary_config_vars_are_not_masked(site: Site) -> None:
    site.deploy()
    site.stub.apps["my-mlflow"].config["WEB_CONCURRENCY"] = "Building"
    site.stub.build_log = f"Building as {site.stub.apps['my-mlflow'].config['MLFLOW_AUTH_ADMIN_USERNAME']}\n"
    put(site.workspace.root / "mlflow_tracking_server" / "Dockerfile", "FROM debian\n")
    site.deploy()
    assert any(re.fullmatch(r"Building as trainer-[0-9a-f]{6}", line) for line in site.screen.lines)


def test_a_list_that_comes_in_parts_is_read_to_its_end(site: Site) -> None:
    """Of hundreds of builds Heroku hands out the first ones, in an order of its own."""
    site.deploy()
    builds = site.stub.apps["my-mlflow"].builds
    builds[:0] = [{**builds[0], "created_at": "2020-01-01T00:00:00Z", "status": "failed"} for _ in range(5)]
    site.stub.page = 2
    assert site.deploy().changed == ()
