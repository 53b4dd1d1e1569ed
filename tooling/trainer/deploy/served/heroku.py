"""A model on Heroku: what is missing is made, what is there is left alone; the token stays as it is."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trainer.deploy import heroku_api, heroku_cli
from trainer.deploy.heroku_api import Api
from trainer.deploy.heroku_app import Deployment
from trainer.deploy.heroku_plan import STACK, App
from trainer.deploy.plan import Plan, Request
from trainer.deploy.served import plan as plans
from trainer.deploy.served import verify
from trainer.deploy.served.plan import IMAGE, TOKEN
from trainer.engine import daemon
from trainer.errors import DeployError
from trainer.images import build
from trainer.progress import Steps

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True)
class Image:
    """An image with a model in it, which the engine has; `sha256` is the model's."""

    tag: str
    sha256: str


@dataclass(frozen=True)
class Outcome:
    """A model that was seen to answer."""

    app: str
    uri: str
    changed: tuple[str, ...]
    """The steps that it took; none for a second call."""

    @property
    def token(self) -> str:
        """The command that prints the token."""
        return f"heroku config:get {TOKEN} --app {self.app}"


def plan(app: App, image: Image) -> Plan:
    """All that `deploy` could do, in order. Nothing is asked of anybody."""
    return plans.make(app, image.tag, heroku_api.address())


def deploy(client: docker.DockerClient, app: App, image: Image, reporter: Steps) -> Outcome:
    """Have the image run as this app. Raises `DeployError`, `ImageError`."""
    steps = plan(app, image)
    reporter.step(steps.title("login"))
    token = heroku_cli.token(steps.command("login"))
    api = Api(heroku_api.address(), token)
    deployment = _Deployment(app, steps, api, reporter, [token], [], client, image, token)
    with deployment.masked_errors():
        return deployment.run()


@dataclass
class _Deployment(Deployment):
    client: docker.DockerClient
    image: Image
    login: str

    def run(self) -> Outcome:
        info = self.app()
        name = self.app_wanted.name
        uri = (info["web_url"] or f"https://{name}.herokuapp.com").rstrip("/")
        self.reporter.step(self.plan.title("look"))
        config = self.config()
        if self.formation() and TOKEN not in config:
            raise DeployError(
                f"The app {name} runs something else.",
                f"Choose another: --app NAME. If it is a model's, set its config var {TOKEN}.",
            )
        if info["build_stack"]["name"] != STACK:
            self.command("stack")
        if not config.get(TOKEN):
            self._set("config", {TOKEN: random.token_hex(32)})
            config = self.config()
        image_id = build.origin(self.client, self.image.tag).id
        if config.get(IMAGE) != image_id:
            self._push()
            self.command("release")
            self._set("release", {IMAGE: image_id})
        self.scale()
        self.reporter.step(self.plan.title("check"))
        hint = f"See what it says: heroku logs --app {name}. Then run the same command again."
        verify.ready(uri, config[TOKEN], self.image.sha256, hint)
        return Outcome(name, uri, tuple(dict.fromkeys(self.changed)))

    def _set(self, key: str, values: dict[str, str]) -> None:
        self.hidden += [values[TOKEN]] if TOKEN in values else []
        self.begin(key)
        request = self.plan.request(key)
        self.api.send(Request(request.method, request.url, values))

    def _push(self) -> None:
        """By the engine, which is told the login in a header: no file and no command line has it."""
        self.begin("push")
        repository = plans.repository(heroku_api.address(), self.app_wanted)
        with daemon.failures():
            self.client.api.tag(self.image.tag, repository, "latest")
            said = self.client.api.push(
                repository, "latest", stream=True, decode=True,
                auth_config={"username": "_", "password": self.login},
            )  # fmt: skip
            for line in said:
                if error := line.get("error"):
                    raise DeployError(
                        f"The image cannot be pushed to {repository}: {error}",
                        "Heroku takes images of Docker's own image store, of at most some GB. "
                        "Then run the same command again.",
                    )
                self.reporter.part(str(line.get("status", "")))
