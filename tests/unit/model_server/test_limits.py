"""What a client may not take from the others, with uvicorn itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.client import HTTPConnection
from pathlib import Path

import pytest
from model_server import healthy
from model_server.limits import Limits
from support import REPOSITORY

from unit.model_server.served import NO, YES, application, churn, client, colours, image, listening

ROW = json.dumps(YES).encode()
JSON = {"Content-Type": "application/json"}


def head(length: int, path: str = "/predict") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def answer(connection: socket.socket) -> bytes:
    """All until the server closes it."""
    connection.settimeout(10)
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(65536):
            received += part
    return received


def predicted(port: int) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/predict", ROW, JSON)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@contextlib.contextmanager
def served(tmp_path: Path, limits: Limits) -> Iterator[int]:
    with listening(application(churn(tmp_path / "churn.onnx"), limits=limits), limits) as port:
        yield port


def test_200_slow_clients_keep_nobody_waiting(tmp_path: Path) -> None:
    with served(tmp_path, Limits()) as port, contextlib.ExitStack() as opened:
        for number in range(200):
            slow = opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            slow.sendall(head(1000)[: 20 if number % 2 else None] + (b"" if number % 2 else b"{"))
        began = time.monotonic()
        statuses = {predicted(port)[0] for _ in range(50)}
        took = time.monotonic() - began
    assert statuses == {200}
    assert took < 5


def test_headers_that_do_not_come_end_the_connection(tmp_path: Path) -> None:
    with (
        served(tmp_path, replace(Limits(), headers_s=0.3)) as port,
        socket.create_connection(("127.0.0.1", port)) as silent,
        socket.create_connection(("127.0.0.1", port)) as slow,
    ):
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: loc")
        assert answer(silent) == answer(slow) == b""


def test_the_second_request_of_a_connection_has_as_much_time(tmp_path: Path) -> None:
    limits = replace(Limits(), headers_s=0.3)
    with served(tmp_path, limits) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head(len(ROW)) + ROW)
        time.sleep(0.6)  # between two requests uvicorn's own, longer time counts
        connection.sendall(head(len(ROW)) + ROW + b"POST /predict HTTP/1.1\r\n")
        assert answer(connection).count(b"HTTP/1.1 200 OK") == 2


def test_a_body_that_does_not_come_is_refused(tmp_path: Path) -> None:
    limits = replace(Limits(), body_s=0.3)
    with served(tmp_path, limits) as port, socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(head(100) + b"{")
        said = answer(slow)
    assert said.startswith(b"HTTP/1.1 408 ")
    assert b"The body did not arrive within 0.3 s." in said


def test_a_client_that_goes_away_leaves_nothing_behind(tmp_path: Path) -> None:
    limits = replace(Limits(), bodies=2000, small=0)
    with served(tmp_path, limits) as port:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", port)) as gone:
                gone.sendall(head(5000) + b" " * 1900)
                time.sleep(0.05)
        assert predicted(port)[0] == 200


def test_a_large_body_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    limits = replace(Limits(), body=1024**2)
    with served(tmp_path, limits) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head(1024**2 + 1))
        said = answer(connection)
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"The body is larger than 1 MB." in said


def test_a_large_body_of_unknown_length_is_refused(tmp_path: Path) -> None:
    limits = replace(Limits(), body=1000)
    with client(churn(tmp_path / "churn.onnx"), limits=limits) as opened:
        said = opened.post("/predict", content=iter([b" " * 600, b" " * 600]), headers=JSON)
    assert said.status_code == 413


def test_large_json_many_rows_and_many_images_are_refused(tmp_path: Path) -> None:
    limits = replace(Limits(), json=1024**2, rows=2, images=1)
    with client(churn(tmp_path / "churn.onnx"), limits=limits) as opened:
        assert opened.post("/predict", content=b" " * (1024**2 + 1), headers=JSON).status_code == 413
        assert opened.post("/predict", json=[YES, NO, YES]).status_code == 413
    with client(colours(tmp_path / "colours.onnx"), limits=limits) as opened:
        assert opened.post("/predict", files=[("a", image()), ("b", image())]).status_code == 400
        assert opened.post("/invocations", json={"instances": ["a", "b"]}).status_code == 400


def test_an_image_of_too_many_pixels_is_refused(tmp_path: Path) -> None:
    with client(colours(tmp_path / "colours.onnx"), limits=replace(Limits(), pixels=1000)) as opened:
        said = opened.post("/predict", content=image(side=40), headers={"Content-Type": "image/png"})
    assert said.status_code == 400
    assert "pixels" in said.json()["error"]


def test_while_too_much_is_received_small_requests_still_are(tmp_path: Path) -> None:
    limits = replace(Limits(), bodies=300_000, small=1000)
    with served(tmp_path, limits) as port, contextlib.ExitStack() as opened:
        large = [opened.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(2)]
        for connection in large:
            connection.sendall(head(400_000) + b" " * 200_000)
            time.sleep(0.2)
        assert answer(large[1]).startswith(b"HTTP/1.1 503 ")
        assert predicted(port)[0] == 200


def test_an_answer_that_takes_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with client(churn(tmp_path / "churn.onnx"), limits=replace(Limits(), answer_s=0.2)) as opened:
        assert opened.post("/predict", json=YES).status_code == 200
        monkeypatch.setattr(
            "trainkit.inference.predictor.Predictor._answers", lambda *_: threading.Event().wait(1)
        )
        said = opened.post("/predict", json=YES)
    assert said.status_code == 503
    assert said.headers["Retry-After"] == "1"
    assert said.json()["error"] == "The model did not answer within 0.2 s."


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_sigterm_answers_what_was_asked_and_then_ends(tmp_path: Path) -> None:
    model, port = churn(tmp_path / "churn.onnx"), free_port()
    # The model takes its time, so that the signal comes while it is at work.
    program = (
        "import sys, time\nfrom trainkit.inference.predictor import Predictor\n"
        "ask = Predictor.answers\n"
        "Predictor.answers = lambda *each, **more: (time.sleep(0.7), ask(*each, **more))[1]\n"
        "from model_server.__main__ import main\nsys.exit(main())"
    )
    folders = (REPOSITORY / "trainer_images" / name for name in ("trainkit", "serve"))
    server = subprocess.Popen(
        [sys.executable, "-c", program, str(model), "--port", str(port)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))},
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.05)
        answers: list[tuple[int, str]] = []
        asking = [threading.Thread(target=lambda: answers.append(predicted(port))) for _ in range(3)]
        for thread in asking:
            thread.start()
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(head(100) + b"{")  # this one is not waited for longer than for the others
            time.sleep(0.3)
            server.send_signal(signal.SIGTERM)
            for thread in asking:
                thread.join()
            assert [status for status, _ in answers] == [200] * 3
            assert all('"class":"yes"' in text for _, text in answers)
            _, said = server.communicate(timeout=20)
    finally:
        server.kill()
        server.wait()
    assert server.returncode in (0, -signal.SIGTERM)
    assert "Traceback" not in said


def test_a_health_check_sees_whether_it_answers(tmp_path: Path) -> None:
    with served(tmp_path, Limits()) as port:
        assert healthy.main(port) == 0
    assert healthy.main(free_port()) == 1
