"""Projects that were not written for trainer, in the shape of well-known ones, on the real engine."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import registry
import yaml
from shown import Shown
from support import CANARY, PROJECTS, REPOSITORY, Site
from trainer.images import spec, trainer_image
from trainer.images.external import ExternalImage
from trainer.workspace import settings
from unit.helpers import HttpServer, Reply, serving

BARE, STOCK = "trainer-test-bare", "mlflow-docker-example"


def build(project: str, tag: str, base: str) -> None:
    """The project's own image, as its README would say."""
    command = [
        "docker",
        "buildx",
        "build",
        "--quiet",
        "--load",
        f"--build-arg=BASE_IMAGE={base}",
        f"--tag={tag}",
    ]
    subprocess.run([*command, str(PROJECTS / project)], check=True, capture_output=True)


@pytest.fixture(scope="module")
def bare(client: docker.DockerClient) -> Iterator[str]:
    """An image that has a shell and hardly anything else."""
    build("bare", BARE, spec.chosen_base(settings.find(REPOSITORY)))
    yield BARE
    client.images.remove(BARE, force=True)


@pytest.fixture
def http() -> Iterator[HttpServer]:
    """A server that is not on this host, as far as the project knows."""
    with serving() as server:
        yield server


@pytest.fixture
def stock(client: docker.DockerClient, site: Site) -> Iterator[str]:
    """An image with a stock MLflow."""
    here = settings.find(site.root)
    build("docker_example", STOCK, trainer_image.plan(here, spec.spec(here, "sklearn")).tag)
    yield STOCK
    client.images.remove(STOCK, force=True)


@pytest.fixture
def project(request: pytest.FixtureRequest, site: Site) -> Iterator[Path]:
    """The test project of that name, in the workspace."""
    path = site.root / "train_code" / str(request.param)
    shutil.copytree(PROJECTS / str(request.param), path)
    yield path
    shutil.rmtree(path)


@pytest.mark.parametrize("project", ["bare"], indirect=True)
def test_an_image_with_nothing_but_a_shell(
    site: Site, project: Path, bare: str, client: docker.DockerClient, tmp_path: Path
) -> None:
    shared = project / "host data"
    shared.mkdir()
    (shared / "given.txt").write_text("from the host\n")
    done = site.trainer("run", "bare", "--code", "3")
    assert done.code == 3, done.err
    run = site.run(done.run_id)
    assert (run.info.status, run.data.tags["trainer.end"]) == ("FAILED", "exit code 3")
    assert run.data.params == {"code": "3"}
    assert run.data.tags["trainer.image"] == bare
    assert run.data.tags["mlflow.trainer.image_id"] == client.images.get(bare).id
    log = site.log(done.run_id, tmp_path)
    # Its own entry point came first and its own environment is there; the user is the one of this host.
    assert log.startswith("entered, 3\nhello from /trainer/code, two words, token ***\ntracking http://")
    assert f" {done.run_id}\nfrom the host\n" in log
    assert CANARY not in log + done.out + done.err
    assert (shared / "written.txt").read_text() == "written\n"
    assert (shared / "written.txt").stat().st_uid == project.stat().st_uid
    assert (shared / "given.txt").read_text() == "from the host\n"
    # It kept nothing that it could resume from, and its volumes were the project's own.
    again = site.trainer("resume", done.run_id, "--from-scratch")
    assert again.code == 2
    assert "had the volume $(pwd)/host data:/data" in again.err
    made_again = site.trainer("reproduce", done.run_id)
    assert made_again.code == 2
    assert "had the volume $(pwd)/host data:/data" in made_again.err


def test_a_project_that_mounts_its_folder_at_the_images_workdir_is_run_there(
    site: Site, bare: str, client: docker.DockerClient
) -> None:
    recipe = io.BytesIO(f"FROM {bare}\nWORKDIR /app\n".encode())
    client.images.build(fileobj=recipe, tag="trainer-test/workdir:1", rm=True)
    project = site.root / "train_code" / "beside"
    project.mkdir()
    (project / "MLproject").write_text(
        "name: beside\n"
        "docker_env: {image: 'trainer-test/workdir:1', volumes: ['$PWD:/app']}\n"
        "entry_points: {main: {command: sh say.sh}}\n"
    )
    (project / "say.sh").write_text("pwd > place.txt\n")
    try:
        done = site.trainer("run", "beside", "--yes")
        assert done.code == 0, done.err
        assert (project / "place.txt").read_text() == "/app\n"
        assert "in its folder" not in done.err
    finally:
        client.images.remove("trainer-test/workdir:1", force=True)
        shutil.rmtree(project)


@pytest.mark.parametrize("project", ["shell"], indirect=True)
@pytest.mark.usefixtures("project")
def test_a_command_that_needs_a_shell(site: Site, tmp_path: Path) -> None:
    name = """a 'b' "c"; touch hit $(touch hit) `touch hit` && $HOME"""
    done = site.trainer("run", "shell", "--name", name)
    assert done.code == 0, done.err
    log = site.log(done.run_id, tmp_path)
    words = ["--alpha", "0.5", f"--name={name}", name]
    assert log == f"prepared {words}\nwhole\nat /trainer/home\n"
    assert site.run(done.run_id).data.params == {"alpha": "0.5", "name": name}
    same = site.trainer("reproduce", done.run_id)
    assert same.code == 0, same.err
    assert site.log(same.run_id, tmp_path) == log
    exported = site.trainer("reproduce", done.run_id, "--export", str(tmp_path / "out"))
    assert exported.code == 0, exported.err
    by_hand = subprocess.run(["sh", str(tmp_path / "out" / "run.sh")], capture_output=True, text=True)
    assert f"prepared {words}\nwhole\n" in by_hand.stdout, by_hand.stderr
    dry = site.trainer("run", "shell", "--dry-run")
    assert """python train.py --alpha "${parameters[0]}" "--name=${parameters[1]}" """ in dry.out
    ended = site.trainer("run", "shell", "-e", "ends")
    assert ended.code == 3
    assert site.run(ended.run_id).data.tags["trainer.end"] == "exit code 3"


@pytest.mark.parametrize("project", ["shell"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("project")
def test_a_signal_ends_all_that_a_shell_has_started(
    site: Site, number: signal.Signals, tmp_path: Path
) -> None:
    process = site.until_ready("-e", "waits", project="shell")
    done, seconds = site.stop(process, number)
    assert (done.code, seconds < 10) == (128 + number, True)
    run = site.runs()[0]
    assert (run.info.status, run.data.tags["trainer.end"]) == ("KILLED", f"stopped by {number.name}")
    assert "went on" not in site.log(run.info.run_id, tmp_path)


@pytest.mark.parametrize("project", ["shell"], indirect=True)
@pytest.mark.usefixtures("project")
def test_an_image_without_bash_is_refused_where_the_command_needs_it(site: Site, bare: str) -> None:
    before = len(site.runs())
    done = site.trainer("run", "shell", "--image", f"{bare}:latest")
    assert done.code == 83
    assert done.err.endswith(
        "Error: The image has no bash, which the run's command needs.\n"
        "Hint:  Add it, or run in another image: --image NAME\n"
    )
    assert len(site.runs()) == before


@pytest.mark.parametrize("project", ["docker_example"], indirect=True)
@pytest.mark.usefixtures("project", "stock")
def test_a_stock_mlflow_logs_over_plain_http(site: Site, tmp_path: Path) -> None:
    done = site.trainer("run", "docker_example", "--alpha", "0.5", env={"MLFLOW_TRACKING_URI": ""})
    assert done.code == 0, done.err
    assert "rmse    -1.4" in done.out
    run = site.run(done.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"alpha": "0.5", "l1_ratio": "0.1", "language": "en"}
    assert run.data.metrics == {"rmse": pytest.approx(-1.4)}
    assert len(site.client.get_metric_history(done.run_id, "rmse")) == 3
    assert site.artifact(done.run_id, "scheme.txt", tmp_path).read_text() == "scheme http"
    assert site.log(done.run_id, tmp_path).startswith(f"logged to {done.run_id}\n")
    # The end is the launcher's to judge, whatever MLflow's client said in the container.
    failed = site.trainer("run", "docker_example", "--alpha", "0.5", "--l1-ratio", "2")
    assert failed.code == 4
    assert site.run(failed.run_id).info.status == "FAILED"
    no_checkpoint = site.trainer("resume", failed.run_id)
    assert (no_checkpoint.code, "left no checkpoint" in no_checkpoint.err) == (2, True)
    again = site.trainer("resume", failed.run_id, "--from-scratch")
    assert again.code == 4, again.err
    assert site.run(failed.run_id).data.tags["trainer.restarts"] == "1"
    same = site.trainer("reproduce", done.run_id)
    assert same.code == 0, same.err
    offline = site.trainer("run", "docker_example", "--alpha", "0.5", "--offline")
    assert offline.code == 2
    assert "mlflow-docker-example has no trainkit" in offline.err


def test_an_image_that_cannot_be_had_is_named_before_a_run_exists(site: Site) -> None:
    before = len(site.runs())
    done = site.trainer("run", "probe", "--image", "localhost:1/nobody/here:v1")
    assert done.code == 83
    error, hint = done.err.splitlines()[-2:]
    assert error.startswith(
        "Error: The image localhost:1/nobody/here:v1 is not available locally and cannot be pulled: "
    )
    assert hint.startswith("Hint:  Check its name, build it, or `docker login`")
    assert len(site.runs()) == before


def test_an_image_that_is_not_here_is_pulled_and_its_progress_told(
    client: docker.DockerClient, bare: str
) -> None:
    shown = Shown()
    with registry.serving(client, bare) as address:
        known = client.images.get(bare).id
        client.images.remove(bare, force=True)
        try:
            pulled = ExternalImage(address).ensure(settings.find(REPOSITORY), client, shown)
            client.images.get(address).tag(bare)
            assert pulled == known
            assert shown.steps == [f"Pulling {address}"]
            assert any("/1 layers" in part for part in shown.parts), shown.parts
            assert ExternalImage(address).ensure(settings.find(REPOSITORY), client, shown) == pulled
            assert len(shown.steps) == 1
        finally:
            client.images.remove(address)


def test_an_image_without_a_shell_is_refused_before_a_run_exists(
    site: Site, client: docker.DockerClient, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    client.images.build(path=str(tmp_path), tag="trainer-test-empty", rm=True)
    before = len(site.runs())
    try:
        done = site.trainer("run", "probe", "--image", "trainer-test-empty:latest")
    finally:
        client.images.remove("trainer-test-empty", force=True)
    assert done.code == 83
    assert "Error: The image has no sh, which trainer starts a run's command with.\n" in done.err
    assert len(site.runs()) == before


def test_a_local_run_has_no_foreign_image(site: Site) -> None:
    done = site.trainer("run", "probe", "--backend", "local", "--image", "python:3.11")
    assert done.code == 2
    assert "Error: The local backend cannot run in the image python:3.11" in done.err


def gc(site: Site, *arguments: str) -> list[str]:
    """The kinds and names of what would go."""
    done = site.trainer("gc", "--dry-run", "--json", *arguments)
    return [f"{item['kind']} {item['name']}" for item in json.loads(done.out)]


def environments(client: docker.DockerClient) -> set[str]:
    """The images that were built from environment files of the test projects."""
    ours = ("trainer/env-wine-elastic-net:", "trainer/env-steps:")
    result = client.images.list(filters={"label": "trainer.environment"})
    return {tag for image in result for tag in image.tags if tag.startswith(ours)}


@pytest.fixture
def built(client: docker.DockerClient) -> Iterator[None]:
    """What a test builds from environment files is gone afterwards."""
    before = environments(client)
    yield
    for tag in environments(client) - before:
        client.images.remove(tag, force=True)


@pytest.mark.parametrize("project", ["wine"], indirect=True)
@pytest.mark.usefixtures("built")
def test_an_environment_file_becomes_an_image_once(
    site: Site, project: Path, client: docker.DockerClient, tmp_path: Path
) -> None:
    first = site.trainer("run", "wine", "-P", "l1_ratio=0.4")
    assert first.code == 0, first.err
    run = site.run(first.run_id)
    assert run.data.metrics["penalty"] == pytest.approx(0.2)
    assert run.data.tags["trainer.image"].startswith("trainer/env-wine-elastic-net:")
    assert site.log(first.run_id, tmp_path) == "python (3, 11) in /opt/environment\n"
    same = site.trainer("reproduce", first.run_id)
    assert same.code == 0, same.err
    log = site.root / ".trainer" / "build-env-wine-elastic-net.log"
    log.unlink()
    (project / "train.py").write_text("print('changed')\n")
    again = site.trainer("run", "wine")
    assert again.code == 0, again.err
    assert not log.exists()
    assert (
        site.run(again.run_id).data.tags["mlflow.trainer.image_id"]
        == run.data.tags["mlflow.trainer.image_id"]
    )
    (tag,) = environments(client)
    assert f"image {tag}" not in gc(site, "--cache")
    assert f"image {tag}" not in gc(site, "--older-than", "0")
    assert f"image {tag}" in gc(site, "--cache", "--older-than", "0")
    # Without a container it is a virtual environment.
    local = site.trainer("run", "wine", "--backend", "local", "-e", "evaluate", "--source", "s3://bucket/key")
    assert local.code == 0, local.err
    assert site.log(local.run_id, tmp_path) == "from s3://bucket/key\n"
    (made,) = (site.root / ".trainer" / "environments").glob("env-wine-*/")
    assert f"environment {made}" not in gc(site)
    assert f"environment {made}" in gc(site, "--cache", "--older-than", "0")
    # Another content of a file that the environment's file only names is another image.
    (project / "constraints" / "versions.txt").write_text("mlflow-skinny==3.17.2\nnumpy<2.4\n")
    planned = site.trainer("run", "wine", "--dry-run", "--json")
    assert run.data.tags["trainer.image"] not in planned.out
    # The same as MLflow writes it for conda.
    text = (project / "MLproject").read_text()
    (project / "MLproject").write_text(text.replace("python_env: python_env", "conda_env: conda"))
    conda = site.trainer("run", "wine", "-e", "evaluate", "--source", "s3://bucket/key")
    assert conda.code == 0, conda.err
    assert site.log(conda.run_id, tmp_path) == "from s3://bucket/key\n"
    assert len(environments(client)) == 2


@pytest.mark.parametrize("project", ["wine"], indirect=True)
def test_an_environment_that_cannot_be_had_is_named(site: Site, project: Path) -> None:
    environment = project / "python_env.yaml"
    output = environment.read_text()
    environment.write_text(output.replace("3.11", "3.7.99"))
    done = site.trainer("run", "wine")
    assert done.code == 83
    assert "Error: The environment needs Python 3.7.99, which " in done.err
    environment.write_text(output + "  - no-such-package-anywhere==1\n")
    done = site.trainer("run", "wine")
    assert done.code == 83
    assert (
        "Error: The package registry has no no-such-package-anywhere, which the environment names.\n"
    ) in done.err
    environment.write_text(output + "  - numpy==0.0.1\n")
    done = site.trainer("run", "wine")
    assert done.code == 83
    assert "Error: The packages of the environment cannot be installed: Because " in done.err


@pytest.mark.parametrize("project", ["multistep"], indirect=True)
@pytest.mark.usefixtures("project")
def test_a_run_that_starts_others(site: Site) -> None:
    done = site.trainer("run", "multistep", "--max-iter", "20")
    assert done.code == 0, done.err
    assert "multistep names no environment: it runs in trainer/sklearn:" in done.err
    main = site.run(done.run_id)
    assert main.data.metrics == {"loss": 5}
    runs = site.client.search_runs(
        [main.info.experiment_id], filter_string=f"tags.mlflow.parentRunId = '{done.run_id}'"
    )
    assert sorted(run.data.tags["mlflow.project.entryPoint"] for run in runs) == ["load_raw_data", "train"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_a_folder_of_scripts_in_a_repository(site: Site, tmp_path: Path) -> None:
    shutil.copytree(PROJECTS / "scripts", tmp_path / "models" / "simple")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "First"], ["tag", "v1"]):
        who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com"]
        subprocess.run(["git", *who, *command], cwd=tmp_path / "models", check=True)
    (tmp_path / "models" / "simple" / "train.py").write_text("broken")
    address = f"file://{tmp_path}/models#simple"
    done = site.trainer("run", address, "--version", "v1", "-e", "train.py", "-P", "lr=1 e", "-P", "n_jobs=2")
    assert done.code == 0, done.err
    assert "given ['--lr', '1 e', '--n_jobs', '2']\n" in done.out
    run = site.run(done.run_id)
    assert run.data.metrics == {"answer": 42}
    assert run.data.params == {"lr": "1 e", "n_jobs": "2"}
    same = site.trainer("reproduce", done.run_id)
    assert same.code == 0, same.err
    assert run.data.tags["mlflow.source.name"] == address
    script = site.trainer("run", str(tmp_path / "models" / "simple"), "-e", "steps/prepare.sh", "-P", "x=$y")
    assert "prepared with --x $y\n" in script.out
    which = site.trainer("run", str(tmp_path / "models" / "simple"))
    assert which.err.endswith(
        "Error: simple has no entry point main.\nHint:  Specify a script of it with -e: train.py.\n"
    )


@pytest.mark.parametrize("project", ["fetching"], indirect=True)
@pytest.mark.usefixtures("project")
def test_a_path_that_is_elsewhere_is_fetched_for_the_run(site: Site, http: HttpServer) -> None:
    http.replies = {"/sets/my.csv": [Reply(200, "one,two")], "/gone.csv": [Reply(404, "no such page")]}
    earlier = site.client.create_run(site.client.create_experiment("of-inputs")).info.run_id
    site.client.log_text(earlier, "from a run", "model/words.txt")
    uri = http.uri.replace("//", "//me:hunter2@") + "/sets/my.csv"
    done = site.trainer("run", "fetching", "--table", uri, "--model", f"runs:/{earlier}/model")
    assert done.code == 0, done.err
    assert "one,two from a run\n" in done.out
    assert "hunter2" not in done.err
    same = site.trainer("reproduce", done.run_id)
    assert same.code == 0, same.err
    before = len(site.runs())
    gone = site.trainer("run", "fetching", "--table", f"{http.uri}/gone.csv", "--model", "train_code")
    assert gone.code == 2
    assert f"Error: --table names {http.uri}/gone.csv, which cannot be fetched: " in gone.err
    assert len(site.runs()) == before


def steps_of(site: Site, run_id: str) -> list[tuple[str, str, dict[str, float]]]:
    """Entry point, status and metrics of the child runs, the first one first."""
    runs = site.client.search_runs(
        [site.run(run_id).info.experiment_id],
        f"tags.mlflow.parentRunId = '{run_id}'",
        order_by=["attributes.start_time"],
    )
    return [(run.data.tags["mlflow.project.entryPoint"], run.info.status, run.data.metrics) for run in runs]


@pytest.mark.parametrize("environment", ["docker_env: {image: trainer/sklearn}", "conda_env: conda.yaml"])
@pytest.mark.parametrize("project", ["steps"], indirect=True)
@pytest.mark.usefixtures("built")
def test_steps_run_beside_the_script_that_starts_them(
    site: Site, project: Path, environment: str, tmp_path: Path
) -> None:
    text = (project / "MLproject").read_text()
    (project / "MLproject").write_text(text.replace("docker_env:\n  image: trainer/sklearn", environment))
    content = (project / "conda.yaml").read_text()
    (project / "conda.yaml").write_bytes(content.encode("utf-16"))  # as PowerShell's > does
    before = {experiment.name for experiment in site.client.search_experiments()}
    done = site.trainer("run", "steps")
    assert done.code == 0, done.err
    main = site.run(done.run_id)
    assert main.info.status == "FINISHED"
    assert steps_of(site, done.run_id) == [
        *(("prepare", "FINISHED", {"rows": number}) for number in range(4)),
        ("breaks", "FAILED", {}),
        ("main", "FINISHED", {"clean": 1}),
        ("prepare", "FINISHED", {"rows": 9}),
    ]
    log = site.log(done.run_id, tmp_path)
    for number, manager in enumerate((None, "virtualenv", "conda", "uv")):
        assert f"step {manager} FINISHED {{'rows': {number}.0}}\n" in log
    assert "cleaned True FINISHED\n" in log
    # What the scripts choose is not used, and that is said once for each of them.
    assert log.count("Warning: The tracking URI http://127.0.0.1:5000 is not used: ") == 1
    assert log.count("Warning: set_experiment('somewhere else') is not used: this run is in 'steps'.") == 1
    assert log.count("Warning: The environment of the project clean is not used: ") == 1
    assert "hunter2" not in log
    after = {experiment.name for experiment in site.client.search_experiments()}
    assert after - before <= {"steps"}
    if environment.startswith("conda"):
        assert (
            "conda.yaml: installed from PyPI: numpy, pyyaml; "
            "left out, as only conda has it: _libgcc_mutex, cudatoolkit.\n"
        ) in done.err
        assert "conda.yaml: the newest version of attrs is installed, " in done.err
    else:
        assert "conda.yaml: " not in done.err


@pytest.mark.parametrize("project", ["steps"], indirect=True)
@pytest.mark.usefixtures("built")
def test_micromamba_makes_all_of_a_conda_yaml(site: Site, project: Path, tmp_path: Path) -> None:
    (project / "MLproject").write_text("""\
conda_env: conda.yaml
entry_points: {main: {command: "python -c 'import sys; print(open(sys.prefix + \\"/made-from\\").read())'"}}
""")
    # In the place of the real one, for no channel can be reached: it is asked for what it is asked for.
    fake = tmp_path / "bin" / "micromamba"
    fake.parent.mkdir()
    fake.write_text("""\
#!/bin/sh -eu
test "$1 $2" = "create --yes"
while [ "$1" != --prefix ]; do shift; done
python3 -m venv --without-pip "$2"
test "$3" = --file
cat "$4" >"$2/made-from"
""")
    fake.chmod(0o755)
    environment = {"PATH": f"{fake.parent}:{os.environ['PATH']}"}
    done = site.trainer("run", "steps", env=environment)
    assert done.code == 0, done.err
    assert "PyPI" not in done.err
    payload = yaml.safe_load(site.log(done.run_id, tmp_path))
    assert payload["channels"] == ["conda-forge", "defaults"]
    assert payload["dependencies"][2:4] == ["cudatoolkit=11.3", "numpy>=2"]
    assert payload["dependencies"][-1] == {"pip": ["attrs", "mlflow-skinny==3.17.2"]}
    local = site.trainer("run", "steps", "--backend", "local", env=environment)
    assert local.code == 0, local.err
    assert yaml.safe_load(site.log(local.run_id, tmp_path)) == payload


@pytest.mark.parametrize("project", ["shapes"], indirect=True)
@pytest.mark.usefixtures("project")
def test_what_mlflow_takes_of_an_mlproject_runs(site: Site, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "x.csv").write_text("1\n2\n3\n")
    place = {"SHAPES_PLACE": str(tmp_path)}
    done = site.trainer("run", "shapes", "--epochs", "five", "--model.lr", "0.1", env=place)
    assert done.code == 0, done.err
    run = site.run(done.run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"rows": 3})
    assert run.data.params == {"model.lr": "0.1", "epochs": "five", "flag": "True"}
    assert "given ['--model.lr=0.1', '--epochs', 'five']\n" in site.log(done.run_id, tmp_path)
