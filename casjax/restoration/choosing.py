"""Choosing the network that restores a photograph, and explaining the choice."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from casjax.images.photographs import Photograph
from casjax.jpeg import ANNEX_K_CHROMA, ANNEX_K_LUMA
from casjax.networks import pretrained
from casjax.restoration.options import Options
from casjax.restoration.quality import Quality, estimate_quality
from casjax.restoration.traces import find_trace

UNLIKE = 10  # difference in quality factor between file and network that gives a note
# Above it the network for 80 loses PSNR: 0.3 dB at 94 and 1.2 dB at 96 on 8 clean photographs.
BEST_RESTORED = 93


class Choice(NamedTuple):
    """How to restore a photograph.

    Attributes:
      model: the network's name.
      quality: of the photograph, in words.
      consistent: see `restoring.restore_photograph`.
      notes: what the user should know of it; a few words each.
      grid: of another file than a JPEG, row and column of its first whole block.
    """

    model: str
    quality: str
    consistent: bool
    notes: list[str]
    grid: tuple[int, int] = (0, 0)


def choose_network(photograph: Photograph, options: Options) -> Choice:
    """Choose the network for a photograph, and whether to hold it to the file's coefficients.

    A network made for another quality is held to them where it can be: on files of a higher
    quality it would take details for artifacts.

    Raises:
      ValueError: the quality is unknown, or the file lacks a table that it refers to.
    """
    trace = None if photograph.header else find_trace(photograph.pixels)
    if options.qf is not None:
        factor, described = options.qf, f"{options.qf} as asked for"
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
    is_grey = photograph.coding == "grey"
    model = options.model or default_network(factor, luma=options.luma or is_grey)
    lowest, highest = pretrained.manifest().get(model, {}).get("qualities", (1, 100))
    notes = []
    if not lowest - UNLIKE < factor < highest + UNLIKE:
        made_for = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
        notes.append(f"the network was made for quality {made_for}")
    if options.model is None and model != colour_network() and factor > BEST_RESTORED:
        notes.append("a file so good is better left as it is")
    consistent = options.consistent
    if consistent is None and not lowest <= factor <= highest and photograph.has_steps:
        consistent = True
        notes.append("kept within what the file allows")
    return Choice(model, described, bool(consistent), notes, trace.grid if trace else (0, 0))


def default_network(quality: int, *, luma: bool) -> str:
    """Return the name of the network that restores pictures of a quality if none is named.

    That is the one for colour that ships, or where there is none, or one for ``luma`` is wanted,
    the `nearest_network`.

    Raises:
      ValueError: no network ships.
    """
    return (None if luma else colour_network()) or nearest_network(quality)


def colour_network() -> str | None:
    """Return the name of the shipped colour network, if there is one."""
    for name, entry in pretrained.manifest().items():
        if _is_for_colour(entry) and not entry.get("baseline"):
            return name
    return None


def _is_for_colour(entry: Mapping[str, Any]) -> bool:
    return entry.get("model", {}).get("channels", 1) > 1


def nearest_network(quality: int) -> str:
    """Return the name of the shipped luma network whose quality factor is nearest.

    A network for a single quality, kept within what the file allows, is better than the blind
    network even at qualities in between. Of two equally near networks, the milder one is taken,
    for the higher quality. Networks that ship as baselines, for comparison, are not chosen.

    Raises:
      ValueError: no network ships.
    """
    manifest = pretrained.manifest()
    networks = {
        name: entry
        for name, entry in manifest.items()
        if not entry.get("baseline") and not _is_for_colour(entry)
    }
    if not networks:
        raise ValueError("no networks ship with this installation: name one with --model")

    def unfitness(name: str) -> tuple[bool, int, int]:
        lowest, highest = networks[name]["qualities"]
        return lowest < highest, max(lowest - quality, quality - highest, 0), -highest

    return min(networks, key=unfitness)


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
    return "\n".join([*lines, f"  chosen     {choice.model} for quality {choice.quality}"])
