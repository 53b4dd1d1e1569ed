import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from trainer.workspace.settings import Workspace

from unit.helpers import HttpServer, Reply, put
from unit.runs.helpers import API
from unit.tracking.histories import has, run


@pytest.fixture
def bin_folder(tmp_path: Path) -> Path:
    """A folder for PATH with the `trainer` program."""
    program = f'#!/bin/sh\nPYTHONPATH={os.pathsep.join(sys.path)} exec {sys.executable} -m trainer "$@"\n'
    put(tmp_path / "bin" / "trainer", program).chmod(0o755)
    return tmp_path / "bin"


def bash(script: str, bin_folder: Path, **variables: str) -> str:
    environment = {**os.environ, **variables, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("trainer b", ["plain,build-image"]),
        ("trainer run d", ["plain,demo"]),
        ("trainer run demo --ep", ["plain,--epochs"]),
        ("trainer run demo --bat", ["plain,--batch-size"]),
        ("trainer run demo --kind ''", ["plain,tree", "plain,line"]),
        ("trainer run demo --kind l", ["plain,line"]),
        ("trainer run demo -e strict --tab", ["plain,--table"]),
        ("trainer run demo -e s", ["plain,strict"]),
        ("trainer run train_code/demo/more -e ''", ["plain,a.py", "plain,b.sh"]),
        ("trainer run demo -e strict --table x", ["file,x"]),
        ("trainer run demo -e ''", ["plain,main", "plain,strict"]),
        ("trainer run demo --backend l", ["plain,local"]),
        ("trainer run zzz", ["dir,zzz"]),
        ("trainer run no-such-project --dry", ["plain,--dry-run"]),
        ("trainer build-image s", ["plain,small"]),
        ("trainer completion f", ["plain,fish"]),
        ("trainer images n", ["plain,new"]),
        ("trainer images --j", ["plain,--json"]),
        ("trainer images add s", ["plain,small"]),
        ("trainer images new mine --inherit s", ["plain,small"]),
        ("trainer runs d", ["plain,demo", "plain,delete"]),
        ("trainer runs --del", ["plain,--deleted"]),
        ("trainer runs demo --del", ["plain,--deleted"]),
        ("trainer predict @b", ["plain,@best:", "file,@b"]),
        ("trainer predict m.onnx photo", ["file,photo"]),
        ("trainer models download @b", ["plain,@best:"]),
        ("trainer models download skin@3 place", ["file,place"]),
        ("trainer predict m.onnx photo.jpg --ex", ["plain,--explain"]),
    ],
)
def test_what_is_offered(workspace: Workspace, bin_folder: Path, words: str, offered: list[str]) -> None:
    assert workspace.root == Path.cwd()
    for name in ("a.py", "b.sh", "notes.txt"):
        put(workspace.projects / "demo" / "more" / name)
    count = len(words.split()) - 1
    said = bash(
        "trainer", bin_folder, _TRAINER_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(count)
    )
    assert said.split() == offered


@pytest.mark.parametrize(
    ("words", "columns"),
    [
        ("--data b.csv --target c", ["city", "churned"]),
        ("--target a", ["age"]),  # of the default dataset
        ("--data b.csv --drop city,ch", ["city,churned"]),
        ("--data missing.csv --target c", []),
        ("--data skins --target c", []),
    ],
)
def test_the_columns_of_the_table_are_offered(
    workspace: Workspace, bin_folder: Path, words: str, columns: list[str]
) -> None:
    put(
        workspace.projects / "tables" / "MLproject",
        "entry_points: {main: {parameters: {data: {dataset: true, default: a.csv}, "
        "target: {default: last, column_of: data}, drop: {default: none, column_of: data}}, command: a}}\n",
    )
    put(workspace.data / "a.csv", "age,b\n1,2\n")
    put(workspace.data / "b.csv", "id;city;churned\n1;2;3\n")
    put(workspace.data / "skins" / "c" / "1.jpg")
    assert offered(bin_folder, "", f"trainer run tables {words}") == columns


@pytest.mark.parametrize("words", ["stats b.csv --target", "validate b.csv --target", "split b.csv --group"])
def test_the_columns_of_a_table_are_offered_for_what_is_done_with_it(
    workspace: Workspace, bin_folder: Path, words: str
) -> None:
    put(workspace.data / "b.csv", "id;city;churned\n1;2;3\n")
    assert offered(bin_folder, "", f"trainer data {words} c") == ["city", "churned"]
    assert offered(bin_folder, "", f"trainer data {words.replace('b.csv', 'c.csv')} c") == []


def offered(bin_folder: Path, uri: str, words: str) -> list[str]:
    """What is offered for the last of the words where the tracking server has that address."""
    count = str(len(words.split()) - 1)
    variables = {"COMP_WORDS": words, "COMP_CWORD": count, "MLFLOW_TRACKING_URI": uri}
    said = bash("trainer", bin_folder, _TRAINER_COMPLETE="bash_complete", **variables)
    return [line.removeprefix("plain,") for line in said.split()]


@pytest.mark.usefixtures("workspace")
def test_metrics_and_parameters_of_the_runs_are_offered(bin_folder: Path, http_server: HttpServer) -> None:
    metrics = {"accuracy": 0.9, "two words": 1.0, "system/cpu": 1.0}
    has(http_server, [run("aa1", "hen", metrics=metrics, params={"alpha": "1", "kind": "tree"})])
    of = partial(offered, bin_folder, http_server.uri)
    assert of("trainer runs demo --sort ''") == ["start", "duration", "accuracy"]
    assert of("trainer runs --sort=a") == ["accuracy"]
    assert of("trainer runs --columns ''") == ["accuracy", "alpha", "kind"]
    assert of("trainer runs demo --columns alpha,a") == ["alpha,accuracy"]
    assert of("trainer runs --columns system") == ["system/cpu"]
    assert of("trainer runs no-such --columns ''") == ["accuracy", "alpha", "kind"]


@pytest.mark.usefixtures("workspace")
def test_a_server_that_says_nothing_delays_no_completion(bin_folder: Path, http_server: HttpServer) -> None:
    assert offered(bin_folder, "http://127.0.0.1:1", "trainer runs --columns ''") == []
    assert offered(bin_folder, "", "trainer runs --columns ''") == []  # and none is started
    assert not (Path.cwd() / "mlruns").exists()
    http_server.replies[f"{API}/experiments/search"] = [Reply(delay_s=20)]
    start = time.monotonic()
    assert offered(bin_folder, http_server.uri, "trainer runs --sort s") == ["start"]
    assert time.monotonic() - start < 10


@pytest.mark.parametrize(
    ("damage", "words", "offered"),
    [
        ("trainer.yaml", "trainer run d", "dir,d"),
        ("train_code/demo/MLproject", "trainer run demo --dry", "plain,--dry-run"),
        ("trainer_images/small/image.yaml", "trainer build-image s", ""),
    ],
)
def test_a_broken_file_does_not_break_the_command_line(
    workspace: Workspace, bin_folder: Path, damage: str, words: str, offered: str
) -> None:
    put(workspace.root / damage, "a: b: c")
    count = len(words.split()) - 1
    said = bash(
        "trainer", bin_folder, _TRAINER_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(count)
    )
    assert said.strip() == offered


def test_the_script_teaches_a_real_bash(workspace: Workspace, bin_folder: Path) -> None:
    assert workspace.root == Path.cwd()
    script = """
        eval "$(trainer completion bash)"
        COMP_WORDS=(trainer run demo --kind "") COMP_CWORD=4
        _trainer_completion trainer "" --kind
        echo "${COMPREPLY[@]}"
        complete -p trainer
    """
    offered, registered = bash(script, bin_folder).splitlines()
    assert offered == "tree line"
    assert registered.endswith("-F _trainer_completion trainer")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_other_shells_have_a_script_too(workspace: Workspace, bin_folder: Path, shell: str) -> None:
    assert workspace.root == Path.cwd()
    assert f"_TRAINER_COMPLETE={shell}_complete" in bash(f"trainer completion {shell}", bin_folder)
