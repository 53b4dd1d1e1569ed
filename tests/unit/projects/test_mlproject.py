from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.plan.parameter_values import check
from trainer.projects.mlproject import EntryPoint, Project, command_line, load
from trainer.projects.parameters import Parameter

from unit.helpers import MLPROJECT, fails, put

HEAD = "docker_env: {image: trainer/small}\n"
MAIN = HEAD + "entry_points: {main: {command: python a.py}}\n"


def read(folder: Path, text: str | bytes) -> Project:
    put(folder / "MLproject", text)
    return load(folder)


def with_parameter(body: str, command: str = "python a.py") -> str:
    return HEAD + f"entry_points:\n  main:\n    parameters:\n      x: {body}\n    command: {command}\n"


def with_command(command: str) -> str:
    return HEAD + f"entry_points:\n  main:\n    parameters: {{x: string}}\n    command: {command}\n"


def test_a_project_is_read(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        """
name: forest
docker_env: {image: trainer/small, environment: [TOKEN, [MODE, 3]]}
entry_points:
  main:
    parameters:
      n: {type: int, default: 3, minimum: 1, maximum: 9, help: How many}
      kind: {default: a, choices: [a, 1]}
      name: string
    command: python train.py {n}
""",
    )
    assert project == Project(
        name="forest",
        folder=tmp_path,
        image="trainer/small",
        entry_points=(
            EntryPoint(
                "main",
                "python train.py {n}",
                (
                    Parameter("n", "int", "3", "How many", (), 1, 9),
                    Parameter("kind", "string", "a", "", ("a", "1")),
                    Parameter("name"),
                ),
            ),
        ),
        environment=(("TOKEN", None), ("MODE", "3")),
    )


def test_without_a_name_it_is_the_folders(tmp_path: Path) -> None:
    assert read(tmp_path / "forest", MAIN).name == "forest"


def test_a_folder_without_the_file(tmp_path: Path) -> None:
    hint = "Specify a folder that has one; `trainer run --help` lists the projects of this workspace."
    with fails(
        InvalidInput, f"{tmp_path} is not an MLflow project: it has no file MLproject, and no script.", hint
    ):
        load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("name: [1,\nb: 2", "{path}, line 2: this is not valid YAML.", "Correct the line."),
        ("a: b: c", "{path}, line 1: this is not valid YAML.", "Correct the line."),
        (b"name: \xff\n", "{path}: this is not valid YAML.", "Write it in UTF-8 as YAML: `name: value`."),
        ("", "{path} is empty.", "It needs `name:`, `docker_env:` and `entry_points:`, each on its line."),
        *(
            (
                text,
                "{path} is not a mapping.",
                "It needs `name:`, `docker_env:` and `entry_points:`, each on its line.",
            )
            for text in ("- a\n", "[]", "a text", "5", "true")
        ),
        ("entry_points: []\n", "{path}: entry_points is not a mapping.", None),
        *(
            (
                HEAD + f"entry_points: {{main: {{command: a, parameters: {{{said}: int}}}}}}\n",
                f"{{path}}: a parameter of main has a name that YAML reads as {read}, which is not text.",
                "Put the name in quotes: a bare yes, no, on, off, null or number is another value in YAML.",
            )
            for said, read in (("yes", "True"), ("no", "False"), ("on", "True"), ("null", "None"), ("1", "1"))
        ),
        (
            "docker_env: {volumes: []}\n",
            "{path} names no image.",
            "Add `docker_env: {{image: trainer/NAME}}`; `trainer images` lists them.",
        ),
        (
            "docker_env: trainer/small\n",
            "{path}: docker_env is not a mapping.",
            "Write `docker_env:` and `image: NAME` below it.",
        ),
        ("docker_env: {image: 3}\n", "{path} names no image.", None),
        (
            "docker_env: {image: a, volumes: b}\n",
            "{path}: docker_env.volumes is invalid.",
            'Write ["/on/the/host:/in/the/container"].',
        ),
        (
            "docker_env: {image: a, volume: [b]}\n",
            "{path}: docker_env has the unknown key volume.",
            "Did you mean volumes?",
        ),
        (
            "docker_env: {image: a, environment: [[MLFLOW_TRACKING_URI, b]]}\n",
            "{path}: docker_env.environment has MLFLOW_TRACKING_URI, which a run gets from trainer.",
            "Leave it out. The tracking server is chosen with --tracking-uri.",
        ),
        (
            "docker_env: {image: a, environment: [HOME]}\n",
            "{path}: docker_env.environment has HOME, which a run gets from trainer.",
            None,
        ),
        (
            "docker_env: {image: a}\npython_env: p.yaml\n",
            "{path} has both docker_env and python_env.",
            "A project has one environment.",
        ),
        (
            "databricks_spark_job: {python_file: a.py}\n",
            "{path} is a Databricks job, which trainer cannot run.",
            "Run it with mlflow run.",
        ),
        (
            "conda_env: conda.yml\n",
            "{path}: conda_env names conda.yml, which is not there.",
            "Add it, or correct conda_env.",
        ),
        (HEAD + "entry_points: [main]\n", "{path}: entry_points is not a mapping.", None),
        (
            HEAD + "entry_points: {main: python a.py}\n",
            "{path}: entry point main has no command.",
            "Add `command: python train.py …`.",
        ),
        (HEAD + "entry_points: {main: {command: [a]}}\n", "{path}: entry point main has no command.", None),
        (HEAD + 'entry_points: {main: {command: ""}}\n', "{path}: entry point main has no command.", None),
        (HEAD + 'entry_points: {main: {command: " "}}\n', "{path}: entry point main has no command.", None),
        (
            HEAD + "entry_points: {main: {command: a, parameters: [x]}}\n",
            "{path}: parameters is not a mapping.",
            None,
        ),
        (
            with_parameter("3"),
            "{path}: parameter x is invalid.",
            "Write `{{type: float, default: 0.1}}`.",
        ),
        (
            HEAD + "entry_points: {main: {command: a, parameters: {a_b: int, c: int, a-b: int}}}\n",
            "{path}: the parameters a_b and a-b of main are one option, --a-b.",
            "Rename one of them.",
        ),
        (
            MAIN.replace("small}", "small, environment: {A: b}}"),
            "{path}: docker_env.environment is invalid.",
            'Write [NAME_TO_COPY, ["NAME", "value"]].',
        ),
        (
            MAIN.replace("small}", "small, environment: [[A]]}"),
            "{path}: docker_env.environment is invalid.",
            None,
        ),
        (
            with_command("python a.py {y}"),
            "{path}: the command of main uses {{y}}, which is not one of its parameters.",
            "Its parameters are x.",
        ),
        (
            with_command("python a.py {x.__class__}"),
            "{path}: the command of main uses {{x.__class__}}, which is not one of its parameters.",
            "Its parameters are x.",
        ),
        (
            with_command("python 'a.py"),
            "{path}: the command of main is invalid: No closing quotation.",
            "Balance its quotes and braces.",
        ),
        (
            with_command("python a.py {x"),
            "{path}: the command of main is invalid: expected '}}' before end of string.",
            "Balance its quotes and braces.",
        ),
    ],
)
def test_a_malformed_file_is_named_and_exits_with_2(
    tmp_path: Path, text: str | bytes, message: str, hint: str | None
) -> None:
    path = tmp_path / "MLproject"
    with fails(InvalidInput, message.format(path=path), hint and hint.format()):
        read(tmp_path, text).entry_point("main")
    assert InvalidInput.exit_code == 2


@pytest.mark.parametrize(
    "body",
    ["{}", "{command: a, parameters: {a_b: int, a-b: int}}", "{command: a, parameters: {x: 3}}", "[1]"],
)
def test_what_is_wrong_with_another_entry_point_stops_none(tmp_path: Path, body: str) -> None:
    project = read(tmp_path, f"{HEAD}entry_points: {{main: {{command: a}}, other: {body}}}\n")
    assert command_line(project.entry_point("main"), {}) == ("a",)
    assert project.entry_point_names == ["main", "other"]
    with pytest.raises(InvalidInput, match=r"MLproject: "):
        project.entry_point("other")


@pytest.mark.parametrize("name", ["yes", "no", "on", "1"])
def test_a_name_in_quotes_is_what_it_says(tmp_path: Path, name: str) -> None:
    text = "entry_points: {main: {command: 'a {NAME}', parameters: {'NAME': {default: 1}}}}\n"
    project = read(tmp_path, HEAD + text.replace("NAME", name))
    assert check(project, project.entry_point("main"), {name: "5"}) == {name: "5"}


def test_a_name_that_is_a_list_is_refused(tmp_path: Path) -> None:
    with fails(InvalidInput, f"{tmp_path / 'MLproject'}: name is no text, but ['x']."):
        read(tmp_path, "name: [x]\n" + MAIN)


def test_an_mlproject_without_anything_to_run_says_what_it_lacks(tmp_path: Path) -> None:
    with fails(InvalidInput, "demo has no entry point main.", "Add `entry_points:` to its MLproject."):
        read(tmp_path, "name: demo\n").entry_point("main")


@pytest.mark.parametrize(
    "text",
    [
        with_parameter("{type: int, default: 1, minimum: low}"),
        with_parameter("{type: int, default: 1, choices: 5}"),
        with_parameter("{choices: tree}"),
        with_parameter("{column_of: data}"),
        with_parameter("{column_of: x}"),
        with_parameter("{column_of: [x]}"),
        with_parameter("{target_as: classes}"),
        with_parameter("{target_as: {a: two classes}}"),
        with_parameter("{learns: {a: anything}}"),
        with_command("python a.py {}"),
        with_command("python a.py {x:{y}}"),
        with_command('"python a.py {x:d}"'),
    ],
)
def test_what_could_never_run_is_refused_naming_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path, text).entry_point("main")
    assert str(tmp_path / "MLproject") in caught.value.message


@pytest.mark.parametrize(
    ("body", "message", "hint"),
    [
        ("{type: int, default: many}", "--x is 'many', which is not of type int.", "Pass a whole number."),
        ("{default: a, choices: [b]}", "--x is 'a', which is not one of its choices.", "They are b."),
        (
            "{type: int, default: 1, minimum: 2}",
            "--x is 1, which is out of range.",
            "Pass a whole number, 2 at least.",
        ),
    ],
)
def test_a_default_is_checked_where_it_is_used(tmp_path: Path, body: str, message: str, hint: str) -> None:
    project = read(tmp_path, with_parameter(body))
    main = project.entry_points[0]
    with fails(InvalidInput, f"{tmp_path / 'MLproject'}: the default of {message}", hint):
        check(project, main, {})
    value = "b" if "choices" in body else "5"
    assert check(project, main, {"x": value}) == {"x": value}


@pytest.mark.parametrize("kind", ["epochs", "strin", "list", "[1, 2]"])
def test_a_type_that_nobody_knows_is_text(tmp_path: Path, kind: str) -> None:
    project = read(tmp_path, with_parameter(f"{{type: {kind}, default: any text}}"))
    assert check(project, project.entry_points[0], {}) == {"x": "any text"}


@pytest.mark.parametrize("name", ["MY-KEY", "A B", "X;ls", "3D", "", "A=b"])
def test_a_variable_that_no_shell_could_set_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput):
        read(tmp_path, MAIN.replace("small}", f'small, environment: ["{name}"]}}'))


def test_an_invalid_command_is_named_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path, with_command("a && b $((1 + {x}))")).entry_point("main")
    said = f"{tmp_path / 'MLproject'}: the command of main has {{x}} where bash would not "
    assert caught.value.message.startswith(said)


def test_the_lines_of_a_command_are_one_script(tmp_path: Path) -> None:
    project = read(tmp_path, with_command("|\n      python prepare.py\n      python train.py {x}"))
    words = command_line(project.entry_points[0], {"x": "a b"})
    lines = words[2].removeprefix('parameters=("$@"); shift $#; ')
    assert lines == 'python prepare.py\npython train.py "${parameters[0]}"'
    assert words == ("bash", "-c", words[2], "bash", "a b")


def test_a_continued_line_is_one_command(tmp_path: Path) -> None:
    project = read(tmp_path, with_command("|\n      python a.py \\\n        --x {x}"))
    assert command_line(project.entry_points[0], {"x": "1"}) == ("python", "a.py", "--x", "1")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("|\n      python a.py \\\n        --x {x} \\\n", ("python", "a.py", "--x", "1")),
        ("python a.py \\", ("python", "a.py")),
        ("python a.py \\\\", ("python", "a.py", "\\")),
        ("|\n      true && python a.py \\\n", ("bash", "-c", "true && python a.py")),
    ],
)
def test_a_continuation_at_the_end_continues_with_nothing(
    tmp_path: Path, command: str, words: tuple[str, ...]
) -> None:
    project = read(tmp_path, with_command(command))
    assert command_line(project.entry_points[0], {"x": "1"}) == words


def test_a_name_may_have_dots_and_the_like(tmp_path: Path) -> None:
    project = read(
        tmp_path,
        HEAD + "entry_points: {main: {parameters: {a.b: {default: 1}, 'c[0]': {default: 2}, 'd:e': {}}, "
        "command: 'python a.py --a.b={a.b} {c[0]} {d:e}; true'}}\n",
    )
    main = project.entry_points[0]
    values = check(project, main, {"a.b": "x", "d:e": "y"})
    assert command_line(main, values)[-4:] == ("bash", "x", "2", "y")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python a.py --x={x}", ("python", "a.py", "--x=1")),
        ("python -c 'print(\"a b\")'", ("python", "-c", 'print("a b")')),
        ("bash -c 'a && b > c; echo $HOME'", ("bash", "-c", "a && b > c; echo $HOME")),
        ("sh -c 'echo `date`' {x}", ("sh", "-c", "echo `date`", "1")),
        ("python a.py --separator ';'", ("python", "a.py", "--separator", ";")),
        ("python a.py {{}} 's3://b/k?v=1' a#b", ("python", "a.py", "{}", "s3://b/k?v=1", "a#b")),
        ("python 'ž ů.py'", ("python", "ž ů.py")),
    ],
)
def test_a_command_becomes_an_argument_vector(tmp_path: Path, command: str, words: tuple[str, ...]) -> None:
    project = read(tmp_path, with_command("|-\n      " + command))
    assert command_line(project.entry_points[0], {"x": "1"}) == words


AWKWARD = [
    "a b",
    "it's",
    '"quoted"',
    "a;b",
    "$(touch x)",
    "`id`",
    "two\nlines",
    "žluťoučký 漢字",
    "-5",
    "--epochs",
    "-x",
    "--",
    "",
    "{epochs}",
    "{}",
    "{{x}}",
    "a=b",
    "*",
    "~",
    "\\",
    "%s",
    "&&",
]


@pytest.mark.parametrize("value", AWKWARD)
def test_a_value_stays_one_argument_as_it_is(tmp_path: Path, value: str) -> None:
    project = read(tmp_path, with_command("python a.py {x} --y={x}"))
    entry_point = project.entry_points[0]
    values = check(project, entry_point, {"x": value})
    assert command_line(entry_point, values) == ("python", "a.py", value, f"--y={value}")


@pytest.fixture
def demo(tmp_path: Path) -> Project:
    return read(tmp_path, MLPROJECT)


def test_values_are_the_given_ones_else_the_defaults_in_declared_order(demo: Project) -> None:
    values = check(demo, demo.entry_point("main"), {"text": "t", "epochs": "5"})
    assert list(values.items()) == [
        ("epochs", "5"),
        ("rate", "0.1"),
        ("kind", "tree"),
        ("batch_size", "8"),
        ("text", "t"),
        ("json", "no"),
    ]


def test_an_unknown_parameter_suggests_the_nearest(demo: Project) -> None:
    main = demo.entry_point("main")
    with fails(InvalidInput, "demo has no parameter --epoch.", "Did you mean --epochs?"):
        check(demo, main, {"epoch": "5"})
    hint = "Those of its entry point main are --epochs, --rate, --kind, --batch-size, --text, --json."
    with fails(InvalidInput, "demo has no parameter --zzz.", hint):
        check(demo, main, {"zzz": "5"})


def test_a_name_may_be_written_with_dashes_as_on_the_command_line(demo: Project) -> None:
    assert check(demo, demo.entry_point("main"), {"batch-size": "5"})["batch_size"] == "5"


def test_a_project_without_parameters_takes_none(tmp_path: Path) -> None:
    project = read(tmp_path / "plain", MAIN)
    with fails(InvalidInput, "plain has no parameter --x.", "Its entry point main has no parameters."):
        check(project, project.entry_points[0], {"x": "1"})


def test_a_missing_value_is_asked_for(demo: Project) -> None:
    with fails(
        InvalidInput,
        "demo needs --name: it has no default.",
        "Add --name and a value of type string, or -P name=VALUE.",
    ):
        check(demo, demo.entry_point("strict"), {})


def test_an_unknown_entry_point(demo: Project) -> None:
    with fails(InvalidInput, "demo has no entry point stric.", "Did you mean strict?"):
        demo.entry_point("stric")
    with fails(InvalidInput, "demo has no entry point zzz.", "Its entry points are main, strict."):
        demo.entry_point("zzz")


def test_a_path_is_beside_the_user_and_its_default_beside_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    for place in (folder, elsewhere):
        put(place / "table.csv")
    monkeypatch.chdir(elsewhere)
    project = read(folder, with_parameter("{type: path, default: table.csv}"))
    main = project.entry_points[0]
    assert check(project, main, {}) == {"x": str(folder / "table.csv")}
    assert check(project, main, {"x": "table.csv"}) == {"x": str(elsewhere / "table.csv")}
    with fails(InvalidInput, f"--x names {elsewhere / 'gone'}, which is not there."):
        check(project, main, {"x": "gone"})


@pytest.mark.parametrize(("said", "kind"), [("str", "string"), ("integer", "int"), ("bool", "string")])
def test_usual_words_for_a_type_are_taken(tmp_path: Path, said: str, kind: str) -> None:
    project = read(tmp_path, with_parameter(f"{{type: {said}}}"))
    assert project.entry_points[0].parameters[0].type == kind


def test_the_files_name_may_be_written_with_other_capitals(tmp_path: Path) -> None:
    put(tmp_path / "mlproject", "name: forest\n" + MAIN)
    assert load(tmp_path).name == "forest"


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("train.py", ("python", "train.py", "--alpha", "0.5 $x", "--n_jobs", "2")),
        ("steps/prepare it.sh", ("bash", "steps/prepare it.sh", "--alpha", "0.5 $x", "--n_jobs", "2")),
        (
            "fit.R",
            (
                "Rscript",
                "-e",
                "mlflow::mlflow_source('fit.R')",
                "--args",
                "--alpha",
                "0.5 $x",
                "--n_jobs",
                "2",
            ),
        ),
        ("odd{x}.py", ("python", "odd{x}.py", "--alpha", "0.5 $x", "--n_jobs", "2")),
    ],
)
def test_a_script_is_an_entry_point_that_takes_any_parameter(
    tmp_path: Path, script: str, command: tuple[str, ...]
) -> None:
    put(tmp_path / "forest" / "a.py")
    put(tmp_path / "forest" / script)
    project = load(tmp_path / "forest")
    entry_point = project.entry_point(script)
    values = check(project, entry_point, {"alpha": "0.5 $x", "n_jobs": "2"})
    assert values == {"alpha": "0.5 $x", "n_jobs": "2"}
    assert command_line(entry_point, values) == command
    assert (project.name, project.image, project.entry_points) == ("forest", None, ())


def test_a_folder_of_scripts_asks_for_one(tmp_path: Path) -> None:
    put(tmp_path / "forest" / "train.py")
    put(tmp_path / "secret.py")
    project = load(tmp_path / "forest")
    with fails(InvalidInput, "forest has no entry point main.", "Specify a script of it with -e: train.py."):
        project.entry_point("main")
    with fails(InvalidInput, "forest has no entry point ../secret.py."):
        project.entry_point("../secret.py")


@pytest.mark.parametrize(
    ("head", "files", "found"),
    [
        ("", ["conda.yaml"], "conda.yaml"),
        ("", ["conda.yaml", "python_env.yaml"], "python_env.yaml"),
        ("conda_env: my.yml\n", ["my.yml", "python_env.yaml"], "my.yml"),
        ("python_env: my.yml\n", ["my.yml"], "my.yml"),
        (HEAD, ["conda.yaml"], None),
        ("", [], None),
    ],
)
def test_the_environment_file_is_the_named_one_else_the_one_that_is_there(
    tmp_path: Path, head: str, files: list[str], found: str | None
) -> None:
    for name in files:
        put(tmp_path / name)
    project = read(tmp_path, head + "entry_points: {main: {command: a}}\n")
    file = project.python_env if found and "python" in found + head else project.conda_env
    assert file == (tmp_path / found if found else None)
    assert None in (project.python_env, project.conda_env)


def test_what_a_run_has_of_its_own_is_not_copied_from_the_host(tmp_path: Path) -> None:
    project = read(tmp_path, MAIN.replace("small}", "small, environment: [MLFLOW_TRACKING_URI, TOKEN]}"))
    assert project.environment == (("TOKEN", None),)


@pytest.mark.parametrize("target", ["nowhere", "../nowhere", "MLproject", "folder"])
def test_an_mlproject_that_is_no_file_is_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "MLproject").symlink_to(target)
    with pytest.raises(InvalidInput, match=f"/MLproject is a link to {target}, which is .*has to be a file"):
        load(tmp_path)


def test_an_mlproject_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "MLproject").mkdir()
    with fails(
        InvalidInput,
        f"{tmp_path / 'MLproject'} is a folder, and has to be a file.",
        "Put a text file in its place.",
    ):
        load(tmp_path)


@pytest.mark.parametrize("target", ["../outside", "/etc/passwd", "/dev/zero"])
def test_an_mlproject_that_leads_out_of_the_project_is_not_read(tmp_path: Path, target: str) -> None:
    put(tmp_path / "outside", MLPROJECT)
    path = tmp_path / "demo" / "MLproject"
    path.parent.mkdir()
    path.symlink_to(target)
    with fails(
        InvalidInput, f"{path} is a link to {target}, outside of the project: it leads nowhere in a run."
    ):
        load(tmp_path / "demo")


def test_an_mlproject_may_be_another_projects(tmp_path: Path) -> None:
    put(tmp_path / "demo" / "MLproject", MLPROJECT)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "MLproject").symlink_to("../demo/MLproject")
    assert load(tmp_path / "other").name == "demo"
