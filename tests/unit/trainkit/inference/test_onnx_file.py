from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper
from trainkit.errors import InputError
from trainkit.inference import onnx_file

from unit.trainkit.inference.models import image_description, write, write_colours


def refusal(path: Path, **options: int) -> InputError:
    with pytest.raises(InputError) as refused:
        onnx_file.opened(path, threads=1, **options)
    return refused.value


def write_with_data(path: Path, location: str) -> Path:
    """A model that keeps its four weights in another file."""
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value=location)
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    node = helper.make_node("Add", ["x", "w"], ["y"])
    return write(path, [node], values[:1], values[1:], image_description(), [weights])


@pytest.mark.parametrize(
    "content", [b"", b"no model", b"\x89PNG\r\n\x1a\n" + bytes(50)], ids=["empty", "text", "picture"]
)
def test_a_file_that_is_no_model_is_refused(
    tmp_path: Path, content: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    assert refusal(path).message.startswith(f"{path} is no ONNX file that can be used: ")
    assert capfd.readouterr() == ("", "")


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path) -> None:
    path = write_colours(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes()[:-40])
    assert "is no ONNX file that can be used" in refusal(path).message


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path).message == f"There is no file {tmp_path}."
    assert refusal(tmp_path / "m.onnx").hint == "Check the path of the ONNX file."


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.truncate(3 * 1024**3)
    assert "3,221,225,472 bytes, more than the 2,147,483,648 that are allowed" in refusal(path).message
    assert "more than the 10" in refusal(write_colours(tmp_path / "small.onnx"), largest=10).message


@pytest.mark.parametrize("location", ["../secret.bin", "link.bin", "{}/secret.bin", "missing.bin"])
def test_weights_outside_of_the_models_folder_are_not_read(tmp_path: Path, location: str) -> None:
    np.ones(4, np.float32).tofile(tmp_path / "secret.bin")
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "link.bin").symlink_to("../secret.bin")
    path = write_with_data(folder / "m.onnx", location.format(tmp_path))
    assert refusal(path).message.startswith(f"{path} keeps weights in another file, which is missing or outs")


def test_weights_beside_the_model_are_read_wherever_one_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.full(4, 3, np.float32).tofile(tmp_path / "w.bin")
    path = write_with_data(tmp_path / "m.onnx", "w.bin")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    session = onnx_file.opened(Path(os.path.relpath(path)), threads=1)
    [answer] = session.run(None, {"x": np.zeros((1, 4), np.float32)})
    assert answer.tolist() == [[3, 3, 3, 3]]
