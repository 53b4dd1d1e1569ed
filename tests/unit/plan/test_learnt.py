"""What a run would refuse of a table is refused before it, in the same words."""

from collections.abc import Sequence

import pytest
from support import REPOSITORY
from trainer.datasets.tables import learnt
from trainer.errors import InvalidInput
from trainer.plan import request
from trainer.plan.request import RunRequest
from trainer.plan.run_plan import RunPlan
from trainer.projects import mlproject
from trainer.workspace.settings import Workspace

from unit.helpers import DOCKER, fails, put


def plan(workspace: Workspace, project: str, **values: str) -> RunPlan:
    """Of a project of the repository, on an image that the workspace has."""
    text = (REPOSITORY / "train_code" / project / "MLproject").read_text()
    folder = workspace.projects / project
    put(folder / "MLproject", text.replace("image: trainer/" + project.split("_")[0], "image: trainer/small"))
    put(folder / "layers" / "mlp.yaml")
    asked = RunRequest(mlproject.load(folder), project, DOCKER, parameters={"data": "t.csv", **values})
    return request.make(workspace, asked)


def table(workspace: Workspace, header: str, rows: Sequence[str]) -> None:
    put(workspace.data / "t.csv", "\n".join([header, *rows]))


CUSTOMERS = [f"{i * 1.5},{'ab'[i % 2]},{'xyz'[i % 3]},{i * 7 % 60 + 0.5}" for i in range(60)]
AS_CLASSES = "Correct it, or learn the column as classes ({})."
AS_QUANTITY = "Learn it as a quantity ({}), or name another --target."


@pytest.mark.parametrize(
    ("project", "values"),
    [
        ("sklearn", {"target": "two"}),
        ("sklearn", {"target": "two", "task": "classification", "estimator": "logistic_regression"}),
        ("sklearn", {"target": "spent", "task": "regression", "estimator": "ridge"}),
        ("sklearn", {"target": "spent", "impute": "none"}),
        ("pytorch_layers", {"target": "two", "loss": "BCEWithLogitsLoss"}),
        ("pytorch_layers", {"target": "three", "loss": "NLLLoss"}),
        ("pytorch_layers", {"target": "spent", "loss": "L1Loss"}),
    ],
)
def test_what_can_be_learnt_is_planned(workspace: Workspace, project: str, values: dict[str, str]) -> None:
    table(workspace, "age,two,three,spent", CUSTOMERS)
    assert plan(workspace, project, **values).inputs.parameters["target"] == values["target"]


@pytest.mark.parametrize(
    ("project", "values", "message", "hint"),
    [
        (
            "sklearn",
            {"target": "two", "task": "regression"},
            "t.csv: column 'two' has 'a' in line 2, which is no number.",
            AS_CLASSES.format("--task classification"),
        ),
        (
            "sklearn",
            {"target": "spent", "task": "classification"},
            "Column 'spent' has 60 different numbers in 60 rows: a quantity, not classes.",
            AS_QUANTITY.format("--task regression"),
        ),
        (
            "sklearn",
            {"target": "spent", "estimator": "logistic_regression"},
            "logistic_regression cannot learn spent: a quantity.",
            "Use --estimator random_forest, hist_gradient_boosting or ridge.",
        ),
        (
            "sklearn",
            {"target": "three", "estimator": "ridge"},
            "ridge cannot learn three: 3 classes.",
            "Use --estimator random_forest, hist_gradient_boosting or logistic_regression.",
        ),
        (
            "pytorch_layers",
            {"target": "two", "loss": "MSELoss"},
            "t.csv: column 'two' has 'a' in line 2, which is no number.",
            AS_CLASSES.format("--loss CrossEntropyLoss"),
        ),
        (
            "pytorch_layers",
            {"target": "spent", "loss": "CrossEntropyLoss"},
            "Column 'spent' has 60 different numbers in 60 rows: a quantity, not classes.",
            AS_QUANTITY.format("--loss MSELoss"),
        ),
        (
            "pytorch_layers",
            {"target": "three", "loss": "BCEWithLogitsLoss"},
            "BCEWithLogitsLoss cannot learn three: 3 classes.",
            "Use --loss CrossEntropyLoss or NLLLoss.",
        ),
    ],
)
def test_an_option_that_does_not_fit_the_target_is_refused(
    workspace: Workspace, project: str, values: dict[str, str], message: str, hint: str
) -> None:
    table(workspace, "age,two,three,spent", CUSTOMERS)
    with fails(InvalidInput, message, hint):
        plan(workspace, project, **values)


@pytest.mark.parametrize("project", ["sklearn", "pytorch_layers"])
def test_missing_cells_are_refused_where_they_are_not_imputed(workspace: Workspace, project: str) -> None:
    table(workspace, "age,two", ["1,a", "2,b", "", ",a", *("3,b" for _ in range(20))])
    with fails(
        InvalidInput,
        "t.csv lacks 1 value, the first of column 'age' in line 5.",
        "Fill them in, use --impute median, or leave columns out with --drop.",
    ):
        plan(workspace, project, impute="none")
    assert plan(workspace, project)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,", "2,"], "Column 'b' of t.csv is empty."),
        (["1,x", "2,x", "3,y"], "Class y of column 'b' has one row."),
        ([*(f"{i}.5,{'xy'[i % 2]}" for i in range(40)), "?5,x"], "t.csv: column 'a' has '?5' in line 42, "
            "which is no number."),
        ([f"{i},{'xy'[i % 2]}" for i in range(10)], "t.csv has no column to learn from: "
            "a (an id, 10 different in 10 rows)."),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_learnt_is_refused(
    workspace: Workspace, rows: Sequence[str], message: str
) -> None:
    table(workspace, "id,b" if "an id" in message else "a,b", rows)
    with fails(InvalidInput, message.replace(" a (", " id (")):
        plan(workspace, "sklearn")


def test_of_a_large_table_the_run_says_it(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    table(workspace, "a,b", ["1,x", "2,x"])
    monkeypatch.setattr(learnt, "_MOST_BYTES", 5)
    assert plan(workspace, "sklearn")


def test_a_project_that_does_not_say_how_it_takes_its_target_may_take_what_it_likes(
    workspace: Workspace,
) -> None:
    table(workspace, "a,b", ["1,x", "2,x"])
    project = workspace.projects / "own"
    put(
        project / "MLproject",
        "name: own\ndocker_env: {image: trainer/small}\nentry_points: {main: {parameters: {"
        "target: {type: string, default: last, column_of: data}, impute: {type: string, default: median}, "
        "data: {type: string, dataset: true, default: t.csv}}, "
        "command: 'python train.py {data} {target} {impute}'}}\n",
    )
    asked = RunRequest(mlproject.load(project), "own", DOCKER, parameters={"impute": "none"})
    assert request.make(workspace, asked)
