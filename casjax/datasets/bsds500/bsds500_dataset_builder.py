"""BSDS500: the Berkeley segmentation photographs, which small networks are trained on."""

from typing import ClassVar

import tensorflow_datasets as tfds

from casjax.datasets.builder import PublishedImages


class Builder(PublishedImages):
    """TFDS builder of the BSDS500 images, in colour; without the segmentations."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {
        "1.0.0": "200 images to train, 200 to test, 100 to validate."
    }

    def _info(self) -> tfds.core.DatasetInfo:
        return self.images_info(
            description="500 photographs of 481x321 pixels, as JPEG files of high quality.",
            homepage="https://www2.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/resources.html",
            citation="""@article{arbelaez2011contour,
  author = {Arbel{\\'a}ez, Pablo and Maire, Michael and Fowlkes, Charless and Malik, Jitendra},
  title = {Contour Detection and Hierarchical Image Segmentation},
  journal = {IEEE Transactions on Pattern Analysis and Machine Intelligence},
  volume = {33},
  number = {5},
  pages = {898--916},
  year = {2011},
}""",
        )
