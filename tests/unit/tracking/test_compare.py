import math

import pytest
from trainer.tracking import compare
from trainer.tracking.client import Run
from trainer.tracking.compare import MetricRow


def run(name: str, **said: object) -> Run:
    return Run(name, "7", name, "FINISHED", "", **said)  # type: ignore[arg-type]


def test_what_differs_comes_first_and_what_is_missing_differs() -> None:
    one = run(
        "a",
        parameters={"a": "1", "b": "1", "only": "x"},
        tags={"trainer.code_digest": "1"},
        inputs={"d": "9"},
    )
    two = run("b", parameters={"a": "1", "b": "2"}, tags={"trainer.code_digest": "2"}, inputs={"d": "9"})
    compared = compare.compare([one, two])
    assert [(row.name, row.values, row.differs) for row in compared.parameters] == [
        ("b", ("1", "2"), True),
        ("only", ("x", None), True),
        ("a", ("1", "1"), False),
    ]
    assert [row.name for row in compared.origins["Code"] if row.differs] == ["code digest"]
    assert [row.differs for row in compared.origins["Data"]] == [False]
    assert compared.origins["Image"] == ()


def test_metrics_have_differences_to_the_first_run_and_system_metrics_are_left_out() -> None:
    compared = compare.compare(
        [run("a", metrics={"acc": 0.5, "system/cpu": 1.0}), run("b", metrics={"acc": 0.75}), run("c")]
    )
    [row] = compared.metrics
    assert (row.values, row.differences) == ((0.5, 0.75, None), (0.0, 0.25, None))


def test_metrics_are_in_the_order_in_which_runs_are_judged() -> None:
    logged = {"seconds_fit": 1.0, "loss": 1.0, "val_loss": 1.0, "kappa": 1.0}
    more = {name: value + 1 for name, value in logged.items()}
    named = {"trainer.primary_metric": "loss"}
    compared = compare.compare([run("a", metrics=logged), run("b", metrics=more, tags=named)])
    assert [row.name for row in compared.metrics] == ["loss", "val_loss", "kappa", "seconds_fit"]


@pytest.mark.parametrize(
    ("name", "values", "best"),
    [
        ("val_accuracy", (0.5, 0.75, 0.75), {1, 2}),
        ("val/loss", (0.5, math.nan, 0.75), {0}),
        ("images_per_second", (1.0, 2.0), set()),
        ("seconds_fit", (1.0, 2.0), set()),
        ("accuracy", (0.5, None), set()),
        ("n_train", (1.0, 2.0), set()),
        ("accuracy", (0.5, 0.5), set()),
        ("accuracy", (None, math.nan), set()),
    ],
)
def test_the_best_is_marked_where_the_name_says_which_way_is_better(
    name: str, values: tuple[float | None, ...], best: set[int]
) -> None:
    assert MetricRow(name, values).best == best


MEASURED = {"mae": 1.0, "val_mae": 1.0, "val_loss": 1.0}


@pytest.mark.parametrize(
    ("first", "second", "starred", "said"),
    [
        (("a", {}), ("a", {}), {"mae", "val_mae", "val_loss"}, ""),
        (("a", {"target": "x"}), ("a", {"target": "y"}), set(), "different targets"),
        (("a", {"loss": "mse"}), ("a", {"loss": "mae"}), {"mae", "val_mae"}, "the parameter loss differs"),
        (("a", {}), ("b", {}), {"val_mae", "val_loss"}, "the projects differ"),
        (("a", {}), ("b", {"loss": "mse"}), {"val_mae"}, "differs, nor for what has no test_ or val_"),
    ],
)
def test_what_does_not_compare_has_no_best_value(
    first: tuple[str, dict[str, str]], second: tuple[str, dict[str, str]], starred: set[str], said: str
) -> None:
    runs = [
        run(f"{number}", metrics={name: value + number for name, value in MEASURED.items()},
            tags={"mlflow.source.name": f"/somewhere/{project}", "mlflow.source.type": "PROJECT"},
            parameters=parameters)
        for number, (project, parameters) in enumerate((first, second))
    ]  # fmt: skip
    compared = compare.compare(runs)
    assert {row.name for row in compared.metrics if row.best} == starred
    assert said in " ".join(compared.remarks)
    assert bool(said) == bool(compared.remarks)


def test_scripts_of_one_experiment_compare() -> None:
    one, two = (
        run(name, metrics={"mae": value}, tags={"mlflow.source.name": name, "mlflow.source.type": "LOCAL"})
        for name, value in (("a.py", 1.0), ("b.py", 2.0))
    )
    assert compare.compare([one, two]).metrics[0].best == {0}


def test_a_missing_star_is_explained_only_where_there_would_be_one() -> None:
    compared = compare.compare([run("a", parameters={"target": "x"}), run("b", parameters={"target": "y"})])
    assert compared.remarks == ()


@pytest.mark.parametrize(
    ("first", "second", "differ"),
    [
        ({"data_3": "one"}, {"data_3": "two"}, True),
        ({"data_3": "one"}, {"elsewhere": "one"}, False),
        ({"data_3": "one"}, {}, False),
    ],
)
def test_a_star_between_runs_of_different_data_is_doubted(
    first: dict[str, str], second: dict[str, str], differ: bool
) -> None:
    runs = [run(name, metrics={"f1": value}, inputs=inputs)
            for name, value, inputs in (("a", 0.5, first), ("b", 0.75, second))]  # fmt: skip
    compared = compare.compare(runs)
    assert compared.metrics[0].best == {1}
    assert bool(compared.remarks) == differ


def test_not_a_number_is_the_same_as_not_a_number() -> None:
    assert not MetricRow("gap", (math.nan, math.nan)).differs
