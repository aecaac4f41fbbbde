"""The built documentation: links, figures, and pages on wide and on narrow screens."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
WIDTHS = (1280, 390)  # CSS pixels: of a notebook's screen and of a telephone's


class Page(HTMLParser):
    """What a page refers to, what can be referred to on it, and its figures."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.images: list[dict[str, str | None]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        """Keep what the tag refers to and its name."""
        attributes = dict(attrs)
        self.targets += [attributes[key] or "" for key in ("href", "src") if key in attributes]
        self.anchors.add(attributes.get("id") or "")
        if tag == "img":
            self.images.append(attributes)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of the documentation by path, built as `launch/docs.sh` builds it."""
    pytest.importorskip("mkdocs")
    site = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", f"--site-dir={site}"]
    subprocess.run(command, check=True, cwd=ROOT, timeout=300)
    found = {path: Page(path) for path in sorted(site.rglob("index.html"))}
    assert len(found) > 20
    return found


def test_links_and_figures_of_every_page_lead_somewhere(pages):
    wrong = []
    for path, page in pages.items():
        for target in page.targets:
            url = urlsplit(target)
            if url.scheme or url.netloc:
                continue
            file = (path.parent / unquote(url.path)).resolve() if url.path else path
            file = file / "index.html" if file.is_dir() else file
            missing = file in pages and unquote(url.fragment) not in pages[file].anchors | {""}
            if not file.is_file() or missing:
                wrong.append(f"{path}: {target}")
    assert not wrong


def test_every_figure_has_a_text_for_those_who_do_not_see_it(pages):
    texts = [image.get("alt") or "" for page in pages.values() for image in page.images]
    assert len(texts) > 5
    assert all(len(text.split()) > 3 for text in texts)


def test_no_page_needs_scrolling_sideways(pages, browser):
    wide = []
    for path in pages:
        browser.get(path.as_uri())
        for width in WIDTHS:
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            if browser.execute_script("return document.documentElement.scrollWidth > innerWidth"):
                wide.append(f"{path}: {width}")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert not wide
