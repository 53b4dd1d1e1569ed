"""The folder of a stack: what is in it, and what a later call does to it."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from trainer.deploy import files, platforms
from trainer.deploy.compose import check, ports, stack
from trainer.deploy.compose.stack import Wanted
from trainer.errors import DeployError, InvalidInput
from trainer.serving.volume import Model
from trainer.workspace import secrets_file
from trainer.workspace.settings import Workspace, find

from unit.deploy.helpers import make_server_folder
from unit.helpers import fails, put


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace on a machine with all ports free."""
    monkeypatch.setattr(ports, "PORTS", dict.fromkeys(ports.PORTS, 0))
    monkeypatch.delenv("TRAINER_BASE_IMAGE", raising=False)
    put(tmp_path / "site" / "trainer.yaml")
    make_server_folder(tmp_path / "site")
    return find(tmp_path / "site")


def model(place: Workspace, content: str = "onnx", label: str = "skin@champion") -> Model:
    digest = content.encode().hex().ljust(64, "0")
    return Model(put(place.root / f"{content}.onnx", content), digest, label, "3")


def deploy(place: Workspace, wanted: Wanted | None = None) -> tuple[Path, dict[str, str]]:
    folder = place.root / "deploy"
    return folder, files.write(platforms.make(place, "compose", "shop", folder, wanted), folder)


def env(folder: Path) -> dict[str, str]:
    return secrets_file.read(folder / ".env")


def compose() -> dict[str, Any]:
    return dict(yaml.safe_load((stack.FILES / "compose.yaml").read_text()))


SERVICES = compose()["services"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_a_health_check_a_limit_and_no_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert service["healthcheck"]["test"][0] == "CMD"
    assert re.fullmatch(r"\$\{\w+_MEMORY:-\d+[mg]\}", service["mem_limit"])
    assert service["restart"] == "unless-stopped"
    assert service["security_opt"] == ["no-new-privileges:true"]
    # SeaweedFS starts as root, gives its folder to a user, and becomes that.
    assert service.get("cap_drop") == (None if name == "s3" else ["ALL"])
    for port in service.get("ports", []):
        assert re.match(r"127\.0\.0\.1:|\$\{\w+_ADDRESS:-127\.0\.0\.1\}:", port)


def test_a_served_model_reaches_neither_the_database_nor_the_tracking_server() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert [name for name in networks if networks[name] & networks["model"]] == ["model", "prometheus"]
    assert [name for name in networks if networks[name] & networks["database"]] == [
        "mlflow",
        "database",
        "s3",
    ]
    assert compose()["networks"]["store"] == {"internal": True}


def test_no_secret_is_in_another_file_than_env_or_on_a_command_line(place: Workspace) -> None:
    folder, _ = deploy(place, Wanted(model(place), ("s3", "observe")))
    secrets = [env(folder)[name] for name in env(folder) if re.search("PASSWORD|SECRET|KEY|TOKEN", name)]
    assert len(secrets) == 6
    others = b"".join(
        path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".env"
    )
    assert [secret for secret in secrets if secret.encode() in others] == []
    commands = json.dumps([service.get("command") for service in SERVICES.values()])
    assert set(re.findall(r"\$\{(\w+)", commands)) == {"MODEL_NAME"}


def test_a_stack_without_a_model_gets_one_later_and_keeps_passwords_and_what_the_user_wrote(
    place: Workspace,
) -> None:
    folder, _ = deploy(place)
    first = env(folder)
    assert "COMPOSE_PROFILES" not in first
    with (folder / ".env").open("a") as file:
        file.write("# of mine\nMLFLOW_ADDRESS=172.17.0.1\nCOMPOSE_PROFILES=observe\n")
    _, states = deploy(place, Wanted(model(place)))
    assert states[".env"] == "changed"
    assert env(folder) == {
        **first, "MLFLOW_ADDRESS": "172.17.0.1", "COMPOSE_PROFILES": "observe,model", "MODEL_NAME": "skin"
    }  # fmt: skip
    assert "# of mine" in (folder / ".env").read_text()
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    targets = json.loads((folder / "prometheus" / "targets" / "model.json").read_bytes())
    assert targets == [{"targets": ["model:8080"]}]
    assert deploy(place, Wanted(model(place)))[1][".env"] == "kept"


def test_another_model_takes_the_place_of_the_one_before_and_the_last_two_are_kept(place: Workspace) -> None:
    for number, content in enumerate(("one", "two", "three")):
        folder, states = deploy(place, Wanted(model(place, content)))
        served = folder / "model" / f"{content.encode().hex().ljust(64, '0')}.onnx"
        os.utime(served, (number, number))
        stack.finish(folder)
    assert states["model/serving.json"] == "changed"
    entry = json.loads((folder / "model" / "serving.json").read_bytes())["model"]
    assert entry == {"file": served.name, "label": "skin@champion", "version": "3"}
    assert sorted(path.read_text() for path in (folder / "model").glob("*.onnx")) == ["three", "two"]


def test_what_containers_read_is_readable_whatever_the_umask_says(place: Workspace) -> None:
    before = os.umask(0o077)
    try:
        folder, _ = deploy(place, Wanted(model(place)))
    finally:
        os.umask(before)
    for name in ("model", "prometheus", "grafana"):
        for path in ((folder / name), *(folder / name).rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path
    assert (folder / "compose.yaml").stat().st_mode & 0o777 == 0o600


def test_artifacts_stay_where_they_are(place: Workspace) -> None:
    deploy(place)
    with fails(
        InvalidInput,
        "The artifacts of this stack are in its volume, and its .env names no S3_BUCKET.",
        "Make a stack with S3 in another folder: -o DIR",
    ):
        deploy(place, Wanted(profiles=("s3",)))


def test_a_stack_with_s3_names_its_bucket(place: Workspace) -> None:
    folder, _ = deploy(place, Wanted(profiles=("s3", "observe")))
    assert (env(folder)["COMPOSE_PROFILES"], env(folder)["S3_BUCKET"]) == ("s3,observe", "mlflow")
    assert deploy(place, Wanted(profiles=("s3",)))[1][".env"] == "kept"


@pytest.mark.parametrize("name", ["docker-compose.yml", "compose.yml"])
def test_a_folder_with_another_compose_file_is_left_alone(place: Workspace, name: str) -> None:
    other = put(place.root / "deploy" / name, "services: {}\n")
    with fails(
        InvalidInput,
        f"{other} is there: compose takes one file of a folder.",
        "Nothing was written. Move it away, or choose another folder: -o DIR",
    ):
        deploy(place)
    assert list((place.root / "deploy").iterdir()) == [other]


def test_where_a_port_is_taken_the_next_free_one_is_written_down_and_said(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(ports, "PORTS", {"MLFLOW_PORT": port, "MODEL_PORT": port + 1})
        folder = place.root / "deploy"
        made = platforms.make(place, "compose", "shop", folder, Wanted(model(place)))
        files.write(made, folder)
    chosen = int(env(folder)["MLFLOW_PORT"])
    assert port + 1 < chosen < port + 100
    assert f"MLFLOW_TRACKING_URI=http://localhost:{chosen}" in made.next
    assert "MODEL_PORT" not in env(folder) or int(env(folder)["MODEL_PORT"]) != chosen


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A docker that writes down how it is called, and refuses files that hold `bad`."""
    script = (
        f'#!/bin/sh\necho "$@" >> {tmp_path}/docker.log\n[ "$2" = version ] && exit 0\n'
        'if grep -q bad "$5"; then echo "services.mlflow bad is not allowed" >&2; exit 15; fi\n'
    )
    put(tmp_path / "bin" / "docker", script).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    return tmp_path / "docker.log"


def test_compose_is_asked_what_it_thinks_of_all_profiles_and_prints_none_of_it(
    place: Workspace, docker: Path
) -> None:
    folder, _ = deploy(place)
    assert stack.finish(folder) is None
    assert docker.read_text().splitlines() == [
        "compose version",
        f"compose --project-directory {folder} --file {folder / 'compose.yaml'} --profile * config --quiet",
    ]
    put(folder / "compose.yaml", "bad: yes\n")
    with fails(
        DeployError,
        f"docker compose refuses {folder / 'compose.yaml'}: services.mlflow bad is not allowed",
    ):
        stack.finish(folder)


def test_without_compose_it_is_said_what_to_install(
    place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = deploy(place)
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert "apt-get install docker-compose" in (check.config(folder) or "")


# What is watched


def test_the_dashboard_is_the_one_that_its_script_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "tooling"))
    import dashboard

    there = (stack.FILES / "grafana" / "dashboards" / "models.json").read_text()
    assert there == dashboard.text(), "Run: make dashboard"
    assert "dashboard" in sys.modules


def queries() -> list[str]:
    """Of the dashboard and of the alert rules."""
    payload = json.loads((stack.FILES / "grafana" / "dashboards" / "models.json").read_bytes())
    rules = yaml.safe_load((stack.FILES / "prometheus" / "alerts.yml").read_text())
    return [
        *(target["expr"] for panel in payload["panels"] for target in panel["targets"]),
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
    ]


def test_no_query_names_a_series_that_nobody_has() -> None:
    from model_server.metrics import Metrics
    from model_server.prediction_log.figures import LogFigures
    from model_server.prediction_log.log import NoLog

    registry = Metrics.of(lambda: 0).registry
    registry.register(LogFigures(NoLog()))
    names = {"up", "probe_success"}
    for family in registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    asked = {
        name
        for query in queries()
        for name in re.findall(r"\b((?:model|prediction|shadow|process)_\w+)", query)
    }
    assert asked
    assert asked - names == set()


def test_every_panel_asks_its_data_source_and_each_of_its_queries_has_a_letter_of_its_own() -> None:
    payload = json.loads((stack.FILES / "grafana" / "dashboards" / "models.json").read_bytes())
    sources = yaml.safe_load(
        (stack.FILES / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text()
    )
    [source] = sources["datasources"]
    for panel in payload["panels"]:
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == list("ABC"[: len(letters)])
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {source["uid"]}
