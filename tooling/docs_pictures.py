"""Draws the pictures of the pages (`make pictures`): python tooling/docs_pictures.py FOLDER.

It makes runs in this workspace; those of an earlier call are used again. It takes an engine and a Chromium.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import browser
from browser import Page
from PIL import Image

REPOSITORY = Path(__file__).parents[1]
PROJECT, DATASET, EXPERIMENT = "tensorflow", "demo_skins", "demo_skins"
RUNS = {
    "adam": ("--learning-rate", "0.001"),
    "adam-fast": ("--learning-rate", "0.01"),
    "adam-flipped": ("--learning-rate", "0.0005", "--augment", "yes"),
    "sgd": ("--optimizer", "sgd", "--learning-rate", "0.01"),
    "adamw": ("--optimizer", "adamw", "--learning-rate", "0.002"),
}
SWEEP_EXPERIMENT, SWEEP = "demo_sweep", "forests"
SWEEP_OPTIONS = (
    "--search", "max_depth=int:2,12", "--search", "n_estimators=logint:10,200",
    "--metric", "accuracy:maximize", "--trials", "14", "--parallel", "2",
)  # fmt: skip
TABLE, TARGET, TABLE_RUN = "demo_customers.csv", "churned", "customers"
UNUSUAL = {"support_calls": "6", "satisfaction": "1", "monthly_fee": "39.9"}
_MOST = 150_000  # bytes of a picture: a page with several is to load at once
_WIDEST = 1280
_CHARTS = "document.querySelectorAll('.js-plotly-plot').length >= 2"


def main(folder: Path) -> None:
    """Draw all of them into the folder; those that are there are replaced."""
    runs = _make_runs()
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        _trainer("compare", *runs.values(), "--html", str(place / "compare.html"))
        _trainer("data", "stats", DATASET, "-o", str(place))
        _trainer("download", runs["adam-fast"], "confusion_matrix.png", "-o", str(place))
        for name in ("classes", "contact_sheet", "confusion_matrix"):
            _write(folder / f"{name}.png", (place / f"{name}.png").read_bytes())
        _trainer("download", _sweep(), "sweep", "-o", str(place))
        for name in ("optimization_history", "slices"):
            _write(folder / f"sweep_{name}.png", (place / "sweep" / f"{name}.png").read_bytes())
        compared = (place / "compare.html").as_uri()
        _draw_page(compared, folder / "compare_1280.png", 1280, 1330)
        _draw_page(compared, folder / "compare_pictures.png", 1280, 560, at="h2 ~ h3")
        _draw_page(compared, folder / "compare_400.png", 400, 1100)
    _draw_ui(folder, runs["adam"])
    draw_served(folder, runs["adamw"], _table_run())


def _make_runs() -> dict[str, str]:
    """The ids of the runs by their names."""
    if not (REPOSITORY / "data" / DATASET).exists():
        _trainer("data", "sample", DATASET, "--classes", "4", "--images", "40")
    there = _runs(EXPERIMENT)
    for name, options in RUNS.items():
        if name not in there:
            where = ("--experiment", EXPERIMENT, "--run-name", name)
            _trainer("run", PROJECT, *where, "--data", DATASET, "--epochs", "8", *options)
    there = _runs(EXPERIMENT)
    return {name: there[name] for name in RUNS}


def _table_run() -> str:
    """The id of a run of a table."""
    if not (REPOSITORY / "data" / TABLE).exists():
        _trainer("data", "sample", "--table", TABLE)
    if TABLE_RUN not in _runs(TABLE_RUN):
        where = ("--experiment", TABLE_RUN, "--run-name", TABLE_RUN)
        _trainer("run", "sklearn", *where, "--data", TABLE, "--target", TARGET)
    return _runs(TABLE_RUN)[TABLE_RUN]


def _sweep() -> str:
    """The id of the parent run of a sweep."""
    if SWEEP not in _runs(SWEEP_EXPERIMENT):
        where = ("--experiment", SWEEP_EXPERIMENT, "--run-name", SWEEP)
        _trainer("sweep", "sklearn", *where, *SWEEP_OPTIONS)
    return _runs(SWEEP_EXPERIMENT)[SWEEP]


def _runs(experiment: str) -> dict[str, str]:
    try:
        listed = json.loads(_trainer("runs", experiment, "--json"))
    except subprocess.CalledProcessError:
        return {}  # the first call: there is no such experiment
    return {run["name"]: run["run_id"] for run in listed}


def _draw_page(address: str, file: Path, width: int, height: int, at: str = "h1") -> None:
    with browser.page(("", ""), width, height) as page:
        page.open(address)
        page.wait("document.querySelectorAll('svg').length > 1", within_s=10)
        page.evaluate("document.documentElement.style.scrollbarWidth = 'none'")
        page.evaluate(f"document.querySelector('{at}').scrollIntoView()")
        page.pause(1)
        _write(file, page.picture())


def _draw_ui(folder: Path, shown: str) -> None:
    known = json.loads(_trainer("env", "--json"))
    account = (known.get("MLFLOW_TRACKING_USERNAME", ""), known.get("MLFLOW_TRACKING_PASSWORD", ""))
    table = _trainer("ui", EXPERIMENT, "--no-browser").strip()
    run = _trainer("open", shown, "--no-browser").strip()
    pictures = {
        "ui_experiment": (table, "document.body.innerText.includes('adam-flipped')", 620),
        "ui_charts": (f"{table}&compareRunsMode=CHART", _CHARTS, 800),
        "ui_run": (run, "document.body.innerText.includes('Description')", 760),
    }
    for name, (address, is_there, height) in pictures.items():
        with browser.page(account, _WIDEST, height) as page:
            page.open(address)
            page.wait(is_there, within_s=60)
            _settle(page)
            _write(folder / f"{name}.png", page.picture())


def draw_served(folder: Path, image_run: str, table_run: str) -> None:
    """The pages of two served models, each with an answer."""
    photo = sorted((REPOSITORY / "data" / DATASET).glob("*/*.*"))[-1]
    with _served(image_run, "skin") as address, browser.page(width=1040, height=900) as page:
        page.open(address)
        page.wait("!!document.querySelector('#file')", within_s=60)
        page.choose("#file", photo)
        _write_answer(page, folder / "served_image.png")
    with _served(table_run, "customers") as address, browser.page(width=1040, height=820) as page:
        page.open(address)
        page.wait("!!document.querySelector('#row')", within_s=60)
        for name, value in UNUSUAL.items():
            page.evaluate(f"document.querySelector('[name={name}]').value = {json.dumps(value)}")
        page.evaluate("document.querySelector('#row button').click()")
        _write_answer(page, folder / "served_row.png")


@contextmanager
def _served(run: str, name: str) -> Iterator[str]:
    """Within: the run's model answers under the name; its address."""
    version = _trainer("models", "register", run, "--name", name).splitlines()[0]
    address = _trainer("serve", version, "--detach").strip()
    try:
        yield address
    finally:
        _trainer("serve", "stop", name)


def _write_answer(page: Page, file: Path) -> None:
    page.wait("!!document.querySelector('#explanation[aria-busy=false]')", within_s=60)
    page.evaluate("document.documentElement.style.scrollbarWidth = 'none'")
    page.evaluate("document.activeElement.blur()")
    page.pause(1)
    _write(file, page.picture())


def _settle(page: Page) -> None:
    """Without what is not of the page: tools over the curves."""
    page.evaluate(browser.HIDE_TOOLS)
    page.pause(3)


def _write(file: Path, picture: bytes) -> None:
    """As a PNG of at most so many bytes: with all of its colours, then with 256, then smaller."""
    image = Image.open(BytesIO(picture)).convert("RGB")
    image.thumbnail((_WIDEST, _WIDEST * 4))
    while True:
        few = image.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=4, dither=Image.Dither.NONE)
        for colours in (image, few):
            content = BytesIO()
            colours.save(content, "PNG", optimize=True)
            if content.tell() <= _MOST:
                file.write_bytes(content.getvalue())
                print(f"{file.name}: {image.width}x{image.height}, {content.tell():,} bytes")
                return
        image = image.resize((image.width * 9 // 10, image.height * 9 // 10), Image.Resampling.LANCZOS)


def _trainer(*words: str) -> str:
    print("trainer", *words, flush=True)
    command = [sys.executable, "-m", "trainer", "--workspace", str(REPOSITORY), *words]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
