"""Who is let in: by which name, from which page, with which password, and by https alone behind a router."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tracking_server import containers
from tracking_server.asking import ADMIN, PASSWORD, ask
from tracking_server.containers import Server
from tracking_server.services import Postgres

CREATE = "/api/2.0/mlflow/experiments/create"
OPEN = ("/health", "/static-files/")
OWN = {"Host": "runs.example", "X-Forwarded-Proto": "https"}
KINDS = (
    "/api/2.0/mlflow/runs/create",
    "/ajax-api/2.0/",
    "/graphql",
    "/gateway/",
    "/v1/traces",
    "/mlflow/users/",
    "/signup",
    "/mlflow-artifacts/artifacts/",
    "/server-info",
    "/assistant/",
)
ROUTES = """
import json, os
from mlflow_server import environment, settings, web
asked = settings.read(os.environ)
environment.prepare(asked)
application = web._application(asked)
from mlflow.server import app as flask

def native(routes, prefix=""):
    for route in routes:
        inner = getattr(getattr(route, "original_router", route), "routes", None)
        if getattr(route, "methods", None):
            for method in route.methods:
                yield method, prefix + route.path
        elif inner:
            context = getattr(route, "include_context", None)
            yield from native(inner, prefix + (context.prefix if context else getattr(route, "path", "")))

print(json.dumps({
    "flask": [[m, str(rule)] for rule in flask.url_map.iter_rules() for m in rule.methods],
    "native": list(native(application.routes)),
}))
"""


@pytest.fixture(scope="module")
def routed(postgres: Postgres, released: str) -> Iterator[Server]:
    """A server behind a platform's router."""
    environment = {"FORCE_HTTPS": "1", "ALLOWED_HOSTS": "runs.example"}
    with containers.serving(
        {"DATABASE_URL": postgres.database(released), **environment}, "--tmpfs", "/data:mode=1777"
    ) as server:
        server.ready()
        yield server


def _create(server: Server, name: str, headers: dict[str, str]) -> int:
    return ask(f"{server.url}{CREATE}", "POST", headers, body={"name": name}).status


def test_every_endpoint_but_health_and_static_files_asks_for_a_password(
    server: Server, database: str
) -> None:
    listed = containers.once(
        ("python", "-c", ROUTES), {"DATABASE_URL": database}, "--tmpfs", "/data:mode=1777"
    )
    assert listed.returncode == 0, listed.stderr
    table: dict[str, list[tuple[str, str]]] = json.loads(listed.stdout.splitlines()[-1])
    routes = [(method, path) for kind in table.values() for method, path in kind]
    paths = {path for _, path in routes}
    # The walk saw all kinds of routes: REST, the UI's, GraphQL, gateway, traces, accounts, native artifacts.
    for part in KINDS:
        assert any(part in path for path in paths), part
    assert len(routes) > 500

    refused = 0
    for method, path in sorted(routes):
        concrete = re.sub(r"<[^>]+>|\{[^}]+\}", "1", path)
        status = ask(server.url + concrete, method, account=None).status
        if concrete.startswith(OPEN):
            continue
        assert status == 401, (method, path, status)
        refused += 1
    assert refused > 500
    for never_routed in ("/", "/healthz", "/static", "/no/such/page", "//health", "/health/../version"):
        assert ask(server.url + never_routed, account=None).status == 401, never_routed


@pytest.mark.parametrize(
    "account", [(ADMIN, "wrong-password"), ("nobody", PASSWORD), ("", ""), (ADMIN, PASSWORD + " ")]
)
def test_a_wrong_account_is_refused_everywhere(server: Server, account: tuple[str, str]) -> None:
    for path in (
        "/",
        "/version",
        "/api/3.0/mlflow/server-info",
        "/gateway/x/mlflow/invocations",
        "/v1/traces",
    ):
        assert ask(server.url + path, account=account).status == 401, path


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic YQ==", "Bearer x", "Basic /w=="])
def test_a_header_that_is_no_account_is_refused_and_breaks_nothing(server: Server, header: str) -> None:
    refused = ask(f"{server.url}/version", headers={"Authorization": header}, account=None)
    assert refused.status == 401
    assert refused.headers["www-authenticate"].startswith("Basic ")


def test_health_is_open_by_any_name_and_the_right_password_opens_the_rest(server: Server) -> None:
    assert ask(f"{server.url}/health", headers={"Host": "10.1.2.3"}, account=None).status == 200
    assert ask(f"{server.url}/version").body == b"3.17.2"
    assert b"<title>MLflow</title>" in ask(f"{server.url}/").body


def test_a_wrong_name_is_refused_with_and_without_a_password(server: Server) -> None:
    for host in ("evil.example", "localhost.evil.example", "runs.example", "127.0.0.1.evil.example:80", ""):
        for account in (None, (ADMIN, PASSWORD)):
            assert ask(f"{server.url}/version", headers={"Host": host}, account=account).status == 403, host
    for host in ("localhost", "localhost:1234", "127.0.0.1:8080", "[::1]:9"):
        assert ask(f"{server.url}/version", headers={"Host": host}).status == 200, host


def test_an_own_page_may_change_things_and_a_foreign_one_not(server: Server) -> None:
    assert _create(server, "by the own page", {"Origin": server.url}) == 200
    for origin in ("https://evil.example", "http://runs.example", "null", "http://127.0.0.1.evil.example"):
        assert _create(server, "by a foreign page", {"Origin": origin}) == 403, origin


def test_login_leads_on_to_an_address_without_a_password_in_it(server: Server, routed: Server) -> None:
    assert ask(f"{server.url}/login", account=None).status == 401
    here = ask(f"{server.url}/login")
    assert (here.status, here.headers["location"]) == (302, f"{server.url}/")
    there = ask(f"{routed.url}/login", headers=OWN)
    assert (there.status, there.headers["location"]) == (302, "https://runs.example/")


def test_behind_a_router_plain_http_is_sent_to_https_or_refused(routed: Server) -> None:
    plain = {**OWN, "X-Forwarded-Proto": "http"}
    sent = ask(f"{routed.url}/experiments?a=1&b=%2F", headers=plain, account=None)
    assert (sent.status, sent.headers["location"]) == (301, "https://runs.example/experiments?a=1&b=%2F")
    assert _create(routed, "plain", plain) == 403
    # The header is the router's: a request without it, or with a second value, did not come by https alone.
    assert _create(routed, "no router", {"Host": "runs.example"}) == 403
    assert _create(routed, "two values", {**OWN, "X-Forwarded-Proto": "https, http"}) == 403
    assert _create(routed, "https", OWN) == 200
    assert ask(f"{routed.url}/health", account=None).status == 200


def test_behind_a_router_no_redirect_goes_to_a_name_that_is_not_ours(routed: Server) -> None:
    for account in (None, (ADMIN, PASSWORD)):
        sent = ask(f"{routed.url}/", headers={"Host": "evil.example"}, account=account)
        assert (sent.status, "location" in sent.headers) == (403, False)


def test_behind_a_router_only_pages_of_its_own_name_may_use_it(routed: Server) -> None:
    assert _create(routed, "own page", {**OWN, "Origin": "https://runs.example"}) == 200
    # A page on the visitor's own machine, which MLflow lets pass; a name that only begins like ours.
    for origin in (
        "http://localhost:3000",
        "http://runs.example",
        "https://runs.example.evil.example",
        "null",
    ):
        assert _create(routed, "foreign page", {**OWN, "Origin": origin}) == 403, origin
        read = ask(f"{routed.url}/version", headers={**OWN, "Origin": origin})
        assert read.status == 403, origin
        assert "access-control-allow-origin" not in read.headers


def test_behind_a_router_browsers_are_told_to_stay_with_https(routed: Server) -> None:
    assert (
        ask(f"{routed.url}/version", headers=OWN).headers["strict-transport-security"].startswith("max-age=")
    )
