"""What the environment asks for, checked before anything is imported that takes time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mlflow_server import addresses, database_url, storage
from mlflow_server.refusal import Refusal

MIN_PASSWORD = 12


@dataclass(frozen=True)
class Settings:
    """All that a server is told. Values that nobody else may read are kept out of `repr`."""

    port: int
    addresses: addresses.Addresses
    storage: storage.Storage
    database: str = field(repr=False)
    admin: str
    password: str = field(repr=False)
    password_is_final: bool
    secret_key: str = field(repr=False)


def read(environment: Mapping[str, str]) -> Settings:
    """The settings; raises `Refusal` for the first thing that is missing or cannot be."""
    admin, password = _admin(environment)
    secret_key = _needed(environment, "MLFLOW_FLASK_SERVER_SECRET_KEY", "a long random text, always the same")
    port = _port(environment.get("PORT", "5000"))
    return Settings(
        port=port,
        addresses=addresses.read(environment, port),
        storage=storage.read(environment),
        database=_database(environment),
        admin=admin,
        password=password,
        password_is_final=environment.get("RESET_ADMIN_PASSWORD", "").lower() in addresses.ON,
        secret_key=secret_key,
    )


def _needed(environment: Mapping[str, str], name: str, purpose: str) -> str:
    if value := environment.get(name):
        return value
    raise Refusal(f"{name} is not set.", f"Set it to {purpose}.")


def _admin(environment: Mapping[str, str]) -> tuple[str, str]:
    name = _needed(environment, "MLFLOW_AUTH_ADMIN_USERNAME", 'a name for the first account, but not "admin"')
    if name.lower() == "admin":
        raise Refusal(
            'MLFLOW_AUTH_ADMIN_USERNAME is "admin", which is what is guessed first.', "Choose another."
        )
    if ":" in name or not _sendable(name):
        raise Refusal(
            "MLFLOW_AUTH_ADMIN_USERNAME cannot be sent as a user name.", "Use ASCII letters, no colon."
        )
    password = _needed(
        environment, "MLFLOW_AUTH_ADMIN_PASSWORD", f"a password of {MIN_PASSWORD} characters or more"
    )
    if len(password) < MIN_PASSWORD:
        raise Refusal(
            f"MLFLOW_AUTH_ADMIN_PASSWORD has {len(password)} characters.",
            f"Set one of {MIN_PASSWORD} or more.",
        )
    # Half of MLflow's routes read credentials as ASCII and would answer 401 to any other.
    if not _sendable(password):
        raise Refusal(
            "MLFLOW_AUTH_ADMIN_PASSWORD holds characters that are not ASCII.", "Set one without them."
        )
    return name, password


def _sendable(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _port(text: str) -> int:
    if text.isdecimal() and 0 < int(text) < 65536:
        return int(text)
    raise Refusal(f"PORT is {text!r}.", "Set it to a number between 1 and 65535.")


def _database(environment: Mapping[str, str]) -> str:
    if url := environment.get("DATABASE_URL"):
        return database_url.normalise(url)
    if storage.forgets(environment):
        raise Refusal(
            "DATABASE_URL is not set, and the disk of a dyno is emptied every day.",
            "Run: heroku addons:create heroku-postgresql",
        )
    return f"{database_url.SQLITE}{Path(storage.DATA) / 'mlflow.db'}"
