import json
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer.plan import downloads
from trainer.projects import sources
from trainer.workspace.settings import Workspace, find

from unit.helpers import DEAD_ENGINE, MLPROJECT, Result, git, make_workspace, put

Trainer = Callable[..., Result]
REPOSITORY = Path(__file__).parents[4]
CANARY = "canary-7f3a"


def refused(done: Result, message: str, hint: str, code: int = 2) -> None:
    assert done.err == f"Error: {message}\nHint:  {hint}\n"
    assert done.out == ""
    assert done.code == code


def planned(done: Result) -> dict[str, object]:
    assert (done.code, done.err) == (0, "")
    payload = json.loads(done.out)
    assert isinstance(payload, dict)
    return payload


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("", "Missing argument 'PROJECT'.", "trainer run --help"),
        ("''", "The project's name is empty.", "Specify a project, a folder, or a git URL."),
        ("-e", "Option '-e' requires an argument.", "trainer run --help"),
        ("dmeo", "There is no project dmeo.", "Did you mean demo?"),
        ("demo --epoch 5", "demo has no parameter --epoch.", "Did you mean --epochs?"),
        ("demo --batch-sise 5", "demo has no parameter --batch-sise.", "Did you mean --batch-size?"),
        ("demo --dryrun", "demo has no parameter --dryrun.", "Did you mean --dry-run?"),
        ("demo -P epoch=5", "demo has no parameter --epoch.", "Did you mean --epochs?"),
        (
            "demo --epochs many",
            "--epochs is 'many', which is not of type int.",
            "Pass a whole number, 1 at least, 100 at most; the default is 3.",
        ),
        (
            "demo --epochs 0",
            "--epochs is 0, which is out of range.",
            "Pass a whole number, 1 at least, 100 at most; the default is 3.",
        ),
        (
            "demo --rate nan",
            "--rate is nan, which is out of range.",
            "Pass a number, 0 at least, 1 at most; the default is 0.1.",
        ),
        ("demo --kind tre", "--kind is 'tre', which is not one of its choices.", "Did you mean tree?"),
        (
            "demo -e strict",
            "demo needs --name: it has no default.",
            "Add --name and a value of type string, or -P name=VALUE.",
        ),
        (
            "demo -e strict --name n --source bucket --table trainer.yaml",
            "--source is 'bucket', which is not of type uri.",
            "Pass a URI such as s3://bucket/key.",
        ),
        ("demo -e stric", "demo has no entry point stric.", "Did you mean strict?"),
        ("demo -P epochs=1 -P epochs=2", "--param epochs is given twice.", "Pass it once."),
        ("demo --tag a=1 --tag a=2", "--tag a is given twice.", "Pass it once."),
        *(
            (
                f"demo {twice}",
                f"The parameter {name} is given twice.",
                "Pass it once, as an option or with -P.",
            )
            for twice, name in (
                ("-P epochs=1 --epochs 2", "epochs"),
                ("--epochs 1 --epochs 2", "--epochs"),
                ("-P batch-size=1 -P batch_size=2", "batch_size"),
                ("-P batch-size=1 --batch-size=2", "batch_size"),
            )
        ),
        (
            "demo -P epochs",
            "--param epochs is not NAME=VALUE.",
            "Write --param NAME=VALUE with no blank around =.",
        ),
        ("demo -P =5", "--param =5 is not NAME=VALUE.", "Write --param NAME=VALUE with no blank around =."),
        ("demo --tag ''", "--tag '' is not KEY=VALUE.", "Write --tag KEY=VALUE with no blank around =."),
        ("demo --tag x", "--tag x is not KEY=VALUE.", "Write --tag KEY=VALUE with no blank around =."),
        (
            "demo --memory 8",
            "--memory 8 is invalid.",
            "Use a number and k, m or g: 512m, 8g.",
        ),
        ("demo --gpus some", "--gpus some is invalid.", "Use none, all, a number, or device=0,1."),
        (
            "demo --version v1",
            "--version needs a git URL, and demo is not one.",
            "Check the revision out yourself.",
        ),
        ("demo --epochs", "Option '--epochs' requires an argument.", "trainer run --help"),
        ("demo extra", "Got unexpected extra argument (extra)", "trainer run --help"),
        (
            "--epochs 5 demo",
            "--epochs stands where the project should.",
            "trainer run PROJECT --PARAMETER VALUE",
        ),
        (
            "demo --backend cloud",
            "Invalid value for '--backend': 'cloud' is not one of 'docker', 'local', 'auto'.",
            "trainer run --help",
        ),
    ],
)
def test_a_wrong_command_line(trainer: Trainer, arguments: str, message: str, hint: str) -> None:
    refused(trainer("run", *shlex.split(arguments)), message, hint)


def test_outside_of_a_workspace(trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    refused(
        trainer("run", "demo"),
        f"{tmp_path} is not in a workspace: neither it nor a folder above it has a trainer.yaml.",
        "Go into your workspace, name it (trainer --workspace DIR …), or make one: trainer init",
    )


def test_a_malformed_project_is_named(trainer: Trainer, workspace: Workspace) -> None:
    path = put(workspace.projects / "demo" / "MLproject", "a: b: c\n")
    refused(trainer("run", "demo"), f"{path}, line 1: this is not valid YAML.", "Correct the line.")


AWKWARD = [
    "a b",
    "it's",
    '"quoted"',
    "a;b",
    "$(touch x)",
    "two\nlines",
    "žluťoučký 漢字",
    "-5",
    "-x",
    "--epochs",
    "--dry-run",
    "--no-such",
    "--",
    "-e",
    "-ev",
    "--version",
    "",
    "{epochs}",
    "{}",
    "a=b",
    "*",
    "\\",
]


@pytest.mark.parametrize("value", AWKWARD)
@pytest.mark.parametrize("form", ["--text {}", "--text={}", "-P text={}", "--param=text={}"])
def test_a_value_is_one_argument_as_it_was_given(trainer: Trainer, form: str, value: str) -> None:
    option = [word.replace("{}", value) for word in form.split()]
    plan = planned(trainer("run", "demo", *option, "--dry-run", "--json"))
    assert plan["command"] == ["python", "train.py", "3", "0.1", "tree", "8", value, "no"]
    assert plan["parameters"] == {
        "epochs": "3",
        "rate": "0.1",
        "kind": "tree",
        "batch_size": "8",
        "text": value,
        "json": "no",
    }


@pytest.mark.parametrize("value", [value for value in AWKWARD if value.startswith("-")])
def test_a_value_that_looks_like_an_option_may_be_the_last(trainer: Trainer, value: str) -> None:
    plan = planned(trainer("run", "--dry-run", "--json", "demo", "--text", value))
    assert isinstance(plan["parameters"], dict)
    assert plan["parameters"]["text"] == value


@pytest.mark.parametrize("form", ["--batch-size 9", "--batch_size=9", "-P batch_size=9", "-P batch-size=9"])
def test_the_ways_to_write_a_parameter(trainer: Trainer, form: str) -> None:
    plan = planned(trainer("run", "demo", *form.split(), "--dry-run", "--json"))
    assert isinstance(plan["parameters"], dict)
    assert plan["parameters"]["batch_size"] == "9"


def test_a_parameter_named_like_an_option_is_given_by_p(trainer: Trainer) -> None:
    plan = planned(trainer("run", "demo", "-P", "json=yes", "--dry-run", "--json"))
    assert isinstance(plan["command"], list)
    assert plan["command"][-1] == "yes"


def test_a_parameter_with_a_dash_in_its_name_is_not_lost(trainer: Trainer, workspace: Workspace) -> None:
    text = MLPROJECT.replace("batch_size", "batch-size")
    put(workspace.projects / "demo" / "MLproject", text)
    plan = planned(trainer("run", "demo", "--batch-size", "9", "--dry-run", "--json"))
    assert isinstance(plan["parameters"], dict)
    assert plan["parameters"]["batch-size"] == "9"


def test_the_plan_as_json_has_everything(trainer: Trainer) -> None:
    options = "--experiment e --run-name r --tag a=b=c --memory 8G --read-only --base-image x:1"
    plan = planned(trainer("run", "demo", *options.split(), "--dry-run", "--json"))
    assert plan["experiment"] == "e"
    assert plan["run_name"] == "r"
    assert plan["tags"] == {"a": "b=c"}
    assert (plan["gpus"], plan["memory"], plan["read_only"]) == ("none", "8g", True)
    assert plan["backend"] == "docker"
    assert plan["unchecked"] == f"No Docker engine answers at {DEAD_ENGINE}."
    assert isinstance(plan["image"], dict)
    assert plan["image"]["base_image"] == "x:1"


def test_the_plan_as_a_table_shows_the_command_as_one_would_type_it(trainer: Trainer) -> None:
    done = trainer("run", "demo", "--text", "a b;c", "--dry-run")
    (line,) = [line for line in done.out.splitlines() if line.startswith("command ")]
    assert shlex.split(line)[1:] == ["python", "train.py", "3", "0.1", "tree", "8", "a b;c", "no"]
    assert [line.split() for line in done.out.splitlines() if "→" in line] == [
        ["mounts", f"trainer-cache-{os.getuid()}", "→", "/cache"]
    ]


def test_what_is_not_as_by_default_is_above_the_rest(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.root / "trainer.yaml", "parameters: {demo: {rate: 0.5, kind: tree}}\n")
    done = trainer("run", "demo", "--epochs", "20", "--run-name", "a b", "--tag", "k=v", "--dry-run")
    lines = [line.split(maxsplit=1) for line in done.out.splitlines()]
    assert lines[1:6] == [
        ["project", "demo (train_code/demo)"],
        ["changed", "epochs=20, not 3"],
        ["rate=0.5,", "not 0.1 (trainer.yaml)"],
        ["--run-name", "'a b'"],
        ["--tag", "k=v"],
    ]
    assert "by default  kind=tree  batch_size=8  text=''  json=no\n" in done.out
    assert not re.search(r"^\w+\s*$", done.out, re.MULTILINE)  # a row that says nothing


@pytest.mark.parametrize("project", sources.names(find(REPOSITORY)))
def test_the_plan_of_a_project_fits_into_a_terminal(
    trainer: Trainer, monkeypatch: pytest.MonkeyPatch, project: str
) -> None:
    with tempfile.TemporaryDirectory() as root:  # whose path is as short as a user's
        make_workspace(Path(root))
        shutil.copytree(REPOSITORY / "train_code" / project, Path(root, "train_code", project))
        Path(root, "data", "data_4", "a").mkdir(parents=True)
        monkeypatch.chdir(root)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "80")
        done = trainer("run", project, "--image", "small", "--run-name", "r", "--dry-run")
    assert done.code == 0, done.err
    lines = re.sub(r"\x1b\[[0-9;]*m", "", done.out).splitlines()
    assert len(lines) < 24
    assert max(map(len, lines)) <= 80


def test_a_dry_run_shows_the_plan_and_is_refused_for_what_a_run_is(
    trainer: Trainer, workspace: Workspace
) -> None:
    done = trainer("run", "demo", "--backend", "local", "--memory", "8g", "--dry-run")
    assert done.code == 2
    assert done.err.startswith("Error: --memory needs a container")
    assert "--memory 8g" in done.out
    assert trainer("run", "demo", "--gpus", "all", "--dry-run").code == 88
    put(workspace.projects / "demo" / "MLproject", MLPROJECT.replace("[[MODE", "[API_KEY, [MODE"))
    done = trainer("run", "demo", "--dry-run")
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        "Error: demo needs the variable API_KEY, which is not set.",
    )


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("nonee", "Did you mean none?"),
        ("mine.h5", "Did you mean mime.h5?"),
        ("x", "There are imagenet, none, mime.h5."),
    ],
)
def test_a_dataset_with_choices_is_one_of_them_or_in_data(
    trainer: Trainer, workspace: Workspace, value: str, hint: str
) -> None:
    parameter = "{weights: {type: string, default: imagenet, choices: [imagenet, none], dataset: true}}"
    put(workspace.projects / "net" / "MLproject",
        f"docker_env: {{image: trainer/small}}\nentry_points: {{main: {{parameters: {parameter}, "
        "command: 'python train.py {weights}'}}\n")  # fmt: skip
    put(workspace.data / "mime.h5", "weights")
    refused(
        trainer("run", "net", "--weights", value, "--dry-run"),
        f"--weights is {value!r}, which is neither one of its choices nor in {workspace.data}.",
        hint,
    )
    assert planned(trainer("run", "net", "--dry-run", "--json"))["data"] == {}
    own = planned(trainer("run", "net", "--weights", "mime.h5", "--dry-run", "--json"))
    assert own["data"] == {"weights": "mime.h5"}
    assert "[imagenet|none|DATASET]" in trainer("run", "net", "--help").out


def test_a_dry_run_creates_nothing_and_shows_no_secret(trainer: Trainer, workspace: Workspace) -> None:
    git(workspace.root, "init", "--quiet")
    put(workspace.root / ".gitignore", "secrets.env\n")
    put(workspace.secrets_file, f"API_KEY={CANARY}\n").chmod(0o600)
    put(workspace.projects / "demo" / "MLproject", MLPROJECT.replace("[[MODE", "[API_KEY, [MODE"))
    done = trainer("run", "demo", "--dry-run", "--json")
    assert CANARY not in done.out + done.err
    assert json.loads(done.out)["secret_names"] == ["API_KEY"]
    assert CANARY not in trainer("run", "demo", "--dry-run").out
    assert not workspace.state.exists()
    assert not workspace.store.exists()


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("The parameter text", ["--text", "a canary-7f3a"]),
        ("The parameter text", ["-P", "text=Y2FuYXJ5LTdmM2E="]),
        ("--tag", ["--tag", "canary-7f3a=1"]),
        ("--run-name", ["--run-name", "canary-7f3a"]),
        ("--experiment", ["--experiment", "canary-7f3a"]),
        ("--image", ["--image", "example.com/canary-7f3a/x"]),
    ],
)
def test_a_secret_in_the_words_of_the_command_is_refused(
    trainer: Trainer, workspace: Workspace, place: str, words: list[str]
) -> None:
    put(workspace.secrets_file, "API_KEY=canary-7f3a\n").chmod(0o600)
    done = trainer("run", "demo", "--dry-run", *words)
    assert done.code == 2
    message, hint = done.err.splitlines()
    assert message == f"Error: {place} holds the value of the secret API_KEY, and is stored with the run."
    assert "os.environ['API_KEY']" in hint
    assert "canary" not in done.out + done.err


def test_a_secret_of_trainer_yaml_is_refused_and_a_default_of_the_project_is_not(
    trainer: Trainer, workspace: Workspace
) -> None:
    put(workspace.secrets_file, "KIND=tree-\nWORD=train\n").chmod(0o600)  # WORD is in the command
    assert trainer("run", "demo", "--dry-run").code == 0
    put(workspace.root / "trainer.yaml", "parameters: {demo: {text: tree-house}}\n")
    done = trainer("run", "demo", "--dry-run")
    assert done.code == 2
    assert done.err.startswith("Error: The parameter text holds the value of the secret KIND,")


def test_without_an_engine(trainer: Trainer, workspace: Workspace) -> None:
    refused(
        trainer("run", "demo"),
        f"No Docker engine answers at {DEAD_ENGINE}.",
        "Start it (Docker Desktop, or: sudo systemctl start docker), or run without one: --backend local",
        82,
    )
    assert not workspace.store.exists()


def test_auto_says_that_it_runs_without_an_engine(trainer: Trainer) -> None:
    done = trainer("run", "demo", "--backend", "auto", "--dry-run", "--json")
    assert json.loads(done.out)["backend"] == "local"
    assert done.err == f"No Docker engine answers at {DEAD_ENGINE}. Running on the local backend instead.\n"


def test_a_secret_that_the_project_needs_is_asked_for_before_anything_else(
    trainer: Trainer, workspace: Workspace
) -> None:
    put(workspace.projects / "demo" / "MLproject", MLPROJECT.replace("[[MODE", "[API_KEY, [MODE"))
    refused(
        trainer("run", "demo"),
        "demo needs the variable API_KEY, which is not set.",
        "trainer secrets set API_KEY, or set it in the environment.",
    )


def test_a_secrets_file_that_could_leak_is_refused(trainer: Trainer, workspace: Workspace) -> None:
    put(workspace.secrets_file, f"API_KEY={CANARY}\n").chmod(0o644)
    path = workspace.secrets_file
    refused(trainer("run", "demo"), f"Other users of this machine can read {path}.", f"chmod 600 {path}", 81)


def test_help_shows_the_projects(trainer: Trainer) -> None:
    done = trainer("run", "--help")
    assert done.code == 0
    assert "Projects of this workspace:\n  demo\n" in done.out
    assert "--dry-run" in done.out


def test_help_of_a_project_shows_its_parameters(trainer: Trainer) -> None:
    done = trainer("run", "demo", "--help")
    said = " ".join(done.out.split())
    assert "Parameters of demo, entry point main:" in said
    assert "--epochs INT Passes over the data. [1 at least; 100 at most; default: 3]" in said
    assert "--kind [tree|line] [default: tree]" in said
    assert "--batch-size INT [default: 8]" in said
    assert "-e, --entry-point" in said
    assert "--name STRING [required]" in " ".join(trainer("run", "demo", "-e", "strict", "-h").out.split())


@pytest.mark.parametrize("name", ["model/lr", "a;b", "/x"])
def test_a_name_that_click_has_a_meaning_for(trainer: Trainer, workspace: Workspace, name: str) -> None:
    put(workspace.projects / "odd" / "MLproject",
        f"entry_points: {{main: {{parameters: {{'{name}': {{type: float, default: 1}}}}, "
        f"command: 'a {{{name}}}'}}}}\ndocker_env: {{image: trainer/small}}\n")  # fmt: skip
    assert f"--{name}" in trainer("run", "odd", "--help").out
    for form in ([f"--{name}", "0.5"], [f"--{name}=0.5"], ["-P", f"{name}=0.5"]):
        done = trainer("run", "odd", *form, "--dry-run", "--json")
        if name == "model/lr":
            assert (done.code, json.loads(done.out)["parameters"]) == (0, {name: "0.5"}), done.err
        else:  # of MLflow's
            assert (done.code, f"--param {name}: MLflow takes no such name." in done.err) == (2, True), (
                done.err
            )


@pytest.mark.parametrize("name", ["..", "../x", "a/../../x", "/x"])
def test_a_parameter_that_is_fetched_elsewhere(trainer: Trainer, workspace: Workspace, name: str) -> None:
    put(workspace.projects / "odd" / "MLproject",
        "entry_points: {main: {command: a, "
        f"parameters: {{'{name}': {{type: path, default: 's3://b/x'}}}}}}}}\n"
        "docker_env: {image: trainer/small}\n")  # fmt: skip
    done = trainer("run", "odd", "--dry-run")
    assert (done.code, done.err.startswith(f"Error: --param {name}: MLflow takes no such name.")) == (2, True)


@pytest.mark.parametrize("uri", ["s3://bucket/..", "s3://bucket/a/../", "s3://bucket/.", "s3://bucket"])
def test_what_is_fetched_keeps_to_its_folder(uri: str) -> None:
    assert downloads.name(uri) == "data"


def test_help_where_there_is_nothing_to_list(trainer: Trainer, workspace: Workspace) -> None:
    put(
        workspace.projects / "demo" / "MLproject",
        """\
entry_points:
  main: {command: python train.py}
  other: {command: "python train.py {memory}", parameters: {memory: {type: int, default: 1, help: Slots}}}
""",
    )
    put(workspace.projects / "demo" / "train.py")
    for entry_point, said in (("main", "None."), ("train.py", "Any: -P NAME=VALUE"),
                              ("other", "-P memory=VALUE  Slots")):  # fmt: skip
        done = trainer("run", "demo", "-e", entry_point, "--help")
        assert done.code == 0, done.err
        assert f"Parameters of demo, entry point {entry_point}:\n  {said}\n" in done.out
    shutil.rmtree(workspace.projects)
    done = trainer("run", "--help")
    assert done.code == 0, done.err
    assert "Projects of this workspace:\n  None. Make one: trainer new NAME --template minimal\n" in done.out


def test_a_name_with_a_dot_is_an_option_too(trainer: Trainer, workspace: Workspace) -> None:
    put(
        workspace.projects / "demo" / "MLproject",
        """\
docker_env: {image: trainer/small}
entry_points: {main: {command: "python a.py {model.lr} {c d}",
  parameters: {model.lr: {type: float, default: 1}, c d: {default: e}, model_lr: {default: 2}}}}
""",
    )
    plan = planned(trainer("run", "demo", "--model.lr", "3", "-P", "c d=4", "--dry-run", "--json"))
    assert plan["parameters"] == {"model.lr": "3", "c d": "4", "model_lr": "2"}
    assert plan["command"] == ["python", "a.py", "3", "4"]
    refused(trainer("run", "demo", "--model.lr", "x"), "--model.lr is 'x', which is not of type float.",
            "Pass a number; the default is 1.")  # fmt: skip


def test_text_that_names_a_file_outside_of_the_project_is_remarked_on(
    trainer: Trainer, workspace: Workspace
) -> None:
    put(workspace.root / "tables" / "x.csv")
    put(workspace.projects / "demo" / "beside.csv")
    outside = str(workspace.root / "tables")

    def remarks(default: str, *arguments: str, kind: str = "string") -> str:
        put(workspace.projects / "demo" / "MLproject",
            "docker_env: {image: trainer/small}\nentry_points: {main: {command: python a.py, parameters: "
            f"{{table: {{type: {kind}, default: '{default}'}}}}}}}}\n")  # fmt: skip
        done = trainer("run", "demo", "--dry-run", *arguments)
        assert done.code == 0, done.err
        return done.err

    assert remarks("../../tables/x.csv") == (
        "--table is ../../tables/x.csv, which is outside of the project: the run cannot see it.\n"
        "Declare it in the MLproject to have it mounted: table: {type: path, default: ../../tables/x.csv}\n"
    )
    assert f"--table is {outside}, which" in remarks("none", "--table", outside)
    assert remarks("../../tables/x.csv", kind="path") == ""
    for inside in ("beside.csv", "./beside.csv", "../demo/beside.csv", "../../tables/gone.csv", "..", "/",
                   "/tmp", "/dev/null", "a/b", "s3://bucket/../../x"):  # fmt: skip
        assert remarks(inside) == "", inside
    assert remarks(outside, "--backend", "local") == ""


def test_what_is_mounted_of_a_fetched_project_is_gone_when_a_detached_run_needs_it(
    trainer: Trainer, tmp_path: Path
) -> None:
    repository = tmp_path / "models"
    put(repository / "MLproject", 'docker_env: {image: trainer/small, volumes: ["$(pwd):/work"]}\n'
        "entry_points: {main: {command: a}}\n")  # fmt: skip
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "First")
    address = f"file://{repository}"
    refused(
        trainer("run", address, "--detach"),
        "--detach: /work is a volume of the fetched project, which is removed on return.",
        "Leave out --detach, or clone the project and run the folder.",
    )
    plan = planned(trainer("run", address, "--dry-run", "--json"))
    assert (plan["project"], plan["experiment"]) == ("models", "models")


def test_an_error_in_a_fetched_project_names_its_address(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    repository = tmp_path / "models"
    put(repository / "MLproject", "name: [\n")
    parameters = "{table: {type: path, default: gone.csv}}"
    put(
        repository / "forest" / "MLproject",
        f"entry_points: {{main: {{parameters: {parameters}, command: 'a {{table}}'}}}}\n",
    )
    put(repository / "empty" / "README")
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "First")
    address = f"file://{repository}"
    yaml = f"{address}#MLproject, line 2: this is not valid YAML."
    refused(trainer("run", address), yaml, "Correct the line.")
    refused(trainer("new", "mine", "--from", address), yaml, "Correct the line.")
    refused(
        trainer("run", f"{address}#forest", "--dry-run"),
        f"--table names {address}#forest/gone.csv, which is not there.",
        "Specify a file or folder.",
    )
    done = trainer("run", f"{address}#empty")
    assert f"Error: {address}#empty is not an MLflow project:" in done.err
    assert not list(workspace.state.glob("source-*"))


def test_a_project_that_names_no_environment_says_what_it_runs_in(
    trainer: Trainer, workspace: Workspace
) -> None:
    put(workspace.projects / "bare" / "train.py")
    put(workspace.images / "sklearn" / "image.yaml")
    put(workspace.images / "sklearn" / "requirements.txt")
    done = trainer("run", "train_code/bare", "-e", "train.py", "-P", "lr=0.1", "--dry-run")
    assert "python train.py --lr 0.1" in done.out
    assert done.err.startswith("bare names no environment: it runs in trainer/sklearn:")
    assert done.err.endswith(". --image chooses another.\n")
    refused(
        trainer("run", "train_code/bare", "-e", "train.py", "--lr", "0.1"),
        "bare declares no parameter --lr.",
        "The script train.py gets undeclared parameters with -P lr=VALUE",
    )
