"""Files of every kind that people keep in folders, good and bad, and the size of a JPEG."""

import errno
import io
import os
import struct
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image, ImageCms, ImageFile, ImageOps
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational

from casjax.color import rgb_to_luma
from casjax.images import (
    UnreadableImageError,
    find_images,
    photographs,
    read_luma,
    read_rgb,
    write_png,
)
from casjax.images.depth import bits_per_sample
from casjax.images.exif import PREFIX, is_adobe_rgb
from casjax.images.iptc import to_raw_profile
from casjax.images.kinds import kind_of
from casjax.images.metadata import Metadata, upright
from casjax.images.photographs import Photograph, count_frames, read_photograph
from casjax.images.segments import read_header
from casjax.images.writing import SUFFIXES, encode

COLOUR = skimage.data.astronaut()[:90, 200:310]
GREY = skimage.data.camera()[:90, 200:310]


def save(path: Path, image: Image.Image, **options) -> Path:
    image.save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".pgm", ".tif", ".webp", ".gif"])
def test_grey_is_taken_as_it_is(tmp_path: Path, suffix: str):
    path = save(tmp_path / f"grey{suffix}", Image.fromarray(GREY), lossless=True)
    assert np.array_equal(read_luma(path), GREY)


def test_grey_stored_as_colour_is_the_same_grey(tmp_path: Path):
    path = save(tmp_path / "grey.png", Image.fromarray(GREY).convert("RGB"))
    assert np.array_equal(read_luma(path), GREY)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".tif", ".webp"])
def test_colour_becomes_matlab_luma(tmp_path: Path, suffix: str):
    path = save(tmp_path / f"colour{suffix}", Image.fromarray(COLOUR), lossless=True)
    luma = read_luma(path)
    assert luma.dtype == np.uint8
    assert np.array_equal(luma, rgb_to_luma(COLOUR))


def test_colour_is_read_as_it_is_and_grey_has_three_channels(tmp_path: Path):
    colour = save(tmp_path / "rgb.png", Image.fromarray(COLOUR))
    grey = save(tmp_path / "grey.png", Image.fromarray(GREY))
    palette = save(tmp_path / "palette.png", Image.fromarray(COLOUR).quantize(16))
    assert np.array_equal(read_rgb(colour), COLOUR)
    assert np.array_equal(read_rgb(grey), np.stack([GREY] * 3, axis=-1))
    assert np.array_equal(read_rgb(palette), Image.open(palette).convert("RGB"))


def test_transparency_is_dropped(tmp_path: Path):
    alpha = Image.linear_gradient("L").resize(COLOUR.shape[1::-1])
    colour, grey = Image.fromarray(COLOUR), Image.fromarray(GREY)
    colour.putalpha(alpha)
    grey.putalpha(alpha)
    assert np.array_equal(read_luma(save(tmp_path / "rgba.png", colour)), rgb_to_luma(COLOUR))
    assert np.array_equal(read_luma(save(tmp_path / "la.png", grey)), GREY)


def test_palette_is_looked_up(tmp_path: Path):
    palette = Image.fromarray(COLOUR).quantize(64)
    expected = rgb_to_luma(np.array(palette.convert("RGB")))
    transparent = bytes(range(0, 256, 4))
    opaque_path = save(tmp_path / "palette.png", palette)
    transparent_path = save(tmp_path / "transparent.png", palette, transparency=transparent)
    assert np.array_equal(read_luma(opaque_path), expected)
    assert np.array_equal(read_luma(transparent_path), expected)


def test_black_and_white(tmp_path: Path):
    path = save(tmp_path / "bits.png", Image.fromarray(GREY > 100))
    assert np.array_equal(read_luma(path), (GREY > 100) * 255)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bits_keep_their_upper_eight(tmp_path: Path, suffix: str):
    deep = GREY.astype(np.uint16) * 256 + 99
    assert np.array_equal(read_luma(save(tmp_path / f"deep{suffix}", Image.fromarray(deep))), GREY)


def test_cmyk_is_converted(tmp_path: Path):
    image = Image.fromarray(COLOUR).convert("CMYK")
    luma = read_luma(save(tmp_path / "ink.tif", image)).astype(int)
    assert np.abs(luma - rgb_to_luma(COLOUR)).max() <= 2


def test_orientation_is_not_applied(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = save(tmp_path / "turned.png", Image.fromarray(GREY), exif=exif)
    assert np.array_equal(read_luma(path), GREY)


def test_float_pixels_are_refused(tmp_path: Path):
    path = save(tmp_path / "float.tif", Image.fromarray(GREY.astype(np.float32)))
    with pytest.raises(UnreadableImageError, match=r"float\.tif: .*32 bits"):
        read_luma(path)


BAD_CONTENTS = {
    "empty.png": b"",
    "text.jpg": b"This is no picture.\n" * 50,
    "eps.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
    "header only.gif": b"GIF89a",
}


@pytest.mark.parametrize("name", BAD_CONTENTS)
def test_files_that_are_no_images(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(BAD_CONTENTS[name])
    assert_refused_in_one_line(tmp_path / name)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif", ".jp2", ".bmp"])
@pytest.mark.parametrize("share", [0.02, 0.5])
def test_truncated_files(tmp_path: Path, suffix: str, share: float):
    path = save(tmp_path / f"größe 1{suffix}", Image.fromarray(COLOUR))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert_refused_in_one_line(path)


def assert_refused_in_one_line(path: Path) -> None:
    with pytest.raises(UnreadableImageError) as raised:
        read_luma(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save(tmp_path / "bomb.png", Image.fromarray(GREY))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", GREY.size // 3)
    with pytest.raises(UnreadableImageError, match="bomb"):
        read_luma(path)


def test_missing_file(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="absent"):
        read_luma(tmp_path / "absent.png")


def test_images_are_found_below_links_and_loops(tmp_path: Path):
    for name in ["b/two.JPG", "a one/ü.png", "b/c/three.tiff", "b/notes.txt", "b/plot.eps"]:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "pictures" / "folder.png").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "four.webp").touch()
    (tmp_path / "pictures" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pictures" / "b" / "up").symlink_to(tmp_path / "pictures")
    (tmp_path / "pictures" / "b" / "itself.png").symlink_to("itself.png")
    (tmp_path / "pictures" / "b" / "dangling.png").symlink_to("absent.png")
    folder = tmp_path / "pictures"
    found = [path.relative_to(folder).as_posix() for path in find_images(folder)]
    assert found == ["a one/ü.png", "b/c/three.tiff", "b/two.JPG", "linked/four.webp"]


def test_missing_folder(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="absent: no such folder"):
        find_images(tmp_path / "absent")


@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_png_is_written_whole(tmp_path: Path, pixels: np.ndarray):
    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    write_png(path, pixels)
    assert np.array_equal(np.array(Image.open(path)), pixels)
    assert os.listdir(tmp_path) == ["out.png"]


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def save_half(image: Image.Image, path: Path, **options):
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    path = tmp_path / "out.png"
    path.write_bytes(b"old")
    monkeypatch.setattr(Image.Image, "save", save_half)
    with pytest.raises(OSError, match="No space"):
        write_png(path, GREY)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["out.png"]


@pytest.mark.parametrize("pixels", [GREY / 255, np.zeros((4, 4, 1), np.uint8), GREY[0]])
def test_other_arrays_are_not_written(tmp_path: Path, pixels: np.ndarray):
    with pytest.raises(ValueError, match=r"out\.png: expected uint8"):
        write_png(tmp_path / "out.png", pixels)


def test_importing_the_module_starts_no_jax():
    code = "import sys, casjax.images; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def photograph_of(image: Image.Image, format: str, **options) -> Photograph:
    file = io.BytesIO()
    image.save(file, format=format, **options)
    return read_photograph(file.getvalue(), name="test", max_pixels=10**6)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "camera"
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, format="PNG", exif=exif)
    photograph = read_photograph(file.getvalue(), name="test", max_pixels=10**6)
    assert photograph.orientation == orientation
    expected = ImageOps.exif_transpose(Image.open(file))
    assert np.array_equal(upright(photograph.pixels, photograph.orientation), expected)
    kept = Image.Exif()
    kept.load(photograph.metadata.exif)
    assert kept.get(0x0112) == 1
    assert kept[0x010F] == "camera"


@pytest.mark.parametrize(
    ("mode", "coding", "has_alpha"),
    [
        ("1", "grey", False),
        ("L", "grey", False),
        ("LA", "grey", True),
        ("P", "RGB", False),
        ("RGB", "RGB", False),
        ("RGBA", "RGB", True),
    ],
)
def test_kinds_of_pixels(mode: str, coding: str, has_alpha: bool):
    photograph = photograph_of(Image.fromarray(COLOUR).convert(mode), "PNG")
    assert photograph.coding == coding
    assert (photograph.alpha is not None) == has_alpha
    assert photograph.header is None


def test_xyb_colours_are_those_of_the_ordinary_file(data_dir: Path):
    """Two files show one picture: its top, which is whole in the one that is cut short."""
    xyb = (data_dir / "wild" / "xyb_icc.jpg").read_bytes()
    photograph = read_photograph(xyb, name="", max_pixels=10**6)
    cut = (data_dir / "wild" / "trunc_10000.jpg").read_bytes()
    other = read_photograph(cut, name="", max_pixels=10**6, salvage=True)
    profile = io.BytesIO(other.metadata.icc)
    ordinary = Image.fromarray(other.pixels, "YCbCr").convert("RGB")
    ordinary = ImageCms.profileToProfile(ordinary, profile, ImageCms.createProfile("sRGB"))
    difference = photograph.pixels[:100].astype(int) - np.array(ordinary)[:100]
    assert np.abs(difference.mean((0, 1))).max() < 1
    assert np.sqrt((difference**2).mean()) < 3


def test_pictures_that_would_not_come_out_right():
    still, moved = Image.new("L", (9, 9)), Image.new("L", (9, 9), 99)
    with pytest.raises(UnreadableImageError, match=r"test: it has 2 frames"):
        photograph_of(still, "GIF", save_all=True, append_images=[moved])
    with pytest.raises(UnreadableImageError, match="of the kind F, expected 8-bit"):
        photograph_of(Image.new("F", (9, 9)), "TIFF")
    with pytest.raises(UnreadableImageError, match="CMYK without an ICC profile"):
        photograph_of(Image.new("CMYK", (9, 9)), "TIFF")
    with pytest.raises(UnreadableImageError, match="test: the file is empty"):
        read_photograph(b"", name="test", max_pixels=1)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_photographs_cut_short(format: str, share: float):
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format=format)
    data = file.getvalue()[: int(share * file.tell())]
    with pytest.raises(UnreadableImageError, match=r"^test: ") as raised:
        read_photograph(data, name="test", max_pixels=10**6)
    assert "\n" not in str(raised.value)


def test_a_png_chunk_without_a_name_is_damage():
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="PNG")
    data = file.getvalue()
    chunk = b"\0\0\0\0" + b"\xfaABC" + zlib.crc32(b"\xfaABC").to_bytes(4, "big")
    data = data[:33] + chunk + data[33:]
    with pytest.raises(UnreadableImageError, match="test: damaged, bytes where text"):
        read_photograph(data, name="test", max_pixels=10**6, salvage=True)


def test_what_only_the_decoder_finds_is_salvaged_and_said():
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="PNG")
    cut = file.getvalue()[: file.tell() // 2]
    photograph = read_photograph(cut, name="test", max_pixels=10**6, salvage=True)
    [note] = photograph.notes
    assert note.startswith("salvaged: ")
    assert np.array_equal(photograph.pixels[:20], COLOUR[:20])
    assert not photograph.pixels[-1].any()


def test_nothing_is_made_up_where_nothing_can_be_decoded():
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="JPEG")
    data = file.getvalue()
    broken = data.replace(b"\xff\xda", b"\xff\xda\0\x03", 1)
    with pytest.raises(
        UnreadableImageError, match="test: damaged, nothing of its picture"
    ) as raised:
        read_photograph(broken, name="test", max_pixels=10**6, salvage=True)
    assert "--salvage" not in str(raised.value)


def test_restart_markers_out_of_order_are_damage():
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="JPEG", restart_marker_blocks=2)
    whole = file.getvalue()
    assert read_header(whole).damage == ""
    assert read_header(whole + b"appended").damage == ""
    assert read_header(whole.replace(b"\xff\xd3", b"\xff\xd4", 1)).damage == (
        "its restart markers are out of order"
    )
    damaged = whole.replace(b"\xff\xd3", b"\xff\x17", 1)
    assert read_header(damaged).damage == "a marker 0xFF17 inside its picture data"
    assert "cut short" in read_header(whole[:-2]).damage


def test_tiff_keeps_what_describes_the_photograph():
    exif = Image.Exif()
    exif[0x010F] = "camera"
    exif.get_ifd(0x8769)[0x829A] = 0.5  # exposure time
    metadata = photograph_of(Image.fromarray(COLOUR), "TIFF", exif=exif.tobytes()).metadata
    kept = Image.Exif()
    kept.load(metadata.exif)
    assert kept[0x010F] == "camera"
    assert kept.get_ifd(0x8769)[0x829A] == 0.5
    assert 0x0111 not in kept  # where a TIFF file keeps its pixels


def chunk(name: bytes, body: bytes) -> bytes:
    checksum = zlib.crc32(name + body).to_bytes(4, "big")
    return len(body).to_bytes(4, "big") + name + body + checksum


def png_of_16_bits(channels: int) -> bytes:
    """Pillow reads such files, and writes none with colour."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0)
    rows = (b"\0" + bytes(8 * channels)) * 4
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def tiff_of_16_bits(channels: int) -> bytes:
    file = io.BytesIO()
    shape = (8, 8) if channels == 1 else (8, 8, channels)
    tifffile.imwrite(file, np.zeros(shape, np.uint16), photometric=None if channels == 1 else "rgb")
    return file.getvalue()


def jpeg2000_of_16_bits() -> bytes:
    file = io.BytesIO()
    Image.fromarray(GREY.astype(np.uint16) * 256).save(file, format="JPEG2000")
    return file.getvalue()


DEEP = {
    **{f"PNG of {n}": (png_of_16_bits(n), 16) for n in (1, 2, 3, 4)},
    **{f"TIFF of {n}": (tiff_of_16_bits(n), 16) for n in (1, 3)},
    "PGM": (b"P5 # a comment\n2 1 1023\n" + bytes(4), 10),
    "PPM": (b"P6\n1 1\n65535\n" + bytes(6), 16),
    "JPEG 2000": (jpeg2000_of_16_bits(), 16),
}


@pytest.mark.parametrize("name", DEEP)
def test_more_than_8_bits_are_refused(name: str):
    """A decoder would drop the others without a word."""
    data, bits = DEEP[name]
    with pytest.raises(UnreadableImageError, match=f"its samples have {bits} bits, expected 8"):
        read_photograph(data, name="test", max_pixels=10**6)


@pytest.mark.parametrize(("flags", "bits"), [(0, 8), (64, 10), (96, 12)])
def test_bits_of_avif(flags: int, bits: int):
    """Pillow writes no such files: the configuration is changed here, which only this reads."""
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="AVIF")
    data = bytearray(file.getvalue())
    data[data.index(b"av1C") + 6] |= flags
    assert bits_per_sample(Image.open(file), bytes(data)) == bits


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM", "JPEG2000", "AVIF", "BMP"])
def test_8_bits_are_not(format: str):
    assert photograph_of(Image.fromarray(COLOUR), format).pixels.dtype == np.uint8


KINDS_AS_NAMED = ("jpg", "png", "gif", "webp", "jp2", "avif")


def test_files_are_told_by_their_first_bytes(tmp_path: Path):
    for suffix in KINDS_AS_NAMED:
        named = save(tmp_path / f"a.{suffix}", Image.fromarray(COLOUR))
        named.rename(tmp_path / f"{suffix} as.jpg_large")
    (tmp_path / "._a.jpg").write_bytes(b"\0\5\26\7\0\2\0\0")
    (tmp_path / "._photo.jpg").write_bytes((tmp_path / "jpg as.jpg_large").read_bytes())
    (tmp_path / "raw.dng").write_bytes(b"II*\0\x08\0\0\0")
    (tmp_path / "damaged.png").write_bytes(b"?")
    (tmp_path / "BM words.txt").write_bytes(b"BM are the first letters, P6 others")
    (tmp_path / ".host-1-ab.part").write_bytes((tmp_path / "png as.jpg_large").read_bytes())
    assert [path.name for path in find_images(tmp_path)] == [
        "._photo.jpg",
        *sorted(["damaged.png", *(f"{s} as.jpg_large" for s in KINDS_AS_NAMED)]),
    ]
    kinds = {kind_of(tmp_path / f"{suffix} as.jpg_large") for suffix in KINDS_AS_NAMED}
    assert kinds == {"JPEG", "PNG", "GIF", "WEBP", "JPEG2000", "AVIF"}


def test_folders_that_cannot_be_listed_are_named_or_raised(tmp_path: Path, monkeypatch):
    """As `os.walk` tells them; who runs tests may be allowed to read all."""
    save(tmp_path / "a.png", Image.fromarray(GREY))
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    unreadable: dict[str, str] = {}
    assert find_images(tmp_path, unreadable=unreadable) == [tmp_path / "a.png"]
    assert unreadable == {str(tmp_path / "closed"): "Permission denied"}
    look = os.stat

    def refuse_to_look(path, *arguments, **options):
        if Path(path).name == "b.png":  # in a folder that can be listed, but not entered
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return look(path, *arguments, **options)

    save(tmp_path / "b.png", Image.fromarray(GREY))
    monkeypatch.setattr(os, "stat", refuse_to_look)
    assert find_images(tmp_path, unreadable={}) == [tmp_path / "a.png"]
    with pytest.raises(PermissionError, match="closed"):
        find_images(tmp_path)


def test_a_broken_chunk_costs_only_what_it_says():
    file = io.BytesIO()
    info = PngInfo()
    info.add_text("Author", "me" * 20)
    Image.fromarray(COLOUR).save(file, format="PNG", pnginfo=info, dpi=(300, 300))
    data = file.getvalue().replace(b"meme", b"MEme", 1)  # with the checksum of another text
    photograph = read_photograph(data, name="test", max_pixels=10**6)
    assert photograph.metadata.lost == ("broken tEXt",)
    assert photograph.metadata.dpi == pytest.approx((300, 300), rel=1e-3)
    assert np.array_equal(photograph.pixels, COLOUR)


def test_an_icc_profile_for_other_pixels_is_left_out_and_named():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    metadata = photograph_of(Image.fromarray(COLOUR), "JPEG", icc_profile=profile).metadata
    assert (metadata.icc, metadata.lost) == (b"", ("ICC profile for Lab",))


def test_a_profile_with_a_part_missing_is_left_out_and_named():
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + bytes(70000)
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="JPEG", icc_profile=profile)
    data = file.getvalue().replace(b"ICC_PROFILE\0\2", b"ICC_PROFILE\0\7", 1)
    assert read_photograph(data, name="", max_pixels=10**6).metadata.lost == ("broken ICC profile",)


def segment(number: int, body: bytes) -> bytes:
    return bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(body) + 2) + body


def test_segments_that_no_copy_has_are_named():
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="JPEG", xmp=b"<a/>")
    data = file.getvalue()
    bodies = [
        (1, b"FLIR\0\1"),
        (2, b"FPXR\0\0"),
        (11, b"JP\0\1jumb"),
        (12, b"Ducky\0"),
        (15, b"\xfe"),
    ]
    data = data[:2] + b"".join(segment(*body) for body in bodies) + data[2:]
    photograph = read_photograph(data, name="", max_pixels=10**6)
    assert photograph.metadata.lost == (
        "FLIR's thermal data",
        "APP2 (FPXR)",
        "content credentials (JUMBF)",
        "APP15",
    )
    assert photograph.metadata.xmp == b"<a/>"


@pytest.mark.parametrize("resolution", [(2**32 - 1, 2**32 - 1), (0.001, 72), (72, None)])
@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_resolutions_that_make_no_sense_are_dropped(format: str, resolution: tuple):
    tags = Image.Exif()
    tags[0x011A], tags[0x011B] = (
        IFDRational(value or 72, value is not None) for value in resolution
    )
    file = io.BytesIO()
    # TIFF's reader divides by zero where one of them is written so.
    Image.fromarray(COLOUR).save(file, format=format, exif=tags)
    metadata = read_photograph(file.getvalue(), name="", max_pixels=10**6).metadata
    assert metadata.dpi is None
    for file_format in SUFFIXES:
        encode(
            COLOUR,
            alpha=None,
            metadata=metadata,
            file_format=file_format,
            quality=90,
            subsampling="4:4:4",
        )


@pytest.mark.parametrize("quality", [90, 94, 95, 100])
def test_grain_of_any_strength_can_be_written(quality: int):
    """Its JPEG may be larger than the buffer that Pillow takes for optimised tables."""
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    data, _ = encode(
        noise,
        alpha=None,
        metadata=Metadata(),
        file_format="jpeg",
        quality=quality,
        subsampling="4:4:4",
    )
    assert np.abs(np.asarray(Image.open(io.BytesIO(data)), int) - noise).mean() < 20


def test_a_frame_may_be_larger_than_the_first():
    small, large = Image.new("L", (4, 4)), Image.new("L", (300, 300))
    file = io.BytesIO()
    small.save(file, format="TIFF", save_all=True, append_images=[large])
    with pytest.raises(UnreadableImageError, match=r"300 x 300 is .* the limit is 0"):
        read_photograph(file.getvalue(), name="", max_pixels=100, frame=1)


def test_comments_of_encoders_are_of_the_old_file():
    comment = b"CREATOR: gd-jpeg v1.0 (using IJG JPEG v62), quality = 30"
    metadata = photograph_of(Image.fromarray(COLOUR), "JPEG", comment=comment).metadata
    assert (metadata.comments, metadata.lost) == ((), ())


def test_imagemagicks_raw_profiles_are_read():
    info = PngInfo()
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "camera", 6
    info.add_text("Raw profile type exif", to_raw_profile("exif", exif.tobytes()), zip=True)
    info.add_text("Raw profile type xmp", to_raw_profile("xmp", b"<a>xmp</a>"), zip=True)
    info.add_text("Raw profile type odd", to_raw_profile("odd", b"1"), zip=True)
    info.add_text("Raw profile type icc", "\nicc\n 9\nff")
    photograph = photograph_of(Image.fromarray(COLOUR), "PNG", pnginfo=info)
    assert photograph.orientation == 6
    kept = Image.Exif()
    kept.load(photograph.metadata.exif)
    assert (kept[0x010F], kept[0x0112]) == ("camera", 1)
    assert photograph.metadata.xmp == b"<a>xmp</a>"
    assert photograph.metadata.lost == ("raw profile type odd", "broken Raw profile type icc")


@pytest.mark.parametrize("format", ["GIF", "WEBP", "TIFF", "PNG"])
def test_frames_are_read_one_by_one(format: str):
    levels = (40, 120, 200)
    first, *others = [Image.new("RGB", (9, 8), (level, 0, 0)) for level in levels]
    options = {"lossless": True} if format == "WEBP" else {}
    file = io.BytesIO()
    first.save(file, format=format, save_all=True, append_images=others, **options)
    data = file.getvalue()
    assert count_frames(data) == 3
    with pytest.raises(UnreadableImageError, match="--frames=first restores the first"):
        read_photograph(data, name="test", max_pixels=10**6)
    for number, level in enumerate(levels):
        photograph = read_photograph(data, name="test", max_pixels=10**6, frame=number)
        assert (photograph.pixels == (level, 0, 0)).all()
        assert photograph.notes == (f"frame {number + 1} of 3",)


def test_frames_are_counted_beside_broken_metadata():
    file = io.BytesIO()
    first, second = (Image.new("RGB", (9, 8), (level, 0, 0)) for level in (40, 120))
    first.save(file, format="PNG", save_all=True, append_images=[second])
    head, body = file.getvalue()[:33], file.getvalue()[33:]  # behind the header's chunk
    broken = bytearray(chunk(b"tEXt", b"Title\0a title"))
    broken[-1] ^= 1
    assert count_frames(head + bytes(broken) + body) == 2


def test_chunks_that_no_copy_has_are_named():
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="PNG")
    head, body = file.getvalue()[:33], file.getvalue()[33:]
    others = chunk(b"caBX", b"content credentials") + chunk(b"tIME", bytes(7))
    photograph = read_photograph(head + others + body, name="", max_pixels=10**6)
    assert photograph.metadata.lost == ("PNG chunk caBX",)


def test_photographs_of_a_file_are_read_one_by_one():
    pictures = [Image.fromarray(COLOUR), Image.fromarray(COLOUR[::-1]), Image.fromarray(GREY)]
    file = io.BytesIO()
    pictures[0].save(file, format="MPO", save_all=True, append_images=pictures[1:])
    assert count_frames(file.getvalue()) == 3
    alone = read_photograph(file.getvalue(), name="", max_pixels=10**6)
    assert alone.file_format == "MPO"
    assert alone.notes == ("the first of 3 pictures",)
    for number, picture in enumerate(pictures):
        one = io.BytesIO()
        picture.save(one, format="JPEG")
        expected = read_photograph(one.getvalue(), name="", max_pixels=10**6).pixels
        found = read_photograph(file.getvalue(), name="", max_pixels=10**6, frame=number)
        assert np.array_equal(found.pixels, expected)


def test_colours_that_avif_says_by_code_points_are_kept():
    """Display P3; PNG has the same code points."""
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="AVIF")
    assert photograph_of(Image.fromarray(COLOUR), "AVIF").metadata.colour == {}
    data = bytearray(file.getvalue())
    data[data.index(b"colrnclx") + 9] = 12
    metadata = read_photograph(bytes(data), name="", max_pixels=10**6).metadata
    assert metadata.colour == {b"cICP": bytes([12, 13, 0, 1])}


def test_profiles_of_jpeg_2000_and_bmp_are_kept():
    """Pillow writes neither: they are put in here."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="JPEG2000")
    data = file.getvalue()
    colour, header = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    size = int.from_bytes(data[colour : colour + 4], "big")
    box = b"colr\2\0\0" + profile
    box = (len(box) + 4).to_bytes(4, "big") + box
    grown = int.from_bytes(data[header : header + 4], "big") + len(box) - size
    data = (
        data[:header]
        + grown.to_bytes(4, "big")
        + data[header + 4 : colour]
        + box
        + (data[colour + size :])
    )
    photograph = read_photograph(data, name="", max_pixels=10**6)
    assert photograph.metadata.icc == profile

    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="BMP")
    pixels = file.getvalue()[54:]
    header = bytearray(124)
    header[:40] = file.getvalue()[14:54]
    header[0], header[56:60] = 124, b"DEBM"
    header[112:120] = struct.pack("<II", 124 + len(pixels), len(profile))
    size = 14 + 124 + len(pixels) + len(profile)
    start = b"BM" + struct.pack("<IHHI", size, 0, 0, 14 + 124)
    data = start + bytes(header) + pixels + profile
    photograph = read_photograph(data, name="", max_pixels=10**6)
    assert photograph.metadata.icc == profile
    assert np.array_equal(photograph.pixels, COLOUR)
    header[56:60], header[60:64] = bytes(4), b"\1\2\3\4"
    photograph = read_photograph(start + bytes(header) + pixels, name="", max_pixels=10**6)
    assert photograph.metadata.lost == ("colorimetry",)


def test_tags_of_tiff_that_no_copy_has_are_named():
    tags = Image.Exif()
    tags[0x010F], tags[285], tags[33550] = "camera", "page", (1.0, 1.0, 0.0)
    metadata = photograph_of(Image.fromarray(COLOUR), "TIFF", exif=tags).metadata
    assert metadata.lost == ("TIFF tags 285, 33550",)
    assert photograph_of(Image.fromarray(COLOUR), "TIFF").metadata.lost == ()


def as_jpeg(**options):
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, format="JPEG", **options)
    return file.getvalue()


def dcf_exif(index):
    """EXIF data of a camera, with the directory that names the colours, and maker notes."""
    tags = Image.Exif()
    tags[0x010F] = "a camera"
    tags[0xC4A5] = b"PrintIM0300"
    tags[0x8769] = {0x829A: 0.5, 0x927C: b"notes", 0xA001: 65535, 0xA005: {1: index}}
    return tags.tobytes()


def test_directories_below_others_go_along_to_tiff():
    data = as_jpeg(exif=dcf_exif("R03"))
    photograph = read_photograph(data, name="photo", max_pixels=10**6)
    written, lost = encode(
        photograph.pixels,
        alpha=None,
        metadata=photograph.metadata,
        file_format="tiff",
        quality=None,
        subsampling="4:4:4",
    )
    assert lost == ["TIFF tags 50341"]
    with Image.open(io.BytesIO(written)) as image:
        tags = image.getexif()
        assert tags.get_ifd(0x8769)[0x829A] == 0.5
        assert tags.get_ifd(0xA005)[1] == "R03"


@pytest.mark.parametrize(("index", "is_adobe"), [("R03", True), ("R98", False)])
def test_adobe_rgb_of_cameras_is_told(index, is_adobe):
    exif = dcf_exif(index).removeprefix(PREFIX)
    assert is_adobe_rgb(exif) == is_adobe
    for cut in range(0, len(exif), 3):
        assert is_adobe_rgb(exif[:cut]) in (is_adobe, False)


def test_pillow_is_as_it_was_after_pictures_in_several_threads(monkeypatch):
    limits = set()

    def slow(*arguments, **options):
        limits.add(Image.MAX_IMAGE_PIXELS)
        time.sleep(0.01)
        return opened(*arguments, **options)

    opened = photographs._opened
    monkeypatch.setattr(photographs, "_opened", slow)
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    data = as_jpeg()

    def read(_):
        read_photograph(data[:-20], name="cut", max_pixels=10**6, salvage=True)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(read, range(8)))
    assert limits == {None}
    after = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    assert after == before
