"""How pictures are to be restored and written: the options of the command line."""

import dataclasses
import math
import numbers
from typing import Literal

FRAMES = (None, "first", "each")
SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The options of the command that concern a single picture, under the same names.

    Attributes:
      qf: the JPEG quality factor, 1..100, in place of the file's own.
      model: a network that ships, by name, or the workdir of a run; None is the one that the
        quality asks for.
      luma: choose among the networks for luma, also where one for colour ships.
      chroma: with a network for luma, restore colour as well, each component by itself.
      consistent: keep within what the file's coefficients allow; None is where the network is for
        colour and `qf` is None, or was made for another quality, and the file was not saved twice.
      ensemble: average over eight flips and turns.
      strength: how much of what the network changes is made, 0..1.
      memory: bytes for a tile; None is a share of what is free.
      output_quality: of JPEG and lossy WebP, 1..100; None is 95, and WebP without loss.
      subsampling: of a JPEG's chroma: "4:4:4", "4:2:2" or "4:2:0".
      strip: write no metadata except what defines the colours.
      compare: write a comparison beside each result.
      keep_date: give results the date of their files.
      frames: of files with several pictures: "first", or "each" as a separate result. None takes
        the first of several photographs (MPO), and refuses other such files.
      overwrite: replace results that exist.
      resume: skip results that exist.
      salvage: restore damaged files as far as possible.
      max_megapixels: larger pictures are refused.
      explain: print what was read from each file and which network was chosen.

    Raises:
      ValueError: one of them has a value that it cannot have.
    """

    qf: int | None = None
    model: str | None = None
    luma: bool = False
    chroma: bool = False
    consistent: bool | None = None
    ensemble: bool = False
    strength: float = 1
    memory: int | None = None
    output_quality: int | None = None
    subsampling: str = "4:4:4"
    strip: bool = False
    compare: bool = False
    keep_date: bool = False
    frames: Literal["first", "each"] | None = None
    overwrite: bool = False
    resume: bool = False
    salvage: bool = False
    max_megapixels: int = 200
    explain: bool = False

    def __post_init__(self) -> None:
        for name, kind, least, most in (
            ("qf", numbers.Integral, 1, 100),
            ("strength", numbers.Real, 0, 1),
            ("memory", numbers.Integral, 1, math.inf),
            ("output_quality", numbers.Integral, 1, 100),
            ("max_megapixels", numbers.Integral, 1, math.inf),
        ):
            value = getattr(self, name)
            may_be_none = type(self).__dataclass_fields__[name].default is None
            fits = isinstance(value, kind) and least <= float(value) <= most
            if not fits and not (value is None and may_be_none):
                what = "a whole number" if kind is numbers.Integral else "a number"
                limit = f"from {least} to {most}" if most < math.inf else f"of at least {least}"
                raise ValueError(f"{name}={value!r}: expected {what} {limit}")
        for name, choices in (("frames", FRAMES), ("subsampling", SUBSAMPLINGS)):
            if (value := getattr(self, name)) not in choices:
                expected = ", ".join(map(repr, choices))
                raise ValueError(f"{name}={value!r}: expected one of {expected}")
