"""Classic5: five grey photographs from the literature on deblocking."""

from typing import ClassVar

import tensorflow_datasets as tfds

from casjax.datasets.builder import PublishedImages


class Builder(PublishedImages):
    """TFDS builder of the clean Classic5 images, grey, 512x512."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar[dict[str, str]] = {"1.0.0": "The 5 images."}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.images_info(
            description="Five classic grey test photographs of 512x512 pixels.",
            homepage="https://webpages.tuni.fi/foi/SA-DCT/",
            citation="""@article{foi2007pointwise,
  author = {Foi, Alessandro and Katkovnik, Vladimir and Egiazarian, Karen},
  title = {Pointwise Shape-Adaptive {DCT} for High-Quality Denoising and Deblocking of Grayscale
           and Color Images},
  journal = {IEEE Transactions on Image Processing},
  volume = {16},
  number = {5},
  pages = {1395--1411},
  year = {2007},
}""",
        )
