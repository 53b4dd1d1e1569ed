"""A job's output taken apart, in whatever pieces it comes."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trainer.backends.job_output import JobOutput, Said, logged
from trainkit import live


def said(at: int, part: str, count: str = "") -> bytes:
    """As trainkit says it."""
    return live.START + f"{at};{part}{live.BETWEEN}{count}".encode() + live.END


def apart(pieces: list[bytes]) -> Iterator[bytes | Said]:
    """Neighbouring text joined."""
    output, text = JobOutput(), b""
    for item in [*(item for piece in pieces for item in output.feed(piece)), output.flush()]:
        if isinstance(item, bytes):
            text += item
            continue
        if text:
            yield text
        text = b""
        yield item
    if text:
        yield text


def test_what_is_said_is_told_from_what_is_printed() -> None:
    stream = b"one\nhalf" + said(5, "fit", "epoch 1/2") + b" a line\n" + said(6, "")
    assert list(apart([stream])) == [b"one\nhalf", Said(5, "fit", "epoch 1/2"), b" a line\n", Said(6, "", "")]


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from([live.START, live.END, b"\x1b", b"\x1b]", said(7, "fit", "1/2"), said(8, ""), b"\n"]),
    ),
    max_size=12,
)


@given(PIECES, st.data())
def test_how_it_is_cut_into_pieces_makes_no_difference(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    at = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    pieces = [stream[begin:end] for begin, end in zip([0, *at], [*at, len(stream)], strict=True)]
    assert list(apart(pieces)) == list(apart([stream]))


@given(st.binary(max_size=200).filter(lambda text: live.START not in text))
def test_all_else_passes_as_it_is(stream: bytes) -> None:
    assert list(apart([stream])) == ([stream] if stream else [])


@pytest.mark.parametrize(
    "other", [b"no number;fit\tx", b"5;no tab", b"", b"x" * 5000], ids=["time", "tab", "empty", "long"]
)
def test_another_sequence_that_begins_alike_is_the_scripts_own(other: bytes) -> None:
    stream = live.START + other + live.END + b"text\n"
    assert list(apart([stream])) == [stream]


def test_a_sequence_without_an_end_does_not_keep_the_rest_back() -> None:
    stream = live.START + b"x" * 5000
    output = JobOutput()
    assert b"".join(item for item in output.feed(stream) if isinstance(item, bytes)) == stream


def test_a_log_has_a_line_a_minute_where_nothing_is_printed() -> None:
    stream = [said(second, "fit", f"step {second}") for second in range(100, 400)]
    stream.insert(90, b"epoch 1\n")  # at 189
    assert b"".join(logged(stream)) == (
        b"fit: step 160\nepoch 1\nfit: step 249\nfit: step 309\nfit: step 369\n"
    )


def test_a_line_that_is_not_ended_is_not_broken_in_a_log() -> None:
    stream = [
        said(100, "fit"),
        b"10 %",
        *(said(second, "fit", "x") for second in range(101, 300)),
        b", 20 %\n",
    ]
    assert b"".join(logged(stream)) == b"10 %, 20 %\n"


def test_a_log_keeps_the_end_of_a_stream_that_was_cut_off() -> None:
    assert b"".join(logged([b"text", live.START + b"5;fi"])) == b"text" + live.START + b"5;fi"
