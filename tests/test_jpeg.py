"""Bit-exactness against libjpeg, as Pillow carries it: not one pixel may differ."""

import io
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax.color import rgb_to_luma
from casjax.jpeg import degrade, quantization_table

ALL_QUALITIES = np.arange(1, 101)


def encode(luma: np.ndarray, quality: int) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(luma).save(file, format="JPEG", quality=int(quality))
    return file


def degrade_with_pillow(images: np.ndarray, qualities: np.ndarray) -> np.ndarray:
    decoded = [
        np.asarray(Image.open(encode(image[..., 0], quality)))
        for image, quality in zip(images, qualities, strict=True)
    ]
    return np.stack(decoded)[..., None]


def assert_bit_exact(luma: np.ndarray, qualities: np.ndarray) -> None:
    images = np.broadcast_to(luma[..., None], (len(qualities), *luma.shape, 1))
    differing = np.asarray(degrade(images, qualities)) != degrade_with_pillow(images, qualities)
    wrong = qualities[differing.any(axis=(1, 2, 3))]
    assert not len(wrong), f"{differing.sum()} pixels differ, at qualities {wrong}"


@pytest.mark.parametrize("quality", ALL_QUALITIES[::9])
def test_table_is_the_one_in_the_file(quality: int):
    [table] = Image.open(encode(np.zeros((8, 8), np.uint8), quality)).quantization.values()
    assert np.array_equal(quantization_table(quality), np.reshape(table, (8, 8)))


@pytest.mark.parametrize("name", ["astronaut", "camera", "chelsea", "coffee", "moon", "rocket"])
def test_photographs_at_all_qualities(name: str):
    image = getattr(skimage.data, name)()
    luma = rgb_to_luma(image) if image.ndim == 3 else image
    assert_bit_exact(luma[100:228, 120:248], ALL_QUALITIES)


def extremes() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    y, x = np.mgrid[:64, :64]
    k, u = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    cosines = np.cos((2 * u + 1) * k * np.pi / 16)
    # Block (k, l) is white where the basis function of that frequency is positive, else black:
    # it drives its coefficient to the extreme.
    extreme_coefficients = np.einsum("ky,lx->kylx", cosines, cosines).reshape(64, 64) > 1e-9
    return {
        "black": np.zeros((64, 64)),
        "grey": np.full((64, 64), 128),
        "white": np.full((64, 64), 255),
        "noise": generator.integers(0, 256, (64, 64)),
        "black and white noise": generator.integers(0, 2, (64, 64)) * 255,
        "checkerboard": (x + y) % 2 * 255,
        "checkerboard of 3 pixels": (x // 3 + y // 3) % 2 * 255,
        "vertical edges": (x // 5) % 2 * 255,
        "horizontal edges": (y // 5) % 2 * 255,
        "diagonal edge": (x > y) * 255,
        "ramp": x * 4,
        "extreme coefficients": extreme_coefficients * 255,
        "negative extremes": (1 - extreme_coefficients) * 255,
    }


@pytest.mark.parametrize("name", extremes())
def test_extremes_at_all_qualities(name: str):
    assert_bit_exact(extremes()[name].astype(np.uint8), ALL_QUALITIES)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 8), (17, 23), (40, 3), (120, 121)])
def test_sizes_that_8_does_not_divide(shape: tuple[int, int]):
    assert_bit_exact(skimage.data.camera()[: shape[0], : shape[1]], np.array([1, 10, 50, 90, 100]))


def test_live1(data_dir: Path):
    paths = sorted((data_dir / "live1").glob("*.png"))
    assert len(paths) == 29
    qualities = np.array([1, 5, 10, 20, 30, 40, 49, 50, 60, 70, 80, 90, 95, 98, 100])
    for path in paths:
        luma = rgb_to_luma(np.asarray(Image.open(path).convert("RGB")))
        assert_bit_exact(luma, qualities)


@pytest.fixture
def cutouts() -> np.ndarray:
    camera = skimage.data.camera()
    return np.stack([camera[i : i + 120, i : i + 120] for i in range(0, 320, 80)])[..., None]


def test_one_quality_for_all_equals_one_for_each(cutouts: np.ndarray):
    for_all = degrade(cutouts, 20)
    assert for_all.dtype == jnp.uint8
    assert np.array_equal(for_all, degrade(cutouts, np.full(len(cutouts), 20)))


def test_traced_quality(cutouts: np.ndarray):
    traced = jax.jit(degrade)
    for quality in (3, 50, 97):
        assert np.array_equal(traced(cutouts, jnp.int32(quality)), degrade(cutouts, quality))


def test_under_pmap(cutouts: np.ndarray):
    qualities = np.array([[5, 20], [60, 90]])
    sharded = jax.pmap(degrade)(cutouts.reshape(2, 2, 120, 120, 1), qualities)
    assert np.array_equal(np.reshape(sharded, cutouts.shape), degrade(cutouts, qualities.ravel()))


@pytest.mark.parametrize("quality", [0, 101, -1, np.array([50, 0, 50, 50]), 20.0])
def test_bad_quality_is_refused(cutouts: np.ndarray, quality: object):
    with pytest.raises(ValueError, match="quality must"):
        degrade(cutouts, quality)


def test_bad_shapes_are_refused(cutouts: np.ndarray):
    with pytest.raises(ValueError, match="each of 4 images"):
        degrade(cutouts, np.array([10, 20]))
    with pytest.raises(ValueError, match="uint8"):
        degrade(cutouts.astype(np.float32), 20)
    with pytest.raises(ValueError, match="uint8"):
        degrade(cutouts[..., 0], 20)
