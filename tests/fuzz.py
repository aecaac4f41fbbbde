"""Damaged and malicious image files through the command that restores photographs.

    python tests/fuzz.py --variants=10000 --minutes=20 --failures=FOLDER

Each variant must end as an image of the right size, kind and pixels, or as one line that says what
is wrong with it: no traceback, nothing on a wrong stream, no other file left, in bounded time and
memory. The network is a stand-in that changes nothing, so that the pixels are those that Pillow
decodes. The files come from `mutations.py`, from the folder wild/ in CASJAX_DATA too, where that is
set. Variants that fail are kept in FOLDER with the reason; `--only=NUMBER` makes one of them again.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import io
import itertools
import json
import os
import re
import resource
import selectors
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from mutations import Variant, make_variant
from PIL import Image, ImageFile, ImageOps

MAX_MEGAPIXELS = 12  # of a picture: bounds the time of a variant
MAX_SECONDS = 60  # of a variant, the starting of its process included
MAX_BYTES = 3 * 2**30  # of the process
ROUND = 500  # variants in one process
# Words of errors in Python, not in the file.
INTERNAL = re.compile(
    r"NoneType|out of bounds|out of range|broadcast|subscript|unpack|attribute|positional|"
    r"invalid literal|0x[0-9a-f]{6}|\barray\b|Error\b|\bcodec\b"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variants", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first variant")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"))
    parser.add_argument("--only", type=int, help="make this variant again and say what becomes")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    wild = Path(os.environ["CASJAX_DATA"], "wild") if "CASJAX_DATA" in os.environ else None
    if options.only is not None:
        print(make_variant(options.seed, options.only, wild).history)
        options.first, options.variants, options.child = options.only, 1, True
    if options.child:
        run_variants(options, wild)
        return 0

    def command(first: int, count: int) -> list[str]:
        counted = [f"--first={first}", f"--variants={count}", f"--seed={options.seed}"]
        return [sys.executable, __file__, "--child", *counted]

    start = time.monotonic()
    reports = supervise(
        command,
        range(options.first, options.first + options.variants),
        seconds=60 * options.minutes,
        patience=MAX_SECONDS,
    )
    defects = summarise(reports, options, wild)
    print(f"{time.monotonic() - start:.0f} s in all")
    return 1 if defects else 0


def supervise(
    command: Callable[[int, int], list[str]], numbers: range, *, seconds: float, patience: float
) -> Iterator[dict[str, Any]]:
    """Run variants in processes of their own; yield what becomes of each.

    A process prints a line of JSON for each variant, in order. One that dies or falls silent for
    `patience` seconds has a defect at the variant that it owes, and another goes on after it.
    """
    end, number = time.monotonic() + seconds, numbers.start
    while number < numbers.stop and time.monotonic() < end:
        count = min(ROUND, numbers.stop - number)
        with tempfile.TemporaryFile() as errors:
            child = subprocess.Popen(
                command(number, count), stdout=subprocess.PIPE, stderr=errors, bufsize=0
            )
            assert child.stdout is not None
            try:
                for line in itertools.islice(lines(child.stdout, patience), count):
                    yield json.loads(line)
                    number, count = number + 1, count - 1
                    if time.monotonic() > end:
                        return
                if count:
                    status = child.poll() if child.poll() is not None else child.wait(10)
                    defect = f"the process ended with status {status}"
            except TimeoutError:
                defect = f"it took more than {patience} seconds"
            finally:
                child.kill()
                child.wait()
                child.stdout.close()
            if count:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip()[-2000:]
                yield {"number": number, "kind": "defect", "says": f"{defect}: {said}"}
                number += 1


def lines(stream: io.FileIO, patience: float) -> Iterator[bytes]:
    """Yield lines as they come; TimeoutError where none does."""
    pending = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while selector.select(patience):
            if not (read := stream.read(65536)):
                return
            *whole, pending = (pending + read).split(b"\n")
            yield from whole
    raise TimeoutError


def summarise(
    reports: Iterator[dict[str, Any]], options: argparse.Namespace, wild: Path | None
) -> int:
    """Say what became of all, keep those with defects, and return their number."""
    kinds: collections.Counter[str] = collections.Counter()
    refusals: collections.Counter[str] = collections.Counter()
    judged = peak = 0
    slowest = 0.0
    for report in reports:
        kinds[report["kind"]] += 1
        judged += report.get("judged", False)
        peak = max(peak, report.get("peak", 0))
        slowest = max(slowest, report.get("seconds", 0))
        if report["kind"] == "refused":
            refusals[re.sub(r"-?\d[\d.]*", "N", report["says"])] += 1
        if report["kind"] == "defect":
            options.failures.mkdir(parents=True, exist_ok=True)
            variant = make_variant(options.seed, report["number"], wild)
            path = options.failures / f"seed{options.seed}-variant{report['number']:06}"
            path.with_suffix(".bin").write_bytes(variant.data)
            described = json.dumps(report | {"history": variant.history, "to": variant.suffix})
            path.with_suffix(".json").write_text(described + "\n")
            print(f"{path}.bin: {report['says'][:300]}", flush=True)
    print("refused because:")
    for message, count in refusals.most_common():
        print(f"  {count:6} {message}")
    print(", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())))
    print(f"{judged} compared pixel by pixel, slowest {slowest:.1f} s, peak {peak / 2**20:.0f} MiB")
    return kinds["defect"]


def run_variants(options: argparse.Namespace, wild: Path | None) -> None:
    """Run variants in this process and print a line for each."""
    stand_in()
    output = sys.stdout
    for number in range(options.first, options.first + options.variants):
        variant = make_variant(options.seed, number, wild)
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
            outcome = restore(variant, f"photo {number}.jpg")
            report = judge(variant, outcome)
        report |= {
            "number": number,
            "seconds": round(time.monotonic() - start, 2),
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }
        if report["peak"] > MAX_BYTES:
            report |= {"kind": "defect", "says": f"{report['peak'] / 2**20:.0f} MiB of memory"}
        print(json.dumps(report), file=output, flush=True)


def stand_in() -> None:
    """Put a network that changes nothing in the place of those that ship."""
    from casjax.networks import pretrained
    from casjax.networks.inference import checked
    from casjax.restoration import restoring, running

    os.environ["CASJAX_COMPILATION_CACHE"] = "off"
    pretrained.manifest = lambda: {"identity": {"qualities": [1, 100]}}
    nothing = functools.partial(checked, channels=1)
    restoring.load_restorer = running.load_restorer = lambda model, memory: nothing


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the command did to the one file in the working folder."""

    name: str
    result: Path
    status: int | str | None
    output: str
    errors: str
    warnings: list[str]
    left: set[str]


def restore(variant: Variant, name: str) -> Outcome:
    from casjax.restore import main as command

    Path(name).write_bytes(variant.data)
    result = Path(f"result{variant.suffix}")
    limit = f"--max-megapixels={MAX_MEGAPIXELS}"
    output, errors = io.StringIO(), io.StringIO()
    with (
        warnings.catch_warnings(record=True) as warned,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        warnings.simplefilter("always")
        try:
            status = command([name, "-o", str(result), limit, *variant.options])
        except SystemExit as leaving:
            status = leaving.code
    left = {path.name for path in Path().iterdir()} - {name}
    said = [str(warning.message) for warning in warned]
    return Outcome(name, result, status, output.getvalue(), errors.getvalue(), said, left)


def judge(variant: Variant, outcome: Outcome) -> dict[str, Any]:
    """Return {"kind": "restored", "refused" or "defect", "says": ...}."""

    def defect(says: str) -> dict[str, Any]:
        return {"kind": "defect", "says": says, "options": variant.options}

    told = [line for line in outcome.errors.splitlines() if line.startswith("error: ")]
    if outcome.warnings:
        return defect(f"warnings: {outcome.warnings}")
    if outcome.output and "--explain" not in variant.options:
        return defect(f"printed on standard output: {outcome.output!r}")
    if outcome.status == 1:
        if len(told) != 1 or len(outcome.errors.splitlines()) != 2 or "Traceback" in outcome.errors:
            return defect(f"expected one line of error: {outcome.errors!r}")
        if outcome.left:
            return defect(f"failed, and left {outcome.left}")
        reason = told[0].removeprefix(f"error: {outcome.name}: ")
        if reason == told[0] or len(reason) < 10 or not reason.isprintable():
            return defect(f"not a clear message: {told[0]!r}")
        if INTERNAL.search(reason):
            return defect(f"a message of Python's: {told[0]!r}")
        return {"kind": "refused", "says": reason}
    if outcome.status != 0 or told:
        return defect(f"status {outcome.status}: {outcome.errors!r}")
    expected = {outcome.result.name}
    if "--compare" in variant.options:
        expected.add(f"{outcome.result.stem}-compare.png")
    if outcome.left != expected:
        return defect(f"left {outcome.left}, expected {expected}")
    try:
        judged = compare(variant, outcome)
    except AssertionError as difference:
        return defect(str(difference))
    return {"kind": "salvaged" if "salvaged: " in outcome.errors else "restored", "judged": judged}


def compare(variant: Variant, outcome: Outcome) -> bool:
    """Assert that the result is what Pillow shows of the file; whether its pixels could be."""
    with Image.open(outcome.result) as image:
        image.load()
        result = image.copy()
    assert result.mode in ("L", "LA", "RGB", "RGBA"), f"the result's pixels are {result.mode}"
    ImageFile.LOAD_TRUNCATED_IMAGES = "--salvage" in variant.options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            shown = ImageOps.exif_transpose(Image.open(io.BytesIO(variant.data)))
        except Exception:  # on metadata that the command has to live with
            shown = Image.open(io.BytesIO(variant.data))
            assert {*shown.size} == {*result.size}, f"{result.size}, Pillow has {shown.size}"
            return False
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = False
    assert shown.size == result.size, f"{result.size}, Pillow has {shown.size}"
    is_exact = variant.suffix in (".png", ".tif") and "--consistent" not in variant.options
    if not is_exact or "converted" in outcome.errors or "decoded more" in outcome.errors:
        return False
    if shown.mode not in ("L", "RGB") or "transparency" in shown.info:
        return False
    assert shown.mode == result.mode, f"the result's pixels are {result.mode}, not {shown.mode}"
    difference = np.abs(np.array(shown).astype(int) - np.array(result)).max()
    assert difference <= 1, f"pixels differ from Pillow's by up to {difference}"
    return True


if __name__ == "__main__":
    sys.exit(main())
