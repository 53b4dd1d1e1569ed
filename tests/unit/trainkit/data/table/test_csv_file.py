import subprocess
import sys
from pathlib import Path

import pytest
from trainkit.data.table import csv_file
from trainkit.errors import InputError


def put(folder: Path, text: str | bytes) -> Path:
    path = folder / "flowers.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found_and_a_byte_order_mark_left_out(tmp_path: Path, separator: str) -> None:
    path = put(tmp_path, "\ufeffwidth,kind of it\r\n1,rose\r\n3, tulip \r\n".replace(",", separator))
    assert csv_file.header(path) == csv_file.Header(("width", "kind of it"), separator)
    assert csv_file.read(path).to_dict("list") == {"width": ["1", "3"], "kind of it": ["rose", "tulip"]}


def test_a_name_may_have_quotation_marks_commas_and_lines(tmp_path: Path) -> None:
    path = put(tmp_path, '\n"size, in\ncm", kind ,\n1,rose,0\n2,rose,1\n')
    assert csv_file.header(path).names == ("size, in\ncm", "kind", "Unnamed: 2")
    assert list(csv_file.read(path)) == ["size, in\ncm", "kind", "Unnamed: 2"]


def test_words_are_words_and_empty_cells_alone_are_missing(tmp_path: Path) -> None:
    frame = csv_file.read(put(tmp_path, 'a,b\nNA,001\n"  ",\nnull,1.50\n'))
    assert frame.isna().to_numpy().tolist() == [[False, False], [True, True], [False, False]]
    assert frame["b"].dropna().tolist() == ["001", "1.50"]
    assert frame["a"].dropna().tolist() == ["NA", "null"]


def test_a_comma_is_a_decimal_point_between_semicolons(tmp_path: Path) -> None:
    frame = csv_file.read(put(tmp_path, "price;note\n3,14;red, or 2,5\n-1,5;1,2,3\n"))
    assert frame.to_dict("list") == {"price": ["3.14", "-1.5"], "note": ["red, or 2,5", "1,2,3"]}


def test_a_row_is_found_on_its_line(tmp_path: Path) -> None:
    path = put(tmp_path, '\n"a\nb",c\r\n1,"x\ny\n\nz"\r\n\n  \n2,u\n"",\n')
    rows = csv_file.read(path)
    assert rows["c"].tolist()[1] == "u"
    assert [csv_file.line_of(path, row) for row in range(len(rows))] == [4, 10, 11]


def test_a_line_of_tabs_is_a_row_where_they_separate(tmp_path: Path) -> None:
    path = put(tmp_path, "a\tb\n \n\t\n1\t2\n")
    assert len(csv_file.read(path)) == 2
    assert [csv_file.line_of(path, row) for row in (0, 1)] == [3, 4]


def test_a_header_is_read_without_pandas(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trainkit.data.table import csv_file, selection\n"
        "print(csv_file.header(Path(sys.argv[1])).names, 'pandas' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(put(tmp_path, "a,b\n"))]
    packages = str(Path(csv_file.__file__).parents[3])
    done = subprocess.run(command, env={"PYTHONPATH": packages}, capture_output=True, text=True, check=True)
    assert done.stdout == "('a', 'b') False\n"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "flowers.csv is empty.", "a line of column names"),
        ("\n\n", "flowers.csv is empty.", "a line of column names"),
        ("a,b\n", "flowers.csv has no rows below its header.", "Add rows."),
        ("a,b\n1,2\n", "flowers.csv has 1 row below its header.", "Add rows."),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "flowers.csv is not UTF-8.", "iconv -f ENCODING -t UTF-8 flowers.csv"),
        ("a,b\n1,Jürgen\n".encode("latin-1") * 2, "flowers.csv is not UTF-8.", "WINDOWS-1252"),
        (
            "a,b\n\n1,2\n3,4,5,6\n",
            "flowers.csv is no CSV file: line 4 has 4 cells, and the header has 2.",
            "`trainer data validate flowers.csv` names each line that is wrong.",
        ),
        ("a,b\n1,2,3\n4,5,6\n", "flowers.csv is no CSV file: Length of header", "trainer data validate"),
        ("a, a ,b\n1,2,3\n4,5,6\n", "flowers.csv has two columns 'a'.", "Rename one of them."),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str | bytes, said: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        csv_file.read(put(tmp_path, text))
    assert caught.value.message.startswith(said)
    assert hint in caught.value.hint


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        csv_file.header(tmp_path / "gone.csv")
