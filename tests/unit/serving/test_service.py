from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import cast

import pytest
from trainer.errors import InvalidInput
from trainer.serving import container, service
from trainer.workspace.settings import Workspace


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("models/skin.onnx", "skin"),
        ("my model (2).onnx", "my-model-2"),
        ("ö.onnx", "model"),
        ("-a.b_c-.onnx", "a.b_c"),
        ("skin@3", "skin"),
        ("brave-hen-7", "brave-hen-7"),
    ],
)
def test_the_name_is_made_of_the_model(model: str, name: str) -> None:
    assert service.name_of(model) == name
    service.check_name(name)


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a b", "ä", "a" * 64, "a\n"])
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="A model cannot be served as"):
        service.check_name(name)


@pytest.mark.parametrize("token", ["2-short", "with space 0123456789", "ümlaut-0123456789abc", "a\nb" * 10])
def test_a_token_that_cannot_be_is_refused_and_not_printed(token: str) -> None:
    with pytest.raises(InvalidInput, match=r"The token in token\.txt is too short") as refused:
        service.check_token(token, "token.txt")
    assert token not in refused.value.message + refused.value.hint


def test_the_first_free_port_is_taken_and_one_that_is_not_free_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"The port {port} of 127.0.0.1 is taken"):
            service.free_port("127.0.0.1", port)
    assert service.free_port("127.0.0.1", port) == port
    assert service.FIRST_PORT <= service.free_port("127.0.0.1", None) < service.FIRST_PORT + 100


@pytest.mark.parametrize("wanted", [None, 8085])
def test_a_port_that_is_taken_at_the_last_moment_is_followed_by_the_next(
    monkeypatch: pytest.MonkeyPatch, workspace: Workspace, wanted: int | None
) -> None:
    made: list[int] = []
    removed: list[str] = []
    monkeypatch.setattr(service, "free_port", lambda _host, port, first=8080: port or first)
    monkeypatch.setattr(container, "remove", lambda _, name: removed.append(name))

    def create(*given: object) -> str:
        made.append(cast(int, given[-1]))
        return "the-container"

    def start(_client: object, _name: str, port: int) -> None:
        if port < 8082 or port == wanted:
            raise container.PortTaken(f"The port {port} is taken.", "Choose another one: --port")

    monkeypatch.setattr(container, "create", create)
    monkeypatch.setattr(container, "start", start)
    asked = SimpleNamespace(host="127.0.0.1", port=wanted)
    if wanted:
        with pytest.raises(InvalidInput, match=f"The port {wanted} is taken"):
            service._start(None, workspace, "image", asked)  # type: ignore[arg-type]
    else:
        service._start(None, workspace, "image", asked)  # type: ignore[arg-type]
        assert made == [8080, 8081, 8082]
        assert removed == ["the-container"] * 2
