"""What the fuzz of the command line is made of: hostile arguments, and odd surroundings."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from trainer.cli.commands import loaded
from trainer.cli.main import cli

from unit.datasets.pictures import picture
from unit.helpers import make_workspace, put

NOWHERE = "http://127.0.0.1:9"  # refuses connections

WORDS = [
    "", " ", "-", "--", "-e", "--dry-run", "--no-such", "-x", "=", "a=b", "=b", "a=", "a" * 251,
    "x" * 5000, "žluťoučký 漢字", "\udcff\udcfe", "a\nb", "a\tb", "\x1b[31mred\x1b[0m", "\x07", "'", '"',
    "$(touch x)", "a;b", "*", "?", "[", "{}", "{epochs}", "%s", "%", "\\", "~", "~nobody", "#", "a#b",
    "@", ":", "a:b", "::", "null", "true", "[]", '{"a": [1]}', "{", "!!python/name:os", "demo#..",
    "file:///no/such", "s3://", "http://[", "http://", "https://127.0.0.1:9/x.git",
    "https://u:p@127.0.0.1:9/x", "git@", "file:///no/such#a", "a.zip", "trainer/", "trainer/small",
    "trainer/small:latest", "localhost:9/x", "UPPER/x", "latest", "0" * 32, "abc",
]  # fmt: skip
NUMBERS = [
    "0", "1", "2", "3", "-1", "-0", "007", "1e3", "1.5", "nan", "inf", "-inf", "1_0", "٣", "0x10",
    "2147483648", "9" * 19, "9" * 400, "1" + "0" * 5000, "512m", "8g", "0m", "99999999999999g",
    "device=0", "device=,", "all",
]  # fmt: skip
PATHS = [
    "no/such", "trainer.yaml", "train_code", "train_code/demo", "data/skin", "..", "../outside", ".",
    "./", "data/../data/skin", "fifo", "dangling", "loop", "loop/x", "forbidden", "binary", "text/x",
    "text", "empty.tar", "n" * 255, "n" * 256, "d/" * 2100, "a\udcff", "new", "skin2", "mapping.csv",
    "demo", "skin", "small", "mlruns",
]  # fmt: skip
NAMES = ["demo", "skin", "small", "odd", "inceptionv3", "API_KEY", "skin2", "mine", "last", "bash", "ada"]


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command := loaded(command), click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


COMMANDS = list(commands(cli))


def arguments(chance: random.Random) -> list[str]:
    """A command line: a command, some of its options, its arguments, and at times something else."""
    path, command = chance.choice(COMMANDS)
    words: list[list[str]] = []
    for parameter in command.params:
        if "--debug" in parameter.opts:
            continue  # which asks for a traceback
        many = 1 if parameter.nargs != -1 else chance.randrange(3)
        if isinstance(parameter, click.Argument):
            words += [[value(chance, parameter)] for _ in range(many) if chance.random() < 0.95]
        elif isinstance(parameter, click.Option) and chance.random() < 0.25:
            option = chance.choice([*parameter.opts, *parameter.secondary_opts])
            words.append(
                [option] if parameter.is_flag or parameter.count else [option, value(chance, parameter)]
            )
    if path == ("run",) and chance.random() < 0.6:
        words += [[chance.choice(["--epochs", "--rate", "--kind", "--text"]), chance.choice(NUMBERS + WORDS)]]
    if chance.random() < 0.1:
        words.append([chance.choice(WORDS)])
    if chance.random() < 0.3:
        chance.shuffle(words)
    before = ["--workspace", chance.choice(PATHS)] if chance.random() < 0.05 else []
    return [*before, *path, *(word for some in words for word in some)]


def value(chance: random.Random, parameter: click.Parameter) -> str:
    if isinstance(parameter.type, click.Choice) and chance.random() < 0.8:
        return str(chance.choice(parameter.type.choices))
    if isinstance(parameter.type, click.types.IntParamType | click.types.FloatParamType):
        return chance.choice(NUMBERS)
    if isinstance(parameter, click.Argument) and chance.random() < 0.6:
        return chance.choice(NAMES)
    return chance.choice(chance.choice([WORDS, NUMBERS, PATHS, NAMES]))


# What may be odd about a workspace. Each is a change to a good one; the current folder is its root.

MLPROJECTS: list[str | bytes] = [
    "", "[]", "- a", "\x00", b"\xff\xfe", "a: b: c", "name: [x]", "name: {a: b}", "entry_points: 3",
    "name: 3", "entry_points: {main: }", "entry_points: {main: {command: 3}}",
    "entry_points: {1: {command: a}}", "entry_points: {main: {command: 'a {b}'}}",
    "entry_points: {main: {command: 'a {'}}", "entry_points: {main: {command: a, parameters: [b]}}",
    "docker_env: 3", "docker_env: {image: [a]}",
    "entry_points: {main: {command: a, parameters: {b: {default: [1]}}}}", "docker_env: {image: 'A B'}",
    "entry_points: {main: {command: a, parameters: {b: {type: {}}}}}",
    "docker_env: {image: a, volumes: b}",
    "entry_points: {main: {command: a, parameters: {'': string, '-': int, 'a b': float}}}",
    "entry_points: {main: {command: a, parameters: {help: string, json: int, e: path}}}",
    "entry_points: {main: {command: a, parameters: {a_b: string, a-b: string}}}",
    "entry_points: {main: {command: a, parameters: {b: {type: int, minimum: .nan, default: 1}}}}",
    "docker_env: {image: a, environment: [[A]]}", "docker_env: {image: a, environment: {A: 1}}",
    "docker_env: {image: a, environment: [[1, 2]]}", "python_env: no.yaml", "python_env: [a]",
    "conda_env: .", "python_env: env.yaml", "conda_env: env.yaml", "databricks_spark_job: {}",
    "name: a\nname: b", "name: \u2028", "name: '\\n'", 'name: "\\uD800"', "name: ../../x", "&a [*a]",
    "name: 2024-99-99", "[" * 1000,
]  # fmt: skip
SETTINGS: list[str | bytes] = [
    "", "[]", "- a", "3", "x", "\x00", b"\xff", "a: b: c", "unknown: 1", "server_port: x",
    "server_port: 0", "server_port: 99999999999", "tracking_uri: 3", "tracking_uri: ''",
    "tracking_uri: 'x y'", "base_image: ''", "tracking_uri: http://[", "tracking_uri: file:///no",
    "tracking_uri: sqlite:///x", "tracking_uri: databricks", "shm_size: 3", "parameters: []",
    "parameters: {demo: []}", "parameters: {demo: {epochs: x}}", "1: 2", "parameters: {3: {4: 5}}",
    "parameters: {demo: {epochs: null}}", "disk_free_gb: 99999999999999999999", "disk_free_gb: .nan",
    "pids_limit: .inf", "gpu_free_gb: -1", "[1]: 2", "&a {x: *a}", "null: 1", "read_only: x",
]  # fmt: skip
RUBBISH: list[str | bytes] = [
    "",
    "\x00",
    b"\xff\xfe",
    "[]",
    "{}",
    "null",
    '{"run_id": 3}',
    "A=1\nB",
    "a\n" * 50,
]


def _instead(path: str, chance: random.Random) -> None:
    """Something else where a file or folder of that name belongs."""
    place = Path(path)
    with contextlib.suppress(FileNotFoundError):
        place.unlink() if place.is_file() else shutil.rmtree(place)
    place.parent.mkdir(parents=True, exist_ok=True)
    kind = chance.choice(["file", "folder", "dangling", "loop", "rubbish"])
    if kind == "folder":
        place.mkdir()
    elif kind in ("dangling", "loop"):
        place.symlink_to("nowhere" if kind == "dangling" else place.name)
    else:
        put(place, "" if kind == "file" else chance.choice(RUBBISH))


RECORD = {
    "run_id": "abc",
    "project": "demo",
    "backend": "docker",
    "tracking_uri": NOWHERE,
    "own_server": False,
    "secret_names": [],
    "name": "n",
    "image": "i",
    "host": socket.gethostname(),
    "started": 1.0,
}
RECORDS: list[str | bytes] = [
    json.dumps({**RECORD, **change})
    for change in (
        {},
        {"own_server": True},
        {"backend": "local"},
        {"backend": "x"},
        {"started": "x"},
        {"run_id": 3},
        {"run_id": "../x"},
        {"host": 3},
        {"tracking_uri": 3},
        {"secret_names": 3},
        {"name": None},
    )
]
STATES = [
    "runs/abc/record.json", "runs/abc/record.json", "runs/abc/ended", "runs/new-x/launch.json", "runs.jsonl",
    "server.json", "server-container.json", "runs/rubbish", "refused/x", "data.json", "environments/x",
]  # fmt: skip


def _states(chance: random.Random) -> None:
    for name in STATES:
        if chance.random() < 0.5:
            put(Path(".trainer", name), chance.choice(RUBBISH + RECORDS))


def _read_only(_: random.Random) -> None:
    for place in [*Path().rglob("*"), Path()]:
        if not place.is_symlink():
            place.chmod(0o555 if place.is_dir() else 0o444)


def _gone(_: random.Random) -> None:
    folder = Path("gone")
    folder.mkdir()
    os.chdir(folder)
    Path("../gone").rmdir()


def _variable(name: str, *values: str) -> Callable[[random.Random], None]:
    return lambda chance: os.environ.__setitem__(name, chance.choice(values))


PLACES = [
    "trainer.yaml", "train_code", "train_code/demo", "train_code/demo/MLproject", "train_code/demo/train.py",
    "trainer_images", "trainer_images/Dockerfile", "trainer_images/small/image.yaml", ".gitignore", "mlruns",
    "trainer_images/small/requirements.txt", ".trainer", ".trainer/runs", ".trainer/runs.jsonl", "data",
    "data/.trainer", "data/skin", "data/skin.json", "data/skin/ant/1.png",
]  # fmt: skip
SURROUNDINGS: list[Callable[[random.Random], object]] = [
    lambda _: Path("trainer.yaml").unlink(),
    lambda chance: put(Path("trainer.yaml"), chance.choice(SETTINGS)),
    lambda chance: put(Path("trainer.yaml"), chance.choice(SETTINGS)),
    lambda chance: put(Path("train_code/demo/MLproject"), chance.choice(MLPROJECTS)),
    lambda chance: put(Path("train_code/demo/MLproject"), chance.choice(MLPROJECTS)),
    lambda chance: _instead(chance.choice(PLACES), chance),
    lambda chance: _instead(chance.choice(PLACES), chance),
    lambda chance: put(Path("trainer_images/small/image.yaml"), chance.choice(SETTINGS)),
    lambda chance: put(Path("secrets.env"), chance.choice(RUBBISH)),
    lambda chance: put(Path("train_code/demo/env.yaml"), chance.choice(
        [*MLPROJECTS, "dependencies: [-r a.txt]", "dependencies: ['-e .']", "dependencies: [{pip: 3}]"])),
    _states,
    _states,
    _read_only,
    _gone,
    _variable("HOME", "", "/no/such", "\udcff"),
    _variable("PATH", "", "/no/such"),
    _variable("TMPDIR", "/no/such", ""),
    _variable("COLUMNS", "1", "0", "x", "-5", "100000"),
    _variable("TERM", "dumb", "", "x"),
    _variable("DOCKER_HOST", "x", "tcp://127.0.0.1:9", "unix:///", "http://[", "npipe://x", "tcp://a:b:c"),
    _variable("MLFLOW_TRACKING_URI", "", "x", "http://[", "file:///no", "http://127.0.0.1:9/\udcff", "://"),
    _variable("TRAINER_WORKSPACE", "/no/such", "..", "a" * 300, "\udcff", "trainer.yaml"),
    _variable("TRAINER_BASE_IMAGE", "", "A B", "\udcff"),
    _variable("MLFLOW_TRACKING_TOKEN", "\udcff", "a\nb"),
    _variable("NO_COLOR", "1"),
]  # fmt: skip


def make_good(root: Path) -> None:
    """A workspace with a project, an image, a dataset, and odd files beside them."""
    make_workspace(root)
    put(root / "trainer.yaml", f"tracking_uri: {NOWHERE}\n")
    put(root / "trainer_images" / "odd" / "image.yaml", "aliases: [o]\ninherits: small\n")
    put(root / "trainer_images" / "odd" / "requirements.txt")
    for number, kind in enumerate(("ant", "bee", "ant", "bee")):
        picture(root / "data" / "skin" / kind / f"{number}.png", number)
    put(root / "secrets.env", "API_KEY=secret-value\n").chmod(0o600)
    put(root / ".gitignore", "secrets.env\n.trainer/\n")
    put(root / "mapping.csv", "ant,bee\n")
    put(root / "binary", bytes(range(256)))
    put(root / "text", "text")
    put(root / "empty.tar")
    put(root / "forbidden").chmod(0)
    (root / "dangling").symlink_to("nowhere")
    (root / "loop").symlink_to("loop")


def copied(good: Path, place: Path) -> None:
    shutil.copytree(good, place, symlinks=True, ignore=shutil.ignore_patterns("forbidden"))
    put(place / "forbidden").chmod(0)
    os.mkfifo(place / "fifo")
