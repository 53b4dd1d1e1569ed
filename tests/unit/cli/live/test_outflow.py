import io
import os
import threading
from pathlib import Path

import pytest
from trainer.cli.live.outflow import BackgroundWriter

PIPE = 1 << 16


@pytest.mark.timeout(20)
def test_writing_does_not_wait_for_the_reader_and_closing_does() -> None:
    there, here = os.pipe()
    with os.fdopen(here, "wb") as stream, os.fdopen(there, "rb") as reader:
        output = BackgroundWriter(stream)
        for number in range(100):
            output.write(b"%05d" % number * 2000)
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.append(reader.read(1_000_000)))
        thread.start()
        output.close(wait=True)
        thread.join()
    assert got == [b"".join(b"%05d" % number * 2000 for number in range(100))]


@pytest.mark.timeout(20)
def test_closing_without_waiting_leaves_a_reader_that_has_stopped() -> None:
    there, here = os.pipe()
    with os.fdopen(there, "rb"):
        output = BackgroundWriter(os.fdopen(here, "wb"))
        output.write(bytes(4 * PIPE))
        output.close(wait=False)


@pytest.mark.timeout(20)
def test_a_reader_that_has_gone_is_no_error(tmp_path: Path) -> None:
    there, here = os.pipe()
    os.close(there)
    with os.fdopen(here, "wb") as stream:
        output = BackgroundWriter(stream)
        output.write(b"into the void")
        output.close(wait=True)
        stream.write(b"and again")
        stream.flush()
    with (tmp_path / "file").open("wb") as stream:  # the descriptors are all in order
        stream.write(b"x")


def test_a_stream_without_a_descriptor_is_written_to_as_it_is() -> None:
    stream = io.BytesIO()
    output = BackgroundWriter(stream)
    output.write(b"one ")
    output.write(b"two")
    output.close(wait=True)
    assert stream.getvalue() == b"one two"
