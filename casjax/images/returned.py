"""Pictures that other programs return, read by their content."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from casjax.color import is_grey

FORMATS = ("JPEG", "PNG", "PPM", "TIFF")
PNG_DEPTH = 24  # offset of the byte with the bits per sample


def read_returned(file: bytes) -> npt.NDArray[np.uint8]:
    """Read the pixels of a picture that another program wrote.

    16-bit grey is rounded to the nearest of 256 levels; opaque alpha is dropped; profiles and
    orientation are ignored, because the program's input had none.

    Args:
      file: bytes of a PNG, PNM, JPEG or TIFF file, recognised by its content.

    Returns:
      uint8 [h, w] for grey, even if stored with a palette, else RGB [h, w, 3], in 0..255.

    Raises:
      ValueError: it is not such a file, is damaged, or has pixels that do not fit 8 bits.
    """
    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as image:
            if image.format == "PNG" and file[PNG_DEPTH] == 16 and image.mode == "RGB":
                raise ValueError("it has 16 bits of each colour, expected 8")
            return _pixels(image)
    except Image.UnidentifiedImageError:
        raise ValueError("it is not a PNG, PNM, JPEG or TIFF file") from None
    except Exception as error:  # on damaged files decoders may raise anything
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error


def _pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    match image.mode:
        case "L" | "RGB":
            return np.array(image)
        case "1":
            return np.array(image.convert("L"))
        case "I;16" | "I;16L" | "I;16B" | "I;16N":
            return np.rint(np.array(image) / 257).astype(np.uint8)
        case "LA" | "RGBA" | "P" | "PA":
            rgba = np.array(image.convert("RGBA"))
            if (rgba[..., 3] != 255).any():
                raise ValueError("it is transparent in places, expected an opaque picture")
            rgb = rgba[..., :3]
            return rgb[..., 0].copy() if is_grey(rgb) else rgb.copy()
        case mode:
            raise ValueError(f"its pixels are of the kind {mode}, expected grey or RGB of 8 bits")
