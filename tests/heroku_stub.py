"""A stand-in for Heroku on 127.0.0.1: its Platform API, its uploads, its logs, and the app that it runs.

The shapes of its answers are those of heroku_api.json. It keeps what it is told, so that a second call finds
it, and it writes down every request.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CONTRACT: dict[str, Any] = json.loads((Path(__file__).parent / "heroku_api.json").read_text())
TOKEN = "canary-token-5d1f0c"
DATABASE_URL = "postgres://u1:canary-database-7e@db.example.com:5432/d1"
BUCKET = {
    "BUCKETEER_AWS_ACCESS_KEY_ID": "AKIACANARY0001",
    "BUCKETEER_AWS_REGION": "us-east-1",
    "BUCKETEER_AWS_SECRET_ACCESS_KEY": "canary-bucket-91b2",
    "BUCKETEER_BUCKET_NAME": "bucketeer-0001",
}
# What add-ons make of an app's config vars.
PROVIDED = {"heroku-postgresql": {"DATABASE_URL": DATABASE_URL}, "bucketeer": BUCKET}
SEARCH = "/api/2.0/mlflow/experiments/search"

Answer = tuple[int, object]


@dataclass(frozen=True)
class ReceivedRequest:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    @property
    def changes(self) -> bool:
        """Whether it is to change something."""
        return self.method != "GET"


@dataclass
class HerokuApp:
    """What the stub knows of one app."""

    info: dict[str, Any]
    config: dict[str, str] = field(default_factory=dict)
    addons: list[dict[str, Any]] = field(default_factory=list)
    builds: list[dict[str, Any]] = field(default_factory=list)
    releases: list[dict[str, Any]] = field(default_factory=list)
    formation: list[dict[str, Any]] = field(default_factory=list)
    source: bytes = b""
    accounts: dict[str, str] = field(default_factory=dict)
    """Of the server that runs: made at its first release, as MLflow does."""
    polls: dict[str, int] = field(default_factory=dict)


@dataclass
class Heroku:
    """The stub. What is set here before a call is how Heroku behaves in it."""

    port: int = 0
    apps: dict[str, HerokuApp] = field(default_factory=dict)
    asked: list[ReceivedRequest] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    """Names of apps of somebody else."""
    polls: int = 1
    """So often a build, a release or an add-on is still pending."""
    build_ends: list[str] = field(default_factory=list)
    release_ends: list[str] = field(default_factory=list)
    build_log: str = "-----> Building\nStep 1\nStep 2\nDone\n"
    release_log: str = "The database is ready.\n"
    breaks_after: int | None = None
    """A log's connection is lost after so many bytes, each time."""
    ranges: bool = True
    page: int | None = None
    """Lists come in parts of so many."""
    slow_addons: bool = False
    dyno: str = "up"
    health: list[tuple[int, str]] = field(default_factory=list)
    model: str = ""
    """The digest of the model that apps serve; none where they are tracking servers."""
    open_to_all: bool = False
    """The server lets in who has no password."""
    forbidden_host: bool = False
    refuse: Callable[[ReceivedRequest], Answer | None] = lambda _: None
    """An answer instead of the usual one."""
    web_url: str | None = None
    """Where apps are reached; else at the stub itself, which then plays the server too."""
    released: Callable[[HerokuApp], None] = lambda _: None
    """Called when a release succeeded."""
    uploads: dict[str, bytes] = field(default_factory=dict)

    @property
    def uri(self) -> str:
        """Its address, as in HEROKU_HOST."""
        return f"http://127.0.0.1:{self.port}"

    def changes(self) -> list[str]:
        """The requests so far that changed something."""
        return [str(asked) for asked in self.asked if asked.changes]

    def answer(self, asked: ReceivedRequest) -> Answer:
        """What Heroku says."""
        if (instead := self.refuse(asked)) is not None:
            return instead
        path = urlsplit(asked.path).path
        if found := re.fullmatch(r"/web/([^/]+)(/.*)", path):
            return self._web(self.apps[found[1]], found[2], asked)
        if path.startswith("/put/") and asked.method == "PUT":
            self.uploads[path.removeprefix("/put/")] = asked.body
            return 200, ""
        if asked.headers.get("authorization") != f"Bearer {TOKEN}":
            return error("unauthorized")
        for method, pattern, handler in self._routes():
            found = re.fullmatch(pattern, path)
            if found and method == asked.method:
                body = json.loads(asked.body) if asked.body else {}
                if "app" in found.groupdict():
                    name = found["app"]
                    if name in self.others:
                        return error("forbidden")
                    if name not in self.apps:
                        return error("not_found")
                    return handler(self.apps[name], *found.groups()[1:], body)
                return handler(body)
        return error("not_found")

    def log(self, path: str) -> str | None:
        """The log at this path."""
        return {"build": self.build_log, "release": self.release_log}.get(path.split("/")[2])

    def _routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        app = "/apps/(?P<app>[^/]+)"
        return [
            ("GET", "/oauth/authorizations", self._authorizations),
            ("POST", "/apps", self._create),
            ("POST", "/teams/apps", self._create),
            ("POST", "/sources", self._source),
            ("GET", app, lambda it, _: (200, it.info)),
            ("PATCH", app, self._patch),
            ("GET", f"{app}/addons", lambda it, _: (200, it.addons)),
            ("POST", f"{app}/addons", self._add),
            ("GET", f"{app}/addons/([^/]+)", self._addon),
            ("GET", f"{app}/config-vars", lambda it, _: (200, it.config)),
            ("PATCH", f"{app}/config-vars", self._configure),
            ("GET", f"{app}/formation", lambda it, _: (200, it.formation)),
            ("PATCH", f"{app}/formation", self._scale),
            ("GET", f"{app}/builds", lambda it, _: (200, it.builds)),
            ("POST", f"{app}/builds", self._build),
            ("GET", f"{app}/builds/([^/]+)", self._build_status),
            ("GET", f"{app}/releases/([^/]+)", self._release_status),
            ("GET", f"{app}/dynos", self._dynos),
        ]

    def _authorizations(self, _: object) -> Answer:
        shape = made("authorization")
        shape["access_token"]["token"] = TOKEN
        return 200, [shape]

    def _create(self, body: Mapping[str, Any]) -> Answer:
        name = body["name"]
        if name in self.apps or name in self.others:
            return error("name_taken", f"Name {name} is already taken")
        self.apps[name] = self.new_app(**body)
        return 201, self.apps[name].info

    def new_app(self, name: str, **said: Any) -> HerokuApp:
        """An app as it is when it was just made."""
        info = made("app", name=name, web_url=self.web_url or f"{self.uri}/web/{name}/")
        for what in ("stack", "build_stack"):
            info[what]["name"] = said.get("stack") or "heroku-24"
        info["region"]["name"] = said.get("region") or "us"
        info["team"] = {"id": "1", "name": said["team"]} if said.get("team") else None
        return HerokuApp(info)

    def _patch(self, app: HerokuApp, body: Mapping[str, Any]) -> Answer:
        app.info["build_stack"]["name"] = body["build_stack"]
        return 200, app.info

    def _source(self, _: object) -> Answer:
        key = f"{len(self.uploads) + 1}"
        self.uploads[key] = b""
        return 201, made(
            "source",
            source_blob={
                "get_url": f"https://get.example.com/{key}?signature=canary-get",
                "put_url": f"{self.uri}/put/{key}?signature=canary-put",
            },
        )

    def _add(self, app: HerokuApp, body: Mapping[str, Any]) -> Answer:
        plan = body["plan"]["name"] if isinstance(body["plan"], dict) else body["plan"]
        service = plan.partition(":")[0]
        addon = made("addon", name=f"{service}-1", config_vars=list(PROVIDED[service]))
        addon["addon_service"]["name"], addon["plan"]["name"] = service, plan
        addon["app"]["name"] = app.info["name"]
        addon["state"] = "provisioning" if self.slow_addons else "provisioned"
        app.addons.append(addon)
        if not self.slow_addons:
            app.config.update(PROVIDED[service])
        return 201, addon

    def _addon(self, app: HerokuApp, name: str, _: object) -> Answer:
        addon = next(addon for addon in app.addons if addon["name"] == name)
        if self._waited(app, f"addon {name}"):
            addon["state"] = "provisioned"
            app.config.update(PROVIDED[addon["addon_service"]["name"]])
        return 200, addon

    def _configure(self, app: HerokuApp, body: Mapping[str, str]) -> Answer:
        app.config.update(body)
        return 200, app.config

    def _scale(self, app: HerokuApp, body: Mapping[str, Any]) -> Answer:
        for update in body["updates"]:
            if "docker_image" in update:  # its registry has it
                app.formation = app.formation or [made("formation")]
                continue
            kind = next(kind for kind in app.formation if kind["type"] == update["type"])
            kind["quantity"] = int(update["quantity"])
        return 200, app.formation

    def _build(self, app: HerokuApp, body: Mapping[str, Any]) -> Answer:
        blob = body["source_blob"]
        content = self.uploads[blob["url"].partition("?")[0].rpartition("/")[2]]
        if blob["checksum"] != f"SHA256:{hashlib.sha256(content).hexdigest()}":
            return 422, {"id": "invalid_params", "message": "The checksum is wrong."}
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            if not {"Dockerfile", "heroku.yml"} <= set(tar.getnames()):
                return 422, {"id": "invalid_params", "message": "There is no heroku.yml."}
        app.source = content
        number = len(app.builds) + 1
        build = made(
            "build",
            id=f"build-{number}",
            created_at=f"2026-11-01T12:{number:02}:00Z",
            output_stream_url=f"{self.uri}/log/build/{number}?signature=canary-log",
        )
        build["source_blob"] = {**blob, "url": blob["url"]}
        app.builds.insert(0 if number % 2 else len(app.builds), build)  # in no order
        return 201, build

    def _build_status(self, app: HerokuApp, key: str, _: object) -> Answer:
        build = next(build for build in app.builds if build["id"] == key)
        if build["status"] == "pending" and self._waited(app, key):
            build["status"] = self.build_ends.pop(0) if self.build_ends else "succeeded"
        elif build["status"] == "succeeded" and build["release"] is None:
            build["release"] = {"id": self._new_release(app)}
        return 200, build

    def _new_release(self, app: HerokuApp) -> str:
        number = len(app.releases) + 10
        app.releases.append(
            made(
                "release",
                id=f"release-{number}",
                version=number,
                output_stream_url=f"{self.uri}/log/release/{number}?signature=canary-log",
            )
        )
        return f"release-{number}"

    def _release_status(self, app: HerokuApp, key: str, _: object) -> Answer:
        release = next(release for release in app.releases if release["id"] == key)
        if release["status"] == "pending" and self._waited(app, key):
            release["status"] = self.release_ends.pop(0) if self.release_ends else "succeeded"
            if release["status"] == "succeeded":
                app.formation = app.formation or [made("formation")]
                account = {app.config["MLFLOW_AUTH_ADMIN_USERNAME"]: app.config["MLFLOW_AUTH_ADMIN_PASSWORD"]}
                app.accounts = app.accounts or account
                self.released(app)
        return 200, release

    def _dynos(self, app: HerokuApp, _: object) -> Answer:
        if not any(kind["quantity"] for kind in app.formation):
            return 200, []
        dyno = made("dyno", state=self.dyno)
        dyno["release"]["version"] = app.releases[-1]["version"]
        return 200, [dyno]

    def _waited(self, app: HerokuApp, what: str) -> bool:
        app.polls[what] = app.polls.get(what, 0) + 1
        return app.polls[what] > self.polls

    def _web(self, app: HerokuApp, path: str, asked: ReceivedRequest) -> Answer:
        if path == "/health":
            return self.health.pop(0) if self.health else (200, "OK")
        if self.model:
            return self._model(app, path, asked)
        if self.forbidden_host:
            return 403, "This server does not answer to that name. See ALLOWED_HOSTS."
        scheme, _, encoded = asked.headers.get("authorization", "").partition(" ")
        name, _, password = (
            base64.b64decode(encoded).decode().partition(":") if scheme == "Basic" else ("", "", "")
        )
        if not self.open_to_all and (not name or app.accounts.get(name) != password):
            return 401, "User name or password is missing or wrong."
        return {SEARCH: (200, {"experiments": []}), "/version": (200, "3.17.2")}.get(
            path, (404, "no such page")
        )

    def _model(self, app: HerokuApp, path: str, asked: ReceivedRequest) -> Answer:
        token = f"Bearer {app.config['MODEL_SERVER_TOKEN']}"
        if not self.open_to_all and asked.headers.get("authorization") != token:
            return 401, {"error": "The request has no token, or another one."}
        return (200, {"version": self.model}) if path == "/version" else (404, "no such page")


def made(kind: str, **values: object) -> dict[str, Any]:
    """An answer of this kind, with these values."""
    return {**copy.deepcopy(CONTRACT[kind]["answer"]), **values}


def error(kind: str, message: str | None = None) -> Answer:
    """An error of this kind."""
    said = CONTRACT["errors"][kind]
    return said["status"], {**said["answer"], **({"message": message} if message else {})}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the client's delayed acknowledgement
    stub: Heroku
    lock: threading.Lock

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = ReceivedRequest(
            self.command, self.path, {n.lower(): v for n, v in self.headers.items()}, body
        )
        with self.lock:
            self.stub.asked.append(asked)
            log = self.stub.log(urlsplit(self.path).path) if self.path.startswith("/log/") else None
            status, said = (200, "") if log is not None else self.stub.answer(asked)
        with contextlib.suppress(OSError):  # the client may be gone
            if log is not None:
                self._stream(log.encode(), asked.headers)
            elif isinstance(said, list) and self.stub.page:
                self._part(said, self.stub.page, asked.headers)
            else:
                self._send(status, said)

    do_POST = do_PUT = do_PATCH = do_GET  # noqa: N815 (the names that http.server calls)

    def _stream(self, content: bytes, headers: Mapping[str, str]) -> None:
        start = int(headers.get("range", "bytes=0-")[6:-1]) if self.stub.ranges else 0
        if start and start >= len(content):
            self._send(416, "")
            return
        breaks = self.stub.breaks_after
        end = len(content) if breaks is None else min(len(content), start + breaks)
        self.send_response(206 if start else 200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for place in range(start, end, 10):
            piece = content[place : min(place + 10, end)]
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if end == len(content):
            self.wfile.write(b"0\r\n\r\n")
        self.close_connection = end < len(content)

    def _part(self, items: list[object], size: int, headers: Mapping[str, str]) -> None:
        start = int(headers.get("range", "id 0..").split()[1].rstrip("."))
        end = start + size
        more = {"Next-Range": f"id {end}.."} if len(items) > end else {}
        self._send(206 if more else 200, items[start:end], more)

    def _send(self, status: int, said: object, headers: Mapping[str, str] | None = None) -> None:
        content = (said if isinstance(said, str) else json.dumps(said)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def heroku_on(port: int = 0) -> Iterator[Heroku]:
    """Within: the stub answers."""
    stub = Heroku()
    handler = type("Handler", (_Handler,), {"stub": stub, "lock": threading.Lock()})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    stub.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
