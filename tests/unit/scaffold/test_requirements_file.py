"""The packages of a requirements.txt, and what is said of a line that is none."""

import re
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.scaffold import requirements_file

from unit.helpers import put


def test_packages_with_their_versions(tmp_path: Path) -> None:
    put(tmp_path / "more" / "base.txt", "-r ../requirements.txt\nscipy\n")
    path = put(
        tmp_path / "requirements.txt",
        "# of the project\n"
        "click>=8.1,<9   # the command line\n"
        "requests[socks] == 2.*\n"
        "numpy \\\n    ; python_version > '3.8'\n"
        "\n"
        "click>=8.1,<9\n"
        "-r more/base.txt\n"
        "six==1.17.0 \\\n    --hash=sha256:00 \\\n    --hash=sha256:11\n",
    )
    assert requirements_file.read(path) == (
        "click>=8.1,<9",
        "requests[socks] == 2.*",
        "numpy ; python_version > '3.8'",
        "scipy",
        "six==1.17.0",
    )


def test_a_file_of_powershell(tmp_path: Path) -> None:
    path = put(tmp_path / "requirements.txt", "click==8.1\r\n".encode("utf-16"))
    assert requirements_file.read(path) == ("click==8.1",)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("-e .", "an editable project (-e) cannot be installed in an image."),
        (
            "--editable=git+https://u:pass@x/y",
            "an editable project (--editable) cannot be installed in an image.",
        ),
        ("--index-url https://u:pass@x/simple", "the option --index-url is not taken into an image."),
        ("-c pass.txt", "the option -c is not taken into an image."),
        ("click==8 --no-binary pass", "this is not a package."),
        ("mine @ https://u:pass@x/mine.whl", "a file or address of mine cannot be installed in an image."),
        ("git+https://u:pass@x/y.git", "a file or address cannot be installed in an image."),
        (
            "git+https://u:pass@x/y.git#egg=mine&subdirectory=z",
            "a file or address of mine cannot be installed in an image.",
        ),
        ("./pass", "a file or address cannot be installed in an image."),
        (".", "a file or address cannot be installed in an image."),
        ("-r pass.txt", "pass.txt does not exist."),
        ("two words", "this is not a package."),
    ],
)
def test_a_line_that_is_no_package_is_named(tmp_path: Path, line: str, what: str) -> None:
    path = put(tmp_path / "requirements.txt", f"click\n\n{line}\n")
    with pytest.raises(InvalidInput, match=re.escape(f"{path}, line 3: {what}")) as error:
        requirements_file.read(path)
    if not line.startswith("-r"):
        assert "pass" not in error.value.message + error.value.hint


def test_the_line_of_an_included_file_is_named(tmp_path: Path) -> None:
    put(tmp_path / "base.txt", "click\n-e .\n")
    path = put(tmp_path / "requirements.txt", "-r base.txt\n")
    with pytest.raises(InvalidInput, match=re.escape(f"{tmp_path / 'base.txt'}, line 2: ")):
        requirements_file.read(path)


def test_all_lines_that_are_no_package_are_named_at_once(tmp_path: Path) -> None:
    put(tmp_path / "base.txt", "two words\n")
    lines = (
        "-e .\nclick\ngit+https://u:pass@x/y.git\n--extra-index-url https://u:pass@x/simple\n-r base.txt\n"
    )
    path = put(tmp_path / "requirements.txt", lines)
    with pytest.raises(InvalidInput) as error:
        requirements_file.read(path)
    assert error.value.message == (
        f"{path} has 4 lines that an image cannot have: line 1: an editable project (-e); "
        "line 3: a file or address; line 4: the option --extra-index-url; "
        f"{tmp_path / 'base.txt'}, line 1: this is not a package."
    )
    assert error.value.hint == (
        "Remove them from a copy, or write NAME==VERSION of a package registry in their place, and use that: "
        "--from COPY. Write the index into requirements.in of the image that is made, without credentials; "
        "then add the packages that are there: trainer images add NAME PACKAGE"
    )
    put(path, "-e .\n./here\n")
    with pytest.raises(InvalidInput) as error:
        requirements_file.read(path)
    assert error.value.hint.endswith("--from COPY.")


@pytest.mark.parametrize("option", ["-i", "--index-url", "--extra-index-url"])
def test_where_an_index_goes_is_said(tmp_path: Path, option: str) -> None:
    path = put(tmp_path / "requirements.txt", f"{option} https://x/simple\n")
    with pytest.raises(InvalidInput) as error:
        requirements_file.read(path)
    assert error.value.hint.startswith("Remove the line. Write the index into requirements.in of the image")
    put(path, "--only-binary :all:\n")
    with pytest.raises(InvalidInput) as error:
        requirements_file.read(path)
    assert error.value.hint == "Remove the line."
