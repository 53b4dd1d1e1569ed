"""The tracking server's REST API, as much of it as launching a run needs.

Importing `mlflow` costs more than a whole launch, so the few calls are made here over `requests`. The API
is documented in MLflow's "REST API" reference.
"""

from __future__ import annotations

import configparser
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict, cast
from urllib.parse import quote, urlsplit, urlunsplit

from trainer.errors import BadInput, TrackingDenied, TrackingError
from trainer.secrets import Secrets

if TYPE_CHECKING:
    import requests

Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]
TIMEOUT_S = (5, 60)
_BATCH = 100  # parameters or tags in one log-batch call: the API's limit
_LONGEST_VALUE = 6000  # of a parameter; the server refuses longer ones
_LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104 (compared with, not bound to)
CONTAINER_HOST = "host.docker.internal"


@dataclass(frozen=True)
class Server:
    """A tracking server and how to prove who one is. Printing it shows no secret."""

    uri: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)

    @property
    def container_uri(self) -> str:
        """The address of the server as a container sees it, whose localhost is not the host's."""
        parts = urlsplit(self.uri)
        if parts.hostname not in _LOOPBACK:
            return self.uri
        port = f":{parts.port}" if parts.port else ""
        return urlunsplit(parts._replace(netloc=CONTAINER_HOST + port))


@dataclass(frozen=True)
class Run:
    """A run on the server."""

    id: str
    experiment_id: str
    name: str
    status: str
    artifact_uri: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    url: str = ""


class _KeyValue(TypedDict):
    key: str
    value: str


class _Metric(TypedDict):
    key: str
    value: float | str


class _Info(TypedDict):
    run_id: str
    experiment_id: str
    run_name: str
    status: str
    artifact_uri: str


class _Data(TypedDict, total=False):
    metrics: list[_Metric]
    params: list[_KeyValue]
    tags: list[_KeyValue]


class _Run(TypedDict):
    info: _Info
    data: _Data


def configured(secrets: Secrets, uri: str | None) -> Server | None:
    """The server that was chosen, or None for the workspace's own.

    `uri` is what the user or trainer.yaml said; else MLFLOW_TRACKING_URI of the environment or secrets.env.
    Raises `BadInput` for an address that a container could not reach (a file, a database).
    """
    uri = uri or secrets.get("MLFLOW_TRACKING_URI")
    if not uri:
        return None
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(
            f"The tracking URI {_without_credentials(uri)} is not an http(s) address.",
            "Name a tracking server, or none for the workspace's own: http://HOST:PORT",
        )
    username, password = _credentials_file()
    return Server(
        uri=_without_credentials(uri).rstrip("/"),
        username=parts.username or secrets.get("MLFLOW_TRACKING_USERNAME") or username,
        password=parts.password or secrets.get("MLFLOW_TRACKING_PASSWORD") or password,
        token=secrets.get("MLFLOW_TRACKING_TOKEN"),
    )


def _without_credentials(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _credentials_file() -> tuple[str | None, str | None]:
    """User name and password from the file that MLflow's own client reads."""
    parser = configparser.ConfigParser()
    parser.read(Path("~/.mlflow/credentials").expanduser())
    section = parser["mlflow"] if parser.has_section("mlflow") else {}
    return section.get("mlflow_tracking_username"), section.get("mlflow_tracking_password")


class Client:
    """Calls to one server over one kept-open connection. Every method raises `TrackingError`."""

    def __init__(self, server: Server) -> None:
        import requests
        from requests.adapters import HTTPAdapter
        from urllib3.util import Retry

        self.server = server
        self._session = requests.Session()
        # 503 is an answer of a server (or its router) that did not take the request.
        retry = Retry(
            connect=2,
            read=0,
            status=3,
            status_forcelist=(503,),
            allowed_methods=None,
            backoff_factor=0.2,
            raise_on_status=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))
        if server.token:
            self._session.headers["Authorization"] = f"Bearer {server.token}"
        elif server.username:
            self._session.auth = (server.username, server.password or "")

    def version(self) -> str:
        """The server's MLflow version; the cheapest call that needs the credentials."""
        return self._send("GET", "/version").text.strip()

    def experiment_id(self, name: str) -> str:
        """The id of the experiment, which is made if it is not there. Safe for several callers at once."""
        found = self._send(
            "GET", f"{_API}/experiments/get-by-name", query={"experiment_name": name}, ok=(404,)
        )
        if found.status_code == 404:
            body = {"name": name, "tags": [_TRAINING_VIEW]}
            made = self._send("POST", f"{_API}/experiments/create", body, ok=(400,))
            if made.ok:
                return str(made.json()["experiment_id"])
            # Somebody else made it in between; any other cause of the 400 shows again here.
            found = self._send("GET", f"{_API}/experiments/get-by-name", query={"experiment_name": name})
        experiment = found.json()["experiment"]
        if experiment["lifecycle_stage"] == "deleted":
            raise TrackingError(
                f"The experiment {name} was deleted on {self.server.uri}.",
                f"Restore it (mlflow experiments restore -x {experiment['experiment_id']}), or name another: "
                "--experiment NAME",
            )
        return str(experiment["experiment_id"])

    def create_run(self, experiment_id: str, name: str | None, tags: Mapping[str, str]) -> Run:
        """A new run in the state RUNNING."""
        body = {
            "experiment_id": experiment_id,
            "run_name": name or "",
            "user_id": tags.get("mlflow.user", ""),
            "start_time": _now_ms(),
            "tags": [{"key": key, "value": value} for key, value in tags.items()],
        }
        return self._run(self._send("POST", f"{_API}/runs/create", body).json()["run"])

    def get_run(self, run_id: str) -> Run:
        """The run as it is now, with the latest value of each metric."""
        return self._run(self._send("GET", f"{_API}/runs/get", query={"run_id": run_id}).json()["run"])

    def log_parameters(self, run_id: str, parameters: Mapping[str, str]) -> None:
        """Log all parameters; a value longer than the server takes is cut."""
        pairs = [{"key": key, "value": value[:_LONGEST_VALUE]} for key, value in parameters.items()]
        for start in range(0, len(pairs), _BATCH):
            self._send(
                "POST", f"{_API}/runs/log-batch", {"run_id": run_id, "params": pairs[start : start + _BATCH]}
            )

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags, replacing those of the same key."""
        pairs = [{"key": key, "value": value} for key, value in tags.items()]
        if pairs:
            self._send("POST", f"{_API}/runs/log-batch", {"run_id": run_id, "tags": pairs})

    def end_run(self, run_id: str, status: Status) -> None:
        """Set the final status and the end time, whatever the run's status was."""
        self._send("POST", f"{_API}/runs/update", {"run_id": run_id, "status": status, "end_time": _now_ms()})

    def upload(self, run: Run, path: Path, artifact_path: str) -> None:
        """Store a file as the artifact `artifact_path` of the run."""
        parts = urlsplit(run.artifact_uri)
        if parts.scheme != "mlflow-artifacts":
            _upload_directly(self.server, run, path, artifact_path)
            return
        where = quote(f"{parts.path.lstrip('/')}/{artifact_path}")
        with path.open("rb") as content:
            self._send("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{where}", content=content)

    def _run(self, said: object) -> Run:
        run = cast(_Run, said)
        info = run["info"]
        return Run(
            id=info["run_id"],
            experiment_id=info["experiment_id"],
            name=info.get("run_name", ""),
            status=info["status"],
            artifact_uri=info["artifact_uri"],
            # JSON has no NaN: the server writes such values as words.
            metrics={metric["key"]: float(metric["value"]) for metric in run["data"].get("metrics", [])},
            url=f"{self.server.uri}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}{_TRAINING_PAGE}",
        )

    def _send(
        self,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content: object = None,
        ok: tuple[int, ...] = (),
    ) -> requests.Response:
        import requests

        try:
            response = self._session.request(
                method, self.server.uri + path, params=query, json=body, data=content,  # type: ignore[arg-type]
                timeout=TIMEOUT_S, allow_redirects=method == "GET",
            )  # fmt: skip
        except requests.RequestException as problem:
            raise _unreachable(self.server, problem) from None
        if response.ok or response.status_code in ok:
            return response
        raise _refusal(self.server, response)


_API = "/api/2.0/mlflow"
# MLflow's UI shows experiments and runs in its view for language models unless it is told what they are.
_TRAINING_PAGE = "?workflowType=machine_learning"
_TRAINING_VIEW = {"key": "mlflow.experimentKind", "value": "custom_model_development"}


def _now_ms() -> int:
    return int(time.time() * 1000)


def _upload_directly(server: Server, run: Run, path: Path, artifact_path: str) -> None:
    """For servers that do not pass artifacts on: MLflow's own client knows every store (S3, GCS, …)."""
    import os
    import tempfile

    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    for name, value in (
        ("USERNAME", server.username),
        ("PASSWORD", server.password),
        ("TOKEN", server.token),
    ):
        if value:
            os.environ[f"MLFLOW_TRACKING_{name}"] = value
    folder, _, name = artifact_path.rpartition("/")
    try:
        with tempfile.TemporaryDirectory() as place:
            named = Path(place) / name
            named.symlink_to(path.resolve())
            MlflowClient(server.uri).log_artifact(run.id, str(named), folder or None)
    except (MlflowException, OSError, ImportError) as problem:
        raise TrackingError(
            f"{artifact_path} could not be stored at {run.artifact_uri}: {type(problem).__name__}.",
            "The artifact store must be reachable from here, or the server started with --serve-artifacts.",
        ) from None


def _unreachable(server: Server, problem: requests.RequestException) -> TrackingError:
    import requests

    text = str(problem)
    host = urlsplit(server.uri).hostname
    if isinstance(problem, requests.exceptions.SSLError):
        return TrackingError(
            f"The certificate of the tracking server {server.uri} is not accepted.",
            "Name the file of its certificate authority in REQUESTS_CA_BUNDLE.",
        )
    if isinstance(problem, requests.exceptions.Timeout):
        return TrackingError(
            f"The tracking server {server.uri} gave no answer in {TIMEOUT_S[0]} s.",
            "See whether it is up and whether a firewall lies between: trainer doctor",
        )
    if "NameResolution" in text or "Name or service not known" in text:
        return TrackingError(
            f"The tracking server's host name {host} is not known.", "Check the name in the tracking URI."
        )
    cause = "refuses connections" if "refused" in text else "cannot be reached"
    return TrackingError(
        f"The tracking server {server.uri} {cause}.", "Start it, or check its address: trainer doctor"
    )


def _refusal(server: Server, response: requests.Response) -> TrackingError:
    status, text = response.status_code, response.text[:300].strip()
    if status == 403 and "Host header" in text:
        host = urlsplit(server.uri).netloc
        return TrackingError(
            f"The tracking server {server.uri} does not accept requests for {host}.",
            f"Start it with --allowed-hosts {host}",
        )
    if status in (401, 403):
        who = f"the user {server.username}" if server.username else "requests without a user name"
        return TrackingDenied(
            f"The tracking server {server.uri} refuses {who} ({status}).",
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD in secrets.env.",
        )
    return TrackingError(
        f"The tracking server {server.uri} answered {status}: {text or response.reason}",
        "See the server's log." if status >= 500 else "Check that this is an MLflow tracking server.",
    )
