"""Quality factors, told from the tables that libjpeg itself writes."""

import io

import numpy as np
import pytest
from PIL import Image

from casjax.images.segments import read_header
from casjax.jpeg import ANNEX_K_CHROMA, ANNEX_K_LUMA
from casjax.restoration.quality import estimate_quality


def tables_of_libjpeg(quality, **options):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format="JPEG", quality=quality, **options)
    return read_header(file.getvalue()).tables


@pytest.mark.parametrize("quality", range(1, 101))
def test_every_libjpeg_table_is_known(quality):
    luma, chroma = tables_of_libjpeg(quality).values()
    for table, base in ((luma, ANNEX_K_LUMA), (chroma, ANNEX_K_CHROMA)):
        estimate = estimate_quality(table, base=base)
        assert estimate.deviation == 0
        # The lowest qualities share tables: all steps are at their limit.
        assert estimate.factor == (quality if quality > 3 else pytest.approx(quality, abs=2))
        assert str(estimate) == f"{estimate.factor}"


def test_steps_near_a_quality_are_about_it():
    table = tables_of_libjpeg(40)[0] + np.random.default_rng(0).integers(-1, 2, (8, 8))
    estimate = estimate_quality(table)
    assert abs(estimate.factor - 40) <= 1
    assert 0 < estimate.deviation < 0.1
    assert str(estimate).startswith("about ")
    assert not estimate.is_far


def test_flat_and_photoshop_like_tables_are_far():
    assert estimate_quality(np.full((8, 8), 16)).is_far
    steep = np.minimum(1 + np.arange(8)[:, None] * np.arange(8), 40)
    estimate = estimate_quality(steep)
    assert estimate.is_far
    assert "far from any" in str(estimate)


def test_chroma_is_not_mistaken_for_luma():
    assert estimate_quality(tables_of_libjpeg(50)[1]).is_far


def test_steps_of_16_bits():
    """Libjpeg's quality 5 without the limit of baseline files: steps up to 1210."""
    estimate = estimate_quality(ANNEX_K_LUMA * 10)
    assert (estimate.factor, estimate.deviation) == (5, 0)


@pytest.mark.parametrize("table", [np.zeros((8, 8), int), np.ones(64, int)])
def test_no_tables(table):
    with pytest.raises(ValueError, match="expected 8 x 8 positive steps"):
        estimate_quality(table)


def test_wild_tables(data_dir):
    """The estimates that come with the files, made by someone else, where tables are libjpeg's."""
    rows = (data_dir / "wild" / "MANIFEST.tsv").read_text().splitlines()[1:]
    compared = 0
    for name, *columns in (row.split("\t") for row in rows):
        header = read_header((data_dir / "wild" / name).read_bytes())
        estimate = estimate_quality(header.tables[header.components[0].table])
        if columns[5] and not estimate.is_far:
            assert abs(estimate.factor - int(columns[5])) <= 1, name
            compared += 1
    assert compared >= 15
