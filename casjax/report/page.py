"""The report as one HTML file: tables, figures, and JPEG beside restored for every image.

Everything it shows is inside the file, which may load nothing else.
"""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template

from casjax.images import read_luma
from casjax.images.metadata import Metadata
from casjax.images.writing import encode
from casjax.report.figures import Figure
from casjax.report.layout import Table
from casjax.report.runs import Score


def page(
    tables: Mapping[str, Table],
    *,
    figures: Sequence[Figure],
    missing: Sequence[str],
    score: Score | None,
    name: str,
) -> str:
    """Make the page.

    Args:
      tables: by their names in page.html: `table` (ours beside the paper's), `others` (networks
        that are not in it), `peers` (all methods by quality), `colour` (the field's scores in RGB)
        and `twice` (its scores on files saved twice).
      figures: those that were drawn.
      missing: what could not be shown and why, one sentence each.
      score: the score with pictures to show beside JPEG, or None.
      name: of its method.

    Returns:
      Self-contained HTML.
    """
    template = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    absent = "".join(f"<li>{escape(text)}</li>" for text in missing)
    return Template(template).substitute(
        {name: _table(table) for name, table in tables.items()},
        figures="\n".join(_figure(figure) for figure in figures),
        missing=f'<h3>Not shown</h3><ul class="quiet">{absent}</ul>' if missing else "",
        pairs=_pairs(score, name) if score else "<p>There are no pictures yet.</p>",
    )


def _table(table: Table) -> str:
    """Convert a table to HTML."""
    if not table.rows:
        return f'<p class="quiet">{escape(table.markdown())}</p>'
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in table.titles)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows
    )
    caption = f'<p class="quiet">{escape(table.caption)}</p>' if table.caption else ""
    return (
        '<div class="scrolls" tabindex="0" role="region" aria-label="table">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>{caption}"
    )


def _figure(figure: Figure) -> str:
    light, dark = (_embedded(figure, theme) for theme in ("light", "dark"))
    return (
        f"<figure><h3>{escape(figure.title)}</h3><picture>"
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{escape(figure.caption)}"></picture>'
        f"<figcaption>{escape(figure.caption)}</figcaption></figure>"
    )


def _embedded(figure: Figure, theme: str) -> str:
    path = figure.stem.with_name(f"{figure.stem.name}-{theme}{figure.suffix}")
    kind = {".svg": "svg+xml", ".png": "png"}[figure.suffix]
    return _data_uri(path.read_bytes(), kind)


def _pairs(score: Score, name: str) -> str:
    quality = score.row["qf"]
    introduction = (
        f"Left of the line: JPEG at quality {quality}; right of it: restored by {name}. Luma, "
        "lossless. Drag the line, or move it with the arrow keys. Scores are PSNR in dB."
    )
    pairs = "\n".join(_pair(score, image, name) for image in score.images)
    return f'<p>{escape(introduction)}</p>\n<div class="pairs">{pairs}</div>'


def _pair(score: Score, image: str, name: str) -> str:
    jpeg, record = score.jpeg.images[image], score.images[image]
    title = escape(image)
    size = f'width="{record["width"]}" height="{record["height"]}" decoding="async"'
    before, after, clean = (
        _picture(score.run.folder / path)
        for path in (jpeg["picture"], record["picture"], record["clean"])
    )
    return f"""<figure class="pair">
<div class="stage">
<img {size} src="{before}" alt="{title}, JPEG">
<img {size} class="over restored" src="{after}" alt="{title}, restored">
<img {size} class="over clean" src="{clean}" alt="{title}, uncompressed">
<input type="range" min="0" max="100" value="50" aria-label="{title}: share of JPEG">
</div>
<div class="controls"><strong>{title}</strong>
<span>JPEG {jpeg["psnr"]:.2f}, {escape(name)} {record["psnr"]:.2f} ({record["ipsnr"]:+.2f})</span>
<label><input type="checkbox" class="show-clean"> uncompressed on the right</label>
<button type="button" aria-pressed="false" aria-label="{title} large">large</button></div>
</figure>"""


def _picture(path: Path) -> str:
    """Return a grey PNG file as a lossless WebP data URI: a third smaller."""
    pixels = read_luma(path)
    data, _ = encode(
        pixels,
        alpha=None,
        metadata=Metadata(),
        file_format="webp",
        quality=None,
        subsampling="4:4:4",
    )
    return _data_uri(data, "webp")


def _data_uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
