from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from trainkit.data import tables
from trainkit.data.tables import Table
from trainkit.errors import InputError

FLOWERS = "width,length,kind\n" + "".join(f"{i},{i / 4},{'rose' if i % 2 else 'tulip'}\n" for i in range(20))


def load(
    folder: Path,
    text: str | bytes,
    *,
    target: str = "last",
    classes: bool = True,
    share: float = 0.25,
    seed: int = 0,
) -> Table:
    path = folder / "flowers.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return tables.load(path, target=target, classes=classes, validation_share=share, seed=seed)


def refused(folder: Path, text: str | bytes, *, target: str = "last", classes: bool = True) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder, text, target=target, classes=classes)
    return caught.value


def test_the_last_column_is_learnt_from_all_others(tmp_path: Path) -> None:
    table = load(tmp_path, FLOWERS)
    assert (table.columns, table.target, table.class_names) == (
        ("width", "length"),
        "kind",
        ("rose", "tulip"),
    )
    train = table.splits["train"]
    assert train.features.tolist() == [[number - 1, (number - 1) / 4] for number in train.numbers]
    assert [table.class_names[int(t)] for t in train.target] == [
        "tulip" if number % 2 else "rose" for number in train.numbers
    ]


def test_a_named_column_is_learnt(tmp_path: Path) -> None:
    table = load(tmp_path, "kind,width\n" + "rose,1\ntulip,2\n" * 4, target="kind")
    assert (table.target, table.columns) == ("kind", ("width",))


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


def test_a_quantity_is_learnt_as_it_is(tmp_path: Path) -> None:
    table = load(tmp_path, "a,price\n" + "".join(f"{i},{i * 10.5}\n" for i in range(8)), classes=False)
    assert table.class_names == ()
    assert sorted(np.concatenate([rows.target for rows in table.splits.values()])) == [
        i * 10.5 for i in range(8)
    ]


def test_classes_are_named_as_they_are_written(tmp_path: Path) -> None:
    assert load(tmp_path, "a,b\n" + "1,10\n2,9\n" * 4).class_names == ("9", "10")
    assert load(tmp_path, "a,b\n" + "1,1.0\n2,2.0\n" * 4).class_names == ("1.0", "2.0")
    assert load(tmp_path, "a,b\n" + "1,001\n2,01\n3,1\n" * 4).class_names == ("001", "01", "1")
    assert load(tmp_path, "a,b\n" + "1,True\n2,false\n" * 4).class_names == ("True", "false")


def test_every_word_can_be_a_class(tmp_path: Path) -> None:
    words = ("NA", "None", "nan", "null", "N/A")
    text = "a,b\n" + "".join(f"{number},{word}\n" for number, word in enumerate(words)) * 4
    table = load(tmp_path, text)
    assert table.class_names == tuple(sorted(words))
    rows = table.splits["train"]
    assert [table.class_names[int(t)] for t in rows.target] == [words[int(f[0])] for f in rows.features]


def test_blanks_around_a_class_are_not_part_of_it(tmp_path: Path) -> None:
    assert load(tmp_path, "a,b\n" + "1, cat\n2,cat \n3,dog\n4,dog\n" * 2).class_names == ("cat", "dog")
    assert refused(tmp_path, "a,b\n1,x\n2, \n").message == (
        "flowers.csv lacks 1 value, the first of column 'b' in row 2."
    )


def test_columns_without_a_name_are_learnt_from(tmp_path: Path) -> None:
    assert load(tmp_path, ",a,b\n" + "0,1,x\n1,2,y\n" * 4).columns == ("Unnamed: 0", "a")


@pytest.mark.parametrize("separator", [";", "\t"])
def test_other_separators_and_a_byte_order_mark_are_accepted(tmp_path: Path, separator: str) -> None:
    text = "\ufeffwidth,length,kind\r\n" + "1,2,rose\r\n3,4,tulip\r\n" * 4
    assert load(tmp_path, text.replace(",", separator)).columns == ("width", "length")


def test_the_digest_is_that_of_the_content(tmp_path: Path) -> None:
    first = load(tmp_path, FLOWERS).digest
    assert load(tmp_path, FLOWERS, seed=5).digest == first
    assert load(tmp_path, FLOWERS.replace("3,", "4,", 1)).digest != first


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "flowers.csv is no CSV file: No columns to parse from file."),
        ("a,b\n", "flowers.csv has 0 rows below its header."),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "flowers.csv is no CSV file: 'utf-8' codec"),
        ("a,b\n1,2\n3,4,5,6\n", "flowers.csv is no CSV file: Error tokenizing data."),
        (
            "a,b\n1,2,3\n4,5,6\n",
            "flowers.csv is no CSV file: Length of header or names does not match length of data",
        ),
        ("a,a,b\n1,2,3\n4,5,6\n", "flowers.csv has two columns 'a'."),
        ("a\n1\n2\n", "flowers.csv has no column besides a."),
        ("a,b,c\n1,,x\n2,,y\n3,4,\n", "flowers.csv lacks 3 values, the first of column 'b' in row 1."),
        (
            "a,b,c\n1,4,x\n2,red,y\n",
            "flowers.csv: column 'b' has 'red' in row 2, which is no number.",
        ),
        (
            "a,b,c\nblue,4,x\n2,red,y\n",
            "flowers.csv: column 'a' has 'blue' in row 1, which is no number; 2 columns are like this.",
        ),
        ("a,b,c\n1,inf,x\n2,3,y\n", "flowers.csv: column 'b' has 'inf' in row 1, which is no number."),
        ("a,b\n1,x\n2,x\n", "Column 'b' has the same value everywhere."),
        ("a,b\n1,x\n2,x\n3,y\n", "Class y of column 'b' has one row."),
        ("a,b\n1,x\nNA,x\n", "flowers.csv: column 'a' has 'NA' in row 2, which is no number."),
        ("a,b\n1,x\n,x\n", "flowers.csv lacks 1 value, the first of column 'a' in row 2."),
    ],
)
def test_a_file_that_cannot_be_learnt_from_is_refused_with_the_reason(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    assert refused(tmp_path, text).message.startswith(said)


def test_a_missing_target_suggests_the_near_one(tmp_path: Path) -> None:
    assert refused(tmp_path, FLOWERS, target="knd").hint == "Did you mean kind?"
    assert refused(tmp_path, FLOWERS, target="zzz").hint == "It has width, length, kind."


def test_a_quantity_is_not_taken_for_classes(tmp_path: Path) -> None:
    text = "a,price\n" + "".join(f"{i},{i * 10.5}\n" for i in range(80))
    error = refused(tmp_path, text)
    assert error.message == "Column 'price' has 80 different numbers: a quantity, not classes."
    assert "--loss MSELoss" in error.hint


def test_words_are_no_quantity(tmp_path: Path) -> None:
    error = refused(tmp_path, FLOWERS, classes=False)
    assert "which is no number" in error.message
    assert "--loss CrossEntropyLoss" in error.hint


def test_a_quantity_that_never_changes_is_refused(tmp_path: Path) -> None:
    assert "the same value" in refused(tmp_path, "a,b\n1,7\n2,7\n3,7\n", classes=False).message


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
