import io
import json
import tarfile
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.runs import stored_code
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server

from unit.helpers import HttpServer, Reply, fails
from unit.runs.helpers import API, artifact, not_there, record

RUN = Run("r1", "7", "hen", "FINISHED", "mlflow-artifacts:/7/r1/artifacts")


def archive(*entries: tuple[str, bytes, str]) -> io.BytesIO:
    """Entries are a name, and a content or where a link leads."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content, link in entries:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            if link:
                entry.type, entry.linkname = tarfile.SYMTYPE, link
            tar.addfile(entry, io.BytesIO(content))
    packed.seek(0)
    return packed


def test_no_link_is_followed_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    secret = tmp_path / "secret"
    secret.write_text("canary")
    packed = archive(
        ("code/train.py", b"x\n", ""), ("code/link", b"", str(secret)), ("../../outside", b"o\n", "")
    )
    assert stored_code.unpack(packed, RUN) == {
        "train.py": b"x\n",
        "link": f"link to {secret}\n".encode(),
        "../../outside": b"o\n",
    }
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["secret"]


def test_a_damaged_archive_and_one_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = archive(("code/a", b"a" * 5000, "")).getvalue()
    for damaged in (whole[: len(whole) // 2], b"no archive", b"\x1f\x8b" + b"\0" * 40):
        with fails(InvalidInput, "The stored code of the run hen cannot be read."):
            stored_code.unpack(io.BytesIO(damaged), RUN)
    monkeypatch.setattr(stored_code, "_LARGEST", 1 << 20)
    with fails(InvalidInput, "The stored code of the run hen is larger than 1 MiB."):
        stored_code.unpack(archive(("code/a", b"\0" * (1 << 21), "")), RUN)


def test_the_difference_of_changed_new_gone_and_binary_files() -> None:
    old = {"same": b"s", "train.py": b"a\nb\n", "gone.py": b"g\n", "w.bin": b"\0\1"}
    new = {"same": b"s", "train.py": b"a\nc\n", "new.py": b"n\n", "w.bin": b"\0\2"}
    assert list(stored_code.difference(old, new)) == [
        *("--- a/gone.py", "+++ /dev/null", "@@ -1 +0,0 @@", "-g"),
        *("--- /dev/null", "+++ b/new.py", "@@ -0,0 +1 @@", "+n"),
        *("--- a/train.py", "+++ b/train.py", "@@ -1,2 +1,2 @@", " a", "-b", "+c"),
        "Binary file w.bin differs",
    ]
    assert list(stored_code.difference(old, old)) == []


def test_a_run_without_stored_code_is_reported(http_server: HttpServer) -> None:
    http_server.replies[artifact(record(http_server, run_id="r1"), "trainer/source.tar.gz")] = [not_there()]
    with fails(InvalidInput, "The run hen has no stored code.", "Only `trainer run` stores it."):
        stored_code.fetch(Client(Server(http_server.uri)), RUN)
    assert f"{API}/runs" not in json.dumps([asked.path for asked in http_server.asked])


def test_what_is_stored_is_read(http_server: HttpServer) -> None:
    path = artifact(record(http_server, run_id="r1"), "trainer/source.tar.gz")
    http_server.replies[path] = [Reply(content=archive(("code/train.py", b"x\n", "")).getvalue())]
    assert stored_code.fetch(Client(Server(http_server.uri)), RUN) == {"train.py": b"x\n"}
