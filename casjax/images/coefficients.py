"""The quantised DCT coefficients in a JPEG file, read by libjpeg (jpeglib).

Decoders show only pixels, whose rounding hides the coefficients where steps are small.
"""

import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casjax.images.segments import without_metadata

Coefficients = npt.NDArray[np.int16]
"""Of a component, in multiples of its steps: [block rows, block columns, 8, 8], vertical frequency
first."""


def read_coefficients(data: bytes) -> list[Coefficients]:
    """Read the quantised coefficients of each component of a JPEG file, in the file's order.

    Of a damaged file they are what libjpeg salvages, and it says so on the process's error output.

    Args:
      data: the file. Of several pictures in it, the first is read.

    Raises:
      ValueError: libjpeg cannot read it.
    """
    import jpeglib  # takes a tenth of a second, and few files need it

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "picture.jpg")  # libjpeg reads a file by its name
        # An empty segment, or more than fifty, make jpeglib write beyond its buffers.
        path.write_bytes(without_metadata(data))
        try:
            picture = jpeglib.read_dct(str(path))
            planes = (picture.Y, picture.Cb, picture.Cr, picture.K)  # some are read only here
            return [np.asarray(plane) for plane in planes if plane is not None]
        except OSError as error:
            raise ValueError("its coefficients cannot be read") from error
