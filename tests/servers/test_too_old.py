"""A real server that is too old is refused before a run exists, and what was to be brought to it stays."""

from __future__ import annotations

import json
from pathlib import Path

import docker
import pytest
import requests
from support import Site

from servers.versions import TOO_OLD, serving

pytestmark = pytest.mark.opt_in


def test_a_server_that_is_too_old(client: docker.DockerClient, tmp_path: Path) -> None:  # noqa: ARG001
    (tmp_path / "server").mkdir()
    site = Site(tmp_path / "site", port=5491)
    with serving(TOO_OLD, tmp_path / "server") as server:
        (site.root / "trainer.yaml").write_text(f"tracking_uri: {server.uri}\n")
        refused = site.trainer("run", "probe")
        assert (refused.code, len(refused.err.strip().splitlines())) == (84, 2), refused.err
        assert "needs MLflow 2.9 or newer" in refused.err
        assert site.trainer("run", "probe", "--offline").code == 0
        kept = site.trainer("sync")
        assert kept.code == 84
        assert "needs MLflow 2.9 or newer" in kept.err
        result = requests.get(
            f"{server.uri}/api/2.0/mlflow/experiments/search?max_results=5", timeout=60
        ).json()
        assert [experiment["name"] for experiment in result["experiments"]] == ["Default"]
        [one] = json.loads(site.trainer("sync", "--dry-run", "--json").out)
        assert (one["status"], one["points"]) == ("FINISHED", 1)
