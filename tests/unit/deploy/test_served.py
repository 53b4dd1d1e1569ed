"""A model on its way to Heroku, against a stand-in for its API and for the engine that pushes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import docker
import pytest
from heroku_stub import TOKEN, ReceivedRequest, error
from shown import Shown
from trainer.deploy.heroku_plan import App
from trainer.deploy.served import heroku, verify
from trainer.deploy.served.heroku import Image, Outcome
from trainer.deploy.served.plan import registry
from trainer.errors import DeployError

from unit.deploy.helpers import Site, site
from unit.helpers import fails

__all__ = ["site"]
SHA256 = "0" * 64
IMAGE = Image("trainer/serve-skin:0123456789ab", SHA256)
NAMES = ("MODEL_SERVER_TOKEN", "MODEL_SERVER_IMAGE")


@dataclass
class Engine:
    """One that has the image, and writes down what it is to push."""

    image_id: str = "sha256:1"
    pushed: list[str] = field(default_factory=list)
    logins: list[Mapping[str, str]] = field(default_factory=list)
    error: str = ""

    @property
    def client(self) -> docker.DockerClient:
        """As docker-py's."""
        api = SimpleNamespace(
            inspect_image=lambda _: {"Id": self.image_id, "Config": {}},
            tag=lambda tag, repository, _: self.pushed.append(f"{tag} as {repository}"),
            push=self._push,
        )
        return cast(docker.DockerClient, SimpleNamespace(api=api))

    def _push(self, repository: str, _: str, auth_config: Mapping[str, str], **__: bool) -> Iterator[object]:
        self.pushed.append(repository)
        self.logins.append(auth_config)
        yield {"status": "Pushed"}
        if self.error:
            yield {"error": self.error}


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def deployed(site: Site, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    monkeypatch.setattr(verify, "POLL_S", 0)
    site.stub.model = SHA256
    return Deployed(site, engine)


@dataclass
class Deployed:
    """Calls."""

    site: Site
    engine: Engine

    def __call__(self, name: str = "my-skin", region: str | None = None) -> Outcome:
        self.site.screen = Shown()
        return heroku.deploy(self.engine.client, App(name, region), IMAGE, self.site.screen)


def test_from_nothing_to_a_model_that_answers_with_its_token(deployed: Deployed) -> None:
    site = deployed.site
    outcome = deployed()
    assert outcome.changed == ("create", "config", "push", "release")
    assert outcome.uri == f"{site.stub.uri}/web/my-skin"
    assert outcome.token == "heroku config:get MODEL_SERVER_TOKEN --app my-skin"
    assert site.commands() == [
        "auth:token",
        "apps:create my-skin --stack container --no-remote",
        "container:release web --app my-skin",
    ]
    repository = f"127.0.0.1:{site.stub.port}/my-skin/web"
    assert deployed.engine.pushed == [f"{IMAGE.tag} as {repository}", repository]
    assert deployed.engine.logins == [{"username": "_", "password": TOKEN}]
    config = site.stub.apps["my-skin"].config
    assert len(config["MODEL_SERVER_TOKEN"]) == 64
    assert config["MODEL_SERVER_IMAGE"] == "sha256:1"


def test_a_second_call_changes_nothing_and_another_image_keeps_the_token(deployed: Deployed) -> None:
    deployed()
    token = deployed.site.stub.apps["my-skin"].config["MODEL_SERVER_TOKEN"]
    deployed.site.stub.asked.clear()
    assert deployed().changed == ()
    assert deployed.site.stub.changes() == []
    deployed.engine.image_id = "sha256:2"
    assert deployed().changed == ("push", "release")
    assert deployed.site.stub.apps["my-skin"].config == dict(zip(NAMES, (token, "sha256:2"), strict=True))


def test_no_secret_is_shown_or_stands_in_a_command_or_an_address(deployed: Deployed) -> None:
    deployed()
    site = deployed.site
    secrets = (TOKEN, site.stub.apps["my-skin"].config["MODEL_SERVER_TOKEN"])
    screen = site.screen
    said = [*site.commands(), *screen.steps, *screen.parts, *screen.lines, *screen.remarks]
    said += [asked.path for asked in site.stub.asked]
    assert not [line for line in said for secret in secrets if secret in line]


def test_an_app_that_runs_something_else_is_left_alone(deployed: Deployed) -> None:
    shop = deployed.site.stub.new_app("my-shop")
    shop.formation = [{"type": "web", "quantity": 2}]
    deployed.site.stub.apps["my-shop"] = shop
    with fails(
        DeployError,
        "The app my-shop runs something else.",
        "Choose another: --app NAME. If it is a model's, set its config var MODEL_SERVER_TOKEN.",
    ):
        deployed("my-shop")
    assert deployed.site.stub.changes() == []
    assert deployed.engine.pushed == []


def test_a_call_that_was_cut_off_is_completed_by_the_next(deployed: Deployed) -> None:
    deployed.engine.error = f"denied, for {TOKEN}"
    with pytest.raises(DeployError, match="The image cannot be pushed to"):
        deployed()
    deployed.engine.error = ""
    token = deployed.site.stub.apps["my-skin"].config["MODEL_SERVER_TOKEN"]

    def refused(asked: ReceivedRequest) -> tuple[int, object] | None:
        return error("forbidden") if str(asked) == "PATCH /apps/my-skin/formation" else None

    deployed.site.stub.refuse = refused
    with pytest.raises(DeployError):
        deployed()
    deployed.site.stub.refuse = lambda _: None
    assert deployed().changed == ("push", "release")
    assert deployed.site.stub.apps["my-skin"].config["MODEL_SERVER_TOKEN"] == token


def test_what_the_registry_says_is_masked(deployed: Deployed) -> None:
    deployed.engine.error = f"denied, for {TOKEN}"
    with pytest.raises(DeployError) as refused:
        deployed()
    assert "denied, for " in refused.value.message
    assert TOKEN not in refused.value.message


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("open_to_all", True, "answers without the token."),
        ("model", "1" * 64, "is not ready after 0 s: it serves another model."),
        ("health", [(503, "no")] * 9, "is not ready after 0 s: /health answers 503."),
    ],
)
def test_a_server_that_is_not_the_one_is_no_success(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, attribute: str, value: object, message: str
) -> None:
    monkeypatch.setattr(verify, "READY_S", 0)
    setattr(deployed.site.stub, attribute, value)
    with pytest.raises(DeployError) as refused:
        deployed()
    assert refused.value.message.endswith(message)


@pytest.mark.parametrize(
    ("api", "host"),
    [("https://api.heroku.com", "registry.heroku.com"), ("http://127.0.0.1:5000", "127.0.0.1:5000")],
)
def test_the_registry_is_that_of_the_api(api: str, host: str) -> None:
    assert registry(api) == host


def test_the_plan_shows_all_steps_and_no_secret() -> None:
    steps = heroku.plan(App("my-skin", "eu"), IMAGE).steps
    shown = [str(action) for step in steps for action in step.actions]
    assert "heroku apps:create my-skin --stack container --no-remote --region eu" in shown
    assert any("push registry.heroku.com/my-skin/web" in line for line in shown)
    assert any(line.endswith('{"MODEL_SERVER_TOKEN": "***"}') for line in shown)
