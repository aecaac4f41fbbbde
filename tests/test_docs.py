"""The documentation against what it is about."""

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import tables  # noqa: E402, a hook of MkDocs and no module of the package

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readmes_table_is_that_of_the_manifest():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert tables.with_tables(readme) == readme, "run `python docs/tables.py`"
    assert len(readme.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    for link in links:
        if not link.startswith("https://"):
            assert (page.parent / link).exists(), f"{page}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tables_named_on_a_page_exist(page):
    text = tables.on_page_markdown(page.read_text(encoding="utf-8"))
    assert "{{" not in text


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_rows_of_a_table_have_as_many_cells_as_its_head(name):
    lines = tables.TABLES[name]().splitlines()
    assert len(lines) > 2
    assert len({line.count("|") for line in lines}) == 1
