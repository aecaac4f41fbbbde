"""The page of the report in a real browser: it shows what it should and loads nothing else."""

import io

import numpy as np
import pytest
from PIL import Image
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from casjax.images import write_png
from casjax.report import table
from casjax.report.figures import Figure
from casjax.report.layout import Table
from casjax.report.page import page
from casjax.report.runs import Run, Score

NONE = Table([], [])
LEVELS = {"jpeg": 40, "cascnn": 200, "clean": 120}  # a flat picture of each kind


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    """A page of two pairs of pictures, one figure and the table without results but JPEG's."""
    folder = tmp_path_factory.mktemp("page")
    for kind, level in LEVELS.items():
        write_png(folder / f"{kind}.png", np.full((64, 96), level, np.uint8))
    common = {"dataset": "live1", "qf": 20, "psnr": 30.0, "psnrb": 29.0, "ssim": 0.9, "ipsnr": 0.5}
    rows = [common | {"method": method} for method in ("jpeg", "cascnn")]
    images = [
        row
        | {"image": name, "height": 64, "width": 96}
        | {"picture": f"{row['method']}.png", "clean": "clean.png"}
        for row in rows
        for name in ("bikes.bmp", "<caps>.bmp")
    ]
    run = Run("run", folder, rows, images, [], None, [], None)
    for theme, level in (("light", 255), ("dark", 16)):
        write_png(folder / f"figure3-{theme}.png", np.full((30, 40), level, np.uint8))
    figure = Figure(folder / "figure3", ".png", "Figure 3: a title", "A caption & more.")
    (folder / "index.html").write_text(
        page(
            {
                "table": table.shown(table.table([run])),
                **dict.fromkeys(("others", "peers", "colour", "twice"), NONE),
            },
            figures=[figure],
            missing=["Figure 4: <nothing>"],
            score=Score(run, rows[1]),
            name="CAS-CNN",
        ),
        encoding="utf-8",
    )
    return folder / "index.html"


@pytest.fixture
def opened(browser, html):
    """The browser, with the page just loaded."""
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    browser.set_window_size(1200, 900)
    browser.get(html.as_uri())
    return browser


def shown(pair):
    """What is to be seen of a pair's pictures: grey levels at 1/4 and 3/4 of the width."""
    stage = pair.find_element(By.CLASS_NAME, "stage")
    pixels = np.asarray(Image.open(io.BytesIO(stage.screenshot_as_png)).convert("L"))
    height, width = pixels.shape
    return pixels[height // 2, width // 4], pixels[height // 2, 3 * width // 4]


def test_everything_is_in_the_file_and_without_errors(opened):
    images = opened.find_elements(By.TAG_NAME, "img")
    assert len(images) == 1 + 2 * 3
    assert all(image.get_property("naturalWidth") in (40, 96) for image in images)
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert opened.get_log("browser") == []
    text = opened.find_element(By.TAG_NAME, "body").text
    assert "30.00 / 30.07 (-0.07)" in text
    assert "no result yet" in text
    assert "Figure 4: <nothing>" in text
    assert "<caps>" in text


def test_the_line_moves_by_keyboard_and_mouse(opened):
    pair = opened.find_element(By.CLASS_NAME, "pair")
    slider = pair.find_element(By.CSS_SELECTOR, "input[type=range]")
    assert shown(pair) == (LEVELS["jpeg"], LEVELS["cascnn"])
    slider.send_keys(Keys.HOME)
    assert shown(pair) == (LEVELS["cascnn"], LEVELS["cascnn"])
    slider.send_keys(Keys.END)
    assert shown(pair) == (LEVELS["jpeg"], LEVELS["jpeg"])
    slider.send_keys(Keys.ARROW_LEFT)
    assert slider.get_attribute("aria-valuetext").startswith("99 %")
    slider.click()  # in its middle
    assert shown(pair) == (LEVELS["jpeg"], LEVELS["cascnn"])


def test_every_control_is_reached_by_tab_and_has_a_name(opened):
    opened.find_element(By.CSS_SELECTOR, "nav a:last-child").send_keys("")
    names = []
    for _ in range(1 + 2 * 3):  # the table, and three controls for each pair
        opened.switch_to.active_element.send_keys(Keys.TAB)
        names.append(opened.switch_to.active_element.accessible_name.strip())
    assert all(names)
    for name in ("bikes: share of JPEG", "uncompressed on the right", "bikes large"):
        assert name in names


def test_the_clean_picture_can_be_shown(opened):
    first, second = opened.find_elements(By.CLASS_NAME, "pair")
    checkbox = first.find_element(By.CLASS_NAME, "show-clean")
    checkbox.send_keys(Keys.SPACE)
    assert shown(first) == (LEVELS["jpeg"], LEVELS["clean"])
    assert shown(second) == (LEVELS["jpeg"], LEVELS["cascnn"])


def test_a_pair_can_be_made_large(opened):
    pair = opened.find_element(By.CLASS_NAME, "pair")
    before = pair.size["width"]
    button = pair.find_element(By.TAG_NAME, "button")
    button.send_keys(Keys.ENTER)
    assert button.get_attribute("aria-pressed") == "true"
    assert pair.size["width"] > 1.5 * before
    assert shown(pair) == (LEVELS["jpeg"], LEVELS["cascnn"])


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_and_its_figures_follow_the_theme(opened, theme):
    feature = {"name": "prefers-color-scheme", "value": theme}
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    image = opened.find_element(By.CSS_SELECTOR, "picture img")
    level = {"light": 255, "dark": 16}[theme]
    WebDriverWait(opened, 20).until(
        lambda _: (
            Image.open(io.BytesIO(image.screenshot_as_png)).convert("L").getpixel((9, 9)) == level
        )  # the other file is decoded after the theme has changed
    )
    body = opened.find_element(By.TAG_NAME, "body")
    bright = [
        sum(int(c) for c in body.value_of_css_property(p).strip("rgba()").split(",")[:3]) > 384
        for p in ("color", "background-color")
    ]
    assert bright == [theme == "dark", theme == "light"]


def test_a_narrow_window_needs_no_scrolling_sideways(opened):
    opened.set_window_size(500, 800)
    wide = opened.execute_script("return document.documentElement.scrollWidth > innerWidth")
    assert not wide
