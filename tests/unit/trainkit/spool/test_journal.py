"""What was written down is there, whoever was killed when."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainkit.spool.journal import LONGEST, Record, Spool, SpoolError

RUN = {"info": {"run_id": "r1", "artifact_uri": "mlflow-artifacts:/1/r1/artifacts"}, "data": {}}
WRITER = """
import sys
from pathlib import Path
from trainkit.spool.journal import Spool
spool = Spool(Path(sys.argv[1]))
for number in range(100_000):
    spool.append({"number": number, "text": "x" * (number % 5000)})
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "spool")
    spool.create(RUN)
    return spool


def numbers(spool: Spool) -> list[object]:
    return [entry.record["number"] for entry in spool.entries() if entry.record]


def test_records_are_read_as_they_were_written(spool: Spool) -> None:
    said = [{"number": 1, "text": "ä\n\x00€ \ud800"}, {"number": 2, "list": [1.5, None, {"a": "b"}]}]
    for record in said:
        spool.append(record)
    assert [entry.record for entry in spool.entries()] == said
    assert Spool(spool.folder).run() == RUN


@pytest.mark.parametrize("cut", range(1, 26))
def test_a_torn_last_line_costs_neither_what_was_before_nor_what_comes_after(spool: Spool, cut: int) -> None:
    spool.append({"number": 1})
    spool.append({"number": 2})
    content = spool.journal.read_bytes()
    spool.journal.write_bytes(content[:-cut])
    assert numbers(spool) == ([1] if cut <= len(content) // 2 else [])
    Spool(spool.folder).append({"number": 3})
    # A record that lacks its line feed alone is whole.
    second = [2] if cut == 1 else []
    assert numbers(spool) == [*([1] if cut <= len(content) // 2 + 1 else []), *second, 3]


def test_a_line_that_was_changed_on_the_disk_is_not_taken_for_what_was_logged(spool: Spool) -> None:
    for number in range(3):
        spool.append({"number": number, "value": "1.25"})
    content = spool.journal.read_bytes()
    spool.journal.write_bytes(content.replace(b"1.25", b"9.25", 1))
    assert numbers(spool) == [1, 2]


def test_threads_do_not_mix_their_lines(spool: Spool) -> None:
    def write(first: int) -> None:
        for number in range(first, first + 200):
            spool.append({"number": number, "text": "x" * 3000})

    threads = [threading.Thread(target=write, args=(first,)) for first in range(0, 1000, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, map(str, numbers(spool)))) == list(range(1000))


def test_after_a_sigkill_at_any_place_everything_that_was_accepted_is_there(spool: Spool) -> None:
    randomly = random.Random(0)
    seen = 0
    for _ in range(12):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(spool.folder)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout
        lines = [writer.stdout.readline() for _ in range(randomly.randrange(1, 400))]
        writer.kill()
        lines += writer.stdout.read().splitlines()
        accepted = 1 + int(lines[-1])
        there = numbers(spool)[seen:]
        # What was being written when the signal came may be there as well, and nothing else.
        assert there in (list(range(accepted)), list(range(accepted + 1)))
        seen += len(there)
        writer.wait()


FULL = """
import resource, signal, sys
from pathlib import Path
from trainkit.spool.journal import LONGEST, Record, Spool, SpoolError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
spool = Spool(Path(sys.argv[1]))
spool.append({"number": 0})
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
for attempt in (lambda: spool.append({"number": 1, "text": "x" * 2000}),
                lambda: spool.keep(Path(sys.argv[2]), "big")):
    try:
        attempt()
    except SpoolError as problem:
        print(problem)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
spool.append({"number": 2})
"""


def test_a_full_disk_is_reported_at_once_and_spoils_nothing(spool: Spool, tmp_path: Path) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(1 << 20))
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(spool.folder), str(big)], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"What was logged could not be written to {spool.folder}: ") for line in lines)
    assert all(line.endswith("make space on the disk that holds the run's folder.") for line in lines)
    assert numbers(spool) == [0, 2]
    assert list((spool.folder / "outbox").iterdir()) == []


def test_one_at_a_time_delivers_until_it_lets_go(spool: Spool) -> None:
    import os

    first = spool.sending()
    assert first is not None
    assert Spool(spool.folder).sending() is None
    os.close(first)
    second = Spool(spool.folder).sending()
    assert second is not None
    os.close(second)


def test_a_file_is_kept_as_it_was(spool: Spool, tmp_path: Path) -> None:
    file = tmp_path / "figure.png"
    file.write_bytes(b"before")
    path = spool.folder / spool.keep(file, "figure.png")
    file.write_bytes(b"after")
    assert (path.name, path.read_bytes()) == ("figure.png", b"before")


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file in the place of the folder")
    with pytest.raises(SpoolError, match="could not be written to"):
        Spool(tmp_path / "spool").append({"number": 1})


def test_a_record_that_is_too_long_to_be_read_is_refused_at_once(spool: Spool) -> None:
    with pytest.raises(SpoolError, match="more than can be logged at once"):
        spool.append({"number": 1, "text": "x" * LONGEST})
    spool.append({"number": 2})
    assert numbers(spool) == [2]


texts = st.text(st.characters(), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)
records = st.lists(st.dictionaries(texts, values, max_size=3), min_size=1, max_size=4)


@given(records=records, later=st.dictionaries(texts, values, max_size=2), at=st.integers(0, 10**6))
@settings(deadline=None, database=None, max_examples=60)
def test_of_any_beginning_of_a_journal_each_whole_record_is_read_and_what_follows_too(
    tmp_path_factory: pytest.TempPathFactory, records: list[Record], later: Record, at: int
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    ends = []
    for record in records:
        spool.append(record)
        ends.append(spool.journal.stat().st_size)
    content = spool.journal.read_bytes()
    cut = at % (len(content) + 1)
    spool.journal.write_bytes(content[:cut])
    whole = [record for record, end in zip(records, ends, strict=True) if end <= cut]
    assert [entry.record for entry in spool.entries()] == whole
    assert [entry.end for entry in spool.entries()] == ends[: len(whole)]
    Spool(spool.folder).append(later)
    read = [entry.record for entry in spool.entries() if entry.record is not None]
    # The record that lacked its line feed alone is whole now.
    whole = [record for record, end in zip(records, ends, strict=True) if end - 1 <= cut]
    assert read == [*whole, later]
    for end in ends[: len(whole)]:
        assert [entry.record for entry in spool.entries(end)][-1] == later


@given(records=records, changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=3))
@settings(deadline=None, database=None, max_examples=60)
def test_a_journal_with_changed_bytes_has_no_record_that_was_not_written(
    tmp_path_factory: pytest.TempPathFactory,
    records: list[Record],
    changes: list[tuple[int, int]],
) -> None:
    spool = Spool(tmp_path_factory.mktemp("spool"))
    for record in records:
        spool.append(record)
    content = bytearray(spool.journal.read_bytes())
    for place, byte in changes:
        content[place % len(content)] = byte
    spool.journal.write_bytes(content)
    for entry in spool.entries():
        assert entry.record is None or entry.record in records
