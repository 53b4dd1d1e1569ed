"""Who is refused learns where the password or token came from, and not what it is."""

from pathlib import Path

import pytest
from trainer.errors import TrackingDenied
from trainer.tracking.client import Client
from trainer.tracking.endpoint import configured
from trainer.workspace.secrets import Secrets

from unit.helpers import HttpServer, Reply

CANARY = "canary-7f3a"
PASSWORD = "MLFLOW_TRACKING_PASSWORD"


@pytest.mark.parametrize(
    ("environment", "file", "user", "hint"),
    [
        ({PASSWORD: CANARY}, {}, "", f"password comes from {PASSWORD} of the environment"),
        ({}, {PASSWORD: CANARY}, "", f"password comes from {PASSWORD} in secrets.env"),
        ({}, {"MLFLOW_TRACKING_TOKEN": CANARY}, "", "token comes from MLFLOW_TRACKING_TOKEN in secrets.env"),
        ({PASSWORD: "x"}, {}, f"me:{CANARY}@", "password comes from the tracking URI"),
    ],
)
def test_where_they_came_from_is_reported(
    http_server: HttpServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environment: dict[str, str],
    file: dict[str, str],
    user: str,
    hint: str,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("USERNAME", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MLFLOW_TRACKING_{name}", raising=False)
    if "TOKEN" not in hint:
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    http_server.replies["*"] = [Reply(401, "no")]
    server = configured(Secrets(file), http_server.uri.replace("//", f"//{user}"))
    assert server is not None
    with pytest.raises(TrackingDenied) as found:
        Client(server).check()
    assert found.value.hint == f"The {hint}: correct it there."
    assert CANARY not in found.value.message + found.value.hint
