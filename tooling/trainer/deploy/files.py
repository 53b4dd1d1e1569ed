"""Files for platforms that build a folder by themselves; nothing of the user's is overwritten."""

from __future__ import annotations

import os
import secrets as random
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trainer import atomic_files
from trainer.deploy.heroku_plan import PASSWORD, SECRET_KEY, USERNAME, App
from trainer.errors import DeployError, InvalidInput, SecretsError
from trainer.server import files as server_files
from trainer.server.files import FOLDER
from trainer.subprocesses import capture
from trainer.workspace.settings import Workspace

TEMPLATES = Path(__file__).parent / "templates"
COMPOSE = "docker-compose.yml"


@dataclass(frozen=True)
class PlatformFiles:
    """The files of a platform, by their path in the folder, and what the user does with them."""

    files: Mapping[str, bytes] = field(repr=False)
    secrets: Mapping[str, Mapping[str, str]] = field(repr=False)
    """The one file with secrets, if there is one: name → value. One that is there is kept."""
    next: list[str]
    """Lines to print."""
    copied: frozenset[str] = frozenset()
    """Those of the files that are the server itself."""


def make(workspace: Workspace, platform: str, app: str) -> PlatformFiles:
    """The files for `platform`: compose, dokku, fly or render. Secrets are generated.

    Raises `InvalidInput` for a name that cannot be, or where there is no mlflow_tracking_server/.
    """
    App(app)  # what Heroku takes as a name, the others take too
    packed = server_files.pack(workspace)
    copy = {f"{FOLDER}/{path.as_posix()}": (packed.folder / path).read_bytes() for path in packed.files}
    platform_files = _PLATFORMS[platform](app)
    ignored = "".join(
        f"/{name}\n/{atomic_files.beside(Path(name))}\n" for name in platform_files.secrets
    ).encode()
    written = {**copy, **platform_files.files, **({".gitignore": ignored} if ignored else {})}
    return PlatformFiles(written, platform_files.secrets, platform_files.next, frozenset(copy))


def planned(platform_files: PlatformFiles, folder: Path) -> dict[str, str]:
    """What `write` would do with each file: new, same, or kept (a file with secrets).

    Raises `InvalidInput` where a file is there with another content.
    """
    states = {}
    for name, content in platform_files.files.items():
        path = folder / name
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            raise InvalidInput(
                f"{path.parent} leads out of {folder} by a link.",
                "Nothing was written. Choose another: -o DIR",
            )
        if not os.path.lexists(path):
            states[name] = "new"
        elif name == ".gitignore":
            states[name] = _ignores(path, platform_files.secrets)
        elif path.is_file() and path.read_bytes() == content:
            states[name] = "same"
        else:
            raise InvalidInput(
                f"{path} is there, and it is another one.",
                "Nothing was written. Move it away, or choose another folder: -o DIR",
            )
    for name, values in platform_files.secrets.items():
        states[name] = _kept(folder / name, values) if os.path.lexists(folder / name) else "new"
    return states


def write(platform_files: PlatformFiles, folder: Path) -> dict[str, str]:
    """Write what is not there yet; what was done with each file. Raises like `planned`, with nothing written.

    A compose file is checked with `docker compose` where there is one; raises `DeployError` if it is refused.
    """
    states = planned(platform_files, folder)
    # .gitignore comes first, so that no secret is ever without it.
    for name in sorted(platform_files.files, key=lambda name: name != ".gitignore"):
        if states[name] == "new":
            _write_new(folder / name, platform_files.files[name], 0o666)
    for name, values in platform_files.secrets.items():
        if states[name] == "new":
            lines = "".join(f"{key}={value}\n" for key, value in values.items())
            _write_new(folder / name, lines.encode(), 0o600)
    if COMPOSE in platform_files.files:
        _validate(folder)
    return states


def _write_new(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Under a hidden name first: a part of a file would look like somebody else's to the next call.
    unfinished = atomic_files.beside(path)
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        atomic_files.rename(unfinished, path)
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be written: {error.strerror}.", "Fix the cause, then run the command again."
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


def _ignores(path: Path, names: Iterable[str]) -> str:
    lines = {line.strip().lstrip("/") for line in path.read_text(encoding="utf-8").splitlines()}
    for name in names:
        if name not in lines:
            raise InvalidInput(
                f"{path} does not name /{name}, which holds secrets.", f"Add the line {name} to it."
            )
    return "same"


def _kept(path: Path, values: Mapping[str, str]) -> str:
    if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretsError(f"Other users of this machine can read {path}.", f"chmod 600 {path}")
    names = {line.partition("=")[0] for line in path.read_text(encoding="utf-8").splitlines()}
    missing = [name for name in values if name not in names]
    if missing:
        raise InvalidInput(
            f"{path} is there, but does not set {missing[0]}.", "Move it away, or add that line."
        )
    return "kept"


def _validate(folder: Path) -> None:
    if shutil.which("docker") is None or capture(["docker", "compose", "version"]) is None:
        return
    argv = [
        "docker",
        "compose",
        "--project-directory",
        str(folder),
        "--file",
        str(folder / COMPOSE),
        "config",
    ]
    process = subprocess.run(
        [*argv, "--quiet"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if process.returncode != 0:
        reason = next(
            (line for line in reversed(process.stderr.splitlines()) if line.strip()), "it said nothing."
        )
        raise DeployError(
            f"docker compose refuses {folder / COMPOSE}: {reason.strip()}", "Fix the line that it names."
        )


def _admin() -> str:
    return f"trainer-{random.token_hex(3)}"


def _accounts() -> dict[str, str]:
    return {USERNAME: _admin(), PASSWORD: random.token_urlsafe(24), SECRET_KEY: random.token_hex(32)}


def _template(name: str, app: str) -> bytes:
    text = (TEMPLATES / name).read_text(encoding="utf-8").replace("@APP@", app)
    return text.replace("@ADMIN@", f"{app}-admin").encode()


def _then(uri: str, where: str) -> list[str]:
    return [
        "",
        "Then put into secrets.env of the workspace, so that runs report there:",
        f"MLFLOW_TRACKING_URI={uri}",
        f"MLFLOW_TRACKING_USERNAME={USERNAME} {where}",
        f"MLFLOW_TRACKING_PASSWORD={PASSWORD} {where}",
    ]


def _compose(app: str) -> PlatformFiles:
    values = {"DATABASE_PASSWORD": random.token_urlsafe(24), **_accounts()}
    steps = [
        "docker compose up --detach --build --wait",
        "",
        "For runs in containers on the same machine, add MLFLOW_ADDRESS=172.17.0.1 to .env (the address of",
        "Docker's bridge: docker network inspect bridge) and write that address instead of localhost.",
    ]
    return PlatformFiles(
        {COMPOSE: _template(COMPOSE, app)},
        {".env": values},
        steps + _then("http://localhost:5000", "(its value in .env)"),
    )


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
        {"mlflow.env": _accounts()},
        steps + _then("https://mlflow.example.com", "(its value in mlflow.env)"),
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
        {"mlflow.env": _accounts()},
        steps + _then(f"https://{app}.fly.dev", "(its value in mlflow.env)"),
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
        steps + _then(f"https://{app}.onrender.com", "(its value on the service's page Environment)"),
    )


_PLATFORMS: Mapping[str, Callable[[str], PlatformFiles]] = {
    "compose": _compose,
    "dokku": _dokku,
    "fly": _fly,
    "render": _render,
}
