"""What several unit tests share: small files, git, and a real HTTP server that answers as it is told."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from trainer.cli.main import main
from trainer.errors import TrainerError
from trainer.images.spec import ImageSpec
from trainer.images.trainer_image import TrainerImage
from trainer.plan.run_plan import Code, Environment, Inputs, Resources, RunPlan, Tracking
from trainer.plan.target import Target

DEAD_ENGINE = "unix:///no/such/engine.sock"
DOCKER = Target("docker", isolated=True)
LOCAL = Target("local", isolated=False)

MLPROJECT = """\
name: demo
docker_env:
  image: trainer/small
  environment: [[MODE, fast]]
entry_points:
  main:
    parameters:
      epochs: {type: int, default: 3, minimum: 1, maximum: 100, help: Passes over the data}
      rate: {type: float, default: 0.1, minimum: 0, maximum: 1}
      kind: {type: string, default: tree, choices: [tree, line]}
      batch_size: {type: int, default: 8}
      text: {type: string, default: ""}
      json: {type: string, default: "no"}
    command: python train.py {epochs} {rate} {kind} {batch_size} {text} {json}
  strict:
    parameters: {name: string, source: uri, table: path}
    command: python strict.py {name} {source} {table}
"""


@dataclass(frozen=True)
class Result:
    """A command line that has ended."""

    code: int
    out: str
    err: str


def put(path: Path, content: str | bytes = "") -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def git(folder: Path, *arguments: str) -> str:
    """Run git there, as somebody."""
    who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def make_workspace(root: Path) -> None:
    """A workspace with one image and one project."""
    put(root / "trainer.yaml")
    images = root / "trainer_images"
    put(images / "Dockerfile", "FROM scratch\nCOPY layer.sh /\n")
    put(images / "layer.sh", "exit\n")
    put(images / "uv.txt", "uv==1\n")
    put(images / "trainkit" / "pyproject.toml", "[project]\n")
    put(images / "trainkit" / "trainkit" / "__init__.py")
    put(images / "small" / "image.yaml", "description: A small one\n")
    put(images / "small" / "requirements.txt", "mlflow==3.17.2 \\\n    --hash=sha256:00\n")
    put(root / "train_code" / "demo" / "MLproject", MLPROJECT)
    put(root / "train_code" / "demo" / "train.py", "print('hello')\n")


def run_plan(folder: Path, **changes: object) -> RunPlan:
    """A plan as `request.make` gives it, for a project in `folder`."""
    image = TrainerImage(ImageSpec("small", folder / "small"), "debian:12", "ab" * 32, "cd" * 32)
    plan = RunPlan(
        code=Code("demo", "train_code/demo", folder, "main"),
        backend="docker",
        image=image,
        command=("python", "train.py", "a b;$(c)"),
        inputs=Inputs({"text": "a b;$(c)"}),
        environment=Environment({"MODE": "fast", "TRAINER_CACHE_DIR": str(folder / "cache")}, ("API_KEY",)),
        resources=Resources("none", None, "2g", 4096, read_only=False),
        tracking=Tracking("demo"),
    )
    return changed(plan, **changes)


def changed(plan: RunPlan, **changes: object) -> RunPlan:
    """The plan with other fields, its own or those of its parts, which share no names."""
    parts: dict[str, Any] = {}
    for name in ("code", "inputs", "environment", "resources", "tracking"):
        part = getattr(plan, name)
        own = {item.name: changes.pop(item.name) for item in fields(part) if item.name in changes}
        parts[name] = replace(part, **own)
    return replace(plan, **parts, **changes)  # type: ignore[arg-type]


@contextlib.contextmanager
def fails(kind: type[TrainerError], message: str, hint: str | None = None) -> Iterator[None]:
    """Within: exactly this error is raised, with these two lines."""
    with pytest.raises(TrainerError) as caught:
        yield
    assert type(caught.value) is kind
    assert caught.value.message == message
    if hint is not None:
        assert caught.value.hint == hint


@dataclass(frozen=True)
class Reply:
    """What the HTTP server answers."""

    status: int = 200
    body: str = "{}"
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0
    content: bytes | None = None
    """Instead of a body of text."""


@dataclass(frozen=True)
class RequestedPermissions:
    """What the HTTP server was asked."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpServer:
    """A server on 127.0.0.1. `replies` are by path without query ("*": any); the last of each is repeated."""

    port: int = 0
    replies: dict[str, list[Reply]] = field(default_factory=dict)
    asked: list[RequestedPermissions] = field(default_factory=list)

    @property
    def uri(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def reply(self, path: str) -> Reply:
        """The next answer for the path."""
        waiting = self.replies.get(path) or self.replies.get("*") or [Reply(404, "no such page")]
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextlib.contextmanager
def serving() -> Iterator[HttpServer]:
    """Within: the server answers."""
    said = HttpServer()

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True  # or a body waits 40 ms for the headers' delayed acknowledgement

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            if len(sent) < length:  # the client was killed; a server does not handle half a request
                self.close_connection = True
                return
            said.asked.append(RequestedPermissions(self.command, self.path, dict(self.headers.items()), sent))
            reply = said.reply(path)
            time.sleep(reply.delay_s)
            with contextlib.suppress(OSError):  # the client may have lost its patience
                self.send_response(reply.status)
                for name, value in reply.headers:
                    self.send_header(name, value)
                body = reply.body.encode() if reply.content is None else reply.content
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 (the names that http.server calls)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    said.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield said
    finally:
        server.shutdown()
        server.server_close()


def called(capfd: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """`trainer ARGUMENTS…`, in this process and its current folder."""

    def call(*arguments: str) -> Result:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Result(ended.value.code, out, err)

    return call
