"""What it takes to have the tracking server on Heroku, as data.

Heroku's own command makes what costs money or has a name (app, add-ons, dynos). Config vars are set with the
Platform API, because `heroku config:set` takes values on its command line, where every user of the machine
can read them. The code goes there as an archive for the API's builds, which needs neither git nor Docker here
and builds heroku.yml as `git push heroku` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from trainer.deploy.plan import Body, Command, Deferred, Note, Plan, Request, Step
from trainer.errors import InvalidInput
from trainer.server.files import FOLDER, Bundle

STACK = "container"
# By the name of the service: an app that has moved to a larger plan keeps it.
ADDONS = {"heroku-postgresql": "heroku-postgresql:essential-0", "bucketeer": "bucketeer:hobbyist"}
USERNAME, PASSWORD = "MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD"
SECRET_KEY = "MLFLOW_FLASK_SERVER_SECRET_KEY"  # noqa: S105 (a name)
SECRET = (USERNAME, PASSWORD, SECRET_KEY)
HOSTS = "ALLOWED_HOSTS"
STORED = ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
# A call that takes the password and changes nothing.
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
_NAME = re.compile(r"[a-z][a-z0-9-]{2,29}")  # Platform API reference, `app:name`


@dataclass(frozen=True)
class App:
    """The app that is wanted. None: whatever it has, or Heroku's default."""

    name: str
    region: str | None = None
    team: str | None = None

    def __post_init__(self) -> None:
        """Raise `InvalidInput` for a name that Heroku would not take."""
        if not _NAME.fullmatch(self.name):
            raise InvalidInput(
                f"{self.name} cannot be the name of an app on Heroku.",
                "3 to 30 lower case letters, digits and dashes, the first one a letter: --app my-mlflow",
            )


@dataclass(frozen=True)
class AppSteps:
    """The steps that every app takes. `api` is the address of the Platform API."""

    app: App
    api: str

    @property
    def url(self) -> str:
        """Of the app, in the API."""
        return f"{self.api}/apps/{self.app.name}"

    @property
    def option(self) -> tuple[str, str]:
        """How Heroku's command is told the app."""
        return "--app", self.app.name

    def found_or_created(self, *resources: str) -> tuple[Step, ...]:
        """From the login to an app on the container stack, of which `resources` are known."""
        create = ["heroku", "apps:create", self.app.name, "--stack", STACK, "--no-remote"]
        create += ["--region", self.app.region] if self.app.region else []
        create += ["--team", self.app.team] if self.app.team else []
        return (
            Step("login", "See who is logged in", (Command(("heroku", "auth:token")),)),
            Step("find", "Find the app", (Request("GET", self.url),)),
            Step("create", "Create the app", (Command(tuple(create)),), "it does not exist"),
            Step(
                "look",
                "See what the app has",
                tuple(Request("GET", f"{self.url}/{resource}") for resource in resources),
            ),
            Step(
                "stack",
                "Have it run containers",
                (Command(("heroku", "stack:set", STACK, *self.option)),),
                "its stack is another one",
            ),
        )

    def scaled(self) -> Step:
        """A web dyno runs."""
        scale = Command(("heroku", "ps:scale", "web=1", *self.option))
        return Step(
            "scale",
            "Start a dyno",
            (Request("GET", f"{self.url}/formation"), scale),
            "no web dyno is to run",
        )


def make(app: App, bundle: Bundle, api: str) -> Plan:
    """The plan for this app. `api` is the address of the Platform API."""
    steps = AppSteps(app, api)
    app_url, of_app = steps.url, steps.option
    config: Body = {
        **{name: Deferred(name, secret=True) for name in SECRET},
        HOSTS: Deferred("host of web_url"),
    }
    addons = (
        Step(
            service,
            f"Add {plan}",
            (Command(("heroku", "addons:create", plan, *of_app, "--wait")),),
            f"the app has no {service} add-on",
        )
        for service, plan in ADDONS.items()
    )
    return Plan(
        (
            *steps.found_or_created("formation", "config-vars", "addons", "builds"),
            *addons,
            Step(
                "wait",
                "Wait for the add-ons",
                (Command(("heroku", "addons:wait", *of_app)),),
                "one of them is still being made, since an earlier call",
            ),
            Step(
                "config",
                "Set the config vars",
                (Request("PATCH", f"{app_url}/config-vars", config),),
                "one of them is missing; what is set stays, the others are generated",
            ),
            *_build(app_url, api, bundle),
            steps.scaled(),
            Step(
                "check",
                "Check the server",
                (
                    Request("GET", f"{app_url}/dynos"),
                    Request("GET", "<web_url>/health"),
                    Note("without a password, to be refused:"),
                    Request("GET", f"<web_url>{SEARCH}"),
                    Note(f"as the administrator, password {Deferred(PASSWORD, secret=True)}:"),
                    Request("GET", f"<web_url>{SEARCH}"),
                    Request("GET", "<web_url>/version"),
                ),
            ),
            Step(
                "store",
                "Have the workspace's runs report there",
                (Note(f"set {', '.join(STORED)} in secrets.env (mode 600)"),),
                "they are not set yet",
            ),
        )
    )


def _build(app_url: str, api: str, bundle: Bundle) -> tuple[Step, ...]:
    blob: Body = {"url": Deferred("get_url"), "version": bundle.version, "checksum": bundle.checksum}
    return (
        Step(
            "upload",
            f"Upload {FOLDER}/",
            (Request("POST", f"{api}/sources"), Request("PUT", "<put_url>")),
            f"the newest build is not of these files ({bundle.version}), or it failed",
        ),
        Step(
            "build",
            "Build it there",
            (Request("POST", f"{app_url}/builds", {"source_blob": blob}),),
            "it was uploaded",
        ),
        Step(
            "follow",
            "Follow the build",
            (Request("GET", "<output_stream_url>"), Request("GET", f"{app_url}/builds/<build_id>")),
            "it has not ended",
        ),
        Step(
            "release",
            "Wait for the release",
            (Request("GET", f"{app_url}/releases/<release_id>"), Request("GET", "<output_stream_url>")),
        ),
    )
