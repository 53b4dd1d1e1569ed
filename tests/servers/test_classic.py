"""What many teams have: MLflow 2, PostgreSQL, artifacts in a bucket, and a front that asks for a password."""

from __future__ import annotations

import base64
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import docker
import pytest
import requests
from support import PROJECTS, Site
from tracking_server import services
from tracking_server.containers import CannotRun

from servers.versions import serving

USER, PASSWORD = "teamlead", "asked-for-by-the-front"


@contextmanager
def front(behind: str) -> Iterator[str]:
    """Within: what asks for user name and password before it passes a request on."""
    wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Authorization") != wanted:
                status, answer = 401, b"<html>401 Authorization Required</html>"
            else:
                status, answer = self._pass_on(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def _pass_on(self, body: bytes) -> tuple[int, bytes]:
            headers = {"Content-Type": self.headers.get("Content-Type") or "application/json"}
            asked = urllib.request.Request(behind + self.path, body or None, headers, method=self.command)
            try:
                with urllib.request.urlopen(asked, timeout=60) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as problem:
                return problem.code, problem.read()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 (http.server's)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("0.0.0.0", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_classic_set_up_has_everything_of_a_run(
    client: docker.DockerClient,  # noqa: ARG001
    tmp_path: Path,
) -> None:
    try:
        with (
            services.postgres("127.0.0.1") as postgres,
            services.bucket("127.0.0.1", tmp_path) as bucket,
            serving(
                "2.22.1",
                tmp_path,
                "--backend-store-uri", postgres.database().replace("postgres://", "postgresql://"),
                "--no-serve-artifacts", "--default-artifact-root", "s3://artifacts/root",
            ) as server,
            front(server.uri) as uri,
        ):  # fmt: skip
            site = Site(tmp_path / "site", port=5495)
            shutil.copytree(PROJECTS / "model", site.root / "train_code" / "model")
            (site.root / "trainer.yaml").write_text(f"tracking_uri: {uri}\n")
            refused = site.trainer("run", "model")
            assert (refused.code, "<html" in refused.err) == (85, False), refused.err
            known = {name: value for name, value in bucket.variables.items() if name != "S3_BUCKET"}
            known |= {"MLFLOW_TRACKING_USERNAME": USER, "MLFLOW_TRACKING_PASSWORD": PASSWORD}
            with (site.root / "secrets.env").open("a") as file:
                file.writelines(f"{name}={value}\n" for name, value in known.items())
            done = site.trainer("run", "model", "--register", "registered")
            assert (done.code, "on this disk alone" in done.err) == (0, False), done
            assert done.out.count("predicted 8") == 4  # by each of its addresses
            root = bucket.folder / "root" / "1" / done.run_id / "artifacts"
            files = {str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()}
            assert {"model/MLmodel", "model/model.pkl", "notes/hello.txt", "train.log"} <= files
            shown = site.trainer("show", done.run_id, "--json")
            assert json.loads(shown.out)["status"] == "FINISHED"
            said = requests.get(
                f"{server.uri}/api/2.0/mlflow/registered-models/get",
                params={"name": "registered"},
                timeout=60,
            ).json()["registered_model"]
            assert said["aliases"] == [{"alias": "best", "version": "1"}]
            again = site.trainer("reproduce", done.run_id, "--yes")
            assert again.code == 0, again
            assert site.leftovers() == []
    except CannotRun as problem:
        pytest.fail(str(problem))
