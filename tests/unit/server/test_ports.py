import errno
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from trainer.engine.bridge import Bridge
from trainer.errors import TrackingError
from trainer.server import ports
from trainer.workspace.settings import Workspace

from unit.helpers import fails


@contextmanager
def taken(count: int) -> Iterator[int]:
    """The first of so many neighbouring ports of 127.0.0.1 that are taken; the one behind them is free."""
    for first in range(20000, 60000, 100):
        with ExitStack() as stack:
            try:
                for port in range(first, first + count + 1):
                    sock = stack.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            sock.close()
            yield first
            return


def listen(port: int, bridge: Bridge | None = None) -> tuple[list[tuple[str, int]], int]:
    sockets, chosen = ports.listen(port, bridge)
    addresses = [sock.getsockname() for sock in sockets]
    for sock in sockets:
        sock.close()
    return addresses, chosen


def test_the_port_that_was_asked_for() -> None:
    with taken(0) as port:
        assert listen(port) == ([("127.0.0.1", port)], port)


def test_the_next_free_port() -> None:
    with taken(3) as port:
        assert listen(port)[1] == port + 3


def test_all_addresses_have_the_same_port() -> None:
    with taken(1) as port:
        bridge = Bridge("127.0.0.2", "127.0.0.0/24")
        addresses = [("127.0.0.1", port + 1), ("127.0.0.2", port + 1)]
        assert listen(port, bridge) == (addresses, port + 1)


def test_no_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "PORTS_TRIED", 2)
    with (
        taken(2) as port,
        fails(
            TrackingError,
            f"No free port between {port} and {port + 1} for the workspace's tracking server.",
            "Set server_port in trainer.yaml to another range.",
        ),
    ):
        listen(port)


def test_a_port_that_takes_root_is_said_to_take_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_address: tuple[str, int]) -> socket.socket:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket, "create_server", refuse)  # as the system does, but for root
    with fails(
        TrackingError,
        "The system lets no ordinary user listen on port 80.",
        "Specify one from 1024 on: trainer server up --port 5000",
    ):
        listen(80)


def test_no_free_port_at_the_end_of_all_ports() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 65535))
        with pytest.raises(TrackingError):
            listen(65535)


def test_a_port_that_is_asked_for_is_kept_and_a_taken_one_is_reported(
    workspace: Workspace, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = ports.free_port(workspace, port)
        assert port < result < port + ports.PORTS_TRIED
        assert caplog.messages == [f"Port {port} is taken: the tracking server is on port {result}."]
    assert ports.free_port(workspace, port) == port
