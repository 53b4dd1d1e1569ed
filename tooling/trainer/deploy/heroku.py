"""The tracking server on Heroku: what is missing is made, what is there is left alone.

Heroku itself is the record of how far a call came: generated passwords live in the app's config vars from the
moment they exist. A call that was interrupted is therefore completed by the next one.
"""

from __future__ import annotations

import re
import secrets as random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote, urlsplit

from trainer.deploy import heroku_api, heroku_build, heroku_cli, heroku_plan, verify
from trainer.deploy.heroku_api import Addon, Api, AppInfo, Dyno, ProcessType, Release
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
from trainer.errors import DeployError, SecretsError, TrainerError
from trainer.masking import Masker
from trainer.progress import Steps
from trainer.server import files
from trainer.tracking.endpoint import Server
from trainer.workspace import secrets
from trainer.workspace.settings import Workspace

_SECRET_NAME = re.compile(r"PASS|SECRET|KEY|TOKEN|URL|CREDENTIAL|DSN")


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
    deployment = _Deployment(workspace, app, packed, steps, api, reporter, dict(stored), force, [token])
    try:
        return deployment.run()
    except TrainerError as error:
        # What Heroku says of a failure is not ours to trust.
        masked = deployment.masker().text
        raise type(error)(masked(error.message), masked(error.hint)) from None


@dataclass
class _Deployment:
    workspace: Workspace
    app: App
    bundle: files.Bundle
    plan: Plan
    api: Api
    reporter: Steps
    stored: dict[str, str]
    force: bool
    hidden: list[str] = field(repr=False)
    changed: list[str] = field(default_factory=list)

    def run(self) -> Outcome:
        info = self._app()
        uri = (info["web_url"] or f"https://{self.app.name}.herokuapp.com").rstrip("/")
        self._refuse_other_server(uri)
        config = self._config()
        self._refuse_other_app(config)
        if info["build_stack"]["name"] != STACK:
            self._command("stack")
        self._addons()
        config = self._set_config(config, uri)
        release = self._release()
        self._scale()
        server, version = self._check(uri, config, release)
        self._store(server)
        return Outcome(self.app.name, uri, version, tuple(self.changed))

    def _app(self) -> AppInfo:
        """The app, made if it is not there."""
        self.reporter.step(self.plan.title("find"))
        find = self.plan.request("find")
        try:
            app = cast(AppInfo | None, self.api.find(find))
        except heroku_api.Forbidden:
            raise _taken(self.app.name) from None
        if app is None:
            self._refuse_other_server(None)
            try:
                self._command("create")
            except DeployError as error:
                if "already taken" in error.message:
                    raise _taken(self.app.name) from None
                raise
            return cast(AppInfo, self.api.send(find))
        team = (app["team"] or {"name": None})["name"]
        for attribute, expected, actual in (
            ("region", self.app.region, app["region"]["name"]),
            ("team", self.app.team, team),
        ):
            if expected and expected != actual:
                raise DeployError(
                    f"The app {self.app.name} is there, and its {attribute} is {actual or 'none'}, "
                    f"not {expected}.",
                    f"Leave --{attribute} out to keep it so, or make another app: --app NAME",
                )
        return app

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
        formation = self._formation()
        if formation and not any(name in config for name in SECRET):
            raise DeployError(
                f"The app {self.app.name} runs something else.",
                f"Choose another: --app NAME. If it is a tracking server, set its config var {USERNAME}.",
            )

    def _addons(self) -> None:
        self.reporter.step(self.plan.title("look"))
        addons = cast(list[Addon], self.api.listed(self.plan.request("look", "/addons")))
        has = {addon["addon_service"]["name"]: addon["state"] for addon in addons}
        for service in ADDONS:
            if service not in has:
                self._command(service)
        if "provisioning" in has.values():
            self._command("wait")

    def _config(self) -> dict[str, str]:
        config = cast(dict[str, str], self.api.send(self.plan.request("look", "/config-vars")))
        self.hidden += _secrets_of(config)
        return config

    def _set_config(self, config: dict[str, str], uri: str) -> dict[str, str]:
        generated = {
            USERNAME: f"trainer-{random.token_hex(3)}",
            PASSWORD: random.token_urlsafe(24),
            SECRET_KEY: random.token_hex(32),
            HOSTS: urlsplit(uri).hostname or "",
        }
        missing = {name: value for name, value in generated.items() if not config.get(name)}
        self.hidden += _secrets_of(missing)
        if missing:
            self._begin("config")
            request = self.plan.request("config")
            self.api.send(Request(request.method, request.url, missing))
        return self._config() if missing else config

    def _release(self) -> Release:
        log = heroku_build.Log(
            self.workspace.state / f"deploy-{self.app.name}.log", self.masker(), self._show
        )
        builder = heroku_build.Builder(
            self.api, self.plan, self.bundle, log, lambda key: self.reporter.step(self.plan.title(key))
        )
        release, built = builder.ensure()
        self.changed += ["build"] if built else []
        return release

    def _scale(self) -> None:
        if not any(kind["type"] == "web" and kind["quantity"] for kind in self._formation()):
            self._command("scale")

    def _formation(self) -> list[ProcessType]:
        return cast(list[ProcessType], self.api.listed(self.plan.request("look", "/formation")))

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

        return verify.ready(candidates, SEARCH, obstacle, f"heroku logs --app {self.app.name}")

    def _store(self, server: Server) -> None:
        values = dict(zip(STORED, (server.uri, server.username or "", server.password or ""), strict=True))
        if any(self.stored.get(name, "").rstrip("/") != value for name, value in values.items()):
            if any(self.stored.get(name) for name in STORED[1:]):
                self._refuse_to_overwrite(f"which {server.uri} does not accept")
            self._begin("store")
            secrets.store(self.workspace, values)

    def _begin(self, key: str) -> None:
        self.reporter.step(self.plan.title(key))
        self.changed.append(key)

    def _command(self, key: str) -> None:
        self._begin(key)
        masker = self.masker()
        heroku_cli.run(self.plan.command(key), lambda line: self._show(masker.text(line)))

    def _show(self, line: str) -> None:
        self.reporter.detail(line)
        self.reporter.part(line.strip())

    def masker(self) -> Masker:
        return Masker(self.hidden)


def _taken(name: str) -> DeployError:
    return DeployError(
        f"The app name {name} is already taken.",
        "Choose another name (--app NAME), or log in to the account that owns it: heroku login",
    )


def _secrets_of(config: Mapping[str, str]) -> Iterator[str]:
    """The secret values: passwords, keys, and addresses that hold a password."""
    for name, value in config.items():
        if name != USERNAME and _SECRET_NAME.search(name):
            yield value
        try:
            password = urlsplit(value).password
        except ValueError:
            continue
        if password:
            yield from (password, unquote(password))
