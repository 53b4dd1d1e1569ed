"""The ports that the stack publishes on this machine's loopback."""

from __future__ import annotations

import contextlib
import socket

PORTS = {
    "MLFLOW_PORT": 5000,
    "MODEL_PORT": 8080,
    "PROMETHEUS_PORT": 9090,
    "GRAFANA_PORT": 3000,
}
"""As in compose.yaml."""
_TRIED = 100


def instead_of_taken() -> dict[str, str]:
    """For each that another program has, the next one that is free."""
    found: dict[str, int] = {}
    for name, port in PORTS.items():
        others = {*PORTS.values(), *found.values()} - {port}
        found[name] = next(
            (each for each in range(port, port + _TRIED) if each not in others and _is_free(each)), port
        )
    return {name: str(port) for name, port in found.items() if port != PORTS[name]}


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False
