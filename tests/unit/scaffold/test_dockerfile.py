"""What is taken from a Dockerfile, and that the rest is named."""

import re
from pathlib import Path

import pytest
from trainer.errors import InvalidInput
from trainer.scaffold import dockerfile
from trainer.scaffold.image_contents import Contents

from unit.helpers import put


def read(folder: Path, *lines: str) -> Contents:
    return dockerfile.read(put(folder / "Dockerfile", "".join(f"{line}\n" for line in lines)))


def left_out(contents: Contents) -> list[tuple[int, str]]:
    return [(each.line, each.what) for each in contents.left_out]


def test_what_it_installs_is_taken(tmp_path: Path) -> None:
    put(tmp_path / "requirements.txt", "scipy==1.16.0\n")
    contents = read(
        tmp_path,
        "# syntax=docker/dockerfile:1",
        "ARG PYTHON=3.12",
        'FROM python:${PYTHON}-slim AS "base"'.replace('"', ""),
        "RUN set -eux; apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get install -y \\",
        "    # for videos",
        "    --no-install-recommends ffmpeg \\",
        "",
        "    libsndfile1=1.2-1 g++ && rm -rf /var/lib/apt/lists/* ~/.cache/pip",
        "COPY requirements.txt /tmp/",
        "run --mount=type=cache,target=/var/cache/pip pip install --no-cache-dir -r /tmp/requirements.txt",
        "RUN python3 -m pip install -U 'click>=8.1' tabulate",
        'RUN ["pip3", "install", "six==1.17.0"]',
    )
    assert contents.base_image == "python:3.12-slim"
    assert contents.apt == ("ffmpeg", "libsndfile1=1.2-1", "g++")
    assert contents.requirements == ("scipy==1.16.0", "click>=8.1", "tabulate", "six==1.17.0")
    assert contents.left_out == ()


def test_every_other_instruction_is_named_with_its_line_and_no_value(tmp_path: Path) -> None:
    contents = read(
        tmp_path,
        "FROM --platform=linux/amd64 debian:12",
        "LABEL a=secret",
        "ENV TOKEN=secret \\",
        "    MODE=secret",
        "ENV OLD secret",
        "ARG KEY=secret",
        "RUN curl -u me:secret https://x && apt-get install -y git",
        "RUN pip install click git+https://me:secret@x/y ./own torch==$SECRET six",
        "RUN pip install --index-url=https://me:secret@x/simple click",
        "RUN pip install click || true",
        "RUN PIP_INDEX_URL=secret pip install click",
        "RUN <<END",
        "pip install secret",
        "END",
        "ADD https://me:secret@x/y.tar /opt",
        "COPY . .",
        "WORKDIR /app",
        "USER me",
        "EXPOSE 80",
        'CMD ["python", "train.py"]',
    )
    assert (contents.base_image, contents.apt) == ("debian:12", ("git",))
    assert contents.requirements == ("click", "six")
    assert left_out(contents) == [
        (1, "--platform: the image is for the engine's own platform"),
        (2, "LABEL …"),
        (3, "ENV TOKEN, MODE: variables are set in docker_env.environment of an MLproject"),
        (5, "ENV OLD: variables are set in docker_env.environment of an MLproject"),
        (6, "ARG KEY"),
        (7, "RUN curl …"),
        (8, "RUN pip …: an address, ./own, torch are not packages of a registry"),
        (9, "RUN pip …: --index-url is not a package of a registry"),
        (10, "RUN pip …: || is not a package of a registry"),
        (11, "RUN …"),
        (12, "RUN << …"),
        (15, "ADD …: a run has the files of its project"),
        (16, "COPY . …: a run has the files of its project"),
        (17, "WORKDIR /app: a run works in the folder of its project"),
        (18, "USER me: a run has the user who starts it"),
        (19, "EXPOSE 80"),
        (20, 'CMD ["python", …: the MLproject says what is run'),
    ]


def test_of_several_stages_those_that_the_last_one_is_built_on(tmp_path: Path) -> None:
    contents = read(
        tmp_path,
        "FROM python:3.12 AS python",
        "RUN pip install click",
        "FROM node:22 AS page",
        "RUN apt-get install -y npm",
        "FROM python",
        "COPY --from=page /page /page",
        "RUN pip install six",
    )
    assert (contents.base_image, contents.requirements, contents.apt) == ("python:3.12", ("click", "six"), ())
    assert left_out(contents) == [
        (3, "FROM node:22 …: the last stage is not built on it"),
        (4, "RUN apt-get …: the last stage is not built on it"),
        (6, "COPY …: its files are of another image"),
    ]


@pytest.mark.parametrize(
    ("base", "why"),
    [
        ("python:3.9-slim", "an image has Python 3.11 or later"),
        ("python:3.10", "an image has Python 3.11 or later"),
        ("scratch", "an image has Python 3.11 or later"),
        ("python:$VERSION", "its name depends on how it is built"),
    ],
)
def test_a_base_that_cannot_be_one_is_named(tmp_path: Path, base: str, why: str) -> None:
    contents = read(tmp_path, f"FROM {base}", "RUN pip install click")
    assert (contents.base_image, contents.requirements) == (None, ("click",))
    assert left_out(contents) == [(1, f"FROM {base}: {why}")]


@pytest.mark.parametrize("base", ["python:3", "python:3.11", "python:3.13-slim", "ghcr.io/me/python:1"])
def test_a_base_that_can_be_one(tmp_path: Path, base: str) -> None:
    assert read(tmp_path, f"FROM {base}").base_image == base


def test_a_requirements_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        InvalidInput,
        match=re.escape(f"{tmp_path / 'Dockerfile'}, line 2: /tmp/lock.txt is not beside the Dockerfile."),
    ):
        read(tmp_path, "FROM debian:12", "RUN pip install -r /tmp/lock.txt")


@pytest.mark.parametrize("lines", [(), ("RUN pip install click",), ("FROM",)])
def test_a_file_that_is_no_dockerfile(tmp_path: Path, lines: tuple[str, ...]) -> None:
    with pytest.raises(
        InvalidInput, match=re.escape(f"{tmp_path / 'Dockerfile'} has no FROM: it is not a Dockerfile.")
    ):
        read(tmp_path, *lines)
