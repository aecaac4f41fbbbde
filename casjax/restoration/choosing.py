"""Choosing the network that restores a photograph, and explaining the choice."""

from typing import Literal, NamedTuple

import numpy as np

from casjax.images.photographs import Photograph
from casjax.jpeg import ANNEX_K_CHROMA, ANNEX_K_LUMA
from casjax.networks import pretrained
from casjax.restoration.decoding import can_be_decoded
from casjax.restoration.limits import can_be_held
from casjax.restoration.options import Options
from casjax.restoration.quality import Quality, estimate_quality
from casjax.restoration.safeguard import FINE_ENOUGH, is_plain_drawing
from casjax.restoration.traces import Trace, find_trace
from casjax.restoration.twice import find_former

UNLIKE = 10  # difference in quality factor between file and network that gives a note
# Above this networks make some pictures worse, and `decoding` makes none worse: on classic5 the
# network for 80 gains 0.53 dB at 87, 0.33 dB at 89 and 0.20 dB at 90, where one picture loses 0.23
# dB; decoding 0.44, 0.49 and 0.51 dB. At 90 in colour the network is 0.06 dB ahead on photographs,
# but a drawing loses 0.36 dB. launch/do_no_harm.py measures it.
BEST_RESTORED = 88


class Choice(NamedTuple):
    """How to restore a photograph.

    Attributes:
      model: the network's name; where the method is another, that of the one passed over.
      quality: of the photograph, in words.
      consistent: keep to what the file allows, see `consistency.project`.
      notes: what the user should know about it; a few words each.
      grid: row and column of the first whole block of the former JPEG, if the file is not a JPEG or
        was saved twice.
      told: the quality factor that a colour network is told instead of the file's tables.
      method: "decoding" with `decoding.decode`, and "none", which leaves the photograph unchanged,
        are for what no network would improve.
    """

    model: str
    quality: str
    consistent: bool
    notes: list[str]
    grid: tuple[int, int] = (0, 0)
    told: int | None = None
    method: Literal["network", "decoding", "none"] = "network"

    @property
    def chosen(self) -> str:
        """The network's name, or the method if it is another."""
        return self.model if self.method == "network" else self.method


def choose_network(photograph: Photograph, options: Options) -> Choice:
    """Choose how to restore a photograph, and whether to hold it to the file's coefficients.

    A network made for another quality is held to them if possible: on files of higher quality it
    would mistake details for artifacts. A colour network is too, unless a quality was asked for.
    A file whose pixels show that it was a coarser JPEG before is restored as that JPEG, and not
    held to the later coefficients.

    Raises:
      FileNotFoundError: there is no such network.
      ValueError: the quality is unknown, or the file lacks a table that it refers to.
    """
    trace = None if photograph.header else find_trace(photograph.pixels)
    may_be_former = options.qf is None and not options.consistent
    former = find_former_of(photograph) if may_be_former else None
    if options.qf is not None:
        factor, described = options.qf, f"{options.qf} as asked for"
    elif former:
        now = estimate_qualities(photograph)[0]
        factor, described = former.quality, f"{former.quality}, and then {now}"
    elif estimates := estimate_qualities(photograph):
        factor, described = estimates[0].factor, str(estimates[0])
    elif trace:
        factor, described = trace.quality, f"{trace.quality} by a blind estimate from the pixels"
    elif options.model is not None:
        return Choice(options.model, "unknown", bool(options.consistent), [])
    else:
        raise ValueError(
            f"{photograph.file_format} files have no quantisation tables, and the pixels show no "
            "trace of JPEG: give the quality of the former JPEG with --qf"
        )
    is_luma = options.luma or photograph.coding == "grey"
    model = options.model or default_network(factor, luma=is_luma)
    if options.model is None and factor > BEST_RESTORED:
        if can_be_decoded(photograph):
            again = "decoded more precisely: no network does better on a file this good"
            return Choice(model, described, False, [again], method="decoding")
        left = "left unchanged: no network improves a file this good"
        return Choice(model, described, False, [left], method="none")
    if options.model is None and factor >= FINE_ENOUGH and _is_plain_drawing(photograph):
        left = "left unchanged: networks make drawings as plain as this worse"
        return Choice(model, described, False, [left], method="none")
    made_for = pretrained.made_for(model)
    lowest, highest = made_for.qualities
    notes = []
    if not lowest - UNLIKE < factor < highest + UNLIKE:
        its_own = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
        notes.append(f"the network was made for quality {its_own}")
    if former:
        notes.append("the pixels show that it was saved twice")
    consistent = options.consistent
    if consistent is None:
        is_unlike = not lowest <= factor <= highest
        is_told = options.qf is None and made_for.is_for_colour
        consistent = (is_unlike or is_told) and not former and can_be_held(photograph)
        notes += ["kept within what the file allows"] if consistent and is_unlike else []
    origin = former or trace
    return Choice(
        model,
        described,
        bool(consistent),
        notes,
        grid=origin.grid if origin else (0, 0),
        told=options.qf or (origin.quality if origin else None),
    )


def find_former_of(photograph: Photograph) -> Trace | None:
    """Return the coarser JPEG that a JPEG file was before, if any; see `twice.find_former`."""
    if not photograph.header or not can_be_held(photograph):
        return None
    if photograph.header.factors[0] != (1, 1):
        return None
    pixels = photograph.pixels
    luma = pixels if pixels.ndim == 2 else pixels[..., 0]
    return find_former(luma, photograph.header.steps[0])


def _is_plain_drawing(photograph: Photograph) -> bool:
    """Return whether a JPEG file is what `safeguard.is_plain_drawing` recognises."""
    return can_be_held(photograph) and is_plain_drawing(np.atleast_3d(photograph.pixels)[..., 0])


def default_network(quality: int, *, luma: bool) -> str:
    """Return the name of the network that restores pictures of a quality by default.

    That is the shipped colour network or, if there is none or the pictures are ``luma`` alone, the
    `nearest_network`: on LIVE1 in luma these are 0.27, 0.22 and 0.28 dB ahead of the colour network
    at 10, 20 and 40.

    Raises:
      ValueError: no network ships.
    """
    return (None if luma else colour_network()) or nearest_network(quality)


def colour_network() -> str | None:
    """Return the name of the shipped colour network, if there is one."""
    shipped = pretrained.for_photographs().items()
    return next((name for name, made_for in shipped if made_for.is_for_colour), None)


def nearest_network(quality: int) -> str:
    """Return the name of the shipped luma network whose quality factor is nearest.

    Networks for a single quality come before those for several. Of two equally near networks the
    milder one, for the higher quality, is chosen. Networks shipped as baselines for comparison are
    never chosen.

    Raises:
      ValueError: no network ships.
    """
    shipped = pretrained.for_photographs().items()
    qualities = {name: made.qualities for name, made in shipped if not made.is_for_colour}
    if not qualities:
        raise ValueError("no networks ship with this installation: name one with --model")

    def unfitness(name: str) -> tuple[bool, int, int]:
        lowest, highest = qualities[name]
        return lowest < highest, max(lowest - quality, quality - highest, 0), -highest

    return min(qualities, key=unfitness)


def estimate_qualities(photograph: Photograph) -> list[Quality]:
    """Estimate the quality factors of luma and of any chroma; none without tables.

    Raises:
      ValueError: the file lacks a table that it refers to.
    """
    if photograph.header is None:
        return []
    bases = [ANNEX_K_LUMA, ANNEX_K_LUMA if photograph.header.coding == "RGB" else ANNEX_K_CHROMA]
    tables = photograph.header.steps[:2]
    return [estimate_quality(table, base=base) for table, base in zip(tables, bases, strict=False)]


def explain(name: str, photograph: Photograph, choice: Choice) -> str:
    """Describe in a few lines what was read from a file and which network was chosen."""
    height, width = photograph.pixels.shape[:2]
    header = photograph.header
    coding = header.coding if header else photograph.coding
    sampling = ""
    if header and len(header.components) == 3:
        samples = (f"{c.horizontal}x{c.vertical}" for c in header.components)
        sampling = f", sampling {' '.join(samples)}"
    lines = [
        name,
        f"  file       {photograph.file_format}, {width} x {height}, {coding}{sampling}",
        f"  metadata   {photograph.metadata}, orientation {photograph.orientation}",
    ]
    for component, estimate in zip(
        ("luma", "chroma"), estimate_qualities(photograph), strict=False
    ):
        lines.append(f"  {component:10} quality {estimate}, deviation {estimate.deviation:.1%}")
    lines += [f"  note       {note}" for note in (*photograph.notes, *choice.notes)]
    return "\n".join([*lines, f"  chosen     {choice.chosen} for quality {choice.quality}"])
