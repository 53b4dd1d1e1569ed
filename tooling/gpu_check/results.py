"""The folder of a check's results: one JSON and one page, written again after each section."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gpu_check import page, record
from gpu_check.record import Record

_JSON, _PAGE = "gpu_check.json", "gpu_check.md"


def fail(message: str, hint: str) -> NoReturn:
    """End the check with exit code 1 and these two lines."""
    sys.exit(f"Error: {message}\nHint:  {hint}")


@dataclass
class Results:
    """A folder that no other check writes to. `error` is why the last results could not be written there."""

    folder: Path
    error: str = ""

    @staticmethod
    def claim(folder: Path) -> Results:
        """The folder, which has no results yet: those of a GPU that is gone cannot be taken again."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _JSON).touch(exist_ok=False)
        except OSError as error:
            if isinstance(error, FileExistsError) and folder.is_dir():
                message = f"There are results of another check in {folder}."
            else:
                message = f"{folder} cannot be written: {error.strerror}."
            fail(message, "Use another folder: --out FOLDER")
        return Results(folder)

    def release(self) -> None:
        """Remove what `claim` made: there are no results."""
        (self.folder / _JSON).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # it has other files
            self.folder.rmdir()

    @property
    def page(self) -> Path:
        """The page's file."""
        return self.folder / _PAGE

    def write(self, known: Record) -> None:
        """Write both files; whoever ends the check meanwhile leaves those of before, or these."""
        try:
            record.write(known, self.folder / _JSON)
            record.replace(self.page, page.render(known))
            self.error = ""
        except OSError as error:
            self.error = f"{self.folder} cannot be written: {error.strerror}."

    def close(self, known: Record) -> bool:
        """Whether the results are in the folder; if not, write both elsewhere and print the page."""
        if not self.error:
            return True
        print(page.render(known), flush=True)
        print(f"Error: {self.error}", file=sys.stderr)
        try:
            rescue = Path(tempfile.mkdtemp(prefix="gpu-check-results-"))
            record.write(known, rescue / _JSON)
            record.replace(rescue / _PAGE, page.render(known))
        except OSError:
            print("Hint:  Copy the page above: it has all results.", file=sys.stderr)
        else:
            self.folder = rescue
            print(f"Hint:  The results are in {rescue}.", file=sys.stderr)
        return False
