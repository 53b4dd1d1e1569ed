"""Docker engines of the tests' own, which can break nothing that another one has. To start one takes root."""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import docker
import pytest
from support import REPOSITORY, Site
from trainer.images import spec, trainer_image
from trainer.workspace import settings

# No network but the loopback: no other engine's bridge or firewall is touched.
_ALONE = ("--bridge", "none", "--iptables=false", "--ip6tables=false", "--host-gateway-ip", "127.0.0.1")
_PROGRAMS = ("sh", "sleep", "rm", "mv", "cat", "id", "ls")


class Engine:
    """A dockerd of its own data and sockets, started by `within` (a program that runs its arguments)."""

    # In a network of its own: a dockerd that starts with `--bridge none` removes the docker0 of another one.
    def __init__(
        self, place: Path, *, within: Sequence[str] = ("unshare", "--net"), options: Sequence[str] = ()
    ) -> None:
        self.place = place
        self.address = f"unix://{place}/sock"
        self._command = [
            *within, "dockerd", "--data-root", f"{place}/data", "--exec-root", f"{place}/exec",
            "--pidfile", f"{place}/pid", "--host", self.address, *_ALONE, *options,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.place / "pid").unlink(missing_ok=True)
        with (self.place / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        give_up = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < give_up, (self.place / "log").read_text()
            time.sleep(0.1)

    def _answers(self) -> bool:
        asked = ["docker", "--host", self.address, "version"]
        return subprocess.run(asked, capture_output=True, check=False).returncode == 0

    def kill(self) -> None:
        self._end(signal.SIGKILL)
        (self.place / "sock").unlink(missing_ok=True)

    def close(self) -> None:
        """End it and its containerd, which has the containers."""
        for container in self.client().containers.list(all=True):
            container.remove(force=True)
        self._end(signal.SIGTERM)
        # What it mounted before it was killed.
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for path in sorted((path for path in mounted if path.startswith(f"{self.place}/")), reverse=True):
            subprocess.run(["umount", path], check=True)

    def _end(self, number: signal.Signals) -> None:
        assert self._process
        os.kill(self.pid, number)
        self._process.wait(timeout=60)

    @property
    def pid(self) -> int:
        return int((self.place / "pid").read_text())

    def client(self) -> docker.DockerClient:
        return docker.DockerClient(base_url=self.address)


def remapped(place: Path) -> Engine:
    """With `userns-remap`: its containers' user 0 is 200000 outside. The map of ids is its own, too."""
    options = ["--userns-remap", "nobody:nogroup"]
    return Engine(place, within=_namespaces(place), options=options)


def rootless(place: Path, user: str) -> Engine:
    """Of an ordinary user, and in namespaces as `dockerd-rootless.sh` makes them."""
    run, home = place / "run", place / "home"
    for folder in (place, run, home):
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, user)
    within = [
        *_namespaces(place),
        *["setpriv", "--reuid", user, "--regid", str(pwd.getpwnam(user).pw_gid), "--clear-groups"],
        *["env", f"HOME={home}", f"XDG_RUNTIME_DIR={run}"],
        *["rootlesskit", f"--state-dir={run}/kit", "--net=slirp4netns", "--disable-host-loopback"],
        *["--copy-up=/etc", "--copy-up=/run"],
        *["sh", "-c", 'rm -f /run/docker /run/containerd /run/xtables.lock; exec "$@"', "sh"],
    ]
    return Engine(place, within=within)


def _namespaces(place: Path) -> list[str]:
    """Of its own: the network, the ids that are given to users (from 200000 on), a tun device for all."""
    names = {entry.pw_name for entry in pwd.getpwall()} | {entry.gr_name for entry in grp.getgrall()}
    (place / "ids").write_text("".join(f"{name}:200000:65536\n" for name in names))
    os.mknod(place / "tun", stat.S_IFCHR, os.makedev(10, 200))
    (place / "tun").chmod(0o666)
    prepare = (
        "touch /etc/subuid /etc/subgid; mkdir -p /dev/net; touch /dev/net/tun; "
        f"for file in /etc/subuid /etc/subgid; do mount --bind {place}/ids $file; done; "
        f'mount --bind {place}/tun /dev/net/tun; exec "$@"'
    )
    return ["unshare", "--net", "--mount", "sh", "-ec", prepare, "sh"]


def as_user(user: str, home: Path) -> tuple[str, ...]:
    """A program that runs its arguments as that user, wherever the repository is: it may read all files."""
    told = pwd.getpwnam(user)
    reads = "+dac_read_search"
    return (
        *("setpriv", "--reuid", user, "--regid", str(told.pw_gid), "--clear-groups"),
        *("--inh-caps", reads, "--ambient-caps", reads),
        *("env", f"HOME={home}", f"TMPDIR={home}", "sh", "-c", 'umask 077; exec "$@"', "sh"),
    )


def give(folder: Path, user: str) -> None:
    """All of it is that user's from now on, and nobody else's to read."""
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            shutil.chown(path, user)
            path.chmod(path.stat().st_mode & 0o700)


def let_others_read(folder: Path) -> None:
    """What `chmod -R o+rX` does."""
    subprocess.run(["chmod", "-R", "o+rX", folder], check=True)


def needs(*programs: str) -> None:
    """Skipped where an engine cannot be started, or fails where TRAINER_REQUIRE_DOCKER=1."""
    if not all(map(shutil.which, programs)):
        told = f"an engine of one's own takes {', '.join(programs)}"
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but {told}")
        pytest.skip(told)


@contextmanager
def place_for_one() -> Iterator[Path]:
    """A folder that is gone afterwards. The path of a socket has to be short."""
    place = Path(subprocess.check_output(["mktemp", "-d", "-p", "/tmp"], text=True).strip())
    place.chmod(0o711)
    yield place
    shutil.rmtree(place)


def tiny_site(root: Path, port: int, projects: dict[str, str]) -> Site:
    """A workspace whose one image is `tiny`: a shell and some programs. `projects`: name → MLproject."""
    site = Site(root, port)
    ours = root / "trainer_images"
    ours.unlink()
    shutil.copytree(
        REPOSITORY / "trainer_images", ours,
        ignore=lambda folder, names: [n for n in names if (Path(folder) / n / "image.yaml").exists()],
    )  # fmt: skip
    (ours / "tiny").mkdir()
    (ours / "tiny" / "image.yaml").touch()
    (ours / "tiny" / "requirements.txt").touch()
    for name, said in projects.items():
        (root / "train_code" / name).mkdir()
        (root / "train_code" / name / "MLproject").write_text(said)
    return site


class HasClient(Protocol):
    """An engine of any kind."""

    def client(self) -> docker.DockerClient: ...


# Whoever asks the tracking server with it is told that there is no client.
_PYTHON = "#!/bin/sh\nexit 3\n"


def import_tiny(engine: HasClient, site: Site, place: Path, *, python: str = _PYTHON) -> None:
    """Give the engine the image `tiny` as it is up to date, made of this machine's own programs.

    `python` is the script that it has in place of one.
    """
    programs = [Path(found).resolve() for name in _PROGRAMS if (found := shutil.which(name))]
    told = subprocess.check_output(["ldd", *programs], text=True)
    libraries = {Path(found) for found in re.findall(r"(/\S+)(?= \()", told)}
    program = place / "python"
    program.write_text(python)
    program.chmod(0o755)
    cache = tarfile.TarInfo("cache")
    cache.type, cache.mode = tarfile.DIRTYPE, 0o1777
    with tarfile.open(place / "image.tar", "w") as tar:
        tar.addfile(cache)
        for program, name in zip(programs, _PROGRAMS, strict=True):
            tar.add(program, f"bin/{name}")
        tar.add(place / "python", "bin/python")
        for library in libraries:
            tar.add(library.resolve(), str(library).lstrip("/"))
    here = settings.find(site.root)
    repository, _, version = trainer_image.plan(here, spec.spec(here, "tiny")).tag.partition(":")
    api = engine.client().api
    api.import_image_from_file(str(place / "image.tar"), repository)
    api.tag(f"{repository}:latest", repository, version)  # which Podman does not do with it
