"""What nobody can do to the others: fill the memory, guess passwords, ask from a page of another origin."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest
from mlflow_server.bodies import LONGEST
from mlflow_server.rate_limiter import OF_ONE

from tracking_server.asking import ADMIN, PASSWORD, Either, ask, authorization
from tracking_server.containers import Server

SEARCH = "/api/2.0/mlflow/experiments/search"


def _send(either: Either, pieces: Iterator[bytes] | None, length: int | None = None) -> tuple[int, str]:
    """A body in pieces, or none of the length that is said; the answer, or 0 where the server hung up."""
    parts = urlsplit(either.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    headers = {"Authorization": authorization(*either.account), "Content-Type": "application/json"}
    if length is not None:
        headers["Content-Length"] = str(length)
    try:
        connection.request("POST", SEARCH, pieces, headers, encode_chunked=pieces is not None)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:  # it does not read the rest
        return 0, ""
    finally:
        connection.close()


def test_a_body_of_gigabytes_is_refused_before_it_is_read(either: Either) -> None:
    status, text = _send(either, None, 1_400_000_000)
    assert (status, json.loads(text)["error_code"]) == (413, "INVALID_PARAMETER_VALUE")
    assert json.loads(text)["message"] == (
        "The body of this request is longer than 10 MiB. Log files as artifacts."
    )
    piece = bytes(1 << 20)
    assert _send(either, (piece for _ in range(1400)))[0] in (413, 0)
    assert ask(f"{either.url}/health", account=None).status == 200


def _pour(either: Either, method: str, path: str, *, chunked: bool) -> tuple[int, int]:
    """The answer to 300 MiB, 0 where the server hung up, and how many of the MiB it took."""
    parts = urlsplit(either.url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    headers = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(300 << 20)}
    taken = 0

    def pieces() -> Iterator[bytes]:
        nonlocal taken
        for taken in range(300):  # noqa: B007
            yield bytes(1 << 20)

    try:
        connection.request(method, path, pieces(), headers, encode_chunked=chunked)
        return connection.getresponse().status, taken
    except OSError:
        return 0, taken
    finally:
        connection.close()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200), ("POST", "/health", 405),
        ("GET", "/static-files/x", 404), ("POST", "/static-files/x", 405),
        ("POST", "/login", 401), ("POST", SEARCH, 401), ("PUT", "/api/2.0/mlflow-artifacts/artifacts/x", 401),
    ],
)  # fmt: skip
def test_nobody_without_a_password_is_listened_to_for_long(
    either: Either, method: str, path: str, status: int, chunked: bool
) -> None:
    said, taken = _pour(either, method, path, chunked=chunked)
    assert said in (status, 0)
    assert taken < 32  # what is on its way when the server hangs up
    assert ask(f"{either.url}/health", account=None).body == b"OK"


def test_a_file_that_the_page_uploads_may_be_as_large_as_mlflow_lets_it(either: Either) -> None:
    run = json.loads(either.ask("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0"}).body)
    path = f"/ajax-api/2.0/mlflow/upload-artifact?run_uuid={run['run']['info']['run_id']}&path=large"
    assert either.ask("POST", path, "x" * (LONGEST - 2)).status == 200  # JSON adds the quotes


def test_many_long_bodies_at_a_time_do_not_end_the_server(server: Server) -> None:
    either = Either(server.url, (ADMIN, PASSWORD))
    body = b'{"filter": "' + b"x" * (LONGEST - 20) + b'"}'
    with ThreadPoolExecutor(30) as crowd:
        answers = list(crowd.map(lambda _: _send(either, iter([body]))[0], range(60)))
    assert set(answers) <= {200, 400, 503}
    assert 400 in answers or 200 in answers
    assert either.ask("POST", SEARCH, {"max_results": 1}).status == 200
    assert server.inspect("{{.State.OOMKilled}} {{.RestartCount}}") == "false 0"


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity, gzip"])
def test_a_body_that_would_grow_in_memory_is_not_read(either: Either, encoding: str) -> None:
    assert either.ask("POST", "/v1/traces", {}, **{"Content-Encoding": encoding}).status == 415


@pytest.mark.parametrize("path", ["/version", "/login", SEARCH])
def test_wrong_passwords_are_limited_and_the_right_one_is_not(either: Either, path: str) -> None:
    assert either.ask("GET", "/version").status == 200
    name = f"guessed{path.replace('/', '-')}"
    answers = [ask(either.url + path, account=(name, f"wrong-{n}")) for n in range(OF_ONE.at_once + 3)]
    assert {answer.status for answer in answers[: OF_ONE.at_once]} == {401}
    limited = answers[-1]
    assert limited.status == 429
    assert 1 <= int(limited.headers["retry-after"]) <= OF_ONE.seconds
    assert either.ask("GET", "/version").status == 200


def test_who_is_in_stays_in_while_a_stranger_guesses_the_password(either: Either) -> None:
    # An account of the test's own, where there can be one: the others share the administrator's.
    new = {"username": "ada", "password": "ada's password"}
    made = either.ask("POST", "/api/2.0/mlflow/users/create", new).status == 200
    name, password = (new["username"], new["password"]) if made else either.account
    assert ask(f"{either.url}/version", account=(name, password)).status == 200
    stranger = [ask(f"{either.url}/version", account=(name, f"guess-{n}")) for n in range(40)]
    assert stranger[-1].status == 429
    assert ask(f"{either.url}/version", account=(name, password)).status == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_page_of_another_local_port_gets_nothing_though_the_browser_knows_the_password(
    either: Either, method: str
) -> None:
    port = urlsplit(either.url).port
    path, body = (f"{SEARCH}?max_results=1", None) if method == "GET" else (SEARCH, {"max_results": 1})
    foreign = ("http://127.0.0.1:8888", "http://localhost:3000", f"http://localhost:{port}", "null",
               f"https://127.0.0.1:{port}")  # fmt: skip
    for origin in foreign:
        said = either.ask(method, path, body, Origin=origin)
        assert said.status == 403, origin
        assert "access-control-allow-origin" not in said.headers
    assert either.ask(method, path, body, Origin=either.url).status == 200


def test_a_browser_that_says_only_where_a_request_comes_from_is_heard(either: Either) -> None:
    for site in ("cross-site", "same-site"):
        assert either.ask("POST", SEARCH, {}, **{"Sec-Fetch-Site": site}).status == 403
        for path in ("/", "/static-files/index.html", "/version", f"{SEARCH}?max_results=1"):
            loaded = either.ask("GET", path, **{"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"})
            assert loaded.status == 403, path
            assert loaded.headers["cross-origin-resource-policy"] == "same-origin"
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        assert either.ask("GET", "/", **link).status == 200
        assert either.ask("POST", SEARCH, {}, **link).status == 403
    for site in ("same-origin", "none"):
        assert either.ask("POST", SEARCH, {"max_results": 1}, **{"Sec-Fetch-Site": site}).status == 200
