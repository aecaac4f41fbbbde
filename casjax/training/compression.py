"""How colour cut-outs are compressed: drawn at random for each, to resemble real files."""

import dataclasses

import numpy as np
import numpy.typing as npt

from casjax.jpeg import ANNEX_K_CHROMA, ANNEX_K_LUMA, SAMPLINGS

# mozjpeg's default for both luma and chroma (table 3 of its jcparam.c, by N. Robidoux): quality 50,
# vertical frequency first.
MOZJPEG = np.array(
    [
        [16, 16, 16, 18, 25, 37, 56, 85],
        [16, 17, 20, 27, 34, 40, 53, 75],
        [16, 20, 24, 31, 43, 62, 91, 135],
        [18, 27, 31, 40, 53, 74, 106, 156],
        [25, 34, 43, 53, 69, 94, 131, 189],
        [37, 40, 62, 74, 94, 124, 169, 238],
        [56, 53, 91, 106, 131, 169, 226, 311],
        [85, 75, 135, 156, 189, 238, 311, 418],
    ],
    np.int32,
)
GRID_OF_LUMA = 8  # pixels: the period of luma blocks
GRID_IN_COLOUR = 16  # pixels: the period of subsampled chroma blocks
CROPPED = 0.5  # share of colour pictures that were cropped before they were saved again
CHROMA_DEVIATION = 10  # in quality factors, of chroma from luma in foreign tables


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compression:
    """The distribution of compressions of colour cut-outs.

    Attributes:
      sampling_shares: of 4:4:4, 4:2:2 and 4:2:0, as parts of their sum.
      quality_exponent: 1 draws qualities uniformly, more gives more of the low ones: they are
        ``lowest + (highest + 1 - lowest) u^exponent`` for a uniform ``u`` below 1, rounded down.
      foreign_share: share with tables other than libjpeg's: half of them are mozjpeg's, the
        others lie between libjpeg's and flat ones, and chroma differs in quality from luma.
      grey_share: share of grey pictures, Cb = Cr = 128.
    """

    sampling_shares: tuple[float, float, float]
    quality_exponent: float
    foreign_share: float
    grey_share: float

    def draw(
        self, generator: np.random.Generator, *, qualities: tuple[int, int]
    ) -> dict[str, npt.ArrayLike]:
        """Draw the compression of a cut-out.

        Args:
          generator: of random numbers.
          qualities: lowest and highest, both included.

        Returns:
          `quality` and `chroma_quality` int32; `base` int32 [2, 8, 8], the tables of quality 50
          that they scale; `sampling` int32, an index into `jpeg.SAMPLINGS`; `grey` bool.
        """
        lowest, highest = qualities
        quality = lowest + int(generator.random() ** self.quality_exponent * (highest + 1 - lowest))
        shares = np.divide(self.sampling_shares, sum(self.sampling_shares))
        base, deviation = self._tables(generator)
        return {
            "quality": np.int32(quality),
            "chroma_quality": np.int32(np.clip(quality + deviation, 1, 100)),
            "base": base,
            "sampling": np.int32(generator.choice(len(SAMPLINGS), p=shares)),
            "grey": np.bool_(generator.random() < self.grey_share),
        }

    def _tables(self, generator: np.random.Generator) -> tuple[np.ndarray, int]:
        """Draw the tables of quality 50, and by how much the quality of chroma differs."""
        annex_k = np.stack([ANNEX_K_LUMA, ANNEX_K_CHROMA])
        if generator.random() >= self.foreign_share:
            return annex_k, 0
        if generator.random() < 0.5:
            return np.stack([MOZJPEG, MOZJPEG]), 0
        means = np.exp(np.log(annex_k).mean((1, 2), keepdims=True))
        flatness = generator.random()
        base = np.rint(annex_k ** (1 - flatness) * means**flatness).astype(np.int32)
        return base, round(generator.normal(0, CHROMA_DEVIATION))
