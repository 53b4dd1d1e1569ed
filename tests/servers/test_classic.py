"""What many teams have: MLflow 2, PostgreSQL, artifacts in a bucket, and nginx, which asks for a password."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import docker
import nginx
import requests
from support import PROJECTS, Site
from tracking_server import services
from tracking_server.containers import CannotRun

from servers.conftest import cannot
from servers.versions import serving

USER, PASSWORD = "teamlead", "asked-for-by-the-front"


def test_the_classic_set_up_has_everything_of_a_run(
    client: docker.DockerClient,  # noqa: ARG001
    new_database: Callable[[], str],
    tmp_path: Path,
) -> None:
    try:
        with (
            services.bucket("127.0.0.1", tmp_path) as bucket,
            serving(
                "2.22.1",
                tmp_path,
                database=new_database(),
                root="s3://artifacts/root",
            ) as server,
            nginx.front(server.uri, tmp_path / "front", account=(USER, PASSWORD)) as uri,
        ):
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
    except CannotRun as error:
        cannot(error)
