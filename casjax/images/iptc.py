"""IPTC data (IIM 4.2) and the containers it comes in: Photoshop's resources, PNG's raw profiles."""

from collections.abc import Iterator

PHOTOSHOP = b"Photoshop 3.0\0"
IPTC_RESOURCE = 0x0404
# In record 2: the picture's orientation in words, and a preview of it with its kind.
ORIENTATION, PREVIEW = 131, range(200, 203)


class BrokenIptcError(ValueError):
    """IPTC data that cannot be read."""


def describe_copy(iptc: bytes, *, orientation: int) -> bytes:
    """Return the IPTC data for a restored, upright copy of a picture.

    Records 1 and 2, envelope and application, are kept; previews and the records that describe
    pixels (3, 7 to 9) are not, nor is the orientation if the picture was turned.

    Raises:
      BrokenIptcError: it is not a sequence of data sets.
    """
    kept = b""
    for record, number, data in _data_sets(iptc):
        is_old = record == 2 and (number in PREVIEW or (number == ORIENTATION and orientation != 1))
        if record in (1, 2) and not is_old:
            kept += data
    return kept


def _data_sets(iptc: bytes) -> Iterator[tuple[int, int, bytes]]:
    position = 0
    while iptc[position:].strip(b"\0"):
        if iptc[position] != 0x1C or position + 5 > len(iptc):
            raise BrokenIptcError("a data set does not start with its marker")
        size, start = int.from_bytes(iptc[position + 3 : position + 5], "big"), position + 5
        if size & 0x8000:  # the size of the size, for data sets of 32 kB and more
            start += size & 0x7FFF
            size = int.from_bytes(iptc[position + 5 : start], "big")
        if start + size > len(iptc):
            raise BrokenIptcError("a data set is cut short")
        yield iptc[position + 1], iptc[position + 2], iptc[position : start + size]
        position = start + size


def in_photoshop_resources(resources: bytes) -> bytes:
    """Return the IPTC data in Photoshop's image resources; empty where there is none."""
    found, position = b"", 0
    while resources[position : position + 4] == b"8BIM":
        identifier = int.from_bytes(resources[position + 4 : position + 6], "big")
        name = resources[position + 6] + 1 if position + 6 < len(resources) else 1
        start = position + 6 + name + name % 2 + 4
        size = int.from_bytes(resources[start - 4 : start], "big")
        if identifier == IPTC_RESOURCE:
            found += resources[start : start + size]
        position = start + size + size % 2
    return found


def as_photoshop_resource(iptc: bytes) -> bytes:
    """Return IPTC data wrapped as a Photoshop image resource."""
    head = b"8BIM" + IPTC_RESOURCE.to_bytes(2, "big") + b"\0\0" + len(iptc).to_bytes(4, "big")
    return head + iptc + bytes(len(iptc) % 2)


def from_raw_profile(text: str) -> bytes:
    """Return the bytes in a PNG text with the keyword "Raw profile type ..." (ImageMagick's).

    Raises:
      ValueError: it is not in that form.
    """
    _, _, size, *lines = text.split("\n", 3)
    data = bytes.fromhex("".join("".join(lines).split()))
    if len(data) != int(size):
        raise ValueError("a raw profile is cut short")
    return data


def to_raw_profile(kind: str, data: bytes) -> str:
    """Return the PNG text that holds bytes of a kind, such as "iptc"."""
    lines = (data[start : start + 36].hex() for start in range(0, len(data), 36))
    return "\n".join(["", kind, f"{len(data):8}", *lines, ""])
