"""The cards of the networks that ship: ``python docs/cards.py`` writes docs/cards.md.

All of it is from the manifest of these networks, from their files, and from the paper's Table II; a
test sees that the page is up to date.
"""

import json
import math
from pathlib import Path
from typing import Any

import tables

PAGE = Path(__file__).resolve().parent / "cards.md"
CURVE_POINTS = 8
TITLES = {"cascnn": "CAS-CNN", "arcnn": "AR-CNN", "l4": "L4", "l8": "L8"}
SETS = {"live1": "LIVE1", "classic5": "classic5"}

HEAD = """\
# Model cards

```bash
python docs/cards.py      # writes this page anew, from the manifest of the networks that ship
```

Every network here restores photographs that were saved as JPEG, baseline or progressive. None
brings back texture that is gone, and none was made for drawings, screenshots, or pictures that were
scaled or edited after they had been compressed. `casjax evaluate NAME -o FOLDER --qualities N`
measures the scores again, and `casjax restore photo.jpg --model NAME` takes that network. All are
float16 files under the licence of the code.

**Data.** BSDS500 is downloaded by `casjax train`. The other photographs are named one by one, with
source, scaling and licence, in [photographs.tsv](photographs.tsv). For each there is Git's name of
its content, by which it is found again, but for seven that are in packages of Debian 12:

```bash
python launch/photographs.py photographs               # in colour: train/ and validation/
python launch/photographs.py luma --set luma           # for the networks for luma
```

Licences are as their sources state them: for whole repositories mostly, and unknown for some
pictures. No photograph is part of this project.

**Scores.** PSNR in dB / PSNR-B in dB / SSIM, means over the images of a test set; the gain is in
PSNR over JPEG with its standard error and, in brackets, the least and the largest gain of an image.
In RGB pictures are saved with halved chroma, and SSIM is over Gaussian windows. Gains on the
learning curve are on cut-outs for validation.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(tables.shipped()), encoding="utf-8")


def page(manifest: dict[str, Any]) -> str:
    """Return the page of all cards: CAS-CNN first, then what it is compared with."""
    names = sorted(manifest, key=lambda name: (manifest[name].get("baseline", False), name))
    return "\n".join([HEAD, *(card(name, manifest) for name in names)])


def card(name: str, manifest: dict[str, Any]) -> str:
    """Return the card of a network."""
    entry = manifest[name]
    parts = [
        f"## {name}\n",
        f"{what_it_is(entry)} {what_for(name, manifest)}\n",
        tables.table(["training", ""], facts(entry)) + "\n",
        scores(entry["scores"]) + "\n",
    ]
    if "multiscale_scores" in entry:
        ours = [row for row in entry["multiscale_scores"] if row["method"] != "jpeg"]
        before = "; ".join(f"{place(row)} {tables.triple(row)}" for row in ours)
        parts.append(f"Before fine-tuning: {before}.\n")
    curve = entry.get("learning_curve")
    parts.append((learning(curve) if curve else "Its learning curve was not kept.") + "\n")
    return "\n".join(parts)


def what_it_is(entry: dict[str, Any]) -> str:
    """Its architecture and size, and what it takes."""
    takes = "Y, Cb and Cr, and is told the quantisation tables" if in_colour(entry) else "luma"
    count = parameters(tables.ROOT / "casjax/networks/shipped" / entry["file"])
    return (
        f"{TITLES[entry['model']['name']]} with {count:,} parameters. It takes {takes}, of JPEG at "
        f"{qualities(entry)}."
    )


def what_for(name: str, manifest: dict[str, Any]) -> str:
    """What it is good and bad at, as far as scores and purpose say."""
    entry = manifest[name]
    lowest, highest = entry["qualities"]
    if entry.get("baseline"):
        better = compared(name, manifest)
        return f"It is there to compare CAS-CNN with, and `restore` never chooses it: {better}."
    if in_colour(entry):
        return "One network for all files, grey ones too; it restores chroma as well."
    if lowest != highest:
        better = compared(name, manifest)
        return f"One network for all qualities, at a price: {better}. Chroma stays as it is."
    [ours] = luma(entry, "live1", lowest)
    paper = tables.published().get(lowest, {}).get("CAS-CNN FT")
    words = "Good at its own quality and near it"
    if paper:
        words += f": {ours['psnr'] - float(paper['psnr']):+.2f} dB against the paper's on LIVE1"
    return (
        f"{words}. Files of much higher quality lose by it, unless it is held to their "
        "coefficients, as `restore` holds it. Chroma stays as it is."
    )


def compared(name: str, manifest: dict[str, Any]) -> str:
    """By how much the best network for luma of a single quality gains more on LIVE1."""
    words = []
    for row in manifest[name]["scores"]:
        if row["method"] == "jpeg" or row["dataset"] != "live1" or "channels" in row:
            continue
        quality = row["qf"]
        rivals = [
            (other["psnr"] - row["psnr"], rival)
            for rival, entry in manifest.items()
            if entry["qualities"] == [quality, quality] and not entry.get("baseline")
            for other in luma(entry, "live1", quality)
        ]
        if rivals:
            difference, rival = max(rivals)
            words.append(f"{difference:.2f} dB at {quality} (`{rival}`)")
    return f"on LIVE1 the network for one quality is ahead by {', '.join(words)}"


def facts(entry: dict[str, Any]) -> list[list[str]]:
    """How it came about, as far as it is known."""
    rows = [["data", entry["data"]]]
    rows.append(
        ["began from", f"`{entry['initial_weights']}`" if entry["initial_weights"] else "nothing"]
    )
    size = entry["cutouts"] // entry["steps"]
    by = {"output": ", the last ones by the full resolution alone", "multi-scale": ""}
    words = f"{entry['steps']:,} by {size} cut-outs, {entry['cutouts']:,} in all"
    rows.append(["steps", words + by.get(entry.get("loss", ""), "")])
    for before in entry.get("earlier", []):
        words = f"{before['steps']:,} steps, {before['cutouts']:,} cut-outs, {before['date']}"
        rows.append(["trained before", f"{words}: {before['data']}"])
    time = "not recorded"
    if "wall_time" in entry:
        minutes = math.ceil(entry["wall_time"] / 60)
        time = f"{minutes // 60} h {minutes % 60:02} min"
    rows.append(["wall time", time])
    rows.append(["machine", entry.get("machine", "not recorded")])
    if "command" in entry:
        rows.append(["command", f"`{entry['command']}`"])
    if "versions" in entry:
        versions = ", ".join(f"{library} {v}" for library, v in entry["versions"].items())
        rows.append(["versions", versions])
    if "revision" in entry:
        rows.append(["revision", f"`{entry['revision']}`"])
    rows.append(["date", entry["date"]])
    rows.append(["SHA-256", f"`{entry['sha256']}`"])
    return rows


def scores(rows: list[dict[str, Any]]) -> str:
    """Its scores beside those of JPEG."""
    jpegs = {place(row): row for row in rows if row["method"] == "jpeg"}
    lines = []
    for row in rows:
        if row["method"] == "jpeg":
            continue
        jpeg = jpegs[place(row)]
        gain = f"{row['psnr'] - jpeg['psnr']:+.2f}"
        if "ipsnr_se" in row:
            gain += f" ± {row['ipsnr_se']:.2f} ({row['ipsnr_min']:+.2f} to {row['ipsnr_max']:+.2f})"
        lines.append([place(row), tables.triple(jpeg), tables.triple(row), gain])
    return tables.table(["test set, quality", "JPEG", "restored", "gain [dB]"], lines)


def place(row: dict[str, Any]) -> str:
    """What a row of scores is of."""
    return f"{SETS[row['dataset']]}{' in RGB' if 'channels' in row else ''}, {row['qf']}"


def learning(points: list[list[float]]) -> str:
    """Some points of a learning curve, the first and the last among them."""
    last = len(points) - 1
    count = min(len(points), CURVE_POINTS)
    chosen = [points[round(i * last / max(1, count - 1))] for i in range(count)]
    return tables.table(
        ["cut-outs seen", *(f"{cutouts:,}" for cutouts, _ in chosen)],
        [["gain [dB]", *(f"{gain:+.2f}" for _, gain in chosen)]],
    )


def luma(entry: dict[str, Any], test_set: str, quality: int) -> list[dict[str, Any]]:
    """The rows of a network's scores in luma: one, or none."""
    return [
        row
        for row in entry["scores"]
        if (row["dataset"], row["qf"]) == (test_set, quality)
        and row["method"] != "jpeg"
        and "channels" not in row
    ]


def in_colour(entry: dict[str, Any]) -> bool:
    """Whether it takes three planes."""
    return entry["model"].get("channels", 1) == 3


def qualities(entry: dict[str, Any]) -> str:
    """For which it was trained."""
    lowest, highest = entry["qualities"]
    return f"quality {lowest}" if lowest == highest else f"qualities {lowest} to {highest}"


def parameters(weights: Path) -> int:
    """Count the trained values in a safetensors file: what its head says of shapes."""
    with weights.open("rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    names = [name for name in head if name.startswith("params/")]
    return sum(math.prod(head[name]["shape"]) for name in names)


if __name__ == "__main__":
    main()
