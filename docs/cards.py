"""The cards of the shipped networks: ``python docs/cards.py`` writes docs/cards.md.

Everything comes from these networks' manifest and files, and from the paper's Table II; a test
checks that the page is up to date.
"""

import json
import math
from pathlib import Path
from typing import Any

import tables

from casjax.networks.provenance import thinned
from casjax.report.names import METHODS

PAGE = Path(__file__).resolve().parent / "cards.md"
CURVE_POINTS = 8
LOSSES = {
    ("output", "mse"): "mean squared error, at the end of the full resolution alone",
    ("output", "psnr"): "mean PSNR of cut-outs, at the end of the full resolution alone",
    ("multi-scale", "mse"): "mean squared error at all scales",
    ("multi-scale", "psnr"): "mean PSNR of cut-outs at all scales",
}
SETS = {"live1": "LIVE1", "classic5": "classic5"}

HEAD = """\
# Model cards

```bash
python docs/cards.py      # rewrites this page from casjax/networks/shipped/manifest.json
```

Every network here restores photographs that were saved as JPEG, baseline or progressive. None
brings back lost texture, and none was made for drawings, screenshots, or pictures that were scaled
or edited after compression. `casjax restore photo.jpg --model NAME` uses that network. All are
float16 files under the licence of the code. These measure the scores again:

```bash
casjax evaluate cascnn-qf20 -o runs/again --datasets live1,classic5
casjax evaluate cascnn-colour -o runs/again-luma --datasets live1,classic5 --qualities 10,20,30,40
casjax evaluate cascnn-colour -o runs/again-rgb --colour --qualities 10,20,30,40
```

**Commands.** Those on the cards leave out where the photographs lay (`--config.data.sources`). What
a network "started from", and its `initial_weights`, is the network that shipped under that name
then: on its own card, its version before. `launch/ship.py` puts a finished run into the package,
and `launch/train_shipped.sh` trains all networks anew, on one GPU.

**Data.** `casjax train` downloads BSDS500. [photographs.tsv](photographs.tsv) lists every other
photograph, with source, scaling and licence, and the Git hash of its content, by which it can be
found again, except for seven from packages of Debian 12:

```bash
python launch/photographs.py photographs               # in colour: train/ and validation/
python launch/photographs.py luma --set luma           # for the luma networks
```

Licences are as the sources state them: mostly for whole repositories, and unknown for some
pictures. No photograph is part of this project.

**Scores.** PSNR in dB / PSNR-B in dB / SSIM, means over the images of a test set; the gain is in
PSNR over JPEG, with its standard error and, in brackets, the smallest and largest gain for an
image. For RGB, pictures are saved with halved chroma, and SSIM is over Gaussian windows. Gains on
the learning curve are for validation cut-outs.
"""


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(tables.manifest()), encoding="utf-8")


def page(manifest: dict[str, Any]) -> str:
    """Return the page of all cards: CAS-CNN first, then the baselines."""
    names = sorted(manifest, key=lambda name: (manifest[name].get("baseline", False), name))
    return "\n".join([HEAD, *(card(name, manifest) for name in names)])


def card(name: str, manifest: dict[str, Any]) -> str:
    """Return a network's card."""
    entry = manifest[name]
    parts = [
        f"## {name}\n",
        f"{what_it_is(entry)} {what_for(name, manifest)}\n",
        tables.table(["training", ""], facts(entry)) + "\n",
        scores(entry["scores"]) + "\n",
    ]
    if "multiscale" in entry:
        ours = [row for row in entry["multiscale"]["scores"] if row["method"] != "jpeg"]
        before = "; ".join(f"{place(row)} {tables.triple(row)}" for row in ours)
        seen = entry["multiscale"]["cutouts"]
        parts.append(f"With the multi-scale loss alone, for {seen:,} cut-outs: {before}.\n")
    curve = entry.get("learning_curve")
    parts.append((learning(curve) if curve else "Its learning curve was not kept.") + "\n")
    return "\n".join(parts)


def what_it_is(entry: dict[str, Any]) -> str:
    """Say a network's architecture, size and input."""
    takes = "Y, Cb and Cr and the quantisation tables" if in_colour(entry) else "luma"
    count = parameters(tables.ROOT / "casjax/networks/shipped" / entry["file"])
    kind = METHODS[entry["model"]["name"]]
    return f"{kind} with {count:,} parameters. It takes {takes} of JPEGs at {qualities(entry)}."


def what_for(name: str, manifest: dict[str, Any]) -> str:
    """Say a network's strengths and weaknesses, as far as scores and purpose tell."""
    entry = manifest[name]
    lowest, highest = entry["qualities"]
    if entry.get("baseline"):
        better = compared(name, manifest)
        return f"It is a baseline for CAS-CNN, and `restore` never chooses it: {better}."
    if in_colour(entry):
        return (
            "One network for colour files of every quality; it also restores chroma. For grey "
            "files those for luma are better."
        )
    if lowest != highest:
        better = compared(name, manifest)
        return f"One network for all qualities, at a price: {better}. Chroma is left unchanged."
    [ours] = luma(entry, "live1", lowest)
    paper = tables.table2().get(lowest, {}).get("CAS-CNN FT")
    words = "Good at and near its own quality"
    if paper:
        words += f": {ours['psnr'] - float(paper['psnr']):+.2f} dB against the paper's on LIVE1"
    return (
        f"{words}. It makes files of much higher quality worse, unless it is held to their "
        "coefficients, as `restore` does. Chroma is left unchanged."
    )


def compared(name: str, manifest: dict[str, Any]) -> str:
    """Say by how much the best luma network for a single quality gains more on LIVE1."""
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
            words.append(f"{difference:.2f} dB behind `{rival}` at {quality}")
    return f"on LIVE1 it is {', '.join(words)}"


def facts(entry: dict[str, Any]) -> list[list[str]]:
    """Return how a network was made, as far as it is known."""
    rows = [["data", entry["data"]]]
    rows.append(
        ["started from", f"`{entry['initial_weights']}`" if entry["initial_weights"] else "scratch"]
    )
    size = entry["cutouts"] // entry["steps"]
    words = f"{entry['steps']:,} of {size} cut-outs, {entry['cutouts']:,} in all"
    rows.append(["steps", words])
    rows.append(["loss", LOSSES[entry.get("loss", "output"), entry.get("measure", "mse")]])
    if "mean_with" in entry:
        others = " and ".join(entry["mean_with"])
        rows.append(["weights", f"the mean of those of this training and of {others}"])
    for before in entry.get("earlier", []):
        words = f"{before['steps']:,} steps, {before['cutouts']:,} cut-outs, {before['date']}"
        rows.append(["earlier training", f"{words}: {before['data']}"])
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
    """Return a table of a network's scores beside those of JPEG."""
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
    """Return the test set and quality of a row of scores."""
    return f"{SETS[row['dataset']]}{' in RGB' if 'channels' in row else ''}, {row['qf']}"


def learning(points: list[list[float]]) -> str:
    """Return a table of some points of a learning curve, including the first and the last."""
    chosen = thinned(points, CURVE_POINTS)
    return tables.table(
        ["cut-outs seen", *(f"{cutouts:,}" for cutouts, _ in chosen)],
        [["gain [dB]", *(f"{gain:+.2f}" for _, gain in chosen)]],
    )


def luma(entry: dict[str, Any], test_set: str, quality: int) -> list[dict[str, Any]]:
    """Return the rows of a network's luma scores: one, or none."""
    return [
        row
        for row in entry["scores"]
        if (row["dataset"], row["qf"]) == (test_set, quality)
        and row["method"] != "jpeg"
        and "channels" not in row
    ]


def in_colour(entry: dict[str, Any]) -> bool:
    """Return whether a network takes three planes."""
    return entry["model"].get("channels", 1) == 3


def qualities(entry: dict[str, Any]) -> str:
    """Return the qualities that a network was trained for."""
    lowest, highest = entry["qualities"]
    return f"quality {lowest}" if lowest == highest else f"qualities {lowest} to {highest}"


def parameters(weights: Path) -> int:
    """Return the number of trained values in a safetensors file, from its header."""
    with weights.open("rb") as file:
        head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    names = [name for name in head if name.startswith("params/")]
    return sum(math.prod(head[name]["shape"]) for name in names)


if __name__ == "__main__":
    main()
