"""What it takes to have a model served on Heroku, as data.

The image is built and tried here, and pushed to Heroku's registry: what runs there is what was seen to work.
The token is set by the Platform API, because every user of a machine can read a command line.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from trainer.deploy.heroku_plan import App, AppSteps
from trainer.deploy.plan import Body, Command, Deferred, Note, Plan, Request, Step
from trainer.tracking.endpoint import LOOPBACK

TOKEN = "MODEL_SERVER_TOKEN"  # noqa: S105 (a name)
IMAGE = "MODEL_SERVER_IMAGE"
"""A config var: the id of the image that was released last."""


def registry(api: str) -> str:
    """The host of the registry that belongs to the Platform API at this address."""
    parts = urlsplit(api)
    host = parts.hostname or ""
    return parts.netloc if host in LOOPBACK else f"registry.{host.removeprefix('api.')}"


def repository(api: str, app: App) -> str:
    """What the registry calls the image of the app's web process."""
    return f"{registry(api)}/{app.name}/web"


def make(app: App, image: str, api: str) -> Plan:
    """The plan for this app and the image of this tag. `api` is the address of the Platform API."""
    steps = AppSteps(app, api)
    app_url, of_app = steps.url, steps.option
    token: Body = {TOKEN: Deferred(TOKEN, secret=True)}
    released: Body = {IMAGE: Deferred("image id")}
    return Plan(
        (
            Step("image", f"Have the image {image}", (Note("trainer build-image serve --model MODEL"),)),
            *steps.found_or_created("formation", "config-vars"),
            Step(
                "config",
                "Set the token",
                (Request("PATCH", f"{app_url}/config-vars", token),),
                "there is none; one that is set stays",
            ),
            Step(
                "push",
                "Push the image",
                (Note(f"push {repository(api, app)}, by the engine, with the login in a header"),),
                "another image was released last",
            ),
            Step(
                "release",
                "Release it",
                (
                    Command(("heroku", "container:release", "web", *of_app)),
                    Request("PATCH", f"{app_url}/config-vars", released),
                ),
                "it was pushed",
            ),
            steps.scaled(),
            Step(
                "check",
                "Check the server",
                (
                    Request("GET", "<web_url>/health"),
                    Note("without the token, to be refused:"),
                    Request("GET", "<web_url>/version"),
                    Note(f"with the token {Deferred(TOKEN, secret=True)}, to be the model:"),
                    Request("GET", "<web_url>/version"),
                ),
            ),
        )
    )
