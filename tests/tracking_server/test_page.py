"""What a person sees: a login, a run, its charts."""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import browser
import pytest
from trainer.tracking import run_tags

from tracking_server.asking import ADMIN, PASSWORD, Either
from tracking_server.containers import CannotRun, Server, patience
from tracking_server.training import Client, Json, now_ms

EPOCHS = 40
CHARTS = "document.querySelectorAll('.js-plotly-plot .scatterlayer .trace').length"
# The errors that a page shows in a corner, gone after some seconds.
KEEP_ERRORS = """
window.errors = [];
new MutationObserver(() => {
    for (const shown of document.querySelectorAll('[class*=notification-notice-message]'))
        if (shown.innerText) window.errors.push(shown.innerText);
}).observe(document, {childList: true, subtree: true});
"""
ASKED = "performance.getEntriesByType('resource').some(request => request.name.includes('{}'))"


@pytest.fixture
def page() -> Iterator[browser.Page]:
    """A browser that knows the admin's password."""
    with _browser((ADMIN, PASSWORD)) as opened:
        yield opened


@contextmanager
def _browser(account: tuple[str, str]) -> Iterator[browser.Page]:
    try:
        with browser.page(account, width=1300, height=660) as opened:
            yield opened
    except CannotRun as error:
        if os.environ.get("TRAINER_REQUIRE_DOCKER") == "1":
            pytest.fail(str(error))
        pytest.skip(str(error))


def _curves() -> Iterator[Json]:
    noise = random.Random(7)
    began = now_ms()
    for epoch in range(EPOCHS):
        values = {
            "loss": 0.12 + 1.6 * math.exp(-epoch / 9) + noise.gauss(0, 0.015),
            "accuracy": 0.97 - 0.72 * math.exp(-epoch / 7) + noise.gauss(0, 0.006),
            "val_accuracy": 0.93 - 0.66 * math.exp(-epoch / 6) + noise.gauss(0, 0.012),
        }
        for key, value in values.items():
            yield {"key": key, "value": value, "step": epoch, "timestamp": began + 2000 * epoch}


def test_a_person_logs_in_opens_a_run_and_sees_its_charts(
    server: Server, page: browser.Page, tmp_path: Path
) -> None:
    client = Client(server.port)
    experiment = client.call("experiments/create", name="flowers")["experiment_id"]
    run_id = client.new_run(experiment, run_name="brisk-lynx-204")
    client.call("runs/log-batch", run_id=run_id, metrics=list(_curves()))

    page.open(
        f"{server.url}/#/experiments/{experiment}/runs/{run_id}/model-metrics?workflowType=machine_learning"
    )
    page.wait(f"{CHARTS} >= 3", within_s=30 * patience())
    assert page.logins == 1
    shown = page.evaluate("document.body.innerText")
    for text in ("brisk-lynx-204", "flowers", "val_accuracy", ADMIN):
        assert text in shown, text

    page.evaluate(browser.HIDE_TOOLS)
    # TRAINER_PICTURES=docs/images makes the picture of the README anew.
    picture = Path(os.environ.get("TRAINER_PICTURES", tmp_path)) / "tracking_server_run.png"
    picture.write_bytes(page.picture())
    assert picture.stat().st_size > 30_000, "more than an empty page"


@pytest.mark.parametrize("of", ["experiment", "run"])
def test_a_page_shows_neither_an_error_nor_the_assistant(either: Either, of: str) -> None:
    api = "/api/2.0/mlflow"
    made = either.ask("POST", f"{api}/experiments/create", {"name": f"quiet {of}"})
    experiment = json.loads(made.body)["experiment_id"]
    tags = run_tags.pairs({run_tags.IMAGE: "trainer/small:1", run_tags.CODE_DIGEST: "c0de" * 16})
    body = {"experiment_id": experiment, "run_name": "brisk-lynx", "tags": tags}
    run = either.ask("POST", f"{api}/runs/create", body)
    run_id = json.loads(run.body)["run"]["info"]["run_id"]
    address = f"{either.url}/#/experiments/{experiment}"
    with _browser(either.account) as page:
        page.run_first(KEEP_ERRORS)
        if of == "run":
            _open(page, f"{address}/runs/{run_id}?workflowType=machine_learning", "trainer/small:1")
            assert "c0de" not in page.evaluate("document.body.innerText")
        else:
            _open(page, f"{address}/runs?workflowType=machine_learning", "brisk-lynx")
            page.wait(ASKED.format("gateway-proxy"), within_s=30 * patience())
        page.wait(ASKED.format("assistant/config"), within_s=30 * patience())
        page.pause(2)
        assert page.evaluate("window.errors.join()") == ""
        assert "Assistant" not in page.evaluate("document.body.innerText")


def _open(page: browser.Page, address: str, text: str) -> None:
    """Open MLflow's page, and a second time where it failed, as it may on a busy machine."""
    says = "document.body.innerText.includes({})".format
    there, failed = says(json.dumps(text)), says('"Something went wrong"')
    page.open(address)
    page.wait(f"{there} || {failed}", within_s=60 * patience())
    if page.evaluate(failed):
        page.open("about:blank")
        page.open(address)
        page.wait(there, within_s=60 * patience())
