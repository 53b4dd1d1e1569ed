"""The pages of the site: each is in its contents, and each link leads to a page that is there."""

from __future__ import annotations

import re
from pathlib import Path

import docs_site
import pytest

CONTENTS = (docs_site.REPOSITORY / "mkdocs.yml").read_text()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    docs_site.collect(folder)
    return folder


def test_every_page_is_in_the_contents_and_the_other_way_round(pages: Path) -> None:
    listed = set(re.findall(r": (\S+\.md)$", CONTENTS, re.MULTILINE))
    assert {page for page in listed if not (pages / page).exists()} == set()
    written = {f"docs/{path.name}" for path in (docs_site.REPOSITORY / "docs").glob("*.md")}
    assert written - listed == set()


def test_every_link_leads_to_a_page_of_the_site(pages: Path) -> None:
    for page in pages.rglob("*.md"):
        text = re.sub(r"(?ms)^(```|~~~~).*?^\1|`[^`\n]*`", "", page.read_text())
        for link in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", text):
            assert (page.parent / link).is_file(), (page, link)


def test_a_source_file_is_a_page_and_a_bar_in_a_table_has_no_backslash(pages: Path) -> None:
    assert "~~~~python\n" in (pages / "tests" / "unit" / "test_git.py.md").read_text()
    assert (
        "test_git.py.md)"
        in (pages / "docs" / "promises.md").read_text() + (pages / "docs" / "reliability.md").read_text()
    )
    commands = (pages / "docs" / "commands.md").read_text()
    assert "<code>--backend [docker&#124;local&#124;auto]</code>" in commands
