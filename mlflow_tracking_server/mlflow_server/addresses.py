"""Under which names this server is reached, and whether a router that speaks HTTPS stands before it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mlflow_server.refusal import Refusal

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
ON = ("1", "true", "yes", "on")


@dataclass(frozen=True)
class Addresses:
    """`hosts` are patterns of Host headers; `origins` are those whose pages may ask, without patterns.

    MLflow itself adds the origins on this machine's loopback. A pattern among the origins would be read as a
    regular expression by a part of it, and let in `https://mlflow.example.com.evil.example`.
    """

    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    behind_router: bool


def read(environment: Mapping[str, str], port: int) -> Addresses:
    """From the platform's own variables and ours; raises `Refusal` where no name could be right."""
    names = _names(environment)
    behind_router = _behind_router(environment)
    if behind_router and not names:
        raise Refusal(
            "There is a router before this server, but no name to answer to: all requests would get 403.",
            "Set ALLOWED_HOSTS=mlflow.example.com; on Heroku, run: heroku labs:enable runtime-dyno-metadata",
        )
    hosts = tuple(dict.fromkeys(pattern for name in (*names, *LOOPBACK) for pattern in _any_port(name)))
    if behind_router:
        origins = [f"https://{name}" for name in names]
    else:
        own = [name if _has_port(name) else f"{name}:{port}" for name in names]
        origins = [f"{scheme}://{name}" for scheme in ("http", "https") for name in (*names, *own)]
    return Addresses(hosts, tuple(dict.fromkeys(origins)), behind_router)


def _names(environment: Mapping[str, str]) -> list[str]:
    hosts = [
        name.strip().lower()
        for variable in ("MLFLOW_SERVER_ALLOWED_HOSTS", "ALLOWED_HOSTS")
        for name in environment.get(variable, "").split(",")
        if name.strip()
    ]
    for name in hosts:
        if not re.fullmatch(r"[\w.-]+(:\d+)?|\[[\da-f:]+\](:\d+)?", name):
            raise Refusal(
                f"ALLOWED_HOSTS holds {name!r}.", "Write names alone, without * or https://, commas between."
            )
    platforms = {
        "HEROKU_APP_DEFAULT_DOMAIN_NAME": "{}",
        "HEROKU_APP_NAME": "{}.herokuapp.com",
        "RENDER_EXTERNAL_HOSTNAME": "{}",
        "FLY_APP_NAME": "{}.fly.dev",
    }
    return hosts + [
        pattern.format(environment[name]) for name, pattern in platforms.items() if environment.get(name)
    ]


def _has_port(name: str) -> bool:
    return re.search(r"[^:]:\d+$", name) is not None


def _any_port(name: str) -> tuple[str, ...]:
    # MLflow compares the port too, and a container does not know on which one it is published.
    return (name,) if _has_port(name) else (name, f"{name.replace('[', '[[]')}:*")


def _behind_router(environment: Mapping[str, str]) -> bool:
    value = environment.get("FORCE_HTTPS", "").lower()
    if value:
        return value in ON
    return any(environment.get(name) for name in ("DYNO", "RENDER", "FLY_APP_NAME"))
