"""What a run gets of a machine, of what nobody has."""

from dataclasses import replace

import pytest
from trainer.errors import GpuError, InvalidInput, NoFreeSlot, TrainerError
from trainer.slots import choosing
from trainer.slots.choosing import Holder, Machine
from trainer.slots.devices import Device
from trainer.slots.need import Need, Slot

from unit.helpers import fails

GB = 1 << 30
A, B, C = (Device(f"GPU-{letter}", str(number), "H200", used=1, free=140_000)
           for number, letter in enumerate("abc"))  # fmt: skip
PARTS = tuple(Device(f"MIG-{n}", f"3:{n}", "MIG 1g.10gb", parent="GPU-d") for n in range(2))
MACHINE = Machine((A, B, C), (0, 1, 2, 3), 16 * GB, least_free=2048)
FOREST = Holder("forest (1a2b3c4d)", frozenset({"GPU-b"}), frozenset({1, 2}), 10 * GB)


def chosen(need: Need, machine: Machine = MACHINE, *holders: Holder) -> Slot:
    return choosing.choose(need, machine, holders, "t")


@pytest.mark.parametrize(
    ("need", "gpus", "cpus"),
    [
        (Need(), (), ""),
        (Need("1"), ("GPU-a",), ""),
        (Need("2"), ("GPU-a", "GPU-c"), ""),
        (Need("device=2,0"), ("GPU-a", "GPU-c"), ""),
        (Need("device=GPU-c"), ("GPU-c",), ""),
        (Need(cpus=1), (), "0"),
        (Need("1", 2, "6g"), ("GPU-a",), "0,3"),
    ],
)
def test_what_is_free_is_given_in_order(need: Need, gpus: tuple[str, ...], cpus: str) -> None:
    slot = chosen(need, MACHINE, FOREST)
    assert (slot.gpus, slot.cpus, slot.memory) == (gpus, cpus, need.memory)


@pytest.mark.parametrize(
    ("need", "message"),
    [
        (Need("3"), "--gpus 3: 2 of 3 GPUs free. GPU 1 (H200) is in use by forest (1a2b3c4d)."),
        (Need("all"), "--gpus all: GPU 1 (H200) is in use by forest (1a2b3c4d)."),
        (Need("device=0,1"), "--gpus device=0,1: GPU 1 (H200) is in use by forest (1a2b3c4d)."),
        (Need(cpus=3), "--cpus 3: 2 of 4 cores free. In use by forest (1a2b3c4d)."),
        (Need(memory="7g"), "--memory 7g: 6.0 of 16.0 GB are free. In use by forest (1a2b3c4d)."),
    ],
)
def test_what_is_in_use_is_refused_with_who_has_it(need: Need, message: str) -> None:
    with fails(NoFreeSlot, message):
        chosen(need, MACHINE, FOREST)


@pytest.mark.parametrize(
    ("need", "kind", "message"),
    [
        (Need("4"), GpuError, "--gpus 4: this machine has 3 GPUs for the run."),
        (Need("device=7"), GpuError, "--gpus device=7: this machine has no GPU 7; it has 0, 1, 2."),
        (Need(cpus=5), InvalidInput, "--cpus 5: the machine has 4 cores."),
        (Need(memory="17g"), InvalidInput, "--memory 17g: the machine has 16.0 GB."),
    ],
)
def test_more_than_there_is_never_waits(need: Need, kind: type[TrainerError], message: str) -> None:
    with fails(kind, message):
        chosen(need, MACHINE, FOREST)


def test_no_gpu_at_all() -> None:
    for gpus in ("all", "1"):
        with pytest.raises(GpuError):
            chosen(Need(gpus), replace(MACHINE, devices=()))


@pytest.mark.parametrize(
    "used", [replace(A, used=5000), replace(A, is_computing=True), replace(A, free=1000, has_display=True)]
)
def test_a_gpu_that_somebody_else_uses_is_given_to_nobody(used: Device) -> None:
    machine = replace(MACHINE, devices=(used, B))
    assert chosen(Need("1"), machine).gpus == ("GPU-b",)
    for gpus in ("all", "device=0", "2"):
        with pytest.raises(NoFreeSlot, match=r"GPU 0 \(H200\)"):
            chosen(Need(gpus), machine)


def test_a_desktop_does_not_make_a_gpu_used() -> None:
    machine = replace(MACHINE, devices=(replace(A, used=900, has_display=True),))
    assert chosen(Need("1"), machine).gpus == ("GPU-a",)


def test_a_gpu_that_the_image_cannot_use_is_given_to_who_names_it_alone() -> None:
    machine = replace(MACHINE, unsuitable=frozenset({"0"}))
    assert chosen(Need("1"), machine).gpus == ("GPU-b",)
    assert chosen(Need("device=0"), machine).gpus == ("GPU-a",)


def test_a_part_of_a_gpu_is_for_who_wants_one_when_no_whole_one_is_free() -> None:
    machine = replace(MACHINE, devices=(*PARTS, A))
    assert chosen(Need("1"), machine).gpus == ("GPU-a",)
    has_all = Holder("x", frozenset({"GPU-a"}))
    assert chosen(Need("1"), machine, has_all).gpus == ("MIG-0",)
    assert chosen(Need("device=3:1"), machine, has_all).gpus == ("MIG-1",)
    assert chosen(Need("device=3"), machine, has_all).gpus == ("MIG-0", "MIG-1")
    with pytest.raises(GpuError, match="of which a process sees one"):
        chosen(Need("2"), machine)


def test_whoever_has_a_whole_gpu_has_its_parts() -> None:
    with pytest.raises(NoFreeSlot):
        chosen(Need("1"), replace(MACHINE, devices=PARTS), Holder("x", frozenset({"GPU-d"})))


@pytest.mark.parametrize(
    ("slot", "there_is"),
    [
        (Slot("t", ("GPU-b",)), True),
        (Slot("t", ("GPU-a",), "0,3"), False),
        (Slot("t", (), "2-3"), True),
        (Slot("t", memory="6g"), False),
        (Slot("t", memory="7g"), True),
    ],
)
def test_whether_a_slot_is_still_to_be_had(slot: Slot, there_is: bool) -> None:
    assert choosing.conflicts(slot, 16 * GB, [FOREST]) is there_is


def test_a_limit_over_what_the_machine_has_is_in_no_ones_way() -> None:
    limited = Holder("big", memory=64 * GB)
    assert not choosing.conflicts(Slot("t", ("GPU-a",)), 16 * GB, [limited])
    assert chosen(Need("1", 1), MACHINE, limited).cpus == "0"
