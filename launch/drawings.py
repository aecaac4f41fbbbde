"""Draw 24 screenshots, drawings and texts: ``python launch/drawings.py FOLDER``.

They show what networks trained on photographs never saw: flat areas, sharp edges, one-pixel lines,
text in Pillow's own font. The pixels are the same wherever Pillow is the same; heights and widths
are odd, and two pictures are grey.
"""

import argparse
import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Draw = Callable[[np.random.Generator], Image.Image]

WORDS = (
    "the quick brown fox jumps over lazy dogs while rivers carry light to quiet harbours and "
    "engines count 0123456789 sums of 3.14159 and 2.71828 (see below) [1] {x} <y> a+b=c; 50 % & on"
).split()
PALE = ["#ffffff", "#fafafa", "#f0f4f8", "#fffbe6", "#eef7ee"]
DARK = ["#000000", "#1e1e1e", "#202124", "#0b2545", "#3b1f2b"]
VIVID = ["#d62828", "#1d7a46", "#1565c0", "#f4a300", "#7b2cbf", "#00a3a3", "#ff0000", "#0000ff"]


def drawings() -> dict[str, npt.NDArray[np.uint8]]:
    """Return the pictures by name: uint8 [h, w] or, in RGB, [h, w, 3]."""
    kinds: list[Draw] = [text, window, chart, map_of_streets, diagram, table, icons, gradient]
    pictures = {}
    for draw in kinds:
        for number in range(3):
            generator = np.random.default_rng([kinds.index(draw), number])
            image = draw(generator)
            if number == 2 and draw in (text, diagram):
                image = image.convert("L")
            pictures[f"{draw.__name__}-{number + 1}"] = np.asarray(image)
    return pictures


def text(generator: np.random.Generator) -> Image.Image:
    """Draw a page of text, dark on pale or pale on dark, at several sizes."""
    paper, ink = _pair(generator)
    image, pen = _blank(generator, paper)
    y = 8
    while y < image.height - 12:
        size = int(generator.choice([10, 12, 14, 18, 26]))
        line = " ".join(generator.choice(WORDS, 14))
        pen.text((9, y), line, fill=ink, font=ImageFont.load_default(size))
        y += round(size * 1.4)
    return image


def window(generator: np.random.Generator) -> Image.Image:
    """Draw a window with title, menu, side bar, lines of code and buttons."""
    paper, ink = _pair(generator)
    image, pen = _blank(generator, paper)
    accent, font = _one(generator, VIVID), ImageFont.load_default(12)
    width, height = image.size
    pen.rectangle((0, 0, width, 21), fill=accent)
    pen.text((8, 4), " ".join(generator.choice(WORDS, 4)), fill="#ffffff", font=font)
    pen.rectangle((0, 22, 90, height), fill="#d9dde3")
    for y in range(30, height - 40, 17):
        pen.text((6, y), str(generator.choice(WORDS)), fill="#222222", font=font)
        x = 100 + 14 * int(generator.integers(4))
        for word in generator.choice(WORDS, int(generator.integers(1, 6))):
            colour = _one(generator, [*VIVID, ink, ink, ink])
            pen.text((x, y), str(word), fill=colour, font=font)
            x += 7 * len(word) + 8
    for x in (width - 90, width - 170):
        box = (x, height - 30, x + 70, height - 8)
        pen.rounded_rectangle(box, 5, fill=accent, outline=ink)
        pen.text((x + 18, height - 26), "Apply", fill="#ffffff", font=font)
    return image


def chart(generator: np.random.Generator) -> Image.Image:
    """Draw axes, a grid, bars and curves one to three pixels wide, with labels."""
    image, pen = _blank(generator, "#ffffff")
    width, height = image.size
    font = ImageFont.load_default(10)
    for i in range(8):
        y = 20 + i * (height - 50) // 7
        pen.line((40, y, width - 10, y), fill="#dddddd")
        pen.text((8, y - 6), f"{100 - 12 * i}", fill="#333333", font=font)
    for i, x in enumerate(range(52, width - 40, 34)):
        top = int(generator.integers(30, height - 60))
        pen.rectangle((x, top, x + 20, height - 30), fill=VIVID[i % 5])
        pen.text((x, height - 26), str(2000 + i), fill="#333333", font=font)
    for colour in generator.choice(VIVID, 3, replace=False):
        phase, high = generator.random() * 6, int(generator.integers(20, 70))
        points = [
            (x, round(height / 2 + high * math.sin(x / 37 + phase))) for x in range(40, width - 10)
        ]
        pen.line(points, fill=str(colour), width=int(generator.integers(1, 4)))
    pen.line((40, 10, 40, height - 30, width - 10, height - 30), fill="#000000")
    return image


def map_of_streets(generator: np.random.Generator) -> Image.Image:
    """Draw blocks, water, and streets with names."""
    image, pen = _blank(generator, "#f2efe9")
    width, height = image.size
    for _ in range(30):
        x, y = int(generator.integers(width)), int(generator.integers(height))
        w, h = (int(side) for side in generator.integers(15, 80, 2))
        fill = _one(generator, ["#c8facc", "#d9d0c9", "#aad3df", "#f7e6c4"])
        pen.rectangle((x, y, x + w, y + h), fill=fill, outline="#b9a99c")
    for _ in range(14):
        ends = [tuple(int(v) for v in generator.integers((0, 0), (width, height))) for _ in "ab"]
        pen.line(ends, fill="#888888", width=9)
        pen.line(ends, fill=_one(generator, ["#ffffff", "#fcd6a4", "#e892a2"]), width=7)
    for _ in range(12):
        place = tuple(int(v) for v in generator.integers((0, 0), (width - 60, height - 14)))
        name = str(generator.choice(WORDS)).title()
        pen.text(place, name, fill="#333333", font=ImageFont.load_default(11))
    return image


def diagram(generator: np.random.Generator) -> Image.Image:
    """Draw boxes and ellipses joined by lines."""
    image, pen = _blank(generator, _one(generator, PALE))
    width, height = image.size
    places = [(int(generator.integers(60, width - 60)), 40 + 52 * i) for i in range(height // 60)]
    for here, there in itertools.pairwise(places):
        pen.line((*here, *there), fill="#000000", width=2)
    for i, (x, y) in enumerate(places):
        shape = pen.ellipse if i % 2 else pen.rectangle
        fill = _one(generator, [*VIVID, "#ffffff", "#ffe8a3"])
        shape((x - 50, y - 17, x + 50, y + 17), fill=fill, outline="#000000", width=2)
        pen.text((x - 30, y - 7), str(generator.choice(WORDS)), fill="#000000")
    return image


def table(generator: np.random.Generator) -> Image.Image:
    """Draw rows of numbers between one-pixel lines, every second row shaded."""
    image, pen = _blank(generator, "#ffffff")
    width, height = image.size
    font = ImageFont.load_default(11)
    shade = _one(generator, ["#eef3fa", "#f4f4f4", "#fff2d8"])
    for row, y in enumerate(range(4, height - 18, 18)):
        if row % 2:
            pen.rectangle((4, y, width - 5, y + 17), fill=shade)
        for x in range(10, width - 50, 62):
            ink = "#c00000" if generator.random() < 0.2 else "#111111"
            pen.text((x, y + 2), f"{generator.normal(0, 900):.1f}", fill=ink, font=font)
        pen.line((4, y, width - 5, y), fill="#b0b0b0")
    return image


def icons(generator: np.random.Generator) -> Image.Image:
    """Draw flat, vividly coloured symbols on a background, including discs and stars."""
    image, pen = _blank(generator, _one(generator, [*PALE, *DARK]))
    for top in range(8, image.height - 50, 56):
        for left in range(8, image.width - 50, 56):
            fill, inner = generator.choice([*VIVID, "#ffffff", "#000000"], 2, replace=False)
            pen.rounded_rectangle((left, top, left + 46, top + 46), 9, fill=str(fill))
            x, y, radius = left + 23, top + 23, int(generator.integers(9, 19))
            if generator.random() < 0.4:
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=str(inner))
                continue
            corners = int(generator.integers(3, 7))
            points = [
                (
                    x + radius * (1 - 0.5 * (i % 2)) * math.sin(math.pi * i / corners),
                    y - radius * (1 - 0.5 * (i % 2)) * math.cos(math.pi * i / corners),
                )
                for i in range(2 * corners)
            ]
            pen.polygon(points, fill=str(inner))
    return image


def gradient(generator: np.random.Generator) -> Image.Image:
    """Draw a slide: a smooth colour gradient, without noise, behind a headline and lines."""
    width, height = _size(generator)
    y, x = np.mgrid[:height, :width]
    first, last = generator.integers(0, 256, (2, 3))
    angle = generator.random() * 2 * math.pi
    along = x * math.cos(angle) + y * math.sin(angle)
    along = (along - along.min()) / (along.max() - along.min())
    pixels = np.rint(first + along[..., None] * (last - first)).astype(np.uint8)
    image = Image.fromarray(pixels)
    pen = ImageDraw.Draw(image)
    pen.text((22, 30), "Results of 2026", fill="#ffffff", font=ImageFont.load_default(34))
    for i in range(4):
        line = " ".join(generator.choice(WORDS, 5))
        pen.text((30, 96 + 30 * i), f"- {line}", fill="#ffffff", font=ImageFont.load_default(17))
    return image


def _blank(generator: np.random.Generator, paper: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", _size(generator), paper)
    return image, ImageDraw.Draw(image)


def _size(generator: np.random.Generator) -> tuple[int, int]:
    """Return a width and height, both odd."""
    width, height = generator.integers((190, 140), (250, 190))
    return 2 * int(width) + 1, 2 * int(height) + 1


def _pair(generator: np.random.Generator) -> tuple[str, str]:
    """Return paper and ink, two colours that contrast well."""
    paper, ink = _one(generator, PALE), _one(generator, DARK)
    return (ink, paper) if generator.random() < 0.3 else (paper, ink)


def _one(generator: np.random.Generator, colours: list[str]) -> str:
    return str(generator.choice(colours))


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="for the PNG files")
    return parser


if __name__ == "__main__":
    folder = make_parser().parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in drawings().items():
        Image.fromarray(pixels).save(folder / f"{name}.png")
