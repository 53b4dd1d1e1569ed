"""The second line of an error leads on: the commands that it names exist, and so do its pages."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import yaml
from support import REPOSITORY
from trainer.cli.commands import DefaultCommandGroup, loaded
from trainer.cli.main import cli
from trainer.errors import TrainerError
from trainer.workspace.settings import Workspace
from trainkit.errors import InputError

from unit.datasets.pictures import dataset
from unit.helpers import Result, put

Trainer = Callable[..., Result]
SOURCES = [
    path
    for folder in ("tooling/trainer", "trainer_images/trainkit/trainkit")
    for path in sorted((REPOSITORY / folder).rglob("*.py"))
]
# What stands for a value that is put in, or that the user is to put in.
VALUE = "VALUE"
# A command in a text is put into `…`, or ends with its part of the sentence.
COMMAND = re.compile(
    r"`trainer (?P<quoted>[^`]+)`|(?<![\w`/.])trainer (?P<bare>(?:--workspace DIR )?{}\b.*?)"
    r"(?=$|[.]$|[;`\n]|, | && | < | {{2,}}| \(|…?\))".format("(?:{})".format("|".join(cli.commands))),
    re.MULTILINE,
)


def said(node: ast.AST) -> str:
    """The text of an expression, with VALUE for what is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(said(value) if isinstance(value, ast.Constant) else VALUE for value in values)
    return ""


def texts(tree: ast.Module) -> Iterator[str]:
    """All but docstrings, pieces of others, and the help of commands, which has tests of its own."""
    passed: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=value):
                passed.add(id(value))
            case ast.JoinedStr(values=values):
                passed |= {id(value) for value in values}
            case ast.keyword(arg="help" | "short_help" | "epilog", value=value):
                passed |= {id(inner) for inner in ast.walk(value)}
            case ast.Call(func=ast.Name(id="LazyCommand")):
                passed |= {id(inner) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) not in passed and (text := said(node)):
            yield text


def commands(text: str) -> list[str]:
    """The command lines in a text, without `trainer`."""
    return [line for line, _ in _found(text)]


def _found(text: str) -> Iterator[tuple[str, bool]]:
    """With each, whether it is in the midst of a sentence, where its arguments may be left out."""
    for match in COMMAND.finditer(text):
        line = match["quoted"] or match["bare"]
        yield line.strip().removesuffix("."), match["quoted"] is not None


EVERY = sorted(
    {
        (str(path.relative_to(REPOSITORY)), line, mentioned)
        for path in SOURCES
        for text in texts(ast.parse(path.read_text()))
        for line, mentioned in _found(text)
    }
)


def test_the_commands_in_texts_are_found() -> None:
    assert commands("Take one: trainer data snapshot VALUE") == ["data snapshot VALUE"]
    assert commands("`trainer sync` brings them.") == ["sync"]
    assert commands("trainer stop RUN…, or trainer stop --all") == ["stop RUN…", "stop --all"]
    assert commands("It was another trainer that is making it.") == []
    assert len(EVERY) > 60


@pytest.mark.parametrize(("file", "line", "mentioned"), EVERY)
def test_every_command_that_a_hint_names_can_be_typed(
    file: str,  # noqa: ARG001
    line: str,
    mentioned: bool,
) -> None:
    words = [word.removesuffix("…") or VALUE for word in shlex.split(line.replace("{}", VALUE))]
    command: click.Command = cli
    context = click.Context(cli, info_name="trainer", **cli.context_settings)
    while isinstance(command, click.Group) and words:
        if words[0] == "--workspace":
            words = words[2:]
            continue
        if words[0] == "--debug":
            words = words[1:]
            if words == [VALUE]:
                return  # whatever the command was
            continue
        if words[0] == VALUE and isinstance(command, DefaultCommandGroup):
            words = [str(command.default.name), *words]  # as of `trainer serve MODEL`
        result = command.get_command(context, words[0])
        if result is None and isinstance(command, DefaultCommandGroup):
            command = loaded(command.default)
        else:
            assert result, f"{command.name} has no command {words[0]}"
            command = loaded(result)
            words = words[1:]
        context = click.Context(command, context, info_name=command.name)
    if words == ["--help"] or isinstance(command, click.Group):
        return  # which prints its help
    parser = command.make_parser(context)
    # Parameters of a project are not known here; what is not an option of ours has to look like one of them.
    parser.ignore_unknown_options = command.name == "run"
    options, left, _ = parser.parse_args([*words])
    assert all(word.startswith("--") or word.isupper() or word[0].isdigit() for word in left), left
    for argument in command.params:
        if isinstance(argument, click.Argument) and argument.required and not mentioned:
            assert options.get(argument.name or ""), f"{argument.name} is missing"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_page_that_a_text_names_is_there(path: Path) -> None:
    for text in texts(ast.parse(path.read_text())):
        for page in re.findall(r"\bdocs/[\w-]+\.md\b", text):
            assert (REPOSITORY / page).is_file(), page


# The hints whose way is longer than a command that exists


def hints(done: Result) -> str:
    """The hint of a command that failed."""
    assert done.code
    (line,) = [line for line in done.err.splitlines() if line.startswith("Hint:  ")]
    return line.removeprefix("Hint:  ")


def follow(trainer: Trainer, done: Result) -> Result:
    """Type the command that the hint names last."""
    return trainer(*shlex.split(commands(hints(done))[-1]))


def test_a_dataset_of_which_only_the_manifest_is_here_is_not_made_up(
    trainer: Trainer, workspace: Workspace, tmp_path: Path
) -> None:
    real = dataset(workspace.data / "skins", {"a": 2, "b": 2})
    assert trainer("data", "snapshot", "skins").code == 0
    real.rename(tmp_path / "elsewhere")
    for command in (("validate",), ("stats",), ("subset",), ("split",)):
        rest = {"subset": ["new", "--classes", "a"], "split": ["new"]}.get(command[0], [])
        hint = hints(trainer("data", *command, "skins", *rest))
        assert re.fullmatch(
            "Its manifest has 4 files with digest [0-9a-f]{8}, and no source. Copy them to data/skins from "
            "where they are; `trainer data verify skins` compares them.",
            hint,
        )
    (tmp_path / "elsewhere").rename(workspace.data / "skins")
    assert trainer("data", "verify", "skins").code == 0


def test_a_dataset_to_try_with_is_made_under_no_name_that_was_asked_for(
    trainer: Trainer, workspace: Workspace
) -> None:
    done = trainer("data", "stats", "data_24")
    assert follow(trainer, done).code == 0
    assert [path.name for path in workspace.data.iterdir()] == ["demo"]
    assert trainer("data", "validate", "demo").code == 0


@pytest.mark.parametrize("name", ["tensorflow", "sklearn", "inceptionv3", "whatever"])
def test_a_project_that_a_fresh_workspace_lacks_is_made_from_its_template(
    trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    assert trainer("init", str(tmp_path / "fresh")).code == 0
    monkeypatch.chdir(tmp_path / "fresh")
    line = commands(hints(trainer("run", name, "--dry-run")))[0]
    assert ("--template minimal" in line) == (name == "whatever")
    assert trainer(*shlex.split(line)).code == 0
    assert trainer("run", line.split()[1], "--dry-run").code == 0


def test_a_folder_becomes_an_image_step_by_step(trainer: Trainer, workspace: Workspace) -> None:
    folder = workspace.images / "mine"
    folder.mkdir()
    done = trainer("build-image", "mine", "--dry-run")
    assert done.err.startswith(f"Error: {folder} has no image.yaml: it is not an image yet.")
    subprocess.run(shlex.split(hints(done).partition(": ")[2]), check=True)
    done = trainer("build-image", "mine", "--dry-run")
    assert done.err.startswith("Error: The image mine has no requirements.txt.")
    assert f"Specify the packages in {folder}/requirements.in, one a line. Then: uv pip compile" in hints(
        done
    )
    put(folder / "requirements.in", "click\n")
    put(
        folder / "requirements.txt",
        "# compiled without hashes\n--index-url https://example.com\nclick==8.1.8\n",
    )
    done = trainer("build-image", "mine", "--dry-run")
    assert done.err.startswith(f"Error: {folder}/requirements.txt has no hash of click==8.1.8:")
    assert hints(done) == (
        "uv pip compile --universal --python-version 3.11 --generate-hashes "
        f"{folder}/requirements.in -o {folder}/requirements.txt"
    )
    put(
        folder / "requirements.txt",
        "click==8.1.8 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n    # via me\n",
    )
    assert trainer("build-image", "mine", "--dry-run").code == 0


@pytest.mark.parametrize(
    "line",
    [
        "run demo --workspace .",
        "run --workspace . demo",
        "run demo --text a --workspace .",
        "runs list --workspace .",
        "data stats --workspace .",
    ],
)
def test_an_option_of_trainer_itself_is_said_to_come_before_the_command(trainer: Trainer, line: str) -> None:
    done = trainer(*line.split())
    command = line.partition(" demo")[0].partition(" --workspace")[0]
    assert hints(done) == f"It comes before the command: trainer --workspace VALUE {command} …"
    assert done.err.startswith("Error: No such option")
    assert len(done.err.splitlines()) == 2
    before = trainer("--workspace", ".", *line.replace(" --workspace .", "").split(), "--no-such-option")
    assert before.err.startswith(("Error: No such option '--no-such-option'", "Error: demo has no parameter"))


def test_the_workspace_is_named_before_the_command(trainer: Trainer, workspace: Workspace) -> None:
    assert trainer("--workspace", str(workspace.root), "run", "demo", "--dry-run").code == 0


@pytest.mark.parametrize(("python", "version"), [("2.7", "3.6"), ("latest", "3.11")])
def test_a_python_that_cannot_be_had_is_replaced_by_one_that_can(
    trainer: Trainer, workspace: Workspace, python: str, version: str
) -> None:
    (workspace.projects / "own").mkdir()
    put(workspace.projects / "own" / "MLproject", "entry_points: {main: {command: a}}\n")
    file = put(workspace.projects / "own" / "python_env.yaml", f"python: '{python}'\n")
    assert version in hints(trainer("run", "own", "--dry-run"))
    put(file, f"python: '{version}'\n")
    assert trainer("run", "own", "--dry-run").code == 0


# Options


def _hints_of(tree: ast.Module) -> Iterator[str]:
    """What calls of `SomeError(message, hint)` say to do."""
    kinds = {InputError.__name__, *(kind.__name__ for kind in _all_below(TrainerError))}
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name), args=[_, hint]) if name in kinds:
                yield from filter(None, map(said, ast.walk(hint)))


def _all_below(kind: type[TrainerError]) -> Iterator[type[TrainerError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _all_below(below)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner:
                inner = loaded(inner)
                yield from _options(inner, click.Context(inner, context, info_name=name))


def test_every_option_that_a_hint_names_exists() -> None:
    known = set(_options(cli, click.Context(cli, info_name="trainer", **cli.context_settings)))
    for file in (REPOSITORY / "train_code").glob("*/MLproject"):
        parameters = yaml.safe_load(file.read_text())["entry_points"]["main"]["parameters"]
        known |= {f"--{name.replace('_', '-')}" for name in parameters}

    # Of `mlflow server` and `mlflow run`.
    known |= {"--serve-artifacts", "--artifacts-destination", "--default-artifact-root"}
    known |= {"--allowed-hosts", "--backend-config"}
    others = r"\b(?:convmv|cp|docker|git|heroku|npm|pip|uv)\b [^;.`]*"
    named = {
        (path.name, option)
        for path in SOURCES
        for hint in _hints_of(ast.parse(path.read_text()))
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+\b(?!-)", re.sub(others, "", hint))
    }
    assert len(named) > 40
    assert sorted(pair for pair in named if pair[1] not in known) == []
