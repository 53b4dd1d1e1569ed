"""The GPUs of a machine, as `nvidia-smi` lists them."""

from trainer.slots import devices
from trainer.slots.devices import Device

GPU = "GPU-5d5ba0d6-7f9b-4d2a-9d3f-3c0f3a3f2a11"
OTHER = "GPU-11111111-2222-3333-4444-555555555555"
MIG = "MIG-c7384736-a75d-5afc-978f-d2f1294409fd"
PLAIN = f"""\
GPU 0: NVIDIA H200 (UUID: {GPU})
GPU 1: NVIDIA GeForce RTX 4090 (UUID: {OTHER})
{GPU}, 4, 143000, Disabled
{OTHER}, 900, 23000, Enabled
{GPU}
"""
DIVIDED = f"""\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: {GPU})
  MIG 3g.20gb     Device  0: (UUID: {MIG})
  MIG 1c.3g.20gb  Device  1: (UUID: MIG-GPU-{GPU[4:]}/1/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: {OTHER})
{GPU}, [N/A], [Insufficient Permissions], Disabled
{OTHER}, 0, 40000, Disabled
No running processes found
"""


def test_gpus_with_their_memory_and_who_computes_on_them() -> None:
    first, second = devices.read(PLAIN)
    assert first == Device(GPU, "0", "NVIDIA H200", "", 4, 143000, is_computing=True)
    assert second == Device(OTHER, "1", "NVIDIA GeForce RTX 4090", "", 900, 23000, has_display=True)
    assert (first.is_in_use, second.is_in_use) == (True, False)


def test_a_divided_gpu_is_its_parts() -> None:
    assert devices.read(DIVIDED) == (
        Device(MIG, "0:0", "MIG 3g.20gb", GPU),
        Device(f"MIG-GPU-{GPU[4:]}/1/0", "0:1", "MIG 1c.3g.20gb", GPU),
        Device(OTHER, "1", "NVIDIA A100-SXM4-40GB", "", 0, 40000),
    )


def test_no_gpu_at_all() -> None:
    assert devices.read("No devices were found\n") == ()
