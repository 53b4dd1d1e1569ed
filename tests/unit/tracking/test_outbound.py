"""What of this machine's way out a run gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.tracking import outbound
from trainer.tracking.outbound import Outbound
from trainer.workspace.secrets import Secrets


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_files_are_moved_and_a_folder_of_them_becomes_one(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("one")
    (tmp_path / "folder").mkdir()
    for name in ("a", "b"):
        (tmp_path / "folder" / name).write_text(name)
    result = outbound.of(
        Secrets({
            "MLFLOW_TRACKING_SERVER_CERT_PATH": str(tmp_path / "ca.pem"),
            "REQUESTS_CA_BUNDLE": str(tmp_path / "folder"),
        })
    )  # fmt: skip
    variables, files = result.moved("/there")
    assert {variables[name]: name for name in variables} == {
        "/there/mlflow_tracking_server_cert_path.pem": "MLFLOW_TRACKING_SERVER_CERT_PATH",
        "/there/requests_ca_bundle.pem": "REQUESTS_CA_BUNDLE",
    }
    assert files == {"mlflow_tracking_server_cert_path.pem": b"one", "requests_ca_bundle.pem": b"a\nb"}
    assert result.verify == str(tmp_path / "ca.pem")  # of the server, before that of everything


def test_the_environment_comes_before_secrets_env(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://first:1")
    result = outbound.of(Secrets({"HTTPS_PROXY": "http://second:2", "NO_PROXY": ".lan"}))
    assert result.proxies("https://mlflow.example.org") == {"https": "http://first:1"}
    assert result.proxies("https://mlflow.lan") == {}
    assert "first" not in repr(result)


def test_insecure_tls_is_what_mlflow_takes_for_it() -> None:
    for said, verify in (("true", False), ("1", False), ("false", None), ("0", None)):
        assert outbound.of(Secrets({"MLFLOW_TRACKING_INSECURE_TLS": said})).verify is verify


def test_a_file_that_cannot_be_read_is_named() -> None:
    with pytest.raises(
        InvalidInput, match="REQUESTS_CA_BUNDLE is /no/such, which cannot be read: No such file"
    ):
        outbound.of(Secrets({"REQUESTS_CA_BUNDLE": "/no/such"}))


def test_a_proxy_of_localhost_is_none_for_a_container() -> None:
    here = ("http://localhost:1", "127.0.0.1:3128", "http://[::1]:8080", "http://me:pw@localhost:1")
    for address in here:
        assert Outbound({"https_proxy": address}).of_this_machine == ["https_proxy"]
    for address in ("http://proxy:1", "proxy:3128", "http://[oops"):
        assert Outbound({"https_proxy": address}).of_this_machine == []
    assert Outbound({"NO_PROXY": "localhost"}).of_this_machine == []


def test_there_is_no_proxy_to_a_server_of_this_machine() -> None:
    result = Outbound({"HTTPS_PROXY": "http://proxy:1", "no_proxy": "a"}).directly_to("host.docker.internal")
    assert result.variables["NO_PROXY"] == result.variables["no_proxy"] == "a,host.docker.internal"
    assert Outbound({}).directly_to("host.docker.internal") == Outbound({})


def test_the_password_of_a_proxy_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:hunter2-of-env@proxy:1")
    hidden = Secrets({"HTTP_PROXY": "http://me:hunter2-of-file@proxy:1"}).masked()
    assert set(hidden) == {"hunter2-of-env", "hunter2-of-file"}
