"""What is made of a restorer whose effect is known by hand."""

import numpy as np

from casjax.networks.refinement import refined

STEPS = np.full((8, 8), 16, np.int32)
SQUARE = np.full((1, 40, 40, 1), 100, np.uint8)


def only_the_left(pictures):
    changed = pictures.copy()
    changed[:, :, :8] += 20
    return changed


def test_plain():
    same = refined(only_the_left, ensemble=False, steps=None)
    assert np.array_equal(same(SQUARE), only_the_left(SQUARE))


def test_the_ensemble_averages_eight_positions():
    """Eight columns at the left become a quarter of it at each border."""
    change = refined(only_the_left, ensemble=True, steps=None)(SQUARE)[0, ..., 0].astype(int) - 100
    assert (change[8:-8, 8:-8] == 0).all()
    assert (change[:8, 8:-8] == 5).all()
    assert np.array_equal(change, change.T)
    assert np.array_equal(change, change[::-1])


def test_turned_pictures_keep_to_the_grid():
    """A border of cut-off blocks would shift it."""
    picture = np.uint8(40 * (np.add.outer(np.arange(30) // 8, np.arange(45) // 8) % 5))
    seen = []

    def watching(pictures):
        seen.append(pictures[0, ..., 0])
        return pictures

    restored = refined(watching, ensemble=True, steps=None)(picture[None, ..., None])
    assert np.array_equal(restored[0, ..., 0], picture)
    assert len(seen) == 8
    for turned in seen:
        height, width = turned.shape
        assert height % 8 == width % 8 == 0
        means = turned.reshape(height // 8, 8, width // 8, 8)
        assert (means == means[:, :1, :, :1]).all(), "blocks are whole and in their places"


def test_consistency_limits_the_change():
    """A flat block of 100 has a lowest coefficient of -224, 14 steps: 8 less are 1 grey level."""
    restored = refined(only_the_left, ensemble=False, steps=STEPS)(SQUARE)
    assert (restored[:, :, :8] == 101).all()
    assert (restored[:, :, 8:] == 100).all()
