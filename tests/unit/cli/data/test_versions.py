import json
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.datasets import recorded
from trainer.errors import CheckFailed
from trainer.workspace.settings import Workspace

from unit.cli.data.test_commands import lines, offered
from unit.datasets.pictures import dataset
from unit.helpers import MLPROJECT, Result, fails, git, put

Trainer = Callable[..., Result]


@pytest.fixture
def skins(workspace: Workspace) -> Path:
    """The dataset `skins` of the workspace, of three files."""
    root = workspace.data / "skins"
    for name in ("a/0.jpg", "a/1.jpg", "b/0.jpg"):
        put(root / name, name)
    return root


def digests(workspace: Workspace) -> list[str]:
    payload = json.loads((workspace.data / "skins.manifest.json").read_text())
    return [version["digest"][:8] for version in payload["versions"]]


def test_a_snapshot_says_what_was_noted_and_where(
    trainer: Trainer, workspace: Workspace, skins: Path
) -> None:
    path = workspace.data / "skins.manifest.json"
    would = trainer("data", "snapshot", "skins", "--dry-run")
    assert not path.exists()
    done = trainer("data", "snapshot", "skins")
    [digest] = digests(workspace)
    of = f"version 1 of skins: 3 files, 21 B, digest {digest}"
    assert (would.code, lines(would)) == (0, [f"Would be {of}"])
    assert (done.code, done.err, lines(done)) == (0, "", [f"Made {of}", f"Next: git add {path}"])
    put(skins / "a" / "new.jpg", "new")
    assert lines(trainer("data", "snapshot", "skins"))[0] == (
        f"Made version 2 of skins: 4 files, 24 B, digest {digests(workspace)[1]} (1 added)"
    )
    again = trainer("data", "snapshot", "skins", "--json")
    payload = json.loads(again.out)
    assert (payload["new"], payload["version"], payload["files"], payload["added"]) == (
        False,
        2,
        4,
        ["a/new.jpg"],
    )
    unchanged = lines(trainer("data", "snapshot", "skins"))
    assert unchanged == [f"Unchanged: version 2 of skins: 4 files, 24 B, digest {digests(workspace)[1]}"]


def test_a_manifest_that_git_ignores_is_warned_of(
    trainer: Trainer, workspace: Workspace, skins: Path
) -> None:
    git(workspace.root, "init", "--quiet")
    put(workspace.data / ".gitignore", "*\n!.gitignore\n")
    done = trainer("data", "snapshot", "skins")
    assert done.err == (
        f"Warning: git ignores {workspace.data}/skins.manifest.json.\n"
        f"To track it, add this line to {workspace.data}/.gitignore: !*.manifest.json\n"
    )
    put(workspace.data / ".gitignore", "*\n!.gitignore\n!*.manifest.json\n")
    assert trainer("data", "snapshot", "skins").err == ""
    listed = git(workspace.root, "status", "--short", "-uall", "data")
    assert "data/skins.manifest.json" in listed
    assert "data/skins/" not in listed
    assert skins.exists()


def test_list_says_which_dataset_changed(trainer: Trainer, workspace: Workspace, skins: Path) -> None:
    put(workspace.data / "iris.csv", "a,b\n")
    trainer("data", "snapshot", "skins")
    unchanged = trainer("data", "list")
    assert [line.split() for line in lines(unchanged)] == [
        ["DATASET", "KIND", "CONTENT", "BYTES", "SINCE", "THE", "VERSION", "VERSION", "FILES"],
        ["iris.csv", "table", "0", "rows,", "2", "columns", "4", "B", "-", "none", "1"],
        ["skins", "images", "3", "images,", "2", "classes", "21", "B", "unchanged", "1",
         f"({digests(workspace)[0]})", "3"],
    ]  # fmt: skip
    (skins / "b" / "0.jpg").unlink()
    assert "1 removed" in lines(trainer("data", "list"))[2]
    (skins / "b" / "0.jpg").symlink_to("nowhere")
    broken = trainer("data", "list", "--json")
    assert broken.code == 0
    table, images = json.loads(broken.out)
    assert (table["name"], table["version"], table["files"]) == ("iris.csv", None, 1)
    assert images["problem"] == f"{skins}/b/0.jpg is not there, or is a link that leads nowhere."


def test_show_tells_the_history(trainer: Trainer, workspace: Workspace, skins: Path) -> None:
    assert lines(trainer("data", "show", "skins"))[-1] == (
        "It has no versions yet. Take one: trainer data snapshot skins"
    )
    trainer("data", "snapshot", "skins")
    put(skins / "a" / "0.jpg", "other")
    trainer("data", "snapshot", "skins")
    put(skins / "a" / "0.jpg", "a/0.jpg")
    done = trainer("data", "show", "skins")
    said = lines(done)
    assert said[0] == f"skins  {skins}: 3 files, 21 B"
    assert said[1] == "Classes: a (2), b (1)"
    one, two = digests(workspace)
    assert said[4].split()[:2] + said[4].split()[3:] == ["1", one, "the", "first", "3", "21", "B"]
    assert said[5].split()[:2] + said[5].split()[3:] == ["2", two, "1", "changed", "3", "19", "B"]
    assert said[7:] == ["Since version 2: 1 changed", "Next: trainer data diff skins"]
    shown = json.loads(trainer("data", "show", "skins", "--json").out)
    assert [version["changed"] for version in shown["versions"]] == [[], ["a/0.jpg"]]
    assert shown["changes"] == {"added": [], "removed": [], "changed": ["a/0.jpg"]}


def test_diff_compares_versions_and_the_folder_as_it_is(
    trainer: Trainer, workspace: Workspace, skins: Path
) -> None:
    trainer("data", "snapshot", "skins")
    put(skins / "a" / "0.jpg", "other")
    put(skins / "c" / "0.jpg", "new")
    (skins / "b" / "0.jpg").unlink()
    now = trainer("data", "diff", "skins")
    trainer("data", "snapshot", "skins")
    one, two = digests(workspace)
    listed = ["changed  a/0.jpg", "removed  b/0.jpg", "added    c/0.jpg"]
    counts = "1 changed, 1 added, 1 removed"
    assert lines(now) == [*listed, f"skins from version 1 ({one}) to now: {counts}"]
    both = f"skins from version 1 ({one}) to version 2 ({two}): {counts}"
    assert lines(trainer("data", "diff", "skins", "1", two)) == [*listed, both]
    assert lines(trainer("data", "diff", "skins")) == [f"skins from version 2 ({two}) to now: no changes"]
    back = json.loads(trainer("data", "diff", "skins", "2", one, "--json").out)
    assert (back["added"], back["removed"], back["changed"]) == (["b/0.jpg"], ["c/0.jpg"], ["a/0.jpg"])


def test_a_long_list_is_cut_unless_all_is_asked_for(trainer: Trainer, skins: Path) -> None:
    trainer("data", "snapshot", "skins")
    for number in range(30):
        put(skins / "a" / f"new{number:02}.jpg", "new")
    assert lines(trainer("data", "diff", "skins"))[20] == "… and 10 more (--all)"
    assert lines(trainer("data", "diff", "skins", "--all"))[29] == "added    a/new29.jpg"


def test_verify_names_the_altered_file_and_ends_with_89(
    trainer: Trainer, workspace: Workspace, skins: Path
) -> None:
    trainer("data", "snapshot", "skins")
    [digest] = digests(workspace)
    sound = trainer("data", "verify", "skins", "--full")
    assert (sound.code, lines(sound)) == (0, [f"skins is version 1 ({digest})."])
    put(skins / "b" / "0.jpg", "B/0.jpg")
    for arguments in ([], ["--full"], [digest], ["1"]):
        done = trainer("data", "verify", "skins", *arguments)
        assert (done.code, lines(done)) == (89, ["changed  b/0.jpg"])
        assert done.err.splitlines()[0] == (
            f"Error: skins is not what it was in version 1 ({digest}): 1 changed."
        )
    as_json = trainer("data", "verify", "skins", "--json")
    assert as_json.code == 89
    assert json.loads(as_json.out)["changed"] == ["b/0.jpg"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("snapshot skin", "There is no dataset skin in {data}."),
        ("snapshot data/skins", "There is no dataset data/skins in {data}."),
        ("diff skins", "skins has no versions yet."),
        ("snapshot empty", "{data}/empty has no files."),
    ],
)
def test_a_wrong_command_line_is_two_lines_and_makes_no_manifest(
    trainer: Trainer, workspace: Workspace, skins: Path, arguments: str, message: str
) -> None:
    (workspace.data / "empty").mkdir()
    done = trainer("data", *arguments.split())
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 2)
    assert done.err.startswith("Error: " + message.format(data=workspace.data))
    assert not list(workspace.data.glob("*.json"))
    assert skins.exists()


def test_names_and_versions_are_completed(trainer: Trainer, workspace: Workspace, skins: Path) -> None:
    trainer("data", "snapshot", "skins")
    [digest] = digests(workspace)
    assert offered(workspace, "trainer data snapshot sk") == ["plain,skins"]
    assert offered(workspace, f"trainer data diff skins {digest[:3]}") == [f"plain,{digest}"]
    assert skins.exists()


def test_a_dataset_of_images_lists_its_classes(trainer: Trainer, workspace: Workspace) -> None:
    dataset(workspace.data / "split", {"train/a": 2, "train/b": 1, "test/a": 1})
    [said] = json.loads(trainer("data", "list", "--json").out)
    assert said["classes"] == {"a": 3, "b": 1}


TABLE = "id,city\n1,Bonn\n2,Berlin\n2,Berlin\n3,\n"


def test_a_table_is_listed_and_its_columns_are_shown(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.data / "two" / "train.csv", TABLE)
    put(workspace.data / "two" / "test.csv", TABLE)
    put(workspace.data / "notes.txt", "a,b\n")
    put(workspace.data / "latin.csv", "a,b\nK\xf6ln,1\n".encode("latin-1"))
    latin, notes, two = json.loads(trainer("data", "list", "--json").out)
    assert (two["kind"], two["rows"], two["columns"], two["files"]) == ("table", 8, ["id", "city"], 2)
    assert (notes["kind"], notes["rows"], latin["kind"], latin["rows"]) == (None, None, "table", None)
    put(workspace.data / "customers.csv", TABLE)
    said = lines(trainer("data", "show", "customers.csv"))
    assert said[0] == f"customers.csv  {workspace.data}/customers.csv: 4 rows, 2 columns, 36 B"
    assert [line.split() for line in said[2:5]] == [
        ["COLUMN", "KIND", "LEFT", "OUT", "OF", "A", "TRAINING", "MISSING", "DISTINCT"],
        ["id", "id", "an", "id,", "3", "different", "in", "4", "rows", "0", "3"],
        ["city", "category", "-", "1", "2"],
    ]


def test_the_difference_of_a_table_is_told_in_rows_and_columns(
    trainer: Trainer, workspace: Workspace
) -> None:
    path = put(workspace.data / "customers.csv", TABLE)

    def difference(*words: str) -> str:
        return lines(trainer("data", "diff", "customers.csv", *words))[0]

    trainer("data", "snapshot", "customers.csv")
    put(path, TABLE + "4,Ulm\n")
    assert difference() == "changed  customers.csv: 1 row added"
    put(path, "id,city\n2,Berlin\n3,\n1,Bonn\n5,Ulm\n6,Ulm\n")
    assert difference() == "changed  customers.csv: 2 rows added, 1 row removed"
    put(path, TABLE.replace(",", ";"))
    assert difference().endswith(": the same rows, in another order or written in another way")
    put(path, TABLE.replace("city", "town") + "9,x\n")
    renamed = "changed  customers.csv: column added: town; column removed: city; 4 → 5 rows"
    assert difference() == renamed
    trainer("data", "snapshot", "customers.csv")
    put(path, "gone")
    assert difference("1", "2") == renamed
    verified = trainer("data", "verify", "customers.csv")
    assert (verified.code, lines(verified)[0].partition(":")[0]) == (89, "changed  customers.csv")
    # What another machine took a snapshot of.
    for kept in (workspace.state / "datasets" / "tables").iterdir():
        kept.unlink()
    assert difference("1", "2").endswith(": its rows were not kept on this machine")


CHOICES = "      kind: {type: string, default: tree, choices: [tree, line]}\n"


def test_where_the_files_are_not_what_needs_them_says_whence_they_are_had(
    trainer: Trainer, workspace: Workspace, skins: Path, tmp_path: Path
) -> None:
    source = "https://example.com/skins.zip"
    assert trainer("data", "snapshot", "skins", "--source", source).code == 0
    [digest] = digests(workspace)
    assert f"Source: {source}" in lines(trainer("data", "show", "skins"))
    put(skins / "new.jpg", "new")
    assert trainer("data", "snapshot", "skins").code == 0  # which keeps it
    newest = digests(workspace)[1]
    skins.rename(tmp_path / "elsewhere")
    hint = (
        f"Its manifest (4 files with digest {newest}) says where they are: {source}. "
        "Copy them to data/skins; `trainer data verify skins` compares them."
    )
    assert trainer("data", "stats", "skins").err.endswith(f"Hint:  {hint}\n")
    for choices in ("", ", choices: [iris]"):
        put(
            workspace.projects / "demo" / "MLproject",
            MLPROJECT.replace(CHOICES, f"      data: {{type: string, dataset: true, default: x{choices}}}\n")
            .replace("{kind} ", "").replace("default: x, choices: [iris]", "default: iris, choices: [iris]"),
        )  # fmt: skip
        done = trainer("run", "demo", "--data", "skins", "--dry-run")
        assert (done.code, done.err.splitlines()[1]) == (2, f"Hint:  {hint}")
    with fails(
        CheckFailed,
        "skins, which the run had as --data, is not there.",
        f"It had the digest {digest}. {hint}",
    ):
        recorded.verify(workspace, "data", "skins", digest * 8)
    (tmp_path / "elsewhere").rename(skins)
    assert trainer("data", "verify", "skins").code == 0


def test_a_source_comes_to_a_version_that_is_there(
    trainer: Trainer, workspace: Workspace, skins: Path
) -> None:
    assert skins.is_dir()
    trainer("data", "snapshot", "skins")
    before = (workspace.data / "skins.manifest.json").read_text()
    assert "source" not in before
    done = trainer("data", "snapshot", "skins", "--source", "the share lab")
    assert lines(done)[0].startswith("Unchanged: version 1 of skins")
    payload = json.loads((workspace.data / "skins.manifest.json").read_text())
    assert payload.pop("source") == "the share lab"
    assert payload == json.loads(before)


def test_a_source_with_a_password_is_refused(trainer: Trainer, workspace: Workspace, skins: Path) -> None:
    assert skins.is_dir()
    done = trainer("data", "snapshot", "skins", "--source", "https://me:hunter2@example.com/skins.zip")
    assert (done.code, done.err) == (
        2,
        "Error: --source has a user name or password in it, which git would keep.\n"
        "Hint:  Leave it out: --source https://example.com/skins.zip\n",
    )
    assert not (workspace.data / "skins.manifest.json").exists()
