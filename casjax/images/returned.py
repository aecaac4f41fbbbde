"""What other programs make of a picture, read by its content."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

FORMATS = ("JPEG", "PNG", "PPM", "TIFF")
PNG_DEPTH = 24  # place in the file of the byte with the bits of a sample


def read_returned(file: bytes) -> npt.NDArray[np.uint8]:
    """Read the pixels of a picture that another program wrote.

    Of 16-bit grey the nearest of 256 levels is taken; opaque alpha is dropped; profiles and
    orientation are not looked at, for none was in what the program was given.

    Args:
      file: bytes of a PNG, PNM, JPEG or TIFF file, which its content tells, whatever its name.

    Returns:
      uint8 [h, w] for grey, also for that which is stored as palette, else RGB [h, w, 3], in
      0..255.

    Raises:
      ValueError: it is no such file, is damaged, or has pixels that 8 bits would not hold rightly.
    """
    try:
        with Image.open(io.BytesIO(file), formats=FORMATS) as image:
            if image.format == "PNG" and file[PNG_DEPTH] == 16 and image.mode == "RGB":
                raise ValueError("it has 16 bits of each colour, expected 8")
            return _pixels(image)
    except Image.UnidentifiedImageError:
        raise ValueError("it is no PNG, PNM, JPEG or TIFF file") from None
    except Exception as error:  # on damaged files decoders raise whatever they stumble over
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
            return rgb[..., 0].copy() if (rgb == rgb[..., :1]).all() else rgb.copy()
        case mode:
            raise ValueError(f"its pixels are of the kind {mode}, expected grey or RGB of 8 bits")
