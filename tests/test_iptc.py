"""IPTC data in its containers: read back by Pillow, which has a reader of its own."""

import io

import pytest
from PIL import Image, IptcImagePlugin

from casjax.images import iptc
from casjax.images.jpeg_metadata import with_segments


def data_set(record, number, content):
    return bytes([0x1C, record, number]) + len(content).to_bytes(2, "big") + content


TITLE = data_set(2, 5, b"a title")
LONG = bytes([0x1C, 2, 120, 0x80, 4]) + (40000).to_bytes(4, "big") + b"x" * 40000


def test_pillow_reads_it_from_a_jpeg():
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, format="JPEG")
    data = with_segments(file.getvalue(), iptc=TITLE, comments=(b"one", b"two"))
    image = Image.open(io.BytesIO(data))
    assert IptcImagePlugin.getiptcinfo(image)[2, 5] == b"a title"
    assert image.applist[-2:] == [("COM", b"one"), ("COM", b"two")]
    image.load()


def test_previews_and_what_describes_pixels_go():
    old = data_set(2, 202, b"preview") + data_set(3, 20, b"\0\x80") + data_set(2, 131, b"L")
    assert iptc.describe_copy(TITLE + old + LONG, orientation=6) == TITLE + LONG
    assert iptc.describe_copy(TITLE + old, orientation=1) == TITLE + data_set(2, 131, b"L")


@pytest.mark.parametrize("data", [b"garbage", TITLE[:-1], TITLE + b"x"])
def test_garbage_is_told(data):
    with pytest.raises(iptc.BrokenIptcError):
        iptc.describe_copy(data, orientation=1)


def test_other_resources_are_passed_over():
    thumbnail = b"8BIM\x04\x0c\x03abc\0\0\0\x05\x01\x02\x03\x04\x05\0"
    resources = thumbnail[:6] + b"\x03abc" + thumbnail[10:] + iptc.as_photoshop_resource(TITLE)
    assert iptc.in_photoshop_resources(resources) == TITLE
    assert iptc.in_photoshop_resources(b"") == iptc.in_photoshop_resources(b"8BIM") == b""


def test_raw_profiles_go_there_and_back():
    data = bytes(range(256))
    assert iptc.from_raw_profile(iptc.to_raw_profile("iptc", data)) == data
    for text in ("", "\niptc\n 3\nabcd\n", "\niptc\n x\nab\n"):
        with pytest.raises(ValueError):  # noqa: PT011
            iptc.from_raw_profile(text)
