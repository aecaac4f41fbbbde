"""Tables, and the text they become."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple


class Table(NamedTuple):
    """A table as it is shown.

    Attributes:
      titles: of the columns.
      rows: the cells of each row, one for each title.
      caption: what to know about the numbers, or "".
    """

    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def markdown(self) -> str:
        """Format the table in Markdown, its caption below it."""
        if not self.rows:
            return "None.\n"
        lines = [self.titles, ["---"] * len(self.titles), *self.rows]
        cells = ([cell.replace("|", r"\|") for cell in line] for line in lines)
        text = "".join(f"| {' | '.join(line)} |\n" for line in cells)
        return f"{text}\n{self.caption}\n" if self.caption else text


def comma_separated(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format a table as CSV."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(rows)
    return file.getvalue()


def published(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of published scores beside this file, as text by column."""
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text), delimiter="\t"))
