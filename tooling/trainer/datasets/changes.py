"""What became of a dataset between two moments, file by file."""

from __future__ import annotations

from dataclasses import dataclass, field

from trainer.datasets.contents import File, Files


@dataclass(frozen=True)
class Changes:
    """From an older state to a newer one. `removed` and `changed` hold the files as they were before."""

    added: Files = field(default_factory=dict)
    removed: Files = field(default_factory=dict)
    changed: Files = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        """`1 changed, 2 added`."""
        counts = {"changed": self.changed, "added": self.added, "removed": self.removed}
        return ", ".join(f"{len(files):,} {word}" for word, files in counts.items() if files) or "no changes"

    def lines(self) -> list[tuple[str, str]]:
        """What happened and the path of each file, sorted by path."""
        words = {"changed": self.changed, "added": self.added, "removed": self.removed}
        return sorted(((word, path) for word, files in words.items() for path in files), key=lambda x: x[1])

    def as_json(self) -> dict[str, list[str]]:
        """For `--json`."""
        return {
            "added": sorted(self.added),
            "removed": sorted(self.removed),
            "changed": sorted(self.changed),
        }


def between(old: Files, new: Files) -> Changes:
    """What it takes to come from `old` to `new`."""
    return Changes(
        added={path: file for path, file in new.items() if path not in old},
        removed={path: file for path, file in old.items() if path not in new},
        changed={path: file for path, file in old.items() if path in new and new[path] != file},
    )


def undone(new: Files, changes: Changes) -> dict[str, File]:
    """The state before the changes."""
    unchanged = {path: file for path, file in new.items() if path not in changes.added}
    return {**unchanged, **changes.removed, **changes.changed}
