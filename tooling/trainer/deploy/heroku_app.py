"""An app on Heroku, and what was done with it: what every deployment there has."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote, urlsplit

from trainer.deploy import heroku_api, heroku_cli
from trainer.deploy.heroku_api import Api, AppInfo, ProcessType
from trainer.deploy.heroku_plan import USERNAME, App
from trainer.deploy.plan import Plan
from trainer.errors import DeployError, TrainerError
from trainer.masking import Masker
from trainer.progress import Steps

_SECRET_NAME = re.compile(r"PASS|SECRET|KEY|TOKEN|URL|CREDENTIAL|DSN")


@dataclass
class Deployment:
    """The steps of a plan as they are carried out."""

    app_wanted: App
    plan: Plan
    api: Api
    reporter: Steps
    hidden: list[str] = field(repr=False)
    """What is masked in all that is shown."""
    changed: list[str]
    """The keys of the steps that it took."""

    @contextlib.contextmanager
    def masked_errors(self) -> Iterator[None]:
        """Within: what Heroku says of a failure, which is not ours to trust, is shown without secrets."""
        try:
            yield
        except TrainerError as error:
            masked = self.masker().text
            raise type(error)(masked(error.message), masked(error.hint)) from None

    def before_create(self) -> None:
        """Refuse, where there is a reason not to make an app."""

    def app(self) -> AppInfo:
        """The app, made if it is not there. Raises `DeployError` where it is not the one that is wanted."""
        self.reporter.step(self.plan.title("find"))
        find = self.plan.request("find")
        try:
            app = cast(AppInfo | None, self.api.find(find))
        except heroku_api.Forbidden:
            raise _taken(self.app_wanted.name) from None
        if app is None:
            self.before_create()
            try:
                self.command("create")
            except DeployError as error:
                if "already taken" in error.message:
                    raise _taken(self.app_wanted.name) from None
                raise
            return cast(AppInfo, self.api.send(find))
        team = (app["team"] or {"name": None})["name"]
        for attribute, expected, actual in (
            ("region", self.app_wanted.region, app["region"]["name"]),
            ("team", self.app_wanted.team, team),
        ):
            if expected and expected != actual:
                raise DeployError(
                    f"The app {self.app_wanted.name} is there, and its {attribute} is {actual or 'none'}, "
                    f"not {expected}.",
                    f"Leave --{attribute} out to keep it so, or make another app: --app NAME",
                )
        return app

    def config(self) -> dict[str, str]:
        """Its config vars, whose secrets are masked from now on."""
        config = cast(dict[str, str], self.api.send(self.plan.request("look", "/config-vars")))
        self.hidden += secrets_of(config)
        return config

    def scale(self) -> None:
        """Have a web dyno run."""
        if not any(kind["type"] == "web" and kind["quantity"] for kind in self.formation()):
            self.command("scale")

    def formation(self) -> list[ProcessType]:
        """Its process types."""
        return cast(list[ProcessType], self.api.listed(self.plan.request("look", "/formation")))

    def begin(self, key: str) -> None:
        """A step that changes something begins."""
        self.reporter.step(self.plan.title(key))
        self.changed.append(key)

    def command(self, key: str) -> None:
        """Carry out the command of a step. Raises `DeployError`."""
        self.begin(key)
        masker = self.masker()
        heroku_cli.run(self.plan.command(key), lambda line: self.show(masker.text(line)))

    def show(self, line: str) -> None:
        """A line of what a program says."""
        self.reporter.detail(line)
        self.reporter.part(line.strip())

    def masker(self) -> Masker:
        """Hides the secrets that are known by now."""
        return Masker(self.hidden)


def _taken(name: str) -> DeployError:
    return DeployError(
        f"The app name {name} is already taken.",
        "Choose another name (--app NAME), or log in to the account that owns it: heroku login",
    )


def secrets_of(config: Mapping[str, str]) -> Iterator[str]:
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
