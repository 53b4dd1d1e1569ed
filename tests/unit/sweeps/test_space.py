import pytest
from trainer.errors import InvalidInput
from trainer.projects.mlproject import EntryPoint
from trainer.projects.parameters import Parameter
from trainer.sweeps.search import space
from trainer.sweeps.search.domains import Choices, Domain, Interval
from trainer.sweeps.search.space import Condition, Dimension

from unit.helpers import fails

ENTRY = EntryPoint(
    "main",
    "python train.py",
    (
        Parameter("learning_rate", "float", "0.001", minimum=0, maximum=1),
        Parameter("depth", "int", "3", minimum=1),
        Parameter("optimizer", "string", "adam", choices=("adam", "sgd")),
        Parameter("momentum", "float", "0.9"),
    ),
)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("loguniform:1e-5,1e-2", Interval(1e-5, 1e-2, log=True)),
        ("uniform:0,0.9", Interval(0, 0.9)),
        ("uniform:0,1,0.25", Interval(0, 1, step=0.25)),
        ("int:2,8", Interval(2, 8, whole=True)),
        ("logint:16,1024", Interval(16, 1024, log=True, whole=True)),
        ("adam, sgd", Choices(("adam", "sgd"))),
        ("one", Choices(("one",))),
        ("s3://bucket/a,s3://bucket/b", Choices(("s3://bucket/a", "s3://bucket/b"))),
    ],
)
def test_a_domain_is_read_and_written_alike(text: str, domain: Domain) -> None:
    [dimension] = space.parse([f"x={text}"])
    assert dimension == Dimension("x", domain)
    assert space.parse([f"x={dimension.text}"]) == (dimension,)


def test_a_condition_comes_behind_what_it_depends_on() -> None:
    momentum, optimizer = "momentum=uniform:0,0.9 if optimizer=sgd", "optimizer=adam,sgd"
    found = space.parse([momentum, optimizer])
    assert [dimension.name for dimension in found] == ["optimizer", "momentum"]
    assert found[1].condition == Condition("optimizer", ("sgd",))
    assert found[1].text == "uniform:0,0.9 if optimizer=sgd"
    assert found[1].applies({"optimizer": "sgd"})
    assert not found[1].applies({"optimizer": "adam"})


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (["depth"], "--search 'depth' names no parameter."),
        (["x=1,2", "x=3,4"], "The parameter x is searched twice."),
        (["x=loguniform:0,1"], "x: 0 has no logarithm."),
        (["x=uniform:2,1"], "x: 2 is not less than 1."),
        (["x=uniform:1"], "x: uniform takes the least and the largest value."),
        (["x=uniform:0,nan"], "x: uniform takes the least and the largest value."),
        (["x=int:1,2.5"], "x: '1,2.5' has what is no whole number."),
        (["x=uniform:0,1,2"], "x: a step of 2 does not fit."),
        (["x=normal:0,1"], "x: there is no distribution normal."),
        (["x=a,,b"], "x has an empty value among its choices."),
        (["x=a,a"], "x has the choice a twice."),
        (["x=1,2 if y=1"], "x depends on y, which is not searched."),
        (["x=1,2 if y=1", "y=1,2 if x=1"], "x and y depend on each other."),
        (["x=1,2 if y=3", "y=1,2"], "x depends on y=3, which is not among its choices."),
        (["x=1,2 if y=3", "y=int:1,9"], "x depends on y, which is a range of numbers."),
    ],
)
def test_what_cannot_be_searched_is_refused(said: list[str], message: str) -> None:
    with fails(InvalidInput, message):
        space.parse(said)


@pytest.mark.parametrize(
    ("said", "given", "message", "hint"),
    [
        ("lerning_rate=uniform:0,1", {}, "There is no parameter lerning_rate to search.",
         "Did you mean learning_rate?"),
        ("depth=int:2,8", {"depth": "3"}, "The parameter depth is both given and searched.",
         "Leave out one of the two."),
        ("learning_rate=uniform:0,2", {}, "--learning-rate is 2.0, which is out of range.",
         "Pass a number, 0 at least, 1 at most; the default is 0.001."),
        ("depth=uniform:2,8", {}, "depth is a whole number, and uniform:2,8 has others.",
         "Search whole numbers: depth=int:2,8"),
        ("optimizer=int:1,2", {}, "optimizer is one of adam, sgd, and a range of numbers is searched.",
         "Search choices: optimizer=adam,sgd"),
        ("optimizer=adam,sdg", {}, "--optimizer is 'sdg', which is not one of its choices.",
         "Did you mean sgd?"),
    ],
)  # fmt: skip
def test_what_the_project_does_not_take_is_refused(
    said: str, given: dict[str, str], message: str, hint: str
) -> None:
    with fails(InvalidInput, message, hint):
        space.check(space.parse([said]), ENTRY, given)


def test_a_hint_can_be_followed() -> None:
    space.check(space.parse(["depth=int:2,8", "optimizer=adam,sgd"]), ENTRY, {})


def test_a_grid_has_every_combination_that_applies() -> None:
    said = ["momentum=uniform:0,0.9,0.3 if optimizer=sgd", "optimizer=adam,sgd", "depth=int:1,2"]
    found = space.grid(space.parse(said))
    assert len(found) == 2 + 2 * 4
    assert {"optimizer": "adam", "depth": "1"} in found
    assert {"optimizer": "sgd", "depth": "2", "momentum": "0.9"} in found


def test_a_grid_of_a_continuous_range_is_refused() -> None:
    with fails(
        InvalidInput,
        "A grid cannot have x=uniform:0,1, which has no steps.",
        "Give it a step, or choices: x=0,0.5,1",
    ):
        space.grid(space.parse(["x=uniform:0,1"]))
