"""LIVE1: the 29 reference photographs that JPEG artifact removal is scored on."""

from typing import ClassVar

import tensorflow_datasets as tfds

from casjax.datasets.builder import PublishedImages


class Builder(PublishedImages):
    """TFDS builder of the clean LIVE1 images, in colour."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "The 29 images."}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.images_info(
            description="The 29 undistorted colour photographs of the LIVE image quality database.",
            homepage="https://live.ece.utexas.edu/research/quality/",
            citation="""@article{sheikh2006statistical,
  author = {Sheikh, H. R. and Sabir, M. F. and Bovik, A. C.},
  title = {A Statistical Evaluation of Recent Full Reference Image Quality Assessment Algorithms},
  journal = {IEEE Transactions on Image Processing},
  volume = {15},
  number = {11},
  pages = {3440--3451},
  year = {2006},
}""",
        )
