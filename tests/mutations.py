"""Image files to try a reader with: real ones, and what becomes of them by damage and by malice.

Variant number `i` of a seed is always the same file and the same options.
"""

import dataclasses
import functools
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageCms

Random = np.random.Generator

JPEG_MODES = ("L", "RGB", "RGB", "RGB", "RGB", "CMYK")
OTHER_FORMATS = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "F"),
    "GIF": ("L", "P"),
    "BMP": ("1", "L", "P", "RGB"),
    "JPEG2000": ("L", "RGB", "RGBA"),
    "AVIF": ("RGB", "RGBA"),
}
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
LARGE = 10**6  # bytes: a file above it takes seconds, so it comes rarely


@dataclasses.dataclass(frozen=True)
class Variant:
    """A file to restore.

    Attributes:
      data: its bytes.
      history: what it was and what was done to it.
      options: for the command, beside its name.
      suffix: of the result.
    """

    data: bytes
    history: tuple[str, ...]
    options: tuple[str, ...]
    suffix: str


def make_variant(seed: int, number: int, wild: Path | None) -> Variant:
    """Make a variant; `wild` is the folder with the wild set, where there is one."""
    random = np.random.default_rng((seed, number))
    name, data = wild_file(random, wild) if wild and random.random() < 0.3 else new_file(random)
    history = [name]
    for _ in range(random.choice(5, p=[0.08, 0.47, 0.25, 0.12, 0.08])):
        mutation = MUTATIONS[random.integers(len(MUTATIONS))]
        data = mutation(data, random)
        history.append(mutation.__name__)
    options = [
        option
        for option, share in {
            "--salvage": 0.5,
            "--chroma": 0.4,
            "--consistent": 0.1,
            "--ensemble": 0.05,
            "--strip": 0.2,
            "--compare": 0.1,
            "--explain": 0.2,
            "--qf=20": 0.3,
            "--output-quality=70": 0.1,
            "--subsampling=4:2:0": 0.1,
        }.items()
        if random.random() < share
    ]
    suffix = str(random.choice([".png", ".jpg", ".webp", ".tif"], p=[0.55, 0.15, 0.15, 0.15]))
    return Variant(data, tuple(history), tuple(options), suffix)


def wild_file(random: Random, folder: Path) -> tuple[str, bytes]:
    paths = sorted(path for path in folder.iterdir() if path.suffix != ".tsv")
    small = [path for path in paths if path.stat().st_size < LARGE]
    path = (paths if random.random() < 0.1 else small)[random.integers(1000) % len(small)]
    return path.name, path.read_bytes()


@functools.cache
def photographs() -> list[Image.Image]:
    return [
        Image.fromarray(picture)
        for picture in (skimage.data.astronaut(), skimage.data.camera(), skimage.data.coffee())
    ]


def new_file(random: Random) -> tuple[str, bytes]:
    """Save a piece of a photograph in one of the ways that files are saved in."""
    photograph = photographs()[random.integers(len(photographs()))]
    width, height = (int(2 ** random.uniform(0, 8.2)) for _ in range(2))
    left, top = (int(random.integers(limit - 300)) for limit in photograph.size)
    picture = photograph.crop((left, top, left + width, top + height))
    if random.random() < 0.15:
        kind = str(random.choice(list(OTHER_FORMATS)))
        mode = str(random.choice(OTHER_FORMATS[kind]))
        options = metadata(random) if kind in ("PNG", "WEBP", "TIFF") else {}
        return f"{kind} {mode} {width}x{height}", saved(in_mode(picture, mode), kind, options)
    mode = str(random.choice(JPEG_MODES))
    options = metadata(random) | {
        "quality": int(random.integers(1, 101)),
        "progressive": bool(random.random() < 0.3),
        "optimize": bool(random.random() < 0.3),
    }
    if mode == "RGB":
        options["subsampling"] = str(random.choice(["4:4:4", "4:2:2", "4:2:0", "4:1:1"]))
        options["keep_rgb"] = bool(random.random() < 0.1)
        if options["keep_rgb"]:
            del options["subsampling"]
    if random.random() < 0.3:
        options["restart_marker_blocks"] = int(random.integers(1, 20))
    return f"JPEG {mode} {width}x{height}", saved(in_mode(picture, mode), "JPEG", options)


def in_mode(picture: Image.Image, mode: str) -> Image.Image:
    if mode == "I;16":
        return Image.fromarray(np.array(picture.convert("L")).astype(np.uint16) * 257)
    return picture.convert("RGB").convert(mode)


def saved(picture: Image.Image, kind: str, options: dict) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=kind, **options)
    return file.getvalue()


def metadata(random: Random) -> dict:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = int(random.integers(0, 11)), "a camera"
    exif.get_ifd(0x8769)[0x829A] = 0.5
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    choices = {"exif": exif.tobytes(), "icc_profile": icc, "xmp": XMP, "dpi": (300, 300)}
    return {name: value for name, value in choices.items() if random.random() < 0.3}


def cut_short(data: bytes, random: Random) -> bytes:
    return data[: random.integers(len(data) + 1)]


def flip_bits(data: bytes, random: Random) -> bytes:
    """Anywhere, or among the first bytes, where the headers are."""
    values = np.frombuffer(data, np.uint8).copy()
    reach = min(len(values), int(random.choice([64, 700, 10**9])))
    for _ in range(random.integers(1, 20) if reach else 0):
        values[random.integers(reach)] ^= 1 << random.integers(8)
    return values.tobytes()


def set_bytes(data: bytes, random: Random) -> bytes:
    """Overwrite a few bytes in a row with noise, zeros or 0xFF."""
    start, count = random.integers(len(data) + 1), random.integers(1, 65)
    noise = random.choice([random.bytes(count), bytes(count), b"\xff" * count])
    return data[:start] + bytes(noise) + data[start + count :]


def insert_bytes(data: bytes, random: Random) -> bytes:
    start = random.integers(len(data) + 1)
    return data[:start] + random.bytes(random.integers(1, 65)) + data[start:]


def remove_bytes(data: bytes, random: Random) -> bytes:
    start = random.integers(len(data) + 1)
    return data[:start] + data[start + random.integers(1, 2000) :]


def splice(data: bytes, random: Random) -> bytes:
    """Go on with the rest of another file."""
    _, other = new_file(random)
    return data[: random.integers(len(data) + 1)] + other[random.integers(len(other) + 1) :]


def append(data: bytes, random: Random) -> bytes:
    return data + random.bytes(random.integers(1, 3000))


def segments(data: bytes) -> list[tuple[int, int]]:
    """Where the marker segments of a JPEG file before its first scan begin and end."""
    found, position = [], 2
    while data[position : position + 1] == b"\xff" and len(data) >= position + 4:
        end = position + 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        found.append((position, min(end, len(data))))
        if data[position + 1] == 0xDA:
            break
        position = end
    return found


def a_segment(data: bytes, random: Random, markers: bytes = b"") -> tuple[int, int] | None:
    places = [place for place in segments(data) if not markers or data[place[0] + 1] in markers]
    return places[random.integers(len(places))] if places else None


FRAMES = bytes([0xC0, 0xC1, 0xC2, 0xC9, 0xCA])


def change_marker(data: bytes, random: Random) -> bytes:
    if (place := a_segment(data, random)) is None:
        return data
    marker = int(random.choice([*range(0xC0, 0x100)]))
    return data[: place[0] + 1] + bytes([marker]) + data[place[0] + 2 :]


def change_length(data: bytes, random: Random) -> bytes:
    if (place := a_segment(data, random)) is None:
        return data
    length = int(random.choice([0, 1, 2, 3, 65535, int(random.integers(65536))]))
    return data[: place[0] + 2] + length.to_bytes(2, "big") + data[place[0] + 4 :]


def repeat_segment(data: bytes, random: Random) -> bytes:
    if (place := a_segment(data, random)) is None:
        return data
    return (
        data[: place[1]] + data[place[0] : place[1]] * int(random.integers(1, 4)) + data[place[1] :]
    )


def drop_segment(data: bytes, random: Random) -> bytes:
    if (place := a_segment(data, random)) is None:
        return data
    return data[: place[0]] + data[place[1] :]


def move_segment(data: bytes, random: Random) -> bytes:
    if (place := a_segment(data, random)) is None:
        return data
    moved, rest = data[place[0] : place[1]], data[: place[0]] + data[place[1] :]
    target = a_segment(rest, random) or (2, 2)
    return rest[: target[0]] + moved + rest[target[0] :]


def change_size(data: bytes, random: Random) -> bytes:
    if (place := a_segment(data, random, FRAMES)) is None:
        return data
    start = place[0] + 5 + 2 * int(random.integers(2))
    old = int.from_bytes(data[start : start + 2], "big")
    new = int(random.choice([0, 1, old - 1, old + 1, old // 2, old * 2, 65535, 4000])) % 65536
    return data[:start] + new.to_bytes(2, "big") + data[start + 2 :]


def change_frame(data: bytes, random: Random) -> bytes:
    """Change the precision, the number of components, or what one of them is."""
    if (place := a_segment(data, random, FRAMES)) is None:
        return data
    frame = bytearray(data[place[0] : place[1]])
    where = int(random.choice([4, 9, *range(10, max(11, len(frame)))]))
    if where < len(frame):
        frame[where] = int(random.choice([0, 1, 2, 3, 4, 0x11, 0x12, 0x21, 0x22, 0x41, 0x44, 0xFF]))
    return data[: place[0]] + bytes(frame) + data[place[1] :]


def change_tables(data: bytes, random: Random) -> bytes:
    """New quantisation steps in the place of some, zeros among them."""
    if (place := a_segment(data, random, b"\xdb")) is None:
        return data
    table = bytearray(data[place[0] : place[1]])
    for _ in range(random.integers(1, 65)):
        where = random.integers(4, max(5, len(table)))
        if where < len(table):  # another mutation may have cut it off
            table[where] = int(random.choice([0, 1, 2, 99, 255]))
    return data[: place[0]] + bytes(table) + data[place[1] :]


def add_segment(data: bytes, random: Random) -> bytes:
    """Metadata of no sense, under the names that readers look at."""
    marker, head = [
        (0xE0, b"JFIF\0"),
        (0xE1, b"Exif\0\0II*\0\x08\0\0\0"),
        (0xE1, b"Exif\0\0MM\0*\0\0\0\x08"),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0"),
        (0xE2, b"ICC_PROFILE\0\x01\x01"),
        (0xE2, b"ICC_PROFILE\0\x02\x03"),
        (0xE2, b"MPF\0II*\0\x08\0\0\0"),
        (0xED, b"Photoshop 3.0\x008BIM"),
        (0xEE, b"Adobe"),
        (0xDD, b""),
        (0xFE, b"comment"),
    ][random.integers(11)]
    body = head + random.bytes(int(random.choice([0, 2, 7, 40, 3000])))
    segment = bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body
    place = a_segment(data, random) or (2, 2)
    return data[: place[0]] + segment + data[place[0] :]


MUTATIONS: list[Callable[[bytes, Random], bytes]] = [
    cut_short, flip_bits, flip_bits, set_bytes, insert_bytes, remove_bytes, splice, append,
    change_marker, change_length, repeat_segment, drop_segment, move_segment, change_size,
    change_size, change_frame, change_tables, add_segment, add_segment,
]  # fmt: skip
