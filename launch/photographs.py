"""Get the photographs again that the networks learnt from: ``python launch/photographs.py --help``.

``docs/photographs.tsv`` names each by its repository on GitHub and the first digits of Git's name
for its content, so that it is found wherever it lies in the history, and is known to be the same
file. Of each repository the history is cloned without files, and then these files alone are
fetched. They are scaled to the size that was trained on and written as PNG. The same command goes
on where an earlier one stopped.

The filter that the networks' photographs were scaled by is not recorded; Lanczos's is used here, so
that the pictures are the same and their pixels nearly so.
"""

import argparse
import csv
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from PIL import Image

from casjax.files import replacing

TABLE = Path(__file__).resolve().parent.parent / "docs/photographs.tsv"
Row = dict[str, str]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status: 0 all are there, 1 some are not, 2 wrong use."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    size = f"{options.set}_size"
    missing = 0
    wanted: dict[str, list[Row]] = {}
    if not shutil.which("git"):
        parser.error("there is no git, which gets the photographs: install it")
    try:
        table = read_table(options.table)
    except OSError as error:
        parser.error(f"--table {options.table}: {error.strerror}")
    for row in table:
        if row[size] and not path_of(row, options).exists():
            wanted.setdefault(row["source"], []).append(row)
    for source, rows in wanted.items():
        for row, content in fetch(source, rows, options):
            path = path_of(row, options)
            try:
                if isinstance(content, str):
                    raise ValueError(content)
                write_scaled(path, content, tuple(map(int, row[size].split("x"))))
            except (OSError, ValueError, Image.DecompressionBombError) as error:
                reason = " ".join(str(error).split())
                print(f"error: {row['name']}: {source}, {row['path']}: {reason}", file=sys.stderr)
                missing += 1
            else:
                print(path, flush=True)
    if missing:
        print(f"{missing} photographs are missing", file=sys.stderr)
    return min(missing, 1)


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("output", type=Path, metavar="FOLDER", help="for the photographs, and for what is cloned")
    add(
        "--set",
        choices=("luma", "colour"),
        default="colour",
        help="those that the networks for luma learnt from, or that for colour (default), which "
        "go to train/ and validation/",
    )
    add("--table", type=Path, default=TABLE, help="default: docs/photographs.tsv")
    add("--host", default="https://github.com/", help="default: %(default)s")
    return parser


def read_table(path: Path) -> list[Row]:
    """Read a table of photographs: a line each, cells between tabs, the first line has the names.

    Used are `name`, `source` (OWNER/REPOSITORY, or where else it is from), `blob` (the first digits
    of Git's SHA-1; empty if it is not in a repository), `path` (as far as known), `luma_size` and
    `colour_size` (WIDTHxHEIGHT, or empty where it is not in the set) and `colour_split`.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def path_of(row: Row, options: argparse.Namespace) -> Path:
    """Where a photograph goes."""
    folder = row["colour_split"] if options.set == "colour" else ""
    return options.output / folder / f"{row['name']}.png"


def fetch(
    source: str, rows: list[Row], options: argparse.Namespace
) -> Iterator[tuple[Row, bytes | str]]:
    """Get files of a repository.

    Yields:
      Each row with the content of its file, or else the reason why there is none.
    """
    known: Iterable[str] = ()
    reason = "not in a repository: get it by hand"
    repository = options.output / ".repositories" / source
    if rows[0]["blob"]:
        reason = "no file of the repository's history has this content"
        try:
            known = names_of_contents(options.host + source, repository)
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace")
    for row in rows:
        found = [name for name in known if name.startswith(row["blob"])]
        if len(found) != 1:
            yield row, reason
            continue
        try:
            yield row, git("-C", repository, "cat-file", "blob", found[0])
        except subprocess.CalledProcessError as error:
            yield row, error.stderr.decode(errors="replace")


def names_of_contents(url: str, repository: Path) -> set[str]:
    """Clone a history without files, or bring it up to date: Git's names for all its contents."""
    git("init", "--quiet", "--bare", repository)
    for key, value in {
        "url": url,
        "fetch": "+refs/heads/*:refs/heads/*",
        "promisor": "true",
        "partialclonefilter": "blob:none",
    }.items():
        git("-C", repository, "config", f"remote.origin.{key}", value)
    git("-C", repository, "fetch", "--quiet", "origin")
    # From trees alone: asking for the objects themselves would fetch them one by one.
    how = ("--all", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=")
    log = git("-C", repository, "log", *how)
    changes = [line.split() for line in log.splitlines() if line.startswith(b":")]
    return {change[3].decode() for change in changes}


def git(*arguments: str | Path) -> bytes:
    """Run Git, which never asks for a password, and return what it prints.

    Raises:
      subprocess.CalledProcessError: it failed; `stderr` says why.
    """
    return subprocess.run(
        ["git", *map(str, arguments)],
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        check=True,
        capture_output=True,
    ).stdout


def write_scaled(path: Path, content: bytes, size: tuple[int, ...]) -> None:
    """Write a picture of another size, width and height, as PNG in RGB."""
    with Image.open(io.BytesIO(content)) as picture:
        scaled = picture.convert("RGB").resize((size[0], size[1]), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        scaled.save(temporary, format="PNG")


if __name__ == "__main__":
    sys.exit(main())
