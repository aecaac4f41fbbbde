"""A file's quantised coefficients: libjpeg makes of them exactly the pixels that Pillow shows."""

import io

import numpy as np
import pytest
import skimage.data
from PIL import Image

from casjax import jpeg
from casjax.images.coefficients import read_coefficients
from casjax.images.photographs import read_photograph
from casjax.images.segments import read_header, without_metadata

COLOUR = skimage.data.astronaut()[60:197, 130:279]  # odd in both


def saved(pixels, **options):
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", **options)
    return file.getvalue()


def decoded(data, size=None):
    """Pixels as libjpeg decodes them; chroma of 4:2:0 is not enlarged at half the size."""
    image = Image.open(io.BytesIO(data))
    if image.mode == "RGB":
        image.draft("YCbCr", size or image.size)
    return np.atleast_3d(np.asarray(image))


def samples(coefficients, steps):
    """Decode by libjpeg's integer arithmetic."""
    from casjax.jpeg.luma import _inverse_dct

    blocks = (coefficients.astype(np.int32) * steps).transpose(0, 2, 1, 3)
    found = np.clip(np.asarray(_inverse_dct(blocks)) + 128, 0, 255)
    return found.reshape(8 * len(found), -1)


@pytest.mark.parametrize("quality", [5, 50, 90, 100])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"progressive": True},
        {"optimize": True, "restart_marker_blocks": 3},
        {"progressive": True, "restart_marker_rows": 1},
    ],
    ids=["sequential", "progressive", "restarts", "progressive-restarts"],
)
@pytest.mark.parametrize("subsampling", ["grey", "4:4:4", "4:2:2", "4:2:0"])
def test_pixels_are_what_libjpeg_makes_of_them(quality, options, subsampling):
    pixels = COLOUR[..., 1] if subsampling == "grey" else COLOUR
    sampling = {} if subsampling == "grey" else {"subsampling": subsampling}
    data = saved(pixels, quality=quality, **options, **sampling)
    found, steps, seen = read_coefficients(data), read_header(data).steps, decoded(data)
    height, width = COLOUR.shape[:2]
    count = 3 if subsampling == "4:4:4" else 1
    for i in range(count):
        own = samples(found[i], steps[i])[:height, :width]
        np.testing.assert_array_equal(own, seen[..., i])
    if subsampling == "4:2:0":
        half = decoded(data, (width // 2, height // 2))
        for i in (1, 2):
            own = samples(found[i], steps[i])[: half.shape[0], : half.shape[1]]
            np.testing.assert_array_equal(own, half[..., i])


def test_other_kinds_of_files_have_none():
    picture = read_photograph(saved(COLOUR, quality=90), name="picture", max_pixels=10**6)
    assert picture.coefficients is not None
    assert [plane.shape for plane in picture.coefficients] == [(18, 19, 8, 8)] + [(9, 10, 8, 8)] * 2
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, "PNG")
    assert read_photograph(file.getvalue(), name="x", max_pixels=10**6).coefficients is None
    for data in (b"\xff\xd8\xff\xd9", saved(COLOUR, quality=90)[:300]):
        with pytest.raises(ValueError, match="its coefficients cannot be read"):
            read_coefficients(data)


def test_they_are_the_encoders():
    """A flat block of level 188 has 8 x (188 - 128) at the lowest frequency, and nothing else."""
    data = saved(np.full((8, 16), 188, np.uint8), quality=50)
    [found] = read_coefficients(data)
    assert found[..., 0, 0].tolist() == [[round(8 * 60 / jpeg.ANNEX_K_LUMA[0, 0])] * 2]
    assert np.count_nonzero(found) == 2


@pytest.mark.parametrize("bodies", [[b"", *[bytes(60_000)] * 10], [b"x"] * 60])
def test_metadata_is_nothing_that_libjpeg_sees(bodies):
    """Empty segments, and more than fifty, are more than jpeglib is prepared for."""
    plain = saved(COLOUR, quality=95)
    segments = [b"\xff\xfe" + (len(body) + 2).to_bytes(2, "big") + body for body in bodies]
    data = plain[:2] + b"".join(segments) + plain[2:]
    for found, expected in zip(read_coefficients(data), read_coefficients(plain), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_without_metadata_the_pixels_are_the_same():
    file = io.BytesIO()
    image = Image.fromarray(COLOUR)
    image.save(file, "JPEG", exif=b"Exif\0\0II*\0", comment=b"x", keep_rgb=True)
    data = file.getvalue() + b"behind"
    bare = without_metadata(data)
    assert len(bare) < len(data) - 10
    np.testing.assert_array_equal(Image.open(io.BytesIO(bare)), Image.open(io.BytesIO(data)))
