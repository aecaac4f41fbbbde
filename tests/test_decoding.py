"""Decoding with more precision than libjpeg: nearer to the original, and only where it is sure."""

import dataclasses
import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax.images.photographs import read_photograph
from casjax.networks.consistency import project
from casjax.restoration import decoding
from casjax.restoration.decoding import can_be_decoded, decode, expected_offsets
from casjax.restoration.restoring import shown

CLEAN = skimage.data.astronaut()[60:197, 130:279]  # odd in both


def photograph_of(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, **{"format": "JPEG"} | options)
    return read_photograph(file.getvalue(), name="picture", max_pixels=10**7)


def error(pixels, clean):
    return np.square(pixels.astype(np.float64) - clean).mean()


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_offsets_are_the_means_of_a_laplacian_distribution(scale):
    """A million numbers, quantised with a step of 1, whose distances from the middle are known."""
    values = np.random.default_rng(0).laplace(0, scale, 10**6)
    magnitudes = np.abs(np.rint(values)).astype(int)
    offsets = expected_offsets(len(values), np.array(np.sum(magnitudes > 0)), magnitudes.sum())
    for which, offset in zip((magnitudes == 1, magnitudes > 1), offsets, strict=True):
        mean = (magnitudes - np.abs(values))[which].mean()
        assert offset == pytest.approx(mean, abs=0.005)


def test_large_magnitudes_show_their_own_scale():
    """Nine blocks of ten are flat."""
    generator = np.random.default_rng(0)
    values = generator.laplace(0, np.where(generator.random(10**6) < 0.9, 0.2, 5))
    magnitudes = np.abs(np.rint(values)).astype(int)
    offsets = expected_offsets(len(values), np.array(np.sum(magnitudes > 0)), magnitudes.sum())
    distances = magnitudes - np.abs(values)
    means = np.array([distances[magnitudes == 1].mean(), distances[magnitudes > 1].mean()])
    assert offsets[1] == pytest.approx(means[1], abs=0.02)
    assert offsets[1] < offsets[0] < means[0]


def test_without_numbers_to_estimate_from_offsets_are_still_numbers():
    for blocks, nonzero, total in ((5, 0, 0), (5, 5, 5 * 10**4), (0, 0, 0), (1, 1, 1)):
        offsets = expected_offsets(blocks, np.array([nonzero]), np.array([total]))
        assert np.all((offsets >= 0) & (offsets <= 0.5))


@pytest.mark.parametrize("quality", [91, 97, 100])
@pytest.mark.parametrize("subsampling", ["grey", "4:4:4", "4:2:2", "4:2:0"])
def test_it_is_nearer_to_the_original(quality, subsampling):
    clean = CLEAN[..., 1] if subsampling == "grey" else CLEAN
    sampling = {} if subsampling == "grey" else {"subsampling": subsampling}
    photograph = photograph_of(clean, quality=quality, **sampling)
    assert can_be_decoded(photograph)
    restored, before = decode(photograph), shown(photograph)
    assert 10 * np.log10(error(before, clean) / error(restored, clean)) > 0.15
    np.testing.assert_array_equal(decode(photograph, strength=0), before)
    if subsampling != "grey":
        change = decode(photograph, chroma=False).astype(int) - before
        assert change.any()
        assert np.ptp(change, axis=2)[(before > 16).all(2) & (before < 239).all(2)].max() <= 2


def test_luma_stays_within_what_the_file_allows():
    photograph = photograph_of(CLEAN[..., 1], quality=92)
    steps = photograph.header.steps[0]
    restored = photograph.pixels + decoding._change(
        photograph.pixels, photograph.coefficients[0], steps, (1, 1)
    ).astype(np.float32)
    nearest = project(restored, photograph.pixels, steps)
    whole = np.s_[:136, :144]  # blocks at the edge are only seen in part
    assert np.abs(nearest - restored)[whole].max() < 0.05


def test_strips_do_not_show(monkeypatch):
    photograph = photograph_of(CLEAN, quality=95, subsampling="4:2:0")
    whole = decode(photograph)
    monkeypatch.setattr(decoding, "BLOCK_ROWS", 2)
    np.testing.assert_array_equal(decode(photograph), whole)


def test_what_decoders_and_coefficients_disagree_about_is_left():
    photograph = photograph_of(CLEAN, quality=95)
    assert can_be_decoded(photograph)
    spoilt = photograph.pixels.copy()
    spoilt[80, 80, 0] ^= 64
    assert not can_be_decoded(dataclasses.replace(photograph, pixels=spoilt))
    assert not can_be_decoded(dataclasses.replace(photograph, jpeg=photograph.jpeg[:3000]))
    assert not can_be_decoded(photograph_of(CLEAN, format="PNG"))
    assert not can_be_decoded(photograph_of(CLEAN, quality=95, keep_rgb=True))
