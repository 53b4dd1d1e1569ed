import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from trainer.errors import InvalidInput, TrackingDenied, TrackingError
from trainer.tracking import artifacts
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server, configured
from trainer.tracking.failures import NotThere, ServerFailure, Unavailable, Unreachable
from trainer.workspace.secrets import Secrets

from unit.helpers import HttpServer, Reply, RequestedPermissions, fails, put

API = "/api/2.0/mlflow"
RUN = {
    "run": {
        "info": {
            "run_id": "r1",
            "experiment_id": "7",
            "run_name": "brave-hen",
            "status": "RUNNING",
            "artifact_uri": "mlflow-artifacts:/7/r1/artifacts",
        },
        "data": {"metrics": [{"key": "loss", "value": 0.5}, {"key": "gap", "value": "NaN"}]},
    }
}

# Signed by itself alone, for 127.0.0.1; its key is of no use elsewhere.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgS2Jusy+eiVbOazmd
uJ1GVGeYFE5ax1JnEur9e60F7kehRANCAATHVMn9T00B0Da+d2SfxvCi91fVP4xF
yYWL0a0ZeJ6HVLVdEj6Dpbw5k/8/wp5naqHPY5eiSWUnnmAiF0rmqyrL
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBkDCCATagAwIBAgIUR4lO2v2qgiolYYyfJVyDU3mYds4wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTAyMzUwOFoYDzIxMjYxMDI4
MDIzNTA4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAATHVMn9T00B0Da+d2SfxvCi91fVP4xFyYWL0a0ZeJ6HVLVdEj6Dpbw5
k/8/wp5naqHPY5eiSWUnnmAiF0rmqyrLo2QwYjAdBgNVHQ4EFgQUsP7Sm+bMQNZD
jXt8lPGKJg5DpV8wHwYDVR0jBBgwFoAUsP7Sm+bMQNZDjXt8lPGKJg5DpV8wDwYD
VR0TAQH/BAUwAwEB/zAPBgNVHREECDAGhwR/AAABMAoGCCqGSM49BAMCA0gAMEUC
IQD+dB1ZtwgmG2U7W9qDV/NXIReOSM3J25OCn+KZAMsy3AIgIsyWtqXN+wMzVsa4
7hi3K+GaPAye8qonEjLSKe+O8jQ=
-----END CERTIFICATE-----
"""


def answer(server: HttpServer, path: str, *replies: Reply) -> None:
    server.replies[path] = list(replies)


def said(asked: RequestedPermissions) -> dict[str, object]:
    body = json.loads(asked.body)
    assert isinstance(body, dict)
    return body


# Which server


def test_without_a_word_it_is_the_workspaces_own() -> None:
    assert configured(Secrets(), None) is None


def test_what_was_said_wins_over_the_environment_and_that_over_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = Secrets({"MLFLOW_TRACKING_URI": "http://file"})
    assert configured(known, None) == Server("http://file")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://environment")
    assert configured(known, None) == Server("http://environment")
    assert configured(known, "http://argument") == Server("http://argument")


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
        ("mlruns", "mlruns"),
        ("/tmp/mlruns", "/tmp/mlruns"),
        ("file:///tmp/mlruns", "file:///tmp/mlruns"),
        ("databricks", "databricks"),
        ("http:///path", "http:///path"),
        ("postgresql://me:hunter2@host/db", "postgresql://host/db"),
    ],
)
def test_an_address_that_containers_cannot_reach_is_refused(uri: str, shown: str) -> None:
    with fails(
        InvalidInput,
        f"The tracking URI {shown} is not an http(s) address.",
        "Specify a tracking server, or none for the workspace's own: http://HOST:PORT",
    ):
        configured(Secrets(), uri)


@pytest.mark.parametrize("uri", ["http://localhost:port", "http://localhost:99999", "http://["])
def test_an_address_that_is_none_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInput):
        configured(Secrets(), uri)


def test_credentials_are_taken_out_of_the_address() -> None:
    server = configured(Secrets(), "https://me:hunter2@example.com:8080/mlflow/")
    assert server == Server("https://example.com:8080/mlflow", "me", "hunter2")
    assert "hunter2" not in repr(server)


def test_credentials_in_an_address_are_percent_decoded() -> None:
    assert configured(Secrets(), "https://a%40b:p%2Fw%25@example.com") == Server(
        "https://example.com", "a@b", "p/w%"
    )


def test_a_token_is_not_shown() -> None:
    server = configured(Secrets({"MLFLOW_TRACKING_TOKEN": "hunter2"}), "http://x")
    assert server
    assert server.token == "hunter2"
    assert "hunter2" not in repr(server)


@pytest.mark.parametrize("token", ["a b", "a\n", "漢", "\udcff"])
def test_what_is_no_token_is_refused_and_not_shown(token: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        configured(Secrets({"MLFLOW_TRACKING_TOKEN": token}), "http://x")
    assert token not in caught.value.message.partition("is not a token")[0]


def test_where_credentials_come_from(monkeypatch: pytest.MonkeyPatch) -> None:
    put(
        Path.home() / ".mlflow" / "credentials",
        "[mlflow]\nmlflow_tracking_username = of-home\nmlflow_tracking_password = 100%%-home\n",
    )
    assert configured(Secrets(), "http://x") == Server("http://x", "of-home", "100%-home")
    known = Secrets({"MLFLOW_TRACKING_USERNAME": "of-file", "MLFLOW_TRACKING_PASSWORD": "file"})
    assert configured(known, "http://x") == Server("http://x", "of-file", "file")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "of-env")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "env")
    assert configured(known, "http://x") == Server("http://x", "of-env", "env")
    assert configured(known, "http://of-uri:uri@x") == Server("http://x", "of-uri", "uri")


@pytest.mark.parametrize("text", ["", "[other]\na = b\n", "[mlflow]\n"])
def test_a_credentials_file_without_credentials(text: str) -> None:
    put(Path.home() / ".mlflow" / "credentials", text)
    assert configured(Secrets(), "http://x") == Server("http://x")


@pytest.mark.parametrize("text", ["no section\n", "[mlflow]\nmlflow_tracking_password = hunter%2\n"])
def test_an_invalid_credentials_file_is_named_and_not_shown(text: str) -> None:
    put(Path.home() / ".mlflow" / "credentials", text)
    with pytest.raises(InvalidInput, match="credentials") as caught:
        configured(Secrets(), "http://x")
    assert "hunter" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("uri", "seen"),
    [
        ("http://127.0.0.1:5000", "http://host.docker.internal:5000"),
        ("http://localhost", "http://host.docker.internal"),
        ("https://LOCALHOST:5000/mlflow", "https://host.docker.internal:5000/mlflow"),
        ("http://[::1]:5000", "http://host.docker.internal:5000"),
        ("http://0.0.0.0:5000", "http://host.docker.internal:5000"),
        ("https://example.com:5000", "https://example.com:5000"),
        ("http://localhost.example.com", "http://localhost.example.com"),
    ],
)
def test_the_address_as_a_container_sees_it(uri: str, seen: str) -> None:
    assert Server(uri).container_uri == seen


# Calls that go well


def test_each_call_as_the_api_wants_it(http_server: HttpServer, tmp_path: Path) -> None:
    http_server.replies["*"] = [Reply(body=json.dumps(RUN))]
    client = Client(Server(http_server.uri))
    run = client.create_run("7", None, {"mlflow.user": "me", "a": "b"})
    assert client.get_run("r1").id == "r1"
    assert (run.id, run.experiment_id, run.name, run.status) == ("r1", "7", "brave-hen", "RUNNING")
    assert run.metrics["loss"] == 0.5
    assert run.metrics["gap"] != run.metrics["gap"]
    assert run.url.startswith(f"{http_server.uri}/#/experiments/7/runs/r1")
    client.set_tags("r1", {"k": "v"})
    client.set_tags("r1", {})
    client.end_run("r1", "KILLED")
    client.upload(run, put(tmp_path / "log", b"\xffbytes"), "logs/train 1.log")
    create, get, tags, update, upload = http_server.asked
    assert create.path == f"{API}/runs/create"
    body = said(create)
    assert isinstance(body.pop("start_time"), int)
    assert body == {
        "experiment_id": "7",
        "run_name": "",
        "user_id": "me",
        "tags": [{"key": "mlflow.user", "value": "me"}, {"key": "a", "value": "b"}],
    }
    assert (get.method, get.path) == ("GET", f"{API}/runs/get?run_id=r1")
    assert said(tags) == {"run_id": "r1", "tags": [{"key": "k", "value": "v"}]}
    assert (update.path, said(update)["status"]) == (f"{API}/runs/update", "KILLED")
    assert (upload.method, upload.body) == ("PUT", b"\xffbytes")
    assert upload.path == "/api/2.0/mlflow-artifacts/artifacts/7/r1/artifacts/logs/train%201.log"


def test_parameters_travel_a_hundred_at_a_time_and_long_ones_are_cut(http_server: HttpServer) -> None:
    http_server.replies["*"] = [Reply()]
    Client(Server(http_server.uri)).log_parameters("r1", {f"p{n}": "x" * 7000 for n in range(101)})
    params = [said(asked)["params"] for asked in http_server.asked]
    first, second = params
    assert isinstance(first, list)
    assert isinstance(second, list)
    assert (len(first), second) == (100, [{"key": "p100", "value": "x" * 6000}])


EXPERIMENT = Reply(body='{"experiment": {"experiment_id": "7", "lifecycle_stage": "active"}}')


def test_an_experiment_is_found(http_server: HttpServer) -> None:
    answer(http_server, f"{API}/experiments/get-by-name", EXPERIMENT)
    assert Client(Server(http_server.uri)).experiment_id("a b&c") == "7"
    assert http_server.asked[0].path.endswith("?experiment_name=a+b%26c")


def test_an_experiment_is_made(http_server: HttpServer) -> None:
    answer(http_server, f"{API}/experiments/get-by-name", Reply(404))
    answer(http_server, f"{API}/experiments/create", Reply(body='{"experiment_id": "8"}'))
    assert Client(Server(http_server.uri)).experiment_id("new") == "8"


def test_an_experiment_that_somebody_makes_meanwhile_is_found(http_server: HttpServer) -> None:
    answer(http_server, f"{API}/experiments/get-by-name", Reply(404), EXPERIMENT)
    answer(http_server, f"{API}/experiments/create", Reply(400, "RESOURCE_ALREADY_EXISTS"))
    assert Client(Server(http_server.uri)).experiment_id("new") == "7"


def test_a_deleted_experiment_says_how_to_restore_it(http_server: HttpServer) -> None:
    deleted = Reply(body=EXPERIMENT.body.replace("active", "deleted"))
    answer(http_server, f"{API}/experiments/get-by-name", deleted)
    with fails(
        TrackingError,
        f"The experiment old was deleted on {http_server.uri}.",
        "Restore it (mlflow experiments restore -x 7), or name another: --experiment NAME",
    ):
        Client(Server(http_server.uri)).experiment_id("old")


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("server", "header"),
    [
        (Server(""), None),
        (Server("", "me", "hunter2"), basic("me", "hunter2")),
        (Server("", "já", "漢字"), basic("já", "漢字")),
        (Server("", token="hunter2"), "Bearer hunter2"),
        # As MLflow's own client in the run does, which is handed both.
        (Server("", "me", "hunter2", "token"), basic("me", "hunter2")),
    ],
)
def test_how_one_proves_who_one_is(http_server: HttpServer, server: Server, header: str | None) -> None:
    http_server.replies["*"] = [Reply(body="3.17.2\n")]
    client = Client(Server(http_server.uri, server.username, server.password, server.token))
    assert client.version() == "3.17.2"
    assert http_server.asked[0].headers.get("Authorization") == header


def test_a_netrc_file_does_not_replace_the_token(http_server: HttpServer) -> None:
    put(Path.home() / ".netrc", "machine 127.0.0.1 login other password other\n").chmod(0o600)
    http_server.replies["*"] = [Reply(body="3.17.2\n")]
    Client(Server(http_server.uri, token="hunter2")).version()
    assert http_server.asked[0].headers["Authorization"] == "Bearer hunter2"


def test_a_proxy_is_not_asked_for_this_machine(
    http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    http_server.replies["*"] = [Reply(body="3.17.2\n")]
    assert Client(Server(http_server.uri)).version() == "3.17.2"


def test_a_server_that_is_starting_is_asked_again(http_server: HttpServer) -> None:
    answer(http_server, "/version", Reply(503), Reply(503), Reply(body="3.17.2"))
    assert Client(Server(http_server.uri)).version() == "3.17.2"


# Calls that fail


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def test_a_refused_connection() -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    with fails(
        Unreachable,
        f"The tracking server {uri} refuses connections.",
        "Start it, or correct its address: MLFLOW_TRACKING_URI, or tracking_uri in trainer.yaml",
    ):
        Client(Server(uri)).version()


def test_an_unknown_host() -> None:
    with fails(
        Unreachable,
        "The tracking server's host name no-such-host.invalid is not known.",
        "Check the name in the tracking URI.",
    ):
        Client(Server("http://no-such-host.invalid:5000")).version()


@pytest.mark.parametrize("said", ["The plain HTTP request was sent to HTTPS port",
                                  "Client sent an HTTP request to an HTTPS server."])  # fmt: skip
def test_a_port_that_speaks_tls(http_server: HttpServer, said: str) -> None:
    http_server.replies["*"] = [Reply(400, f"<html><body>{said}</body></html>")]
    with fails(
        TrackingError,
        f"The tracking server {http_server.uri} speaks TLS.",
        "Write its address with https://",
    ):
        Client(Server(http_server.uri)).version()


def test_a_server_that_never_answers(http_server: HttpServer) -> None:
    http_server.replies["*"] = [Reply(delay_s=0.5)]
    with fails(
        Unreachable,
        f"The tracking server {http_server.uri} gave no answer in 0.1 s.",
        "See whether it is up, and whether a firewall lies between.",
    ):
        Client(Server(http_server.uri), (0.3, 0.1)).version()


@contextmanager
def answering(wrap: Callable[[socket.socket], socket.socket]) -> Iterator[str]:
    """The address of a server that says something in HTTP to whoever connects, on what `wrap` makes of it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            while True:
                try:
                    accepted = listening.accept()[0]
                except OSError:
                    return
                with suppress(OSError), wrap(accepted) as sock:
                    sock.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\n")
                    sock.recv(1000)

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.timeout(10)
def test_a_certificate_that_is_not_accepted(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(put(tmp_path / "certificate.pem", CERTIFICATE))
    with (
        answering(lambda sock: context.wrap_socket(sock, server_side=True)) as uri,
        fails(
            Unreachable,
            f"The certificate of the tracking server {uri} is not accepted: self-signed certificate.",
            "Specify the file of its certificate authority in MLFLOW_TRACKING_SERVER_CERT_PATH.",
        ),
    ):
        Client(Server(uri)).version()


@pytest.mark.timeout(10)
def test_a_server_without_tls_is_not_blamed_for_its_certificate() -> None:
    with answering(lambda sock: sock) as uri, pytest.raises(TrackingError) as caught:
        Client(Server(uri)).version()
    assert "certificate" not in caught.value.message


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(("username", "who"), [("me", "the user me"), (None, "requests without a user name")])
def test_a_refused_user(http_server: HttpServer, status: int, username: str | None, who: str) -> None:
    http_server.replies["*"] = [Reply(status, "You are not authenticated.")]
    with fails(
        TrackingDenied,
        f"The tracking server {http_server.uri} refuses {who} ({status}).",
        f"Log in: trainer server connect {http_server.uri}",
    ):
        Client(Server(http_server.uri, username, "hunter2")).version()


def test_a_refused_token_is_called_one(http_server: HttpServer) -> None:
    http_server.replies["*"] = [Reply(401)]
    with pytest.raises(TrackingDenied, match="token"):
        Client(Server(http_server.uri, token="hunter2")).version()


def test_a_server_that_was_not_told_of_its_name(http_server: HttpServer) -> None:
    http_server.replies["*"] = [Reply(403, "Invalid Host header - possible DNS rebinding attack detected")]
    host = http_server.uri.removeprefix("http://")
    with fails(
        TrackingError,
        f"The tracking server {http_server.uri} does not accept requests for {host}.",
        f"Start it with --allowed-hosts {host} (mlflow_tracking_server: ALLOWED_HOSTS={host}).",
    ):
        Client(Server(http_server.uri)).version()


UNAVAILABLE = "It is unavailable at the moment: run the same command again later."
LOCKED = """(sqlite3.OperationalError) database is locked
[SQL: INSERT INTO tags (value) VALUES (?)]
[parameters: ('hunter2',)]
(Background on this error at: https://sqlalche.me/e/20/e3q8)"""


@pytest.mark.parametrize(
    ("reply", "told", "hint"),
    [
        (Reply(500, "boom"), "500: boom", "See the server's log."),
        *(
            (Reply(status, ""), f"{status}: {said}", UNAVAILABLE)
            for status, said in ((502, "Bad Gateway"), (503, "Service Unavailable"), (504, "Gateway Timeout"))
        ),
        (
            Reply(404, "<html><head><title>404 Not Found</title></head><body><h1>No</h1></body></html>"),
            "404: Not Found",
            "Check that this is an MLflow tracking server.",
        ),
        (
            Reply(500, json.dumps({"error_code": "INTERNAL_ERROR", "message": LOCKED})),
            "500: (sqlite3.OperationalError) database is locked",
            "See the server's log.",
        ),
        (Reply(404, "no page"), "404: no page", "Check that this is an MLflow tracking server."),
        (Reply(400, "x" * 400), "400: " + "x" * 299 + "…", "Check that this is an MLflow tracking server."),
    ],
)
def test_another_answer_is_shown(http_server: HttpServer, reply: Reply, told: str, hint: str) -> None:
    http_server.replies["*"] = [reply]
    kind = Unavailable if hint == UNAVAILABLE else ServerFailure if reply.status >= 500 else TrackingError
    with fails(kind, f"The tracking server {http_server.uri} answered {told}", hint):
        Client(Server(http_server.uri)).get_run("r1")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_write_that_is_sent_elsewhere_has_failed(http_server: HttpServer, status: int) -> None:
    http_server.replies["*"] = [Reply(status, headers=(("Location", f"{http_server.uri}/elsewhere"),))]
    with pytest.raises(TrackingError):
        Client(Server(http_server.uri)).end_run("r1", "FINISHED")


@pytest.mark.parametrize("body", ["<html>Welcome</html>", "{}", "[]"])
def test_a_server_that_is_no_tracking_server(http_server: HttpServer, body: str) -> None:
    http_server.replies["*"] = [Reply(body=body)]
    with pytest.raises(TrackingError):
        Client(Server(http_server.uri)).get_run("r1")


def test_no_password_is_in_what_a_failure_says(http_server: HttpServer) -> None:
    http_server.replies["*"] = [Reply(500, "boom")]
    server = configured(Secrets(), http_server.uri.replace("//", "//me:hunter2@"))
    assert server
    with pytest.raises(TrackingError) as caught:
        Client(server).version()
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_artifacts_of_another_store_go_there_by_mlflow_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored: list[object] = []
    monkeypatch.setattr(artifacts, "upload", lambda *args: stored.extend(args[1:]))
    run = Run("r1", "7", "n", "RUNNING", "s3://bucket/7/r1/artifacts")
    Client(Server("http://x")).upload(run, tmp_path / "log", "train.log")
    assert stored == ["r1", tmp_path / "log", "train.log"]


def test_an_artifact_that_is_not_there_is_distinguished_from_a_server_that_fails(
    http_server: HttpServer,
) -> None:
    """MLflow 2 answers 500 for both."""
    stored = "/api/2.0/mlflow-artifacts/artifacts"
    http_server.replies[f"{stored}/7/r1/artifacts/trainer/a.txt"] = [Reply(500, "No such file or directory")]
    run = Run("r1", "7", "hen", "FINISHED", "mlflow-artifacts:/7/r1/artifacts")
    client = Client(Server(http_server.uri))
    http_server.replies[stored] = [Reply(body="{}")]
    with fails(NotThere, "There is no artifact trainer/a.txt."):
        list(client.download(run, "trainer/a.txt"))
    assert http_server.asked[-1].path.endswith("?path=7%2Fr1%2Fartifacts%2Ftrainer")
    http_server.replies[stored] = [Reply(body='{"files": [{"path": "a.txt", "is_dir": false}]}')]
    with pytest.raises(ServerFailure):
        list(client.download(run, "trainer/a.txt"))
