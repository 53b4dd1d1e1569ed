"""What an entry will run is what was planned, whatever becomes of the project meanwhile."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.plan import request
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.projects import mlproject
from trainer.queue import pinned
from trainer.queue.folder import EntryFolder
from trainer.runs import run_record
from trainer.runs.launch.prepare import PackedCode
from trainer.source import snapshot
from trainer.workspace.settings import Workspace

from unit.helpers import DOCKER, LOCAL, git, put
from unit.runs.helpers import HOST, ORIGIN

FILE = """\
name: demo
docker_env: {image: trainer/small, environment: [[MODE, fast], KEY]}
entry_points:
  main:
    parameters:
      table: {type: path, default: tables/own.csv}
      other: {type: path, default: tables/own.csv}
      rate: {type: float, default: 0.5, minimum: 0}
    command: python train.py {table} {other} {rate}
"""


@pytest.fixture
def folder(workspace: Workspace) -> EntryFolder:
    project = workspace.projects / "demo"
    put(project / "MLproject", FILE)
    put(project / "tables" / "own.csv", "a,b\n1,2\n")
    put(workspace.root / "elsewhere.csv", "c\n")
    git(workspace.root, "init", "--quiet")
    git(workspace.root, "add", ".")
    git(workspace.root, "commit", "--quiet", "-m", "all")
    made = EntryFolder(workspace.state / "queue" / "entries" / "aa")
    made.path.mkdir(parents=True)
    return made


def planned(workspace: Workspace, target: object = DOCKER) -> RunPlan:
    made = RunRequest(
        project=mlproject.load(workspace.projects / "demo"),
        source="train_code/demo",
        backend=target,  # type: ignore[arg-type]
        parameters={"other": str(workspace.root / "elsewhere.csv"), "rate": "0.25"},
        run_name="first",
        tags={"colour": "blue"},
        gpus="none",
        seed=7,
    )
    return request.make(workspace, made)


def write(workspace: Workspace, folder: EntryFolder, plan: RunPlan) -> PackedCode:
    digest = snapshot.pack(plan.code.folder, folder.source)
    code = PackedCode(folder.source, digest, snapshot.commit(plan.code.folder))
    pinned.write(workspace, folder, plan, code, "sha256:1234")
    return code


def test_a_run_of_the_entry_has_the_pins_of_one_that_was_made_when_it_was_queued(
    workspace: Workspace, folder: EntryFolder
) -> None:
    plan = planned(workspace)
    code = write(workspace, folder, plan)
    now = run_record.of(plan, ORIGIN, HOST, (), code.digest, code.commit)
    shutil.rmtree(workspace.projects)
    shutil.rmtree(workspace.images)
    put(workspace.root / "trainer.yaml", "deterministic: true\n")
    git(workspace.root, "commit", "--quiet", "--all", "-m", "all is gone")
    later, code = pinned.read(folder)
    assert run_record.of(later, ORIGIN, HOST, (), code.digest, code.commit) == now
    assert run_record.tags(
        run_record.of(later, ORIGIN, HOST, (), code.digest, code.commit)
    ) == run_record.tags(now)
    assert later.logged_parameters == plan.logged_parameters
    assert later.tracking == plan.tracking
    assert later.asked == plan.asked
    assert (later.image_id, later.image.tag) == ("sha256:1234", plan.image.tag)
    assert later.image.packed(workspace) == folder.image
    assert later.code.again is None


def test_a_file_of_the_code_is_the_one_that_was_queued_and_others_are_where_they_are(
    workspace: Workspace, folder: EntryFolder
) -> None:
    plan = planned(workspace)
    write(workspace, folder, plan)
    own = workspace.projects / "demo" / "tables" / "own.csv"
    own.write_text("changed")
    later, _ = pinned.read(folder)
    mounted = {Path(mount.source) for mount in later.inputs.mounts if mount.kind == "bind"}
    [kept] = [path for path in mounted if path.name == "own.csv"]
    assert kept.read_text() == "a,b\n1,2\n"
    assert workspace.root / "elsewhere.csv" in mounted
    assert own not in mounted
    assert later.command == plan.command  # as a container sees them


def test_without_a_container_the_command_names_the_file_that_was_queued(
    workspace: Workspace, folder: EntryFolder
) -> None:
    put(workspace.projects / "demo" / "MLproject", FILE.replace("KEY", "[A, b]"))
    plan = planned(workspace, LOCAL)
    write(workspace, folder, plan)
    later, code = pinned.read(folder)
    assert later.command[2:] == (
        str(folder.code / "tables" / "own.csv"), str(workspace.root / "elsewhere.csv"), "0.25",
    )  # fmt: skip
    assert later.inputs.parameters == plan.inputs.parameters
    [(now, before)] = code.moved.items()
    assert tuple(word.replace(now, before) for word in later.command) == plan.command


def test_what_another_version_wrote_or_what_is_torn_is_refused(
    workspace: Workspace, folder: EntryFolder
) -> None:
    write(workspace, folder, planned(workspace))
    payload = json.loads(folder.plan.read_text())
    for damaged in ("{", "[]", json.dumps({**payload, "schema": 2}), json.dumps({**payload, "inputs": 3})):
        folder.plan.write_text(damaged)
        with pytest.raises(InvalidInput, match=r"plan\.json is invalid"):
            pinned.read(folder)
    folder.plan.write_text(json.dumps({**payload, "of a later version": 1}))
    assert replace(pinned.read(folder)[0]).backend == "docker"
