"""`trainer run` on the real engine, reporting to the real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import docker
import pytest
from support import Site
from trainer.source import snapshot as code

MLFLOW_RUN = [sys.executable, "-m", "mlflow", "run", "train_code/probe", "--backend=trainer-docker", "-P"]


def test_a_run_is_finished_pinned_and_leaves_its_log(site: Site, tmp_path: Path) -> None:
    done = site.trainer("run", "probe", "--tag", "team=vision", "--run-name", "first")
    assert done.code == 0, done.err
    assert "answer  42" in done.out
    assert f"FINISHED  first\n{site.uri}/#/experiments/" in done.out
    run = site.run(done.run_id)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "first")
    assert run.data.params == {"mode": "metric"}
    assert run.data.metrics == {"answer": 42}
    tags = run.data.tags
    assert tags["team"] == "vision"
    assert tags["mlflow.source.name"] == "train_code/probe"
    assert tags["mlflow.project.entryPoint"] == "main"
    assert tags["mlflow.trainer.command"] == "python probe.py metric"
    assert tags["trainer.image"].endswith(tags["mlflow.trainer.image_digest"][:12])
    assert tags["trainer.end"] == "done"
    assert len(tags["mlflow.trainer.code_digest"]) == 64
    in_sight = ("backend", "end", "exit_code", "gpus", "image")
    assert sorted(tags.keys() - {"team"} - {key for key in tags if key.startswith("mlflow.")}) == [
        f"trainer.{name}" for name in in_sight
    ]
    assert site.log(done.run_id, tmp_path) == "mode metric\n"
    with tarfile.open(site.artifact(done.run_id, "trainer/source.tar.gz", tmp_path)) as source:
        assert sorted(source.getnames()) == ["code", "code/MLproject", "code/probe.py"]


def test_what_a_script_leaves_in_its_folder_is_named_and_kept_if_wanted(site: Site, tmp_path: Path) -> None:
    project = site.root / "train_code" / "leaves"
    project.mkdir()
    (project / "MLproject").write_text(
        "name: leaves\n"
        "docker_env: {image: trainer/sklearn}\n"
        "entry_points: {main: {command: 'python leave.py {code}', parameters: {code: {default: 0}}}}\n"
    )
    (project / "leave.py").write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "import mlflow\n"
        "Path('plot.txt').write_text('logged')\n"
        "mlflow.log_artifact('plot.txt')\n"
        "Path('models').mkdir()\n"
        "Path('models/my model.bin').write_bytes(b'x' * 300_000)\n"
        "Path('notes.txt').write_text('hello')\n"
        "try:\n"
        "    mlflow.log_artifact('missing.png')\n"
        "except FileNotFoundError:\n"
        "    pass\n"
        "if code := int(sys.argv[1]):\n"
        "    Path('caf\\udce9.txt').write_text('latin')\n"
        "    Path('a\\n7 b.txt').write_text('lines')\n"
        "    sys.exit(code)\n"
    )
    named = site.trainer("run", "leaves", "--read-only")
    assert named.code == 0, named.err
    said = "The run wrote 2 files in its folder (0.3 MB; the largest is models/my model.bin)."
    assert said in named.err
    assert site.run(named.run_id).data.tags["trainer.left_files"].startswith("2 files (0.3 MB; ")
    kept = site.trainer("run", "leaves", "--keep-files")
    assert "Stored as artifacts in files/." in kept.err
    assert site.artifact(kept.run_id, "files/notes.txt", tmp_path).read_text() == "hello"
    assert site.artifact(kept.run_id, "files/models/my model.bin", tmp_path).stat().st_size == 300_000
    odd = site.trainer("run", "leaves", "--keep-files", "--code", "3")
    said = "Characters that the server cannot store are escaped: "
    assert "The run wrote 4 files" in odd.err
    assert said in odd.err
    for _ in range(2):
        assert site.artifact(odd.run_id, "files/caf~E9.txt", tmp_path).read_text() == "latin"
        assert site.artifact(odd.run_id, "files/a~0A7 b.txt", tmp_path).read_text() == "lines"
        again = site.trainer("resume", odd.run_id, "--from-scratch")  # which keeps what the run kept
        assert said in again.err


@pytest.mark.parametrize(
    ("arguments", "code", "message", "end"),
    [
        (["--mode", "exit"], 3, "The training script ended with exit code 3.", "exit code 3"),
        (["--mode", "signal"], 139, "The training script was ended by SIGSEGV.", "ended by SIGSEGV"),
        (["-e", "missing"], 127, "The training script ended with exit code 127.", "exit code 127"),
        (["--mode", "memory", "--memory", "256m"], 86, "The run was out of memory", "out of memory"),
        # The script itself goes on and exits with 0 after its child was killed.
        (["--mode", "child-memory", "--memory", "256m"], 86, "The run was out of memory", "out of memory"),
    ],
)
def test_a_run_that_goes_wrong_says_how(
    site: Site, arguments: list[str], code: int, message: str, end: str
) -> None:
    done = site.trainer("run", "probe", *arguments)
    assert done.code == code
    error, hint = done.err.splitlines()[-2:]
    assert error.startswith(f"Error: {message}")
    assert hint.startswith("Hint:  ")
    run = site.run(done.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["trainer.end"] == end


def test_both_streams_are_one_and_every_byte_arrives(site: Site, tmp_path: Path) -> None:
    done = site.trainer("run", "probe", "--mode", "output")
    log = site.artifact(done.run_id, "train.log", tmp_path).read_bytes()
    assert log.startswith(b"mode output\nprogress 1\rprogress 2\rto stderr\nnot utf-8: ")
    assert log.endswith(b"\n" + b"x" * 40_000 + b"\n")
    assert done.out.startswith("mode output\n")


def test_the_container_is_the_users_own_and_cannot_write_data(site: Site) -> None:
    (site.root / "data" / "picture").write_text("mine")
    done = site.trainer("run", "probe", "--mode", "place")
    assert done.code == 0, done.err
    assert "cwd /trainer/code ['MLproject', 'probe.py']" in done.out
    assert "data: Read-only file system" in done.out


def test_untracked_code_travels_and_ignored_files_do_not(site: Site) -> None:
    project = site.root / "train_code" / "fresh"
    project.mkdir()
    (project / "MLproject").write_text(
        "name: fresh\ndocker_env: {image: trainer/sklearn}\nentry_points: {main: {command: python go.py}}\n"
    )
    (project / "go.py").write_text("import os; print(sorted(os.listdir('.')))")
    (project / "big.ignored").write_text("not this")
    done = site.trainer("run", "fresh")
    assert "['MLproject', 'go.py']" in done.out


def test_a_project_is_run_from_a_folder_and_from_a_git_url(site: Site, tmp_path: Path) -> None:
    repository = tmp_path / "team"
    project = repository / "forest"
    project.mkdir(parents=True)
    (project / "MLproject").write_text(
        "name: forest\ndocker_env: {image: trainer/sklearn}\n"
        "entry_points: {main: {command: python -c 'print(1)'}}\n"
    )
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@example.com"]
    for step in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "one"], ["tag", "v1"]):
        subprocess.run([*git, *step], check=True)
    assert site.trainer("run", str(project)).code == 0
    url = f"file://{repository}#forest"
    done = site.trainer("run", url, "--version", "v1")
    assert done.code == 0, done.err
    tags = site.run(done.run_id).data.tags
    assert tags["mlflow.source.name"] == url
    assert len(tags["mlflow.source.git.commit"]) == 40
    assert list((site.root / ".trainer").glob("source-*")) == []


def test_bad_input_makes_no_run(site: Site) -> None:
    before = len(site.runs())
    for arguments, suggestion in (
        (["sklearn", "--n-estimtors", "5"], "Did you mean --n-estimators?"),
        (["sklearn", "--n-estimators", "banana"], "Pass a whole number, 1 at least; the default is 100."),
        (["sklearn", "--estimator", "random_forrest"], "Did you mean random_forest?"),
        (["sklern"], "Did you mean sklearn?"),
        (["sklearn", "--memory", "lots"], "Use a number and k, m or g: 512m, 8g."),
    ):
        done = site.trainer("run", *arguments)
        assert done.code == 2
        assert done.out == ""
        assert done.error[1:] == [f"Hint:  {suggestion}"]
    assert len(site.runs()) == before


def test_json_is_all_there_is_on_stdout(site: Site) -> None:
    done = site.trainer("run", "probe", "--json")
    payload = json.loads(done.out)
    assert payload["status"] == "FINISHED"
    assert payload["metrics"] == {"answer": 42}
    assert payload["run_id"] == done.run_id
    assert "mode metric" in done.err


def test_a_dry_run_creates_nothing(site: Site) -> None:
    before = len(site.runs())
    done = site.trainer("run", "probe", "--mode", "it's", "--dry-run", "--json")
    plan = json.loads(done.out)
    assert plan["command"] == ["python", "probe.py", "it's"]
    assert plan["secret_names"] == ["PROBE_TOKEN"]
    assert len(site.runs()) == before


def test_a_gpu_for_an_image_that_cannot_use_it_is_an_error_before_the_run(site: Site) -> None:
    before = len(site.runs())
    done = site.trainer("run", "probe", "--gpus", "all")
    assert done.code == 88
    assert "has nothing in it that uses a GPU" in done.err
    assert len(site.runs()) == before


def test_two_at_once_share_one_server_and_one_experiment(site: Site) -> None:
    site.trainer("server", "down")
    both = [site.start("run", "probe", "--experiment", "shared") for _ in range(2)]
    outs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outs
    experiment = site.client.get_experiment_by_name("shared")
    assert experiment is not None
    runs = site.client.search_runs([experiment.experiment_id])
    assert [run.info.status for run in runs] == ["FINISHED", "FINISHED"]


def test_mlflow_run_takes_the_same_path(site: Site) -> None:
    done = subprocess.run(
        [*MLFLOW_RUN, "mode=metric", "--backend-config",
         '{"seed": 3, "deterministic": true, "keep_files": true}'],
        cwd=site.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    run = site.runs()[0]
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"answer": 42}
    assert run.data.tags["mlflow.project.backend"] == "trainer-docker"
    assert run.data.tags["mlflow.trainer.seed"] == "3"
    assert run.data.tags["mlflow.trainer.deterministic"] == "true"
    assert run.data.tags["mlflow.trainer.keep_files"] == "true"
    failed = subprocess.run(
        [*MLFLOW_RUN, "mod=metric"],
        cwd=site.root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert failed.returncode == 1
    assert "Did you mean --mode?" in failed.stderr


def test_a_run_of_a_user_can_write_in_every_folder_of_its_code(
    client: docker.DockerClient, tmp_path: Path
) -> None:
    (tmp_path / "project" / "lib" / "deep").mkdir(parents=True)
    (tmp_path / "project" / "lib" / "deep" / "a.py").touch()
    code.pack(tmp_path / "project", tmp_path / "packed.tar.gz", uid=1234, gid=1234)
    made = client.containers.create(
        os.environ["TRAINER_BASE_IMAGE"], ["touch", "/trainer/code/lib/new", "/trainer/code/lib/deep/new"],
        user="1234:1234", working_dir="/trainer/code",
    )  # fmt: skip
    try:
        made.put_archive("/trainer", (tmp_path / "packed.tar.gz").read_bytes())
        made.start()
        assert made.wait()["StatusCode"] == 0, made.logs()
    finally:
        made.remove(force=True)
