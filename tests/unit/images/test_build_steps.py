"""The steps of a build, in words and numbers."""

from trainer.images.build_steps import BuildSteps

LAYER = "RUN --mount=type=bind,source=layer.sh,target=/mnt/layer.sh     --mount=type=bind,from=uv,source=/uv"
BUILD = [
    ('#0 building with "default" instance using docker driver', None),
    ("", None),
    ("#1 [internal] load build definition from Dockerfile", "reading the files"),
    ("#1 transferring dockerfile: 4.91kB done", None),
    ("#1 DONE 0.0s", None),
    ("#2 [internal] load metadata for docker.io/trainer/sklearn:3cb6", "looking for the base image"),
    ("#2 DONE 0.0s", None),
    ("#6 [uv 2/3] COPY uv.txt /uv.txt", "COPY uv.txt /uv.txt"),
    ("#6 DONE 0.1s", None),
    ("#9 [uv 3/3] RUN python3 -m venv /uv  && /uv/bin/pip install -r /uv.txt", "fetching uv"),
    ("#9 ...", None),
    ("#10 [stage-2  2/12] RUN apt-get update", "2/12 installing the Debian packages"),
    ("#10 0.312 Get:1 http://debian bookworm InRelease", None),
    ("#10 DONE 1.1s", "2/12 fetching uv"),
    ("#9 DONE 3.8s", None),
    (f"#12 [stage-2  4/12] {LAYER} source=/first.txt uv pip install", "4/12 installing the large packages"),
    ("#12 CACHED", None),
    (f"#13 [stage-2  5/12] {LAYER}     sh own.sh", "5/12 RUN sh own.sh"),
    ("#13 ERROR: process did not complete", None),
    ("#16 exporting to image", "5/12 storing the image"),
    ("#16 exporting layers 0.0s done", None),
]


def test_each_line_of_a_build_says_what_is_at_work() -> None:
    at = BuildSteps()
    for line, part in BUILD:
        assert at.feed(line) == part, line


def test_a_build_of_one_stage_and_a_long_instruction() -> None:
    assert BuildSteps().feed(f"#5 [2/3] RUN echo {'x' * 90}") == f"2/3 RUN echo {'x' * 34}…"


def test_an_instruction_cannot_steer_the_terminal() -> None:
    assert BuildSteps().feed("#5 [2/3] RUN \x1b[2J") == r"2/3 RUN \x1b[2J"
