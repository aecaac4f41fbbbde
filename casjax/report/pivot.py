"""The results of a sweep in one table: config keys against metrics."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from casjax.report.layout import Table, comma_separated
from casjax.report.names import SCORES
from casjax.report.runs import Record, Run

METRICS = {"psnr": 2, "psnrb": 2, "ssim": 4, "ipsnr": 2}  # with their decimals
OF_SCORES = ("dataset", "method", "codec", "qf")  # keys that are not in a config
ABSENT = "–"  # noqa: RUF001, the dash of tables


def pivot(runs: Sequence[Run], keys: Sequence[str]) -> list[dict[str, Any]]:
    """Group the scores of restored pictures by keys.

    Args:
      runs: the results, with their configs.
      keys: of the config, such as ``optimizer.name`` or ``quality``; also ``run``, its name,
        and ``dataset``, ``method``, ``codec`` and ``qf``. These four are always used,
        because a mean over different pictures or methods would be meaningless. Results without a
        config, such as those of `casjax evaluate`, are left out where a key of it is asked for.

    Returns:
      A line for each group: the values of the keys, ``dataset``, ``method``, ``codec`` and ``qf``,
      the number of ``runs``, and the means of the metrics over them, with ``psnr_deviation``
      between runs if there are several.

    Raises:
      ValueError: no config has such a key, or there are no scores of restored pictures.
    """
    columns = list(dict.fromkeys([*keys, *OF_SCORES]))
    needs_config = any(key not in (*OF_SCORES, "run") for key in keys)
    groups: dict[tuple[Any, ...], list[Record]] = {}
    found: set[str] = set()
    for run in runs:
        if run.config is None and needs_config:
            continue
        for row in [*run.rows, *run.other_rows]:
            if row["method"] == row["codec"]:
                continue
            values = tuple(_value(run, row, key) for key in columns)
            found |= {k for k, value in zip(columns, values, strict=True) if value is not None}
            groups.setdefault(values, []).append(row)
    if not groups:
        kind = " of trainings" if needs_config else ""
        raise ValueError(f"no scores of restored pictures in these results{kind}")
    if unknown := [key for key in columns if key not in found]:
        raise ValueError(f"--group-by {unknown[0]}: no run here has such a key in its config")
    lines = []
    for values, rows in groups.items():
        line: dict[str, Any] = dict(zip(columns, values, strict=True)) | {"runs": len(rows)}
        line |= {metric: float(np.mean([row[metric] for row in rows])) for metric in METRICS}
        if len(rows) > 1:
            line["psnr_deviation"] = float(np.std([row["psnr"] for row in rows], ddof=1))
        lines.append(line)
    return sorted(lines, key=lambda line: [_order(line[column]) for column in columns])


def _value(run: Run, row: Record, key: str) -> Any:
    if key in OF_SCORES:
        return row[key]
    if key == "run":
        return run.name
    value: Any = run.config
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    if isinstance(value, Mapping):
        keys = ", ".join(value)
        raise ValueError(f"--group-by {key}: a section, expected one of its keys: {keys}")
    return tuple(value) if isinstance(value, list) else value


def _order(value: Any) -> tuple[bool, float, str]:
    """Sort numbers by size, then everything else as text."""
    is_number = isinstance(value, int | float)
    return not is_number, value if is_number else 0.0, str(value)


def shown(lines: Sequence[dict[str, Any]]) -> Table:
    """Lay the groups out as a table."""
    keys = list(lines[0])[: list(lines[0]).index("runs")]
    rows = []
    for line in lines:
        cells = [ABSENT if line[key] is None else str(line[key]) for key in keys]
        scores = {
            metric: f"{line[metric]:{'+' if metric == 'ipsnr' else ''}.{decimals}f}"
            for metric, decimals in METRICS.items()
        }
        if "psnr_deviation" in line:
            scores["psnr"] += f" ± {line['psnr_deviation']:.2f}"
        rows.append([*cells, str(line["runs"]), *scores.values()])
    caption = "Means over the runs of a line; ± is the deviation of PSNR between runs."
    titles = [*keys, "Runs", *(SCORES[metric] for metric in METRICS)]
    return Table(titles, rows, caption)


def as_csv(lines: Sequence[dict[str, Any]]) -> str:
    """Format the groups as CSV, in full precision."""
    titles = list(dict.fromkeys([*lines[0], "psnr_deviation"]))
    return comma_separated(titles, [[line.get(title, "") for title in titles] for line in lines])
