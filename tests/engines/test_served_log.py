"""The log of a served model is its user's, on engines with user ids of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import docker
import private_engine
import pytest
from trainer.cli.live.progress import Progress
from trainer.images import build
from trainer.serving import image
from trainer.workspace import settings
from unit.model_server import served

pytestmark = pytest.mark.root
USER = "nobody"
# This host cannot reach the network of that engine, so the request is sent from inside the container.
SERVE = """
import json, sqlite3, sys, time
from pathlib import Path
from trainer.engine import daemon
from trainer.predictions import places
from trainer.serving import log, volume
from trainkit.inference.predictor import Predictor
from trainkit.inference.serving_file import ServingFile

tag, folder, path = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
client = daemon.connect()
wanted = log.Log(folder, 10**7, True)
places.make(folder)
user = log.user(client, wanted)
model = volume.Model(path, Predictor.open(path).version, "churn")
container = client.containers.create(
    tag, [volume.SERVING_FILE, *log.options(wanted)], name="served", network_mode="none", read_only=True,
    environment={"MODEL_SERVER_TOKEN_FILE": volume.TOKEN_FILE}, user=f"{user.uid}:{user.gid}",
    userns_mode="host" if user.stranger else None, cap_drop=["ALL"], security_opt=["no-new-privileges"],
    volumes={"served": {"bind": volume.FOLDER, "mode": "rw"}, **log.mount(wanted)},
)
volume.put(container, [model], ServingFile(model=model.entry), "0123456789abcdef", user)
container.start()
ask = '''
import time, urllib.request
headers = {"Authorization": "Bearer 0123456789abcdef", "Content-Type": "application/json"}
for _ in range(300):
    try:
        request = urllib.request.Request("http://127.0.0.1:8080/predict", b'{"age": 5, "plan": "a"}', headers)
        print(urllib.request.urlopen(request).status)
        break
    except OSError:
        time.sleep(0.1)
'''
code, said = container.exec_run(["python", "-c", ask])
container.stop(timeout=10)
print(container.logs().decode(), said.decode(), file=sys.stderr)
connection = sqlite3.connect(folder / places.FILE)
with connection:
    connection.execute("INSERT INTO labels VALUES (NULL, 'a', 0, 'yes', 'me', 'now')")
print(json.dumps(connection.execute("SELECT class FROM predictions").fetchall()))
container.remove(force=True)
client.volumes.get("served").remove()
"""


@pytest.mark.parametrize("kind", ["rootless", "userns"])
def test_the_log_is_the_users(kind: str) -> None:
    private_engine.needs("dockerd", "unshare", "rootlesskit", "slirp4netns", "newuidmap", "setpriv")
    with private_engine.place_for_one() as place, private_engine.place_for_one() as files:
        site = private_engine.tiny_site(files / "site", 5752, {})
        here = settings.find(site.root)
        plan, mine = image.plan(here), docker.from_env()
        with Progress() as steps:
            build.ensure(here, mine, plan, steps)
        model = served.churn(files / "churn.onnx")
        private_engine.give(files, USER)
        engine = (
            private_engine.rootless(place, USER) if kind == "rootless" else private_engine.remapped(place)
        )
        engine.start()
        try:
            saved = files / "image.tar"
            subprocess.run(["docker", "save", "--output", saved, plan.tag], check=True)
            subprocess.run(
                ["docker", "--host", engine.address, "load", "--quiet", "--input", saved], check=True
            )
            (engine.place / "sock").chmod(0o666)
            folder = site.root / ".trainer" / "predictions" / "churn"
            done = subprocess.run(
                [*private_engine.as_user(USER, files), sys.executable, "-c", SERVE, plan.tag, folder, model],
                env={**os.environ, "DOCKER_HOST": engine.address, "PYTHONPATH": os.pathsep.join(sys.path)},
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout) == [["yes"]], done.stderr
            assert {path.owner() for path in (folder, *folder.iterdir())} == {USER}
        finally:
            engine.close()
