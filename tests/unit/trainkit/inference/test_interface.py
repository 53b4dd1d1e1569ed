from __future__ import annotations

import pytest
from trainkit.inference.description import Category, Column, Date, Description, Images, Number, Table
from trainkit.inference.interface import difference

from unit.trainkit.inference.models import image_description

AGE, PLAN = Number(name="age"), Category(name="plan", values=("a", "b"))
SINCE = Date(name="since", format="ISO8601")


def rows(*columns: Column, classes: tuple[str, ...] = ("yes", "no")) -> Description:
    return Description(
        task="classification" if classes else "regression",
        classes=classes,
        input=Table(columns=columns),
        output="answer",
        framework="sklearn 1.9",
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (image_description(), image_description(framework="torch 2.9", run_id="0123", embedding="mean")),
        (image_description(), image_description(input=Images(size=8, layout="NCHW"))),
        (rows(AGE, PLAN), rows(AGE, Category(name="plan", values=("a", "b", "c")))),
    ],
)
def test_what_a_client_does_not_see_is_no_difference(before: Description, after: Description) -> None:
    assert difference(before, after) is None


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (image_description(), rows(AGE), "it takes rows, not images"),
        (
            image_description(),
            image_description(input=Images(size=16, layout="NHWC")),
            "it takes images of 16 pixels, not of 8",
        ),
        (
            image_description(),
            image_description(classes=("blue", "red", "green")),
            "its classes are blue, red, green, not blue, green, red",
        ),
        (rows(AGE), rows(AGE, classes=()), "it is a regression, not a classification"),
        (rows(AGE), rows(AGE, PLAN), "it takes the column plan too"),
        (rows(AGE, PLAN), rows(AGE), "it does not take the column plan"),
        (
            rows(AGE),
            rows(Category(name="age", values=("old",))),
            "its column age is a category, not a number",
        ),
        (
            rows(SINCE),
            rows(Date(name="since", format="%d.%m.%Y")),
            "its column since has dates as %d.%m.%Y, not as ISO8601",
        ),
        (rows(AGE, PLAN), rows(PLAN, AGE), "its columns are in another order"),
    ],
)
def test_what_a_client_would_stumble_over_is_named(
    before: Description, after: Description, said: str
) -> None:
    assert difference(before, after) == said
