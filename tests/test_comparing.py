"""Standard errors and paired comparisons, against SciPy's other functions and counts by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from casjax.evaluation.comparing import compare, standard_error


def test_a_comparison_is_that_of_pairs():
    generator = np.random.default_rng(0)
    second = dict(zip("abcdefghij", generator.normal(30, 3, 10), strict=True))
    first = {image: score + 0.1 for image, score in second.items()}
    first["a"], first["b"] = second["a"] - 1, second["b"]
    found = compare(first, second)
    differences = np.array(list(first.values())) - np.array(list(second.values()))
    assert (found.images, found.better, found.worse) == (10, 8, 1)
    assert found.difference == pytest.approx(differences.mean())
    assert found.standard_error == pytest.approx(scipy.stats.sem(differences))
    # Of nine unequal ones at most one on a side: 2 (1 + 9) of 2^9.
    assert found.p == pytest.approx(20 / 512)


def test_the_order_of_images_does_not_matter_and_their_names_do():
    assert compare({"a": 1.0, "b": 3.0}, {"b": 3.0, "a": 0.0}).difference == 0.5
    with pytest.raises(ValueError, match="not of the same images: b, c"):
        compare({"a": 1.0, "b": 1.0}, {"a": 1.0, "c": 1.0})
    with pytest.raises(ValueError, match="there are none"):
        compare({}, {})


def test_what_is_restored_wholly_by_both_is_no_difference():
    found = compare({"a": math.inf, "b": 2.0}, {"a": math.inf, "b": 1.0})
    assert (found.difference, found.better, found.worse) == (0.5, 1, 0)
    assert compare({"a": math.inf}, {"a": math.inf}).p == 1


def test_perfect_restorations_of_different_images_have_no_mean():
    found = compare({"a": math.inf, "b": 40.0}, {"a": 40.0, "b": math.inf})
    assert math.isnan(found.difference)
    assert (found.better, found.worse) == (1, 1)


def test_a_standard_error_needs_two_finite_scores():
    assert standard_error([1.0, 2.0, 4.0]) == pytest.approx(scipy.stats.sem([1.0, 2.0, 4.0]))
    assert math.isnan(standard_error([1.0]))
    assert math.isnan(standard_error([1.0, math.inf]))
