"""The code that was stored with a run, read into memory: nothing is unpacked, no link is followed."""

from __future__ import annotations

import difflib
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping

from trainer.errors import InvalidInput
from trainer.tracking.client import Client, Run
from trainer.tracking.failures import NotThere

ARTIFACT = "trainer/source.tar.gz"
_LARGEST = 64 << 20  # bytes, packed and unpacked: code is small


def fetch(client: Client, run: Run) -> dict[str, bytes]:
    """The files of the run's code by their paths.

    Raises `InvalidInput` where it has none or it is no code.
    """
    packed = io.BytesIO()
    try:
        for piece in client.download(run, ARTIFACT):
            packed.write(piece)
            if packed.tell() > _LARGEST:
                raise _too_large(run)
    except NotThere:
        raise InvalidInput(
            f"The run {run.name} has no stored code.", "Only `trainer run` stores it."
        ) from None
    packed.seek(0)
    return unpack(packed, run)


def unpack(packed: io.BytesIO, run: Run) -> dict[str, bytes]:
    """The files in an archive. A link is the text of where it leads. Raises `InvalidInput`."""
    files: dict[str, bytes] = {}
    remaining = _LARGEST
    try:
        with tarfile.open(fileobj=packed, mode="r:gz") as archive:
            for entry in archive:
                name = entry.name.removeprefix("code/")
                remaining -= entry.size
                if remaining < 0:
                    raise _too_large(run)
                if entry.issym() or entry.islnk():
                    files[name] = f"link to {entry.linkname}\n".encode(errors="surrogateescape")
                elif entry.isreg() and (content := archive.extractfile(entry)):
                    files[name] = content.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error):
        raise InvalidInput(
            f"The stored code of the run {run.name} cannot be read.", "The artifact was damaged or replaced."
        ) from None
    return files


def difference(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> Iterator[str]:
    """A unified diff, line by line and without line ends, of all files that differ."""
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        texts = _lines(before), _lines(after)
        if texts[0] is None or texts[1] is None:
            yield f"Binary file {name} differs"
            continue
        labels = (
            "/dev/null" if before is None else f"a/{name}",
            "/dev/null" if after is None else f"b/{name}",
        )
        yield from difflib.unified_diff(texts[0], texts[1], *labels, lineterm="")


def _lines(content: bytes | None) -> list[str] | None:
    """None for what is no text."""
    if content is None:
        return []
    try:
        return None if b"\0" in content else content.decode().splitlines()
    except UnicodeDecodeError:
        return None


def _too_large(run: Run) -> InvalidInput:
    return InvalidInput(
        f"The stored code of the run {run.name} is larger than {_LARGEST >> 20} MiB.",
        f"Download its artifact {ARTIFACT} and look at it with other tools.",
    )
