"""What weighs most in an image, package by package, beside another image: a table for docs/trainer-images.md.

    python tooling/bench/image_sizes.py trainer/sklearn:TAG OTHER:TAG [--least MB]

It is read from the files of both images, with a Python of theirs.
"""

from __future__ import annotations

import json
import subprocess

import click

# Of each distribution the bytes of its files, of its byte code, and of its own tests. A file that several
# have, as MLflow's three, counts for the first.
_READ = """
import json
from importlib.metadata import distributions
def size(path):
    return path.stat().st_size if path.exists() else 0
found, seen = {}, set()
for distribution in sorted(distributions(), key=lambda one: one.name.lower()):
    files = {distribution.locate_file(file) for file in distribution.files or ()} - seen
    seen |= files
    code = {path for path in files if path.suffix == ".py"}
    compiled = {path.with_name("__pycache__") / f"{path.stem}.cpython-311.pyc" for path in code}
    compiled |= {path for path in files if path.suffix == ".pyc"}
    tests = {path for path in (files | compiled) if "tests" in path.parts[:-1]}
    sizes = (files - compiled, compiled, tests)
    found[distribution.name.lower().replace("_", "-")] = [sum(map(size, paths)) for paths in sizes]
print(json.dumps(found))
"""


@click.command(help=__doc__)
@click.argument("image")
@click.argument("other")
@click.option("--least", default=4, show_default=True, help="MB in either image.")
def main(image: str, other: str, least: int) -> None:
    """Print the table."""
    first, second = _packages(image), _packages(other)
    click.echo("| MB | image | of that byte code | other image | of that byte code | of that tests |")
    click.echo("|---|---|---|---|---|---|")
    names = sorted(
        first.keys() | second.keys(), key=lambda name: -max(_whole(first, name), _whole(second, name))
    )
    for name in names:
        if max(_whole(first, name), _whole(second, name)) >= least * 1e6:
            _row(name, first.get(name), second.get(name))
    small = [name for name in names if max(_whole(first, name), _whole(second, name)) < least * 1e6]
    _row(f"{len(small)} smaller ones", _sum(first, small), _sum(second, small))
    _row("all", _sum(first, names), _sum(second, names))


def _packages(image: str) -> dict[str, list[int]]:
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", image, "python3", "-c", _READ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return {str(name): list(sizes) for name, sizes in json.loads(done.stdout).items()}


def _whole(packages: dict[str, list[int]], name: str) -> int:
    return sum(packages.get(name, [0, 0])[:2])


def _sum(packages: dict[str, list[int]], names: list[str]) -> list[int]:
    return [sum(packages[name][kind] for name in names if name in packages) for kind in range(3)]


def _row(name: str, cells: list[int] | None, two: list[int] | None) -> None:
    def whole(sizes: list[int] | None) -> list[str]:
        return ["", ""] if sizes is None else [f"{sum(sizes[:2]) / 1e6:.0f}", f"{sizes[1] / 1e6:.0f}"]

    tests = f"{two[2] / 1e6:.0f}" if two else ""
    click.echo(f"| {' | '.join([name, *whole(cells), *whole(two), tests])} |")


if __name__ == "__main__":
    main()
