import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from shown import Shown
from trainer.datasets import catalog, changes, contents, index, inputs, manifest, recorded, versions
from trainer.datasets.changes import Changes
from trainer.datasets.contents import Contents, File
from trainer.datasets.manifest import Manifest
from trainer.errors import CheckFailed, InvalidInput
from trainer.plan import request
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.projects import mlproject
from trainer.workspace.settings import Workspace
from trainkit.data import image_folder

from unit.datasets.pictures import dataset, tree
from unit.helpers import DOCKER, fails, put


def contents_of(**files: str) -> Contents:
    return Contents({f"{name}.jpg": File(len(text), text * 64) for name, text in files.items()})


ONE, TWO, THREE = contents_of(a="1", b="2"), contents_of(a="3", c="4"), contents_of(a="3", c="4", d="5")


@pytest.fixture
def skins(workspace: Workspace) -> Path:
    """The dataset `skins` of the workspace."""
    return dataset(workspace.data / "skins", {"a": 2, "b": 3})


def test_changes_name_what_was_added_removed_and_changed_and_can_be_undone() -> None:
    result = changes.between(ONE.files, TWO.files)
    assert result.as_json() == {"added": ["c.jpg"], "removed": ["b.jpg"], "changed": ["a.jpg"]}
    assert result.lines() == [("changed", "a.jpg"), ("removed", "b.jpg"), ("added", "c.jpg")]
    assert str(result) == "1 changed, 1 added, 1 removed"
    assert changes.undone(TWO.files, result) == ONE.files
    assert (bool(result), bool(changes.between(ONE.files, ONE.files))) == (True, False)
    assert str(Changes()) == "no changes"


def test_a_manifest_is_read_as_it_was_written_and_leads_back_to_every_version(tmp_path: Path) -> None:
    made = Manifest("skins")
    for number, state in enumerate((ONE, TWO, THREE, ONE), start=1):
        made = made.with_version(state, f"2026-01-0{number}T00:00:00Z")
    manifest.write(tmp_path / "m", made)
    again = manifest.read(tmp_path / "m", "skins")
    assert [again.files_of(version) for version in again.versions] == [
        ONE.files, TWO.files, THREE.files, ONE.files
    ]  # fmt: skip
    assert [version.digest for version in again.versions] == [s.digest for s in (ONE, TWO, THREE, ONE)]
    first = (tmp_path / "m").read_bytes()
    manifest.write(tmp_path / "m", again)
    assert (tmp_path / "m").read_bytes() == first
    assert again.with_version(ONE, "later") is again


def test_a_file_has_a_line_of_its_own_in_json_that_anybody_can_read(tmp_path: Path) -> None:
    odd = Contents({'a "b"/ü\n.jpg': File(3, "f" * 64), "c.jpg": File(0, "0" * 64)})
    manifest.write(tmp_path / "m", Manifest("skins").with_version(odd, "2026-01-01T00:00:00Z"))
    text = (tmp_path / "m").read_text()
    assert f'    "a \\"b\\"/ü\\n.jpg": {{"size": 3, "sha256": "{"f" * 64}"}},\n' in text
    assert json.loads(text) == {
        "schema": 1,
        "name": "skins",
        "versions": [
            {"version": 1, "digest": odd.digest, "created": "2026-01-01T00:00:00Z", "files": 2, "bytes": 3,
             "added": [], "removed": {}, "changed": {}},
        ],
        "files": {path: {"size": file.size, "sha256": file.sha256} for path, file in odd.files.items()},
    }  # fmt: skip


def test_a_version_is_named_by_number_or_by_the_beginning_of_its_digest() -> None:
    made = Manifest("skins").with_version(ONE, "").with_version(TWO, "").with_version(ONE, "")
    assert made.version("2").number == 2
    assert made.version(TWO.digest[:6].upper()).number == 2
    assert made.version(ONE.digest).number == 3  # the same content twice is no ambiguity
    for text in ("4", "0", "fff0", TWO.digest[:3]):
        with fails(InvalidInput, f"skins has no version {text}."):
            made.version(text)


SPOILT = "{path} is not a dataset manifest: it was edited, or git left the marks of a conflict in it."


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"schema": 1', '"schema": 2', "{path} has the schema 2; this trainer understands 1."),
        ('"files": {', '<<<<<<< HEAD\n"files": {', SPOILT),
        ('"version": 1', '"version": 2', SPOILT),
        ("a.jpg", "z.jpg", "The manifest of skins does not add up to version 1: it was edited."),
    ],
)  # fmt: skip
def test_a_corrupt_manifest_is_reported(tmp_path: Path, before: str, after: str, message: str) -> None:
    path = tmp_path / "m"
    manifest.write(path, Manifest("skins").with_version(ONE, ""))
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    with fails(InvalidInput, message.format(path=path)):
        manifest.read(path, "skins")


def test_a_snapshot_of_what_did_not_change_changes_nothing(workspace: Workspace, skins: Path) -> None:
    before = tree(skins)
    made = versions.snapshot(workspace, "skins")
    assert (made.is_new, made.version.number, made.version.files) == (True, 1, 5)
    written = made.path.read_bytes(), made.path.stat().st_ino
    again = versions.snapshot(workspace, "skins")
    assert (again.is_new, again.version) == (False, made.version)
    assert (made.path.read_bytes(), made.path.stat().st_ino) == written
    assert tree(skins) == before
    assert catalog.datasets(workspace) == ["skins"]  # the manifest is none


def test_verify_names_the_file_that_was_altered(workspace: Workspace, skins: Path) -> None:
    versions.snapshot(workspace, "skins")
    put(skins / "a" / "0.png", (skins / "a" / "0.png").read_bytes()[:-1] + b"!")
    result = versions.verify(workspace, "skins", None)
    assert result.changes.as_json() == {"added": [], "removed": [], "changed": ["a/0.png"]}
    versions.snapshot(workspace, "skins")
    assert not versions.verify(workspace, "skins", None).changes
    assert versions.verify(workspace, "skins", "1").changes.as_json()["changed"] == ["a/0.png"]


def test_a_dataset_that_is_gone_keeps_its_history(workspace: Workspace, skins: Path) -> None:
    versions.snapshot(workspace, "skins")
    put(skins / "a" / "new.png", "new")
    versions.snapshot(workspace, "skins")
    skins.rename(workspace.root / "away")
    assert versions.names(workspace) == ["skins"]
    assert versions.diff(workspace, "skins", "1", "2").changes.as_json()["added"] == ["a/new.png"]
    with fails(InvalidInput, f"{skins} is gone; its manifest is all there is."):
        versions.verify(workspace, "skins", None)
    assert versions.state(workspace, versions.named(workspace, "skins")).since.startswith(f"{skins} is gone")


_KILLED_AT_EACH_LINE = """
import os, sys
from pathlib import Path
from trainer.workspace import settings
from trainer.datasets import versions
place = settings.find(Path(sys.argv[1]))
def run(stop):
    seen = 0
    def trace(frame, event, _):
        nonlocal seen
        if not frame.f_code.co_filename.endswith(("manifest.py", "atomic_files.py", "versions.py")):
            return None
        if event == "line":
            seen += 1
            if seen == stop:
                os.kill(os.getpid(), 9)
        return trace
    sys.settrace(trace)
    versions.snapshot(place, "skins")
    sys.settrace(None)
    return seen
path = place.data / "skins.manifest.json"
old = path.read_bytes()
lines, new = run(0), path.read_bytes()
assert old != new
seen, killed = set(), 0
for stop in range(1, lines + 1, max(1, lines // 60)):
    path.write_bytes(old)
    child = os.fork()
    if not child:
        run(stop)
        os._exit(0)
    ended = os.waitpid(child, 0)[1]
    killed += os.WIFSIGNALED(ended)  # the last few may come to their end: the index needs no writing then
    now = path.read_text()
    seen.add(2 if '"version": 2' in now else 1)
    if now.encode() != old:
        versions.manifest.read(path, "skins")
    versions.snapshot(place, "skins")
    assert len(versions.manifest.read(path, "skins").versions) == 2
assert seen == {1, 2} and killed > 30, (seen, killed)
"""


def test_a_kill_at_any_moment_leaves_the_manifest_whole(workspace: Workspace, skins: Path) -> None:
    versions.snapshot(workspace, "skins")
    before = tree(skins)
    put(skins / "a" / "new.png", "new")
    done = subprocess.run(
        # Python 3.12 warns of a fork while the kernel still counts a thread that was joined just before.
        [
            sys.executable,
            "-W",
            "ignore:This process:DeprecationWarning",
            "-c",
            _KILLED_AT_EACH_LINE,
            str(workspace.root),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert tree(skins) == {**before, "a/new.png": b"new"}


def _plan_of_a_run(workspace: Workspace, **parameters: str) -> RunPlan:
    put(
        workspace.projects / "images" / "MLproject",
        "name: images\ndocker_env: {image: trainer/small}\nentry_points: {main: {parameters: "
        "{data: {type: string, dataset: true, default: skins}, more: {type: string, dataset: true, "
        "default: skins}}, command: 'python train.py {data}'}}\n",
    )
    project = mlproject.load(workspace.projects / "images")
    return request.make(workspace, RunRequest(project, "train_code/images", DOCKER, parameters=parameters))


def test_a_run_records_the_digest_that_its_own_input_begins_with(workspace: Workspace, skins: Path) -> None:
    made = _plan_of_a_run(workspace)
    assert made.inputs.data == {"data": "skins", "more": "skins"}
    screen = Shown()
    first, second = recorded.take(workspace, made.inputs.data, screen)
    folder = image_folder.scan(skins)
    in_run = image_folder.folder_digest(folder, image_folder.content_digests(folder))
    assert (first.tag, first.name, first.files) == ("trainer.dataset.skins", "skins", 5)
    assert first == replace(second, parameter="data")
    assert first.digest[:8] == in_run
    assert len(first.digest) == 64
    assert (screen.steps[0], screen.parts[0]) == ("Looking at skins", "reading 5 of 5 files")


def test_a_link_that_the_container_of_a_run_cannot_follow_is_refused(
    workspace: Workspace, skins: Path, tmp_path: Path
) -> None:
    put(tmp_path / "out.png", "out")
    made = _plan_of_a_run(workspace)
    (skins / "b" / "in.png").symlink_to("0.png")
    recorded.take(workspace, made.inputs.data, Shown(), made.inputs.mounts)
    (skins / "b" / "out.png").symlink_to(tmp_path / "out.png")
    with fails(
        InvalidInput,
        f"{skins}/b/out.png is a link to {tmp_path}/out.png, which the container of a run does not have.",
        f"Put what it leads to in its place, or make a copy that has no links: cp -rL {skins} {skins}-copy",
    ):
        recorded.take(workspace, made.inputs.data, Shown(), made.inputs.mounts)
    # The hint leads on; and a run that is in no container follows the link.
    subprocess.run(["cp", "-rL", skins, f"{skins}-copy"], check=True)
    recorded.take(workspace, {"data": "skins-copy"}, Shown(), made.inputs.mounts)
    recorded.take(workspace, made.inputs.data, Shown())


def test_an_address_is_no_dataset_of_the_workspace(workspace: Workspace, skins: Path) -> None:
    put(workspace.data / "iris.csv", "a,b\n")
    made = _plan_of_a_run(workspace, data="https://example.com/iris.csv", more="iris.csv")
    assert made.inputs.data == {"more": "iris.csv"}
    digest = contents.take(workspace.data / "iris.csv", index.place(workspace, skins)).digest
    [taken] = recorded.take(workspace, made.inputs.data, Shown())
    assert (taken.tag, taken.digest) == ("trainer.dataset.iris.csv", digest)


def test_the_tag_of_an_odd_name_is_one_that_mlflow_takes() -> None:
    assert inputs.tag("skins (2)+ü/x") == "trainer.dataset.skins _2__ü/x"


def test_what_a_run_had_can_be_compared_without_a_snapshot(workspace: Workspace, skins: Path) -> None:
    digest = recorded.take(workspace, {"data": "skins"}, Shown())[0].digest
    put(skins / "b" / "0.png", "altered")
    result = versions.verify(workspace, "skins", digest[:12])
    assert result.old == f"{digest[:8]} (of a run)"
    assert result.changes.as_json() == {"added": [], "removed": [], "changed": ["b/0.png"]}
    with fails(InvalidInput, "skins has no versions yet.", "Take one: trainer data snapshot skins"):
        versions.verify(workspace, "skins", None)


def test_a_difference_is_offered_only_where_what_the_run_had_is_known(
    workspace: Workspace, skins: Path
) -> None:
    put(workspace.data / "parts" / "train.csv", "a,b\n1,2\n")
    digest = contents.take(skins, index.place(workspace, skins)).digest
    assert versions.snapshot(workspace, "skins").is_new
    put(skins / "b" / "0.png", "altered")
    put_back = f"Put it back as it was (digest {digest[:8]})"

    def hint(name: str, digest: str) -> str:
        with pytest.raises(CheckFailed) as caught:
            recorded.verify(workspace, "data", name, digest)
        return caught.value.hint

    assert hint("skins", digest) == f"{put_back}; `trainer data diff skins {digest[:8]}` lists all."
    unknown = "0123abcd" * 8
    assert hint("skins", unknown) == "Put it back as it was (digest 0123abcd)."
    assert hint("parts/train.csv", unknown) == "Put it back as it was (digest 0123abcd)."
    (workspace.data / "skins.manifest.json").unlink()
    assert hint("skins", digest) == f"{put_back}."
