"""EXIF data of copies: read back by Pillow, which has a reader of its own."""

import io
import random
import struct

import pytest
from PIL import Image

from casjax.images import exif

ORIENTATION, X, Y = 0x0112, 0x011A, 0x011B
# As many cameras have them: an address inside, which is counted from the start of the EXIF data.
MAKER_NOTE = b"Camera\0\0" + struct.pack("<I", 300) + bytes(range(200))


def made(order="<", orientation=(3, 6), *, thumbnail=b"\xff\xd8 a thumbnail \xff\xd9"):
    """EXIF data with sizes, resolutions, maker's note and thumbnail, built by hand."""

    def directory(entries, place, following):
        head = struct.pack(f"{order}H", len(entries))
        body, beyond = b"", b""
        end = place + 2 + 12 * len(entries) + 4
        for tag, kind, count, value in entries:
            if len(value) > 4:
                address = struct.pack(f"{order}I", end + len(beyond))
                beyond += value
                value = address
            body += struct.pack(f"{order}HHI", tag, kind, count) + value.ljust(4, b"\0")
        link = end + len(beyond) if following else 0
        return head + body + struct.pack(f"{order}I", link) + beyond

    def number(kind, value):
        return struct.pack(f"{order}{ {1: 'B', 3: 'H', 4: 'I'}[kind] }", value)

    kind, value = orientation
    first_size = 2 + 12 * 7 + 4 + 16 + 8
    details = [
        (0x9102, 5, 1, struct.pack(f"{order}II", 3, 1)),
        (0x9214, 3, 2, number(3, 10) + number(3, 20)),
        (0x927C, 7, len(MAKER_NOTE), MAKER_NOTE),
        (0xA002, 4, 1, number(4, 128)),
        (0xA003, 3, 1, number(3, 96)),
    ]
    first = [
        (0x0100, 3, 1, number(3, 128)),
        (0x0101, 3, 1, number(3, 96)),
        (0x010F, 2, 8, b"camera1\0"),
        (ORIENTATION, kind, 1, number(kind, value)),
        (X, 5, 1, struct.pack(f"{order}II", 300, 1)),
        (Y, 5, 1, struct.pack(f"{order}II", 200, 1)),
    ]
    second_place = 8 + first_size
    exif_block = directory(details, second_place, None)
    first.append((0x8769, 4, 1, number(4, second_place)))
    block = directory(first, 8, None)
    assert len(block) == first_size
    third_place = second_place + len(exif_block)
    data = third_place + 2 + 24 + 4
    third = [(0x0201, 4, 1, number(4, data)), (0x0202, 4, 1, number(4, len(thumbnail)))]
    link = struct.pack(f"{order}I", third_place)
    block = block[: 2 + 12 * 7] + link + block[2 + 12 * 7 + 4 :]
    start = b"II*\0\x08\0\0\0" if order == "<" else b"MM\0*\0\0\0\x08"
    return start + block + exif_block + directory(third, third_place, None) + thumbnail


def read(data):
    tags = Image.Exif()
    tags.load(data)
    return tags


def next_directory(data):
    """Where a second directory lies, which is that of the thumbnail."""
    order = "<" if data.startswith(b"II") else ">"
    (count,) = struct.unpack_from(f"{order}H", data, 8)
    return struct.unpack_from(f"{order}I", data, 10 + 12 * count)[0]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", [1, 3, 4])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_copy_is_described(order, kind, orientation):
    """Whatever the order of bytes and the type of the orientation."""
    before = made(order, (kind, orientation))
    assert exif.read_orientation(before) == orientation
    size = (96, 128) if orientation < 5 else (128, 96)
    after = exif.describe_copy(before, size=size, orientation=orientation)
    tags = read(after)
    assert tags[ORIENTATION] == 1
    assert tags[0x010F] == "camera1"
    assert (tags[X], tags[Y]) == ((300, 200) if orientation < 5 else (200, 300))
    assert not {0x0100, 0x0101} & tags.keys()
    details = tags.get_ifd(0x8769)
    assert (details[0xA003], details[0xA002]) == size
    assert (0x9214 in details) == (orientation == 1)
    assert 0x9102 not in details
    assert details[0x927C] == MAKER_NOTE
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE), "addresses in it stay true"
    assert next_directory(after) == 0 != next_directory(before)
    assert b"thumbnail" not in after


def test_orientations_that_are_none_are_upright():
    """As viewers have it; and XMP is not asked then."""
    assert exif.read_orientation(made("<", (3, 9))) == 1
    assert exif.read_orientation(made("<", (3, 0))) == 1


def test_resolution_is_read():
    assert exif.read_resolution(made()) == (300, 200)
    assert exif.read_resolution(b"no EXIF") is None


def test_a_thumbnail_amid_the_data_is_blanked():
    before = made() + b"further notes"
    after = exif.describe_copy(before, size=(1, 1), orientation=1)
    assert b"thumbnail" not in after
    assert after.endswith(b"further notes")
    assert len(after) == len(before)


@pytest.mark.parametrize("data", [b"", bytes(4)])
def test_nothing_is_nothing(data):
    assert exif.describe_copy(data, size=(1, 1), orientation=1) == b""


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\x11 garbage",
        b"II*\0",
        b"II*\0\x04\0\0\0",
        b"MM\0*\0\0\x10\0",
        made()[:40],
        b"II*\0\x08\0\0\0\xff\xff",
    ],
)
def test_garbage_is_told(data):
    with pytest.raises(exif.BrokenExifError):
        exif.describe_copy(data, size=(1, 1), orientation=1)
    assert exif.read_orientation(data) is None


def test_what_only_described_the_file_leaves_nothing():
    file = Image.Exif()
    file[0x0100] = 7
    data = file.tobytes().removeprefix(exif.PREFIX)
    assert exif.describe_copy(data, size=(1, 1), orientation=1) == b""


def test_any_byte_may_be_wrong():
    """Each of 2,000 damaged ones is described or refused, and what is described can be read."""
    chance = random.Random(0)
    described = 0
    for _ in range(2000):
        data = bytearray(made(chance.choice("<>")))
        for _ in range(chance.randint(1, 4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        try:
            after = exif.describe_copy(bytes(data), size=(9, 9), orientation=6)
        except exif.BrokenExifError:
            continue
        described += 1
        assert len(after) <= len(data)
        assert exif.read_orientation(after) in (1, None)
    assert 1000 < described < 2000


def test_pillow_reads_the_hand_made_data():
    file = io.BytesIO()
    Image.new("L", (8, 8)).save(file, format="JPEG", exif=exif.PREFIX + made(">"))
    assert Image.open(file).getexif()[ORIENTATION] == 6
    assert Image.open(file).getexif().get_ifd(0x8769)[0x927C] == MAKER_NOTE
