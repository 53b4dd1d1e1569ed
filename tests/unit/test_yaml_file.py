import os
from pathlib import Path

import pytest
from trainer import yaml_file
from trainer.errors import InvalidInput

from unit.helpers import fails, put

BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{f'*a{n - 1}, ' * 9}]\n" for n in range(1, 9))


def test_it_is_read_in_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    assert yaml_file.read(put(tmp_path / "file", "name: Ž漢\n")) == {"name": "Ž漢"}
    assert yaml_file.read(put(tmp_path / "file", "\ufeffname: Ž\n")) == {"name": "Ž"}


def test_an_alias_is_what_it_stands_for(tmp_path: Path) -> None:
    assert yaml_file.read(put(tmp_path / "file", "a: &a {x: 1}\nb: {<<: *a}\n")) == {
        "a": {"x": 1},
        "b": {"x": 1},
    }


def test_a_key_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "file", "a: {x: 1}\nb:\n  main: 1\n  other: 2\n  main: 3\n")
    with fails(InvalidInput, f"{path}, line 5: the key main is given twice."):
        yaml_file.read(path)
    merged = "a: &a {x: 1}\nb: &b {y: 1}\nc: {<<: *a, x: 2}\nd: {1: x, '1': y}\ne: {<<: [*a, *b]}\n"
    assert yaml_file.read(put(tmp_path / "file", merged)) == {
        "a": {"x": 1},
        "b": {"y": 1},
        "c": {"x": 2},
        "d": {1: "x", "1": "y"},
        "e": {"x": 1, "y": 1},
    }


@pytest.mark.parametrize(
    "text",
    [
        "a: b: c\n",
        b"\xff",
        "\x00",
        "a: !!timestamp x",
        "a: 2024-99-99",
        "a: !!bool x",
        "a: !!int x",
        "a: " + "1" * 5000,
        "{[a]: b}",
        "!!python/object/apply:os.system [true]",
        "[" * 2000,
        BOMB,
        "&a [*a]",
        r'a: "\ud800"',
    ],
)
def test_what_is_no_yaml_is_refused(tmp_path: Path, text: str | bytes) -> None:
    path = put(tmp_path / "file", text)
    with pytest.raises(InvalidInput) as caught:
        yaml_file.read(path)
    assert str(path) in caught.value.message


@pytest.mark.timeout(20)
def test_a_pipe_or_a_device_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    with fails(InvalidInput, f"{tmp_path / 'file'} is a device, a pipe or a socket, and has to be a file."):
        yaml_file.read(tmp_path / "file")
    (tmp_path / "link").symlink_to("/dev/zero")
    with fails(
        InvalidInput,
        f"{tmp_path / 'link'} is a link to /dev/zero, which is a device, a pipe or a socket, "
        "and has to be a file.",
    ):
        yaml_file.read(tmp_path / "link")
