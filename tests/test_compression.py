"""Compression in colour as drawn for training, against Pillow and counts."""

import dataclasses
import io
from functools import partial

import jax
import numpy as np
import pytest
from PIL import Image

from casjax import jpeg
from casjax.color import ycbcr_to_rgb
from casjax.networks import colour
from casjax.training.batches import Batches
from casjax.training.compression import MOZJPEG, Compression
from casjax.training.examples import in_colour
from configs import base

PLAIN = Compression(
    sampling_shares=(0.0, 0.0, 1.0),
    quality_exponent=1.0,
    foreign_share=0.0,
    grey_share=0.0,
)
SUBSAMPLINGS = ["4:4:4", "4:2:2", "4:2:0"]


def draw(count=4000, seed=0, qualities=(5, 100), **changes):
    compression = dataclasses.replace(PLAIN, **changes)
    generator = np.random.default_rng(seed)
    drawn = [compression.draw(generator, qualities=qualities) for _ in range(count)]
    return {name: np.stack([each[name] for each in drawn]) for name in drawn[0]}


def photographs(count, size):
    """Smooth noise in RGB: uint8 [count, size, size, 3]."""
    noise = np.random.default_rng(1).integers(0, 256, (count, size // 8, size // 8, 3))
    return noise.astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def test_shares_are_as_asked_for():
    drawn = draw(sampling_shares=(0.5, 0.2, 0.3), foreign_share=0.4, grey_share=0.1)
    for place, share in enumerate((0.5, 0.2, 0.3)):
        assert np.mean(drawn["sampling"] == place) == pytest.approx(share, abs=0.03)
    moz = (drawn["base"] == MOZJPEG).all((1, 2, 3))
    own = (drawn["base"] == np.stack([jpeg.ANNEX_K_LUMA, jpeg.ANNEX_K_CHROMA])).all((1, 2, 3))
    assert moz.mean() == pytest.approx(0.2, abs=0.03)
    assert own.mean() == pytest.approx(0.6, abs=0.03)
    assert drawn["grey"].mean() == pytest.approx(0.1, abs=0.03)


def test_qualities_are_uniform_or_lean_to_the_low_ones():
    uniform = draw(qualities=(11, 20))["quality"]
    assert set(uniform) == set(range(11, 21))
    assert uniform.mean() == pytest.approx(15.5, abs=0.2)
    assert draw(qualities=(11, 20), quality_exponent=2.0)["quality"].mean() < 14.5
    np.testing.assert_array_equal(draw()["quality"], draw()["chroma_quality"])


def test_what_is_drawn_is_the_same_for_any_number_of_processes_and_batch_size():
    cutouts = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3)).astype(np.uint8)
    options = {"cutouts": cutouts, "seed": 3, "stream": 0, "augment": True}
    options |= {"codec": "jpeg", "qualities": (5, 100)}
    options |= {"recompress": 0.5, "recompress_qualities": (10, 95)}
    batches = partial(Batches, **options, compression=Compression(**base.get_config().colour))
    whole = batches(batch_size=8).at(7, count=6)
    shares = [batches(batch_size=8, process_index=i, process_count=2) for i in range(2)]
    halves = [batches(batch_size=4).at(step, count=6) for step in (14, 15)]
    assert whole["clean"].shape == (8, 8, 8, 3)
    assert whole.keys() >= {"first_quality", "shift", "base"}
    for parts in ([share.at(7, count=6) for share in shares], halves):
        for name, array in whole.items():
            np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), array, name)


def test_pictures_are_those_of_pillow():
    clean = photographs(3, 32)
    drawn = draw(3, foreign_share=1.0, sampling_shares=(0.34, 0.33, 0.33), seed=4)
    drawn["sampling"] = np.array([0, 1, 2], np.int32)
    found = jax.jit(in_colour)({"clean": clean, "turn": np.zeros(3, np.uint8), **drawn})
    qualities = np.stack([drawn["quality"], drawn["chroma_quality"]], axis=-1)
    tables = np.asarray(jpeg.scaled_table(drawn["base"], qualities))
    for i, rgb in enumerate(clean):
        file = io.BytesIO()
        steps = [table.reshape(-1).tolist() for table in tables[i]]
        Image.fromarray(rgb).save(file, "JPEG", qtables=steps, subsampling=SUBSAMPLINGS[i])
        with Image.open(file) as image:
            np.testing.assert_array_equal(np.rint(found.degraded[i] * 255), np.asarray(image))
    planes, condition = found.inputs
    np.testing.assert_allclose(condition, colour.condition_of(tables), rtol=1e-5)
    rgb = ycbcr_to_rgb(np.asarray(colour.from_network(planes)))
    np.testing.assert_allclose(np.clip(rgb, 0, 255) / 255, found.degraded, atol=0.6 / 255)
    np.testing.assert_array_equal(np.rint(np.asarray(found.clean) * 255), clean)


def test_grey_pictures_have_neutral_chroma_and_their_own_truth():
    clean = photographs(2, 16)
    drawn = draw(2) | {"grey": np.array([True, False])}
    found = in_colour({"clean": clean, "turn": np.zeros(2, np.uint8), **drawn})
    planes = np.asarray(colour.from_network(found.inputs[0]))
    np.testing.assert_allclose(planes[0, ..., 1:], 128, atol=1e-4)
    assert np.ptp(np.asarray(found.clean[0]), axis=-1).max() == 0
    assert np.ptp(np.asarray(found.clean[1]), axis=-1).max() > 0
    expected = np.asarray(Image.fromarray(clean[0]).convert("L"), np.float32)
    np.testing.assert_allclose(found.clean[0, ..., 0] * 255, expected, atol=1.01)


def test_a_part_is_compressed_twice():
    clean = photographs(2, 32)
    drawn = draw(2, qualities=(90, 90))
    drawn |= {"first_quality": np.array([30, 0], np.int32), "shift": np.zeros((2, 2), np.uint8)}
    found = in_colour({"clean": clean, "turn": np.zeros(2, np.uint8), **drawn})
    twice = clean
    for quality in (30, 90):
        twice = jpeg.degrade_rgb(twice, jpeg.quantization_tables(quality), sampling="4:2:0")
    once = jpeg.degrade_rgb(clean, jpeg.quantization_tables(90), sampling="4:2:0")
    # On the right and below the first picture was larger: its chroma there has other neighbours.
    inner = (slice(14), slice(14))
    np.testing.assert_array_equal(np.rint(found.degraded[0] * 255)[inner], twice[0][inner])
    assert (np.rint(found.degraded[0] * 255)[inner] != once[0][inner]).any()
    np.testing.assert_array_equal(np.rint(found.degraded[1] * 255), once[1])
    np.testing.assert_array_equal(np.rint(np.asarray(found.clean) * 255), clean)


def test_half_of_those_saved_before_were_cropped():
    cutouts = np.zeros((4, 8, 8, 3), np.uint8)
    options = {"cutouts": cutouts, "batch_size": 2000, "seed": 3, "stream": 0, "augment": True}
    options |= {"codec": "jpeg", "qualities": (5, 100), "compression": PLAIN}
    drawn = Batches(**options, recompress=0.25, recompress_qualities=(30, 32)).at(0, count=4)
    assert np.mean(drawn["first_quality"] > 0) == pytest.approx(0.25, abs=0.04)
    assert set(drawn["first_quality"]) == {0, 30, 31, 32}
    assert (drawn["shift"] == 0).all(1).mean() == pytest.approx(0.5, abs=0.05)
    assert drawn["shift"].max() == 15


def test_cutouts_and_compression_belong_together():
    options = {"batch_size": 2, "seed": 3, "stream": 0, "augment": True, "codec": "jpeg"}
    options |= {"qualities": (5, 100), "recompress": 0.0, "recompress_qualities": (10, 95)}
    for shape, compression in (((4, 8, 8, 3), None), ((4, 8, 8), PLAIN)):
        with pytest.raises(ValueError, match="expected a compression for colour cut-outs"):
            Batches(cutouts=np.zeros(shape, np.uint8), compression=compression, **options)
