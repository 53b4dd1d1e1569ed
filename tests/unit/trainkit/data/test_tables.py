from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from trainkit.data import tables
from trainkit.data.table import columns
from trainkit.data.tables import Table
from trainkit.errors import InputError

FLOWERS = "width,length,kind\n" + "".join(f"{i},{i / 4},{'rose' if i % 2 else 'tulip'}\n" for i in range(20))


def load(
    folder: Path, text: str, *, share: float = 0.25, seed: int = 0, **options: str | bool | None
) -> Table:
    path = folder / "flowers.csv"
    path.write_text(text)
    return tables.load(path, validation_share=share, seed=seed, **options)  # type: ignore[arg-type]


def refused(folder: Path, text: str, **options: str | bool | None) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder, text, **options)  # type: ignore[arg-type]
    return caught.value


def names(table: Table) -> list[str]:
    return [column.name for column in columns.features(table.columns)]


def test_the_last_column_is_learnt_from_all_others(tmp_path: Path) -> None:
    table = load(tmp_path, FLOWERS)
    assert (names(table), table.target, table.class_names) == (["width", "length"], "kind", ("rose", "tulip"))
    train = table.splits["train"]
    assert train.features["width"].tolist() == [number - 1 for number in train.numbers]
    assert train.features["length"].tolist() == [(number - 1) / 4 for number in train.numbers]
    assert table.words(train.target).tolist() == [
        "tulip" if number % 2 else "rose" for number in train.numbers
    ]


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    table = load(
        tmp_path,
        "kind,width,code\n" + "rose,1,1\ntulip,2,2\n" * 4,
        target="kind",
        drop="width",
        categorical="code",
    )
    assert (table.target, names(table)) == ("kind", ["code"])
    assert [column.kind for column in table.columns] == ["category", "number", "category"]


def test_every_row_is_in_one_split_and_each_class_in_both(tmp_path: Path) -> None:
    splits = load(tmp_path, FLOWERS).splits
    assert sorted([*splits["train"].numbers, *splits["validation"].numbers]) == list(range(1, 21))
    assert [len(splits["train"]), len(splits["validation"])] == [15, 5]
    assert set(splits["validation"].target) == {0, 1}


def test_the_same_seed_gives_the_same_split_and_another_one_another(tmp_path: Path) -> None:
    def held(seed: int) -> list[int]:
        return list(load(tmp_path, FLOWERS, seed=seed).splits["validation"].numbers)

    assert held(3) == held(3)
    assert held(3) != held(4)


def of_prices(count: int, price: float = 10.5) -> str:
    return "a,price\n" + "".join(f"{i % 7},{i * price}\n" for i in range(count))


@pytest.mark.parametrize(
    ("text", "classes"),
    [
        (FLOWERS, True),
        (of_prices(8), False),
        ("a,b\n" + "1,0\n2,1\n" * 8, True),
        ("a,b\n" + "".join(f"{i % 3},{i % 10}\n" for i in range(40)), True),
        ("a,b\n" + "".join(f"{i % 3},{i % 30}\n" for i in range(120)), False),
        ("a,b\n" + "1,0.5\n2,1.5\n" * 8, False),
        ("a,b\n" + "1,001\n2,01\n" * 8, True),
        ("a,b\n" + "".join(f"{i % 3},{i + 100}\n" for i in range(40)) + "1,NA\n", False),
    ],
)
def test_whether_classes_or_a_quantity_are_learnt_is_seen_in_the_target(
    tmp_path: Path, text: str, classes: bool
) -> None:
    assert bool(load(tmp_path, text).class_names) == classes


def test_a_quantity_is_learnt_as_it_is(tmp_path: Path) -> None:
    table = load(tmp_path, of_prices(8), classes=False)
    assert table.class_names == ()
    assert sorted(np.concatenate([rows.target for rows in table.splits.values()])) == [
        i * 10.5 for i in range(8)
    ]


def test_numbers_can_be_learnt_either_way(tmp_path: Path) -> None:
    text = "a,b\n" + "1,0\n2,1\n" * 8
    assert load(tmp_path, text, classes=True).class_names == ("0", "1")
    assert load(tmp_path, text, classes=False).class_names == ()


def test_classes_are_named_as_they_are_written(tmp_path: Path) -> None:
    assert load(tmp_path, "a,b\n" + "1,10\n2,9\n" * 4).class_names == ("9", "10")
    assert load(tmp_path, "a,b\n" + "1,1.0\n2,2.0\n" * 4).class_names == ("1.0", "2.0")
    assert load(tmp_path, "a,b\n" + "1,001\n2,01\n3,1\n" * 4).class_names == ("001", "01", "1")
    assert load(tmp_path, "a,b\n" + "1,True\n2,false\n" * 4).class_names == ("True", "false")


def test_every_word_can_be_a_class(tmp_path: Path) -> None:
    words = ("NA", "None", "nan", "null", "N/A")
    text = "a,b\n" + "".join(f"{number},{word}\n" for number, word in enumerate(words)) * 4
    table = load(tmp_path, text, classes=True)
    assert table.class_names == tuple(sorted(words))
    rows = table.splits["train"]
    assert table.words(rows.target).tolist() == [words[int(a)] for a in rows.features["a"]]


def test_rows_without_a_target_are_left_out(tmp_path: Path) -> None:
    table = load(tmp_path, "a,b\n" + "1,x\n2,y\n3,\n4, \n" * 4)
    assert table.unlabelled == 8
    numbers = sorted(number for rows in table.splits.values() for number in rows.numbers)
    assert numbers == [1, 2, 5, 6, 9, 10, 13, 14]
    assert load(tmp_path, of_prices(30) + "1,n/a\n").unlabelled == 1


def test_missing_cells_are_kept_for_the_preprocessing_or_refused(tmp_path: Path) -> None:
    text = "a,c,b\n" + "1,u,x\n,v,y\n3,,x\n4,u,y\n" * 4
    features = load(tmp_path, text).splits["train"].features
    assert features.isna().any().to_dict() == {"a": True, "c": True}
    error = refused(tmp_path, text, impute="none")
    assert error.message == "flowers.csv lacks 8 values, the first of column 'a' in line 3."
    assert "--impute median" in error.hint


def test_columns_without_a_name_are_learnt_from(tmp_path: Path) -> None:
    assert names(load(tmp_path, ",a,b\n" + "0,1,x\n1,2,y\n" * 4)) == ["Unnamed: 0", "a"]


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    first = load(tmp_path, FLOWERS).digest
    assert load(tmp_path, FLOWERS, seed=5).digest == first
    assert load(tmp_path, FLOWERS.replace("3,", "4,", 1)).digest != first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "flowers.csv is empty."),
        ("a,b\n", "flowers.csv has no rows below its header."),
        ("a\n1\n2\n", "flowers.csv has no column besides a."),
        ("a,b\n1,\n2,\n", "Column 'b' of flowers.csv is empty."),
        ("a,b\n1,x\n2,x\n", "Column 'b' has the same value everywhere."),
        ("a,b\n1,1.5\n2,1.5\n", "Column 'b' has the same value everywhere."),
        ("a,b\n1,x\n2,x\n3,y\n", "Class y of column 'b' has one row."),
        (
            "id,same,b\n" + "".join(f"{i},z,{'xy'[i % 2]}\n" for i in range(10)),
            "flowers.csv has no column to learn from: "
            "id (an id, 10 different in 10 rows), same (the same everywhere).",
        ),
        (
            "a,b\n" + "".join(f"{i % 3}.5,w{i % 2000}\n" for i in range(4000)),
            "Column 'b' has 2,000 different words, such as 'w0', in 4,000 rows: too many for classes.",
        ),
        (
            "a,price\n" + "".join(f"{i % 3},{i}.5\n" for i in range(40)) + "1,ten\n",
            "flowers.csv: column 'price' has 'ten' in line 42, which is no number.",
        ),
        (
            "a,b\n" + "".join(f"{i}.5,{'xy'[i % 2]}\n" for i in range(40)) + "red,x\n",
            "flowers.csv: column 'a' has 'red' in line 42, which is no number.",
        ),
    ],
)
def test_a_file_that_cannot_be_learnt_from_is_refused_with_the_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    assert refused(tmp_path, text).message == said


def test_a_missing_target_suggests_the_near_one(tmp_path: Path) -> None:
    assert refused(tmp_path, FLOWERS, target="knd").hint == "Did you mean kind?"
    assert refused(tmp_path, FLOWERS, target="zzz").hint == "It has width, length, kind."


def test_a_quantity_is_not_taken_for_classes(tmp_path: Path) -> None:
    error = refused(tmp_path, of_prices(80), classes=True)
    assert error.message == "Column 'price' has 80 different numbers in 80 rows: a quantity, not classes."
    assert "--task regression" in (error.hint or "")


def test_words_are_no_quantity(tmp_path: Path) -> None:
    error = refused(tmp_path, FLOWERS, classes=False)
    assert "which is no number" in error.message
    assert "--task classification" in (error.hint or "")


@pytest.mark.filterwarnings("ignore:The specified dataset source")
def test_an_input_of_a_run_has_the_columns_and_a_digest_for_each_split(tmp_path: Path) -> None:
    table = load(tmp_path, FLOWERS)
    inputs = [tables.mlflow_input(table, split) for split in ("train", "validation")]
    assert [item.digest for item in inputs] == [f"{table.digest}-train", f"{table.digest}-validation"]
    assert list(inputs[0].df.columns) == ["width", "length", "kind"]
    assert set(inputs[0].df["kind"]) == {"rose", "tulip"}
    assert len(inputs[1].df) == 5


def lines(table: Table, answers: NDArray[np.float64]) -> list[str]:
    return tables.predictions(table, "validation", answers).splitlines()


def test_predictions_of_classes_begin_with_the_surest_mistake(tmp_path: Path) -> None:
    table = load(tmp_path, FLOWERS)
    truth = table.splits["validation"].target.astype(int)
    sure = np.array([0.9, 0.6, 0.8, 0.9, 0.9])
    wrong = np.array([False, True, True, False, False])
    chosen = np.where(wrong, 1 - truth, truth)
    answers = np.full((5, 2), 0.0)
    answers[np.arange(5), chosen] = sure
    answers[np.arange(5), 1 - chosen] = 1 - sure
    result = lines(table, answers)
    assert result[0] == "row,true,predicted,probability"
    numbers = table.splits["validation"].numbers
    assert [int(line.split(",")[0]) for line in result[1:3]] == [numbers[2], numbers[1]]
    _, true, predicted, probability = result[1].split(",")
    assert (true, predicted, probability) == (
        table.class_names[truth[2]],
        table.class_names[1 - truth[2]],
        "0.8",
    )


def test_predictions_of_a_quantity_begin_with_the_largest_error(tmp_path: Path) -> None:
    table = load(tmp_path, "a,b\n" + "".join(f"{i},{i}\n" for i in range(8)), classes=False, share=0.4)
    truth = table.splits["validation"].target
    answers = truth[:, None] + np.array([0.0, -2.0, 1.0, 0.0])[:, None]
    result = lines(table, answers)
    assert result[0] == "row,true,predicted,error"
    assert result[1] == f"{int(truth[1]) + 1},{truth[1]},{truth[1] - 2},-2.0"
