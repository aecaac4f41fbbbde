"""Choosing the network that restores a photograph, and explaining the choice."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from casjax.images.photographs import Photograph
from casjax.jpeg import ANNEX_K_CHROMA, ANNEX_K_LUMA
from casjax.networks import pretrained
from casjax.restoration.colour import is_for_colour
from casjax.restoration.options import Options
from casjax.restoration.quality import Quality, estimate_quality
from casjax.restoration.traces import Trace, find_trace
from casjax.restoration.twice import find_former

UNLIKE = 10  # difference in quality factor between file and network that gives a note
# Above it the network for 80 loses PSNR: 0.3 dB at 94 and 1.2 dB at 96 on 8 clean photographs.
BEST_RESTORED = 93
# The like for a network for colour: one in the midst of its training, held to what the file allows,
# gained 0.7 and 0.2 dB at 80 and 90, and lost 0.8 dB at 94, on crops of LIVE1.
# launch/do_no_harm.py measures it.
BEST_IN_COLOUR = 90
BEST_GREY = BEST_RESTORED  # quality up to which grey pictures take networks for luma


class Choice(NamedTuple):
    """How to restore a photograph.

    Attributes:
      model: the network's name.
      quality: of the photograph, in words.
      consistent: see `restoring.restore_photograph`.
      notes: what the user should know of it; a few words each.
      grid: of another file than a JPEG, or of a JPEG before it was saved again, row and column of
        its first whole block.
      told: the quality factor that a network for colour is told in place of the file's tables.
      is_left: the photograph is left as it is, because no network would better it.
    """

    model: str
    quality: str
    consistent: bool
    notes: list[str]
    grid: tuple[int, int] = (0, 0)
    told: int | None = None
    is_left: bool = False


def choose_network(photograph: Photograph, options: Options) -> Choice:
    """Choose the network for a photograph, and whether to hold it to the file's coefficients.

    A network made for another quality is held to them where it can be: on files of a higher
    quality it would take details for artifacts. One for colour is so always. A file whose pixels
    show that it was a coarser JPEG before is restored as that one, and not held to what came after.

    Raises:
      ValueError: the quality is unknown, or the file lacks a table that it refers to.
    """
    trace = None if photograph.header else find_trace(photograph.pixels)
    former = find_former_of(photograph) if options.qf is None else None
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
    is_grey = photograph.coding == "grey"
    model = options.model or default_network(factor, luma=options.luma, grey=is_grey)
    if options.model is None and factor > best_restored(model):
        left = "left as it is, because no network betters a file so good"
        return Choice(model, described, consistent=False, notes=[left], is_left=True)
    lowest, highest = pretrained.manifest().get(model, {}).get("qualities", (1, 100))
    notes = []
    if not lowest - UNLIKE < factor < highest + UNLIKE:
        made_for = f"{lowest}" if lowest == highest else f"{lowest} to {highest}"
        notes.append(f"the network was made for quality {made_for}")
    if former:
        notes.append("the pixels show that it was saved twice")
    consistent = options.consistent
    if consistent is None:
        is_unlike = not lowest <= factor <= highest
        is_told = options.qf is None and is_for_colour(model)
        consistent = (is_unlike or is_told) and not former and can_be_held(photograph)
        notes += ["kept within what the file allows"] if consistent and is_unlike else []
    return Choice(
        model,
        described,
        bool(consistent),
        notes,
        grid=(trace or former or Trace(factor, (0, 0))).grid,
        told=options.qf or (former.quality if former else trace.quality if trace else None),
    )


def can_be_held(photograph: Photograph) -> bool:
    """Whether results can be kept to what a file's coefficients allow."""
    try:
        return photograph.has_steps and bool(photograph.header and photograph.header.factors)
    except ValueError:  # its components are sampled at fractions of each other
        return False


def find_former_of(photograph: Photograph) -> Trace | None:
    """Find the coarser JPEG that a JPEG file was before, see `twice.find_former`; else None."""
    if not photograph.header or not can_be_held(photograph):
        return None
    if photograph.header.factors[0] != (1, 1):
        return None
    pixels = photograph.pixels
    luma = pixels if pixels.ndim == 2 else pixels[..., 0]
    return find_former(luma, photograph.header.steps[0])


def default_network(quality: int, *, luma: bool, grey: bool = False) -> str:
    """Return the name of the network that restores pictures of a quality if none is named.

    That is the one for colour that ships, or where there is none, or one for ``luma`` is wanted,
    the `nearest_network`. ``grey`` pictures have that one too up to `BEST_GREY`.

    Raises:
      ValueError: no network ships.
    """
    is_for_luma = luma or (grey and quality <= BEST_GREY)
    return (None if is_for_luma else colour_network()) or nearest_network(quality)


def best_restored(model: str) -> int:
    """Return the quality factor beyond which pictures are better left than restored by default."""
    return BEST_IN_COLOUR if is_for_colour(model) else BEST_RESTORED


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

    Networks for a single quality come before those for several. Of two equally near networks, the
    milder one is taken, for the higher quality. Networks that ship as baselines, for comparison,
    are not chosen.

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
    chosen = "none" if choice.is_left else choice.model
    return "\n".join([*lines, f"  chosen     {chosen} for quality {choice.quality}"])
