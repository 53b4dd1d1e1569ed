"""No file is lost, replaced or reached by a way that leads out, whatever happens on the way."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest
from support import Result, Site
from trainer.datasets import names
from trainer.datasets.build import building, copying, split, subset
from trainer.datasets.rename import classes as rename
from trainer.datasets.rename import journal
from trainer.errors import DiskFull, InvalidInput
from trainer.projects import sources
from trainer.server import archive_reading
from trainer.server.store_archive import ArchiveError
from trainer.workspace import secrets, settings
from trainer.workspace.settings import Workspace
from trainkit.data import image_folder
from trainkit.data.downloads import unpack
from trainkit.errors import InputError
from unit.datasets.pictures import dataset, tree
from unit.helpers import fails, git, put

SHARES = {"train": 0.5, "validation": 0.5}


# Names


@pytest.mark.parametrize(
    ("one", "other"),
    [("a/1.png", "a/1.PNG"), ("a/é.png", "a/e\u0301.png"), ("a/1.png", "A/2.png"), ("a/ß.png", "a/SS.png")],
)
def test_files_whose_names_are_one_elsewhere_are_not_copied_over_each_other(
    tmp_path: Path, one: str, other: str
) -> None:
    for name in (one, other):
        put(tmp_path / "set" / name, name)
    before = tree(tmp_path / "set")
    classes = sorted({one.split("/")[0], other.split("/")[0]})
    with pytest.raises(InvalidInput, match="are one name where case does not count"):
        subset.plan(tmp_path / "set", classes)
    with pytest.raises(InvalidInput, match="are one name where case does not count"):
        copying.files(tmp_path / "set", [(PurePosixPath(name), PurePosixPath(name)) for name in (one, other)])
    assert tree(tmp_path / "set") == before


@pytest.mark.parametrize("taken", ["PICTURES", unicodedata.normalize("NFD", "pictures")])
def test_a_new_dataset_takes_no_name_that_is_anothers_elsewhere(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).mkdir()
    with fails(InvalidInput, f"{tmp_path / taken} exists already."):
        building.build(tmp_path / "pictures", {"plan": 1}, lambda _: None)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [taken]


@pytest.mark.parametrize(
    ("one", "other"), [("Größe", "GRÖSSE"), ("é", "e\u0301"), ("\u1f80", "\u1f00\u03b9"), ("İ", "i\u0307")]
)
def test_names_that_a_file_system_takes_for_one_are_folded_to_one(one: str, other: str) -> None:
    assert names.folded(one) == names.folded(other)


# Links


def test_a_link_that_leads_out_is_not_copied(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {"a": 2, "b": 2})
    put(tmp_path / "private.png", "mine")
    (root / "a" / "9.png").symlink_to(tmp_path / "private.png")
    message = (
        f"{root / 'a' / '9.png'} leads out of {root} by a link, to {(tmp_path / 'private.png').resolve()}."
    )
    with fails(InvalidInput, message):
        subset.plan(root, ["a"])
    with fails(InvalidInput, message):
        split.plan(root, SHARES, 0)


def test_the_classes_of_a_folder_that_a_link_leads_to_are_not_renamed(tmp_path: Path) -> None:
    elsewhere = dataset(tmp_path / "elsewhere", {"A Photos": 1, "B Photos": 1})
    root = dataset(tmp_path / "set", {"val/A Photos": 1, "val/B Photos": 1})
    (root / "train").symlink_to(elsewhere)
    before = tree(tmp_path)
    with pytest.raises(InvalidInput, match="by a link"):
        rename.rename_classes(root, {})
    # Nor by a journal that came with the data.
    entry = '{"away": [], "home": [["train/A Photos", "train/stolen"]]}'
    put(root / journal.NAME, f'{{"going": {entry}, "back": false, "phase": "away", "done": []}}')
    with pytest.raises(InvalidInput, match="by a link"):
        rename.undo(root)
    assert tree(tmp_path) == before


@pytest.mark.timeout(20)
def test_a_tree_of_links_is_not_walked_for_ever(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {"a": 1, "b": 1})
    # 2 to the power of 40 paths, and circles.
    for number in range(40):
        for name in ("x", "y"):
            put(root / "a" / str(number) / "keep.txt")
            (root / "a" / str(number) / name).symlink_to(f"../{number + 1}")
    (root / "a" / "self").symlink_to(".")
    (root / "b" / "everything").symlink_to("/")
    folder = image_folder.scan(root)
    assert [str(image.path) for image in folder.images] == ["a/0.png", "b/0.png"]
    assert PurePosixPath("b/everything") in folder.passed_over


@pytest.mark.timeout(20)
def test_what_is_no_file_is_no_image_and_nobody_waits_for_it(tmp_path: Path) -> None:
    root = dataset(tmp_path / "set", {"a": 2, "b": 2})
    os.mkfifo(root / "a" / "pipe.png")
    (root / "b" / "pipe.png").symlink_to("../a/pipe.png")
    (root / "b" / "device.png").symlink_to("/dev/zero")
    folder = image_folder.scan(root)
    assert len(folder.images) == 4
    assert [path.name for path in folder.passed_over] == ["pipe.png", "device.png", "pipe.png"]
    assert len(split.plan(root, SHARES, 0).copies.files) == 4


# Archives


def zipped(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


def special(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.external_attr = mode << 16
    return entry


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("../out.png", b"x")], "has a file that would land outside of its folder"),
        ([("/out.png", b"x")], "has a file that would land outside of its folder"),
        ([("..\\out.png", b"x")], "has a file that would land outside of its folder"),
        ([(special("a/link.png", 0o120777), b"/etc/passwd")], "has a link in it"),
        ([(special("a/device.png", 0o060666), b"")], "has something that is no file in it"),
        ([("a/1.png", b"x"), ("a/1.PNG", b"y")], "has two files of one name"),
        ([("a/é.png", b"x"), ("a/e\u0301.png", b"y")], "has two files of one name"),
    ],
)
def test_a_hostile_zip_is_refused_and_nothing_of_it_stays(
    tmp_path: Path, entries: list[tuple[zipfile.ZipInfo | str, bytes]], message: str
) -> None:
    archive = zipped(tmp_path / "set.zip", *entries)
    with pytest.raises(InputError, match=message):
        unpack(archive, tmp_path / "cache")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [archive]


def test_a_zip_bomb_is_refused_by_what_it_would_unpack_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainkit.data.downloads._MOST_BYTES", 1 << 20)
    archive = zipped(tmp_path / "set.zip", ("a/1.png", bytes(2 << 20)))
    assert archive.stat().st_size < 10_000
    with pytest.raises(InputError, match=r"would unpack to 0\.0 GB in 1 files: too much"):
        unpack(archive, tmp_path / "cache")


def tarred(*entries: tuple[str, bytes, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, kind, content in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(content), "/etc/passwd"
            tar.addfile(entry, io.BytesIO(content))
    return io.BytesIO(packed.getvalue())


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("../out", tarfile.REGTYPE, b"x")], "has something in it that leads out of it: ../out"),
        ([("link", tarfile.SYMTYPE, b"")], "contains something that is not a file: link"),
        ([("hard", tarfile.LNKTYPE, b"")], "contains something that is not a file: hard"),
        ([("device", tarfile.BLKTYPE, b"")], "contains something that is not a file: device"),
        ([("pipe", tarfile.FIFOTYPE, b"")], "contains something that is not a file: pipe"),
        ([("a", tarfile.REGTYPE, b"x"), ("./a", tarfile.REGTYPE, b"y")], "has ./a twice"),
    ],
)
def test_a_hostile_backup_of_a_store_is_refused(
    tmp_path: Path, entries: list[tuple[str, bytes, bytes]], message: str
) -> None:
    with pytest.raises(ArchiveError, match=message):
        archive_reading.unpack(tarred(*entries), tmp_path / "store" / "incoming")
    assert not (tmp_path / "store" / "out").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 6 MB. Mounting takes root."""
    image, place = tmp_path / "disk.img", tmp_path / "disk"
    with image.open("wb") as file:
        file.truncate(8 << 20)
    place.mkdir()
    try:
        for command in (
            ["mkfs.ext4", "-q", "-m", "0", str(image)],
            ["mount", "-o", "loop", str(image), str(place)],
        ):
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail(f"TRAINER_REQUIRE_DOCKER=1, but a disk cannot be mounted: {error}")
        pytest.skip(f"a disk cannot be mounted: {error}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.root
def test_a_backup_that_unpacks_to_more_than_fits_is_refused_before_it_is_written(small_disk: Path) -> None:
    bomb = io.BytesIO(gzip.compress(tarred(("bomb", tarfile.REGTYPE, bytes(30 << 20))).getvalue()))
    assert len(bomb.getvalue()) < 100_000
    with pytest.raises(ArchiveError, match="unpacks to more than fits"):
        archive_reading.unpack(bomb, small_disk / "incoming")
    assert list((small_disk / "incoming").iterdir()) == []


# A full disk


def trainer(site: Path, *arguments: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "--workspace", site, *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


def fill(disk: Path, *, leave: int = 0) -> Path:
    """A file that takes all there is, but for so many bytes."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            file.truncate(max(0, file.tell() - leave))
            os.fsync(file.fileno())
    return ballast


@pytest.mark.root
def test_a_dataset_that_does_not_fit_is_continued_when_there_is_room(small_disk: Path) -> None:
    (small_disk / "trainer.yaml").touch()
    (small_disk / "data").mkdir()
    ballast = fill(small_disk, leave=200_000)
    make = ("data", "sample", "pictures", "--images", "50", "--size", "128")
    failed = trainer(small_disk, *make)
    assert failed.code == 2
    assert failed.err.splitlines()[-2:] == [
        f"Error: {small_disk / 'data' / 'pictures'} could not be made: No space left on device.",
        "Hint:  Fix the cause, then run the same command again: it continues from here.",
    ]
    assert not (small_disk / "data" / "pictures").exists()
    ballast.unlink()
    assert trainer(small_disk, *make).code == 0
    full = tree(small_disk / "data" / "pictures")
    assert len(full) == 200
    assert all(content.endswith(b"\xff\xd9") for content in full.values())  # whole JPEGs


@pytest.mark.root
def test_classes_are_renamed_wholly_or_not_at_all_on_a_full_disk(small_disk: Path) -> None:
    root = dataset(small_disk / "set", {"A Photos": 1, "B Photos": 1})
    before = tree(root)
    ballast = fill(small_disk)
    with fails(
        InvalidInput,
        f"{root / journal.NAME} cannot be written: No space left on device.",
        "Fix the cause, then run the command again. No image is lost.",
    ):
        rename.rename_classes(root, {})
    assert tree(root) == before
    ballast.unlink()
    rename.rename_classes(root, {})
    assert sorted(tree(root)) == ["A/0.png", "B/0.png"]


@pytest.mark.root
def test_a_secret_that_cannot_be_stored_leaves_the_file_as_it_was(small_disk: Path) -> None:
    put(small_disk / "trainer.yaml")
    site = settings.find(small_disk)
    secrets.store(site, {"API_KEY": "hunter2"})
    before = site.secrets_file.read_bytes()
    ballast = fill(small_disk)
    with fails(DiskFull, f"{site.secrets_file} cannot be written: No space left on device."):
        secrets.store(site, {"OTHER": "x" * 20_000})
    assert site.secrets_file.read_bytes() == before
    assert [path.name for path in site.state.iterdir()] == ["secrets.lock"]
    ballast.unlink()
    secrets.store(site, {"OTHER": "x" * 20_000})
    assert secrets.read(site).values == {"API_KEY": "hunter2", "OTHER": "x" * 20_000}


@pytest.fixture
def full_site(small_disk: Path, site: Site) -> Site:
    """A workspace on the small disk; it reports to the other workspace's server and shares its image."""
    there = Site(small_disk / "site", port=5745)
    (there.root / "trainer.yaml").write_text(f"disk_free_gb: 0\ntracking_uri: {site.entry}\n")
    (there.root / "train_code" / "loud").mkdir()
    (there.root / "train_code" / "loud" / "MLproject").write_text(
        "name: loud\ndocker_env: {image: trainer/sklearn}\n"
        "entry_points: {main: {command: \"python -c 'print(999999 * chr(120)); print(1)'\"}}\n"
    )
    return there


@pytest.mark.root
def test_a_full_workspace_starts_no_run(small_disk: Path, full_site: Site, site: Site) -> None:
    assert full_site.trainer("run", "loud").code == 0
    before = len(site.runs())
    ballast = fill(small_disk)
    done = full_site.trainer("run", "loud")
    assert done.code == 91, done.err
    assert done.err.splitlines()[-2].startswith("Error: The disk is full")
    assert len(site.runs()) == before
    ballast.unlink()
    assert full_site.trainer("run", "loud").code == 0


@pytest.mark.root
def test_a_run_that_ends_on_a_full_disk_is_ended_when_there_is_room(
    small_disk: Path, full_site: Site, site: Site, tmp_path: Path
) -> None:
    ballast = fill(small_disk, leave=400_000)
    done = full_site.trainer("run", "loud")
    assert done.code == 91, done.err
    assert done.err.splitlines()[-2].startswith("Error: The disk is full")
    (run,) = [run for run in site.runs() if run.info.status == "RUNNING"]
    assert full_site.leftovers() == [run.info.run_id]
    ballast.unlink()
    assert "FINISHED" in full_site.trainer("reconcile").out
    assert site.run(run.info.run_id).info.status == "FINISHED"
    assert site.log(run.info.run_id, tmp_path) == "x" * 999_999 + "\n1\n"
    assert full_site.leftovers() == []


# Killed


KILLING = """
import os, random, shutil, signal, sys, time
from pathlib import Path
from trainer.datasets.rename import classes
from unit.datasets.pictures import tree

template, place, times = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
# A circle of 24 classes: each takes the name of the next one.
after = {f"c{n}": f"c{(n + 1) % 24}" for n in range(24)}
before = tree(template)
wanted = {f"{after[name.split('/')[0]]}/{name.split('/')[1]}": content for name, content in before.items()}
random.seed(7)

def call():
    child = os.fork()
    if child == 0:
        try:
            classes.rename_classes(place, after)
            os._exit(0)
        finally:
            os._exit(1)
    return child

def files():
    # Also those under a temporary name, which is hidden.
    return {str(path.relative_to(place)): path.read_bytes() for path in place.rglob("*.png")}

seconds = []
for _ in range(5):
    shutil.copytree(template, place)
    start = time.perf_counter()
    assert os.waitpid(call(), 0)[1] == 0
    seconds.append(time.perf_counter() - start)
    assert tree(place) == wanted
    shutil.rmtree(place)
longest = sorted(seconds)[2]  # the first one imports, and on a busy machine any may be much longer
killed, moments, finished = 0, set(), 0
# A busy machine hits it in fewer places by as many kills.
while killed < times or (len(moments) <= 20 and killed < 5 * times):
    shutil.copytree(template, place)
    while True:
        child = call()
        time.sleep(random.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        now = files()
        assert sorted(now.values()) == sorted(before.values()), "a file is lost, doubled or cut"
        if not os.WIFSIGNALED(status):
            break
        killed += 1
        moments.add(tuple(sorted(now)))
    assert status == 0
    assert tree(place) == wanted, "the next call has neither finished nor undone"
    finished += 1
    shutil.rmtree(place)
print(killed, finished, len(moments))
"""


def test_300_random_kills_of_a_renaming_cost_no_file(tmp_path: Path) -> None:
    template = dataset(tmp_path / "template", {f"c{number}": 2 for number in range(24)})
    done = subprocess.run(
        [sys.executable, "-c", KILLING, template, tmp_path / "set", "300"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False, timeout=110,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    killed, finished, moments = map(int, done.stdout.split())
    assert killed >= 300
    assert finished >= 10
    assert moments > 20  # it was hit in the middle, at many places


def test_a_fetched_repository_of_a_command_that_was_killed_is_removed_by_the_next(
    tmp_path: Path,
) -> None:
    repository = tmp_path / "team"
    put(repository / "MLproject", "name: team\n")
    git(repository, "init", "--quiet")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "one")
    put(tmp_path / "site" / "trainer.yaml")
    site: Workspace = settings.find(tmp_path / "site")
    fetch = (
        "import os, sys; from pathlib import Path; "
        "from trainer.projects import sources; from trainer.workspace import settings; "
        "kept = sources.resolve(settings.find(Path(sys.argv[1])), sys.argv[2]); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", fetch, site.root, f"file://{repository}"], check=False)
    (left,) = site.state.glob("source-*")
    with_one_open = sources.resolve(site, f"file://{repository}")
    assert not left.exists()
    other = sources.resolve(site, f"file://{repository}")
    assert (with_one_open.folder / "MLproject").exists()  # in use, so it stays
    with_one_open.close()
    other.close()
    assert not list(site.state.glob("source-*"))
