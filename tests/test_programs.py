"""Programs of others as methods: what they are given, what is read, and how they may fail."""

import io
import json
import re
import shlex
import sys
import time

import numpy as np
import pytest
from PIL import Image, ImageFilter
from small import noise

from casjax.evaluate import main
from casjax.evaluation.programs import find_command
from casjax.images import read_luma, write_png

PROGRAM = """
import sys, time
from PIL import Image, ImageFilter
_, kind, jpeg, out = sys.argv
image = Image.open(jpeg)
if kind == "fail" and image.width == 24:
    sys.exit("no such width")
if kind == "sleep":
    time.sleep(60)
if kind == "small":
    image = image.crop((0, 0, 8, 8))
if kind == "text":
    open(out, "w").write("none")
elif kind != "nothing":
    image.filter(ImageFilter.BLUR).save(out, format=kind if kind.isupper() else "PNG")
"""


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    write_png(folder / "a.png", noise(16, 24, 0))
    write_png(folder / "b.png", noise(16, 32, 1))
    return folder


@pytest.fixture
def command(tmp_path):
    """The command that blurs; a kind in capitals is the format it writes, whatever the name."""
    script = tmp_path / "program with a space.py"
    script.write_text(PROGRAM)

    def command(kind, out="{out}"):
        words = f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {kind}"
        return f"command:{words} {{jpeg}} {out}"

    return command


@pytest.fixture
def evaluate(images, tmp_path):
    def evaluate(method, *options):
        output = tmp_path / "out"
        arguments = [method, f"--output={output}", f"--datasets=folder:{images}", "--qualities=20"]
        status = main([*arguments, *options])
        return status, json.loads((output / "results.json").read_text())

    return evaluate


def blurred(path):
    file = io.BytesIO()
    Image.fromarray(read_luma(path)).save(file, "JPEG", quality=20)
    return np.asarray(Image.open(file).filter(ImageFilter.BLUR))


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF"])
def test_what_a_program_writes_is_read_by_its_content(kind, evaluate, command, images, tmp_path):
    status, results = evaluate(command(kind), "--pictures", "--name=blur", "--jobs=2")
    assert status == 0
    kept = [r for r in results["images"] if r["method"] == "blur"]
    assert [record["image"] for record in kept] == ["a.png", "b.png"]
    for record in kept:
        picture = read_luma(tmp_path / "out" / record["picture"])
        np.testing.assert_array_equal(picture, blurred(images / record["image"]))
        assert record["seconds"] > 0
    [row] = [row for row in results["rows"] if row["method"] == "blur"]
    assert row["jobs"] == 2
    assert row["cpu_seconds"] == "NaN"  # of several at once no one's share is known


def test_the_processors_time_of_a_program_is_told_where_it_runs_alone(evaluate, command):
    _, results = evaluate(command("PNG"))
    [row] = [row for row in results["rows"] if row["method"] != "jpeg"]
    # Python and Pillow start in some hundredths of a second of one processor.
    assert 0.02 < row["cpu_seconds"] < 5
    pixels = 16 * 24 + 16 * 32
    assert row["cpu_seconds_per_mpixel"] == pytest.approx(2 * row["cpu_seconds"] / pixels * 1e6)


def test_a_jpeg_file_is_asked_for_by_its_name(evaluate, command):
    status, results = evaluate(command("JPEG", "{out.jpg}"))
    assert status == 0
    assert len(results["rows"]) == 2


def test_a_picture_that_fails_is_named_left_out_and_tried_again(evaluate, command, capsys, caplog):
    status, results = evaluate(command("fail"))
    assert status == 1
    [failure] = results["failures"]
    assert failure["image"] == "a.png"
    assert "status 1, saying: no such width" in failure["reason"]
    assert "a.png at quality 20: " in caplog.text
    assert {row["images"] for row in results["rows"]} == {1}
    assert evaluate(command("fail"))[0] == 1
    assert "scored before" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("nothing", "wrote no restored.png"),
        ("text", "not a PNG, PNM, JPEG or TIFF file"),
        ("small", r"expected uint8 \[16, 24\] like the input, got uint8 \[8, 8\]"),
        ("sleep", r"took more than 1 seconds \(--timeout\)"),
    ],
)
def test_what_goes_wrong_is_a_line(kind, reason, evaluate, command, capsys):
    with pytest.raises(SystemExit, match="2"):  # with no picture left there is no mean
        evaluate(command(kind), "--timeout=1" if kind == "sleep" else "--timeout=60")
    found = capsys.readouterr().err.splitlines()[-1]
    assert "a.png at quality 20" in found
    assert re.search(reason, found)


def test_another_command_or_another_program_file_is_another_method(
    evaluate, command, tmp_path, capsys
):
    evaluate(command("PNG"))
    evaluate(command("PNG"))
    assert "scored before" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        evaluate(command("TIFF"))
    assert "of another method" in capsys.readouterr().err
    script = tmp_path / "program with a space.py"
    script.write_text(script.read_text() + "# changed\n")
    with pytest.raises(SystemExit, match="2"):
        evaluate(command("PNG"))
    assert "files_sha256" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cp {jpeg}", "expected {jpeg} for"),
        ("cp {jpeg} {out} {out.jpg}", "one of {out}"),
        ("no-such-program {jpeg} {out}", "there is no program 'no-such-program'"),
        ("cp '{jpeg} {out}", "No closing quotation"),
    ],
)
def test_a_command_that_cannot_be_is_named(text, message, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([f"command:{text}", f"--output={tmp_path}", "--qualities=20"])
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_a_program_and_its_children_end_in_time(tmp_path):
    mark = tmp_path / "mark"
    script = tmp_path / "script"
    script.write_text(f"sleep 3 && touch {mark} &\nwait\n: $1 $2\n")
    method = find_command(f"bash {script} {{jpeg}} {{out}}", timeout=0.5, jobs=1)
    with pytest.raises(ValueError, match=r"more than 0\.5 seconds"):
        method.restorer(20).restore(b"")
    time.sleep(3)
    assert not mark.exists()


def test_nothing_of_a_command_reaches_a_shell(tmp_path):
    text = f"cp {{jpeg}} {{out.jpg}} ; touch {tmp_path}/mark"
    method = find_command(text, timeout=5, jobs=1)
    with pytest.raises(ValueError, match="status 1"):
        method.restorer(20).restore(b"")
    assert not (tmp_path / "mark").exists()
