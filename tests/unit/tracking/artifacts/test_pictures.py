"""The pictures that runs have in common, and how much of them is downloaded."""

from __future__ import annotations

import json

import pytest
from trainer.tracking.artifacts import pictures
from trainer.tracking.artifacts.pictures import Limits
from trainer.tracking.client import Client, Run
from trainer.tracking.endpoint import Server

from unit.helpers import HttpServer, Reply
from unit.runs.helpers import API

STORED = "/api/2.0/mlflow-artifacts/artifacts"


class Runs:
    """Runs on one server, with artifacts."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.sources: list[tuple[Client, Run]] = []
        server.replies[f"{API}/artifacts/list"] = []

    def add(self, run_id: str, *, said: int | None = None, **files: bytes) -> None:
        """A run with these files, `_` in a name for `.`; `said` is what the server says of their sizes."""
        named = {name.replace("_", "."): content for name, content in files.items()}
        listed = [
            {"path": name, "is_dir": False, "file_size": len(content) if said is None else said}
            for name, content in named.items()
        ]
        self.server.replies[f"{API}/artifacts/list"].append(Reply(body=json.dumps({"files": listed})))
        for name, content in named.items():
            self.server.replies[f"{STORED}/7/{run_id}/{name}"] = [Reply(content=content)]
        run = Run(run_id, "7", run_id, "FINISHED", f"mlflow-artifacts:/7/{run_id}")
        self.sources.append((Client(Server(self.server.uri)), run))

    def downloaded(self) -> int:
        return sum(asked.path.startswith(STORED) for asked in self.server.asked)


@pytest.fixture
def runs(http_server: HttpServer) -> Runs:
    return Runs(http_server)


def test_pictures_that_several_runs_have_are_put_together(runs: Runs) -> None:
    runs.add("a", matrix_png=b"one", mine_png=b"-", notes_txt=b"-")
    runs.add("b", matrix_png=b"two", notes_txt=b"-", drawing_svg=b"<svg/>")
    runs.add("c", drawing_svg=b"<svg>")
    found = pictures.shared(runs.sources)
    assert [(picture.path, picture.by_run, picture.media_type) for picture in found.shown] == [
        ("drawing.svg", {"b": b"<svg/>", "c": b"<svg>"}, "image/svg+xml"),
        ("matrix.png", {"a": b"one", "b": b"two"}, "image/png"),
    ]
    assert found.left_out == ()


def test_a_picture_that_is_too_large_is_not_downloaded(runs: Runs) -> None:
    runs.add("a", large_png=b"x" * 11)
    runs.add("b", large_png=b"x" * 10)
    found = pictures.shared(runs.sources, Limits(bytes_each=10))
    assert [list(picture.by_run) for picture in found.shown] == [["b"]]
    [line] = found.left_out
    assert line.startswith("large.png of a: it has more than ")
    assert runs.downloaded() == 1


def test_a_size_that_is_not_true_is_found_out(runs: Runs) -> None:
    for run_id in ("a", "b"):
        runs.add(run_id, said=1, large_png=b"x" * 11)
    found = pictures.shared(runs.sources, Limits(bytes_each=10))
    assert (found.shown, len(found.left_out)) == ((), 2)


def test_all_together_are_bounded(runs: Runs) -> None:
    for run_id in ("a", "b", "c"):
        runs.add(run_id, one_png=b"x" * 4, two_png=b"x" * 4)
    found = pictures.shared(runs.sources, Limits(bytes_together=10))
    assert [list(picture.by_run) for picture in found.shown] == [["a", "b"]]
    assert len(found.left_out) == 4
    found = pictures.shared(runs.sources[:0], Limits())
    assert found.shown == ()


def test_no_more_pictures_than_a_page_can_show(runs: Runs) -> None:
    for run_id in ("a", "b"):
        runs.add(run_id, one_png=b"1", two_png=b"2", three_png=b"3")
    found = pictures.shared(runs.sources, Limits(paths=2))
    assert [picture.path for picture in found.shown] == ["one.png", "three.png"]
    assert found.left_out == ("two.png: it is after the first 2.",)


def test_a_run_whose_artifacts_are_away_hides_none_of_the_others(runs: Runs) -> None:
    runs.add("a", one_png=b"1")
    runs.add("b", one_png=b"2")
    runs.add("gone")
    runs.server.replies[f"{API}/artifacts/list"][2] = Reply(404, json.dumps({"message": "the store is away"}))
    found = pictures.shared(runs.sources)
    assert [list(picture.by_run) for picture in found.shown] == [["a", "b"]]
    [line] = found.left_out
    assert line.startswith("All of gone: ")
