"""Which step a build is at, in words, from what BuildKit prints of it."""

from __future__ import annotations

import re

from trainer import printable

_LONGEST = 44
# `#12 [stage-2 4/7] RUN …`, or `#12 [4/7] RUN …` of one stage alone; `#12 [uv 2/3] RUN …` of one with a name.
_STEP = re.compile(r"#(?P<id>\d+) \[(?:(?P<stage>\S+) )? *(?P<number>\d+)/(?P<total>\d+)\] (?P<text>.*)")
_OTHER = re.compile(r"#(?P<id>\d+) (?P<text>\[(?:internal|auth)\] .*|exporting to .*)")
_ENDED = re.compile(r"#(?P<id>\d+) (?:DONE|CACHED|CANCELED|ERROR)")
_MOUNTS = re.compile(r"--(?:mount|network|security|from|chown|chmod|link)\S*\s+")
# What our own Dockerfiles do, and what BuildKit does by itself; the first that fits.
_WORDS = (
    (r"FROM ", "fetching the base image"),
    (r"python3 -m venv /uv\b", "fetching uv"),
    (r"apt-get ", "installing the Debian packages"),
    (r"useradd ", "making the user"),
    (r"> /first\.txt", "reading the lock"),
    (r"source=/first\.txt", "installing the large packages"),
    (r"requirements\.txt|trainer-dependencies\.txt", "installing the packages"),
    (r"micromamba", "installing the packages of conda"),
    (r"uv venv ", "making the environment"),
    (r"/trainkit\b", "installing trainkit"),
    (r"exporting ", "storing the image"),
    (r"\[internal\] load metadata|\[auth\]", "looking for the base image"),
    (r"\[internal\] ", "reading the files"),
)


class BuildSteps:
    """Follows the lines of `docker buildx build --progress=plain`.

    Stages are built side by side. The numbers are of the one that becomes the image, which has no name.
    """

    def __init__(self) -> None:
        self._number = self._total = 0
        self._at_work: dict[str, str] = {}

    def feed(self, line: str) -> str | None:
        """The step at work from this line on, as `4/7 installing the packages`; None if it says nothing."""
        if ended := _ENDED.match(line):
            self._at_work.pop(ended["id"], None)
        elif step := _STEP.match(line):
            self._at_work[step["id"]] = _words(step["text"])
            if (step["stage"] or "stage-").startswith("stage-"):
                self._number, self._total = max(self._number, int(step["number"])), int(step["total"])
        elif other := _OTHER.match(line):
            self._at_work[other["id"]] = _words(other["text"])
        else:
            return None
        if not self._at_work:
            return None
        latest = next(reversed(self._at_work.values()))
        return f"{self._number}/{self._total} {latest}" if self._total else latest


def _words(text: str) -> str:
    for pattern, words in _WORDS:
        if re.search(pattern, text):
            return words
    own = printable.line(" ".join(_MOUNTS.sub("", text).split()))
    return own if len(own) <= _LONGEST else f"{own[: _LONGEST - 1]}…"
