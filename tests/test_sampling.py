"""Subsampled components, compared with what libjpeg makes of them."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax import jpeg
from casjax.color import rgb_to_ycbcr
from casjax.restoration import sampling as sampling_module
from casjax.restoration.sampling import interpolate, keep_to, undo_upsampling, upsample


@pytest.fixture(params=[(128, 160), (131, 93), (17, 17)], ids=str)
def chroma(request):
    """A JPEG's chroma, first as the picture has it, then its own samples: both from libjpeg.

    Asked for half the size, libjpeg leaves chroma of 4:2:0 as it is and shrinks luma only.
    """
    height, width = request.param
    file = io.BytesIO()
    picture = Image.fromarray(skimage.data.astronaut()[100 : 100 + height, 150 : 150 + width])
    picture.save(file, format="JPEG", quality=60, subsampling="4:2:0")

    def decode(size):
        image = Image.open(io.BytesIO(file.getvalue()))
        image.draft("YCbCr", size)
        return np.array(image)[..., 2]

    return decode((width, height)), decode((width // 2, height // 2))


def test_upsampling_is_libjpegs(chroma):
    pixels, samples = chroma
    own = upsample(samples, (2, 2), shape=pixels.shape)
    assert np.abs(own - pixels).max() <= 0.75  # libjpeg rounds by 8/16 and 7/16 in turn


def test_samples_are_found_again(chroma):
    pixels, samples = chroma
    found = undo_upsampling(pixels, (2, 2)).astype(int)
    assert found.shape == samples.shape
    assert np.abs(found - samples).max() <= 1
    assert (found == samples).mean() > 0.75


def test_chroma_of_four_by_two_is_repeated():
    """4:1:0, which libjpeg-turbo enlarges without its filter, though one factor is 2."""
    samples = skimage.data.camera()[::8, ::8]
    pixels = upsample(samples, (2, 4), shape=(128, 256))
    assert np.array_equal(pixels, samples.repeat(2, 0).repeat(4, 1))


@pytest.mark.parametrize("factors", [(1, 1), (1, 2), (2, 1), (1, 4), (2, 4)])
def test_there_and_back(factors):
    samples = skimage.data.camera()[::8, ::8]
    shape = (samples.shape[0] * factors[0] - (factors[0] > 1), samples.shape[1] * factors[1])
    pixels = np.rint(upsample(samples, factors, shape=shape)).astype(np.uint8)
    found = undo_upsampling(pixels, factors).astype(int)
    assert found.shape == samples.shape
    assert np.abs(found - samples)[:-1].max() <= 1


CLEAN = skimage.data.astronaut()[60:197, 130:279]  # odd in both


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("quality", [20, 75])
def test_what_is_kept_to_the_file_gets_nearer_to_the_original(sampling, quality):
    """The original is among what is allowed, so that nothing gets farther from it."""
    tables, factors = np.asarray(jpeg.quantization_tables(quality)), jpeg.SAMPLINGS[sampling]
    planes = np.asarray(jpeg.degrade_to_planes(CLEAN[None], tables, sampling=sampling))[0]
    original, decoded = rgb_to_ycbcr(CLEAN)[..., 1], planes[..., 1]
    noise = np.random.default_rng(0).normal(0, 12, decoded.shape)
    noise += np.random.default_rng(1).normal(0, 12, (18, 19)).repeat(8, 0).repeat(8, 1)[:137, :149]
    changes = noise.astype(np.float16)
    keep_to(changes, decoded, tables[1], factors, tolerance=2)
    before = ((decoded + noise - original) ** 2).mean()
    after = ((decoded + changes.astype(np.float32) - original) ** 2).mean()
    assert after < 0.8 * before
    # And the means that the encoder would take of whole blocks have nothing left to correct.
    again = changes.copy()
    keep_to(again, decoded, tables[1], factors, tolerance=2)
    assert np.abs(again - changes)[:128, :144].max() < 0.1


@pytest.mark.parametrize("factors", [(1, 1), (1, 4)])
def test_the_file_allows_what_its_decoder_repeats(factors):
    """What it enlarges by a filter is blurred, and the encoder would make other samples of it."""
    steps = np.full((8, 8), 12, np.int32)
    samples = jpeg.luma.code(CLEAN[:61, :83, 0], steps)
    shape = 61, 83 * factors[1] - (factors[1] > 1)
    decoded = np.rint(upsample(np.asarray(samples), factors, shape=shape)).astype(np.uint8)
    changes = np.zeros(shape, np.float16)
    keep_to(changes, decoded, steps, factors, tolerance=2)
    assert np.abs(changes).max() < 1.5


def test_strips_show_in_no_result(monkeypatch):
    tables = np.asarray(jpeg.quantization_tables(40))
    planes = np.asarray(jpeg.degrade_to_planes(CLEAN[None], tables, sampling="4:2:0"))[0]
    noise = np.random.default_rng(0).normal(0, 12, planes.shape[:2]).astype(np.float16)
    whole, in_strips = noise.copy(), noise.copy()
    keep_to(whole, planes[..., 2], tables[1], (2, 2), tolerance=2)
    monkeypatch.setattr(sampling_module, "STRIP", 16)
    keep_to(in_strips, planes[..., 2], tables[1], (2, 2), tolerance=2)
    np.testing.assert_allclose(in_strips, whole, atol=0.02)


@pytest.mark.parametrize("factors", [(1, 1), (1, 2), (2, 2), (4, 1), (3, 2)])
def test_interpolated_pixels_have_the_samples_as_their_means(factors):
    samples = skimage.data.camera()[::16, ::16].astype(np.float32)
    pixels = interpolate(samples, factors)
    (h, w), (rows, columns) = samples.shape, factors
    assert pixels.shape == (h * rows, w * columns)
    means = pixels.reshape(h, rows, w, columns).mean((1, 3))
    np.testing.assert_allclose(means, samples, atol=1e-3)


def test_interpolation_follows_polynomials():
    """Means of the fourth power over intervals, and over their halves."""
    ends = np.arange(33) / 32
    halves = 64 * np.diff(np.linspace(0, 1, 65) ** 5)
    found = interpolate((32 * np.diff(ends**5))[:, None].astype(np.float32), (2, 1))[:, 0]
    np.testing.assert_allclose(found[4:-4], halves[4:-4], atol=1e-5)
