"""A made-up dataset to try things with: pictures whose classes a small network can learn."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from trainer import atomic_files
from trainer.datasets import Report, silent
from trainer.datasets.build import building
from trainer.datasets.names import DERMNET, HEALTHY, tidy

MOST = len(DERMNET) + 1


@dataclass(frozen=True)
class Sample:
    """What to draw: `images` of each class, `size` pixels wide and high. A seed gives the same files."""

    classes: int = 4
    images: int = 40
    size: int = 96
    seed: int = 0
    as_downloaded: bool = False

    def class_names(self) -> tuple[str, ...]:
        """DermNet's first classes, as downloaded or as `rename-classes` names them, and healthy skin."""
        return tuple(name if self.as_downloaded else tidy(name) for name in self._chosen())

    def _chosen(self) -> tuple[str, ...]:
        return (*DERMNET[: self.classes - 1], HEALTHY)

    def plan(self) -> dict[str, object]:
        """The plan as `building` wants it."""
        return {"sample": asdict(self)}

    def make(self, target: Path, report: Report = silent) -> None:
        """Draw the files of a new folder; see `building.build`."""
        building.build(target, self.plan(), lambda folder: self._fill(folder, report))

    def _fill(self, folder: Path, report: Report) -> None:
        import numpy as np

        from trainer.datasets.synthetic.drawing import draw
        from trainer.datasets.synthetic.looks import LOOKS

        done, total = 0, self.classes * self.images
        order = list(LOOKS)
        for key, name in zip(self._chosen(), self.class_names(), strict=True):
            (folder / name).mkdir(exist_ok=True)
            for number in range(1, self.images + 1):
                path = folder / name / f"IMG_{number:04}.jpg"
                if not path.exists():
                    # Each picture has its own random numbers: other classes and counts do not change it.
                    rng = np.random.default_rng([self.seed, order.index(key), number])
                    draw(LOOKS[key], rng, self.size).save(atomic_files.beside(path), "JPEG", quality=90)
                    atomic_files.beside(path).replace(path)
                done += 1
                report("Drawing", done, total)
