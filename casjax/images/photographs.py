"""Photographs with all that a restored copy needs: their own components, alpha and metadata."""

import contextlib
import dataclasses
import io
import warnings
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageFile

from casjax.images import UnreadableImageError, decodable_formats
from casjax.images.metadata import Metadata, orientation_of, read_metadata
from casjax.images.segments import JpegHeader, read_header

Coding = Literal["grey", "YCbCr", "RGB"]

TRANSPARENT_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


@dataclasses.dataclass(frozen=True)
class Photograph:
    """A picture as its file holds it, before any change.

    Attributes:
      pixels: uint8 [h, w] for grey, else [h, w, 3], in 0..255; as stored, not yet turned upright.
      coding: what the channels are; `YCbCr` as JPEG files have it, with the full range, enlarged
        to the size of the picture.
      alpha: uint8 [h, w], 255 for opaque; None where all is.
      orientation: of EXIF, 1 to 8; `metadata.upright` applies it.
      metadata: what goes along to the copy. It describes an upright picture.
      file_format: Pillow's name of it.
      header: of a JPEG file; None for others.
      notes: what the user should know of how the file was read; a few words each.
    """

    pixels: npt.NDArray[np.uint8]
    coding: Coding
    alpha: npt.NDArray[np.uint8] | None
    orientation: int
    metadata: Metadata
    file_format: str
    header: JpegHeader | None
    notes: tuple[str, ...]

    @property
    def has_steps(self) -> bool:
        """Whether the channels are a JPEG file's own components, luma first, of known steps."""
        return self.header is not None and self.coding == self.header.coding != "RGB"


def read_photograph(
    data: bytes, *, name: str, max_pixels: int, salvage: bool = False
) -> Photograph:
    """Decode an image file, with its metadata, for restoration.

    Colours of CMYK and XYB files are converted to sRGB by the profile that they carry; other
    pictures keep their colours and their profile. Of a file with several photographs (MPO) the
    first is read.

    Args:
      data: the bytes of the file.
      name: what to call it in errors.
      max_pixels: larger pictures are refused before they are decoded.
      salvage: read damaged files as far as they go; `notes` then say so.

    Raises:
      UnreadableImageError: the file is of another kind, damaged, an animation, too large, or of
        colours or a depth that would not come out right; one line with `name` and the reason.
    """
    try:
        try:
            return _read(data, max_pixels=max_pixels, truncated=False)
        except (DamageError, Image.UnidentifiedImageError) as damage:
            if not salvage:
                raise
            photograph = _read(data, max_pixels=max_pixels, truncated=True)
            notes = f"salvaged: {_reason(damage)}", *photograph.notes
            return dataclasses.replace(photograph, notes=notes)
    except Exception as error:  # on damaged files decoders raise whatever they stumble over
        reason = _reason(error)
        if isinstance(error, DamageError):
            hint = "" if salvage else "; --salvage restores what is left"
            reason = f"damaged, {reason}{hint}"
        raise UnreadableImageError(f"{name}: {reason}") from error


class DamageError(ValueError):
    """A file that could be read in part; the message says what is wrong with it."""


def _reason(error: Exception) -> str:
    # Pillow's message on bytes of no known kind ends with the address of an object.
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in a known format"
    if isinstance(error, UnicodeError):  # the name of a PNG file's chunk, say
        return "damaged, bytes stand where text belongs"
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _pillow_allowing(*, truncated: bool) -> Iterator[None]:
    """Set Pillow's global switches; its limit on pixels is off, for here is another one."""
    previous = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = None, truncated
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on odd metadata, mostly
            yield
    finally:
        Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES = previous


def _read(data: bytes, *, max_pixels: int, truncated: bool) -> Photograph:
    if not data:
        raise ValueError("the file is empty")
    notes: list[str] = []
    header = read_header(data) if data.startswith(b"\xff\xd8\xff") else None
    if header:
        if header.precision != 8:
            raise ValueError(f"its samples have {header.precision} bits, expected 8")
        if header.damage and not truncated:
            raise DamageError(header.damage)
    with _pillow_allowing(truncated=truncated), _opened(data) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise ValueError(
                f"{width} x {height} is {width * height / 1e6:.1f} Mpixel, the limit is "
                f"{max_pixels / 1e6:g}: --max-megapixels raises it"
            )
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":
            raise ValueError(f"it has {frames} frames, expected a single picture")
        if frames > 1:
            notes.append(f"the first of {frames} pictures")
        coding: Coding = "RGB"
        if header and header.coding == "YCbCr" and image.mode == "RGB":
            image.draft("YCbCr", image.size)  # without the conversion to RGB, which clips
            coding = "YCbCr"
        try:
            image.load()
        except (OSError, SyntaxError) as error:
            raise DamageError(str(error)) from error
        if truncated and not image.getbbox():
            raise DamageError("nothing of its picture can be decoded")
        metadata, orientation = read_metadata(image), orientation_of(image)
        decoded, alpha = _split_alpha(image)
        profile = _description(metadata.icc)
        if decoded.mode == "CMYK" or (coding == "RGB" and profile.startswith("XYB")):
            decoded = _converted_to_srgb(decoded, metadata.icc)
            metadata = dataclasses.replace(metadata, icc=b"")
            notes.append(f"colours converted to sRGB from {profile!r}")
        if decoded.mode == "L":
            coding = "grey"
        return Photograph(
            np.array(decoded),
            coding,
            alpha,
            orientation,
            metadata,
            image.format or "",
            header,
            tuple(notes),
        )


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
            return (image if image.format in ("JPEG", "MPO") else image.convert("RGB")), None
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
    assert converted is not None  # it is only for conversions in place
    return converted
