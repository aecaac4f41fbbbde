"""The documentation against what it is about."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import cards  # noqa: E402, no module of the package, as the next, a hook of MkDocs
import tables  # noqa: E402

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda path: path.name)
def test_the_tables_of_a_page_are_up_to_date(page):
    text = page.read_text(encoding="utf-8")
    assert tables.with_tables(text) == text, "run `python docs/tables.py`"


@pytest.mark.parametrize("name", tables.TABLES)
def test_every_table_is_on_a_page(name):
    marks = f"<!-- table: {name} -->\n", "\n<!-- end -->"
    assert any(all(m in page.read_text(encoding="utf-8") for m in marks) for page in tables.PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text)
    for link in links:
        if not link.startswith("https://"):
            assert (page.parent / link).exists(), f"{page}: {link}"


@pytest.mark.parametrize("name", sorted(tables.TABLES))
def test_rows_of_a_table_have_as_many_cells_as_its_head(name):
    lines = tables.TABLES[name]().splitlines()
    assert len(lines) > 2
    assert len({line.count("|") for line in lines}) == 1


def test_no_line_of_a_page_breaks_within_an_option_or_before_a_slash():
    html = tables.on_page_content("<td>1 / 2 ± 3</td><p><code>a --b</code></p>")
    a, b = (f'<span class="word">{word}</span>' for word in ("a", "--b"))
    assert html == f"<td>1&nbsp;/ 2&nbsp;± 3</td><p><code>{a} {b}</code></p>"
    block = "<pre><span></span><code>a --b\n</code></pre>"
    assert tables.on_page_content(block) == block


def test_every_network_that_ships_has_its_card():
    text = (ROOT / "docs/cards.md").read_text(encoding="utf-8")
    assert cards.page(tables.manifest()) == text, "run `python docs/cards.py`"
    names = re.findall(r"^## (\S+)$", text, re.MULTILINE)
    assert sorted(names) == sorted(tables.manifest())


def test_a_card_has_all_that_the_manifest_knows():
    """Of a network for colour that was fine-tuned twice, on a machine that told of itself."""
    manifest = json.loads(json.dumps(tables.manifest()))
    entry = manifest["cascnn-qf20"]
    entry["model"] |= {"channels": 3, "condition": 2}
    entry["qualities"] = [5, 100]
    entry |= {"wall_time": 5400.5, "versions": {"jax": "1.2"}, "revision": "abc"}
    rgb = {"dataset": "live1", "qf": 10, "channels": 3, "ssim_gaussian": 0.7654, "psnrb": 25.0}
    spread = {"ipsnr_se": 0.123, "ipsnr_min": -0.3, "ipsnr_max": 2.5}
    jpeg, restored = ({"method": m, "psnr": p} | rgb for m, p in (("jpeg", 25.0), ("cascnn", 26.5)))
    entry["scores"] += [jpeg, restored | spread]
    entry["multiscale"] = {"scores": entry["scores"], "cutouts": 1200}
    entry["learning_curve"] = [[100 * i, i / 40] for i in range(41)]
    card = cards.card("cascnn-qf20", manifest)
    for expected in (
        "Y, Cb and Cr and the quantisation tables of JPEGs at qualities 5 to 100",
        "| wall time | 1 h 31 min |",
        "| versions | jax 1.2 |",
        "| LIVE1 in RGB, 10 | 25.00 / 25.00 / 0.765 | 26.50 / 25.00 / 0.765 "
        "| +1.50 ± 0.12 (-0.30 to +2.50) |",
        "| cut-outs seen | 0 |",
        " | 4,000 |",
        "With the multi-scale loss alone, for 1,200 cut-outs: LIVE1, 20 ",
        "| earlier training | 1,800 steps, 14,400 cut-outs, 2026-11-25: ",
    ):
        assert expected in card
    assert "Y, Cb" not in cards.card("cascnn-qf10", manifest)
    assert cards.page(manifest).count("\n## ") == len(manifest)


def test_the_peers_stand_beside_the_networks_that_ship():
    """To 0.02 dB, where no picture of a table or figure changes: else score them again."""
    for line in json.loads((ROOT / "docs/peers.json").read_text(encoding="utf-8")):
        if line["method"] == "CAS-CNN" and line["pictures"] == "luma":
            ours = tables.of_shipped("CAS-CNN FT", line["qf"])
            assert line["psnr"] == pytest.approx(ours["psnr"], abs=0.02), "METHODS=cascnn peers.sh"
