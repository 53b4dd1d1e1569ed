"""The page of a served model, in a real browser."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import browser
import numpy as np
import pytest
import requests
from model_server import app
from model_server.limits import Limits
from model_server.watching import Watch
from PIL import Image
from support import Site
from tracking_server.containers import CannotRun, free_port
from trainkit.inference import serving_file
from trainkit.inference.predictor import Predictor
from trainkit.inference.serving_file import Entry, ServingFile
from unit.model_server import served
from unit.trainkit.inference.models import write_colours

TOKEN = "0123456789abcdef-of-the-tests"
ANSWERED = "document.querySelector('#{}')?.dataset.{} ?? ''"
WAITS_FOR_NOTHING = "!document.querySelector('[aria-busy=true]') && !!document.querySelector('#explanation')"
# What the page itself cannot help saying: errors, and what its policy keeps it from.
WATCH = """
window.problems = [];
addEventListener("error", (event) => problems.push(event.message));
addEventListener("unhandledrejection", (event) => problems.push(String(event.reason)));
addEventListener("securitypolicyviolation", (event) => problems.push(event.violatedDirective));
"""
DROP = """
(() => {
    const bytes = Uint8Array.from(atob("%s"), (each) => each.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "dropped.jpg", {type: "image/jpeg"}));
    document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true}));
})()
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with two models."""
    shop = Site(tmp_path_factory.mktemp("pages") / "pages", port=5457)
    served.colours(shop.root / "colours.onnx")
    served.churn(shop.root / "churn.onnx")
    yield shop
    stopped = shop.trainer("serve", "stop", "--all")
    assert stopped.code == 0, stopped.err


def up(site: Site, model: str, *options: str) -> str:
    """Serve it; its address."""
    done = site.trainer("serve", model, "--detach", "--port", str(free_port()), *options)
    assert done.code == 0, done.err
    assert "Open it in a browser, or try: curl " in done.err
    return done.out.strip()


@contextmanager
def opened(url: str, *, width: int = 1280, is_dark: bool = False) -> Iterator[browser.Page]:
    """The page, which at the end has had no error and asked nobody else."""
    try:
        with browser.page(width=width, is_dark=is_dark) as page:
            page.run_first(WATCH)
            page.open(f"{url}/")
            page.wait("document.querySelectorAll('#input > *').length > 0", within_s=60)
            yield page
            assert page.evaluate("JSON.stringify(problems)") == "[]"
            asked = page.evaluate("performance.getEntriesByType('resource').map((each) => each.name)")
            assert [name for name in asked if not name.startswith((url, f"blob:{url}", "data:"))] == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    except CannotRun as error:
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def colours(shop: Site) -> str:
    return up(shop, "colours.onnx")


@pytest.fixture(scope="module")
def churn(shop: Site) -> str:
    return up(shop, "churn.onnx")


def answer(page: browser.Page) -> tuple[str, float]:
    """The class and its confidence, once all is shown."""
    page.wait(WAITS_FOR_NOTHING, within_s=60)
    return page.evaluate(ANSWERED.format("class", "class")), float(
        page.evaluate(ANSWERED.format("class", "confidence"))
    )


def by_v2(url: str, name: str, tensors: list[dict[str, object]]) -> tuple[str, float]:
    said = requests.post(f"{url}/v2/models/{name}/infer", json={"inputs": tensors}, timeout=10).json()
    outputs = {output["name"]: output["data"][0] for output in said["outputs"]}
    return outputs["class"], outputs["confidence"]


def photo(path: Path) -> Path:
    pixels = np.full((120, 200, 3), (30, 60, 200), np.uint8)
    pixels[30:90, 40:120] = (230, 40, 30)
    Image.fromarray(pixels).save(path)
    return path


@pytest.mark.parametrize(("width", "is_dark"), [(1280, False), (375, True)], ids=["wide", "phone, dark"])
def test_an_image_has_the_same_answer_as_by_http_and_an_explanation(
    colours: str, tmp_path: Path, width: int, is_dark: bool
) -> None:
    file = photo(tmp_path / "a photo's.jpg")
    content = file.read_bytes()
    [predicted] = requests.post(f"{colours}/predict", files={"image": content}, timeout=10).json()[
        "predictions"
    ]
    text = base64.b64encode(content).decode()
    tensor: dict[str, object] = {"name": "image", "datatype": "BYTES", "shape": [1], "data": [text]}
    with opened(colours, width=width, is_dark=is_dark) as page:
        assert page.evaluate("document.title") == "colours"
        page.choose("#file", file)
        name, confidence = answer(page)
        assert name == predicted["class"] == by_v2(colours, "colours", [tensor])[0] == "blue"
        assert confidence == pytest.approx(predicted["confidence"], abs=1e-6)
        assert confidence == pytest.approx(by_v2(colours, "colours", [tensor])[1], abs=1e-6)
        assert page.evaluate("document.querySelector('#preview img').naturalWidth") == 200
        assert page.evaluate("document.querySelector('#map').naturalWidth") >= 256
        assert "evidence for it" in page.evaluate("document.querySelector('#explanation').innerText")
        page.evaluate(DROP % base64.b64encode(served.image((10, 200, 90), kind="JPEG")).decode())
        page.wait("document.querySelector('#class').dataset.class === 'green'", within_s=10)
        answer(page)


def test_what_the_browser_cannot_show_is_answered_and_what_is_no_image_is_said(
    colours: str, tmp_path: Path
) -> None:
    (tmp_path / "scan.tif").write_bytes(served.image((0, 255, 0), kind="TIFF"))
    (tmp_path / "notes.jpg").write_text("no image")
    with opened(colours) as page:
        page.choose("#file", tmp_path / "scan.tif")
        assert answer(page)[0] == "green"
        assert "scan.tif: this browser cannot show it." in page.evaluate("document.body.innerText")
        page.choose("#file", tmp_path / "notes.jpg")
        page.wait("!!document.querySelector('#answer [role=alert]')", within_s=10)
        said = page.evaluate("document.querySelector('#answer').innerText")
        assert "The image: not an image" in said
        assert page.evaluate("document.querySelector('#class')") is None
        with (tmp_path / "huge.png").open("wb") as file:
            file.truncate(33 * 1024**2)
        page.choose("#file", tmp_path / "huge.png")
        page.wait("document.body.innerText.includes('huge.png has 33 MB, and the server takes 32 MB.')", 10)


def test_a_row_is_filled_in_by_keyboard_and_has_the_same_answer_as_by_http(churn: str) -> None:
    with opened(churn) as page:
        said = page.evaluate("document.querySelector('header').innerText")
        assert all(text in said for text in ("churn", "0123abcd", "sklearn 1.9", "yes, no"))
        assert page.evaluate("[...document.querySelectorAll('select option')].map((each) => each.text)") == [
            "missing",
            "a",
            "b",
        ]
        page.evaluate("document.querySelector('#column-0').select()")
        page.press("3")
        page.press("Tab")
        page.press("b")
        page.press("Tab")
        page.press("Enter")
        name, confidence = answer(page)
        row = {"age": 3, "plan": "b"}
        [predicted] = requests.post(f"{churn}/predict", json=row, timeout=10).json()["predictions"]
        tensors: list[dict[str, object]] = [
            {"name": "age", "datatype": "FP64", "shape": [1], "data": [3]},
            {"name": "plan", "datatype": "BYTES", "shape": [1], "data": ["b"]},
        ]
        assert name == predicted["class"] == by_v2(churn, "churn", tensors)[0] == "no"
        assert confidence == pytest.approx(predicted["confidence"], abs=1e-6)
        assert confidence == pytest.approx(by_v2(churn, "churn", tensors)[1], abs=1e-6)
        explained = requests.post(f"{churn}/explain", json=row, timeout=10).json()["explanation"]["drops"]
        shown = page.evaluate(
            "[...document.querySelectorAll('#explanation tr')].map(({dataset: it}) => [it.column, +it.drop])"
        )
        assert dict(shown) == pytest.approx(explained, abs=1e-6)
        command = page.evaluate("document.querySelector('#curl').innerText")
        assert command == f"curl --json '{json.dumps(row, separators=(',', ':'))}' {churn}/predict"


def test_a_wrong_cell_is_said_at_its_field_in_the_words_of_the_server(churn: str) -> None:
    with opened(churn) as page:
        page.evaluate("document.querySelector('#column-0').value = 'old'")
        page.evaluate("document.querySelector('#row button').click()")
        page.wait("document.querySelector('#column-0').getAttribute('aria-invalid') === 'true'", 10)
        refused = requests.post(f"{churn}/predict", json={"age": "old", "plan": "a"}, timeout=10).json()
        said = page.evaluate("document.querySelector('#column-0-problem').innerText")
        assert said == f"{refused['error']} {refused['hint']}"
        assert page.evaluate("document.querySelector('#column-1-problem').innerText") == ""
        page.evaluate("document.querySelector('#column-0').value = ''")
        page.evaluate("document.querySelector('#row button').click()")
        assert answer(page)[0] == "yes"
        assert page.evaluate("document.querySelector('#column-0-problem').innerText") == ""


def test_the_token_is_asked_for_and_kept_in_the_tab(shop: Site) -> None:
    (shop.root / "token").write_text(f"{TOKEN}\n")
    url = up(shop, "churn.onnx", "--name", "private", "--token-file", "token", "--host", "127.0.0.1")
    with opened(url) as page:
        assert "private" not in page.evaluate("document.body.innerText")
        for given in ("0123456789abcdef-another", TOKEN):
            page.evaluate(f"document.querySelector('#token').value = '{given}'")
            page.evaluate("document.querySelector('.token button').click()")
            if given != TOKEN:
                page.wait("document.body.innerText.includes('has no token, or another one')", within_s=10)
        page.wait("document.querySelector('#name').innerText === 'private'", within_s=10)
        page.evaluate("document.querySelector('#row button').click()")
        assert answer(page)[0] == "yes"
        assert TOKEN not in page.evaluate("document.documentElement.outerHTML + location.href")
        assert page.evaluate("localStorage.length") == 0
        assert '"Authorization: Bearer $TOKEN"' in page.evaluate("document.querySelector('#curl').innerText")
        page.open(f"{url}/")
        page.wait("document.querySelector('#name')?.innerText === 'private'", within_s=10)


def test_a_model_that_takes_over_is_named_beside_its_answer(tmp_path: Path) -> None:
    what = tmp_path / serving_file.NAME
    for number, order in (("1", (0, 1, 2)), ("2", (2, 1, 0))):
        write_colours(tmp_path / f"{number}.onnx", order=order)

    def serve(number: str) -> Entry:
        entry = Entry(file=f"{number}.onnx", label="skin@champion", version=number)
        what.write_text(ServingFile(model=entry).text())
        return entry

    first = Predictor.open(tmp_path / "1.onnx", threads=1)
    made = app.make("skin", first, serve("1"), watch=Watch(what, 1))
    (tmp_path / "red.png").write_bytes(served.image())
    with served.listening(made, Limits()) as port, opened(url := f"http://127.0.0.1:{port}") as page:
        for number, name in (("1", "red"), ("2", "blue")):
            serve(number)
            while requests.get(f"{url}/version", timeout=10).json()["model"] != f"skin@{number}":
                time.sleep(0.1)
            page.choose("#file", tmp_path / "red.png")
            page.wait(f"document.querySelector('#class')?.dataset.class === '{name}'", within_s=10)
            page.wait(f"document.querySelector('#about').innerText.includes('skin@{number}')", within_s=10)
            answer(page)
