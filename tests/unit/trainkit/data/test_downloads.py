import stat
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from trainkit.data import downloads
from trainkit.errors import InputError


@dataclass
class Site:
    """A web server: what it has by path, with the headers it gives, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    answers: list[int] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = site.files.get(self.path.split("?")[0])
            same = body is not None and any(
                self.headers[ask] == site.headers[says]
                for says, ask in (("ETag", "If-None-Match"), ("Last-Modified", "If-Modified-Since"))
                if says in site.headers
            )
            code = 404 if body is None else 304 if same else 200
            site.answers.append(code)
            self.send_response(code)
            for name, value in ({"Content-Length": str(len(body or b""))} | site.headers).items():
                self.send_header(name, value)
            self.end_headers()
            if code == 200 and body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    yield site
    server.shutdown()
    server.server_close()


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_name_is_looked_for_in_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINER_DATA_DIR", str(tmp_path))
    (tmp_path / "a.csv").write_text("a,b\n")
    assert downloads.find("a.csv", tmp_path / "cache") == tmp_path / "a.csv"
    with pytest.raises(InputError, match=r"There is no .*csv"):
        downloads.find("b.csv", tmp_path / "cache")


def test_a_file_is_downloaded_under_its_own_name(site: Site, tmp_path: Path) -> None:
    site.files["/data/a%20b.csv"] = b"1,2"
    path = downloads.find(f"{site.url}/data/a%20b.csv?token=1", tmp_path)
    assert (path.name, path.read_bytes()) == ("a b.csv", b"1,2")


@pytest.mark.parametrize("header", [{"ETag": '"v1"'}, {"Last-Modified": "Sat, 21 Nov 2026 10:00:00 GMT"}])
def test_what_has_not_changed_is_not_downloaded_again(
    site: Site, tmp_path: Path, header: dict[str, str]
) -> None:
    site.files["/a.csv"], site.headers = b"1", header
    first = downloads.download(f"{site.url}/a.csv", tmp_path)
    assert downloads.download(f"{site.url}/a.csv", tmp_path) == first
    assert site.answers == [200, 304]


def test_what_has_changed_is_downloaded_and_the_old_copy_stays_for_whoever_reads_it(
    site: Site, tmp_path: Path
) -> None:
    site.files["/a.csv"], site.headers = b"old", {"ETag": '"v1"'}
    old = downloads.download(f"{site.url}/a.csv", tmp_path)
    site.files["/a.csv"], site.headers = b"new", {"ETag": '"v2"'}
    assert downloads.download(f"{site.url}/a.csv", tmp_path).read_bytes() == b"new"
    assert old.read_bytes() == b"old"


def test_without_the_server_the_last_copy_is_used_with_a_warning(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    site.files["/a.csv"] = b"1"
    url = f"{site.url}/a.csv"
    first = downloads.download(url, tmp_path)

    def gone(*_: object, **__: object) -> None:
        raise requests.ConnectionError("refused")

    monkeypatch.setattr("requests.get", gone)
    assert downloads.download(url, tmp_path) == first
    assert capsys.readouterr().out.startswith(f"Warning: {url}: no answer; the copy of 20")
    with pytest.raises(InputError, match="cannot be downloaded: no answer"):
        downloads.download(f"{site.url}/other.csv", tmp_path)


def test_a_download_that_breaks_off_leaves_nothing(site: Site, tmp_path: Path) -> None:
    site.files["/a.csv"], site.headers = b"half", {"Content-Length": "8"}
    with pytest.raises(InputError, match="cannot be downloaded"):
        downloads.download(f"{site.url}/a.csv", tmp_path)
    assert everything(tmp_path) == []


def test_a_missing_file_and_a_web_page_are_refused(site: Site, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/a\.csv answers 404 Not Found"):
        downloads.download(f"{site.url}/a.csv", tmp_path)
    site.files["/a.csv"], site.headers = b"<html>", {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(InputError, match="is a web page"):
        downloads.download(f"{site.url}/a.csv", tmp_path)


@pytest.mark.parametrize("url", ["s3://bucket/a.csv", "file:///etc/passwd"])
def test_only_http_is_downloaded(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="cannot be downloaded"):
        downloads.find(url, tmp_path)


def test_an_error_does_not_show_the_password_in_an_address(site: Site, tmp_path: Path) -> None:
    url = site.url.replace("http://", "http://user:hunter2@")
    with pytest.raises(InputError) as caught:
        downloads.download(f"{url}/a.csv", tmp_path)
    assert "hunter2" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("files", "inside"),
    [
        ({"set/cat/1.png": b"", "set/dog/2.png": b""}, ["cat/1.png", "dog/2.png"]),
        ({"cat/1.png": b"", "dog/2.png": b"", "__MACOSX/cat/._1.png": b"", "cat/.DS_Store": b""},
         ["cat/1.png", "dog/2.png"]),
    ],
)  # fmt: skip
def test_a_zip_of_a_folder_is_that_folder(tmp_path: Path, files: dict[str, bytes], inside: list[str]) -> None:
    path = downloads.unpack(pack(tmp_path / "set.zip", files), tmp_path / "cache")
    assert path.name == "set"
    assert everything(path) == inside


def test_a_zip_of_one_file_is_that_file(tmp_path: Path) -> None:
    path = downloads.unpack(pack(tmp_path / "x.zip", {"deep/down/a.csv": b"1,2"}), tmp_path / "cache")
    assert (path.name, path.read_bytes()) == ("a.csv", b"1,2")


def test_a_zip_is_unpacked_once(tmp_path: Path) -> None:
    file = pack(tmp_path / "x.zip", {"a.csv": b"1"})
    path = downloads.unpack(file, tmp_path / "cache")
    path.write_text("kept")
    assert downloads.unpack(file, tmp_path / "cache").read_text() == "kept"


def test_a_zip_that_was_downloaded_is_unpacked(site: Site, tmp_path: Path) -> None:
    site.files["/get"] = pack(tmp_path / "x.zip", {"a.csv": b"1"}).read_bytes()
    assert downloads.find(f"{site.url}/get", tmp_path / "cache").name == "a.csv"


@pytest.mark.parametrize("name", ["../evil.csv", "a/../../evil.csv", "/tmp/evil.csv", "..\\evil.csv"])
def test_a_zip_that_leads_out_of_its_folder_is_refused_before_anything_is_written(
    tmp_path: Path, name: str
) -> None:
    file = pack(tmp_path / "x.zip", {"fine.csv": b"1", name: b"2"})
    with pytest.raises(InputError, match="outside of its folder"):
        downloads.unpack(file, tmp_path / "cache")
    assert everything(tmp_path) == ["x.zip"]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("a.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="has a link in it"):
        downloads.unpack(tmp_path / "x.zip", tmp_path / "cache")


def test_a_zip_that_is_too_large_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_MOST_BYTES", 99)
    with pytest.raises(InputError, match="too much"):
        downloads.unpack(pack(tmp_path / "x.zip", {"a": b"0" * 100}), tmp_path / "cache")
    assert everything(tmp_path) == ["x.zip"]


def test_a_damaged_zip_leaves_nothing(tmp_path: Path) -> None:
    file = pack(tmp_path / "x.zip", {"a.csv": b"first", "b.csv": b"second"})
    file.write_bytes(file.read_bytes().replace(b"second", b"wrecks", 1))
    with pytest.raises(InputError, match="cannot be unpacked: Bad CRC-32"):
        downloads.unpack(file, tmp_path / "cache")
    assert everything(tmp_path) == ["x.zip"]


def test_an_empty_zip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no files in it"):
        downloads.unpack(pack(tmp_path / "x.zip", {}), tmp_path / "cache")
