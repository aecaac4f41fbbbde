"""How sure a difference is: standard errors over images, and methods compared image by image."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy.stats


class Comparison(NamedTuple):
    """Two methods on the same images, by one metric.

    Attributes:
      images: their number.
      difference: mean of the first one's score less the second one's.
      standard_error: of that mean; NaN for a single image.
      better: images on which the first one scores higher.
      worse: images on which it scores lower.
      p: of the two-sided sign test: how probable a split of the unequal images at least as uneven
        as this one were if either method was as likely to be the better one.
    """

    images: int
    difference: float
    standard_error: float
    better: int
    worse: int
    p: float


def compare(first: Mapping[str, float], second: Mapping[str, float]) -> Comparison:
    """Compare the scores of two methods, by image.

    Equal infinite scores, of images that both restore wholly, count as equal.

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
    mean = math.fsum(differences) / len(differences)
    return Comparison(len(differences), mean, standard_error(differences), better, worse, float(p))


def standard_error(scores: Sequence[float]) -> float:
    """The standard error of a mean: the sample's deviation by the root of its size.

    NaN for fewer than two scores, or where one is infinite.
    """
    if len(scores) < 2 or not np.isfinite(scores).all():
        return math.nan
    return float(np.std(scores, ddof=1) / math.sqrt(len(scores)))
