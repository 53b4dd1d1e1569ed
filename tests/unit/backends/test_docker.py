import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from trainer import subprocesses
from trainer.backends import base, registry
from trainer.backends.base import Launch, shell_variables
from trainer.backends.docker import backend, job
from trainer.backends.docker import config as docker_container
from trainer.backends.docker.slots import machine
from trainer.engine import daemon, one_off, run_user
from trainer.engine.daemon import EngineUnavailable
from trainer.engine.run_user import RunUser
from trainer.errors import EngineError, GpuError, InvalidInput, RunLost, TrackingError
from trainer.host import disk, gpu, living
from trainer.images import build, spec, trainer_image
from trainer.plan.run_plan import RunPlan
from trainer.projects.mounts import Mount
from trainer.slots.need import Slot
from trainer.tracking.endpoint import Server
from trainer.workspace.run_folder import RunFolder
from trainer.workspace.run_folders import Record
from trainer.workspace.settings import Workspace

from unit.helpers import DEAD_ENGINE, changed, fails, put, run_plan

if TYPE_CHECKING:
    import docker

USER = RunUser(1234, 5678)
CANARY = "canary-7f3a-%s-'quoted\"-$HOME-`id`-\\-\n-ž-end"


RECORD = Record("r1", "demo", "docker", "http://localhost:5000", own_server=True, secret_names=("A", "B"))


@pytest.fixture
def client() -> "docker.DockerClient":
    """A client that has never spoken to an engine."""
    import docker

    return docker.DockerClient(base_url=DEAD_ENGINE, version="1.45")


@pytest.fixture
def launch(tmp_path: Path) -> Launch:
    return Launch(
        record=RECORD,
        workspace="w1",
        image_id="sha256:1234",
        folder=RunFolder(tmp_path),
        environment={"MLFLOW_RUN_ID": "r1", "MODE": "of the launch"},
        secret_environment={"API_KEY": CANARY},
        credentials=("me", CANARY),
    )


def config(
    client: "docker.DockerClient", plan: RunPlan, launch: Launch, user: RunUser = USER
) -> dict[str, object]:
    return docker_container.container_config(client, plan, launch, user)


def test_the_container_as_the_engine_is_asked_for_it(
    client: "docker.DockerClient", tmp_path: Path, launch: Launch
) -> None:
    mounts = (Mount("trainer-cache", "/cache", read_only=False, kind="volume"), Mount("/site/data", "/data"))
    plan = run_plan(tmp_path, mounts=mounts, memory="512m", gpus="2", variables={"MODE": "x", "A": "b c"})
    said = config(client, plan, launch)
    host = cast(dict[str, object], said.pop("HostConfig"))
    given = {key: value for key, value in said.items() if value not in (None, False)}
    assert sorted(cast(list[str], given.pop("Env"))) == [
        "A=b c",
        "HOME=/trainer/home",
        "MLFLOW_RUN_ID=r1",
        "MODE=of the launch",
        "TINI_KILL_PROCESS_GROUP=1",
        "TRAINER_SPOOL=/trainer/spool",
        "USER=trainer",
    ]
    assert given == {
        "Image": "sha256:1234",
        "Entrypoint": [""],
        "Cmd": [
            *["sh", "/trainer/run/start.sh", "/trainer/run/result", "/trainer/run/environment"],
            *["python", "train.py", "a b;$(c)"],
        ],
        "User": "1234:5678",
        "WorkingDir": "/trainer/code",
        "Labels": {
            "trainer.run_id": "r1",
            "trainer.workspace": "w1",
            "trainer.host": RECORD.host,
            "trainer.tracking_uri": "http://localhost:5000",
            "trainer.own_server": "true",
            "trainer.keep_files": "false",
            "trainer.project": "demo",
            "trainer.run_name": "",
            "trainer.secret_names": "A,B",
            "trainer.slot": "",
            "trainer.slot.owner": living.this_process(),
            "trainer.gpus": "",
            "trainer.cpus": "",
            "trainer.memory": "512m",
        },
        "StopSignal": "SIGINT",
        "StopTimeout": 5,
        "AttachStdout": True,
        "AttachStderr": True,
    }
    mounted = cast(list[dict[str, object]], host.pop("Mounts"))
    assert [{k: mount[k] for k in ("Source", "Target", "Type", "ReadOnly")} for mount in mounted] == [
        {"Source": "trainer-cache", "Target": "/cache", "Type": "volume", "ReadOnly": False},
        {"Source": "/site/data", "Target": "/data", "Type": "bind", "ReadOnly": True},
        {
            "Source": str(launch.folder.path / "spool"),
            "Target": "/trainer/spool",
            "Type": "bind",
            "ReadOnly": False,
        },
    ]
    devices = [
        {k: v for k, v in request.items() if v}
        for request in cast(list[dict[str, object]], host.pop("DeviceRequests"))
    ]
    assert devices == [{"Count": 2, "Capabilities": [["gpu"]]}]
    assert {key: value for key, value in host.items() if value is not None} == {
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "Init": True,
        "ExtraHosts": ["host.docker.internal:host-gateway"],
        "ShmSize": 2 << 30,
        "PidsLimit": 4096,
        "ReadonlyRootfs": False,
        "Memory": 512 << 20,
        "MemorySwap": 512 << 20,
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "1000t"}},
        "NetworkMode": "default",
    }


def test_a_read_only_container_can_write_to_its_own_folder_and_to_tmp(
    client: "docker.DockerClient", tmp_path: Path, launch: Launch
) -> None:
    host = cast(dict[str, object], config(client, run_plan(tmp_path, read_only=True), launch)["HostConfig"])
    assert host["ReadonlyRootfs"] is True
    assert host["Tmpfs"] == {"/tmp": "exec,mode=1777"}
    own, spool = cast(list[dict[str, object]], host["Mounts"])
    assert (own["Target"], own["Source"], own["Type"]) == ("/trainer", None, "volume")
    assert (spool["Target"], spool["Type"], spool["ReadOnly"]) == ("/trainer/spool", "bind", False)


def test_no_secret_is_in_the_containers_configuration(
    client: "docker.DockerClient", tmp_path: Path, launch: Launch
) -> None:
    said = repr(config(client, run_plan(tmp_path), launch)) + json.dumps(
        config(client, run_plan(tmp_path), launch)
    )
    assert "canary" not in said
    assert "API_KEY" not in said


def test_printing_a_launch_shows_no_secret(launch: Launch) -> None:
    assert "canary" not in repr(launch)


def test_without_a_limit_there_is_none(client: "docker.DockerClient", tmp_path: Path, launch: Launch) -> None:
    host = cast(dict[str, object], config(client, run_plan(tmp_path), launch)["HostConfig"])
    assert not host.get("Memory")
    assert not host.get("MemorySwap")
    assert not host.get("DeviceRequests")


@pytest.mark.parametrize(
    ("gpus", "requests"),
    [
        ("none", []),
        ("all", [{"count": -1, "capabilities": [["gpu"]]}]),
        ("3", [{"count": 3, "capabilities": [["gpu"]]}]),
        ("device=1", [{"device_ids": ["1"], "capabilities": [["gpu"]]}]),
        ("device=0,GPU-3a", [{"device_ids": ["0", "GPU-3a"], "capabilities": [["gpu"]]}]),
    ],
)
def test_gpus_as_docker_run_asks_for_them(gpus: str, requests: object) -> None:
    assert one_off.device_requests(gpus) == requests


@pytest.mark.parametrize(
    ("username", "password"),
    [("me", "hunter2"), ("a@b", "100%"), ("%(x)s", "%%"), ("žena", "a=b:c;d#e ; # f"), ("me", "[mlflow]")],
)
def test_mlflow_reads_the_credentials_back(username: str, password: str) -> None:
    from mlflow.utils.credentials import read_mlflow_creds

    put(Path.home() / ".mlflow" / "credentials", docker_container.credentials_file((username, password)))
    assert read_mlflow_creds() == (username, password)


def test_the_private_files_are_the_users_alone(launch: Launch) -> None:
    with tarfile.open(fileobj=io.BytesIO(docker_container.private_files(launch, USER))) as tar:
        modes = {entry.name: entry.mode for entry in tar}
        assert {(entry.uid, entry.gid) for entry in tar} == {(1234, 5678)}
    assert modes == {
        "home": 0o700,
        "home/.mlflow": 0o700,
        "home/.mlflow/credentials": 0o600,
        "run": 0o700,
        "run/start.sh": 0o600,
        "run/environment": 0o600,
        "run/result.files": 0o600,
    }


def test_without_credentials_there_is_no_file_of_them(launch: Launch) -> None:
    packed = docker_container.private_files(replace(launch, credentials=None), USER)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        assert "home/.mlflow/credentials" not in tar.getnames()


def test_secrets_reach_the_command_as_they_are_and_their_file_is_gone(tmp_path: Path) -> None:
    start = Path(backend.__file__).parents[1] / "start.sh"
    environment = put(tmp_path / "environment", shell_variables({"API_KEY": CANARY, "EMPTY": ""}))
    command = [
        "sh",
        "-c",
        'printf "%s|%s|%s" "$API_KEY" "$EMPTY" "$1"; ls "$0" >&2',
        str(environment),
        "a b;$(c)",
    ]
    done = subprocess.run(
        ["sh", str(start), str(tmp_path / "result"), str(environment), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith(f"{CANARY}||a b;$(c)")
    assert "No such file" in done.stdout  # both streams are one
    assert done.stderr == ""
    assert not environment.exists()


def test_a_server_of_this_machine_is_not_this_machines_for_a_remote_engine(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker_backend = registry.named("docker", workspace)
    assert docker_backend.reachable_uri(Server("http://127.0.0.1:5000")) == "http://host.docker.internal:5000"
    monkeypatch.setenv("DOCKER_HOST", "ssh://me@far")
    assert docker_backend.reachable_uri(Server("https://example.com")) == "https://example.com"
    with fails(
        TrackingError,
        "The engine at ssh://me@far is another machine: its containers cannot reach http://127.0.0.1:5000.",
        "Set MLFLOW_TRACKING_URI to a server that both machines reach.",
    ):
        docker_backend.reachable_uri(Server("http://127.0.0.1:5000"))


def test_a_remote_engine_cannot_mount_this_machines_files(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://far:2375")
    plan = run_plan(
        workspace.root, mounts=(Mount("cache", "/cache", kind="volume"), Mount("/site/data", "/data"))
    )
    with fails(
        InvalidInput,
        "/site/data is on this machine; the engine at tcp://far:2375 cannot mount it.",
        "Run on a local engine, or let the script read the data from a URI.",
    ):
        registry.named("docker", workspace).check(plan)


def test_what_a_run_can_do_without_is_not_mounted_by_a_remote_engine(
    workspace: Workspace, client: "docker.DockerClient", launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = run_plan(workspace.root, mounts=(Mount("/site/data", "/data", optional=True),))

    def targets(user: RunUser) -> list[object]:
        host = cast(dict[str, object], config(client, plan, launch, user)["HostConfig"])
        return [mount["Target"] for mount in cast(list[dict[str, object]], host["Mounts"])]

    assert targets(USER) == ["/data", "/trainer/spool"]
    monkeypatch.setenv("DOCKER_HOST", "tcp://far:2375")
    monkeypatch.setattr(disk, "check", lambda *_: None)
    registry.named("docker", workspace).check(plan)
    assert targets(RunUser(1234, 5678, "the engine is on another machine")) == []


def test_without_an_engine(workspace: Workspace) -> None:
    with fails(EngineUnavailable, f"No Docker engine answers at {DEAD_ENGINE}."):
        registry.named("docker", workspace).connect()


@pytest.mark.parametrize("address", ["http://[", "npipe://x", "tcp://a:b:c"])
def test_an_address_that_is_none(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("DOCKER_HOST", address)
    with fails(EngineError, f"{address} is not the address of a Docker engine."):
        registry.named("docker", workspace).connect()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', GpuError),
        ("failed to inject CDI: unresolvable: nvidia.com/gpu=all", GpuError),
        ("driver failed programming external connectivity", RunLost),
    ],
)
def test_why_a_container_did_not_start(text: str, kind: type[Exception]) -> None:
    assert type(one_off.start_failure("all", RuntimeError(text))) is kind


CARD = "0, NVIDIA H200, 570.124.06, 9.0, 143000, 143771\n"
BUILT = '[{"framework": "TensorFlow 2.21.0", "cuda": "12.5", "architectures": ["sm_80", "compute_90"]}]'


@pytest.fixture
def cuda(workspace: Workspace, client: "docker.DockerClient") -> tuple[backend.DockerBackend, RunPlan]:
    """A backend that has not been asked anything, and a plan with a GPU in an image that has CUDA."""
    lock = "mlflow==3 --hash=sha256:00\nnvidia-cuda-runtime-cu12==12.9.79 --hash=sha256:00\n"
    put(workspace.images / "small" / "requirements.txt", lock)
    image = trainer_image.plan(workspace, spec.spec(workspace, "small"))
    docker_backend = backend.DockerBackend(workspace)
    docker_backend._client = client
    return docker_backend, run_plan(workspace.root, image=image, gpus="all")


def answers(
    monkeypatch: pytest.MonkeyPatch, smi: one_off.Output, built: str = BUILT
) -> list[tuple[str, str]]:
    """Containers answer as told: there is no GPU here. Returns what is run, and with which GPUs."""
    asked: list[tuple[str, str]] = []

    def run(_: object, image: str, command: tuple[str, ...], *, gpus: str = "none") -> one_off.Output:
        assert image.startswith("trainer/small:")
        asked.append((command[0], gpus))
        return smi if command == gpu.QUERY else one_off.Output(0, built, "noise")

    monkeypatch.setattr(machine, "run", run)
    return asked


def test_gpus_that_suit_the_image_are_asked_for_what_they_are(
    cuda: tuple[backend.DockerBackend, RunPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, one_off.Output(0, CARD, ""))
    cuda[0].preflight(cuda[1])
    assert asked == [("nvidia-smi", "all"), ("python", "none")]
    cuda[0].preflight(cuda[1])  # what the image was built for is remembered
    assert asked[2:] == [("nvidia-smi", "all")]


def test_an_answer_about_gpus_that_the_engine_lost_is_asked_for_again(
    cuda: tuple[backend.DockerBackend, RunPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = [one_off.Output(0, CARD, ""), one_off.Output(0, "", "")]

    def run(*arguments: object, **_: object) -> one_off.Output:
        return said.pop() if arguments[2] == gpu.QUERY else one_off.Output(0, BUILT, "")

    monkeypatch.setattr(machine, "run", run)
    cuda[0].preflight(cuda[1])
    assert said == []
    said += [one_off.Output(0, "", "")] * 3
    with fails(GpuError, "nvidia-smi finds no GPU."):
        cuda[0].preflight(cuda[1])


def test_of_several_gpus_those_that_suit_the_image_are_enough(
    cuda: tuple[backend.DockerBackend, RunPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = CARD.replace("9.0", "7.5")
    second, third = (CARD.replace("0,", f"{number},", 1) for number in (1, 2))
    answers(monkeypatch, one_off.Output(0, f"{old}{second}{third}", ""))
    cuda[0].preflight(changed(cuda[1], gpus="1"))
    assert [card.index for card in cuda[0]._cards(None)] == ["1"]
    cuda[0].preflight(changed(cuda[1], gpus="2"))
    for gpus in ("3", "all", "device=0"):
        with pytest.raises(GpuError, match=r"GPU 0 \(NVIDIA H200\) has compute capability 7.5"):
            cuda[0].preflight(changed(cuda[1], gpus=gpus))


def test_gpus_that_do_not_suit_the_image_stop_the_run(
    cuda: tuple[backend.DockerBackend, RunPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, one_off.Output(0, CARD.replace("9.0", "7.5"), ""))
    with pytest.raises(GpuError, match=r"compute capability 7.5; TensorFlow 2.21.0 was built for sm_80"):
        cuda[0].preflight(cuda[1])


def test_a_driver_that_does_not_answer_stops_the_run(
    cuda: tuple[backend.DockerBackend, RunPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, one_off.Output(18, "Driver/library version mismatch\n", ""))
    with fails(GpuError, "nvidia-smi failed in a container with --gpus all: Driver/library version mismatch"):
        cuda[0].preflight(cuda[1])


def test_a_workspace_says_how_much_memory_of_a_gpu_has_to_be_free(
    cuda: tuple[backend.DockerBackend, RunPlan], workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(monkeypatch, one_off.Output(0, CARD, ""))
    settings = replace(workspace.settings, gpu_free_gb=200)
    cuda[0]._workspace = replace(workspace, settings=settings)
    with pytest.raises(GpuError, match="200 GB are asked for"):
        cuda[0].preflight(cuda[1])


def test_nothing_is_asked_where_no_gpu_is_asked_for(
    cuda: tuple[backend.DockerBackend, RunPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answers(monkeypatch, one_off.Output(1, "", ""))
    cuda[0].preflight(changed(cuda[1], gpus="none"))
    assert asked == []


def test_an_image_without_cuda_is_refused_at_once(workspace: Workspace) -> None:
    plan = run_plan(
        workspace.root, image=trainer_image.plan(workspace, spec.spec(workspace, "small")), gpus="all"
    )
    with pytest.raises(GpuError, match=f"The image {plan.image.tag} has nothing in it that uses a GPU"):
        registry.named("docker", workspace).check(plan)


def test_gigabytes_are_not_built_for_a_gpu_that_is_not_there(
    cuda: tuple[backend.DockerBackend, RunPlan], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocesses, "capture", lambda *_: None)
    monkeypatch.setattr(build, "image_id", lambda *_: None)
    with fails(GpuError, "--gpus all: this machine has no usable NVIDIA GPU (nvidia-smi does not answer)."):
        cuda[0].check(cuda[1])
    monkeypatch.setattr(build, "image_id", lambda *_: "sha256:1")
    monkeypatch.setattr(disk, "check", lambda *_: None)
    cuda[0].check(cuda[1])  # a container is asked later


def test_a_runs_container_is_found_by_its_name() -> None:
    assert docker_container.container_name("r1") == "trainer-r1"


def test_a_stranger_gets_the_spool_put_in(
    client: "docker.DockerClient", tmp_path: Path, launch: Launch
) -> None:
    said = config(client, run_plan(tmp_path), launch, RunUser(1000, 1000, "the engine remaps user ids"))
    assert said["User"] == "1000:1000"
    assert not cast(dict[str, object], said["HostConfig"]).get("Mounts")


def test_a_stranger_gets_what_is_written_into_the_spool_until_it_starts(
    workspace: Workspace, client: "docker.DockerClient", launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(launch.folder.source, "")
    put(launch.spool / "run.json", "{}")
    given: list[str] = []

    def take(_: str, __: str, content: object) -> None:
        if isinstance(content, bytes):
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                given.extend(tar.getnames())

    for name, answer in (
        ("create_container_from_config", lambda *_: {"Id": "c1"}),
        ("put_archive", take),
        ("start", lambda _: given.append("started")),
    ):
        monkeypatch.setattr(client.api, name, answer)
    monkeypatch.setattr(run_user, "of", lambda _: RunUser(1000, 1000, "the engine remaps user ids"))
    docker_backend = backend.DockerBackend(workspace)
    docker_backend._client = client
    docker_backend.start(
        run_plan(workspace.root), launch, lambda: put(launch.spool / "outbox" / "0" / "a.txt", "")
    )
    assert "spool/outbox/0/a.txt" in given
    assert given[-1] == "started"


def packed(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    into = io.BytesIO()
    with tarfile.open(fileobj=into, mode="w") as tar:
        tar.addfile(member, io.BytesIO(content))
    return into.getvalue()


def member(
    name: str = "result", size: int = 0, kind: bytes = tarfile.REGTYPE, to: str = ""
) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size, made.type, made.linkname = size, kind, to
    return made


def test_what_start_sh_wrote_is_read() -> None:
    assert job.content([packed(member(size=4), b"0 2\n")], 1024) == "0 2\n"
    assert job.content([packed(member())], 1024) == ""


@pytest.mark.parametrize(
    "replaced",
    [
        member(kind=tarfile.SYMTYPE, to="/etc/passwd"),
        member(kind=tarfile.LNKTYPE, to="/etc/passwd"),
        member(kind=tarfile.DIRTYPE),
        member(kind=tarfile.FIFOTYPE),
    ],
    ids=["link", "hard link", "folder", "pipe"],
)
def test_what_a_run_put_in_its_place_is_no_result(replaced: tarfile.TarInfo) -> None:
    assert job.content([packed(replaced)], 1024) is None


@pytest.mark.parametrize("answer", [b"", b"\0" * 10240, b"rubbish" * 1000])
def test_an_answer_without_a_file_is_no_result(answer: bytes) -> None:
    assert job.content([answer], 1024) is None


def test_a_result_of_any_size_is_not_read_to_its_end() -> None:
    taken = []

    def pieces() -> Iterator[bytes]:
        yield member(size=1 << 40).tobuf()
        for number in range(1000):
            taken.append(number)
            yield bytes(1 << 16)

    assert job.content(pieces(), 1024) is None
    assert len(taken) <= 2


@pytest.mark.parametrize("text", ["", "x", "0 1 2", "256", "9" * 1000, "0 999", "-1"])
def test_what_no_command_ends_with_is_no_result(text: str) -> None:
    assert base.read_result(text) is None
    assert base.read_result("137 15\n") == (137, 15)


def test_a_run_has_the_gpus_and_cores_of_its_slot(
    client: "docker.DockerClient", tmp_path: Path, launch: Launch
) -> None:
    slot = Slot("t0ken", ("GPU-a", "GPU-b"), "0-1,4", "8g")
    said = config(client, run_plan(tmp_path, gpus="2", cpus=3), replace(launch, slot=slot))
    host = cast(dict[str, Any], said["HostConfig"])
    assert host["CpusetCpus"] == "0-1,4"
    assert [request["DeviceIDs"] for request in host["DeviceRequests"]] == [["GPU-a", "GPU-b"]]
    assert "TRAINER_CPUS=3" in cast(list[str], said["Env"])
    labels = cast(dict[str, str], said["Labels"])
    assert {key: labels[f"trainer.{key}"] for key in ("slot", "gpus", "cpus", "memory")} == {
        "slot": "t0ken",
        "gpus": "GPU-a,GPU-b",
        "cpus": "0-1,4",
        "memory": "8g",
    }


def test_more_cores_than_the_engine_has_are_refused_at_once(
    workspace: Workspace, client: "docker.DockerClient", monkeypatch: pytest.MonkeyPatch
) -> None:
    docker_backend = backend.DockerBackend(workspace)
    docker_backend._client = client
    said = {"NCPU": 2, "CPUSet": True}
    monkeypatch.setattr(daemon, "info", lambda _: said)
    docker_backend.check(run_plan(workspace.root, cpus=2))
    with fails(InvalidInput, "--cpus 3: the machine has 2 cores."):
        docker_backend.check(run_plan(workspace.root, cpus=3))
    said["CPUSet"] = False
    with pytest.raises(InvalidInput, match="cannot bind a run to cores"):
        docker_backend.check(run_plan(workspace.root, cpus=1))
