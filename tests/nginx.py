"""A real nginx in front of a tracking server, as an ordinary user starts it."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PATHS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_START_S = 20


@contextmanager
def front(
    behind: str,
    folder: Path,
    *,
    account: tuple[str, str] | None = None,
    limit: str = "100m",
    port: int = 0,
) -> Iterator[str]:
    """Within: nginx, with its files in the folder; its address on this machine, which containers reach too.

    `account` is the user and password that it asks for, `limit` the most bytes of a body as nginx writes it.
    """
    program = _program()
    folder.mkdir()
    with socket.create_server(("", port)) as free:
        port = free.getsockname()[1]
    (folder / "nginx.conf").write_text(_configuration(behind, folder, port, account, limit))
    command = [program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, cwd=folder)
    try:
        give_up = time.monotonic() + _START_S
        while not _listens(port):
            running = process.poll() is None and time.monotonic() < give_up
            assert running, (folder / "log").read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _program() -> str:
    """Skipped where it is missing, or fails where TRAINER_REQUIRE_DOCKER=1."""
    if found := shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"):
        return found
    told = "there is no nginx; apt-get install nginx-light"
    if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
        pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but: {told}")
    pytest.skip(told)


def _configuration(behind: str, folder: Path, port: int, account: tuple[str, str] | None, limit: str) -> str:
    password = ""
    if account:
        (folder / "htpasswd").write_text("{}:{{PLAIN}}{}\n".format(*account))
        password = f'auth_basic "MLflow"; auth_basic_user_file {folder}/htpasswd;'
    # Where root starts it, its workers would be another user, to whom the folder is closed.
    us = f"{pwd.getpwuid(os.geteuid()).pw_name} {grp.getgrgid(os.getegid()).gr_name}"
    return f"""
{"" if os.geteuid() else f"user {us};"}
daemon off;
worker_processes 1;
pid {folder}/pid;
events {{}}
http {{
  access_log off;
  {" ".join(f"{name}_temp_path {folder}/{name};" for name in _PATHS)}
  client_max_body_size {limit};
  server {{
    listen {port};
    {password}
    location / {{ proxy_pass {behind}; }}
  }}
}}
"""


def _listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
