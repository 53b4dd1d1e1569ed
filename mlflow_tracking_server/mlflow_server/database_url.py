"""What platforms call a database URL, made into what SQLAlchemy and MLflow read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qs, unquote

from sqlalchemy.engine import URL

from mlflow_server.refusal import Refusal

POSTGRESQL = "postgresql+psycopg2"
SQLITE = "sqlite:///"


def normalise(url: str) -> str:
    """The URL with the driver named and user and password percent-encoded.

    `postgres://` is what platforms write and SQLAlchemy refuses; plain `postgresql://` means another driver
    since SQLAlchemy 2.1. A password may hold `@`, `:`, `/` and `%` as they are: all up to the last `@` is
    user and password, and only a `%` with two hexadecimal digits after it stands for something else.
    """
    url = url.strip()
    if url.startswith(SQLITE):
        return url
    match = re.fullmatch(r"(?:postgres|postgresql)(?:\+\w+)?://(.*)", url, re.DOTALL)
    if match is None:
        raise Refusal(
            "DATABASE_URL is neither PostgreSQL nor SQLite.",
            "Write postgres://USER:PASSWORD@HOST:PORT/NAME or sqlite:////FOLDER/FILE.db.",
        )
    account, _, location = match[1].rpartition("@")
    user, _, password = account.partition(":")
    address, _, query = location.partition("?")
    server, _, name = address.partition("/")
    host, port = _host_and_port(server)
    return URL.create(
        POSTGRESQL,
        username=unquote(user) or None,
        password=unquote(password) or None,
        host=host,
        port=port,
        database=unquote(name) or None,
        query=_query(query),
    ).render_as_string(hide_password=False)


def _host_and_port(server: str) -> tuple[str | None, int | None]:
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:]*)(?::(\d+))?", server)
    if match is None:
        raise Refusal("The host in DATABASE_URL cannot be read.", "Write it as HOST:PORT.")
    host, port = match[1].strip("[]"), match[2]
    return host or None, int(port) if port else None


def _query(query: str) -> dict[str, Sequence[str] | str]:
    return {key: values[-1] for key, values in parse_qs(query, keep_blank_values=True).items()}
