"""JPEG compression artifacts, computed on the device: libjpeg without its entropy coder.

Huffman coding is lossless, so all the loss comes from colour conversion, subsampling, the integer
DCT, quantisation and their inverses. These match libjpeg's defaults bit for bit (as in
libjpeg-turbo, which Pillow bundles).
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
