"""Score a method on test sets: ``casjax evaluate sadct -o runs/sadct``.

Writes ``results.json``, in the same form as `casjax train`, to the folder, and with --pictures the
clean, the JPEG and the restored images as PNG files. Existing results are kept if they are of
exactly the same pictures: the same command resumes where it stopped, and other qualities and test
sets can be added. Pictures that the method fails on are reported and left out.
Exit status: 0 done, 1 some pictures failed, 2 wrong usage, 130 interrupted.
"""

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casjax.cli import ExitStatus
from casjax.files import held, readable_name
from casjax.images import write_png
from casjax.networks.workdir import RESULTS_FILE

if TYPE_CHECKING:
    import numpy as np

    from casjax.datasets import ImageSource
    from casjax.evaluation.degraded import Earlier
    from casjax.evaluation.restorers import Method


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    # Imported here so that --help and mistyped options need not wait for these.
    from casjax.datasets import open_source
    from casjax.evaluation import evaluator, methods
    from casjax.evaluation.degraded import Earlier
    from casjax.networks import compilation
    from casjax.networks.circumstances import require_devices

    try:
        require_devices()
        compilation.cache_compilations()
        method = methods.refine(
            methods.find_method(
                options.method, tile=options.tile, jobs=options.jobs, timeout=options.timeout
            ),
            ensemble=options.ensemble,
            consistent=options.consistent,
        )
        method = methods.named(method, options.name or None)
        sources = [
            open_source(
                name, images_dir=options.images_dir, seed=0, channels=3 if options.colour else 1
            )
            for name in options.datasets
        ]
        if options.shift and not options.recompress:
            raise ValueError("--shift applies to an earlier JPEG: it needs --recompress QUALITY")
        earlier = (
            Earlier(options.recompress, options.shift or (0, 0)) if options.recompress else None
        )
        method = methods.for_pictures(method, in_colour=options.colour, earlier=earlier)
        with alone_in(options.output):
            results = score(
                method,
                sources,
                options.qualities or method.qualities,
                folder=options.output,
                earlier=earlier,
                pictures=options.pictures,
            )
    except (ValueError, OSError) as error:
        parser.error(" ".join(str(error).split()))
    except KeyboardInterrupt:
        print("\ninterrupted; the same command resumes", file=sys.stderr)
        return ExitStatus.INTERRUPTED
    print(evaluator.format_table(results))
    print(f"All results: {options.output / RESULTS_FILE}")
    if failed := len(results["failures"]):
        print(f"{failed} failed, not in the means; the same command retries", file=sys.stderr)
    return ExitStatus.FAILED if failed else ExitStatus.DONE


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="casjax evaluate",
        description="Score a method that removes JPEG artifacts on test sets.",
        epilog="Exit status: 0 done, 1 some pictures failed, 2 wrong usage, 130 interrupted.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "method",
        metavar="METHOD",
        help="jpeg (alone), sadct, a network that ships (cascnn-qf20), the workdir of a finished "
        "run, a weights file in it, AR-CNN's released weights (arcnn_q20.mat), or another method: "
        "jpegli, waifu2x, onnx:FILE, torchscript:FILE, or any program, such as "
        "'command:jpegqs -q 6 {jpeg} {out.jpg}'",
    )
    add("-o", "--output", type=Path, required=True, metavar="FOLDER", help="for the results")
    add(
        "--datasets",
        type=lambda text: text.split(","),
        default=["live1"],
        metavar="NAME,...",
        help="live1 (default), classic5, folder:PATH and other sources as in config.data.sources",
    )
    add(
        "--qualities",
        type=quality_list,
        metavar="N,...",
        help="JPEG quality factors; default: the one trained for, or the paper's five",
    )
    add(
        "--colour",
        action="store_true",
        help="score RGB, saved with libjpeg's default of 4:2:0; for jpeg and methods of files",
    )
    add(
        "--recompress",
        type=one_quality,
        metavar="QUALITY",
        help="score pictures that were JPEGs of this quality before",
    )
    add(
        "--shift",
        type=rows_and_columns,
        metavar="ROWS,COLUMNS",
        help="cut off in between, which shifts the block grid; default: 0,0",
    )
    add("--ensemble", action="store_true", help="average eight flips and turns: 8 times the work")
    add("--consistent", action="store_true", help="keep within what the JPEG's coefficients allow")
    add("--pictures", action="store_true", help="write the images too, as PNG files")
    add(
        "--images-dir",
        default=os.environ.get("CASJAX_DATA", ""),
        metavar="FOLDER",
        help="folder with live1/ and classic5/; default: $CASJAX_DATA, or download",
    )
    add("--tile", type=int, default=1024, metavar="PIXELS", help="of networks; default: 1024")
    add("--name", metavar="NAME", help="the method's name in results and tables")
    add(
        "--jobs",
        type=positive(int),
        default=1,
        metavar="N",
        help="pictures at once, for jpegli and programs; default: 1, best for timing",
    )
    add(
        "--timeout",
        type=positive(float),
        default=600.0,
        metavar="SECONDS",
        help="time limit of a program per picture; default: 600",
    )
    return parser


def positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    """Make a parser of numbers above 0."""

    def parse(text: str) -> float:
        try:
            number = kind(text)
        except ValueError:
            number = 0
        if not 0 < number < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
        return number

    return parse


def quality_list(text: str) -> list[int]:
    """Parse comma-separated quality factors."""
    words = text.split(",")
    if not all(word.isdecimal() and 1 <= int(word) <= 100 for word in words):
        raise argparse.ArgumentTypeError(f"expected numbers from 1 to 100, got {text!r}")
    return [int(word) for word in words]


def one_quality(text: str) -> int:
    """Parse a quality factor."""
    try:
        [factor] = quality_list(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected one number, got {text!r}") from None
    return factor


def rows_and_columns(text: str) -> tuple[int, int]:
    """Parse numbers of rows and columns."""
    words = text.split(",")
    if len(words) != 2 or not all(word.isdecimal() for word in words):
        raise argparse.ArgumentTypeError(f"expected rows and columns, such as 4,4, got {text!r}")
    return int(words[0]), int(words[1])


def score(
    method: "Method",
    sources: Sequence["ImageSource"],
    qualities: Sequence[int],
    *,
    folder: Path,
    earlier: "Earlier | None" = None,
    pictures: bool,
) -> dict[str, Any]:
    """Score a method and store the results in a folder, each quality when it is done.

    Returns:
      The content of the folder's ``results.json``.

    Raises:
      ValueError: the folder holds the results of another method, or of other images.
    """
    from casjax.evaluation import evaluator, kept
    from casjax.networks.circumstances import machine

    path = folder / RESULTS_FILE
    codec = method.facts.get("network", {}).get("codec", "jpeg")
    results = kept.read_results(path, method)
    for source in sources:
        same = kept.same_pictures(results, source, codec=codec, earlier=earlier, path=path)
        if pictures:
            keep_clean(source, folder, earlier)
        for quality in qualities:
            pair = source.name, quality
            done = kept.is_done(results, *pair, same=same, pictures_in=folder if pictures else None)
            state = "scored before" if done else f"scoring {len(source)} images"
            print(f"{source.name} at quality {quality}: {state}", file=sys.stderr, flush=True)
            if done:
                continue
            scores = evaluator.evaluate(
                method.restorer(quality),
                source,
                method=method.name,
                codec=codec,
                qualities=[quality],
                earlier=earlier,
                keep=partial(keep_picture, folder) if pictures else None,
            )
            for row in scores["rows"]:
                if "seconds" in row:
                    here = machine()
                    row["processor"], row["accelerators"] = here["processor"], here["accelerators"]
            for part, records in scores.items():
                others = [r for r in results[part] if (r["dataset"], r["qf"]) != pair]
                results[part] = others + records
            evaluator.write_results(path, results)
    return results


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Create a folder and keep others from writing there, who would drop what this one writes.

    If nothing was written, the folder is removed again.

    Raises:
      BlockingIOError: another process is writing there.
    """
    is_new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with held(folder):
            yield
    finally:
        if is_new and [path.name for path in folder.iterdir()] == [".lock"]:
            shutil.rmtree(folder)


def keep_clean(source: "ImageSource", folder: Path, earlier: "Earlier | None") -> None:
    """Write the clean images of a test set, cropped as they are scored.

    Raises:
      ValueError: two images would have the same name.
    """
    from casjax.datasets import readable_images

    if len({Path(name).with_suffix("") for name in source.image_names}) < len(source):
        raise ValueError(
            f"{source.name}: two images differ only in their suffix, so their pictures would have "
            "the same name: score them without --pictures"
        )
    for name, clean in readable_images(source):
        path = folder / picture_path(source.name, "clean", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        if earlier is not None:
            clean = earlier.crop(clean)
        write_png(path, clean)  # even if it exists, because it may be of another image


def keep_picture(folder: Path, record: dict[str, Any], pixels: "np.ndarray") -> None:
    """Write a scored picture, and add its path and that of the clean one to its record."""
    dataset, image = record["dataset"], record["image"]
    method = readable_name(record["method"])
    record["picture"] = picture_path(dataset, f"qf{record['qf']}/{method}", image)
    record["clean"] = picture_path(dataset, "clean", image)
    path = folder / record["picture"]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_png(path, pixels)


def picture_path(dataset: str, kind: str, image: str) -> str:
    """Return the path of a picture: `pictures/live1/qf20/sadct/bikes.png`."""
    return f"pictures/{readable_name(dataset)}/{kind}/{Path(image).with_suffix('.png')}"


if __name__ == "__main__":
    sys.exit(main())
