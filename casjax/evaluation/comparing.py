"""Significance of differences: standard errors over images, and sign tests between methods."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats


class Comparison(NamedTuple):
    """Two methods on the same images, by one metric.

    Attributes:
      images: their number.
      difference: mean of the first method's score minus the second's.
      standard_error: of that mean; NaN for a single image.
      better: the number of images on which the first method scores higher.
      worse: the number of images on which it scores lower.
      p: of the two-sided sign test: the probability of a split of the unequal images at least as
        uneven as this one if both methods were equally likely to be better.
    """

    images: int
    difference: float
    standard_error: float
    better: int
    worse: int
    p: float


def compare(first: Mapping[str, float], second: Mapping[str, float]) -> Comparison:
    """Compare the scores of two methods, by image.

    Equal infinite scores, of images that both restore perfectly, count as equal.

    Raises:
      ValueError: they are not of the same images.
    """
    if first.keys() != second.keys() or not first:
        only = sorted(first.keys() ^ second.keys())
        raise ValueError(f"not of the same images: {', '.join(only[:3]) or 'there are none'}")
    pairs = [(first[image], second[image]) for image in first]
    differences = [0.0 if a == b else a - b for a, b in pairs]
    better, worse = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
    p = scipy.stats.binomtest(better, better + worse).pvalue if better + worse else 1.0
    mean = sum(differences) / len(differences)  # not a number, if it would be inf - inf
    return Comparison(len(differences), mean, standard_error(differences), better, worse, float(p))


def standard_error(scores: Sequence[float]) -> float:
    """Return the standard error of a mean: the sample deviation over the root of its size.

    NaN for fewer than two scores, or if one is infinite.
    """
    if len(scores) < 2 or not np.isfinite(scores).all():
        return math.nan
    return float(np.std(scores, ddof=1) / math.sqrt(len(scores)))
