import pytest
from trainkit.data.table.selection import Selection, select
from trainkit.errors import InputError

NAMES = ("id", "age", "plan", "size, cm", "Churned")


def chosen(**options: str) -> Selection:
    return select(NAMES, file="customers.csv", **options)


def test_the_last_column_is_learnt() -> None:
    assert chosen() == Selection("Churned")
    assert chosen(drop="none", categorical="none") == Selection("Churned")
    assert select(["last", "a"], file="x").target == "last"


def test_columns_are_named_with_commas_between() -> None:
    assert chosen(target="plan", drop=' id , "size, cm"', categorical="age") == Selection(
        "plan", ("id", "size, cm"), ("age",)
    )


@pytest.mark.parametrize(
    ("options", "said", "hint"),
    [
        (
            {"target": "churn"},
            "--target is 'churn', which is no column of customers.csv.",
            "Did you mean Churned?",
        ),
        ({"target": "zzz"}, "--target is 'zzz'", "It has id, age, plan, size, cm, Churned."),
        ({"drop": "id,Plan"}, "--drop is 'Plan', which is no column", "Did you mean plan?"),
        ({"categorical": "agee"}, "--categorical is 'agee', which is no column", "Did you mean age?"),
        ({"drop": "Churned"}, "--drop names Churned, which is the target.", "name another --target"),
        ({"target": "age", "drop": "age"}, "--drop names age, which is the target.", "Leave it out"),
        ({"categorical": "Churned"}, "--categorical names Churned, which is the target.", "Leave it out"),
        ({"categorical": "age", "drop": "age"}, "--drop and --categorical both name age.", "one of them"),
        (
            {"target": "age", "drop": 'id,plan,"size, cm",Churned'},
            "customers.csv has no column besides age and those of --drop.",
            "It takes one",
        ),
    ],
)
def test_what_cannot_be_chosen_is_refused(options: dict[str, str], said: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        chosen(**options)
    assert caught.value.message.startswith(said)
    assert hint in caught.value.hint
