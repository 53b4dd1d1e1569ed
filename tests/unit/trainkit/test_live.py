"""What a script says of its progress, between the lines of its output."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support import REPOSITORY
from trainer.backends.job_output import JobOutput, Said
from trainkit import live, run_environment

from unit.helpers import put

START = "from trainkit import live; live.watch_imports(); live.watch_imports()\n"


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path)


class Output:
    """A script whose output goes to a file, as start.sh has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, script: str, variable: str | None = None) -> list[str]:
        """What the script printed and said: lines, and `part|count` in brackets."""
        path = f"{self.folder}:{REPOSITORY / 'trainer_images' / 'trainkit'}"
        with (self.folder / "output").open("w+b") as file:
            status = os.fstat(file.fileno())
            known = variable or f"{status.st_dev}:{status.st_ino}"
            environment = {"PYTHONPATH": path, run_environment.OUTPUT: known, "PYTHONUNBUFFERED": "1"}
            subprocess.run(
                [sys.executable, "-c", START + script], env=environment, stdout=file, check=True, timeout=60
            )
            file.seek(0)
            items = JobOutput().feed(file.read())
        return [f"[{item.part}|{item.count}]" if isinstance(item, Said) else item.decode() for item in items]


def test_a_step_is_said_where_it_begins_and_ends(output: Output) -> None:
    script = """
with live.doing("fit"):
    print("half a", end=" ")
    live.count("epoch 1/2")
    print("line")
    with live.doing("evaluate"):
        pass
"""
    assert output.of(script) == [
        "[fit|]", "half a ", "[fit|epoch 1/2]", "line\n", "[evaluate|]", "[fit|]", "[|]",
    ]  # fmt: skip


def test_a_step_that_raises_is_over(output: Output) -> None:
    script = """
try:
    with live.doing("fit"):
        1 / 0
except ZeroDivisionError:
    print("caught")
"""
    assert output.of(script) == ["[fit|]", "[|]", "caught\n"]


@pytest.mark.parametrize("variable", ["1:2", "no file", "0"])
def test_nothing_is_said_to_another_file_than_the_output_of_a_run(output: Output, variable: str) -> None:
    assert output.of('live.show("fit")\nprint("text")', variable) == ["text\n"]


def test_nothing_is_said_without_trainer(capfd: pytest.CaptureFixture[str]) -> None:
    with live.doing("fit"):
        live.count("1/2")
    assert capfd.readouterr().out == ""


def test_what_the_script_starts_says_nothing(output: Output) -> None:
    script = """
import os, subprocess, sys, threading
subprocess.run([sys.executable, "-c", "from trainkit import live; live.show('child')"], check=True)
if (child := os.fork()) == 0:
    live.show("fork")
    os._exit(0)
os.waitpid(child, 0)
thread = threading.Thread(target=lambda: live.doing("thread").__enter__())
thread.start()
thread.join()
live.show("itself")
"""
    assert output.of(script) == ["[itself|]"]


def test_text_cannot_end_the_sequence_or_steer_a_terminal(output: Output) -> None:
    assert output.of(r'live.show("a\x1b\\\nb\tc", "x" * 500)') == [rf"[a\bc|{'x' * 120}]"]


def test_the_framework_that_is_imported_is_said(output: Output) -> None:
    put(output.folder / "keras.py", "import tensorflow\n")
    put(output.folder / "tensorflow.py", "print('loading')\n")
    assert output.of("import keras, keras, tensorflow, json") == [
        "[importing Keras|]", "[importing TensorFlow|]", "loading\n", "[importing Keras|]", "[|]",
    ]  # fmt: skip


def test_a_framework_that_is_only_looked_for_is_not_said(output: Output) -> None:
    put(output.folder / "torch.py")
    script = """
from importlib.util import find_spec
print(find_spec("torch") is not None, find_spec("jax"))
try:
    import jax
except ModuleNotFoundError as error:
    print(error)
"""
    assert output.of(script) == ["True None\nNo module named 'jax'\n"]


def test_a_framework_that_cannot_be_imported_raises_its_own_error(output: Output) -> None:
    put(output.folder / "torch.py", "raise OSError('libcudart.so')\n")
    script = """
try:
    import torch
except OSError as error:
    print(error)
"""
    assert output.of(script) == ["[importing PyTorch|]", "[|]", "libcudart.so\n"]


def test_a_step_inside_of_which_a_framework_is_imported_is_said_again(output: Output) -> None:
    put(output.folder / "sklearn.py")
    said = output.of('with live.doing("log_model"): import sklearn')
    assert said == ["[log_model|]", "[importing scikit-learn|]", "[log_model|]", "[|]"]


def test_a_training_says_how_far_it_is_once_a_second(output: Output) -> None:
    script = """
from unittest import mock
now = 100.0
with mock.patch("time.monotonic", lambda: now):
    epochs = live.Epochs(3)
    for epoch in 1, 2:
        epochs.begin(epoch, 4)
        for step in 1, 2, 3, 4:
            now += 0.5
            epochs.step(step)
        epochs.validate()
"""
    assert output.of(script) == [
        "[|epoch 1/3]",
        "[|epoch 1/3  2/4 steps  2.0/s  0:05 left]",
        "[|epoch 1/3  4/4 steps  2.0/s  0:04 left]",
        "[|epoch 1/3  validation]",
        "[|epoch 2/3]",
        "[|epoch 2/3  2/4 steps  2.0/s  0:03 left]",
        "[|epoch 2/3  4/4 steps  2.0/s  0:02 left]",
        "[|epoch 2/3  validation]",
    ]


def test_steps_that_are_told_out_of_order_do_not_go_back(output: Output) -> None:
    script = """
from unittest import mock
now = 100.0
with mock.patch("time.monotonic", lambda: now):
    epochs = live.Epochs(1)
    epochs.begin(1, 9)
    for step in 2, 1, 4, 3:
        now += 2
        epochs.step(step)
"""
    assert output.of(script)[1:] == [
        "[|epoch 1/1  2/9 steps  1.0/s]",
        "[|epoch 1/1  4/9 steps  0.7/s  0:10 left]",
    ]


def test_the_line_of_a_long_training_fits_80_columns(output: Output) -> None:
    script = """
from unittest import mock
now = 100.0
with mock.patch("time.monotonic", lambda: now):
    epochs = live.Epochs(500)
    epochs.begin(100, 12_000)
    for step in range(1, 9_000):
        now += 0.06
        epochs.step(step)
"""
    line = output.of(script)[-1]
    assert re.fullmatch(r"\[\|epoch 100/500  \d{4}/12000 steps  16\.7/s  \d\d:\d\d:\d\d left\]", line)
    assert len(f"⠋ Running  fit  {line.strip('[|]')}  1:00:00") < 80


def test_items_are_counted_as_they_come(output: Output) -> None:
    script = """
from unittest import mock
now = 100.0
with mock.patch("time.monotonic", lambda: now), live.doing("load"):
    for item in live.counted("abcd", 4, "images"):
        now += 0.6
"""
    assert output.of(script) == ["[load|]", "[load|2/4 images]", "[|]"]
