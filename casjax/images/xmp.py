"""The XMP packet of a restored copy: what describes the old file is corrected or removed."""

import re
import xml.dom.expatbuilder
import xml.parsers.expat
from collections.abc import Sequence
from xml.dom.minidom import Document, Element, Node, Text

# Namespaces and their usual prefixes; files may use other prefixes, and some declare none.
NAMESPACES = {
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/xmp/note/": "xmpNote",
    "http://ns.adobe.com/hdr-gain-map/1.0/": "hdrgm",
    "http://ns.apple.com/HDRGainMap/1.0/": "HDRGainMap",
    "http://ns.apple.com/pixeldatainfo/1.0/": "apdi",
    "http://ns.google.com/photos/1.0/camera/": "GCamera",
    "http://ns.google.com/photos/1.0/container/": "Container",
    "http://ns.google.com/photos/1.0/image/": "GImage",
    "http://ns.google.com/photos/1.0/depthmap/": "GDepth",
    "http://ns.google.com/photos/1.0/audio/": "GAudio",
    "http://ns.google.com/photos/dd/1.0/device/": "Device",
    "http://www.metadataworkinggroup.com/schemas/regions/": "mwg-rs",
    "http://ns.microsoft.com/photo/1.2/": "MP",
    "http://ns.google.com/photos/1.0/panorama/": "GPano",
}
DEEPEST = 100  # elements in elements: minidom recurses
VIDEO = "the video of a motion photo"
# What refers to other data in the old file, which a copy does not have: the pattern of its names,
# and what to call it; "" where nobody would miss it.
LOST = {
    r"GCamera:(MotionPhoto|MicroVideo).*": VIDEO,
    r"hdrgm:.*|HDRGainMap:.*|apdi:.*": "the gain map of HDR",
    r"Container:Directory": "",
    r"GImage:.*|GAudio:.*|GDepth:.*|Device:.*": "depth map, sound or picture in its XMP",
    r"xmpNote:HasExtendedXMP": "extended XMP",
    r"xmp:Thumbnails|photoshop:LegacyIPTCDigest|(tiff|exif):NativeDigest": "",
    r"tiff:(BitsPerSample|Compression|PhotometricInterpretation|SamplesPerPixel)": "",
    r"tiff:(PlanarConfiguration|YCbCr.*)|exif:CompressedBitsPerPixel": "",
}
# Positions in the picture as it was stored, of faces and the like.
LOST_WHEN_TURNED = {
    r"mwg-rs:Regions|MP:RegionInfo": "regions in its XMP",
    r"exif:Subject(Area|Location)": "",
    r"GPano:.*": "the sizes of a panorama",
}


class BrokenXmpError(ValueError):
    """An XMP packet that cannot be read."""


def describe_copy(
    xmp: bytes, *, size: tuple[int, int], orientation: int
) -> tuple[bytes, list[str]]:
    """Return the XMP packet for a restored, upright copy of a picture.

    Args:
      xmp: the packet; empty where there is none.
      size: height and width of the copy.
      orientation: of the old file, 1..8.

    Returns:
      The packet, byte for byte if everything in it applies to the copy; and what the old file had
      but the copy has not, a few words each.

    Raises:
      BrokenXmpError: it is not XML, defines entities, or is nested too deeply.
    """
    if not xmp.strip(b"\0 \r\n\t"):
        return b"", []
    document = _parsed(xmp)
    prefixes = _prefixes(document)
    values = {"tiff:Orientation": "1"}
    values |= dict.fromkeys(("tiff:ImageWidth", "exif:PixelXDimension"), str(size[1]))
    values |= dict.fromkeys(("tiff:ImageLength", "exif:PixelYDimension"), str(size[0]))
    patterns = LOST | (LOST_WHEN_TURNED if orientation != 1 else {})
    lost: list[str] = []
    changed = False
    elements = [e for e in document.getElementsByTagName("*") if isinstance(e, Element)]
    for element in elements:
        for name in list(element.attributes.keys()):
            usual = _usual(name, prefixes)
            value = element.getAttribute(name)
            if (words := _lost(usual, patterns)) is not None:
                element.removeAttribute(name)
                lost += [words] if value not in ("", "0") else []
                changed = True
            elif value.strip() != values.get(usual, value).strip():
                element.setAttribute(name, values[usual])
                changed = True
        usual = _usual(element.tagName, prefixes)
        if (words := _lost(usual, patterns)) is not None:
            if element.parentNode is not None:
                element.parentNode.removeChild(element)
            lost.append(words)
            changed = True
        elif usual in values and _text(element).strip() != values[usual]:
            _set_text(element, values[usual])
            changed = True
    if orientation > 4:
        changed |= _exchange_resolutions(elements, prefixes)
    if changed:
        xmp = "".join(node.toxml() for node in document.childNodes).encode()
    return xmp, sorted({words for words in lost if words})


def read_orientation(xmp: bytes) -> int | None:
    """Return the orientation in an XMP packet, 1..8; None if it has none."""
    try:
        document = _parsed(xmp)
    except BrokenXmpError:
        return None
    prefixes = _prefixes(document)
    for element in document.getElementsByTagName("*"):
        said = [v for n, v in element.attributes.items() if _usual(n, prefixes) == TURN]
        if _usual(element.tagName, prefixes) == TURN:
            said.append(_text(element))
        for value in said:
            if re.fullmatch(r"\s*[1-8]\s*", value):
                return int(value)
    return None


TURN = "tiff:Orientation"


def _parsed(xmp: bytes) -> Document:
    try:
        # Without namespaces, so that prefixes may be undeclared.
        document = xml.dom.expatbuilder.parseString(xmp.strip(b"\0"), namespaces=False)
    except (xml.parsers.expat.ExpatError, ValueError, LookupError) as error:
        raise BrokenXmpError(str(error)) from error
    if document.doctype is not None:
        raise BrokenXmpError("it defines a document type")
    level: Sequence[Node] = [document]
    depth = 0
    while level := [child for node in level for child in node.childNodes]:
        depth += 1
        if depth > DEEPEST:
            raise BrokenXmpError(f"its elements are nested more than {DEEPEST} deep")
    return document


def _prefixes(document: Document) -> dict[str, str]:
    """Return the usual prefix for each prefix that a packet declares."""
    return {
        name.removeprefix("xmlns:"): NAMESPACES[value]
        for element in document.getElementsByTagName("*")
        for name, value in element.attributes.items()
        if name.startswith("xmlns:") and value in NAMESPACES
    }


def _usual(name: str, prefixes: dict[str, str]) -> str:
    prefix, _, local = name.rpartition(":")
    return f"{prefixes.get(prefix, prefix)}:{local}"


def _lost(name: str, patterns: dict[str, str]) -> str | None:
    return next((words for p, words in patterns.items() if re.fullmatch(p, name)), None)


def _text(element: Element) -> str:
    return "".join(node.data for node in element.childNodes if isinstance(node, Text))


def _set_text(element: Element, text: str) -> None:
    for node in list(element.childNodes):
        element.removeChild(node)
    node = Text()
    node.data = text
    element.appendChild(node)


def _exchange_resolutions(elements: list[Element], prefixes: dict[str, str]) -> bool:
    other = {"tiff:XResolution": "YResolution", "tiff:YResolution": "XResolution"}
    other |= {f"exif:FocalPlane{a}Resolution": f"FocalPlane{b}Resolution" for a, b in ("XY", "YX")}
    changed = False
    for element in elements:
        old = {n: v for n, v in element.attributes.items() if _usual(n, prefixes) in other}
        for name in old:
            element.removeAttribute(name)
        for name, value in old.items():
            prefix = name.rpartition(":")[0]
            element.setAttribute(f"{prefix}:{other[_usual(name, prefixes)]}", value)
        if (usual := _usual(element.tagName, prefixes)) in other:
            prefix = element.tagName.rpartition(":")[0]
            element.tagName = element.nodeName = f"{prefix}:{other[usual]}"
        changed |= bool(old) or usual in other
    return changed
