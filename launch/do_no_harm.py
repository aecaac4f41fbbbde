"""List the pictures that restoring makes worse: ``python launch/do_no_harm.py -o harm.json``.

Restores LIVE1, classic5, drawings (launch/drawings.py) and your own photographs as ``casjax
restore`` does by default, at low and high qualities, and lists each picture that comes back more
than 0.02 dB of PSNR worse than the JPEG (in RGB; for grey files, in luma), with the mean gain for
each set and quality. Sets and qualities already in FILE are skipped.
Exit status: 0 none is worse, 1 some are, 2 wrong usage.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from drawings import drawings

from casjax.datasets import open_source, readable_images
from casjax.files import write_json
from casjax.images.codecs import decode, encode
from casjax.images.photographs import read_photograph
from casjax.networks import compilation
from casjax.restoration.choosing import choose_network
from casjax.restoration.options import Options
from casjax.restoration.restoring import restore_photograph

ALLOWED = 0.02  # dB of PSNR that a picture may lose
PERFECT = 100.0  # dB: of a picture without errors, and the highest of any
DRAWINGS = "drawings"
QUALITIES = {
    "live1": (*range(5, 90, 5), *range(90, 101)),
    "classic5": (*range(5, 90, 5), *range(90, 101)),
    DRAWINGS: (30, 60, 90, 97),
}
QUALITIES_OF_PHOTOGRAPHS = (10, 50, 90, 94, 97, 100)
Pixels = npt.NDArray[np.uint8]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    try:
        compilation.cache_compilations()
        known = json.loads(options.output.read_text()) if options.output.exists() else {}
        sets = [name for name in options.sets.split(",") if name]
        sets += [f"folder:{options.photographs}"] if options.photographs else []
        found = {}
        for name in sets:
            qualities = QUALITIES.get(name, QUALITIES_OF_PHOTOGRAPHS)
            if options.qualities:
                qualities = tuple(map(int, options.qualities.split(",")))
            for quality in qualities:
                key = f"{name} at {quality}"
                key += f", every {options.every}" if options.every > 1 else ""
                key += f", by {options.model}" if options.model else ""
                if key not in known:
                    known[key] = gains(name, quality, options)
                    keep(options.output, known)
                found[key] = known[key]
                print(in_words(key, found[key]), flush=True)
    except (KeyError, ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    worse = {key: list(filter(is_worse, records)) for key, records in found.items()}
    for key, records in worse.items():
        for record in records:
            print(f"worse: {record['image']}, {key}: {record['gain']:+.3f} dB, {record['said']}")
    return 1 if any(worse.values()) else 0


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="results, as JSON")
    add("--photographs", type=Path, metavar="FOLDER", help="clean ones, as another set")
    add("--sets", default="live1,classic5,drawings", help="default: all three")
    add("--qualities", metavar="N,...", help="default: those defined for each set")
    add("--every", type=int, default=1, metavar="N", help="only every n-th picture; default: 1")
    add("--model", help="network; default: the choice of casjax restore")
    add("--images-dir", default=os.environ.get("CASJAX_DATA", ""), help="with live1/, classic5/")
    return parser


def gains(name: str, quality: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return for each picture of a set its `image`, the JPEG's PSNR as `jpeg`, `gain` and `said`.

    No PSNR is above `PERFECT`.
    """
    records = []
    for number, (image, clean) in enumerate(pictures(name, options)):
        if number % options.every:
            continue
        file = encode(clean, quality, codec="jpeg")
        before = decode(file, codec="jpeg", in_colour=clean.ndim == 3)
        after, said = restored(file, options)
        jpeg, gain = psnr(before, clean), psnr(after, clean) - psnr(before, clean)
        records.append({"image": image, "jpeg": jpeg, "gain": gain, "said": said})
    return records


def pictures(name: str, options: argparse.Namespace) -> Iterator[tuple[str, Pixels]]:
    """Yield the clean pictures of a set, uint8 [h, w] or [h, w, 3], by name."""
    if name == DRAWINGS:
        yield from drawings().items()
        return
    channels = 1 if name == "classic5" else 3
    source = open_source(name, images_dir=options.images_dir, seed=0, channels=channels)
    yield from readable_images(source)


def restored(file: bytes, options: argparse.Namespace) -> tuple[Pixels, str]:
    """Restore a file by default; return its pixels, and the choice and notes in words."""
    photograph = read_photograph(file, name="picture", max_pixels=10**9)
    asked = Options(model=options.model)
    choice = choose_network(photograph, asked)
    pixels = restore_photograph(photograph, choice, asked)
    return pixels, ", ".join([choice.chosen, *choice.notes])


def psnr(pixels: Pixels, clean: Pixels) -> float:
    """Return the PSNR over all channels in dB."""
    error = np.square(pixels.astype(np.float64) - clean).mean()
    return min(float(10 * np.log10(255**2 / error)), PERFECT) if error else PERFECT


def is_worse(record: dict[str, Any]) -> bool:
    """Return whether a picture lost more than is allowed."""
    return record["gain"] < -ALLOWED


def in_words(key: str, records: list[dict[str, Any]]) -> str:
    """Summarise the results of a set at a quality."""
    found = [record["gain"] for record in records]
    jpeg = np.mean([record["jpeg"] for record in records])
    count = sum(map(is_worse, records))
    return (
        f"{key}: JPEG {jpeg:.2f} dB, mean gain {np.mean(found):+.3f} dB, smallest "
        f"{min(found):+.3f}; {count} of {len(records)} are worse"
    )


def keep(path: Path, results: dict[str, Any]) -> None:
    """Write all results, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, results)


if __name__ == "__main__":
    sys.exit(main())
