"""What becomes of pixels and metadata in every pair of formats; and the table that says so."""

import io
from pathlib import Path

import kept
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from casjax.images import exif

ROOT = Path(__file__).parent.parent


@st.composite
def sources(draw):
    file_format = draw(st.sampled_from(sorted(kept.HOLDS)))
    mode = draw(st.sampled_from(kept.MODES[file_format]))
    holds = draw(st.frozensets(st.sampled_from(kept.HOLDS[file_format] or ("nothing",))))
    orientation = draw(st.integers(1, 8)) if "EXIF" in holds else 1
    return kept.Source(file_format, mode, holds - {"nothing"}, orientation)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(source=sources(), result=st.sampled_from(kept.RESULTS))
def test_pixels_are_shown_alike_and_metadata_is_kept_or_named(source, result):
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(source.make())))
    has_alpha = shown.mode in ("LA", "RGBA", "PA") or "transparency" in shown.info
    if has_alpha and result == "jpeg":
        with pytest.raises(ValueError, match="transparent, which JPEG cannot hold"):
            kept.copy(source, result)
        return
    made = kept.copy(source, result)
    copied = made.result
    assert copied.orientation == 1
    assert (copied.alpha is not None) == has_alpha
    if result in ("png", "tiff"):
        mode = "RGB" if copied.pixels.ndim == 3 else "L"
        expected = shown.convert("RGBA").convert(mode) if has_alpha else shown.convert(mode)
        difference = np.abs(np.array(expected).astype(int) - copied.pixels)
        assert difference.max() <= (1 if source.file_format == "JPEG" else 0)
    for what in source.holds - ({"gamma"} if "ICC profile" in source.holds else set()):
        assert kept.fate(what, source, made) in ("kept", "named"), what


@pytest.mark.parametrize("result", kept.RESULTS)
@pytest.mark.parametrize("file_format", sorted(kept.HOLDS))
def test_nothing_is_said_to_be_gone_that_was_never_there(file_format, result):
    source = kept.Source(file_format, kept.MODES[file_format][-1][:3], frozenset())
    assert kept.copy(source, result).said == []


@settings(max_examples=150, deadline=None)
@given(
    garbage=st.binary(min_size=1, max_size=200),
    place=st.sampled_from(["exif", "xmp", "icc_profile"]),
    file_format=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF"]),
    result=st.sampled_from(kept.RESULTS),
)
def test_broken_metadata_never_costs_the_picture(garbage, place, file_format, result):
    """Garbage is named or, where it happens to be readable, kept."""
    source = kept.Source(file_format, "RGB", frozenset())
    file = io.BytesIO()
    if file_format == "TIFF" and place == "exif":
        place = "icc_profile"
    prefix = exif.PREFIX if place == "exif" and file_format == "JPEG" else b""
    given = {place: prefix + garbage}
    if file_format == "TIFF" and place == "xmp":
        tags = Image.Exif()
        tags[700] = garbage
        given = {"exif": tags}
    source.image().save(file, format=file_format, **given)
    made = kept.copy(_Made(source, file.getvalue()), result)
    assert made.result.pixels.shape == (24, 40, 3)
    if place != "exif" or garbage[:4] not in (b"II*\0", b"MM\0*"):
        assert not made.result.metadata.exif
        assert not made.result.metadata.icc


class _Made:
    """A source whose bytes are made already."""

    def __init__(self, source, data):
        self.source, self.data = source, data

    def make(self):
        return self.data


def test_the_table_is_up_to_date():
    assert (ROOT / "docs" / "kept.md").read_text(encoding="utf-8") == kept.table()
