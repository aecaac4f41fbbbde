"""Photographs with all that a restored copy needs: their own components, alpha and metadata."""

import contextlib
import dataclasses
import functools
import io
import threading
import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile

from casjax.images import UnreadableImageError, decodable_formats
from casjax.images.chunks import SIGNATURE, read_chunks
from casjax.images.coefficients import Coefficients, read_coefficients
from casjax.images.depth import bits_per_sample
from casjax.images.jpeg_metadata import read_jpeg_metadata
from casjax.images.metadata import (
    ORIENTATION,
    Metadata,
    describe_copy,
    read_metadata,
    read_orientation,
)
from casjax.images.segments import JpegHeader, read_header

Coding = Literal["grey", "YCbCr", "RGB"]

JPEG_START = b"\xff\xd8\xff"
_SWITCHING = threading.RLock()
TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A picture as stored in its file, before any change.

    Attributes:
      pixels: uint8 [h, w] for grey, else [h, w, 3], in 0..255; as stored, not yet turned upright.
      coding: what the channels are; `YCbCr` is that of JPEG files, with the full range and
        upsampled to the size of the picture.
      alpha: uint8 [h, w], 255 for opaque; None if all pixels are.
      orientation: from EXIF or XMP, 1 to 8; `metadata.upright` applies it.
      metadata: for the copy: it describes an upright, restored picture.
      file_format: Pillow's name for it.
      header: of a JPEG file; None for others.
      notes: what the user should know about how the file was read; a few words each.
      jpeg: a JPEG file's bytes, from the picture's start on; empty for others.
    """

    pixels: npt.NDArray[np.uint8]
    coding: Coding
    alpha: npt.NDArray[np.uint8] | None
    orientation: int
    metadata: Metadata
    file_format: str
    header: JpegHeader | None
    notes: tuple[str, ...]
    jpeg: bytes = b""

    @functools.cached_property
    def coefficients(self) -> list[Coefficients] | None:
        """A JPEG file's quantised coefficients by component; None where they cannot be read."""
        try:
            return read_coefficients(self.jpeg) if self.jpeg else None
        except ValueError:
            return None

    @property
    def has_steps(self) -> bool:
        """Whether the channels are a JPEG file's own components, luma first, with known steps."""
        return self.header is not None and self.coding == self.header.coding != "RGB"


def read_photograph(
    data: bytes,
    *,
    name: str,
    max_pixels: int,
    salvage: bool = False,
    frame: int | None = None,
) -> Photograph:
    """Decode an image file, with its metadata, for restoration.

    The colours of CMYK and XYB files are converted to sRGB using the profile in the file; other
    pictures keep their colours and their profile. Broken metadata is left out.

    Args:
      data: the bytes of the file.
      name: what to call it in errors.
      max_pixels: larger pictures are refused before they are decoded.
      salvage: read damaged files as far as possible; `notes` then say so.
      frame: which of several pictures in the file, from 0. None is the only one, or the first of
        several photographs (MPO).

    Raises:
      UnreadableImageError: the file is of another kind, damaged, an animation though `frame` is
        None, too large, or has unsupported colours or depth; one line with `name` and the
        reason.
    """
    try:
        try:
            return _read(data, max_pixels=max_pixels, truncated=False, frame=frame)
        except (DamageError, Image.UnidentifiedImageError) as damage:
            if not salvage:
                raise
            photograph = _read(data, max_pixels=max_pixels, truncated=True, frame=frame)
            notes = f"salvaged: {_reason(damage)}", *photograph.notes
            return dataclasses.replace(photograph, notes=notes)
    except Exception as error:  # on damaged files decoders may raise anything
        reason = _reason(error)
        if isinstance(error, DamageError):
            hint = "" if salvage else "; --salvage restores what is left"
            reason = f"damaged, {reason}{hint}"
        raise UnreadableImageError(f"{name}: {reason}") from error


class DamageError(ValueError):
    """A file that can be read in part; the message says what is wrong with it."""


def _reason(error: Exception) -> str:
    # Pillow's message about an unknown format ends with the address of an object.
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a known format"
    if isinstance(error, UnicodeError):  # such as the name of a PNG chunk
        return "damaged, bytes where text is expected"
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _pillow_allowing(*, truncated: bool) -> Iterator[None]:
    """Set Pillow's global switches; its limit on pixels is off, because there is one here.

    One thread after another, because each would put back what another one set.
    """
    with _SWITCHING:
        previous = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, truncated
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # mostly about odd metadata
                yield
        finally:
            Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = previous


def _read(data: bytes, *, max_pixels: int, truncated: bool, frame: int | None) -> Photograph:
    if not data:
        raise ValueError("the file is empty")
    header = jpeg = png = None
    notes: list[str] = []
    if data.startswith(JPEG_START):
        jpeg = read_jpeg_metadata(data)
        if frame:
            one = data[jpeg.pictures[frame - 1]]
            return _read(one, max_pixels=max_pixels, truncated=truncated, frame=None)
        header = read_header(data)
        _refuse_depth(header.precision)
        if header.damage and not truncated:
            raise DamageError(header.damage)
        notes += [f"the first of {1 + len(jpeg.pictures)} pictures"] if jpeg.pictures else []
    elif data.startswith(SIGNATURE):
        png = read_chunks(data)
        _refuse_depth(png.depth)
    bare = jpeg.bare if jpeg else png.bare if png else data
    with _pillow_allowing(truncated=truncated), _opened(bare) as image:
        _refuse_size(image.size, max_pixels)
        notes += _go_to_frame(image, frame)
        _refuse_size(image.size, max_pixels)  # of that frame, which may be larger than the first
        if image.mode != "F":
            _refuse_depth(bits_per_sample(image, data))
        coding: Coding = "RGB"
        if header and header.coding == "YCbCr" and image.mode == "RGB":
            image.draft("YCbCr", image.size)  # avoids the conversion to RGB, which clips
            coding = "YCbCr"
        stored = _orientation_of_tiff(image)  # before its decoder turns it
        try:
            image.load()
        except (OSError, SyntaxError) as error:
            raise DamageError(str(error)) from error
        if truncated and not image.getbbox():
            raise DamageError("nothing of its picture can be decoded")
        metadata = read_metadata(image, data, png=png, jpeg=jpeg)
        orientation = read_orientation(image, metadata)
        decoded, alpha = _split_alpha(image)
        if frame is not None and alpha is not None and (alpha == 255).all():
            alpha = None  # animations have alpha, even if all is opaque
        profile = _description(metadata.icc)
        if decoded.mode == "CMYK" or (coding == "RGB" and profile.startswith("XYB")):
            decoded = _converted_to_srgb(decoded, metadata.icc)
            metadata = dataclasses.replace(metadata, icc=b"")
            notes.append(f"colours converted to sRGB from {profile!r}")
        if decoded.mode == "L":
            coding = "grey"
        size = decoded.size if orientation > 4 else decoded.size[::-1]
        return Photograph(
            np.array(decoded),
            coding,
            alpha,
            orientation,
            describe_copy(
                metadata,
                size=size,
                orientation=stored or orientation,
                is_grey=coding == "grey",
            ),
            "MPO" if jpeg and jpeg.pictures else image.format or "",
            header,
            tuple(notes),
            data if jpeg else b"",
        )


def count_frames(data: bytes) -> int:
    """Return how many pictures a file holds; 1 if unknown."""
    if data.startswith(JPEG_START):
        return 1 + len(read_jpeg_metadata(data).pictures)
    try:
        bare = read_chunks(data).bare if data.startswith(SIGNATURE) else data
        with _pillow_allowing(truncated=False), _opened(bare) as image:
            return getattr(image, "n_frames", 1)
    except Exception:  # the error will be reported when it is read
        return 1


def _orientation_of_tiff(image: Image.Image) -> int:
    """Return the orientation of the pixels in a TIFF file, 1..8; 0 for other files."""
    if image.format != "TIFF":
        return 0
    stored = image.getexif().get(ORIENTATION, 1)
    return stored if stored in range(1, 9) else 1


def _refuse_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise ValueError(
            f"{width} x {height} is {width * height / 1e6:.1f} Mpixel, the limit is "
            f"{max_pixels / 1e6:g}: --max-megapixels raises it"
        )


def _refuse_depth(bits: int) -> None:
    if bits > 8:
        raise ValueError(f"its samples have {bits} bits, expected 8: convert it first")


def _go_to_frame(image: Image.Image, frame: int | None) -> list[str]:
    """Seek a frame of an opened image; return notes about it."""
    frames = getattr(image, "n_frames", 1)
    if frames == 1:
        return []
    if frame is None:
        raise ValueError(
            f"it has {frames} frames, expected a single picture: --frames=first restores the "
            "first, --frames=each all of them"
        )
    image.seek(frame)
    return [f"frame {frame + 1} of {frames}"]


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=decodable_formats())
    except Image.UnidentifiedImageError:
        raise
    except (OSError, SyntaxError) as error:
        raise DamageError(str(error)) from error


def _split_alpha(image: Image.Image) -> tuple[Image.Image, npt.NDArray[np.uint8] | None]:
    """Return the image as L, RGB, YCbCr or CMYK, and its alpha if it has any."""
    if image.mode in TRANSPARENT_MODES or "transparency" in image.info:
        with_alpha = image.convert("LA" if image.mode in ("L", "LA", "La") else "RGBA")
        alpha = np.array(with_alpha.getchannel("A"))
        return with_alpha.convert(with_alpha.mode[:-1]), alpha
    match image.mode:
        case "L" | "RGB" | "CMYK":
            return image, None
        case "YCbCr":
            return (image if image.format == "JPEG" else image.convert("RGB")), None
        case "1":
            return image.convert("L"), None
        case "P" | "RGBX":
            return image.convert("RGB"), None
        case mode:
            raise ValueError(f"its pixels are of the kind {mode}, expected 8-bit grey or colour")


def _description(icc: bytes) -> str:
    try:
        return ImageCms.getProfileDescription(_profile(icc)).strip() if icc else ""
    except (OSError, ImageCms.PyCMSError):
        return ""


def _profile(icc: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(icc))


def _converted_to_srgb(image: Image.Image, icc: bytes) -> Image.Image:
    if not icc:
        raise ValueError(
            "CMYK without an ICC profile: its colours are not defined; "
            "convert it to RGB with the profile of its printer first"
        )
    try:
        converted = ImageCms.profileToProfile(
            image,
            _profile(icc),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except (OSError, ImageCms.PyCMSError) as error:
        raise ValueError(
            f"its ICC profile, which defines its colours, is unusable: {error}"
        ) from error
    assert converted is not None  # it is None only for conversions in place
    return converted
