"""JPEG compression artifacts, computed on the device: libjpeg without its entropy coder.

What Huffman coding packs it also unpacks, so the loss lies wholly in the conversion of colours, the
subsampling, the integer DCT, the quantisation, and the ways back. Here they are those of libjpeg's
defaults (as libjpeg-turbo has them, which Pillow carries), to the bit.
"""

from casjax.jpeg.colour import SAMPLINGS, degrade_rgb, degrade_to_planes, planes_to_rgb
from casjax.jpeg.luma import DCT, degrade
from casjax.jpeg.shifted import with_shifted_grid
from casjax.jpeg.tables import (
    ANNEX_K_CHROMA,
    ANNEX_K_LUMA,
    quantization_table,
    quantization_tables,
    scaled_table,
)

__all__ = [
    "ANNEX_K_CHROMA",
    "ANNEX_K_LUMA",
    "DCT",
    "SAMPLINGS",
    "degrade",
    "degrade_rgb",
    "degrade_to_planes",
    "planes_to_rgb",
    "quantization_table",
    "quantization_tables",
    "scaled_table",
    "with_shifted_grid",
]
