"""Get the photographs that the networks were trained on: ``python launch/photographs.py --help``.

``docs/photographs.tsv`` names each by its GitHub repository and the first digits of its Git hash,
so that it is found anywhere in the history and known to be the same file. Each repository's history
is cloned without files, and then only these files are fetched. They are scaled to the size used in
training and written as PNG. The same command resumes where an earlier one stopped.

The filter used to scale the training photographs is not recorded; Lanczos is used here, so the
pictures are the same and their pixels nearly so.
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
    """Run the command and return its exit status: 0 all found, 1 some missing, 2 wrong usage."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    size = f"{options.set}_size"
    missing = 0
    wanted: dict[str, list[Row]] = {}
    if not shutil.which("git"):
        parser.error("git is needed to get the photographs and was not found: install it")
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
    add("output", type=Path, metavar="FOLDER", help="for the photographs and the cloned histories")
    add(
        "--set",
        choices=("luma", "colour"),
        default="colour",
        help="those for the luma networks, or for the colour network (default), which go to "
        "train/ and validation/",
    )
    add("--table", type=Path, default=TABLE, help="default: docs/photographs.tsv")
    add("--host", default="https://github.com/", help="default: %(default)s")
    return parser


def read_table(path: Path) -> list[Row]:
    """Read a table of photographs: one per line, tab-separated, with names in the first line.

    The columns used are `name`, `source` (OWNER/REPOSITORY, or where else it is from), `blob` (the
    first digits of Git's SHA-1; empty if it is not in a repository), `path` (as far as known),
    `luma_size` and `colour_size` (WIDTHxHEIGHT, or empty if it is not in the set) and
    `colour_split`.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def path_of(row: Row, options: argparse.Namespace) -> Path:
    """Return where a photograph is written."""
    folder = row["colour_split"] if options.set == "colour" else ""
    return options.output / folder / f"{row['name']}.png"


def fetch(
    source: str, rows: list[Row], options: argparse.Namespace
) -> Iterator[tuple[Row, bytes | str]]:
    """Get files of a repository.

    Yields:
      Each row with its file's content, or with the reason why there is none.
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
    """Clone a history without files, or update it, and return the Git hashes of all its files."""
    git("init", "--quiet", "--bare", repository)
    for key, value in {
        "url": url,
        "fetch": "+refs/heads/*:refs/heads/*",
        "promisor": "true",
        "partialclonefilter": "blob:none",
    }.items():
        git("-C", repository, "config", f"remote.origin.{key}", value)
    git("-C", repository, "fetch", "--quiet", "origin")
    # Read from trees alone: asking for the objects themselves would fetch them one by one.
    how = ("--all", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=")
    log = git("-C", repository, "log", *how)
    changes = [line.split() for line in log.splitlines() if line.startswith(b":")]
    return {change[3].decode() for change in changes}


def git(*arguments: str | Path) -> bytes:
    """Run Git without password prompts and return its output.

    Raises:
      subprocess.CalledProcessError: Git failed; `stderr` says why.
    """
    return subprocess.run(
        ["git", *map(str, arguments)],
        env=os.environ | {"GIT_TERMINAL_PROMPT": "0"},
        check=True,
        capture_output=True,
    ).stdout


def write_scaled(path: Path, content: bytes, size: tuple[int, ...]) -> None:
    """Write a picture, scaled to a width and height, as an RGB PNG."""
    with Image.open(io.BytesIO(content)) as picture:
        scaled = picture.convert("RGB").resize((size[0], size[1]), Image.Resampling.LANCZOS)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        scaled.save(temporary, format="PNG")


if __name__ == "__main__":
    sys.exit(main())
