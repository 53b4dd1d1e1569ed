"""The first account of a tracking server, generated, and how runs come to use it."""

from __future__ import annotations

import secrets as random

from trainer.deploy.heroku_plan import PASSWORD, SECRET_KEY, USERNAME


def _admin() -> str:
    return f"trainer-{random.token_hex(3)}"


def accounts() -> dict[str, str]:
    """What the server is told of it."""
    return {USERNAME: _admin(), PASSWORD: random.token_urlsafe(24), SECRET_KEY: random.token_hex(32)}


def then(uri: str, where: str) -> list[str]:
    """The lines of a workspace's secrets.env; `where` says where the values are."""
    return [
        "",
        "Then put into secrets.env of the workspace, so that runs report there:",
        f"MLFLOW_TRACKING_URI={uri}",
        f"MLFLOW_TRACKING_USERNAME={USERNAME} {where}",
        f"MLFLOW_TRACKING_PASSWORD={PASSWORD} {where}",
    ]
