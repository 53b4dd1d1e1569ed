"""A Docker engine of the tests' own that hands out GPUs on a machine without any. To start one takes root.

dockerd gives GPUs to containers where `nvidia-container-runtime-hook` is on its PATH, and tells that hook of
NVIDIA's which ones. This one puts an `nvidia-smi` into the container that lists those, and fails, as the real
one does, for a GPU that the machine lacks. All else is the engine itself: what it is asked, passes on, and
refuses.
"""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import private_engine
from private_engine import Engine
from support import Site
from trainer.host import gpu

# What the frameworks of the image say of themselves: any card of today does.
_BUILT = json.dumps(
    [{"framework": "Pretended 1.0", "cuda": "12.5", "architectures": ["sm_80", "compute_90"]}]
)
_PYTHON = f"""#!/bin/sh
[ "$*" = "{" ".join(gpu.BUILT_FOR[1:])}" ] || exit 3
echo '{_BUILT}'
"""
_HOOK = """#!{python}
import json, os, sys
state = json.load(sys.stdin)
bundle = state["bundle"]
with open(bundle + "/config.json") as file:
    config = json.load(file)
with open({gpus!r}) as file:
    gpus = json.load(file)
environment = dict(pair.split("=", 1) for pair in config["process"]["env"])
wanted = environment["NVIDIA_VISIBLE_DEVICES"].split(",")
if wanted != ["all"]:
    parts = [dict(gpu, mig=[mig for mig in gpu["mig"] if mig in wanted]) for gpu in gpus]
    known = {{name for number, gpu in enumerate(gpus) for name in (str(number), gpu["uuid"], *gpu["mig"])}}
    if unknown := set(wanted) - known:
        sys.exit(f"nvidia-container-cli: device error: {{', '.join(unknown)}}: unknown device")
    whole = [str(number) in wanted or gpu["uuid"] in wanted for number, gpu in enumerate(gpus)]
    gpus = [
        gpu if is_whole else part
        for gpu, part, is_whole in zip(gpus, parts, whole)
        if is_whole or part["mig"]
    ]
def row(number, gpu, fields):
    gpu = dict(gpu, index=number)
    return ", ".join(str(gpu[field]) for field in fields.split(","))
listed = []
for number, gpu in enumerate(gpus):
    listed.append(f"GPU {{number}}: {{gpu['name']}} (UUID: {{gpu['uuid']}})")
    listed += [f"  MIG 1g.10gb     Device  {{n}}: (UUID: {{mig}})" for n, mig in enumerate(gpu["mig"])]
computing = [gpu["uuid"] for gpu in gpus if gpu["computing"]]
answers = {{"-L": listed, "--query-compute-apps=gpu_uuid": computing}}
for fields in ("index,name,driver_version,compute_cap,memory.free,memory.total",
               "uuid,memory.used,memory.free,display_active"):
    answers["--query-gpu=" + fields] = [row(number, gpu, fields) for number, gpu in enumerate(gpus)]
root = os.path.join(bundle, config["root"]["path"])
os.makedirs(root + "/usr/bin", exist_ok=True)
with open(root + "/usr/bin/nvidia-smi", "w") as file:
    file.write('#!/bin/sh\\ncase "$1" in\\n')
    for asked, lines in answers.items():
        file.write(asked + ")\\n" + "".join(f"echo '{{line}}'\\n" for line in lines) + ";;\\n")
    file.write("*) echo unknown >&2; exit 2 ;;\\nesac\\n")
os.chmod(root + "/usr/bin/nvidia-smi", 0o755)
"""


@dataclass(frozen=True)
class Gpu:
    """One as `nvidia-smi` is to list it. Memory in MiB."""

    uuid: str
    name: str = "NVIDIA H200"
    used: int = 4
    total: int = 143771
    mig: tuple[str, ...] = ()
    """The UUIDs of the MIG devices that it is divided into."""
    capability: str = "9.0"
    computing: bool = False
    """Whether a process computes on it."""


THREE = (
    Gpu("GPU-aaaaaaaa-0000-0000-0000-000000000000"),
    Gpu("GPU-bbbbbbbb-0000-0000-0000-000000000000"),
    Gpu("GPU-cccccccc-0000-0000-0000-000000000000"),
)


class PretendEngine(Engine):
    """An engine of a machine with these GPUs."""

    def __init__(self, place: Path) -> None:
        programs = place / "programs"
        programs.mkdir()
        self._gpus = place / "gpus.json"
        hook = programs / "nvidia-container-runtime-hook"
        hook.write_text(_HOOK.format(python=sys.executable, gpus=str(self._gpus)))
        hook.chmod(hook.stat().st_mode | stat.S_IXUSR)
        within = ("unshare", "--net", "env", f"PATH={programs}:{os.environ['PATH']}")
        super().__init__(place, within=within)
        self.has(THREE)

    def has(self, gpus: Sequence[Gpu]) -> None:
        """From now on the machine has these."""
        listed = [
            {
                **asdict(one),
                "driver_version": "580.65.06",
                "compute_cap": one.capability,
                "memory.used": one.used,
                "memory.free": one.total - one.used,
                "memory.total": one.total,
                "display_active": "Disabled",
            }
            for one in gpus
        ]
        self._gpus.write_text(json.dumps(listed))


@contextmanager
def engine() -> Iterator[PretendEngine]:
    """Within: an engine with three pretend GPUs; skipped where one cannot be started."""
    private_engine.needs("dockerd", "unshare")
    with private_engine.place_for_one() as place:
        started = PretendEngine(place)
        started.start()
        try:
            yield started
        finally:
            started.close()


def site(root: Path, port: int, projects: dict[str, str], engine: Engine) -> Site:
    """A workspace whose one image is `tiny`, for GPUs, on that engine. `projects`: name → MLproject."""
    made = private_engine.tiny_site(root / "site", port, projects)
    (made.root / "trainer_images" / "tiny" / "image.yaml").write_text("gpu: true\n")
    private_engine.import_tiny(engine, made, root, python=_PYTHON)
    return made
