"""A CSV file, or some of them, as they were downloaded: copied to data/."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from trainkit.data import folder_listing, image_folder

from trainer.datasets import Report, silent
from trainer.datasets.build import building, copying
from trainer.datasets.build.copying import Copies, Link, size
from trainer.datasets.tables import files
from trainer.errors import InvalidInput


@dataclass(frozen=True)
class TableImport:
    """The CSV files of a download, of which one is copied as a file, and some as a folder."""

    root: Path
    files: tuple[PurePosixPath, ...]
    left_out: tuple[PurePosixPath, ...]
    link: Link

    @property
    def source(self) -> Path:
        """The file, or the folder of the files."""
        return self.root / (self.files[0] if len(self.files) == 1 else self.files[0].parent)

    def target(self, goal: Path) -> Path:
        """Where it goes: a single file has the ending that says what it is."""
        if len(self.files) > 1 or goal.suffix.lower() in files.SUFFIXES:
            return goal
        return goal.with_name(goal.name + self.files[0].suffix.lower())

    def check(self, goal: Path) -> None:
        """Raises `InvalidInput` where `make` would for a reason that can be known now. Changes nothing."""
        if len(self.files) > 1:
            self._copies().check(goal)
            return
        target = self.target(goal)
        building.check_new(target)
        existing = next(folder for folder in target.parents if folder.exists())
        needed, free = self.source.stat().st_size, shutil.disk_usage(existing).free
        if self.link == "copy" and needed > free:
            raise InvalidInput(
                f"The copy takes {size(needed)}, and {existing} has {size(free)} free.", "Free some space."
            )

    def make(self, goal: Path, report: Report = silent) -> None:
        """Copy what there is; nothing is overwritten."""
        self.check(goal)
        if len(self.files) > 1:
            self._copies().make(goal, report)
            return
        target = self.target(goal)
        target.parent.mkdir(parents=True, exist_ok=True)
        copying.put(self.source, target, self.link)

    def _copies(self) -> Copies:
        places = [(PurePosixPath(path.name), PurePosixPath(path.name)) for path in self.files]
        return Copies(self.source, copying.files(self.source, places), self.link)


def plan(root: Path, link: Link = "copy") -> TableImport | None:
    """What is taken of a download that is a table: a CSV file, or CSV files in one folder, and no image.

    None for another one.
    """
    if root.is_file():
        return TableImport(root.parent, (PurePosixPath(root.name),), (), link)
    found = [path for path, is_file in folder_listing.files(root, PurePosixPath()) if is_file]
    tables = [path for path in found if path.suffix.lower() in files.SUFFIXES]
    has_images = any(path.suffix.lower() in image_folder.SUFFIXES for path in found)
    if has_images or len({path.parent for path in tables}) != 1:
        return None
    return TableImport(root, tuple(tables), tuple(path for path in found if path not in tables), link)
