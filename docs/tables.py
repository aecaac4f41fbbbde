"""Tables of the documentation, made from what they are about.

``python docs/tables.py`` writes them anew, between marks in the README and on the pages; a test
sees that they are up to date. MkDocs calls `on_page_content`, which lays out a page.
"""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casjax.networks.manifest import manifest
from casjax.report import layout

ROOT = Path(__file__).resolve().parent.parent
# Lines of Table II that no network that ships can have.
MISSING = {
    "SA-DCT": "no network: see [Results](results.md#other-methods-of-table-ii)",
}
WORD = re.compile(r"(?<=[ >])[^ <>]{1,40}(?=[ <])")  # longer ones are too wide for phones
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Put drawings into the page itself, and say where lines must not break.

    Drawings then take the page's colours, light or dark. No line breaks within ``--an-option``, or
    begins with the slash or the sign between two numbers.
    """
    html = re.sub(r"(?<=\d) (?=[/±] [-+\d])", "&nbsp;", html)
    html = re.sub(
        r'<img [^>]*src="[./]*(figures/\w+\.svg)"[^>]*>',
        lambda match: (ROOT / "docs" / match[1]).read_text(encoding="utf-8"),
        html,
    )
    code = r"(?<!</span>)<code>([^<\n]+)</code>"  # a block of code begins with an empty span
    return re.sub(code, lambda match: WORD.sub(r'<span class="word">\g<0></span>', match[0]), html)


def layers() -> str:
    """The layers of the package, from the top."""
    stated = tomllib.loads((ROOT / "docs/layers.toml").read_text(encoding="utf-8"))["layers"]
    return table(
        ["layer", "component", "what it contains"],
        (
            [layer["name"] if i == 0 else "", f"`{component}`", what]
            for layer in reversed(stated)
            for i, (component, what) in enumerate(layer["components"].items())
        ),
    )


def scores() -> str:
    """What the CAS-CNN that ship score on LIVE1, beside the paper."""
    rows = []
    for entry in manifest().values():
        lowest, highest = entry["qualities"]
        if entry["model"]["name"] != "cascnn" or lowest != highest:
            continue
        ours = {r["method"]: r for r in entry["scores"] if r["dataset"] == "live1"}
        papers = table2()[lowest]["CAS-CNN FT"]
        rows.append([lowest, triple(ours["jpeg"]), triple(ours["cascnn"]), triple(papers)])
    return table(["quality", "JPEG", "casjax", "the paper's CAS-CNN"], sorted(rows))


def reproduction() -> str:
    """Table II line by line: the paper's scores, those of what ships, and how near they are."""
    rows = []
    for quality, algorithms in table2().items():
        for algorithm, paper in algorithms.items():
            ours = of_shipped(algorithm, quality)
            if ours is None:
                why = MISSING.get(algorithm, "missing: trained by `launch/reproduce.sh`")
                rows.append([quality, algorithm, triple(paper), "", why])
                continue
            compared = {key: float(paper[key]) for key in ("psnr", "psnrb", "ssim") if paper[key]}
            exact = triple(paper) == triple(ours)
            differences = " / ".join(
                f"{ours[key] - score:+.{3 if key == 'ssim' else 2}f}"
                for key, score in compared.items()
            )
            rows.append(
                [quality, algorithm, triple(paper), triple(ours), "exact" if exact else differences]
            )
    titles = ["quality", "line of Table II", "paper", "ours", "state, or ours less the paper's"]
    return table(titles, rows)


def colour_scores() -> str:
    """What the network for colour that ships scores on LIVE1 in RGB, beside published scores."""
    [ours] = [
        [row for row in entry["scores"] if "channels" in row]
        for entry in manifest().values()
        if entry["model"].get("channels") == 3
    ]
    others = {
        (int(row["qf"]), row["method"]): row
        for row in layout.published("field.tsv")
        if row["pictures"] == "colour"
    }
    columns = {
        (row["qf"], row["method"]): f"{row['psnr']:.2f} / {row['psnrb']:.2f}" for row in ours
    } | {
        place: f"{row['psnr']} / {row['psnrb']}"
        for place, row in others.items()
        if place[1] != "JPEG"
    }
    methods = ("jpeg", "cascnn", "QGAC", "FBCNN")
    rows = [
        [qf, *(columns[qf, method] for method in methods)] for qf in sorted({r["qf"] for r in ours})
    ]
    return table(["quality", "JPEG", "casjax", "QGAC", "FBCNN"], rows)


def of_shipped(algorithm: str, quality: int) -> dict[str, Any] | None:
    """The scores on LIVE1 of the network that ships for a line of Table II, if there is one."""
    name = {
        "JPEG": "cascnn",
        "AR-CNN": "arcnn",
        "L4": "l4",
        "L8": "l8",
        "CAS-CNN MS loss": "cascnn",
        "CAS-CNN FT": "cascnn",
    }.get(algorithm, "")
    method = "jpeg" if algorithm == "JPEG" else name
    for entry in manifest().values():
        if entry["model"]["name"] == name and entry["qualities"] == [quality, quality]:
            scored = entry.get("multiscale", {}) if algorithm == "CAS-CNN MS loss" else entry
            for row in scored.get("scores", []):
                if (row["dataset"], row["method"]) == ("live1", method) and "channels" not in row:
                    return row
    return None


def peers() -> str:
    """Methods of others beside ours on LIVE1, as `launch/peers.sh` kept them."""
    rows = []
    for line in json.loads((ROOT / "docs/peers.json").read_text(encoding="utf-8")):
        score = f"{line['psnr']:.2f} / {line['psnrb']:.2f} / {line['ssim']:.4f}"
        gain = time = ""
        if line["method"] != "JPEG":
            gain = f"{line['ipsnr']:+.2f}"
            gain += f" ± {line['ipsnr_se']:.2f}" if "ipsnr_se" in line else ""
        if "cpu_seconds_per_mpixel" in line:
            time = f"{line['cpu_seconds_per_mpixel']:.2g}"
        rows.append([line["pictures"], line["qf"], line["method"], score, gain, time])
    titles = ["pictures", "quality", "method", "PSNR / PSNR-B / SSIM", "gain [dB]", "CPU s/Mpixel"]
    return table(titles, rows)


def sources() -> str:
    """What images a config or the evaluator can name."""
    return table(
        ["name in `config.data.sources`, `config.evaluation.datasets` and `--datasets`", "what"],
        [
            [
                "`bsds500/train+test`, `bsds500/val`, `live1`, `classic5`",
                "published sets, downloaded and checked on first use",
            ],
            ["`folder:PATH`", "all images below a folder; unreadable ones are named and skipped"],
            [
                "`tfds:NAME/SPLIT`",
                "any TFDS image data set, as `tfds:imagenet2012/train`; luma only",
            ],
            ["`synthetic:COUNT`", "dead-leaves images, drawn on the spot; luma only"],
            ["`skimage`", "the photographs that come with scikit-image"],
        ],
    )


def table2() -> dict[int, dict[str, dict[str, str]]]:
    """The paper's Table II by quality and method."""
    values: dict[int, dict[str, dict[str, str]]] = {}
    for row in layout.published("table2.tsv"):
        values.setdefault(int(row["qf"]), {})[row["algorithm"]] = row
    return values


def triple(row: dict[str, Any]) -> str:
    """PSNR, PSNR-B and SSIM, over 8x8 windows or in RGB Gaussian ones, as the paper rounds them.

    What the paper leaves out is a dash.
    """
    ssim = row["ssim_gaussian" if "channels" in row else "ssim"]
    scores = (row["psnr"], 2), (row["psnrb"], 2), (ssim, 3)
    return " / ".join(f"{float(x):.{n}f}" if x != "" else "-" for x, n in scores)


def table(titles: list[str], rows: Iterator[list[Any]] | list[list[Any]]) -> str:
    """Lay out a table in Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


TABLES = {
    "layers": layers,
    "scores": scores,
    "colour_scores": colour_scores,
    "reproduction": reproduction,
    "peers": peers,
    "sources": sources,
}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def with_tables(page: str) -> str:
    """Put each table between its marks."""
    return MARKED.sub(lambda match: f"{match[1]}\n{TABLES[match[2]]()}\n\n{match[3]}", page)


if __name__ == "__main__":
    for path in PAGES:
        path.write_text(with_tables(path.read_text(encoding="utf-8")), encoding="utf-8")
