"""The quality factor of a JPEG file, estimated from its quantisation tables."""

import dataclasses

import numpy as np
import numpy.typing as npt

from casjax.jpeg import ANNEX_K_LUMA, scaled_table

FAR = 0.1
"""Root mean square deviation above which a table is not a rounded, scaled Annex K table."""


@dataclasses.dataclass(frozen=True)
class Quality:
    """The quality factor that a quantisation table corresponds to.

    Attributes:
      factor: the libjpeg quality factor in 1..100 whose table is nearest.
      deviation: root mean square of the steps' relative difference from that table; 0 if the
        table is libjpeg's own.
    """

    factor: int
    deviation: float

    @property
    def is_far(self) -> bool:
        """Whether the table is no libjpeg table of any quality, so that `factor` is only rough."""
        return self.deviation > FAR

    def __str__(self) -> str:
        if self.is_far:
            return f"about {self.factor} (its table is far from any libjpeg table)"
        return f"{self.factor}" if self.deviation == 0 else f"about {self.factor}"


def estimate_quality(
    table: npt.NDArray[np.integer], *, base: npt.NDArray[np.int32] = ANNEX_K_LUMA
) -> Quality:
    """Estimate the quality factor by a least-squares match to libjpeg's tables.

    The squares are of logarithms: a step of 2 instead of 1 counts as much as 80 instead of 40. A
    file that was turned without decoding has transposed tables, which match equally well.
    Tables with 16-bit steps are matched to libjpeg's without the limit of 255.

    Args:
      table: quantisation steps, integers [8, 8] in 1..65535, vertical frequency first.
      base: the table of quality 50, `ANNEX_K_LUMA` or `ANNEX_K_CHROMA`.

    Raises:
      ValueError: `table` is another kind of array, or a step is not positive.
    """
    if table.shape != (8, 8) or table.min() < 1:
        raise ValueError(f"expected 8 x 8 positive steps, got {list(table.shape)}: {table.min()}")
    tables = libjpeg_tables(base, limit=255 if table.max() <= 255 else 32767)
    differences = [np.log(each) - np.log(tables) for each in (table, table.T)]
    deviations = np.sqrt(np.mean(np.square(differences), axis=(2, 3))).min(0)
    nearest = int(np.argmin(deviations))
    return Quality(nearest + 1, float(deviations[nearest]))


def libjpeg_tables(base: npt.NDArray[np.int32], *, limit: int) -> npt.NDArray[np.int32]:
    """Return libjpeg's tables of the qualities 1 to 100: int32 [100, 8, 8]."""
    return np.asarray(scaled_table(base, np.arange(1, 101, dtype=np.int32), limit=limit))
