import hashlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from trainer import atomic_files
from trainer.datasets import contents, index, listing
from trainer.datasets.contents import Contents
from trainer.datasets.inside import MountedFolder
from trainer.datasets.listing import Stamp
from trainer.errors import InvalidInput
from trainkit.data import image_folder

from unit.datasets.pictures import dataset
from unit.helpers import fails, put

LONG_AGO = 1_500_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset of 90 old files in folders of which one sorts differently by parts than as text."""
    root = tmp_path / "skins"
    for number in range(90):
        put(root / ("a b" if number % 3 else "a") / "deep" / f"{number}.jpg", f"content {number}")
    put(root / "a.csv", "x,y\n")
    for path in root.rglob("*"):
        os.utime(path, (LONG_AGO, LONG_AGO))
    return root


@pytest.fixture
def known(tmp_path: Path) -> Path:
    """Where the index goes."""
    return tmp_path / "state" / "index.json"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on, the files' change times are theirs no more, as where a file system has none."""

    def no_ctime(seen: os.stat_result) -> Stamp:
        return Stamp(seen.st_size, seen.st_mtime_ns, 0, seen.st_ino)

    return lambda: monkeypatch.setattr(listing, "_stamp", no_ctime)


def sequential(root: Path) -> dict[str, tuple[int, str]]:
    results = {}
    for path in root.rglob("*"):
        if path.is_file():
            raw = path.read_bytes()
            results[path.relative_to(root).as_posix()] = (len(raw), hashlib.sha256(raw).hexdigest())
    return results


def test_files_read_in_parallel_have_the_hashes_of_files_read_one_by_one(root: Path, known: Path) -> None:
    taken = contents.take(root, known)
    assert taken.files == sequential(root)
    assert (len(taken.files), taken.reads) == (91, 91)
    lines = [
        f"{path}\0{file[1]}\n"
        for path, file in sorted(sequential(root).items(), key=lambda i: i[0].split("/"))
    ]
    assert taken.digest == hashlib.sha256("".join(lines).encode()).hexdigest()


def test_the_digest_begins_as_that_of_a_runs_input(tmp_path: Path, known: Path) -> None:
    skins = dataset(tmp_path / "skins", {"a": 3, "a b": 2, "a-b/deeper": 2})
    folder = image_folder.scan(skins)
    in_run = image_folder.folder_digest(folder, image_folder.content_digests(folder))
    assert contents.take(skins, known).digest[:8] == in_run


def test_a_dataset_that_is_one_file_has_the_digest_of_the_file(tmp_path: Path, known: Path) -> None:
    table = put(tmp_path / "iris.csv", "a,b\n1,2\n")
    taken = contents.take(table, known)
    assert taken.digest == hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert (len(taken.files), taken.bytes) == (1, 8)


def test_hidden_files_are_no_part_of_it(root: Path, known: Path) -> None:
    before = contents.take(root, known)
    put(root / ".trainer-renames.json", "{}")
    put(root / ".cache" / "x.jpg", "x")
    assert contents.take(root, known).digest == before.digest


def test_files_that_were_not_changed_are_not_read_again(
    root: Path, known: Path, settled: Callable[[], None]
) -> None:
    settled()
    first = contents.take(root, known)
    written = known.read_bytes(), known.stat().st_mtime_ns
    again = contents.take(root, known)
    assert (first.reads, again.reads, again.digest) == (91, 0, first.digest)
    assert (known.read_bytes(), known.stat().st_mtime_ns) == written
    put(root / "a" / "new.jpg", "new")
    put(root / "a.csv", "y,x\n")
    os.utime(root / "a.csv", (LONG_AGO + 1, LONG_AGO + 1))
    (root / "a" / "deep" / "0.jpg").unlink()
    changed = contents.take(root, known)
    assert changed.reads == 2
    assert changed.files == sequential(root)


def test_a_file_as_young_as_the_index_is_read_again(
    root: Path, known: Path, settled: Callable[[], None]
) -> None:
    settled()
    file = put(root / "a.csv", "one")
    young = file.stat().st_mtime_ns
    contents.take(root, known)
    file.write_text("two")
    os.utime(file, ns=(young, young))
    assert contents.take(root, known).files["a.csv"].sha256 == hashlib.sha256(b"two").hexdigest()


def test_only_what_was_old_when_the_index_began_is_trusted() -> None:
    stamp = Stamp(3, 10**18, 10**18, 7)
    entries = {"a": (*stamp, "f" * 64)}
    tick = 2 * 10**9
    assert index.Index(10**18 + tick + 1, entries).sha256("a", stamp) == "f" * 64
    assert index.Index(10**18 + tick, entries).sha256("a", stamp) is None
    late_change = stamp._replace(ctime_ns=10**18 + 5)
    assert index.Index(10**18 + tick + 1, {"a": (*late_change, "f" * 64)}).sha256("a", late_change) is None
    for other in (stamp._replace(size=4), stamp._replace(mtime_ns=5), stamp._replace(ctime_ns=5),
                  stamp._replace(inode=8)):  # fmt: skip
        assert index.Index(2 * 10**18, entries).sha256("a", other) is None


def test_a_change_whose_time_was_put_back_is_seen_by_the_change_time(root: Path, known: Path) -> None:
    contents.take(root, known)
    payload = json.loads(known.read_bytes())
    known.write_text(json.dumps({**payload, "begun": payload["begun"] + 10**12}))  # as if it were long ago
    assert contents.take(root, known).reads == 0
    put(root / "a.csv", "y,x\n")
    os.utime(root / "a.csv", (LONG_AGO, LONG_AGO))
    assert contents.take(root, known).files == sequential(root)


def test_full_reads_what_the_index_vouches_for(root: Path, known: Path, settled: Callable[[], None]) -> None:
    settled()
    contents.take(root, known)
    put(root / "a.csv", "y,x\n")  # with no trace in its stamp, as a failing disk would leave it
    os.utime(root / "a.csv", (LONG_AGO, LONG_AGO))
    assert contents.take(root, known).files != sequential(root)
    assert contents.take(root, known, full=True).files == sequential(root)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": 1, "begun": 1}', '{"schema": 2}', "\xff"])
def test_an_invalid_index_is_rebuilt(root: Path, known: Path, content: str) -> None:
    put(known, content.encode("latin-1"))
    assert contents.take(root, known).files == sequential(root)
    assert json.loads(known.read_bytes())["schema"] == 1


def test_an_index_that_cannot_be_written_costs_time_and_no_more(root: Path, tmp_path: Path) -> None:
    put(tmp_path / "no-folder")
    assert contents.take(root, tmp_path / "no-folder" / "index.json").files == sequential(root)


def test_a_link_counts_as_what_it_leads_to(root: Path, known: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "x.jpg", "x")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "one.jpg").symlink_to(tmp_path / "elsewhere" / "x.jpg")
    (root / "a" / "round").symlink_to(root)  # leads to where it lies in: all of that is listed already
    files = contents.take(root, known).files
    assert files["linked/x.jpg"] == files["one.jpg"] == (1, hashlib.sha256(b"x").hexdigest())
    assert len(files) == 93


def _broken_link(root: Path) -> None:
    (root / "odd").symlink_to("nowhere")


def _socket(root: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(root / "odd"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_broken_link, "{root}/odd is not there, or is a link that leads nowhere."),
        (lambda root: os.mkfifo(root / "odd"),
         "{root}/odd is not a file or folder, but a pipe, a socket or a device."),
        (lambda root: (root / "odd").symlink_to("odd"),
         "{root}/odd cannot be read: Too many levels of symbolic links."),
        (lambda root: Path(os.fsdecode(bytes(root) + b"/caf\xe9.jpg")).touch(),
         "The name of {root}/caf\N{REPLACEMENT CHARACTER}.jpg is not valid UTF-8."),
    ],
)  # fmt: skip
def test_what_has_no_content_or_no_name_is_refused(
    root: Path, known: Path, make: Callable[[Path], None], message: str
) -> None:
    make(root)
    with fails(InvalidInput, message.format(root=root)):
        contents.take(root, known)
    assert not known.exists()


def test_a_file_that_is_written_to_is_read_again_until_it_rests(
    root: Path, known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = hashlib.file_digest
    written: list[int] = []

    def while_written(file: object, name: str) -> object:
        done = real(file, name)  # type: ignore[arg-type]
        if Path(file.name).name == "a.csv" and len(written) < most:  # type: ignore[attr-defined]
            written.append(1)
            put(root / "a.csv", "x" * (10 + len(written)))
        return done

    monkeypatch.setattr(hashlib, "file_digest", while_written)
    most = 2
    assert contents.take(root, known).files["a.csv"].size == 12
    most = 100
    with fails(InvalidInput, f"{root}/a.csv is being written to: it changed each time while it was read."):
        contents.take(root, known, full=True)


def test_a_file_that_goes_away_meanwhile_is_named(
    root: Path, known: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = listing.files

    def then_gone(folder: Path, mounted: MountedFolder | None) -> dict[str, Stamp]:
        result = real(folder, mounted)
        (root / "a.csv").unlink()
        return result

    monkeypatch.setattr(listing, "files", then_gone)
    with fails(InvalidInput, f"{root}/a.csv disappeared while the dataset was read."):
        contents.take(root, known)


def test_nothing_is_written_but_the_index(root: Path, known: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}
    contents.take(root, known)
    assert {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]} == before
    assert sorted(path.name for path in tmp_path.rglob("*") if root not in path.parents) == [
        "index.json",
        "index.lock",
        "skins",
        "state",
    ]
    assert not atomic_files.beside(known).exists()


def test_an_empty_dataset_has_a_digest_too() -> None:
    assert Contents({}).digest == hashlib.sha256(b"").hexdigest()
