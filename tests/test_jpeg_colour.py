"""Colour, bit for bit as libjpeg has it: RGB and the planes that a decoder converts it from."""

import io
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax.jpeg import (
    SAMPLINGS,
    degrade,
    degrade_rgb,
    degrade_to_planes,
    quantization_tables,
    with_shifted_grid,
)

ALL_QUALITIES = np.arange(1, 101)


def with_pillow(rgb: np.ndarray, sampling: str, *, planes: bool = False, **options) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(rgb).save(file, format="JPEG", subsampling=sampling, **options)
    with Image.open(file) as image:
        if planes:
            image.draft("YCbCr", image.size)
        return np.array(image)


def assert_bit_exact(rgb: np.ndarray, qualities: Sequence[int]) -> None:
    """RGB and planes of one image [h, w, 3], in all samplings at once."""
    cases = [(name, int(quality)) for name in SAMPLINGS for quality in qualities]
    images = np.broadcast_to(rgb, (len(cases), *rgb.shape))
    places = np.array([list(SAMPLINGS).index(name) for name, _ in cases])
    tables = quantization_tables(np.array([quality for _, quality in cases]))
    decoded = degrade_rgb(images, tables, sampling=places)
    planes = degrade_to_planes(images, tables, sampling=places)
    for i, (name, quality) in enumerate(cases):
        expected = with_pillow(rgb, name, quality=quality)
        assert np.array_equal(decoded[i], expected), f"RGB, {name}, quality {quality}"
        expected = with_pillow(rgb, name, quality=quality, planes=True)
        assert np.array_equal(planes[i], expected), f"planes, {name}, quality {quality}"


@pytest.mark.parametrize("quality", ALL_QUALITIES[::9])
def test_tables_are_those_in_the_file(quality: int):
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, format="JPEG", quality=int(quality))
    stored = Image.open(file).quantization
    assert np.array_equal(quantization_tables(quality).reshape(2, 64), [stored[0], stored[1]])


@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "rocket"])
def test_photographs_at_all_qualities(name: str):
    assert_bit_exact(getattr(skimage.data, name)()[100:180, 120:216], ALL_QUALITIES)


def extremes() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(1)
    y, x = np.mgrid[:48, :64]
    k, u = np.meshgrid(np.arange(8), np.arange(8), indexing="ij")
    cosines = np.cos((2 * u + 1) * k * np.pi / 16)
    # Blocks of 16x16 pixels, 8x8 samples of chroma, that drive one coefficient to its extreme.
    signs = np.einsum("ky,lx->kylx", cosines[:3], cosines[:4]).reshape(24, 32) > 1e-9
    basis = np.kron(signs, np.ones((2, 2), bool))[..., None]
    blue, yellow, red, cyan = np.array([[0, 0, 255], [255, 255, 0], [255, 0, 0], [0, 255, 255]])
    return {
        "black": np.zeros((48, 64, 3)),
        "red": np.broadcast_to(red, (48, 64, 3)),
        "noise": generator.integers(0, 256, (48, 64, 3)),
        "primaries": generator.integers(0, 2, (48, 64, 3)) * 255,
        "stripes of 3 pixels": np.where((x // 3 % 2)[..., None], blue, yellow),
        "checkerboard": np.where(((x + y) % 2)[..., None], red, cyan),
        "ramps": np.stack([4 * x, 5 * y, 252 - 4 * x], axis=-1),
        "extreme blue differences": np.where(basis, blue, yellow),
        "extreme red differences": np.where(basis, red, cyan),
    }


@pytest.mark.parametrize("name", extremes())
def test_extremes_at_all_qualities(name: str):
    assert_bit_exact(extremes()[name].astype(np.uint8), ALL_QUALITIES)


@pytest.mark.parametrize(
    "shape",
    [(1, 1), (9, 4), (3, 5), (16, 17), (18, 24), (33, 31), (120, 121)],
)
def test_sizes_that_blocks_do_not_divide(shape: tuple[int, int]):
    noise = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert_bit_exact(noise, [1, 30, 75, 92, 100])
    assert_bit_exact(skimage.data.astronaut()[: shape[0], : shape[1]], [1, 30, 75, 92, 100])


def foreign_tables() -> np.ndarray:
    """Pairs of tables that no quality factor gives, int [n, 2, 8, 8]."""
    generator = np.random.default_rng(2)
    frequency = np.add.outer(np.arange(8), np.arange(8))
    flat = np.ones((8, 8), int)
    pairs = [generator.integers(1, 256, (2, 8, 8)) for _ in range(20)]
    pairs += [[1 + frequency, 3 + 2 * frequency], [2 + 16 * frequency, 1 + frequency]]
    pairs += [[flat, 255 * flat], [255 * flat, flat], [255 * flat, 255 * flat], [7 * flat, flat]]
    return np.array(pairs)


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("picture", ["astronaut", "noise", "primaries"])
def test_foreign_tables(picture: str, sampling: str):
    rgb = skimage.data.astronaut()[:60, 200:290]
    if picture != "astronaut":
        rgb = extremes()[picture].astype(np.uint8)
    tables = foreign_tables()
    decoded = degrade_rgb(
        np.broadcast_to(rgb, (len(tables), *rgb.shape)), tables, sampling=sampling
    )
    for found, pair in zip(np.asarray(decoded), tables, strict=True):
        expected = with_pillow(rgb, sampling, qtables=pair.reshape(2, 64).tolist())
        assert np.array_equal(found, expected), pair


def test_live1(data_dir: Path):
    for path in sorted((data_dir / "live1").glob("*.png"))[::10]:
        assert_bit_exact(np.asarray(Image.open(path).convert("RGB")), [5, 40, 90, 100])


@pytest.fixture
def cutouts() -> np.ndarray:
    astronaut = skimage.data.astronaut()
    return np.stack([astronaut[i : i + 40, i : i + 40] for i in range(0, 400, 100)])


def test_grey_stays_grey_and_has_luma_alone(cutouts: np.ndarray):
    grey = np.repeat(cutouts[..., :1], 3, axis=-1)
    planes = degrade_to_planes(grey, quantization_tables(20), sampling="4:2:0")
    assert np.array_equal(planes[..., :1], degrade(grey[..., :1], 20))
    assert (planes[..., 1:] == 128).all()


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_one_pair_of_tables_for_all_and_one_sampling_by_name(cutouts: np.ndarray, sampling: str):
    for_all = degrade_rgb(cutouts, quantization_tables(30), sampling=sampling)
    places = np.full(4, list(SAMPLINGS).index(sampling))
    for_each = degrade_rgb(cutouts, quantization_tables(np.full(4, 30)), sampling=places)
    assert for_all.dtype == np.uint8
    assert np.array_equal(for_all, for_each)


def test_traced_and_under_pmap(cutouts: np.ndarray):
    @jax.pmap
    def sharded(rgb, quality, places):
        return degrade_rgb(rgb, quantization_tables(quality), sampling=places)

    qualities, places = np.array([5, 20, 60, 97]), np.array([2, 0, 1, 2])
    shards = [x.reshape(2, 2, *x.shape[1:]) for x in (cutouts, qualities, places)]
    found = np.reshape(sharded(*shards), cutouts.shape)
    for image, rgb, quality, place in zip(found, cutouts, qualities, places, strict=True):
        expected = with_pillow(rgb, list(SAMPLINGS)[place], quality=int(quality))
        assert np.array_equal(image, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sampling": "4:1:1"}, "sampling='4:1:1': expected one of 4:4:4, 4:2:2, 4:2:0"),
        ({"sampling": 3 * np.ones(4, int)}, r"sampling must lie in 0..2, got \[3 3 3 3\]"),
        ({"sampling": np.zeros(3, int)}, r"sampling: expected integers \[4\], got int64 \[3\]"),
        ({"tables": np.ones((2, 8))}, r"tables: expected integers \[2, 8, 8\] or \[4, 2, 8, 8\]"),
        ({"tables": np.ones((2, 8, 8))}, r"tables: expected integers .* got float64"),
        ({"tables": np.zeros((2, 8, 8), int)}, r"tables must lie in 1..255"),
        ({"rgb": np.zeros((4, 8, 8, 1), np.uint8)}, r"expected uint8 \[n, h, w, 3\], got uint8"),
        ({"rgb": np.zeros((4, 8, 8, 3))}, r"expected uint8 \[n, h, w, 3\], got float64"),
    ],
)
def test_bad_arguments_are_refused(change: dict, message: str):
    arguments = {
        "rgb": np.zeros((4, 8, 8, 3), np.uint8),
        "tables": np.ones((2, 8, 8), int),
        "sampling": "4:2:0",
    }
    with pytest.raises(ValueError, match=message):
        degrade_rgb(**arguments | change)


def test_shifted_grid_is_that_of_a_larger_picture_cropped(cutouts: np.ndarray):
    shifts = np.array([[0, 0], [15, 3], [4, 4], [1, 14]])
    tables = quantization_tables(20)

    @jax.jit
    def crop_of_saved(rgb, shift):
        def save(larger):
            return degrade_rgb(larger, tables, sampling="4:2:0")

        return with_shifted_grid(save, rgb, shift, period=16)

    for found, rgb, (top, left) in zip(
        np.asarray(crop_of_saved(cutouts, shifts)), cutouts, shifts, strict=True
    ):
        around = ((top, 16 - top), (left, 16 - left), (0, 0))
        larger = with_pillow(np.pad(rgb, around, mode="edge"), "4:2:0", quality=20)
        assert np.array_equal(found, larger[top : top + 40, left : left + 40])


def test_shifted_grid_of_luma(cutouts: np.ndarray):
    luma, shift = cutouts[..., :1], np.array([[4, 4]] * 4)
    found = with_shifted_grid(lambda larger: degrade(larger, 10), luma, shift, period=8)
    # Away from the top and the left, which the larger picture repeats, it is the picture shifted.
    inside = degrade(luma[:, 4:, 4:], 10)
    assert np.array_equal(found[:, 4:, 4:], inside)
