"""What can be made again, and what is said where it cannot; the journey itself is in tests/docker."""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from shown import Shown
from trainer.datasets import recorded
from trainer.host import hardware
from trainer.images.build import ImageOrigin
from trainer.plan import consent, request
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import Resources
from trainer.projects import mlproject
from trainer.runs import run_record
from trainer.source import snapshot
from trainer.workspace import run_folders
from trainer.workspace.settings import Workspace

from unit.datasets.pictures import dataset
from unit.git_trap import Trap
from unit.helpers import DOCKER, LOCAL, HttpServer, Reply, Result, git, put, serving
from unit.runs.helpers import API, ID, artifact, live, not_there, record, told

Trainer = Callable[..., Result]
MLPROJECT = """\
name: demo
docker_env: {image: trainer/small, environment: [DEMO_KEY]}
entry_points:
  main:
    parameters:
      data: {type: string, default: skin, dataset: true}
      weights: {type: path, default: weights.txt}
      epochs: {type: int, default: 3}
    command: python train.py {data} {weights} {epochs}
"""


class Offer:
    """A finished run on the server, with what was stored of it."""

    def __init__(self, workspace: Workspace, server: HttpServer, **parameters: str) -> None:
        self.server, self.workspace = server, workspace
        self.run = record(server)
        put(workspace.projects / "demo" / "MLproject", MLPROJECT)
        put(workspace.projects / "demo" / "weights.txt", "heavy")
        put(workspace.root / "secrets.env", "DEMO_KEY=s3cret-value\n").chmod(0o600)
        put(workspace.root / ".gitignore", "secrets.env\n")
        dataset(workspace.data / "skin", {"a": 2, "b": 2})
        project = mlproject.load(workspace.projects / "demo")
        self.plan = request.make(
            workspace, RunRequest(project, "train_code/demo", LOCAL, parameters=parameters)
        )
        image, packed = self.plan.image, self.plan.image.packed(workspace)
        assert packed
        self.place = f"small-{image.digest[:12]}-py{sys.version_info.major}.{sys.version_info.minor}"
        put(workspace.state / "environments" / self.place / "trainer-complete")
        archive = workspace.state / "source.tar.gz"
        digest = snapshot.pack(workspace.projects / "demo", archive)
        data = recorded.take(workspace, self.plan.inputs.data, Shown())
        origin = ImageOrigin(self.place, (), "Python", "", "")
        self.pins = run_record.as_json(
            run_record.of(self.plan, origin, hardware.this_machine(), data, digest, None)
        )
        self.store("trainer/source.tar.gz", archive.read_bytes())
        self.store("trainer/image.tar.gz", packed.read_bytes())
        live(workspace, self.run)
        run_folders.remove(workspace, ID)
        self.tell()

    def store(self, path: str, content: bytes | None) -> None:
        self.server.replies[artifact(self.run, path)] = [
            not_there() if content is None else Reply(content=content)
        ]

    def tell(self, status: str = "FINISHED", **changes: object) -> None:
        """The run's status, and what its run.json has otherwise."""
        self.store("trainer/run.json", json.dumps({**self.pins, **changes}).encode())
        info = {"run_id": ID, "experiment_id": "7", "run_name": "brave-hen", "status": status,
                "artifact_uri": f"mlflow-artifacts:/7/{ID}/artifacts"}  # fmt: skip
        payload = {"info": info, "data": {"metrics": [{"key": "accuracy", "value": 0.9}]}}
        self.server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": payload}))]


@pytest.fixture
def offer(workspace: Workspace, http_server: HttpServer) -> Offer:
    weights = str(put(workspace.root / "weights.txt", "heavy"))
    return Offer(workspace, http_server, weights=weights)


def refused(trainer: Trainer, offer: Offer, *arguments: str) -> tuple[int, str]:
    """The exit code and the message of `trainer reproduce @last`, which has told the server nothing."""
    done = trainer("reproduce", "@last", *arguments)
    assert done.out == ""
    assert told(offer.server) == []
    assert list(offer.workspace.state.glob("reproduce-*")) == []
    error, hint = done.err.splitlines()[-2:]
    assert hint.startswith("Hint:  ")
    return done.code, error.removeprefix("Error: ")


def changed(archive: bytes, name: str, content: bytes) -> bytes:
    """The archive with another content of one file."""
    made = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(fileobj=made, mode="w:gz") as new:
        for entry in old:
            file = old.extractfile(entry)
            kept = file.read() if file else b""
            entry.size = len(content if entry.name == name else kept)
            new.addfile(entry, io.BytesIO(content if entry.name == name else kept))
    return made.getvalue()


def test_stored_code_that_git_would_take_for_a_repository(
    trainer: Trainer, workspace: Workspace, http_server: HttpServer, tmp_path: Path
) -> None:
    trap = Trap(tmp_path)
    trap.bare_repository(workspace.projects / "demo")
    offer = Offer(workspace, http_server)
    offer.tell(backend="docker")
    trap.mark.unlink(missing_ok=True)
    shutil.rmtree(workspace.projects / "demo")
    trainer("reproduce", "@last", "--dry-run")  # without an engine it goes no further than to the plan
    assert not trap.mark.exists()


def test_what_would_be_made_again_is_shown_and_nothing_is_done(trainer: Trainer, offer: Offer) -> None:
    (offer.workspace.projects / "demo" / "MLproject").write_text("name: other\n")
    shutil.rmtree(offer.workspace.images / "small")
    shown = trainer("reproduce", "@last", "--dry-run", "--json")
    assert (shown.code, shown.err) == (0, "")
    payload = json.loads(shown.out)
    assert payload["command"].startswith("python train.py skin ")
    assert payload["image_is_here"] is True
    assert payload["data"]["skin"] == recorded.take(offer.workspace, {"data": "skin"}, Shown())[0].digest
    assert payload["remarks"] == []
    table = trainer("reproduce", "@last", "--dry-run")
    assert f"brave-hen ({ID[:8]}) of demo" in table.out
    assert told(offer.server) == []


def test_a_file_of_the_code_comes_from_the_stored_code_and_is_no_data(
    trainer: Trainer, workspace: Workspace, http_server: HttpServer, tmp_path: Path
) -> None:
    offer = Offer(workspace, http_server)
    assert list(offer.plan.inputs.data) == ["data"]
    original = str(workspace.projects / "demo" / "weights.txt")
    parameters = offer.pins["parameters"]
    assert isinstance(parameters, Mapping)
    assert (parameters["weights"]["value"], parameters["weights"]["in_code"]) == (original, "weights.txt")
    shutil.rmtree(workspace.projects / "demo")
    shown = trainer("reproduce", "@last", "--dry-run", "--json")
    assert (shown.code, shown.err) == (0, "")
    assert original not in json.loads(shown.out)["command"]
    assert trainer("reproduce", "@last", "--export", str(tmp_path / "out")).code == 0
    assert "python train.py skin weights.txt 3" in (tmp_path / "out" / "run.sh").read_text()


def test_a_command_for_a_shell_is_made_again_whatever_the_files_are_called(
    trainer: Trainer, workspace: Workspace, http_server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = MLPROJECT.replace("command: ", "command: true && ").replace("weights.txt", "it's.txt")
    monkeypatch.setitem(globals(), "MLPROJECT", text)
    put(workspace.projects / "demo" / "it's.txt", "heavy")
    offer = Offer(workspace, http_server)
    assert offer.plan.command[:2] == ("bash", "-c")
    shown = trainer("reproduce", "@last", "--dry-run", "--json")
    assert (shown.code, shown.err) == (0, "")
    assert " && python train.py " in json.loads(shown.out)["command"]


def test_what_git_ignores_in_the_projects_folder_is_data(
    workspace: Workspace, http_server: HttpServer
) -> None:
    git(workspace.root, "init", "--quiet")
    put(workspace.projects / "demo" / ".gitignore", "*.h5\n")
    ignored = put(workspace.projects / "demo" / "big.h5", "weights")
    offer = Offer(workspace, http_server, weights=str(ignored))
    assert offer.plan.inputs.data == {"data": "skin", "weights": str(ignored)}


def test_an_environment_that_is_gone_would_be_built_from_what_was_stored(
    trainer: Trainer, offer: Offer
) -> None:
    shutil.rmtree(offer.workspace.state / "environments")
    shutil.rmtree(offer.workspace.images)
    shown = trainer("reproduce", "@last", "--dry-run")
    assert (shown.code, shown.err) == (0, "")
    assert "gone: to be built from its lock" in shown.out


def test_another_machine_and_another_trainer_are_remarks(trainer: Trainer, offer: Offer) -> None:
    host = {"system": "x", "cpu": "Z80", "cpus": 1, "memory": 65536, "gpus": ["H100, driver 580"]}
    offer.tell(host=host, trainer="0.0.1")
    remarks = json.loads(trainer("reproduce", "@last", "--dry-run", "--json").out)["remarks"]
    assert remarks[0].startswith("The run had 1 x Z80, this machine has ")
    assert remarks[1] == "The run had H100, driver 580, this machine has no GPU: the last digits may differ."
    assert remarks[2].startswith("The run was made by trainer 0.0.1; this is ")


@pytest.mark.parametrize("status", ["RUNNING", "DELETED"])
def test_only_a_run_that_has_ended_is_made_again(trainer: Trainer, offer: Offer, status: str) -> None:
    offer.tell(status)
    assert refused(trainer, offer) == (2, f"The run brave-hen is {status}.")


def test_a_live_run_is_not_made_again(trainer: Trainer, offer: Offer) -> None:
    live(offer.workspace, offer.run)
    assert refused(trainer, offer) == (2, "The run brave-hen has not ended.")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("trainer/run.json", "which says what it was made of."),
        ("trainer/source.tar.gz", "The run brave-hen has no artifact trainer/source.tar.gz."),
    ],
)
def test_what_was_not_stored_is_named(trainer: Trainer, offer: Offer, path: str, message: str) -> None:
    offer.store(path, None)
    code_, said = refused(trainer, offer)
    assert (code_, said.endswith(message)) == (2, True)


@pytest.mark.parametrize("path", ["trainer/source.tar.gz", "trainer/image.tar.gz"])
def test_an_archive_that_is_none_is_named(trainer: Trainer, offer: Offer, path: str) -> None:
    offer.store(path, b"no archive")
    code_, said = refused(trainer, offer)
    assert (code_, said.startswith(f"The artifact {path} of the run brave-hen cannot be unpacked: ")) == (
        2,
        True,
    )


def test_code_that_is_not_what_ran_is_refused(trainer: Trainer, offer: Offer) -> None:
    archive = (offer.workspace.state / "source.tar.gz").read_bytes()
    offer.store("trainer/source.tar.gz", changed(archive, "code/weights.txt", b"light"))
    assert refused(trainer, offer) == (
        2,
        "The code that is stored with the run brave-hen is not what it ran.",
    )


def test_a_lock_that_is_not_the_images_is_refused(trainer: Trainer, offer: Offer) -> None:
    packed = offer.plan.image.packed(offer.workspace)
    assert packed
    archive = packed.read_bytes()
    offer.store(
        "trainer/image.tar.gz", changed(archive, "small/requirements.txt", b"mlflow==1 --hash=sha256:00\n")
    )
    message = "The lock file that is stored with the run brave-hen is not what its image had."
    assert refused(trainer, offer) == (2, message)


def test_a_recipe_that_is_not_of_this_workspace_is_built_only_when_allowed(
    trainer: Trainer, offer: Offer
) -> None:
    def builds() -> list[str]:
        shown = trainer("reproduce", "@last", "--dry-run", "--json")
        assert shown.code == 0, shown.err
        return [what for what in json.loads(shown.out)["asks_to"] if what.startswith("build an image")]

    archive = offer.plan.image.packed(offer.workspace)
    assert archive
    packed = archive.read_bytes()
    shutil.rmtree(offer.workspace.state / "environments")
    assert builds() == []
    archive.unlink()
    assert builds() == []  # it is here as it is
    shutil.rmtree(offer.workspace.images / "small")
    assert len(builds()) == 1
    archive.write_bytes(packed)
    assert builds() == []  # a run had it
    offer.store("trainer/image.tar.gz", changed(packed, "Dockerfile", b"FROM other\n"))
    [what] = builds()
    code_, said = refused(trainer, offer)
    assert (code_, said.endswith(f"; to {what}.")) == (93, True)
    assert not (offer.workspace.state / "environments").exists()
    put(offer.workspace.state / "environments" / offer.place / "trainer-complete")


IMAGE_ID = f"sha256:{'1f' * 32}"
IMAGES = "/v1.41/images"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpServer]:
    """An engine that has one image, by its id alone; `docker` would reach it too."""
    payload = {"OSType": "linux", "KernelVersion": "6", "Architecture": "x86_64", "NCPU": 2, "MemTotal": 1}
    with serving() as server:
        server.replies["*"] = [Reply(404, json.dumps({"message": "No such image"}))]
        server.replies["/version"] = [Reply(body=json.dumps({"ApiVersion": "1.41"}))]
        server.replies["/v1.41/info"] = [
            Reply(body=json.dumps({**payload, "DockerRootDir": "/var/lib/docker"}))
        ]
        server.replies[f"{IMAGES}/{IMAGE_ID}/json"] = [Reply(body=json.dumps({"Id": IMAGE_ID}))]
        monkeypatch.setenv("DOCKER_HOST", server.uri.replace("http", "tcp"))
        yield server


def in_docker(offer: Offer, *repo_digests: str, gpus: str = "none") -> str:
    """Let the run have been one of the backend docker, in the engine's image; returns that one's tag."""
    image, command = offer.pins["image"], offer.pins["command"]
    assert isinstance(image, Mapping)
    assert isinstance(command, Mapping)
    project = mlproject.load(offer.workspace.projects / "demo")
    weights = {"weights": str(offer.workspace.root / "weights.txt")}
    run = request.make(
        offer.workspace, RunRequest(project, "train_code/demo", DOCKER, parameters=weights)
    ).command
    image = {**image, "id": IMAGE_ID, "repo_digests": repo_digests}
    resources = Resources(gpus, None, "2g", 4096, False)
    offer.tell(backend="docker", image=image, command={**command, "run": run}, resources=asdict(resources))
    return str(image["tag"])


def is_unchanged(engine: HttpServer) -> bool:
    """Whether the engine was only asked."""
    return {item.method for item in engine.asked} == {"GET"}


def test_an_image_that_only_the_run_names_is_asked_for_and_gets_no_tag(
    trainer: Trainer, offer: Offer, engine: HttpServer
) -> None:
    def asks() -> list[str]:
        shown = trainer("reproduce", "@last", "--dry-run", "--json")
        assert shown.code == 0, shown.err
        said = json.loads(shown.out)
        assert said["image_is_here"] is True
        return [what for what in said["asks_to"] if "in the image" in what]

    tag = in_docker(offer)
    wanted = f"run in the image {IMAGE_ID}, recorded as {tag}"
    assert asks() == [wanted]
    code_, said = refused(trainer, offer)
    assert (code_, wanted in said) == (93, True)
    # A run of this workspace had it as that.
    run = consent.StoredRun("another", "content")
    consent.of_run(
        offer.workspace, consent.RequestedPermissions(asks=tuple(consent.of_image(tag, IMAGE_ID))), run
    )
    code_, said = refused(trainer, offer)
    assert (code_, "the image" in said) == (93, False)
    # And not this one: that its tag names it here is as good.
    shutil.rmtree(offer.workspace.state / "allowed")
    engine.replies[f"{IMAGES}/{tag}/json"] = [Reply(body=json.dumps({"Id": IMAGE_ID}))]
    assert asks() == []
    assert is_unchanged(engine)


def test_an_image_that_has_to_be_asked_for_is_not_asked_about_gpus(
    trainer: Trainer, offer: Offer, engine: HttpServer
) -> None:
    in_docker(offer, gpus="all")
    assert trainer("reproduce", "@last", "--dry-run").code == 0
    assert is_unchanged(engine)


def test_an_image_is_pulled_only_when_that_is_allowed(
    trainer: Trainer, offer: Offer, engine: HttpServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker = put(tmp_path / "bin" / "docker", f'#!/bin/sh\necho "$@" >> {tmp_path}/docker-was-called\n')
    docker.chmod(0o700)
    monkeypatch.setenv("PATH", f"{docker.parent}:{os.environ['PATH']}")
    del engine.replies[f"{IMAGES}/{IMAGE_ID}/json"]
    name = f"registry.example.com:5000/team/small@{IMAGE_ID}"
    in_docker(offer, name)
    planned = trainer("reproduce", "@last", "--dry-run")
    assert "gone: to be pulled or built from its lock" in " ".join(planned.out.split())
    code_, said = refused(trainer, offer)
    assert (code_, f"have the image {name} pulled" in said) == (93, True)
    assert not (tmp_path / "docker-was-called").exists()
    assert is_unchanged(engine)


@pytest.mark.parametrize(
    "name", ["trainer/small:0123456789ab", f"small:1@{IMAGE_ID}", f"--all@{IMAGE_ID}", ""]
)
def test_an_image_is_pulled_by_its_digest_alone(trainer: Trainer, offer: Offer, name: str) -> None:
    in_docker(offer, name)
    code_, said = refused(trainer, offer)
    assert (code_, f"image.repo_digests: {name!r} is no NAME@sha256:DIGEST" in said) == (2, True)


@pytest.mark.parametrize(
    "changes", [{"tag": "trainer/../../runs:0123456789ab"}, {"digest": "../../../runs"}, {"digest": ""}]
)
def test_an_image_that_there_cannot_be_names_no_file(
    trainer: Trainer, offer: Offer, changes: Mapping[str, str]
) -> None:
    image = offer.pins["image"]
    assert isinstance(image, Mapping)
    offer.tell(image={**image, **changes})
    offer.store("trainer/image.tar.gz", None)
    code_, said = refused(trainer, offer)
    assert (code_, said.endswith("which cannot be.")) == (2, True)


def test_an_archive_that_leads_elsewhere_writes_nothing_there(trainer: Trainer, offer: Offer) -> None:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as tar:
        entry = tarfile.TarInfo("../../escaped")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"x"))
    offer.store("trainer/source.tar.gz", made.getvalue())
    assert refused(trainer, offer)[0] == 2
    assert not list(offer.workspace.root.rglob("escaped"))


def test_a_parameter_that_held_a_secret_cannot_be_given_again(trainer: Trainer, offer: Offer) -> None:
    parameters = offer.pins["parameters"]
    assert isinstance(parameters, Mapping)
    masked = {**parameters, "epochs": {"value": "a***b", "type": "string", "origin": "command line"}}
    offer.tell(parameters=masked)
    message = "The value of the parameter epochs held a secret, which was not recorded."
    assert refused(trainer, offer) == (2, message)


@pytest.mark.parametrize(
    ("source", "commit"),
    [("train_code/demo", ""), ("/", ""), ("..", ""), ("https://example.com/a.git", "c0ffee")],
)
def test_what_it_says_of_its_source_allows_it_nothing(
    trainer: Trainer, offer: Offer, source: str, commit: str
) -> None:
    # All of it was allowed to a project of that name.
    consent.check(
        offer.workspace, replace(offer.plan.asked, source=source, commit=commit), offer.plan.asked.asks
    )
    git = {"remote": source, "commit": commit, "branch": "main", "dirty": False} if commit else None
    offer.tell(source=source, git=git)
    code_, said = refused(trainer, offer)
    local = "run on this machine without a container, with all your rights"
    wants = f"have the value of the secret DEMO_KEY; to {local}"
    assert (code_, said) == (93, f"The code stored with the run {ID[:8]} asks to {wants}.")


def test_all_that_cannot_be_had_is_reported_at_once(trainer: Trainer, offer: Offer) -> None:
    picture = next(path for path in sorted((offer.workspace.data / "skin").rglob("*")) if path.is_file())
    picture.write_bytes(b"altered")
    (offer.workspace.root / "weights.txt").write_text("light")
    (offer.workspace.root / "secrets.env").write_text("")
    code_, said = refused(trainer, offer)
    assert code_ == 89
    assert said.startswith("The run brave-hen cannot be reproduced: skin is not what the run had: ")
    assert f"{picture.relative_to(offer.workspace.data / 'skin')} (changed)." in said
    assert f"{offer.workspace.root / 'weights.txt'} is not what the run had" in said
    assert "demo needs the variable DEMO_KEY, which is not set." in said


def test_data_that_is_gone_is_named(trainer: Trainer, offer: Offer) -> None:
    shutil.rmtree(offer.workspace.data / "skin")
    code_, said = refused(trainer, offer)
    assert (code_, "skin, which the run had as --data, is not there." in said) == (89, True)


def test_a_tolerance_is_checked_before_anything_runs(trainer: Trainer, offer: Offer) -> None:
    assert refused(trainer, offer, "--tolerance", "lots") == (2, "--tolerance lots is invalid.")
    assert refused(trainer, offer, "--tolerance", "acuracy=1") == (2, "The run has no metric acuracy.")


@pytest.mark.usefixtures("offer")
def test_an_export_says_what_belongs_into_it_and_overwrites_nothing(trainer: Trainer, tmp_path: Path) -> None:
    place = tmp_path / "out"
    dry = trainer("reproduce", "@last", "--export", str(place), "--dry-run", "--json")
    assert json.loads(dry.out)["missing"] == ["data/skin", "inputs/weights/weights.txt"]
    assert not place.exists()
    made = trainer("reproduce", "@last", "--export", str(place))
    assert (made.code, made.err) == (0, "")
    assert f"{place}/data/skin (or --with-data)" in made.out
    assert subprocess.run(["sh", "-n", str(place / "run.sh")], check=True).returncode == 0
    assert os.access(place / "run.sh", os.X_OK)
    assert "--env DEMO_KEY \\" in (place / "run.sh").read_text()
    # Of the local backend too: the command is that of a container.
    assert "python train.py skin /inputs/weights/weights.txt 3" in (place / "run.sh").read_text()
    assert json.loads((place / "metrics.json").read_text())["metrics"] == {"accuracy": "0.9"}
    assert not any(b"s3cret-value" in path.read_bytes() for path in place.rglob("*") if path.is_file())
    sums = [line.split() for line in (place / "data.sha256").read_text().splitlines()]
    assert len(sums) == 5
    assert {path.split("/")[1] for _, path in sums} == {"skin", "weights"}
    before = sorted(tmp_path.rglob("*"))
    assert trainer("reproduce", "@last", "--export", str(place)).code == 2
    assert trainer("reproduce", "@last", "--export", str(tmp_path / "no" / "folder")).code == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_altered_data_is_not_exported(trainer: Trainer, offer: Offer, tmp_path: Path) -> None:
    put(offer.workspace.data / "skin" / "new.png", "new")
    code_, said = refused(trainer, offer, "--export", str(tmp_path / "out"), "--with-data")
    assert (code_, said) == (89, "skin is not what the run had: new.png (added).")
    assert not (tmp_path / "out").exists()
