"""XMP packets of copies: what is not true of them goes, the rest stays to the byte."""

import pytest

from casjax.images import xmp

HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
)
TAIL = '</rdf:RDF></x:xmpmeta>\n   <?xpacket end="w"?>'


def packet(content):
    return f"{HEAD}{content}{TAIL}".encode()


def described(content, *, size=(128, 96), orientation=6):
    after, lost = xmp.describe_copy(packet(content), size=size, orientation=orientation)
    return after.decode(), lost


def test_what_is_true_of_the_copy_stays_to_the_byte():
    before = packet(
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/x &amp; y">'
        "<dc:title>T\u00fcr</dc:title></rdf:Description>"
    )
    assert xmp.describe_copy(before, size=(1, 1), orientation=8) == (before, [])


@pytest.mark.parametrize(
    "content",
    [
        '<rdf:Description tiff:Orientation="6" tiff:ImageWidth="7"/>',
        "<rdf:Description><tiff:Orientation>6</tiff:Orientation>"
        "<tiff:ImageWidth> 7 </tiff:ImageWidth></rdf:Description>",
        '<rdf:Description xmlns:t="http://ns.adobe.com/tiff/1.0/" t:Orientation="6" '
        't:ImageWidth="7"/>',
    ],
)
def test_orientation_and_size_are_told_anew(content):
    assert xmp.read_orientation(packet(content)) == 6
    after, lost = described(content)
    assert "Orientation" in after
    assert xmp.read_orientation(after.encode()) == 1
    assert "96" in after
    assert "7" not in after.split("RDF", 1)[1].split("W5M0")[-1].replace("1.0", "")
    assert lost == []
    assert after.startswith("<?xpacket begin")
    assert after.endswith('<?xpacket end="w"?>')


def test_resolutions_change_places_where_sides_do():
    content = '<rdf:Description tiff:XResolution="300/1" tiff:YResolution="200/1"/>'
    after, _ = described(content, orientation=6)
    assert 'tiff:XResolution="200/1"' in after
    assert 'tiff:YResolution="300/1"' in after
    assert described(content, orientation=3)[0] == packet(content).decode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('<rdf:Description GCamera:MotionPhoto="1" GCamera:MicroVideoOffset="9"/>', "video"),
        ("<rdf:Description><GCamera:MicroVideo>1</GCamera:MicroVideo></rdf:Description>", "video"),
        ('<rdf:Description hdrgm:Version="1.0" hdrgm:GainMapMax="3"/>', "gain map"),
        ('<rdf:Description xmpNote:HasExtendedXMP="A0B1"/>', "extended XMP"),
        (
            "<rdf:Description><mwg-rs:Regions><a>face</a></mwg-rs:Regions></rdf:Description>",
            "regions",
        ),
    ],
)
def test_what_is_gone_is_taken_out_and_named(content, words):
    after, [lost] = described(content)
    assert words in lost
    assert "<rdf:Description/>" in after


def test_items_of_a_container_go():
    content = (
        '<rdf:Description xmlns:c="http://ns.google.com/photos/1.0/container/" dc:creator="me">'
        "<c:Directory><rdf:Seq><rdf:li><c:Item/></rdf:li></rdf:Seq></c:Directory></rdf:Description>"
    )
    after, _ = described(content)
    assert "Directory" not in after
    assert 'dc:creator="me"' in after


def test_places_in_a_picture_that_is_not_turned_stay():
    content = "<rdf:Description><mwg-rs:Regions>face</mwg-rs:Regions></rdf:Description>"
    assert "face" in described(content, orientation=1)[0]


@pytest.mark.parametrize("data", [b"", b"\0\0 \n"])
def test_nothing_is_nothing(data):
    assert xmp.describe_copy(data, size=(1, 1), orientation=1) == (b"", [])


@pytest.mark.parametrize(
    "data",
    [
        b"no XML",
        b"<x:xmpmeta>",
        b"\xff\xfe\xff",
        b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
        b'<?xml version="1.0" encoding="klingon"?><a/>',
        b"<a>" * 3000 + b"</a>" * 3000,
    ],
)
def test_garbage_is_told(data):
    with pytest.raises(xmp.BrokenXmpError):
        xmp.describe_copy(data, size=(1, 1), orientation=1)
    assert xmp.read_orientation(data) is None
