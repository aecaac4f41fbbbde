"""What people do with the command that restores photographs, and the files they have."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import test_restore
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from test_restore import PHOTOGRAPH, files, opened, run_in_a_process, save

models, networks, run = test_restore.models, test_restore.networks, test_restore.run  # fixtures

COMMAND = "from casjax import restore\nsys.exit(restore.main(sys.argv[1:]))"


def content(folder="."):
    return {str(p): p.read_bytes() for p in Path(folder).rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--failures", "1.jpg", "2.jpg"], "--failures 1.jpg: it exists, but is no such list"),
        (["--failures", "2.jpg", "2.jpg"], "--failures 2.jpg: that is a picture"),
        (["--failures", "./in/../2.jpg", "2.jpg"], "that is a picture"),
        (["--failures", "notes.txt", "2.jpg"], "--failures notes.txt: it exists, but is no such"),
        (["--failures", "other.json", "2.jpg"], "--failures other.json: it exists, but is no such"),
        (["--failures", "2-restored.png", "2.jpg"], "that is a picture"),
        (["--failures", "2-restored-compare.png", "2.jpg", "--compare"], "that is a picture"),
        (["--failures", "in", "2.jpg"], "in"),
        (
            ["1.jpg", "a-compare.png", "-o", "{folder}/a.png", "--compare", "--overwrite"],
            "a-compare.png, of 1.jpg, would replace a picture to be restored",
        ),
        (
            ["a.jpg", "a.png", "-o", "{folder}/{stem}.png", "--overwrite"],
            "a.png, of a.jpg, would replace a picture to be restored",
        ),
        (["a.jpg", "1.jpg", "-o", "{folder}/b.png", "--overwrite"], "would both become b.png"),
        (
            ["a.jpg", "a-compare.png", "-o", "{folder}/{stem}.png", "--compare", "--overwrite"],
            "a-compare.png, of a.jpg, would replace a picture to be restored",
        ),
    ],
)
def test_nothing_is_written_over_what_is_no_result(run, arguments, message):
    for name in ("1.jpg", "2.jpg", "a.jpg", "a.png", "a-compare.png", "in/b.jpg"):
        save(name)
    Path("notes.txt").write_text("mine\n")
    Path("other.json").write_text('{"source": 1}\n')
    before = content()
    status, output, errors = run("-q", *arguments)
    assert (status, output) == (2, "")
    assert message in errors.splitlines()[-1]
    assert content() == before


def test_an_older_list_of_failures_is_replaced(run):
    save("photo.jpg")
    Path("bad.jpg").write_bytes(b"no picture")
    for _ in range(2):
        run("photo.jpg", "bad.jpg", "--failures=list", "--overwrite")
        [line] = Path("list").read_text().splitlines()
        assert json.loads(line)["source"] == "bad.jpg"
    Path("bad.jpg").unlink()
    run("photo.jpg", "--failures=list", "--overwrite")
    assert Path("list").read_text() == ""


@pytest.mark.parametrize("pipes", ["| head -1", "2>&1 | head -1"])
def test_who_stops_reading_stops_nothing(tmp_path, pipes):
    for name in ("1", "2", "3"):
        save(tmp_path / "in" / f"{name}.jpg")
    done = shell(f"{{command}} in -o out/ --explain {pipes}; echo ${{{{PIPESTATUS[0]}}}}", tmp_path)
    assert done.stdout.splitlines()[-1] == "0"
    assert "Broken pipe" not in done.stderr
    assert "error" not in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_who_stops_reading_the_picture_gets_no_more_of_it(tmp_path):
    save(tmp_path / "a.jpg")
    done = shell("{command} a.jpg -q -o - | true; echo ${{PIPESTATUS[0]}}", tmp_path)
    assert done.stdout.split() == ["141"]
    assert done.stderr == ""


def shell(line, folder):
    """A line of shell, where {command} is the command."""
    program = (
        "import os, subprocess, sys\n"
        "assert len(sys.argv) == 3\n"
        "os.chdir(sys.argv[2])\n"
        "done = subprocess.run(['bash', '-c', sys.argv[1]], capture_output=True, text=True)\n"
        "print(done.stdout, end=''); print(done.stderr, end='', file=sys.stderr)"
    )
    script = folder / "command.py"
    script.write_text(f"import sys; sys.path.insert(0, {str(test_restore.ROOT)!r})\n")
    prelude = test_restore.STAND_INS.replace("'tests'", repr(str(test_restore.ROOT / "tests")))
    script.write_text(f"{script.read_text()}{prelude}{COMMAND}\n")
    command = f"{test_restore.sys.executable} command.py"
    return subprocess.run(
        [test_restore.sys.executable, "-c", program, line.format(command=command), str(folder)],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("options", [["-o", "in/restored/", "--format=jpeg"], ["-o", "in/x/y/"]])
def test_an_output_folder_below_the_input_is_left_out(run, options):
    save("in/a.jpg")
    save("in/b/c.png")
    arguments = ["in", *options, "--qf=30"]
    assert run(*arguments)[0] == 0
    before = files()
    assert len(before) == 4
    status, _, errors = run(*arguments, "--resume")
    assert status == 0
    assert "left out 2 files that are results of earlier runs" in errors
    assert "0 restored, 2 skipped" in errors
    assert files() == before


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--compare"],
        ["-o", "in/"],
        ["-o", "{folder}/better/{name}.jpg"],
        ["--format=webp"],
        ["-o", "in/out/", "--compare"],
    ],
)
def test_results_are_no_pictures_to_restore(run, options):
    save("in/a.jpg")
    save("in/deep/b.png")
    assert run("in", "--qf=30", *options)[0] == (1 if options == ["-o", "in/"] else 0)
    before = files()
    _, _, errors = run("in", "--qf=30", *options, "--resume")
    assert files() == before
    assert "results of earlier runs" in errors


def test_a_name_alone_makes_no_result(run):
    """Neither one that is like a result's but for the picture, nor one that is asked for."""
    save("in/much-restored.jpg")
    save("in/a.jpg")
    save("in/a-restored.png")
    assert run("in", "-o", "out/")[0] == 0
    assert [name for name in files() if "out" in name] == ["out/a.png", "out/much-restored.png"]
    assert run("in/a-restored.png", "--qf=30", "-o", "again.png")[0] == 0


def test_originals_are_not_taken_for_results_that_may_be_replaced(run):
    """Of one stem in the folder that results go to as well: which was it?"""
    save("in/a.jpg")
    save("in/a.png", PHOTOGRAPH[::-1])
    before = content()
    status, _, errors = run("in", "-o", "in/", "--qf=30", "--overwrite")
    assert status == 2
    assert "in/a.png, of in/a.jpg, would replace a picture to be restored" in errors
    assert content() == before


def test_folders_that_cannot_be_read_stop_no_other(run, monkeypatch):
    save("in/a.jpg")
    Path("in/lost+found").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("lost+found"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    status, _, errors = run("in", "-o", "out/", "--failures=list")
    assert status == 1
    assert "error: in/lost+found: Permission denied" in errors
    assert "1 restored, 1 failed" in errors
    assert "lost+found" in Path("list").read_text()
    assert Path("out/a.png").exists()


def test_what_suffixes_say_is_no_matter(run):
    data = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).save(data, format="JPEG")
    Path("in").mkdir()
    for name in ("foo.jpg", "a.png", "b.webp", "c.pjpeg", "e.jpg_large", "f"):
        Path("in", name).write_bytes(data.getvalue())
    Path("in", "._foo.jpg").write_bytes(b"\0\5\26\7\0\2\0\0")
    save("in/real.png")
    Path("in/notes").write_text("no picture")
    status, _, errors = run("in", "-o", "out/")
    assert status == 0
    assert "left out 1 files that are not JPEG" in errors
    assert "6 restored" in errors
    assert {p.stem for p in Path("out").iterdir()} == {"foo", "a", "b", "c", "e", "f"}


def test_names_that_differ_in_case_or_suffix_have_a_way_out(run):
    save("in/d/IMG_1.jpg")
    save("in/d/IMG_1.jpeg")
    for output in ([], ["-o", "out/"], ["-o", "out/{stem}.png"]):
        status, _, errors = run("in", *output)
        assert status == 2
        assert "would both become" in errors
        pattern = errors.split("use -o '")[1].split("'")[0]
        assert run("in", "-o", pattern)[0] == 0
    assert {"out/d/IMG_1.jpg.png", "out/IMG_1.jpg.png", "in/d/IMG_1.jpg-restored.png"} <= {*files()}


def test_files_of_one_name_in_several_folders_have_a_way_out(run):
    for folder in "ab":
        save(f"{folder}/photo.jpg")
    for output in ("out/", "new/{stem}.png"):
        status, _, errors = run("a", "b", "-o", output)
        assert status == 2
        pattern = errors.split("use -o '")[1].split("'")[0]
        assert run("a", "b", "-o", pattern)[0] == 0
    assert {"out/a/photo.jpg.png", "out/b/photo.jpg.png", "new/a/photo.jpg.png"} <= {*files()}


def test_a_file_that_is_named_twice_is_restored_once(run):
    save("photo.jpg")
    status, _, errors = run("photo.jpg", str(Path("photo.jpg").resolve()))
    assert status == 0
    assert "1 restored" in errors


@pytest.mark.skipif(sys.platform != "linux", reason="other systems' names are text")
def test_names_that_are_no_text_are_shown_in_escapes(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.jpg")
    save(path)
    environment = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    done = run_in_a_process(COMMAND, path, "--explain", env=environment)
    assert done.returncode == 0, done.stderr
    assert b"caf\\udce9.jpg" in done.stdout


def test_a_result_that_is_named_without_o(run):
    save("in.jpg")
    status, _, errors = run("in.jpg", "out.png")
    assert status == 1
    hint = "if it names the result, use -o out.png"
    assert f"error: out.png: no such file or folder; {hint}" in errors


def test_the_date_is_kept_where_it_is_asked_for(run):
    save("photo.jpg")
    os.utime("photo.jpg", ns=(10**18, 10**18 + 7 * 10**9))
    assert run("photo.jpg", "-o", "new.png")[0] == 0
    assert run("photo.jpg", "-o", "old.png", "--keep-date")[0] == 0
    assert Path("old.png").stat().st_mtime_ns == 10**18 + 7 * 10**9
    assert Path("new.png").stat().st_mtime_ns > 10**18 + 10**12


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.tif", "a.mpo"])
def test_files_of_several_pictures(run, name):
    pictures = [Image.fromarray(PHOTOGRAPH), Image.fromarray(PHOTOGRAPH[::-1])]
    options = {"lossless": True} if name == "a.webp" else {}
    pictures[0].save(name, save_all=True, append_images=pictures[1:], **options)
    arguments = [name, "--qf=30", "-o", "out.png"]
    status, _, errors = run(*arguments)
    if name == "a.mpo":
        assert "the first of 2 pictures" in errors
        Path("out.png").unlink()
    else:
        assert status == 1
        assert "it has 2 frames, expected a single picture: --frames=first" in errors
    assert run(*arguments, "--frames=first")[0] == 0
    assert run(*arguments, "--frames=each", "--compare")[0] == 0
    made = ["out-frame1-compare.png", "out-frame1.png", "out-frame2-compare.png", "out-frame2.png"]
    assert files() == [name, *made, "out.png"]
    if name in ("a.webp", "a.tif"):
        for number, picture in enumerate(pictures):
            assert np.array_equal(opened(f"out-frame{number + 1}.png"), picture)
    status, _, errors = run(*arguments, "--frames=each")
    assert status == 1
    assert "out-frame1.png exists" in errors
    Path("out-frame2.png").unlink()  # out.png, of the first alone, is no reason to skip it
    assert run(*arguments, "--frames=each", "--resume")[0] == 0
    assert Path("out-frame2.png").exists()
    status, _, errors = run(*arguments, "--frames=each", "--resume")
    assert "finished before" in errors


def test_frames_and_standard_output_do_not_go_together(run):
    Image.fromarray(PHOTOGRAPH).save("a.tif", save_all=True, append_images=[Image.new("L", (9, 9))])
    status, _, errors = run("a.tif", "--qf=30", "--frames=each", "-o", "-")
    assert status == 1
    assert "its 2 pictures need files" in errors


def test_a_frame_may_not_be_another_picture(run):
    for name in ("a.jpg", "a-frame2.jpg"):
        save(name)
    status, _, errors = run("a.jpg", "a-frame2.jpg", "-o", "out/", "--frames=each")
    assert status == 2
    assert "could be a frame of another picture" in errors


@pytest.mark.parametrize("turn", list(Image.Transpose))
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_former_jpegs_are_known_however_they_are_turned(run, turn, mode):
    """With sides that are no multiple of 8, so that the grid begins elsewhere."""
    photograph = Image.fromarray(test_restore.skimage.data.astronaut()).crop((100, 0, 301, 187))
    file = io.BytesIO()
    photograph.convert(mode).save(file, format="JPEG", quality=30)
    Image.open(file).transpose(turn).save("turned.png")
    status, _, errors = run("turned.png")
    assert status == 0
    assert "quality 30 by a blind estimate" in errors


def test_tables_of_a_file_that_was_turned_without_decoding(run):
    """As by jpegtran, which transposes its quantisation tables."""
    image = Image.fromarray(PHOTOGRAPH)
    save("photo.jpg", quality=35)
    tables = opened("photo.jpg").quantization
    turned = {i: list(np.array(t).reshape(8, 8).T.ravel()) for i, t in tables.items()}
    image.save("turned.jpg", qtables=turned)
    status, output, _ = run("turned.jpg", "--explain")
    assert status == 0
    assert "luma       quality 35, deviation 0.0%" in output


def test_a_motion_photo_does_not_promise_its_video(run):
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" GCamera:MotionPhoto="1"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    save("photo.jpg", xmp=xmp)
    with Path("photo.jpg").open("ab") as file:
        file.write(b"\0\0\0\x18ftypmp42" + bytes(1000))
    for suffix in ("jpg", "png", "webp", "tif"):
        status, _, errors = run("photo.jpg", "-o", f"out.{suffix}")
        assert status == 0
        assert errors.count("the video of a motion photo") == 1
        assert b"MotionPhoto" not in Path(f"out.{suffix}").read_bytes()
    save("other.jpg")
    with Path("other.jpg").open("ab") as file:
        file.write(b"a tail")
    assert "left out: 6 bytes behind the picture" in run("other.jpg")[2]


def test_what_says_colours_is_kept_when_all_else_is_dropped(run):
    info = PngInfo()
    info.add(b"gAMA", (100000).to_bytes(4, "big"))
    info.add_text("Author", "me")
    save("photo.png", pnginfo=info)
    assert run("photo.png", "--qf=30", "-o", "out.png", "--strip")[0] == 0
    assert opened("out.png").info == {"gamma": 1.0}
    _, _, errors = run("photo.png", "--qf=30", "-o", "out.jpg", "--strip")
    assert "left out: gamma 1: its colours will look different" in errors
    assert "Author" not in errors


def test_standard_input_has_the_same_habits():
    file = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).save(file, format="JPEG", comment=b"a comment")
    done = run_in_a_process(COMMAND, "-", "--format=webp", "--keep-date", input=file.getvalue())
    assert done.returncode == 0
    assert b"left out: comment" in done.stderr
