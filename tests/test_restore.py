"""The command that restores photographs: files of all kinds, what is said of them, and where."""

import dataclasses
import errno
import io
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageCms, ImageOps

from casjax import restore
from casjax.color import rgb_to_ycbcr
from casjax.jpeg import quantization_tables
from casjax.networks import colour, pretrained
from casjax.restoration import running
from casjax.restoration.choosing import BEST_RESTORED
from casjax.restoration.loading import load_restorer
from casjax.restore import main

ROOT = Path(__file__).parent.parent
PHOTOGRAPH = skimage.data.astronaut()[:90, 200:310]


@dataclasses.dataclass(frozen=True)
class Identity:
    """A network that changes nothing: pixels come out as they went in, if all else is right."""

    alignment: int = 8
    halo: int = 8

    def apply(self, variables: Any, degraded: jax.Array) -> tuple[jax.Array]:
        return (degraded,)


@dataclasses.dataclass(frozen=True)
class Brighter(Identity):
    """A network that adds 16 levels of the luma it was trained on."""

    def apply(self, variables: Any, degraded: jax.Array) -> tuple[jax.Array]:
        return (degraded + 16 / 255,)


@dataclasses.dataclass(frozen=True)
class ColourIdentity(Identity):
    """A network for colour that changes nothing."""

    channels: int = 3
    condition: int = 2

    def apply(self, variables: Any, planes: jax.Array, told: jax.Array) -> tuple[jax.Array]:
        return (planes,)


class Telling(ColourIdentity):
    """One that adds what it is told of luma's table to Y, and of chroma's to Cb and Cr."""

    def apply(self, variables: Any, planes: jax.Array, told: jax.Array) -> tuple[jax.Array]:
        return (planes + TOLD * colour.GAIN * told[:, None, None][..., np.array([0, 1, 1])],)


TOLD = 20.0  # levels


@pytest.fixture
def models():
    """Stand-ins for the networks that ship, by name."""
    return {"identity": Identity(), "brighter": Brighter()}


@pytest.fixture(autouse=True)
def networks(models, monkeypatch):
    """What ships is the stand-ins."""

    def manifest():
        entries = {
            "identity": {"qualities": [1, 100]},
            "brighter": {"qualities": [20, 20], "baseline": True},  # only by its name
            "colour": {"qualities": [5, 100], "model": {"channels": 3}},
        }
        return {name: entries[name] for name in models}

    def load_network(name):
        if name not in models:
            raise FileNotFoundError(f"{name}: no network of that name ships")
        return pretrained.Network(name, models[name], {"params": {}}, (1, 100))

    monkeypatch.setattr(pretrained, "manifest", manifest)
    monkeypatch.setattr(pretrained, "load_network", load_network)
    monkeypatch.setenv("CASJAX_COMPILATION_CACHE", "off")
    load_restorer.cache_clear()


@pytest.fixture
def run(capsys, monkeypatch, tmp_path):
    """The command in a folder of its own: exit status and both outputs."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            status = leaving.code
        output, errors = capsys.readouterr()
        assert "Traceback" not in errors
        assert not list(tmp_path.rglob("*.part")), "a partial file is left"
        return status, output, errors

    return run


# The beginning of a program in which the networks that ship are stand-ins.
STAND_INS = """
import sys; sys.path.insert(0, 'tests'); from test_restore import Identity
from casjax.networks import pretrained
pretrained.manifest = lambda: {'identity': {'qualities': [1, 100]}}
network = pretrained.Network('identity', Identity(), {'params': {}}, (1, 100))
pretrained.load_network = lambda name: network
"""


def run_in_a_process(program, *arguments, **options):
    """Run a program with stand-ins for the networks; options as those of `subprocess.run`."""
    return subprocess.run(
        [sys.executable, "-c", STAND_INS + program, *map(str, arguments)],
        **({"capture_output": True, "cwd": ROOT} | options),
    )


def save(name, pixels=PHOTOGRAPH, **options):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(name, **options)


def opened(path):
    """Pillow's image, with no file left open."""
    return Image.open(io.BytesIO(Path(path).read_bytes()))


def difference(name, expected):
    pixels = np.array(opened(name)).astype(int)
    assert pixels.shape == np.shape(expected)
    return np.abs(pixels - np.asarray(expected)).max()


def files():
    return sorted(path.as_posix() for path in Path().rglob("*") if path.is_file())


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("tables", [None, [[40] * 64, [70] * 64]])
def test_colour_is_restored_by_default_and_told_the_files_tables(models, run, subsampling, tables):
    options = {"qtables": tables} if tables else {"quality": 30}
    save("photo.jpg", **options, subsampling=subsampling)
    shown = np.asarray(opened("photo.jpg"))
    models["colour"] = ColourIdentity()
    assert ", colour" in run("photo.jpg")[2]
    assert difference("photo-restored.png", shown) <= 1  # its planes are those of the file to 1e-5
    load_restorer.cache_clear()
    models["colour"] = Telling()
    assert run("photo.jpg", "--overwrite", "--no-consistent")[0] == 0
    tables = [opened("photo.jpg").quantization[i] for i in (0, 1)]
    told = TOLD * np.log(tables).mean(1) / np.log(255)
    found = rgb_to_ycbcr(np.asarray(opened("photo-restored.png"))) - rgb_to_ycbcr(shown)
    np.testing.assert_allclose(np.median(found, axis=(0, 1)), told[[0, 1, 1]], atol=0.6)


def test_grey_files_luma_alone_and_good_files_are_not_for_the_network_for_colour(models, run):
    models["colour"] = ColourIdentity()
    save("grey.jpg", PHOTOGRAPH[..., 1].copy(), quality=30)
    save("colour.jpg", quality=30)
    save("good.jpg", quality=95)
    assert ", identity" in run("grey.jpg")[2]
    assert ", identity" in run("colour.jpg", "--luma")[2]
    assert ", decoded" in run("good.jpg")[2]


def test_the_result_is_written_as_it_was_asked_for(run):
    save("photo.jpg", quality=30)
    for name, *options in (
        ("fine.jpg",),
        ("small.jpg", "--output-quality=60", "--subsampling=4:2:0"),
        ("exact.webp",),
        ("small.webp", "--output-quality=60"),
    ):
        assert run("photo.jpg", "-o", name, *options)[0] == 0
    for name, quality, samples in (("fine.jpg", 95, (1, 1)), ("small.jpg", 60, (2, 2))):
        written = opened(name)
        expected = quantization_tables(quality).reshape(2, 64).tolist()
        assert [written.quantization[i] for i in (0, 1)] == expected
        assert written.layer[0][1:3] == samples
    restored = np.asarray(opened("photo.jpg"))
    assert difference("exact.webp", restored) == 0
    assert difference("small.webp", restored) > 0
    assert Path("small.webp").stat().st_size < Path("exact.webp").stat().st_size / 3


# Every file of the wild set: words of its refusal, or None where it is restored.
WILD = {
    "orient6_landscape.jpg": None,
    "cam_kodak_dc210_1999.jpg": None,
    "phone_iphone_8mp.jpg": None,
    "corrupt_bitstream_2mb.jpg": "damaged, a marker 0xFF9F inside its picture data; --salvage",
    "odd_qtables_mavica.jpg": None,
    "lowq_fuji_4900z_q18.jpg": None,
    "lowq_ricoh_dc3z.jpg": None,
    "progressive_android.jpg": None,
    "trailing_garbage.jpg": None,
    "grey_photo.jpg": None,
    "qt16.jpg": None,
    "mpo_stereo.mpo": None,
    "icc_big.jpg": None,
    "ycck_icc_700k.jpg": None,
    "xyb_icc.jpg": None,
    "trunc_10000.jpg": "it is cut short: the end-of-image marker is missing; --salvage",
    "noninterleaved_444.jpg": None,
    "luma_subsampled.jpg": None,
    "cmyk_flower.jpg": "CMYK without an ICC profile: its colours are not defined",
    "rgb_no_transform.jpg": None,
    "mjpeg_no_dht.jpg": None,
    "size_17x17.jpg": None,
    "twelve_bit.jpg": "its samples have 12 bits, expected 8",
    "prog_arith_422.jpg": None,
}


def decoded_by_pillow(path):
    """What a viewer shows: upright, in sRGB where the file's own colours are no RGB."""
    image = ImageOps.exif_transpose(opened(path))
    profile = io.BytesIO(image.info.get("icc_profile", b""))
    if image.mode == "CMYK" or path.name == "xyb_icc.jpg":
        flags, intent = ImageCms.Flags.BLACKPOINTCOMPENSATION, ImageCms.Intent.RELATIVE_COLORIMETRIC
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, profile, srgb, intent, "RGB", flags=flags)
    return image


def test_every_wild_file_has_its_row(data_dir):
    assert sorted(WILD) == sorted(
        p.name for p in (data_dir / "wild").iterdir() if p.suffix != ".tsv"
    )


# Of 8 to 10 Mpixel: writing their PNG files takes long.
LARGE = {"corrupt_bitstream_2mb.jpg", "luma_subsampled.jpg", "phone_iphone_8mp.jpg"}


def wild(names):
    return [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in names]


@pytest.mark.parametrize("name", wild(sorted(WILD)))
def test_wild_file(data_dir, run, name):
    """An identity network leaves the pixels that Pillow decodes, to a rounding of one level."""
    path, refusal = data_dir / "wild" / name, WILD[name]
    status, output, errors = run(path, "-o", "out.png", "--chroma", "--model=identity")
    assert output == ""
    if refusal:
        assert status == 1
        [line] = [line for line in errors.splitlines() if line.startswith("error: ")]
        assert str(path) in line
        assert refusal in line
        assert files() == []
    else:
        assert status == 0, errors
        assert difference("out.png", decoded_by_pillow(path)) <= 1


@pytest.mark.parametrize("name", wild(["corrupt_bitstream_2mb.jpg", "trunc_10000.jpg"]))
def test_damaged_file_is_salvaged(data_dir, run, name):
    path = data_dir / "wild" / name
    status, _, errors = run(path, "-o", "out.png", "--salvage", "--model=identity")
    assert status == 0
    assert "salvaged: " in errors
    whole = opened(path)
    assert opened("out.png").size == whole.size
    if name.startswith("corrupt"):
        assert difference("out.png", whole) <= 1


def test_one_file_beside_itself(run):
    save("photo.jpg", quality=30)
    status, output, errors = run("photo.jpg", "--qf=20")
    assert (status, output) == (0, "")
    assert files() == ["photo-restored.png", "photo.jpg"]
    assert "photo.jpg -> photo-restored.png: quality 20 as asked for, " in errors
    assert errors.splitlines()[-1].startswith("1 restored: 0.01 Mpixel, ")


def test_the_network_changes_luma_only(run):
    """16 levels of MATLAB's luma are 18.6 of a JPEG file's, in each of R, G and B."""
    save("photo.png", np.full((20, 30, 3), (90, 60, 120), np.uint8))
    assert run("photo.png", "-o", "out.png", "--model=brighter")[0] == 0
    assert difference("out.png", np.full((20, 30, 3), (109, 79, 139))) == 0
    save("grey.png", np.full((20, 30), 100, np.uint8))
    assert run("grey.png", "-o", "grey out.png", "--model=brighter")[0] == 0
    assert difference("grey out.png", np.full((20, 30), 119)) == 0


def test_no_strength_gives_the_picture_as_it_is(run):
    Image.fromarray(PHOTOGRAPH).save("photo.jpg", quality=30)
    run("photo.jpg", "--model", "brighter", "--no-consistent", "--strength", "0")
    before, after = (np.asarray(Image.open(n)) for n in ("photo.jpg", "photo-restored.png"))
    assert np.array_equal(after, before)


def test_folder_is_mirrored_and_one_bad_file_stops_no_other(run):
    save("in/a.jpg")
    save("in/deep/b.JPEG")
    save("in/c-restored.png")
    save("in/picture.png")
    Path("in/bad.jpg").write_bytes(b"no picture")
    status, output, errors = run("in", "absent.jpg", "-o", "out/")
    assert (status, output) == (1, "")
    assert [name for name in files() if name.startswith("out")] == ["out/a.png", "out/deep/b.png"]
    lines = errors.splitlines()
    hint = "name them individually, or give --qf or --model"
    assert f"left out 1 files that are not JPEGs: {hint}" in lines
    assert "error: absent.jpg: no such file or folder" in lines
    assert "error: in/bad.jpg: not an image in a known format" in lines
    assert "2 restored, 2 failed" in lines[-1]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless file here")
def test_endless_files_are_not_read(run):
    status, _, errors = run("/dev/zero")
    assert status == 1
    assert "error: /dev/zero: neither a file nor a folder" in errors


def test_glob_and_pattern(run):
    save("one.jpg")
    save("two.jpg")
    assert run("*.jpg", "-o", "{folder}/better/{stem}.webp", "-q") == (0, "", "")
    assert files()[:2] == ["better/one.webp", "better/two.webp"]


def test_a_pattern_beside_the_pictures_leaves_none_out(run, monkeypatch, tmp_path):
    """Also where the command is given in a folder of them."""
    save("photos/2023/b.jpg")
    save("photos/2024/a.jpg")
    monkeypatch.chdir("photos/2024")
    for output in ("{folder}/{stem}-clean.png", "{stem}-clean.png"):
        assert run("..", "-o", output, "--overwrite")[0] == 0
    monkeypatch.chdir(tmp_path / "photos")
    assert files() == [
        "2023/b-clean.png", "2023/b.jpg", "2024/a-clean.png", "2024/a.jpg", "2024/b-clean.png"
    ]  # fmt: skip


def test_results_in_a_folder_of_pictures_are_not_restored_again(run, monkeypatch):
    save("photos/2023/b.jpg")
    save("photos/2024/a.jpg")
    monkeypatch.chdir("photos/2024")
    for _ in range(2):
        assert run("..", "-o", "{stem}-clean.jpg", "--resume")[0] == 0
        assert files() == ["a-clean.jpg", "a.jpg", "b-clean.jpg"]


def test_a_pattern_finds_folders_too(run):
    save("holidays/one.jpg")
    assert run("holi*", "-o", "better/", "-q") == (0, "", "")
    assert files() == ["better/one.png", "holidays/one.jpg"]


def test_a_missing_file_is_named_whatever_the_output(run):
    status, _, errors = run("missing.jpg", "-o", "out.png")
    assert status == 1
    assert "missing.jpg: no such file or folder" in errors


def test_existing_results_are_kept_replaced_or_skipped(run):
    save("photo.jpg")
    Path("photo-restored.png").write_bytes(b"old")
    status, _, errors = run("photo.jpg")
    assert status == 1
    assert "photo-restored.png exists: use --overwrite, or --resume to skip it" in errors
    status, _, errors = run("photo.jpg", "--resume")
    assert status == 0
    assert "finished before" in errors
    assert Path("photo-restored.png").read_bytes() == b"old"
    assert run("photo.jpg", "--overwrite")[0] == 0
    assert difference("photo-restored.png", opened("photo.jpg")) <= 1


def test_resuming_writes_only_what_is_missing(run):
    save("photo.jpg")
    Path("photo-restored.png").write_bytes(b"with other options")
    assert run("photo.jpg", "--compare", "--resume")[0] == 0
    assert Path("photo-restored.png").read_bytes() == b"with other options"
    comparison = Path("photo-restored-compare.png").read_bytes()
    Path("photo-restored.png").unlink()
    assert run("photo.jpg", "--compare", "--resume", "--strength=0.5")[0] == 0
    assert Path("photo-restored-compare.png").read_bytes() == comparison
    assert difference("photo-restored.png", opened("photo.jpg")) <= 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_stops_no_other_picture():
    """The list of failures, what is printed and the picture itself, each where nothing fits."""
    command = "from casjax.restore import main; sys.exit(main(sys.argv[1:]))"
    with Path("/dev/full").open("w") as full:
        for options in ({}, {"stderr": full}, {"stdout": full}):
            where = ["-o", "-"] if "stdout" in options else ["--failures=/dev/full", "--explain"]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
            with tempfile.TemporaryDirectory() as folder:
                save(f"{folder}/good.jpg")
                inputs = [f"{folder}/good.jpg"]
                inputs += [] if "stdout" in options else ["absent.jpg"]
                done = run_in_a_process(command, *inputs, *where, capture_output=False, **pipes)
                assert done.returncode == 1
                assert b"Traceback" not in (done.stderr or b"")
                if "stdout" not in options:
                    assert Path(folder, "good-restored.png").exists()


def test_the_picture_itself_is_never_replaced(run):
    save("photo.jpg")
    before = Path("photo.jpg").read_bytes()
    status, _, errors = run("photo.jpg", "-o", "photo.jpg", "--overwrite")
    assert status == 1
    assert "would replace the picture itself" in errors
    assert Path("photo.jpg").read_bytes() == before
    Path("photo.jpg").rename("new-compare.png")
    status, _, errors = run("new-compare.png", "-o", "new.png", "--compare", "--overwrite")
    assert status == 1
    assert "new-compare.png would replace the picture itself" in errors
    assert Path("new-compare.png").read_bytes() == before


def test_what_a_killed_run_left_is_removed(run, tmp_path):
    save("photo.jpg")
    Path("out").mkdir()
    abandoned = tmp_path / "out" / f".{socket.gethostname()}-{2**22 + 1}-0123abcd.part"
    abandoned.touch()  # there is no process of this number
    assert run("photo.jpg", "-o", "out/")[0] == 0
    assert [path.name for path in Path("out").iterdir()] == ["photo.png"]


def test_a_failed_write_leaves_no_file(run, monkeypatch):
    def fail(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    save("photo.jpg")
    monkeypatch.setattr(Path, "write_bytes", fail)
    status, _, errors = run("photo.jpg")
    assert status == 1
    assert "error: photo.jpg: [Errno 28] No space left on device: 'photo-restored.png'" in errors
    assert files() == ["photo.jpg"]


def test_standard_input_to_standard_output():
    """In a process of its own, for its streams; nothing but the picture is on its output."""
    file = io.BytesIO()
    Image.fromarray(PHOTOGRAPH).save(file, format="JPEG")
    program = (
        "from casjax import restore\n"
        "sys.exit(restore.main(['-', '--model=identity', '--explain', '--format=webp']))"
    )
    done = run_in_a_process(program, input=file.getvalue())
    assert done.returncode == 0, done.stderr
    restored = Image.open(io.BytesIO(done.stdout))
    assert restored.format == "WEBP"
    assert np.abs(np.array(restored).astype(int) - np.array(Image.open(file))).max() <= 1
    assert b"standard input -> standard output" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "INPUT"),
        (["empty"], "no pictures to restore in empty"),
        (["photo.jpg", "--qf=0"], "expected 1 to 100, got '0'"),
        (["photo.jpg", "--memory=much"], "expected a size such as 500MB or 2GB, got 'much'"),
        (["photo.jpg", "--memory=0.001MB", "--model=identity"], "too little for this network"),
        (["photo.jpg", "--model=none"], "none: no network of that name ships"),
        (["photo.jpg", "--strength=1.5"], "expected a number from 0 to 1, got '1.5'"),
        (["photo.jpg", "--resume", "--overwrite"], "not allowed with"),
        (["photo.jpg", "--workers=2"], "--workers is for a cluster: it needs --ray"),
        (["photo.jpg", "-o", "out.xyz"], "-o out.xyz: expected a name that ends in .png"),
        (["photo.jpg", "-o", "out.jpg", "--format=png"], "-o out.jpg does not match --format png"),
        (["photo.jpg", "-o", "{place}.png"], "expected no other fields than {folder}, {stem}"),
        (["photo.jpg", "photo.png", "-o", "x.png"], "several pictures need a folder"),
        (["photo.jpg", "photo.png", "-o", "-"], "-o -: standard output takes a single picture"),
        (["photo.jpg", "-o", "{stem[a]}.png"], "expected no other fields than {folder}, {stem}"),
        (["photo.jpg", "photo.png"], "would both become photo-restored.png"),
        (["photo.jpg", "-"], "(-) must be the only input"),
        (["-", "--compare"], "--compare needs a result that is a file"),
        (["-", "-o", "{stem}.png"], "standard input has no name"),
    ],
)
def test_wrong_usage_is_status_2(run, arguments, message):
    save("photo.jpg")
    save("photo.png")
    Path("empty").mkdir()
    status, output, errors = run(*arguments)
    assert (status, output) == (2, "")
    assert message in errors.splitlines()[-1]
    assert files() == ["photo.jpg", "photo.png"]


def test_quality_is_read_and_the_nearest_network_chosen(run, monkeypatch):
    manifest = {"identity": {"qualities": [5, 30]}, "brighter": {"qualities": [80, 90]}}
    monkeypatch.setattr(pretrained, "manifest", lambda: manifest)
    save("strong.jpg", quality=10)
    save("weak.jpg", quality=60)
    save("picture.png")
    status, output, errors = run("strong.jpg", "weak.jpg", "--explain")
    assert status == 0
    assert "chosen     identity for quality 10" in output
    assert "chosen     brighter for quality 60" in output
    assert "chroma     quality 10, deviation 0.0%" in output
    assert "sampling 2x2 1x1 1x1" in output
    assert "the network was made for quality 80 to 90" in errors
    status, _, errors = run("picture.png")
    assert status == 1
    assert "PNG files have no quantisation tables, and the pixels show no trace of JPEG" in errors


@pytest.mark.parametrize(
    ("quality", "kind", "method"),
    [
        (BEST_RESTORED, {}, "identity"),
        (BEST_RESTORED + 1, {}, "decoding"),
        (BEST_RESTORED + 1, {"keep_rgb": True}, "none"),
    ],
)
def test_who_restores_what_is_nearly_perfect_is_told(run, quality, kind, method):
    save("photo.jpg", quality=quality, **kind)
    status, output, errors = run("photo.jpg", "--explain")
    assert status == 0
    assert ("decoded more precisely: no network does better" in errors) == (method == "decoding")
    assert ("left unchanged: no network improves a file this good" in errors) == (method == "none")
    assert f"chosen     {method}" in output
    assert ("identity" in errors) == (method == "identity")
    assert (difference("photo-restored.png", opened("photo.jpg")) > 0) == (method == "decoding")
    errors_of = [
        np.square(np.array(opened(name)) - PHOTOGRAPH.astype(float)).mean()
        for name in ("photo-restored.png", "photo.jpg")
    ]
    assert errors_of[0] <= errors_of[1]
    assert run("photo.jpg", "-o", "forced.png", "--model=brighter", "--no-consistent")[0] == 0
    assert difference("forced.png", opened("photo.jpg")) > 0
    assert run("photo.jpg", "-o", "same.png", "--strength=0")[0] == 0
    assert difference("same.png", opened("photo.jpg")) == 0


def test_quality_of_a_former_jpeg_is_told_from_its_pixels(run):
    save("photo.jpg", quality=30)
    opened("photo.jpg").save("photo.png")
    status, output, errors = run("photo.png", "--explain")
    assert status == 0
    assert "chosen     identity for quality 30 by a blind estimate from the pixels" in output
    assert "quality 30 by a blind estimate from the pixels, identity" in errors


def test_a_network_for_another_quality_is_held_to_the_file(run):
    """Not by 18.6 levels, as it would, but by half of the lowest coefficient's step at most."""
    save("photo.jpg", np.full((20, 30), 100, np.uint8), quality=60)
    status, _, errors = run("photo.jpg", "-o", "held.png", "--model=brighter")
    assert status == 0
    assert "made for quality 20, kept within what the file allows" in errors
    assert difference("held.png", np.full((20, 30), 101)) <= 1
    assert run("photo.jpg", "-o", "free.png", "--model=brighter", "--no-consistent")[0] == 0
    assert difference("free.png", np.full((20, 30), 119)) <= 1
    save("same.jpg", np.full((20, 30), 100, np.uint8), quality=20)
    assert run("same.jpg", "-o", "same.png", "--model=brighter")[0] == 0
    assert difference("same.png", np.array(opened("same.jpg")) + 19) <= 1


def test_metadata_goes_along_and_orientation_is_honoured_once(run):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    exif.get_ifd(0x8769)[0x829A] = 0.5  # exposure time, in a directory of its own
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a tiff:Orientation="6"/></x:xmpmeta>'
    save("photo.jpg", exif=exif, icc_profile=icc, xmp=xmp, dpi=(300, 300))
    expected = np.rot90(np.array(opened("photo.jpg")), -1)
    for suffix in ("png", "jpg", "webp", "tif"):
        status, _, errors = run("photo.jpg", "-o", f"out.{suffix}")
        assert status == 0, errors
        result = opened(f"out.{suffix}")
        assert result.getexif()[0x010F] == "a camera"
        assert result.getexif().get_ifd(0x8769)[0x829A] == 0.5
        assert result.getexif().get(0x0112, 1) == 1
        assert result.info["icc_profile"] == icc
        assert b'Orientation="1"' in result.info["xmp"]
        if suffix != "jpg":
            assert difference(f"out.{suffix}", expected) <= 1
    assert run("photo.jpg", "-o", "stripped.png", "--strip")[0] == 0
    stripped = opened("stripped.png")
    assert not stripped.getexif()
    assert "xmp" not in stripped.info
    assert stripped.info["icc_profile"] == icc
    assert difference("stripped.png", expected) <= 1


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_alpha_is_kept(run, suffix):
    alpha = np.random.default_rng(0).integers(0, 256, PHOTOGRAPH.shape[:2], np.uint8)
    picture = np.dstack([PHOTOGRAPH, alpha])
    save("photo.png", picture)
    assert run("photo.png", "-o", f"out.{suffix}", "--qf=50")[0] == 0
    assert difference(f"out.{suffix}", picture) == 0
    status, _, errors = run("photo.png", "-o", "out.jpg", "--qf=50")
    assert status == 1
    assert "transparent, which JPEG cannot hold" in errors


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (70, 3), (130, 65)])
def test_any_size(run, size):
    save("photo.jpg", np.resize(PHOTOGRAPH, (*size, 3)))
    options = ["--chroma", "--ensemble", "--consistent", "--memory=1MB"]
    assert run("photo.jpg", "-o", "out.png", *options)[0] == 0
    assert difference("out.png", opened("photo.jpg")) <= 1


@pytest.mark.parametrize("size", [(1, 60000), (60000, 1), (3, 65500), (16383, 2)])
def test_long_strips(run, size):
    """Up to what JPEG holds; the stand-in's tiles are far smaller."""
    save("photo.jpg", np.resize(PHOTOGRAPH[:3], (*size, 3)))
    options = ["--chroma", "--consistent", "--memory=1MB"]
    for suffix in ("png", "jpg", "tif"):
        assert run("photo.jpg", "-o", f"out.{suffix}", *options)[0] == 0
        assert opened(f"out.{suffix}").size == size[::-1]
    assert difference("out.png", opened("photo.jpg")) <= 1
    status, _, errors = run("photo.jpg", "-o", "out.webp", *options)
    assert status == (0 if max(size) <= 16383 else 1)
    assert (status == 0) != ("webp files hold at most 16383 rows and columns" in errors)


def test_strips_that_jpeg_cannot_hold(run):
    save("photo.png", np.resize(PHOTOGRAPH[0], (1, 65501, 3)))
    assert run("photo.png", "-o", "out.png", "--qf=20")[0] == 0
    status, _, errors = run("photo.png", "-o", "out.jpg", "--qf=20")
    assert status == 1
    assert "jpeg files hold at most 65500 rows and columns" in errors


def test_bombs_are_refused_before_they_are_decoded(run):
    """65500 x 65500 pixels would be 12 GB: the file says so in its header, and holds little."""
    save("photo.jpg", np.zeros((8, 8), np.uint8))
    data = Path("photo.jpg").read_bytes()
    place = data.index(b"\xff\xc0") + 5
    side = (65500).to_bytes(2, "big")
    Path("photo.jpg").write_bytes(data[:place] + side + side + data[place + 4 :])
    for options in ([], ["--salvage"]):
        status, _, errors = run("photo.jpg", *options)
        assert status == 1
        assert "65500 x 65500 is 4290.2 Mpixel, the limit is 200: --max-megapixels" in errors


def test_decompression_bomb_is_refused_by_the_name_of_its_switch(run):
    save("bomb.png", np.zeros((1000, 1100), np.uint8))
    status, _, errors = run("bomb.png", "--qf=20", "--max-megapixels=1")
    assert status == 1
    assert "1100 x 1000 is 1.1 Mpixel, the limit is 1: --max-megapixels raises it" in errors
    assert run("bomb.png", "--qf=20", "--max-megapixels=2")[0] == 0


def test_comparison(run):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    save("photo.jpg", icc_profile=profile)
    assert run("photo.jpg", "--compare")[0] == 0
    height, width, _ = PHOTOGRAPH.shape
    assert opened("photo-restored-compare.png").info["icc_profile"] == profile
    shown = np.array(opened("photo-restored-compare.png"))
    assert shown.shape[1] == 3 * width + 16
    assert np.array_equal(shown[:height, :width], shown[:height, width + 8 : 2 * width + 8])
    assert (shown[:height, -width:] == 128).all(), "an identity network makes no difference"
    assert run("photo.jpg", "--compare")[0] == 1
    Path("photo-restored-compare.png").unlink()
    assert run("photo.jpg", "--compare", "--resume")[0] == 0
    assert Path("photo-restored-compare.png").exists()
    # A later run over the folder takes it for no photograph, even if it compares nothing.
    assert run(".", "--qf=30", "--overwrite")[0] == 0
    assert files() == ["photo-restored-compare.png", "photo-restored.png", "photo.jpg"]


def test_interruption_says_how_to_go_on(run, monkeypatch):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    save("photo.jpg")
    for module, name in ((running, "restore_photograph"), (restore, "prepare")):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, interrupt)
            status, _, errors = run("photo.jpg")
        assert status == 130
        assert "--resume" in errors


def test_where_there_are_no_modules_of_unix(tmp_path):
    """On Windows, that is, where `fcntl` and `resource` cannot be imported."""
    save(tmp_path / "photo.jpg")
    program = (
        "import sys; sys.modules |= dict.fromkeys(['fcntl', 'resource', 'termios', 'pwd', 'grp'])\n"
        "from casjax.restore import main; sys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "photo.jpg", "--model=l4-qf20"],
        capture_output=True,
        cwd=ROOT,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert opened(tmp_path / "photo-restored.png").size == PHOTOGRAPH.shape[1::-1]


def test_restoring_needs_no_training():
    """What loads weights comes without what saves the state of a training, and without its data."""
    program = (
        "import sys, casjax.restoration.running, casjax.networks.pretrained\n"
        "training = {'orbax', 'optax', 'ml_collections', 'tensorflow_datasets', 'tensorboardX',"
        " 'array_record', 'casjax.training', 'casjax.datasets'}\n"
        "print(sorted(training & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, cwd=ROOT, text=True)
    assert done.stdout.strip() == "[]", done.stderr
