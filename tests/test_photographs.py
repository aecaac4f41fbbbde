"""Getting the training photographs again, from repositories on this disk."""

import subprocess

import numpy as np
import pytest
from PIL import Image

from launch import photographs

COLUMNS = "name source blob path source_size luma_size colour_size colour_split licence".split()


def git(*arguments):
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)
    return done.stdout.decode().strip()


def smooth(seed):
    """A picture that scales well, 40 rows of 60."""
    levels = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(levels).resize((60, 40), Image.Resampling.BICUBIC)


@pytest.fixture
def repository(tmp_path):
    """OWNER/PICTURES with a picture in its last commit, and another that was there before."""
    folder = tmp_path / "host/owner/pictures"
    git("init", "--quiet", folder)
    # As on GitHub: clones without files, and files by their names alone.
    for allowed in ("allowFilter", "allowAnySHA1InWant"):
        git("-C", folder, "config", f"uploadpack.{allowed}", "true")
    names = {}
    for name in ("old place.png", "there.png"):
        smooth(len(names)).save(folder / name)
        git("-C", folder, "add", name)
        git("-C", folder, "commit", "--quiet", "--message", name)
        names[name] = git("-C", folder, "hash-object", name)[:8]
    git("-C", folder, "rm", "--quiet", "old place.png")
    git("-C", folder, "commit", "--quiet", "--message", "gone")
    return names


@pytest.fixture
def run(tmp_path, capsys):
    """The command on a table of rows: status, output, errors."""

    def run(rows, *options):
        table = tmp_path / "table.tsv"
        lines = [COLUMNS, *([row.get(key, "") for key in COLUMNS] for row in rows)]
        table.write_text("".join("\t".join(line) + "\n" for line in lines))
        host = f"--host=file://{tmp_path}/host/"
        places = [str(tmp_path / "out"), f"--table={table}", host]
        return photographs.main([*places, *options]), *capsys.readouterr()

    return run


def rows_of(names):
    old, there = names.values()
    common = {"source": "owner/pictures", "colour_size": "30x20"}
    return [
        {"name": "a", "blob": old, "path": "elsewhere.png", "colour_split": "train", **common},
        {"name": "b", "blob": there, "path": "there.png", "colour_split": "validation", **common},
        {"name": "c", "blob": there, "source": "owner/pictures", "luma_size": "15x10"},
    ]


def test_pictures_are_found_by_their_content_and_scaled(repository, run, tmp_path):
    status, output, errors = run(rows_of(repository))
    assert (status, errors) == (0, "")
    assert output.splitlines() == [
        f"{tmp_path}/out/{name}.png" for name in ("train/a", "validation/b")
    ]
    for seed, name in enumerate(("train/a", "validation/b")):
        with Image.open(tmp_path / f"out/{name}.png") as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (30, 20))
            back = np.asarray(picture.resize((60, 40), Image.Resampling.BICUBIC), float)
        assert np.abs(back - np.asarray(smooth(seed), float)).mean() < 3
    # Only what was asked for was fetched: the history came without files.
    clone = tmp_path / "out/.repositories/owner/pictures"
    objects = git("-C", clone, "cat-file", "--batch-all-objects", "--batch-check")
    assert objects.count(" blob ") == 2


def test_the_other_set_is_a_folder_of_its_own_kind(repository, run, tmp_path):
    assert run(rows_of(repository), "--set=luma")[0] == 0
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["c.png"]


def test_it_goes_on_where_it_stopped(repository, run, tmp_path):
    rows = rows_of(repository)
    run(rows[:1])
    status, output, _ = run(rows)
    assert (status, output.splitlines()) == (0, [f"{tmp_path}/out/validation/b.png"])
    assert run(rows) == (0, "", "")


def test_what_cannot_be_had_is_a_line_each_and_stops_nothing(repository, run, tmp_path):
    common = {"colour_size": "3x2", "path": "p", "colour_split": "train"}
    bad = git("-C", tmp_path / "host/owner/pictures", "rev-parse", "HEAD^{tree}")[:8]
    rows = [
        {"name": "one", "source": "owner/none", "blob": "12345678", **common},
        {"name": "two", "source": "owner/pictures", "blob": bad, **common},
        {"name": "three", "source": "Debian 12, package x", "blob": "", **common},
        *rows_of(repository),
    ]
    status, output, errors = run(rows)
    assert status == 1
    assert len(output.splitlines()) == 2
    *lines, total = errors.splitlines()
    assert total == "3 photographs are missing"
    found = {line.split(":")[1].strip(): line for line in lines}
    assert found.keys() == {"one", "two", "three"}
    assert "does not appear to be a git repository" in found["one"]
    assert "error: two: owner/pictures, p: no file of the repository's history" in found["two"]
    assert found["three"].endswith("not in a repository: get it by hand")


def test_what_is_no_picture_is_said(repository, run, tmp_path):
    folder = tmp_path / "host/owner/pictures"
    (folder / "notes").write_text("no picture")
    git("-C", folder, "add", "notes")
    git("-C", folder, "commit", "--quiet", "--message", "notes")
    row = {"name": "d", "source": "owner/pictures", "colour_size": "3x2", "path": "notes"}
    row["blob"] = git("-C", folder, "hash-object", "notes")[:8]
    status, output, errors = run([row])
    assert (status, output) == (1, "")
    assert errors.startswith("error: d: owner/pictures, notes: cannot identify image file")


def test_a_table_that_is_not_there_is_wrong_usage(tmp_path, capsys):
    with pytest.raises(SystemExit) as leaving:
        photographs.main([str(tmp_path), f"--table={tmp_path}/none.tsv"])
    assert leaving.value.code == 2
    assert "none.tsv: No such file" in capsys.readouterr().err


def test_the_projects_own_table_is_whole():
    table = photographs.read_table(photographs.TABLE)
    names = [row["name"] for row in table]
    assert names == sorted(set(names))
    assert sum(bool(row["luma_size"]) for row in table) == 290
    assert sum(bool(row["colour_size"]) for row in table) == 135
    for row in table:
        assert row["licence"]
        assert row["path"]
        assert bool(row["blob"]) == ("Debian" not in row["source"])
        assert bool(row["colour_split"]) == bool(row["colour_size"])
        width, height = map(int, row["source_size"].split("x"))
        for size in filter(None, (row["luma_size"], row["colour_size"])):
            smaller_width, smaller_height = map(int, size.split("x"))
            # By the same factor both ways, to a pixel.
            assert abs(smaller_width * height / width - smaller_height) < 1.5
            assert width >= smaller_width
