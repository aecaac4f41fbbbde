"""Subsampled components, compared with what libjpeg makes of them."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax.restoration.sampling import undo_upsampling, upsample


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


@pytest.mark.parametrize("factors", [(1, 1), (1, 2), (2, 1), (1, 4), (2, 4)])
def test_there_and_back(factors):
    samples = skimage.data.camera()[::8, ::8]
    shape = (samples.shape[0] * factors[0] - (factors[0] > 1), samples.shape[1] * factors[1])
    pixels = np.rint(upsample(samples, factors, shape=shape)).astype(np.uint8)
    found = undo_upsampling(pixels, factors).astype(int)
    assert found.shape == samples.shape
    assert np.abs(found - samples)[:-1].max() <= 1
