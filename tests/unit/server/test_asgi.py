import asyncio
import ipaddress

import pytest
from mlflow_server.asgi import Message, Receive, Scope, Send
from trainer.server.asgi import PeerFilter

NETWORKS = [ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("172.17.0.0/16")]
HEADER = (b"x-trainer-workspace", b"0123")


async def app(scope: Scope, _: Receive, send: Send) -> None:
    await send({"type": f"{scope['type']}.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": f"{scope['type']}.response.body", "body": b"hello"})


def serve(kind: str, peer: str | None) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": kind, **({"client": (peer, 1)} if peer else {})}
    asyncio.run(PeerFilter(app, NETWORKS, HEADER)(scope, receive, send))
    return sent


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "172.17.0.2"])
def test_own_peers_are_served_and_told_whose_server_it_is(peer: str) -> None:
    start, body = serve("http", peer)
    assert start == {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b"), HEADER]}
    assert body["body"] == b"hello"


@pytest.mark.parametrize("peer", ["192.168.1.5", "172.18.0.2", "8.8.8.8", "::1", "2001:db8::1"])
def test_others_are_refused_without_asking_the_application(peer: str) -> None:
    start, body = serve("http", peer)
    assert (start["type"], start["status"]) == ("http.response.start", 403)
    assert (b"connection", b"close") in start["headers"]  # whatever else they send
    assert body == {"type": "http.response.body", "body": b"This server is for its own machine alone."}


def test_others_get_no_websocket() -> None:
    assert serve("websocket", "192.168.1.5") == [{"type": "websocket.close", "code": 1008}]
    assert serve("websocket", "127.0.0.1")[0]["type"] == "websocket.response.start"


def test_starting_and_stopping_concerns_no_peer() -> None:
    assert serve("lifespan", None)[0]["status"] == 200
