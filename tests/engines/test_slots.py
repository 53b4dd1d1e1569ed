"""GPUs, cores and memory that runs have for themselves, on an engine with pretend GPUs."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pretend_gpus
import private_engine
import pytest
from docker.models.containers import Container
from pretend_gpus import THREE, Gpu, PretendEngine
from support import Site
from trainer.backends.docker.slots import claims, holders, machine
from trainer.errors import GpuError, NoFreeSlot
from trainer.host import living
from trainer.slots.choosing import Machine
from trainer.slots.need import Need, Slot

pytestmark = pytest.mark.root
UUIDS = [gpu.uuid for gpu in THREE]
GB = 1 << 30
PROJECT = """
name: working
docker_env: {image: trainer/tiny}
entry_points:
  main: {command: "sh -c 'nvidia-smi -L; echo threads $OMP_NUM_THREADS $TF_NUM_INTRAOP_THREADS'"}
  wait: {command: "sh -c 'echo ready; sleep 300'"}
  short: {command: "sleep 2"}
"""
# Claims one GPU after another, until it is killed; has a lock on the file of each that it has.
CLAIMER = """
import fcntl, os, sys, time
import docker
from trainer.backends.docker.slots import claims
from trainer.errors import NoFreeSlot
from trainer.slots.choosing import Machine
from trainer.slots.devices import Device
from trainer.slots.need import Need
address, image, place, times, uuids = sys.argv[1:4] + [int(sys.argv[4]), sys.argv[5].split(",")]
client = docker.DockerClient(base_url=address)
machine = Machine(tuple(Device(u, str(n), "H200") for n, u in enumerate(uuids)), (0, 1), 1 << 34)
client.ping()
print("ready", flush=True)
sys.stdin.readline()
for _ in range(times):
    try:
        slot = claims.take(client, Need("1"), image, machine)
    except NoFreeSlot:
        print("none", flush=True)
        time.sleep(0.02)
        continue
    with open(os.path.join(place, slot.gpus[0]), "a") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("TWICE", slot.gpus[0], flush=True)
        print("has", slot.gpus[0], flush=True)
        if times == 1:
            sys.stdin.read()
        time.sleep(0.02)
    claims.give_back(client, slot.token)
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[PretendEngine]:
    with pretend_gpus.engine() as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, engine: PretendEngine) -> Iterator[Site]:
    made = pretend_gpus.site(tmp_path_factory.mktemp("tiny"), 5741, {"working": PROJECT}, engine)
    yield made
    made.trainer("server", "down", "--force")


@pytest.fixture(scope="module")
def second_site(
    tmp_path_factory: pytest.TempPathFactory,
    engine: PretendEngine,
    site: Site,  # noqa: ARG001
) -> Iterator[Site]:
    made = pretend_gpus.site(tmp_path_factory.mktemp("second"), 5742, {"working": PROJECT}, engine)
    yield made
    made.trainer("server", "down", "--force")


@pytest.fixture
def client(engine: PretendEngine, site: Site) -> Iterator[docker.DockerClient]:  # noqa: ARG001 (has the image)
    """Of the engine, which has no containers and all its GPUs."""
    engine.has(THREE)
    connected = engine.client()
    yield connected
    for container in connected.containers.list(all=True, ignore_removed=True):
        with contextlib.suppress(docker.errors.NotFound):
            container.remove(force=True)


@pytest.fixture
def image(client: docker.DockerClient) -> str:
    return str(next(one.tags[0] for one in client.images.list() if one.tags))


@pytest.fixture
def has(client: docker.DockerClient, image: str) -> Machine:
    return Machine(machine.seen(client, image), (0, 1, 2, 3), 16 * GB)


def env(engine: PretendEngine) -> dict[str, str]:
    return {"DOCKER_HOST": engine.address}


def waiting(site: Site, engine: PretendEngine, *options: str) -> subprocess.Popen[str]:
    """A run that has started and goes on."""
    process = site.start("run", "working", "-e", "wait", *options, env=env(engine))
    assert process.stdout
    assert process.stdout.readline().strip() == "ready", process.communicate()
    return process


def run_containers(client: docker.DockerClient) -> list[Container]:
    return client.containers.list(all=True, filters={"label": "trainer.run_id"})


def claimer(engine: PretendEngine, image: str, place: Path, times: int) -> subprocess.Popen[str]:
    arguments = [engine.address, image, str(place), str(times), ",".join(UUIDS)]
    return subprocess.Popen(
        [sys.executable, "-c", CLAIMER, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def begin(*claimers: subprocess.Popen[str]) -> None:
    """All at once, when all have got that far."""
    for one in claimers:
        assert one.stdout
        assert one.stdin
        assert one.stdout.readline().strip() == "ready"
    for one in claimers:
        assert one.stdin
        one.stdin.write("\n")
        one.stdin.flush()


def test_of_eight_that_race_for_three_gpus_three_get_one_each(
    engine: PretendEngine, client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    racers = [claimer(engine, image, tmp_path, 1) for _ in range(8)]
    begin(*racers)
    said = [one.stdout.readline().strip() for one in racers if one.stdout]
    assert sorted(said) == sorted([*(f"has {uuid}" for uuid in UUIDS), *["none"] * 5])
    named = sorted(str(one.name)[:13] for one in client.containers.list(all=True))
    assert named == ["trainer-slot-"] * 3
    for one in racers:
        one.communicate()
    assert client.containers.list(all=True) == []


def test_who_is_killed_at_any_moment_leaves_nothing_for_ever(
    engine: PretendEngine, client: docker.DockerClient, image: str, has: Machine, tmp_path: Path
) -> None:
    said = ""
    for _ in range(4):
        claimers = [claimer(engine, image, tmp_path, 10_000) for _ in range(5)]
        begin(*claimers)
        for one in claimers:
            time.sleep(random.uniform(0.05, 0.5))
            one.kill()
        for one in claimers:
            said += one.communicate()[0]
        at = time.monotonic()
        slot = claims.take(client, Need("all"), image, has)
        assert time.monotonic() - at < 5
        assert list(slot.gpus) == UUIDS
        assert len(client.containers.list(all=True)) == 1
        claims.give_back(client, slot.token)
    assert said.count("has") > 20
    assert "TWICE" not in said


def test_who_is_suspended_while_deciding_is_passed_over_and_takes_nothing(
    client: docker.DockerClient, image: str, has: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "_DECIDES_S", 0.5)
    slow = Slot("slow", (UUIDS[0],))
    container = claims._create(client, slot=slow, image_id=image)
    assert claims.take(client, Need("1"), image, has).gpus == (UUIDS[0],)
    assert not claims._named(client, container, claims.name("slow"))


def test_a_slot_of_another_machines_process_is_believed_for_ten_minutes(
    client: docker.DockerClient, image: str, has: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(living, "this_process", lambda: "another-boot/pid:[1] 1 1")
    claims.take(client, Need("1"), image, has)
    monkeypatch.undo()
    assert claims.take(client, Need("1"), image, has).gpus == (UUIDS[1],)
    monkeypatch.setattr(holders, "_BELIEVED_S", 0)
    assert claims.take(client, Need("1"), image, has).gpus == (UUIDS[0],)


def test_a_slot_whose_run_has_ended_is_free_before_it_is_given_back(
    client: docker.DockerClient, image: str, has: Machine
) -> None:
    slot = claims.take(client, Need("all"), image, has)
    container = client.containers.create(
        image, ["sleep", "300"], labels={**holders.labels(slot), "trainer.run_id": "1" * 32}
    )
    with pytest.raises(NoFreeSlot):
        claims.take(client, Need("1"), image, has)
    container.start()
    with pytest.raises(NoFreeSlot):
        claims.take(client, Need("1"), image, has)
    container.kill()
    container.wait()
    assert list(claims.take(client, Need("all"), image, has).gpus) == UUIDS
    claims.give_back(client, slot.token)


def test_what_a_killed_launcher_was_about_to_start_does_not_start_with_what_another_has(
    client: docker.DockerClient, image: str, has: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", "from trainer.host import living; print(living.this_process())"],
        capture_output=True,
        text=True,
        check=True,
    )
    monkeypatch.setattr(living, "this_process", killed.stdout.strip)
    begun, late = (
        client.containers.create(
            image, ["sleep", "300"], labels={**holders.labels(Slot(uuid, (uuid,))), "trainer.run_id": uuid}
        )
        for uuid in UUIDS[:2]
    )
    monkeypatch.undo()
    begun.start()
    assert claims.take(client, Need("2"), image, has).gpus == tuple(UUIDS[1:])
    with pytest.raises(docker.errors.NotFound):
        late.start()


def test_what_the_trials_of_a_sweep_have_in_turns_is_the_sweeps(
    client: docker.DockerClient, image: str, has: Machine
) -> None:
    slot = claims.take(client, Need(cpus=4), image, has)
    labels = {**holders.labels(slot), "trainer.run_name": "woods", "trainer.parent_id": "1" * 32}
    client.containers.run(image, ["sleep", "300"], labels=labels, detach=True, network_mode="none")
    with pytest.raises(NoFreeSlot, match=r"0 of 4 cores free\. In use by the sweep woods"):
        claims.take(client, Need(cpus=1), image, has)


def test_cores_of_slots_are_disjoint_and_memory_is_promised_once(
    client: docker.DockerClient, image: str, has: Machine
) -> None:
    first = claims.take(client, Need(cpus=2, memory="10g"), image, has)
    second = claims.take(client, Need(cpus=1), image, has)
    assert (first.cpus, second.cpus) == ("0-1", "2")
    with pytest.raises(NoFreeSlot, match=r"--cpus 2: 1 of 4 cores free."):
        claims.take(client, Need(cpus=2), image, has)
    with pytest.raises(NoFreeSlot, match=r"--memory 7g: 6.0 of 16.0 GB are free."):
        claims.take(client, Need(memory="7g"), image, has)
    claims.give_back(client, first.token)
    claims.give_back(client, first.token)
    assert claims.take(client, Need(cpus=3, memory="16g"), image, has).cpus == "0-1,3"


def test_a_run_has_the_gpus_and_cores_that_it_asks_for_and_leaves_them(
    site: Site, engine: PretendEngine, client: docker.DockerClient
) -> None:
    process = waiting(site, engine, "--gpus", "2", "--cpus", "1", "--memory", "64m")
    (container,) = run_containers(client)
    host = container.attrs["HostConfig"]
    assert host["CpusetCpus"] == "0"
    assert [request["DeviceIDs"] for request in host["DeviceRequests"]] == [UUIDS[:2]]
    labels = {key: container.labels[f"trainer.{key}"] for key in ("gpus", "cpus", "memory")}
    assert labels == {"gpus": ",".join(UUIDS[:2]), "cpus": "0", "memory": "64m"}
    name = container.labels["trainer.run_name"]
    refused = site.trainer("run", "working", "--gpus", "all", env=env(engine))
    assert refused.code == 97
    taken = "; ".join(f"GPU {n} (NVIDIA H200) is in use by {name} ({container.labels['trainer.run_id'][:8]})"
                      for n in (0, 1))  # fmt: skip
    assert refused.error[0] == f"Error: --gpus all: {taken}."
    other = site.trainer("run", "working", "--gpus", "1", "--cpus", "1", env=env(engine))
    assert other.code == 0, other.err
    assert f"GPU 0: NVIDIA H200 (UUID: {UUIDS[2]})" in other.out
    assert "threads 1 1" in other.out
    site.stop(process, signal.SIGINT)
    assert client.containers.list(all=True) == []
    done = site.trainer("run", "working", "--gpus", "device=0,2", env=env(engine))
    assert [line for line in done.out.splitlines() if line.startswith("GPU")] == [
        f"GPU 0: NVIDIA H200 (UUID: {UUIDS[0]})",
        f"GPU 1: NVIDIA H200 (UUID: {UUIDS[2]})",
    ]
    assert client.containers.list(all=True) == []
    pinned = site.client.download_artifacts(done.run_id, "trainer/run.json")
    assert len(json.loads(Path(pinned).read_text())["host"]["gpus"]) == 2


def test_a_used_gpu_is_no_ones_after_a_prune_either(
    site: Site, second_site: Site, engine: PretendEngine, client: docker.DockerClient
) -> None:
    process = waiting(site, engine, "--gpus", "device=1")
    pruned = client.containers.prune()["ContainersDeleted"] or []
    assert len(pruned) == 1
    refused = second_site.trainer("run", "working", "--gpus", "device=1", env=env(engine))
    assert refused.code == 97, refused.err
    assert second_site.trainer("run", "working", "--gpus", "2", env=env(engine)).code == 0
    site.stop(process, signal.SIGINT)


def test_a_run_whose_launcher_was_killed_has_its_gpu_until_it_ends(
    site: Site, second_site: Site, engine: PretendEngine, client: docker.DockerClient
) -> None:
    process = waiting(site, engine, "--gpus", "device=0")
    process.kill()
    process.communicate()
    assert second_site.trainer("run", "working", "--gpus", "device=0", env=env(engine)).code == 97
    (container,) = run_containers(client)
    container.kill()
    container.wait()
    assert second_site.trainer("run", "working", "--gpus", "device=0", env=env(engine)).code == 0
    site.trainer("reconcile", env=env(engine))
    assert client.containers.list(all=True) == []


def test_a_launcher_that_is_killed_at_any_moment_frees_its_gpus(
    site: Site, engine: PretendEngine, client: docker.DockerClient, image: str, has: Machine
) -> None:
    for _ in range(5):
        process = site.start("run", "working", "--gpus", "all", env=env(engine))
        time.sleep(random.uniform(0.5, 3.5))
        process.kill()
        process.communicate()
        give_up = time.monotonic() + 20
        while True:  # what was started goes on until it ends
            with contextlib.suppress(NoFreeSlot):
                claims.give_back(client, claims.take(client, Need("all"), image, has).token)
                break
            assert time.monotonic() < give_up
            time.sleep(0.2)
    site.trainer("reconcile", env=env(engine))
    assert client.containers.list(all=True, filters={"label": holders.TOKEN}) == []


def test_launches_of_two_workspaces_that_are_killed_never_give_one_gpu_to_two(
    site: Site,
    second_site: Site,
    engine: PretendEngine,
    client: docker.DockerClient,
    image: str,
    has: Machine,
) -> None:
    begun = [
        which.start("run", "working", "-e", "short", "--gpus", "1", env=env(engine))
        for which in (site, second_site) * 5
    ]
    doomed = dict(zip(begun[::2], sorted(random.uniform(1, 8) for _ in begun[::2]), strict=True))
    since, seen = time.monotonic(), set[str]()
    while any(one.poll() is None for one in begun):
        for one, at in doomed.items():
            if time.monotonic() - since > at:
                one.kill()
        running = client.api.containers(filters={"label": "trainer.run_id"})
        had = [uuid for one in running for uuid in one["Labels"]["trainer.gpus"].split(",")]
        assert len(had) == len(set(had)) <= 3
        seen |= {one["Id"] for one in running}
    assert {one.returncode for one in begun} <= {0, 97, -signal.SIGKILL}
    assert seen  # how many is chance: who is killed may have had one that was refused to another
    while client.containers.list():
        time.sleep(0.2)
    claims.give_back(client, claims.take(client, Need("all"), image, has).token)
    for which in (site, second_site):
        which.trainer("reconcile", env=env(engine))
    left = [str(one.name) for one in client.containers.list(all=True, filters={"label": holders.TOKEN})]
    assert not [name for name in left if name.startswith("trainer-slot")]


def test_a_slot_goes_with_its_run_whoever_removes_the_container(
    site: Site, engine: PretendEngine, client: docker.DockerClient
) -> None:
    process = waiting(site, engine, "--gpus", "1")
    (container,) = run_containers(client)
    container.remove(force=True)
    process.communicate(timeout=60)
    assert client.containers.list(all=True) == []


def test_a_run_does_not_start_with_what_another_was_given_meanwhile(
    client: docker.DockerClient, image: str, has: Machine
) -> None:
    slot = claims.take(client, Need("all"), image, has)
    claims.give_back(client, slot.token)
    other = claims.take(client, Need("1"), image, has)
    with pytest.raises(NoFreeSlot):
        claims.confirm(client, slot, image, has.memory)
    claims.give_back(client, other.token)
    claims.confirm(client, slot, image, has.memory)  # pruned, and nobody else's: it is taken again
    with pytest.raises(NoFreeSlot):
        claims.take(client, Need("1"), image, has)


def test_a_gpu_that_somebody_outside_uses_is_not_handed_out(
    site: Site,
    engine: PretendEngine,
    client: docker.DockerClient,  # noqa: ARG001 (nothing else is there)
) -> None:
    computing, full = Gpu(UUIDS[0], computing=True), Gpu(UUIDS[1], used=20_000)
    engine.has([computing, full, THREE[2]])
    done = site.trainer("run", "working", "--gpus", "1", env=env(engine))
    assert UUIDS[2] in done.out, done.err
    refused = site.trainer("run", "working", "--gpus", "all", env=env(engine))
    assert refused.code == 97
    assert refused.error[0] == (
        "Error: --gpus all: GPU 0 (NVIDIA H200) is in use by another program; "
        "GPU 1 (NVIDIA H200) is in use by another program (19.5 GB)."
    )
    assert refused.error[1].startswith("Hint:  `trainer ps --all` lists the runs")


def test_parts_of_a_divided_gpu_are_handed_out_one_by_one(
    site: Site, engine: PretendEngine, client: docker.DockerClient, image: str
) -> None:
    engine.has([Gpu(UUIDS[0], mig=("MIG-11111111", "MIG-22222222"))])
    done = site.trainer("run", "working", "--gpus", "1", env=env(engine))
    assert "(UUID: MIG-11111111)" in done.out, done.err
    has = Machine(machine.seen(client, image), (0,), GB)
    taken = [claims.take(client, Need("1"), image, has).gpus for _ in range(2)]
    assert taken == [("MIG-11111111",), ("MIG-22222222",)]
    with pytest.raises(NoFreeSlot):
        claims.take(client, Need("1"), image, has)
    with pytest.raises(GpuError, match="MIG devices, of which a process sees one"):
        claims.take(client, Need("2"), image, has)


def test_a_gpu_that_does_not_suit_the_image_is_passed_over(
    site: Site,
    engine: PretendEngine,
    client: docker.DockerClient,  # noqa: ARG001 (nothing else is there)
) -> None:
    engine.has([Gpu(UUIDS[0], capability="7.0"), THREE[1]])
    done = site.trainer("run", "working", "--gpus", "1", env=env(engine))
    assert UUIDS[1] in done.out, done.err
    assert site.trainer("run", "working", "--gpus", "device=0", env=env(engine)).code == 88
    assert site.trainer("run", "working", "--gpus", "5", env=env(engine)).code == 88


def test_another_user_of_the_engine_sees_who_has_it(
    site: Site, engine: PretendEngine, client: docker.DockerClient, image: str, has: Machine, tmp_path: Path
) -> None:
    process = waiting(site, engine, "--gpus", "all")
    (container,) = run_containers(client)
    (engine.place / "sock").chmod(0o666)
    script = (
        "import sys, docker; from trainer.backends.docker.slots import claims, machine\n"
        "from trainer.errors import NoFreeSlot; from trainer.slots.need import Need\n"
        "from trainer.slots.choosing import Machine\n"
        "client = docker.DockerClient(base_url=sys.argv[1])\n"
        "has = Machine(machine.seen(client, sys.argv[2]), (0,), 1)\n"
        "try: print(claims.take(client, Need('1'), sys.argv[2], has))\n"
        "except NoFreeSlot as error: print(error.message)\n"
    )
    tmp_path.chmod(0o777)
    user = private_engine.as_user("nobody", tmp_path)
    asked = [*user, "env", f"DOCKER_HOST={engine.address}", sys.executable, "-c", script, engine.address]
    told = subprocess.run([*asked, image], capture_output=True, text=True, check=False)
    assert f"in use by {container.labels['trainer.run_name']}" in told.stdout, told.stderr
    # Root's claimer is seen to live, too, though it is another user's process.
    site.stop(process, signal.SIGINT)
    slot = claims.take(client, Need("all"), image, has)
    told = subprocess.run([*asked, image], capture_output=True, text=True, check=False)
    assert "in use by a run that is about to start" in told.stdout, told.stderr
    claims.give_back(client, slot.token)


def test_what_killed_processes_left_is_collected(
    site: Site, engine: PretendEngine, client: docker.DockerClient, image: str, tmp_path: Path
) -> None:
    script = (
        "import sys; from trainer.engine import daemon, one_off\n"
        "one_off.run(daemon.connect(), sys.argv[1], ['sleep', '1'])"
    )
    asking = subprocess.Popen([sys.executable, "-c", script, image], env={**os.environ, **env(engine)})
    while not client.containers.list():
        time.sleep(0.05)
    asking.kill()
    holder = claimer(engine, image, tmp_path, 1)
    begin(holder)
    assert holder.stdout
    assert holder.stdout.readline().startswith("has")
    holder.kill()
    holder.communicate()
    while client.containers.list():
        time.sleep(0.1)
    assert len(client.containers.list(all=True)) == 2
    done = site.trainer("gc", "--yes", env=env(engine))
    assert done.code == 0, done.err
    assert done.out.count("what made it was killed") == 2
    assert client.containers.list(all=True) == []
