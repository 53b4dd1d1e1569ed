import pytest
from trainer.errors import InvalidInput
from trainer.tracking import names

from unit.helpers import fails


@pytest.mark.parametrize(
    ("experiment", "run_name", "tag", "parameter"),
    [
        ("e" * 256, "n" * 250, "t" * 250, "p" * 250),
        ("žluťoučký 漢字 / *", "a\nb", "a/b.c:d e-f", "čísla"),
        ("e", None, "a", "b"),
    ],
)
def test_what_mlflow_stores_is_taken(experiment: str, run_name: str | None, tag: str, parameter: str) -> None:
    names.check(experiment, run_name, {tag: "\n"}, {parameter: ""})


@pytest.mark.parametrize(
    ("option", "name", "most"),
    [("--experiment", "e" * 257, 256), ("--run-name", "n" * 251, 250), ("--tag", "t" * 251, 250),
     ("--param", "p" * 251, 250)],
)  # fmt: skip
def test_a_longer_name_is_refused(option: str, name: str, most: int) -> None:
    message = f"{option} {name[:30]}… is {most + 1} characters long; MLflow stores {most}."
    with fails(InvalidInput, message, "Choose a shorter name."):
        check(option, name)


@pytest.mark.parametrize("option", ["--tag", "--param"])
@pytest.mark.parametrize("name", ["a*", "a=b", "../a", "/a", "a/", "a//b", ".", "a\nb"])
def test_a_name_that_mlflow_refuses_is_refused(option: str, name: str) -> None:
    with fails(InvalidInput, f"{option} {name}: MLflow takes no such name."):
        check(option, name)


@pytest.mark.parametrize("option", ["--experiment", "--run-name", "--tag", "--param"])
def test_bytes_that_are_no_text_are_refused(option: str) -> None:
    with fails(InvalidInput, f"{option} is 'a\\udcff', which is not valid text.", "Write it in UTF-8."):
        check(option, "a\udcff")
    with fails(InvalidInput, "--param x is '\\udcff', which is not valid text."):
        names.check("e", None, {}, {"x": "\udcff"})


def check(option: str, name: str) -> None:
    names.check(
        name if option == "--experiment" else "e",
        name if option == "--run-name" else None,
        {name: "1"} if option == "--tag" else {},
        {name: "1"} if option == "--param" else {},
    )
