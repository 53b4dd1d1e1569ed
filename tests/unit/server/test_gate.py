"""The gate of the tracking server: its rate limiter for passwords and its limits of request bodies."""

import asyncio
import contextlib
import errno
import sys
from collections.abc import Iterator

import pytest
from mlflow_server import bodies, locations, rate_limiter, routes, uploads
from mlflow_server.addresses import Addresses
from mlflow_server.asgi import Message, Receive, Scope, Send, answer
from mlflow_server.bodies import (
    ALL_TOGETHER,
    LONGEST,
    Bodies,
    BodyTooLarge,
    ClientDisconnected,
    TooManyBodies,
)
from mlflow_server.gate import Gate
from mlflow_server.rate_limiter import OF_ALL, OF_ONE, RateLimiter


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def guess(rate_limiter: RateLimiter, user: str, password: str, right: bool = False) -> int:
    wait = rate_limiter.wait_s(user, password)
    if not wait:
        rate_limiter.record(user, password, right=right)
    return wait


def test_wrong_passwords_of_an_account_are_tried_slowly_after_some() -> None:
    clock = Clock()
    slowed = RateLimiter(clock)
    assert [guess(slowed, "ada", str(n)) for n in range(OF_ONE.at_once)] == [0] * OF_ONE.at_once
    assert guess(slowed, "ada", "next") == OF_ONE.seconds
    clock.now += OF_ONE.seconds / 2
    assert 0 < guess(slowed, "ada", "next") <= OF_ONE.seconds / 2 + 1
    clock.now += OF_ONE.seconds / 2
    assert guess(slowed, "ada", "next") == 0
    assert guess(slowed, "ada", "next") > 0
    assert guess(slowed, "bob", "wrong") == 0  # another account is not concerned


def test_who_was_let_in_once_is_not_locked_out_by_a_stranger() -> None:
    slowed = RateLimiter(Clock())
    assert guess(slowed, "ada", "right", right=True) == 0
    for n in range(2 * OF_ALL.at_once):
        guess(slowed, "ada", str(n))
        guess(slowed, str(n), "x")
    assert guess(slowed, "ada", "wrong") > 0
    assert [guess(slowed, "ada", "right", right=True) for _ in range(1000)] == [0] * 1000


def test_who_was_not_yet_let_in_waits_no_longer_than_for_one_guess() -> None:
    clock = Clock()
    slowed = RateLimiter(clock)
    for n in range(2 * OF_ONE.at_once):
        guess(slowed, "ada", str(n))
    clock.now += guess(slowed, "ada", "right")
    assert guess(slowed, "ada", "right", right=True) == 0


def test_right_passwords_are_no_guesses() -> None:
    slowed = RateLimiter(Clock())
    assert [guess(slowed, f"u{n}", "p", right=True) for n in range(900)] == [0] * 900
    assert guess(slowed, "new", "wrong") == 0


@pytest.mark.parametrize("right", [True, False])
def test_many_requests_at_a_time_with_one_password_are_one_guess(right: bool) -> None:
    slowed = RateLimiter(Clock())
    assert [slowed.wait_s("ada", "p") for _ in range(1000)] == [0] * 1000
    for _ in range(1000):
        slowed.record("ada", "p", right=right)
    left = OF_ONE.at_once - (0 if right else 1)
    assert [guess(slowed, "ada", str(n)) for n in range(left + 1)] == [0] * left + [OF_ONE.seconds]
    assert slowed._asked == set()


def test_a_password_that_was_right_once_is_a_guess_after_it_was_changed() -> None:
    slowed = RateLimiter(Clock())
    guess(slowed, "ada", "old", right=True)
    assert [guess(slowed, "ada", "old") for _ in range(OF_ONE.at_once + 1)] == [0] * (OF_ONE.at_once + 1)
    assert guess(slowed, "ada", "old") > 0


def test_all_accounts_together_are_limited_and_memory_stays_the_same() -> None:
    clock = Clock()
    slowed = RateLimiter(clock)
    waits = [guess(slowed, f"user{n}" * 1000, "x" * 10_000) for n in range(OF_ALL.at_once + 1)]
    assert waits[-1] > 0
    assert set(waits[:-1]) == {0}
    for n in range(3 * rate_limiter.MOST):
        clock.now += OF_ALL.seconds
        guess(slowed, f"more{n}", "x", right=True)
    assert len(slowed._accounts) == len(slowed._right) == rate_limiter.MOST
    assert all(len(digest) == 16 for digest in (*slowed._accounts, *slowed._right))


def test_to_push_an_account_out_of_memory_takes_longer_than_the_limit() -> None:
    assert (
        rate_limiter.MOST * OF_ALL.seconds - OF_ALL.at_once * OF_ALL.seconds
        >= OF_ONE.at_once * OF_ONE.seconds
    )


async def read(held: Bodies, *pieces: bytes, length: bytes = b"", ends: bool = True) -> bytes:
    messages: Iterator[Message] = iter(
        [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
        + [{"type": "http.request"} if ends else {"type": "http.disconnect"}]
    )

    async def receive() -> Message:
        return next(messages)

    return await held.read({b"content-length": length} if length else {}, receive)


def test_a_body_is_read_up_to_its_limit() -> None:
    held, piece = Bodies(), bytes(LONGEST // 4)
    assert asyncio.run(read(held, *[piece] * 4)) == bytes(LONGEST)
    held.release(bytes(LONGEST))
    with pytest.raises(BodyTooLarge):
        asyncio.run(read(held, *[piece] * 4, b"x"))
    with pytest.raises(BodyTooLarge):
        asyncio.run(read(held, length=str(LONGEST + 1).encode()))
    with pytest.raises(ClientDisconnected):
        asyncio.run(read(held, piece, ends=False))
    assert held._held == 0


def test_bodies_together_have_a_limit_too() -> None:
    held = Bodies()
    whole = [asyncio.run(read(held, bytes(LONGEST))) for _ in range(ALL_TOGETHER // LONGEST)]
    with pytest.raises(TooManyBodies):
        asyncio.run(read(held, b"x"))
    for body in whole:
        held.release(body)
    assert asyncio.run(read(held, b"x")) == b"x"


def test_a_body_that_is_handed_on_is_followed_by_the_end_of_the_connection() -> None:
    said: Iterator[Message] = iter([{"type": "http.request", "body": b"d"}, {"type": "http.disconnect"}])

    async def receive() -> Message:
        return next(said)

    async def both() -> list[Message]:
        again = bodies.replay(b"abc", receive)
        return [await again(), await again()]

    given, then = asyncio.run(both())
    assert given == {"type": "http.request", "body": b"abc", "more_body": False}
    assert then == {"type": "http.disconnect"}


async def gate_answers(
    method: str, path: str, headers: dict[bytes, bytes], *, routed: bool = False
) -> tuple[int, dict[bytes, bytes], Message]:
    """The answer to a stranger's request, and what the application was given to read."""
    given: Message = {}
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            given.update(await receive())
            await answer(send, 200, "OK")

    async def receive() -> Message:
        raise AssertionError("it was read")

    async def send(message: Message) -> None:
        sent.append(message)

    gate = Gate(app, Addresses(("here",), (), behind_router=routed), 1, lambda *_: False)
    await gate({"type": "lifespan"}, receive, send)
    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
             "headers": list({b"host": b"here", **headers}.items())}  # fmt: skip
    await gate(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), given


TOO_LONG = {b"content-length": str(LONGEST + 1).encode()}
CHUNKED = {b"transfer-encoding": b"chunked"}
WRONG = {b"authorization": b"Basic YTpi"}
HTTP = {b"x-forwarded-proto": b"http"}


@pytest.mark.parametrize("body", [TOO_LONG, CHUNKED])
@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("GET", "/health", {}, 200), ("HEAD", "/static-files/x", {}, 200),
        ("POST", "/health", {}, 405), ("POST", "/static-files/x", {}, 405),
        ("PUT", "/static-files/x", {}, 405),
        ("POST", "/graphql", {}, 401), ("POST", "/graphql", WRONG, 401), ("POST", "/login", {}, 401),
        ("POST", "/no/such/page", {}, 401), ("GET", "/", {}, 401),
        ("POST", "/", {b"host": b"elsewhere"}, 403), ("POST", "/", {b"origin": b"http://elsewhere"}, 403),
        ("POST", "/", {b"sec-fetch-site": b"cross-site"}, 403),
        ("GET", "/", HTTP, 301), ("POST", "/", HTTP, 403),
    ],
)  # fmt: skip
def test_no_body_is_read_without_a_password_and_the_rest_of_a_long_one_is_not_taken(
    method: str, path: str, more: dict[bytes, bytes], status: int, body: dict[bytes, bytes]
) -> None:
    said, headers, given = asyncio.run(gate_answers(method, path, {**more, **body}, routed=more == HTTP))
    assert (said, headers.get(b"connection")) == (status, b"close")
    assert given.get("body", b"") == b""
    assert not given.get("more_body")


@pytest.mark.parametrize("length", [{}, {b"content-length": b"0"}, {b"content-length": b"2000"}])
def test_who_sends_little_keeps_the_connection(length: dict[bytes, bytes]) -> None:
    said, headers, _ = asyncio.run(gate_answers("POST", "/graphql", length))
    assert said == 401
    assert b"connection" not in headers


@pytest.mark.parametrize("site", [b"cross-site", b"same-site"])
def test_a_page_elsewhere_may_link_here_and_load_nothing(site: bytes) -> None:
    for method, mode, status in (
        ("GET", b"navigate", 200), ("GET", b"no-cors", 403), ("GET", b"cors", 403), ("HEAD", b"no-cors", 403),
        ("GET", b"", 403), ("POST", b"navigate", 403), ("OPTIONS", b"cors", 403),
    ):  # fmt: skip
        asked = {b"sec-fetch-site": site, b"sec-fetch-mode": mode}
        said, headers, _ = asyncio.run(gate_answers(method, "/static-files/x", asked))
        assert (said, headers[b"cross-origin-resource-policy"]) == (status, b"same-origin"), (method, mode)


@pytest.mark.parametrize(
    "body",
    [
        b'{"artifact_location": "/etc"}',
        b'{"\\u0061rtifact_location": "/etc"}',
        '{"artifact_location": "/etc"}'.encode("utf-16"),
        b'"{\\"artifact_location\\": \\"/etc\\"}"',
        b'{"artifact_location": "mlflow-artifacts:/a", "artifactLocation": "/etc"}',
        b'{"artifact_location": ["/etc"]}',
        b"[" * 100_000,
        b"{",
    ],
)
def test_a_location_is_found_however_it_is_written(body: bytes) -> None:
    assert locations.refusal("location", body)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"artifact_location": ""}', b'{"name": "/etc"}', b"[]"])
def test_a_body_without_a_location_passes(body: bytes) -> None:
    assert locations.refusal("location", body) is None


def test_a_tag_is_found_at_any_depth_and_none_is_too_deep() -> None:
    deep = b'{"a":' * 200 + b'{"key": "mlflow.artifactLocation", "value": "/etc"}' + b"}" * 200
    assert locations.refusal("tags", deep)
    deeper = b"[" * (sys.getrecursionlimit() - 100) + b"]" * (sys.getrecursionlimit() - 100)
    assert locations.refusal("tags", deeper) in (None, "The body is not JSON.")


@pytest.mark.parametrize(
    ("method", "path", "check"),
    [
        ("POST", "/api/2.0/mlflow/experiments/create", "location"),
        ("POST", "/ajax-api/2.0/mlflow/experiments/create", "location"),
        ("PUT", "/api/2.0/mlflow-artifacts/artifacts/0/a b/\nc", "upload"),
        ("HEAD", "/version", ""),
    ],
)
def test_a_route_is_found_in_both_of_its_spellings(method: str, path: str, check: str) -> None:
    route = routes.find(method, path)
    assert route is not None
    assert route.check == check


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gateway/x"), ("POST", "//api/2.0/mlflow/experiments/create"), ("TRACE", "/"),
        ("POST", "/api/2.0/mlflow/experiments/create/"), ("POST", "/x/api/2.0/mlflow/experiments/create"),
        ("POST", "/API/2.0/mlflow/experiments/create"), ("GET", "/api/2.0/mlflow/logged-models/a/b"),
    ],
)  # fmt: skip
def test_what_is_not_in_the_table_is_not_found(method: str, path: str) -> None:
    assert routes.find(method, path) is None


@pytest.mark.parametrize(
    ("problem", "status", "text"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 507, b"The server's disk is full."),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 507, b"The server's disk is full."),
        (OSError(errno.EACCES, "Permission denied"), 500, b"Internal Server Error"),
        (ZeroDivisionError(), 500, b"Internal Server Error"),
        (None, 500, b"Internal Server Error"),
        (None, 200, b""),
    ],
)
def test_an_upload_to_a_full_disk_is_answered_with_what_is_wrong(
    problem: Exception | None, status: int, text: bytes
) -> None:
    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    async def mlflow(_: Scope, __: Receive, send: Send) -> None:
        await answer(send, 200 if status == 200 else 500, "Internal Server Error" if status != 200 else "")
        if problem:
            raise problem

    async def receive() -> Message:
        return {"type": "http.request"}

    with contextlib.nullcontext() if status != 500 or problem is None else pytest.raises(type(problem)):
        asyncio.run(uploads.pass_on(mlflow, {}, receive, send))
    assert [message["type"] for message in said] == ["http.response.start", "http.response.body"]
    assert said[0]["status"] == status
    assert text in said[1]["body"]
