"""What a run leaves in its spool leads nowhere on the machine that delivers it."""

import json
import os
import zlib
from pathlib import Path

import pytest
from trainer.errors import FileError, InvalidInput
from trainer.tracking import delivery, spool_guard
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server
from trainer.tracking.failures import NotThere
from trainer.workspace.run_folder import RunFolder
from trainkit.spool.journal import Record, Spool
from trainkit.spool.names import OFFLINE_TAG
from trainkit.spool.responses import LOG_BATCH

from unit.helpers import HttpServer, Reply

ID = "0" * 32
URI = f"mlflow-artifacts:/1/{ID}/artifacts"
RUN = {
    "info": {"run_id": ID, "run_name": "x", "experiment_id": "1", "status": "RUNNING", "artifact_uri": URI},
    "data": {"tags": [], "params": []},
    "experiment": {"experiment_id": "1", "name": "e"},
}
SECRET = "canary-of-the-host"
API = "/api/2.0/mlflow"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's files, one of them secret."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text(SECRET)
    return home


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    spool = Spool(tmp_path / "runs" / ID / "spool")
    spool.create(RUN)
    return spool


def deliver(http_server: HttpServer, spool: Spool) -> None:
    http_server.replies["*"] = [Reply()]
    before = len(http_server.asked)
    try:
        delivery.deliver(Client(Server(http_server.uri)), RunFolder(spool.folder.parent))
    finally:
        if http_server.asked[before:] and "/runs/get?" in http_server.asked[before].path:
            del http_server.asked[before]  # whether the server has the run


def file_record(place: str, uri: str = URI, path: str = "") -> Record:
    return {"file": place, "uri": uri, "path": path}


def refused(spool: Spool) -> list[Record]:
    file = spool.folder / "refused"
    return [json.loads(line)["record"] for line in file.read_text().splitlines()] if file.exists() else []


def outbox(spool: Spool) -> Path:
    path = spool.folder / "outbox" / ("a" * 32)
    path.mkdir(parents=True)
    return path


def test_a_link_in_the_outbox_is_not_sent(http_server: HttpServer, spool: Spool, home: Path) -> None:
    (outbox(spool) / "x").symlink_to(home / "secret")
    spool.append(file_record(f"outbox/{'a' * 32}/x"))
    deliver(http_server, spool)
    assert not any(SECRET in str(asked) for asked in http_server.asked)
    assert (home / "secret").read_text() == SECRET
    assert len(refused(spool)) == delivery.pending(RunFolder(spool.folder.parent)).refused == 1


@pytest.mark.parametrize("known", [{}, {"known": 1}])
@pytest.mark.parametrize(
    "place",
    [
        "../../../home/secret",
        "{home}/secret",
        "outbox/../../../../home/secret",
        "outbox/{a}/../x",
        "run.json",
    ],
)
def test_a_file_elsewhere_is_neither_sent_nor_removed(
    http_server: HttpServer, spool: Spool, home: Path, place: str, known: Record
) -> None:
    outbox(spool)
    named = place.format(home=home, a="a" * 32)
    spool.append({**file_record(named), **known})
    deliver(http_server, spool)
    deliver(http_server, spool)
    assert not any(SECRET in str(asked) for asked in http_server.asked)
    assert (home / "secret").read_text() == SECRET
    assert (spool.folder / "run.json").exists()
    assert [record["file"] for record in refused(spool)] == [named]


def test_names_that_the_run_made_up_lead_nowhere_either(
    http_server: HttpServer, spool: Spool, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "good").write_text("good")
    kept = spool.keep(tmp_path / "good", "good")
    spool.append(file_record(kept))
    spool.name({kept: "../../../home/secret", URI: home.as_uri()})
    deliver(http_server, spool)
    assert not any(SECRET in str(asked) for asked in http_server.asked)
    assert [path.name for path in home.iterdir()] == ["secret"]


@pytest.mark.parametrize(
    "uri", ["{home}", "file://{home}", "s3://somebody/x", "mlflow-artifacts://127.0.0.1:1/x"]
)
def test_a_file_is_not_stored_where_a_run_says(
    http_server: HttpServer, spool: Spool, home: Path, tmp_path: Path, uri: str
) -> None:
    (tmp_path / "planted").write_text("planted")
    http_server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": RUN}))] * 3
    spool.append(file_record(spool.keep(tmp_path / "planted", "planted"), uri.format(home=home)))
    deliver(http_server, spool)
    assert [path.name for path in home.iterdir()] == ["secret"]
    assert len(refused(spool)) == 1


def test_a_file_is_stored_where_the_server_has_the_run(
    http_server: HttpServer, spool: Spool, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    run = {**RUN, "info": {**RUN["info"], "artifact_uri": f"{root}/1/{ID}/artifacts"}}  # type: ignore[dict-item]
    http_server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": run}))]
    http_server.replies[f"{API}/artifacts/list"] = [Reply(body="{}")]
    (tmp_path / "f").write_text("content")
    spool.append(file_record(spool.keep(tmp_path / "f", "f"), f"{root}/1/{ID}/artifacts"))
    with pytest.raises(delivery.DeliveryPending, match="does not see what was put into"):
        deliver(http_server, spool)
    http_server.replies[f"{API}/artifacts/list"] = [Reply(body='{"files": [{"path": "f"}]}')]
    deliver(http_server, spool)
    assert (root / "1" / ID / "artifacts" / "f").read_text() == "content"


@pytest.mark.parametrize(
    ("has_own", "tags", "is_stored"),
    [
        (True, {}, False),
        (True, {OFFLINE_TAG: ID}, False),
        (False, {}, False),
        (False, {OFFLINE_TAG: ID}, True),
    ],
)
def test_a_file_goes_to_another_run_only_if_the_server_says_that_it_is_this_one(
    http_server: HttpServer, spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    has_own: bool, tags: dict[str, str], is_stored: bool,
) -> None:  # fmt: skip
    other, place = "1" * 32, tmp_path / "store" / "2" / ("1" * 32) / "artifacts"
    runs = {other: Run(other, "2", "other", "RUNNING", str(place), tags=tags)}
    if has_own:
        runs[ID] = Run(ID, "1", "x", "RUNNING", str(tmp_path / "store" / "1" / ID / "artifacts"))

    def get_run(_: Client, run_id: str) -> Run:
        if run_id not in runs:
            raise NotThere("It is not there.", "")
        return runs[run_id]

    monkeypatch.setattr(Client, "get_run", get_run)
    said = run_answer(other, *({"key": key, "value": value} for key, value in tags.items()))
    http_server.replies[f"{API}/runs/get"] = [said]
    http_server.replies[f"{API}/artifacts/list"] = [Reply(body='{"files": [{"path": "f"}]}')]
    (tmp_path / "f").write_text("content")
    spool.append(file_record(spool.keep(tmp_path / "f", "f"), str(place)))
    spool.name({ID: other})  # as the run's own script can
    deliver(http_server, spool)
    assert ((place / "f").exists(), len(refused(spool))) == (is_stored, 0 if is_stored else 1)


WAYS_OUT = [
    ("../x", ""), ("%2e%2e/x", ""), ("%252E%252e/x", ""), ("x/%2e./%2E./%2e%2e/y", ""), ("%2e%2e%2fx", ""),
    ("x\\..\\y", ""), ("x%5c..%5cy", ""), ("x?y", ""), ("x%3fy", ""), ("x#y", ""), ("x%23y", ""),
    ("x\ny", ""),
    ("x%0ay", ""), ("x%00", ""), ("x", "../../y"), ("x", "%2e%2e/%2e%2e/y"), ("x", "/y"), ("x", "%2fy"),
    ("x", "y#z"), ("x", "y%00"),
]  # fmt: skip


@pytest.mark.parametrize(("said", "folder"), WAYS_OUT)
@pytest.mark.parametrize("scheme", ["", "file://", "s3://bucket", "mlflow-artifacts:"])
def test_no_way_to_write_it_leads_out_of_the_servers_own_place(
    tmp_path: Path, scheme: str, said: str, folder: str
) -> None:
    root = f"{scheme}{tmp_path}/store"
    assert not spool_guard.is_below(root, f"{root}/{said}", folder)


@pytest.mark.parametrize(("said", "folder"), [("link", ""), ("link", "y"), ("x", "link"), ("l%69nk/y", "")])
def test_a_link_in_the_servers_own_place_is_no_way_out(tmp_path: Path, said: str, folder: str) -> None:
    store = tmp_path / "store"
    (store / "x").mkdir(parents=True)
    for place in (store, store / "x"):
        (place / "link").symlink_to(tmp_path)
    for root in (str(store), store.as_uri()):
        assert not spool_guard.is_below(root, f"{root}/{said}", folder)
    (tmp_path / "short").symlink_to(store)
    assert spool_guard.is_below(str(tmp_path / "short"), f"{tmp_path}/short/x", "y")


@pytest.mark.parametrize("scheme", ["", "file://", "s3://bucket", "mlflow-artifacts:"])
def test_names_with_dots_spaces_and_percent_signs_are_no_way_out(tmp_path: Path, scheme: str) -> None:
    root = f"{scheme}{tmp_path}/store" + ("" if scheme == "mlflow-artifacts:" else " #1?")
    for said, folder in (("x", ""), ("1/..x/artifacts", "a..b/c"), ("x%20y", "ä b"), ("100%", "50% off")):
        assert spool_guard.is_below(root, f"{root}/{said}", folder)
    if scheme != "mlflow-artifacts:":
        assert not spool_guard.is_below(root, f"{root}2/x", "")


@pytest.mark.parametrize("way", ["%2e%2e/%2e%2e/dotssh", "%252e%252e/dotssh"])
def test_a_file_is_not_stored_beside_the_servers_own_place(
    http_server: HttpServer, spool: Spool, home: Path, tmp_path: Path, way: str
) -> None:
    root = (home / "server" / "store").as_uri()
    run = {**RUN, "info": {**RUN["info"], "artifact_uri": f"{root}/{ID}/artifacts"}}  # type: ignore[dict-item]
    http_server.replies[f"{API}/runs/get"] = [Reply(body=json.dumps({"run": run}))] * 3
    (tmp_path / "planted").write_text("planted")
    spool.append(file_record(spool.keep(tmp_path / "planted", "planted"), f"{root}/{way}"))
    deliver(http_server, spool)
    assert [path.name for path in home.rglob("*")] == ["secret"]
    assert len(refused(spool)) == 1


def test_a_request_goes_to_no_other_host(http_server: HttpServer, spool: Spool) -> None:
    spool.append({"method": "POST", "path": f"@127.0.0.1:{http_server.port}/stolen", "body": {}})
    deliver(http_server, spool)
    # That something was refused.
    assert [asked.path for asked in http_server.asked] == [f"{API}/runs/set-tag"]
    assert len(refused(spool)) == 1


def test_what_delivery_writes_goes_through_no_link(http_server: HttpServer, spool: Spool, home: Path) -> None:
    for name in ("refused", "delivered", "marked", "sending.lock", "names.json"):
        (spool.folder / name).symlink_to(home / name)
    (spool.folder / "outbox").symlink_to(home)
    os.mkfifo(spool.folder / "pipe")
    spool.append({"method": "POST", "path": "@x/y", "body": {}})
    deliver(http_server, spool)
    assert [path.name for path in home.iterdir()] == ["secret"]
    assert not any(path.is_symlink() for path in spool.folder.rglob("*"))


LINKED = f"outbox/{'a' * 32}/id"


@pytest.fixture
def linked(spool: Spool, home: Path) -> Spool:
    """A spool with a file of the user's in a folder of the outbox that is a link."""
    (home / "id").write_text(SECRET)
    (spool.folder / "outbox").mkdir()
    (spool.folder / "outbox" / ("a" * 32)).symlink_to(home)
    spool.append(file_record(LINKED))
    return spool


@pytest.mark.parametrize("mode", [0o300, 0o100, 0])
@pytest.mark.parametrize("closed", ["outbox", "."])
def test_a_folder_that_cannot_be_listed_is_cleaned_like_any(
    http_server: HttpServer, linked: Spool, home: Path, closed: str, mode: int
) -> None:
    (linked.folder / "outbox" / ("b" * 32)).mkdir(mode=0)
    (linked.folder / closed).chmod(mode)
    deliver(http_server, linked)
    assert not any(SECRET in str(asked) for asked in http_server.asked)
    assert (home / "id").read_text() == SECRET
    assert [record["file"] for record in refused(linked)] == [LINKED]


def test_a_file_below_a_linked_folder_is_not_the_spools(linked: Spool, home: Path) -> None:
    guarded = spool_guard.GuardedSpool(linked.folder)
    assert not guarded.is_own(linked.folder / LINKED)
    with pytest.raises(NotADirectoryError), guarded.opened(linked.folder / LINKED):
        pass
    (linked.folder / "outbox").rename(home / "moved")
    (home / "moved" / ("a" * 32)).unlink()
    (home / "moved" / ("a" * 32)).mkdir()
    (home / "moved" / ("a" * 32) / "id").write_text(SECRET)
    (linked.folder / "outbox").symlink_to(home / "moved")
    assert not guarded.is_own(linked.folder / LINKED)


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_the_journal_that_the_host_writes_to_is_the_spools_own_file(
    http_server: HttpServer, spool: Spool, home: Path, kind: str
) -> None:
    journal = spool.journal
    if kind == "link":
        journal.symlink_to(home / "secret")
    elif kind == "pipe":
        os.mkfifo(journal)
    else:
        journal.mkdir()
    spool.folder.chmod(0o300)
    spool_guard.clean(RunFolder(spool.folder.parent))
    spool.append({"method": "POST", "path": f"{API}/runs/update", "body": {"run_id": ID}})
    deliver(http_server, spool)
    assert [asked.path for asked in http_server.asked] == [f"{API}/runs/update"]
    assert [path.read_text() for path in home.iterdir()] == [SECRET]


def test_a_file_that_the_run_made_unreadable_is_delivered(
    http_server: HttpServer, spool: Spool, tmp_path: Path
) -> None:
    (tmp_path / "f").write_text("content")
    kept = spool.keep(tmp_path / "f", "f")
    spool.append(file_record(kept))
    for path in (spool.journal, spool.folder / kept, spool.folder / "run.json"):
        path.chmod(0)
    deliver(http_server, spool)
    assert [asked.body for asked in http_server.asked] == [b"content"]
    assert delivery.pending(RunFolder(spool.folder.parent)).refused == 0


def test_folders_that_no_spool_has_are_removed_however_deep(spool: Spool) -> None:
    at = os.open(spool.folder, os.O_RDONLY)
    for _ in range(1100):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=inner))
        os.chmod("d", 0o300, dir_fd=at)
        os.close(at)
        at = inner
    os.close(at)
    spool_guard.clean(RunFolder(spool.folder.parent))
    assert [path.name for path in spool.folder.iterdir()] == ["run.json"]


def test_nothing_is_delivered_from_a_spool_that_cannot_be_cleaned(
    http_server: HttpServer, linked: Spool, home: Path
) -> None:
    linked.folder.rename(home / "spool")
    linked.folder.symlink_to(home / "spool")
    with pytest.raises(FileError, match="Nothing is delivered"):
        deliver(http_server, linked)
    assert http_server.asked == []
    assert (home / "id").read_text() == SECRET


ODD: list[Record] = [
    {},
    {"method": "POST"},
    {"method": "GET", "path": "/x", "body": {}},
    {"method": "POST", "path": 1},
    {"method": "POST", "path": LOG_BATCH},
    {"method": "POST", "path": LOG_BATCH, "body": []},
    {"method": "POST", "path": LOG_BATCH, "body": {"run_id": ID, "metrics": 3}},
    {"method": "POST", "path": LOG_BATCH, "body": {"run_id": ID, "metrics": [{}]}},
    {"method": "POST", "path": LOG_BATCH, "body": {"run_id": ID, "metrics": [{"key": "a", "value": "x"}]}},
    {"method": "POST", "path": LOG_BATCH, "body": {"run_id": ID, "tags": [{"key": ["a"], "value": "x"}]}},
    {"method": "POST", "path": f"{API}/runs/outputs", "body": {"run_id": ID}},
    {"method": "POST", "path": f"{API}/runs/log-model", "body": {"run_id": ID, "model_json": "["}},
    {"method": "POST", "path": f"{API}/runs/delete-tag", "body": {"run_id": ID}},
    {"method": "POST", "path": f"{API}/runs/update", "body": {"run_id": ID, "status": {"a": 1}}},
    {"file": 1, "uri": URI, "path": ""},
    {"file": f"outbox/{'a' * 32}/x"},
    {"file": f"outbox/{'a' * 32}/x", "uri": URI, "path": "\ud800"},
    {"create": "run", "local": "", "uri": URI, "body": {"experiment_id": "1", "start_time": 1}},
    {"create": "model", "local": "f" * 32},
    {"create": "weather", "local": "f" * 32, "body": {}},
    {"known": "run"},
    {"known": "run", "run": {"info": {"run_id": "x"}, "data": {"tags": [1]}}},
]
UPDATE: Record = {
    "method": "POST",
    "path": f"{API}/runs/update",
    "body": {"run_id": ID, "status": "FINISHED"},
}


@pytest.mark.parametrize("record", ODD, ids=str)
def test_what_is_no_record_of_a_run_is_set_aside_and_the_others_are_delivered(
    http_server: HttpServer, spool: Spool, record: Record
) -> None:
    (outbox(spool) / "x").touch()
    spool.append(record)
    spool.append(UPDATE)
    assert delivery.pending(RunFolder(spool.folder.parent)).others == 1
    assert delivery.known_run(Server("http://x"), RunFolder(spool.folder.parent)).status == "FINISHED"
    deliver(http_server, spool)
    assert [asked.path for asked in http_server.asked] == [UPDATE["path"]]
    assert refused(spool) == [record]
    assert not delivery.pending(RunFolder(spool.folder.parent))


@pytest.mark.parametrize("text", ["[1]", "1", "[" * 100_000])
def test_a_line_that_is_no_object_reads_as_torn(http_server: HttpServer, spool: Spool, text: str) -> None:
    line = text.encode()
    spool.journal.write_bytes(b"%08x %s\n" % (zlib.crc32(line), line))
    spool.append(UPDATE)
    deliver(http_server, spool)
    assert [asked.path for asked in http_server.asked] == [UPDATE["path"]]


def test_names_that_nobody_made_up_are_not_used(spool: Spool) -> None:
    good = {"f" * 32: "3", f"mlflow-artifacts:/offline/m-{'f' * 32}/artifacts": "mlflow-artifacts:/3"}
    good[f"models:/m-{'f' * 32}"] = "runs:/3/model"
    spool.name({**good, "": "x" * 1000, "e": "eee", "models:/": "x"})
    assert spool_guard.SoundSpool(spool.folder).names() == good
    spool.folder.joinpath("names.json").write_text("[1]")
    assert spool_guard.SoundSpool(spool.folder).names() == {}


def test_a_description_of_a_model_may_be_of_any_size_and_kind(
    http_server: HttpServer, spool: Spool, tmp_path: Path
) -> None:
    spool.name({"f" * 32: "m-1"})
    (tmp_path / "MLmodel").write_bytes(b"model_id: " + b"f" * 32 + b"\xff")
    spool.append(file_record(spool.keep(tmp_path / "MLmodel", "MLmodel")))
    large = spool.keep(tmp_path / "MLmodel", "MLmodel")
    os.truncate(spool.folder / large, 1 << 25)
    spool.append(file_record(large))
    deliver(http_server, spool)
    first, second = (asked.body for asked in http_server.asked)
    assert first == b"model_id: m-1\xff"
    assert len(second) == 1 << 25


@pytest.mark.parametrize("name", ["journal", "run.json", "names.json", "delivered"])
def test_a_hole_as_large_as_a_disk_is_not_read(http_server: HttpServer, spool: Spool, name: str) -> None:
    with (spool.folder / name).open("a") as file:
        file.truncate(1 << 42)
    assert not delivery.pending(RunFolder(spool.folder.parent))
    spool.append(UPDATE)
    spool_guard.clean(RunFolder(spool.folder.parent))
    if name == "run.json":
        with pytest.raises(InvalidInput, match="cannot be read"):
            delivery.known_run(Server("http://x"), RunFolder(spool.folder.parent))
        return
    deliver(http_server, spool)
    assert [asked.path for asked in http_server.asked] == [UPDATE["path"]]


OTHER = "7" * 32


def run_answer(run_id: str, *tags: dict[str, str]) -> Reply:
    info = {**RUN["info"], "run_id": run_id, "artifact_uri": f"mlflow-artifacts:/1/{run_id}/artifacts"}  # type: ignore[dict-item]
    return Reply(body=json.dumps({"run": {"info": info, "data": {"tags": tags}}}))


def test_an_offline_run_that_names_another_run_as_its_own_goes_to_its_own(
    http_server: HttpServer, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / ID
    delivery.SpoolWriter(RunFolder(folder)).begin_offline("e", "x", {})
    spool = Spool(folder / "spool")
    local = json.loads((folder / "spool" / "run.json").read_text())["info"]["run_id"]
    experiment, created = (record for record in spool.pending())
    tag = {"key": "shape", "value": "round"}
    spool.append({"method": "POST", "path": LOG_BATCH, "body": {"run_id": local, "tags": [tag]}})
    # What a script may write there: another run as its own, and that all before is delivered.
    spool.name({
        local: OTHER, str(created["uri"]): f"mlflow-artifacts:/1/{OTHER}/artifacts",
        str(experiment["local"]): "1",
    })  # fmt: skip
    spool.acknowledge(list(spool.entries())[1].end)
    http_server.replies = {
        f"{API}/runs/get": [run_answer(OTHER), run_answer("3" * 32)],
        f"{API}/experiments/get-by-name": [Reply(body='{"experiment": {"experiment_id": "1"}}')],
        f"{API}/runs/create": [run_answer("3" * 32)],
    }
    deliver(http_server, spool)
    changed = [asked.body.decode() for asked in http_server.asked if asked.method == "POST"]
    assert changed
    assert not [body for body in changed if OTHER in body]
    assert [json.loads(body)["run_id"] for body in changed if "round" in body] == ["3" * 32]


@pytest.mark.parametrize("names", [{ID: OTHER}, {URI: f"mlflow-artifacts:/1/{OTHER}/artifacts"}])
def test_a_run_that_the_server_made_has_no_other_name(
    http_server: HttpServer, spool: Spool, names: dict[str, str]
) -> None:
    tag = {"key": "shape", "value": "round"}
    spool.append({"method": "POST", "path": LOG_BATCH, "body": {"run_id": ID, "tags": [tag]}})
    spool.name(names)
    deliver(http_server, spool)
    assert not [asked for asked in http_server.asked if OTHER in f"{asked.path} {asked.body!r}"]


def test_what_names_the_run_is_what_its_launcher_wrote(http_server: HttpServer, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / ID
    delivery.SpoolWriter(RunFolder(folder)).begin(Run(ID, "1", "x", "RUNNING", URI), "e", {}, {})
    spool = Spool(folder / "spool")
    forged = (spool.folder / "run.json").read_text().replace(ID, OTHER)
    (spool.folder / "run.json").write_text(forged)
    spool_guard.clean(RunFolder(spool.folder.parent))
    assert delivery.known_run(Server(http_server.uri), RunFolder(folder)).id == ID
