import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.datasets.names import DERMNET
from trainer.workspace.settings import Workspace

from unit.datasets.pictures import dataset, tree
from unit.helpers import Result, put

Trainer = Callable[..., Result]


@pytest.fixture
def skins(workspace: Workspace) -> Path:
    """The dataset `skins` of the workspace: three classes as downloaded, and healthy skin."""
    return dataset(workspace.data / "skins", {**dict.fromkeys(DERMNET[:3], 12), "healthy_skins": 12})


def lines(done: Result) -> list[str]:
    return [line.rstrip() for line in done.out.splitlines()]


def test_a_sample_is_made_and_what_to_do_next_is_reported(trainer: Trainer, workspace: Workspace) -> None:
    done = trainer("data", "sample", "demo", "--classes", "3", "--images", "2", "--size", "16")
    assert (done.code, done.err) == (0, "")
    assert lines(done) == [
        f"Made {workspace.data / 'demo'}: 3 classes of 2 images, 16x16 pixels",
        "Next: trainer data stats demo",
        "      trainer new my_tensorflow --template tensorflow",
        "      trainer run my_tensorflow --data demo",
    ]
    assert len(tree(workspace.data / "demo")) == 6


def test_the_project_to_train_with_is_one_that_takes_a_dataset(
    trainer: Trainer, workspace: Workspace
) -> None:
    for name in ("mine", "tensorflow"):
        mlproject = (workspace.projects / "demo" / "MLproject").read_text()
        put(
            workspace.projects / name / "MLproject",
            mlproject.replace("source: uri", "source: {type: string, dataset: true}"),
        )
        done = trainer("data", "sample", f"for_{name}", "--classes", "2", "--images", "1", "--size", "16")
        assert lines(done)[-1] == f"      trainer run {name} --data for_{name}"


def test_a_sample_as_downloaded_is_renamed_next(trainer: Trainer, workspace: Workspace) -> None:
    done = trainer(
        "data", "sample", "demo", "--classes", "2", "--images", "1", "--size", "16", "--as-downloaded"
    )
    assert lines(done)[1] == "Next: trainer data rename-classes demo"
    assert (workspace.data / "demo" / "Acne and Rosacea Photos" / "IMG_0001.jpg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sample demo --classes 25", "Invalid value for '--classes': 25 is not in the range 2<=x<=24."),
        ("sample demo --images 0", "Invalid value for '--images': 0 is not in the range 1<=x<=100000."),
        ("sample .demo", "'.demo' cannot be a dataset's name."),
        ("sample skins", "{data}/skins exists already."),
        ("subset skins small --classes Acme", "There is no class Acme."),
        ("subset skin small --classes first:1", "There is no dataset skin in {data} or here."),
        ("subset skins small", "Missing option '--classes'."),
        ("subset skins skins --classes first:1", "{data}/skins would lie inside of {data}/skins."),
        ("split skins divided --train 0.9", "The shares do not add up to 1: train 0.9, "),
        ("split skins divided --link soft", "Invalid value for '--link': 'soft' is not one of"),
        ("validate README.md", "There is no dataset README.md in {data} or here."),
        (
            "rename-classes skins --undo --mapping x",
            "--undo and --mapping cannot be combined.",
        ),
        ("rename-classes skins --undo", "No renaming of {data}/skins is known that could be undone."),
        ("rename-classes skins --mapping no.yaml", "There is no mapping file no.yaml."),
    ],
)
def test_a_wrong_command_line_makes_nothing(
    trainer: Trainer, workspace: Workspace, skins: Path, arguments: str, message: str
) -> None:
    before = sorted(workspace.root.rglob("*"))
    assert skins in before
    done = trainer("data", *arguments.format(data=workspace.data).split())
    assert done.code == 2
    assert done.err.startswith("Error: " + message.format(data=workspace.data))
    assert done.err.splitlines()[1].startswith("Hint:  ")
    assert len(done.err.splitlines()) == 2
    assert done.out == ""
    assert sorted(workspace.root.rglob("*")) == before


def test_a_folder_that_is_no_dataset_is_two_lines_and_exit_code_2(trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = trainer("data", "validate", str(tmp_path / "empty"))
    message = f"Error: {tmp_path / 'empty'} has no folders of images."
    hint = "Hint:  Put the images of each class into a folder of its own."
    assert (done.code, done.out, done.err) == (2, "", f"{message}\n{hint}\n")


def test_renaming_shows_the_plan_does_it_and_takes_it_back(trainer: Trainer, skins: Path) -> None:
    before = tree(skins)
    would = trainer("data", "rename-classes", "skins", "--dry-run")
    assert tree(skins) == before
    done = trainer("data", "rename-classes", "skins")
    assert lines(done)[0].split() == ["CLASS", "NEW", "NAME"]
    assert lines(done)[1].split("  ")[0] == "Acne and Rosacea Photos"
    assert lines(done)[1].endswith(" Acne_and_Rosacea")
    assert lines(would)[:4] == lines(done)[:4]
    assert lines(would)[4:] == [f"Would rename 3 folders in {skins}."]
    assert lines(done)[4:] == [
        f"Renamed 3 folders in {skins}.",
        "Next: trainer data validate skins",
        "      trainer data rename-classes skins --undo    (takes it back)",
    ]
    assert sorted(path.name for path in skins.iterdir() if path.name[0] != ".")[0] == "Acne_and_Rosacea"
    again = trainer("data", "rename-classes", "skins")
    assert lines(again) == ["Nothing to rename: every class has its name."]
    undone = trainer("data", "rename-classes", "skins", "--undo")
    assert f"Renamed 3 folders in {skins} back." in lines(undone)
    assert tree(skins) == before


def test_names_of_ones_own_come_from_a_file(trainer: Trainer, workspace: Workspace, skins: Path) -> None:
    put(workspace.root / "names.yaml", "Acne and Rosacea Photos: Acne\nhealthy_skins: healthy\n")
    done = trainer("data", "rename-classes", "skins", "--mapping", "names.yaml", "--json")
    payload = json.loads(done.out)
    assert payload["renamed"]["Acne and Rosacea Photos"] == "Acne"
    assert payload["renamed"]["healthy_skins"] == "healthy"
    assert len(payload["renamed"]) == 4
    again = trainer("data", "rename-classes", "skins", "--mapping", "names.yaml")
    assert lines(again) == [
        "Done earlier: Acne and Rosacea Photos → Acne",
        "Done earlier: healthy_skins → healthy",
        "Nothing to rename: every class has its name.",
    ]
    assert (skins / "healthy").is_dir()


def test_an_interrupted_renaming_is_finished_and_told(trainer: Trainer, skins: Path) -> None:
    script = (
        "import os; from pathlib import Path; from trainer import atomic_files; "
        "from trainer.datasets.rename import classes\n"
        "real = atomic_files.rename\n"
        "def first(a, b): real(a, b); os.kill(os.getpid(), 9)\n"
        f"atomic_files.rename = first; classes.rename_classes(Path({str(skins)!r}), {{}})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", script], env=environment, check=False)
    assert killed.returncode == -9
    would = trainer("data", "rename-classes", "skins", "--dry-run")
    assert lines(would)[0] == "An interrupted call is to be finished first: renaming of 3 folders."
    assert (skins / "Atopic Dermatitis Photos").exists()
    done = trainer("data", "rename-classes", "skins")
    assert lines(done) == ["Finished what was interrupted: renaming of 3 folders."]
    assert (skins / "Atopic_Dermatitis").exists()


def test_a_subset_is_made_from_names_as_they_will_be(
    trainer: Trainer, workspace: Workspace, skins: Path
) -> None:
    arguments = ["data", "subset", "skins", "small", "--classes", "Atopic_Dermatitis,healthy_skins"]
    would = trainer(*arguments, "--dry-run")
    assert not (workspace.data / "small").exists()
    done = trainer(*arguments)
    assert (done.code, done.err) == (0, "")
    assert [line.split("  ")[0] for line in lines(done)[:3]] == [
        "CLASS",
        "Atopic Dermatitis Photos",
        "healthy_skins",
    ]
    made = f"{workspace.data / 'small'}: 24 images copied, "
    assert lines(would)[3].startswith(f"Would make {made}")
    assert lines(done)[3].startswith(f"Made {made}")
    assert lines(done)[4:] == [
        "Next: trainer data stats small",
        "      trainer new my_tensorflow --template tensorflow",
        "      trainer run my_tensorflow --data small",
    ]
    assert tree(workspace.data / "small").items() <= tree(skins).items()
    assert len(tree(workspace.data / "small")) == 24


def test_what_lies_elsewhere_is_to_be_linked_into_data(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    done = trainer("data", "sample", str(tmp_path / "my demo"), "--images", "1", "--size", "16")
    assert lines(done)[1:] == [
        f"Next: trainer data stats '{tmp_path / 'my demo'}'",
        f"      ln -s '{tmp_path / 'my demo'}' {workspace.data}/",
    ]


def test_hard_links_warn_that_files_are_shared(trainer: Trainer, skins: Path) -> None:
    done = trainer(
        "data", "subset", "skins", "small", "--classes", "first:1", "--images", "2", "--link", "hard"
    )
    assert done.err == (
        "Warning: the files are those of the source: what is changed in one place is changed in the other.\n"
    )
    assert "2 images hard-linked" in done.out
    assert skins.exists()


def test_a_split_shows_class_by_split(trainer: Trainer, workspace: Workspace, skins: Path) -> None:
    put(skins / "readme.txt")
    done = trainer(
        "data", "split", "skins", "divided", "--train", "0.5", "--validation", "0.25", "--test", "0.25"
    )
    assert lines(done)[0].split() == ["CLASS", "TRAIN", "VALIDATION", "TEST", "ALL"]
    assert lines(done)[4].split() == ["healthy_skins", "6", "3", "3", "12"]
    assert lines(done)[5].split() == ["all", "24", "12", "12", "48"]
    assert lines(done)[6] == "Files that are no images, and left out: 1"
    assert len(tree(workspace.data / "divided" / "train")) == 24
    again = trainer("data", "split", "skins", "two", "--json", "--dry-run")
    assert json.loads(again.out)["splits"]["test"]["healthy_skins"] in (1, 2)
    assert not (workspace.data / "two").exists()


def test_a_sound_dataset_is_reported_as_sound(trainer: Trainer, skins: Path) -> None:
    done = trainer("data", "validate", "skins", "--near", "0")
    assert (done.code, done.err) == (0, "")
    assert lines(done) == ["48 images in 4 classes: nothing found.", "Next: trainer data stats skins"]
    assert skins.exists()


def test_errors_end_with_exit_code_89_and_are_reported_the_worst_first(trainer: Trainer, skins: Path) -> None:
    for number in range(7):
        put(skins / "healthy_skins" / f"broken{number}.jpg", "no image")
    put(skins / "notes.txt")
    done = trainer("data", "validate", "skins")
    assert done.code == 89
    hint = "Fix or remove the files named above; --all names every one."
    assert done.err == f"Error: 7 errors in {skins}.\nHint:  {hint}\n"
    assert lines(done)[:2] == ["error: unreadable image (7)", "    healthy_skins/broken0.jpg: not an image"]
    assert lines(done)[6:11] == [
        "    … and 2 more (--all)",
        "  → Remove these files, or replace them by whole ones.",
        "warning: file that is not an image (1)",
        "    notes.txt",
        "  → Move the files out of the dataset.",
    ]
    assert lines(done)[12].split() == ["FINDING", "SEVERITY", "COUNT"]
    assert lines(done)[13].split() == ["unreadable", "image", "error", "7"]
    assert lines(done)[-1] == "55 images in 4 classes: 7 errors, 1 warning."
    everything = trainer("data", "validate", "skins", "--all")
    assert "healthy_skins/broken6.jpg" in everything.out
    payload = json.loads(trainer("data", "validate", "skins", "--json").out)
    assert (payload["errors"], payload["warnings"], payload["images"]) == (7, 1, 55)
    assert payload["findings"][0] == {
        "severity": "error",
        "kind": "unreadable image",
        "what": "not an image",
        "paths": ["healthy_skins/broken0.jpg"],
    }


def test_warnings_are_no_failure(trainer: Trainer, skins: Path) -> None:
    done = trainer("data", "validate", "skins", "--min-images", "13")
    assert done.code == 0
    assert lines(done)[0] == "warning: class with few images (4)"
    assert skins.exists()


def test_stats_prints_a_table_and_draws_into_a_new_folder(
    trainer: Trainer, workspace: Workspace, skins: Path
) -> None:
    done = trainer("data", "stats", "skins")
    assert (done.code, done.err) == (0, "")
    assert lines(done)[0].split() == ["CLASS", "IMAGES", "SHARE", "MEDIAN", "SIZE", "BYTES"]
    assert lines(done)[4].split()[:4] == ["healthy_skins", "12", "25.0%", "24x24"]
    reports = workspace.root / "reports"
    assert f"Drew {reports / 'skins-stats' / 'classes.png'}" in lines(done)
    assert (reports / ".gitignore").read_text() == "*\n"
    again = trainer("data", "stats", "skins", "--json")
    pictures = json.loads(again.out)["pictures"]
    assert pictures[1] == str(reports / "skins-stats-2" / "contact_sheet.png")
    refused = trainer("data", "stats", "skins", "-o", "reports/skins-stats")
    assert refused.code == 2
    assert "skins-stats/classes.png exists already." in refused.err
    assert skins.exists()


def test_stats_makes_no_dataset_of_its_pictures(
    trainer: Trainer, workspace: Workspace, skins: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(skins.parent)
    trainer("data", "stats", "skins")
    assert [path.name for path in workspace.data.iterdir()] == ["skins"]
    assert (workspace.root / "reports" / "skins-stats" / "classes.png").exists()


@pytest.mark.usefixtures("skins")
def test_reports_that_a_user_has_stay_as_they_are(trainer: Trainer, workspace: Workspace) -> None:
    mine = put(workspace.root / "reports" / "skins-stats", "mine")
    assert trainer("data", "stats", "skins").code == 0
    assert mine.read_text() == "mine"
    assert sorted(path.name for path in mine.parent.iterdir()) == ["skins-stats", "skins-stats-2"]
    shutil.rmtree(mine.parent)
    put(mine.parent, "a file")
    refused = trainer("data", "stats", "skins")
    assert (refused.code, mine.parent.read_text()) == (2, "a file")
    assert f"{mine.parent} exists already." in refused.err


def test_without_a_workspace_the_pictures_are_in_the_current_folder(
    trainer: Trainer, skins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert trainer("data", "stats", str(skins)).code == 0
    assert sorted(path.name for path in (elsewhere / "skins-stats").iterdir()) == [
        "classes.png", "contact_sheet.png"
    ]  # fmt: skip


def offered(workspace: Workspace, words: str) -> list[str]:
    assert workspace.root == Path.cwd()
    variables = {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "_TRAINER_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    command = [sys.executable, "-m", "trainer"]
    done = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ("trainer data s", [
            "plain,sample", "plain,show", "plain,snapshot", "plain,split", "plain,stats", "plain,subset",
        ]),
        ("trainer data validate sk", ["plain,skins"]),
        ("trainer data stats ../", ["dir,../"]),
        ("trainer data subset skins small --classes A", [
            "plain,Acne_and_Rosacea",
            "plain,Actinic_Keratosis_Basal_Cell_Carcinoma_and_other_Malignant_Lesions",
            "plain,Atopic_Dermatitis",
        ]),
        ("trainer data subset skins small --classes Acne,he", ["plain,Acne,healthy_skins"]),
        ("trainer data subset nothing small --classes A", []),
        ("trainer data split skins two --link r", ["plain,reflink"]),
    ],
)  # fmt: skip
def test_datasets_and_classes_are_completed(
    workspace: Workspace, skins: Path, words: str, names: list[str]
) -> None:
    assert skins.exists()
    assert [line for line in offered(workspace, words) if line] == names


def test_help_and_completion_import_nothing_heavy(workspace: Workspace, skins: Path) -> None:
    script = (
        "import sys\nfrom trainer.cli.main import main\n"
        "try: main(['data', 'validate', '--help'])\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert "trainer.cli.data.group" in done.stderr
    assert not {"numpy", "pandas", "PIL", "matplotlib", "rich", "mlflow"} & set(done.stderr.split())
    assert "Examples:\n    trainer data validate" in done.stdout
    assert skins.exists()
    assert workspace.root == Path.cwd()


CUSTOMERS = "id,city,churned\n" + "".join(
    f"{n % 20},{'ab'[n % 3 % 2]}{n % 7},{'yn'[n % 5 % 2]}\n" for n in range(40)
)


def test_a_table_is_validated(trainer: Trainer, workspace: Workspace) -> None:
    path = put(workspace.data / "customers.csv", CUSTOMERS)
    sound = trainer("data", "validate", "customers.csv", "--target", "churned")
    assert (sound.code, lines(sound)[-2]) == (0, "40 rows of 3 columns: nothing found.")
    assert lines(sound)[-1] == "Next: trainer data stats customers.csv --target churned"
    put(path, CUSTOMERS + "1,2\n")
    done = trainer("data", "validate", "customers.csv")
    assert (done.code, lines(done)[:3]) == (
        89,
        [
            "error: row of another length than the header (1)",
            "    line 42: 2 cells, and the header has 3",
            "  → Put text that has the separator in it into quotation marks, or add the missing cells.",
        ],
    )
    assert lines(done)[-1] == "41 rows of 3 columns: 1 error."
    payload = json.loads(trainer("data", "validate", "customers.csv", "--json").out)
    assert (payload["rows"], payload["errors"], payload["findings"][0]["lines"]) == (41, 1, [42])


def test_a_table_without_rows_is_said_without_lines(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.data / "empty.csv", "")
    done = trainer("data", "validate", "empty.csv")
    assert lines(done)[:2] == ["error: file without rows (1)", "  → Add a line of column names and rows."]
    assert (done.code, done.err.splitlines()[1].strip()) == (89, "Hint:  Do what is said above.")


def test_a_split_that_groups_make_another_than_asked_is_a_warning(
    trainer: Trainer, workspace: Workspace
) -> None:
    groups = ["a"] * 50 + ["b"] * 25 + ["c"] * 24 + [""]
    put(workspace.data / "cities.csv", "city,n\n" + "".join(f"{g},{n}\n" for n, g in enumerate(groups)))
    done = trainer("data", "split", "cities.csv", "parts", "--group", "city")
    assert done.code == 0
    assert done.err.startswith("Warning: the shares are not as asked for: train ")
    assert "Rows without a value of city, each a group by itself: 1" in lines(done)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("validate customers.csv --near 3", "--near is for images, and this dataset is a table."),
        ("validate customers.csv --target x", "--target names x, which is not a column of customers.csv."),
        ("validate skins --target x", "--target is for tables, and this dataset is a folder of images."),
        ("split customers.csv new --link hard", "--link is for images, and this dataset is a table."),
        ("split skins new --group x", "--group is for tables, and this dataset is a folder of images."),
        ("split customers.csv skins", "{data}/skins exists already."),
        ("split customers.csv new --group x", "--group names x, which is not a column of customers.csv."),
        ("split two new", "{data}/two has 2 CSV files."),
        ("validate notes.txt", "notes.txt is a file, not a folder or a CSV file."),
    ],
)  # fmt: skip
def test_what_is_no_command_for_a_table_is_one_error(
    trainer: Trainer, workspace: Workspace, skins: Path, arguments: str, message: str
) -> None:
    for name in ("customers.csv", "two/a.csv", "two/b.csv", "notes.txt"):
        put(workspace.data / name, CUSTOMERS)
    before = tree(workspace.data)
    done = trainer("data", *arguments.split())
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 2)
    assert done.err.splitlines()[0] == f"Error: {message.format(data=workspace.data)}"
    assert tree(workspace.data) == before
    assert skins.exists()


def test_a_table_is_split(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.data / "customers.csv", CUSTOMERS)
    words = ["data", "split", "customers.csv", "parts", "--target", "churned", "--group", "id"]
    dry = trainer(*words, "--dry-run")
    assert not (workspace.data / "parts").exists()
    done = trainer(*words)
    assert (done.code, done.err) == (0, "")
    assert lines(done)[0].split() == ["churned", "TRAIN", "VALIDATION", "TEST", "ALL"]
    end = f"{workspace.data}/parts: 40 rows of 20 groups in train.csv, validation.csv, test.csv"
    assert lines(dry)[-1] == f"Would make {end}"
    assert lines(done)[-4:] == [
        f"Made {end}",
        "Next: trainer data validate parts",
        "      trainer new my_sklearn --template sklearn",
        "      trainer run my_sklearn --data parts/train.csv --target churned",
    ]
    assert sorted(tree(workspace.data / "parts")) == ["test.csv", "train.csv", "validation.csv"]
    payload = json.loads(trainer(*words[:3], "more", "--json").out)
    assert payload["splits"] == {"train": {"": 28}, "validation": {"": 6}, "test": {"": 6}}


def test_the_statistics_of_a_table(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.data / "customers.csv", CUSTOMERS)
    done = trainer("data", "stats", "customers.csv", "--target", "churned", "-o", "out")
    assert (done.code, [line for line in done.err.splitlines() if not line.startswith("Drawing: ")]) == (
        0,
        [],
    )
    said = lines(done)
    assert [line.split() for line in said[:2]] == [
        ["COLUMN", "KIND", "VALUES", "MISSING", "DISTINCT"],
        ["id", "number", "0", "…", "9.5", "…", "19", "0", "20"],
    ]
    assert said[5:8] == ["churned  ROWS  SHARE", "y          24  60.0%", "n          16  40.0%"]
    assert said[9] == "Drew out/columns.png"
    assert said[10:] == [
        "Next: trainer new my_sklearn --template sklearn",
        "      trainer run my_sklearn --data customers.csv --target churned",
    ]
    again = trainer("data", "stats", "customers.csv", "-o", "out")
    assert (again.code, again.err.splitlines()[0]) == (2, "Error: out/columns.png exists already.")
    payload = json.loads(trainer("data", "stats", "customers.csv", "-o", "more", "--json").out)
    assert sum(payload["columns"][2]["top"].values()) == 40


def test_a_table_is_made_up(trainer: Trainer, workspace: Workspace) -> None:
    path = workspace.data / "demo.csv"
    would = trainer("data", "sample", "--table", "demo", "--rows", "50", "--dry-run")
    assert (lines(would), path.exists()) == ([f"Would make {path}: 50 rows, 12 columns"], False)
    done = trainer("data", "sample", "--table", "demo", "--rows", "50")
    assert lines(done) == [
        f"Made {path}: 50 rows, 12 columns",
        "Next: trainer data stats demo.csv --target churned",
        "      trainer new my_sklearn --template sklearn",
        "      trainer run my_sklearn --data demo.csv --target churned",
    ]
    before = path.read_bytes()
    again = trainer("data", "sample", "--table", "demo.csv", "--rows", "60")
    assert (again.code, again.err.splitlines()[0]) == (2, f"Error: {path} exists already.")
    assert path.read_bytes() == before
    assert trainer("data", "sample", "demo2", "--rows", "60").err.startswith("Error: --rows is for tables")
    assert trainer("data", "sample", "--table", "demo2", "--size", "16").code == 2


def test_the_project_for_a_table_is_one_with_a_parameter_for_a_column(
    trainer: Trainer, workspace: Workspace
) -> None:
    put(
        workspace.projects / "mine" / "MLproject",
        "entry_points: {main: {parameters: {data: {dataset: true, default: a}, "
        "target: {default: last, column_of: data}}, command: a}}\n",
    )
    done = trainer("data", "sample", "--table", "demo", "--rows", "50")
    assert lines(done)[-1] == "      trainer run mine --data demo.csv --target churned"


def test_the_project_for_images_is_none_for_tables(trainer: Trainer, workspace: Workspace) -> None:
    for name, data in (("a_tables", "choices: [iris], default: iris"), ("b_both", "default: data_4")):
        put(
            workspace.projects / name / "MLproject",
            f"entry_points: {{main: {{parameters: {{data: {{dataset: true, {data}}}, "
            "target: {default: last, column_of: data}}, command: a}}\n",
        )
    arguments = ("data", "sample", "--classes", "2", "--images", "1", "--size", "16")
    assert lines(trainer(*arguments, "first"))[-1] == "      trainer run b_both --data first"
    put(
        workspace.projects / "c_images" / "MLproject",
        "entry_points: {main: {parameters: {data: {dataset: true, default: a}}, command: a}}\n",
    )
    assert lines(trainer(*arguments, "second"))[-1] == "      trainer run c_images --data second"
