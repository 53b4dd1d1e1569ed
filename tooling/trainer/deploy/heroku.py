"""The tracking server on Heroku: what is missing is made, what is there is left alone.

Heroku itself is the record of how far a call came: generated passwords live in the app's config vars from the
moment they exist. A call that was interrupted is therefore completed by the next one.
"""

from __future__ import annotations

import secrets as random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from trainer.deploy import heroku_api, heroku_build, heroku_cli, heroku_plan, verify
from trainer.deploy.heroku_api import Addon, Api, Dyno, Release
from trainer.deploy.heroku_app import Deployment, secrets_of
from trainer.deploy.heroku_plan import (
    ADDONS,
    HOSTS,
    PASSWORD,
    SEARCH,
    SECRET,
    SECRET_KEY,
    STACK,
    STORED,
    USERNAME,
    App,
)
from trainer.deploy.plan import Plan, Request
from trainer.errors import DeployError, SecretsError
from trainer.progress import Steps
from trainer.server import files
from trainer.tracking.endpoint import Server
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace


@dataclass(frozen=True)
class Outcome:
    """A server that was seen to work."""

    app: str
    uri: str
    version: str
    """Of MLflow."""
    changed: tuple[str, ...]
    """The steps that it took; none for a second call."""


def plan(workspace: Workspace, app: App) -> Plan:
    """All that `deploy` could do, in order. Nothing is asked of anybody."""
    return heroku_plan.make(app, files.pack(workspace, "heroku.yml"), heroku_api.address())


def deploy(workspace: Workspace, app: App, reporter: Steps, *, force: bool = False) -> Outcome:
    """Have the server of the workspace's mlflow_tracking_server/ run as this app, and runs report to it.

    `force` lets secrets.env name this server in the place of another one. Raises `DeployError`,
    `SecretsError`, `InvalidInput` and, where the server does not let its administrator in, `TrackingDenied`.
    """
    secrets.check(workspace)
    stored = secrets.read(workspace).values
    packed = files.pack(workspace, "heroku.yml")
    steps = heroku_plan.make(app, packed, heroku_api.address())
    reporter.step(steps.title("login"))
    token = heroku_cli.token(steps.command("login"))
    api = Api(heroku_api.address(), token)
    deployment = _Deployment(app, steps, api, reporter, [token], [], workspace, packed, dict(stored), force)
    with deployment.masked_errors():
        return deployment.run()


@dataclass
class _Deployment(Deployment):
    workspace: Workspace
    bundle: files.Bundle
    stored: dict[str, str]
    force: bool

    def run(self) -> Outcome:
        info = self.app()
        uri = (info["web_url"] or f"https://{self.app_wanted.name}.herokuapp.com").rstrip("/")
        self._refuse_other_server(uri)
        config = self.config()
        self._refuse_other_app(config)
        if info["build_stack"]["name"] != STACK:
            self.command("stack")
        self._addons()
        config = self._set_config(config, uri)
        release = self._release()
        self.scale()
        server, version = self._check(uri, config, release)
        self._store(server)
        return Outcome(self.app_wanted.name, uri, version, tuple(self.changed))

    def before_create(self) -> None:
        """Runs report to one server."""
        self._refuse_other_server(None)

    def _refuse_other_server(self, uri: str | None) -> None:
        """Runs report to one server, and only the user changes which one."""
        if uri is None or self.stored.get("MLFLOW_TRACKING_URI", "").rstrip("/") != uri:
            self._refuse_to_overwrite("for another tracking server")

    def _refuse_to_overwrite(self, whose: str) -> None:
        present = [name for name in STORED if self.stored.get(name)]
        if present and not self.force:
            raise SecretsError(
                f"{self.workspace.secrets_file} sets {', '.join(present)} {whose}.",
                "Keep what you need of it elsewhere and remove it there, or lose it: --force",
            )

    def _refuse_other_app(self, config: Mapping[str, str]) -> None:
        formation = self.formation()
        if formation and not any(name in config for name in SECRET):
            raise DeployError(
                f"The app {self.app_wanted.name} runs something else.",
                f"Choose another: --app NAME. If it is a tracking server, set its config var {USERNAME}.",
            )

    def _addons(self) -> None:
        self.reporter.step(self.plan.title("look"))
        addons = cast(list[Addon], self.api.listed(self.plan.request("look", "/addons")))
        has = {addon["addon_service"]["name"]: addon["state"] for addon in addons}
        for service in ADDONS:
            if service not in has:
                self.command(service)
        if "provisioning" in has.values():
            self.command("wait")

    def _set_config(self, config: dict[str, str], uri: str) -> dict[str, str]:
        generated = {
            USERNAME: f"trainer-{random.token_hex(3)}",
            PASSWORD: random.token_urlsafe(24),
            SECRET_KEY: random.token_hex(32),
            HOSTS: urlsplit(uri).hostname or "",
        }
        missing = {name: value for name, value in generated.items() if not config.get(name)}
        self.hidden += secrets_of(missing)
        if missing:
            self.begin("config")
            request = self.plan.request("config")
            self.api.send(Request(request.method, request.url, missing))
        return self.config() if missing else config

    def _release(self) -> Release:
        log = heroku_build.Log(
            self.workspace.state / f"deploy-{self.app_wanted.name}.log", self.masker(), self.show
        )
        builder = heroku_build.Builder(
            self.api, self.plan, self.bundle, log, lambda key: self.reporter.step(self.plan.title(key))
        )
        release, built = builder.ensure()
        self.changed += ["build"] if built else []
        return release

    def _check(self, uri: str, config: Mapping[str, str], release: Release) -> tuple[Server, str]:
        self.reporter.step(self.plan.title("check"))
        named, name, password = (self.stored.get(name) for name in STORED)
        candidates = [Server(uri, config[USERNAME], config[PASSWORD])]
        if name and password and named and named.rstrip("/") == uri:
            candidates.insert(0, Server(uri, name, password))  # an account of one's own, perhaps

        def obstacle() -> str | None:
            dynos = cast(list[Dyno], self.api.listed(self.plan.request("check")))
            # A later release comes of a config var that somebody set meanwhile.
            new = [d for d in dynos if d["type"] == "web" and d["release"]["version"] >= release["version"]]
            if any(dyno["state"] in ("up", "idle") for dyno in new):
                return None
            return f"its dyno is {new[0]['state']}" if new else "its dyno is not there"

        return verify.ready(candidates, SEARCH, obstacle, f"heroku logs --app {self.app_wanted.name}")

    def _store(self, server: Server) -> None:
        values = dict(zip(STORED, (server.uri, server.username or "", server.password or ""), strict=True))
        if any(self.stored.get(name, "").rstrip("/") != value for name, value in values.items()):
            if any(self.stored.get(name) for name in STORED[1:]):
                self._refuse_to_overwrite(f"which {server.uri} does not accept")
            self.begin("store")
            secrets.store(self.workspace, values)
