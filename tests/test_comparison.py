"""The picture of before, after and difference."""

import numpy as np
import pytest

from casjax.restoration.comparison import compare


def test_the_change_is_found_and_enlarged():
    before = np.full((200, 300, 3), 100, np.uint8)
    after = before.copy()
    after[150:160, 220:230] += 10
    picture = compare(before, after)
    assert picture.shape == (200 + 8 + 3 * 96, 3 * 300 + 16, 3)
    assert np.array_equal(picture[:200, :300], before)
    assert np.array_equal(picture[:200, 308:608], after)
    difference = picture[:200, 616:]
    assert (difference[150:160, 220:230] == 128 + 80).all()
    assert (difference == 128).mean() > 0.99
    enlarged = picture[208:, 316 : 316 + 288]  # centred below the picture after
    assert (enlarged == 110).sum() == 3 * 100 * 9


@pytest.mark.parametrize("shape", [(1, 1), (5, 400), (300, 7)])
def test_any_size_of_grey(shape):
    picture = compare(np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8))
    assert picture.shape[1:] == (3 * shape[1] + 16, 3)


def test_other_shapes():
    with pytest.raises(ValueError, match="equal shapes"):
        compare(np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8))
