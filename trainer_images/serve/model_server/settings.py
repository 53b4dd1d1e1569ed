"""What the server is started with.

The token comes from the environment or a file: every user of a machine sees the arguments of a process.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from trainkit.errors import InputError

TOKEN, TOKEN_FILE = "MODEL_SERVER_TOKEN", "MODEL_SERVER_TOKEN_FILE"
PORT = "PORT"
"""What platforms say the port with."""
_LEAST = 16
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Settings:
    """Which model, under which name, where, and for whom."""

    model: Path
    name: str
    host: str
    port: int
    token: str | None = field(repr=False)
    hosts: tuple[str, ...]
    """What it may be called by; none: by any name. Without a token, a page in a browser could call it."""
    threads: int | None
    """For one batch; None: as many as there are cores."""
    log: Path | None
    """The folder that predictions are logged in; None: they are not."""
    log_limit: int
    """In bytes."""
    keeps_inputs: bool


def read(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> Settings:
    """From the command line and the environment. Raises `InputError`."""
    parser = argparse.ArgumentParser("model_server", description=__doc__)
    parser.add_argument(
        "model", type=Path, help="an ONNX file that trainer has exported, or a serving file (.json)"
    )
    parser.add_argument("--name", help="the model's name; by default, the file's")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help=f"by default ${PORT}, or 8080")
    parser.add_argument("--threads", type=int, help="for one batch; by default, as many as there are cores")
    parser.add_argument(
        "--published-on-loopback",
        action="store_true",
        help="do without a token on another host, which only this machine reaches: that of a container",
    )
    parser.add_argument("--also-called", action="append", default=[], metavar="HOST",
                        help="a name that requests without a token may call it by")  # fmt: skip
    parser.add_argument("--log", type=Path, metavar="FOLDER", help="log predictions in a file in there")
    parser.add_argument("--log-limit", type=int, default=1024**3, metavar="BYTES",
                        help="most that the log takes; the oldest predictions are removed")  # fmt: skip
    parser.add_argument("--keep-inputs", action="store_true", help="log images and rows, too")
    given = parser.parse_args(arguments)
    token = _token(environment)
    if not (token or given.published_on_loopback or _is_loopback(given.host)):
        raise InputError(
            f"Without a token the server listens on loopback alone, not on {given.host}.",
            f"Set {TOKEN}, or {TOKEN_FILE} to a file with it.",
        )
    hosts = () if token else (*_LOOPBACK, *given.also_called)
    name = given.name or given.model.stem
    port = given.port or _port(environment.get(PORT) or "8080")
    return Settings(
        given.model, name, given.host, port, token, hosts, given.threads, given.log, given.log_limit,
        given.keep_inputs,
    )  # fmt: skip


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise InputError(f"The port in ${PORT} is {text!r}.", "Set it to a number from 1 to 65535.")
    return int(text)


def _token(environment: Mapping[str, str]) -> str | None:
    token, source = environment.get(TOKEN, ""), TOKEN
    if file := environment.get(TOKEN_FILE):
        source = file
        try:
            token = Path(file).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise InputError(
                f"The file {file} with the token cannot be read.", f"See {TOKEN_FILE}."
            ) from None
    elif not token:
        return None
    if len(token) < _LEAST or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(
            f"The token in {source} is too short, or has characters that a header cannot have.",
            f"Use {_LEAST} ASCII characters or more: openssl rand -hex 32",
        )
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
