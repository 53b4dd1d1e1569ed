"""Building and releasing on Heroku: started at most once for the same files, followed to its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from trainer.deploy.heroku_api import Api, Build, Release, Source
from trainer.deploy.plan import Plan, Request
from trainer.errors import DeployError
from trainer.masking import Masker
from trainer.server.files import Bundle

POLL_S = 3.0
BUILD_S = 30 * 60
RELEASE_S = 65 * 60  # Heroku ends a release phase after an hour
GRACE_S = 120  # between a build that succeeded and its release


@dataclass
class Log:
    """A growing log of somewhere else: each line once to `report` and to a file, secrets masked."""

    path: Path
    masker: Masker
    report: Callable[[str], None]
    last: str = ""
    """The last line that said something."""
    _seen: int = 0
    _rest: bytes = field(default=b"", repr=False)

    def begin(self, title: str) -> None:
        """Another log follows, in the same file."""
        self._seen, self._rest, self.last = 0, b"", ""
        self._write(f"== {title}")

    def read(self, api: Api, request: Request) -> None:
        """Read on from where it ended the last time, until it ends or breaks off."""
        for piece in api.stream(request, self._seen):
            self._seen += len(piece)
            *lines, self._rest = (self._rest + piece).split(b"\n")
            for line in lines:
                self._line(line)

    def end(self) -> None:
        """What came without the end of a line is a line too."""
        if self._rest.strip():
            self._line(self._rest)
        self._rest = b""

    def _line(self, raw: bytes) -> None:
        line = self.masker.text(raw.decode(errors="replace")).replace("\0", "").rstrip()
        if line.strip():
            self.last = line.strip()
            self._write(line)
            self.report(line)

    def _write(self, line: str) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")


@dataclass(frozen=True)
class Builder:
    """Has the bundle built and released as the plan says. `begin` is told of each step that it takes."""

    api: Api
    plan: Plan
    bundle: Bundle
    log: Log
    begin: Callable[[str], None]

    def ensure(self) -> tuple[Release, bool]:
        """Have a release of these files, and say whether it took a new build.

        A build of the same files that runs is followed, one that was released is left alone. Raises
        `DeployError` with the end of the log where build or release phase fail.
        """
        builds = cast(list[Build], self.api.listed(self.plan.request("look", "/builds")))
        build = max(builds, key=lambda one: one["created_at"], default=None)
        if build is None or self._is_of_no_use(build):
            build, is_new = self._start(), True
        else:
            is_new = False
        return self._released(self._built(build)), is_new

    def _is_of_no_use(self, build: Build) -> bool:
        if build["source_blob"]["version"] != self.bundle.version or build["status"] == "failed":
            return True
        return build["release"] is not None and self._release(build)["status"] == "failed"

    def _start(self) -> Build:
        self.begin("upload")
        blob = cast(Source, self.api.send(self.plan.request("upload", "/sources")))["source_blob"]
        where = self.plan.request("upload", "<put_url>").filled({"put_url": blob["put_url"]})
        self.api.upload(where, self.bundle.archive)
        self.begin("build")
        return cast(Build, self.api.send(self.plan.request("build").filled({"get_url": blob["get_url"]})))

    def _built(self, build: Build) -> Build:
        """The build, when it has ended and is released."""
        if build["status"] == "pending":
            deadline = time.monotonic() + BUILD_S
            self.begin("follow")
            self.log.begin(f"build {build['id']}")
            while build["status"] == "pending":
                _in_time(deadline, "The build")
                self._read_on("follow", build["output_stream_url"])
                build = self._again(build)
            self._read_on("follow", build["output_stream_url"])  # what came after it broke off
            self.log.end()
        if build["status"] == "failed":
            raise DeployError(f"The build on Heroku failed: {self._last()}", f"See {self.log.path}")
        deadline = time.monotonic() + GRACE_S
        while build["release"] is None:
            _in_time(deadline, "The build's release")
            build = self._again(build)
        return build

    def _again(self, build: Build) -> Build:
        request = self.plan.request("follow", "/builds/").filled({"build_id": build["id"]})
        build = cast(Build, self.api.send(request))
        if build["status"] == "pending" or build["release"] is None:
            time.sleep(POLL_S)
        return build

    def _released(self, build: Build) -> Release:
        deadline = time.monotonic() + RELEASE_S
        release = self._release(build)
        if release["status"] == "succeeded":
            return release
        self.begin("release")
        self.log.begin(f"release v{release['version']}")
        while release["status"] == "pending":
            _in_time(deadline, "The release phase")
            self._read_on("release", release.get("output_stream_url"))
            time.sleep(POLL_S)
            release = self._release(build)
        self._read_on("release", release.get("output_stream_url"))
        self.log.end()
        if release["status"] == "failed":
            raise DeployError(
                f"The release phase on Heroku failed: {self._last()}",
                f"The release before it keeps running. See {self.log.path}",
            )
        return release

    def _release(self, build: Build) -> Release:
        payload = {"release_id": (build["release"] or {"id": ""})["id"]}
        return cast(Release, self.api.send(self.plan.request("release").filled(payload)))

    def _read_on(self, step: str, url: str | None) -> None:
        if url:
            self.log.read(
                self.api, self.plan.request(step, "<output_stream_url>").filled({"output_stream_url": url})
            )

    def _last(self) -> str:
        return self.log.last or "it said nothing."


def _in_time(deadline: float, action: str) -> None:
    if time.monotonic() > deadline:
        raise DeployError(
            f"{action} on Heroku has not ended yet.",
            "Nothing is lost: run the same command again to keep waiting for it.",
        )
