"""The files of each platform, beside a copy of mlflow_tracking_server/."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from trainer.deploy.accounts import accounts, then
from trainer.deploy.compose import stack
from trainer.deploy.compose.stack import Wanted
from trainer.deploy.files import PlatformFiles, ignored
from trainer.deploy.heroku_plan import App
from trainer.server import files as server_files
from trainer.server.files import FOLDER
from trainer.workspace.settings import Workspace

TEMPLATES = Path(__file__).parent / "templates"


def make(
    workspace: Workspace, platform: str, app: str, folder: Path, wanted: Wanted | None = None
) -> PlatformFiles:
    """The files for `platform`: compose, dokku, fly or render. Secrets are generated.

    `folder` is where they will be, `wanted` what a stack of compose has besides. Raises `InvalidInput` for a
    name that cannot be, or where there is no mlflow_tracking_server/.
    """
    App(app)  # what Heroku takes as a name, the others take too
    packed = server_files.pack(workspace)
    copy = {f"{FOLDER}/{path.as_posix()}": (packed.folder / path).read_bytes() for path in packed.files}
    is_stack = platform == stack.NAME
    made = stack.make(workspace, app, folder, wanted or Wanted()) if is_stack else _PLATFORMS[platform](app)
    return replace(
        made, files={**copy, **made.files, **ignored(made.secrets)}, copied=made.copied | frozenset(copy)
    )


def _template(name: str, app: str) -> bytes:
    text = (TEMPLATES / name).read_text(encoding="utf-8").replace("@APP@", app)
    return text.replace("@ADMIN@", f"{app}-admin").encode()


def _dokku(app: str) -> PlatformFiles:
    steps = [
        "sh deploy.sh root@dokku.example.com mlflow.example.com",
        "",
        "That is HTTP: passwords travel in the clear until the host has HTTPS for the name. There:",
        "sudo dokku plugin:install https://github.com/dokku/dokku-letsencrypt.git",
        f"dokku letsencrypt:set {app} email you@example.com && dokku letsencrypt:enable {app}",
        f"dokku config:set {app} FORCE_HTTPS=1",
    ]
    return PlatformFiles(
        {"deploy.sh": _template("dokku.sh", app)},
        {"mlflow.env": accounts()},
        steps + then("https://mlflow.example.com", "(its value in mlflow.env)"),
    )


def _fly(app: str) -> PlatformFiles:
    steps = [
        f"cd {FOLDER}",
        f"fly apps create {app}",
        f"fly mpg create --name {app}-db --region fra",
        f"fly mpg attach CLUSTER_ID --app {app}",
        f"fly storage create --name {app}-artifacts --app {app}",
        f"fly secrets import --stage --app {app} <../mlflow.env",
        "fly deploy",
        "",
        "Names of buckets are shared by all: where it is taken, change S3_BUCKET in fly.toml too.",
    ]
    return PlatformFiles(
        {f"{FOLDER}/fly.toml": _template("fly.toml", app)},
        {"mlflow.env": accounts()},
        steps + then(f"https://{app}.fly.dev", "(its value in mlflow.env)"),
    )


def _render(app: str) -> PlatformFiles:
    steps = [
        "git init, add, commit, and push this folder to GitHub, GitLab or Bitbucket",
        "https://dashboard.render.com/blueprints: New Blueprint Instance, choose that repository",
        "Render asks for the S3 bucket that artifacts go to, its keys and its region.",
    ]
    return PlatformFiles(
        {"render.yaml": _template("render.yaml", app)},
        {},
        steps + then(f"https://{app}.onrender.com", "(its value on the service's page Environment)"),
    )


_PLATFORMS: Mapping[str, Callable[[str], PlatformFiles]] = {
    "dokku": _dokku,
    "fly": _fly,
    "render": _render,
}
