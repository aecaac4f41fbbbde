"""Results that an earlier call left in a folder, and which of them are still valid.

A score is reused only if it is of exactly the same pictures: names and pixels of the clean images,
and the bytes of the codec's files.
"""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from casjax.datasets import ImageSource
from casjax.evaluation.degraded import Earlier, fingerprints
from casjax.evaluation.restorers import Method
from casjax.metrics import COLOUR_METRICS, METRICS

PARTS = ("rows", "images", "failures")
DESCRIPTIONS = ("network",)  # facts that do not identify a method
REFINEMENTS = ("ensemble", "consistent")
# Facts that not all methods have: about the pictures, unless they are plain luma; and about what is
# added to a method.
OPTIONAL = ("channels", "recompress", "refinement")


def read_results(path: Path, method: Method) -> dict[str, Any]:
    """Read what an earlier call wrote, or return empty results.

    Raises:
      ValueError: it is of another method, or not readable.
    """
    facts = {"method": method.name, **method.facts}
    anew = facts | {part: [] for part in PARTS}
    if not path.is_file():
        return anew
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        # Earlier versions had it only in the name.
        named = results.get("method", "").split("+")[1:]
        results.setdefault("refinement", named if {*named} <= {*REFINEMENTS} and named else None)
        identity = [key for key in {**facts, **dict.fromkeys(OPTIONAL)} if key not in DESCRIPTIONS]
        if changed := [key for key in identity if results.get(key) != facts.get(key)]:
            raise ValueError(
                "it has results of another method or network, or of other pictures "
                f"({', '.join(changed)} changed); choose another -o"
            )
        return anew | {part: results.get(part, []) for part in PARTS}
    except (AttributeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def same_pictures(
    results: Mapping[str, Any],
    source: ImageSource,
    *,
    codec: str,
    earlier: Earlier | None,
    path: Path,
) -> set[int]:
    """Return the qualities at which results are of the same pictures as the source has now.

    Qualities whose files the codec now writes differently (another version of Pillow, say) are
    left out, as are those that lack a metric.

    Raises:
      ValueError: the clean images themselves differ: scores of both in one file would be mistaken
        for those of one set.
    """
    rows = [row for row in results["rows"] if row["dataset"] == source.name]
    known = {row["qf"]: row for row in rows}
    if not known:
        return set()
    metrics = COLOUR_METRICS if results.get("channels") == 3 else METRICS
    now = fingerprints(source, sorted(known), codec=codec, earlier=earlier)
    if any(row["clean_sha256"] != now[quality]["clean_sha256"] for quality, row in known.items()):
        raise ValueError(
            f"{path}: its results on {source.name} are of other images; choose another -o, or "
            "remove that file"
        )
    return {
        quality
        for quality, row in known.items()
        if row["files_sha256"] == now[quality]["files_sha256"] and metrics.keys() <= row.keys()
    }


def is_done(
    results: Mapping[str, Any],
    dataset: str,
    quality: int,
    *,
    same: Collection[int],
    pictures_in: Path | None,
) -> bool:
    """Return whether results, and the pictures if wanted, are there already.

    Args:
      results: from `read_results`.
      dataset: name of the test set.
      quality: JPEG quality factor.
      same: the qualities at which nothing has changed, from `same_pictures`.
      pictures_in: the folder for pictures; None if none are wanted.
    """
    if quality not in same or of_pair(results["failures"], dataset, quality):
        return False
    records = of_pair(results["images"], dataset, quality)
    if pictures_in is None:
        return bool(records)
    return bool(records) and all(
        "picture" in record and (pictures_in / record["picture"]).is_file() for record in records
    )


def of_pair(
    records: Collection[Mapping[str, Any]], dataset: str, quality: int
) -> list[Mapping[str, Any]]:
    """Return the records of a test set at a quality factor."""
    return [r for r in records if (r["dataset"], r["qf"]) == (dataset, quality)]
