"""No page of the documentation leads to a page or a heading that is not there."""

import re
from pathlib import Path

import pytest
from support import REPOSITORY

FOLDERS = (".", "docs", "data", "mlflow_tracking_server", "templates/*", "train_code/*")
PAGES = [page for folder in FOLDERS for page in sorted(REPOSITORY.glob(f"{folder}/*.md"))]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_index() -> None:
    index = (REPOSITORY / "docs" / "README.md").read_text()
    names = [page.name for page in (REPOSITORY / "docs").glob("*.md") if page.name != "README.md"]
    assert [name for name in names if f"({name})" not in index] == []


# A test of the row before stays in the same file: `…::NAME`.
NAMED = re.compile(r"`(?:tests/)?(?P<file>(?:[\w-]+/)+test_\w+\.py)?(?P<same>…)?(?:::)?(?P<name>test_\w+)?`")


@pytest.mark.parametrize("name", ["promises.md", "reliability.md", "security.md"])
def test_every_test_that_proves_a_promise_exists(name: str) -> None:
    tests = REPOSITORY / "tests"
    known = {
        str(path.relative_to(tests)): set(re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE))
        for path in tests.rglob("test_*.py")
    }
    file = ""
    for line in (REPOSITORY / "docs" / name).read_text().splitlines():
        for found in NAMED.finditer(line):
            file = found["file"] or file
            assert not found["file"] or file in known, line
            if found["name"] and (found["file"] or found["same"]):
                assert found["name"] in known[file], line
            elif found["name"]:
                assert any(found["name"] in names for names in known.values()), line
