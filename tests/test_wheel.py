"""The wheel: what it holds, and that it works where there is no repository."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pytest

import casjax
from casjax.datasets import open_source
from casjax.images import read_luma, write_png
from casjax.images.codecs import compress
from casjax.training.configs import shipped

ROOT = Path(__file__).parent.parent
LARGEST = 65_000_000  # bytes

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, ROOT], check=True)
    [path] = folder.iterdir()
    return path


@pytest.fixture(scope="module")
def casjax_command(wheel, tmp_path_factory):
    """The installed command, in an environment of its own; it borrows the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    scheme = {"base": str(folder), "platbase": str(folder)}
    packages = Path(sysconfig.get_path("purelib", vars=scheme))
    # A .pth file of a borrowed folder is not read: no editable casjax comes with it.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)
    return folder / "bin/casjax"


def run(command, *arguments, cwd, check=True):
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [command, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )
    assert not check or done.returncode == 0, done.stderr
    return done


def test_it_is_small_and_has_the_package_alone(wheel):
    assert wheel.name == f"casjax-{casjax.__version__}-py3-none-any.whl"
    assert wheel.stat().st_size < LARGEST
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    top = {name.partition("/")[0] for name in names}
    assert top == {"casjax", f"casjax-{casjax.__version__}.dist-info"}
    assert {Path(name).stem for name in names if name.startswith("casjax/configs/")} == {*shipped()}
    tracked = subprocess.run(
        ["git", "ls-files", "casjax"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {*tracked.stdout.split()} <= {*names}


def test_it_restores_a_photograph(casjax_command, tmp_path):
    clean = open_source("skimage", images_dir="", seed=0)[0][100:196, 100:196]
    degraded = compress(clean, 10, codec="jpeg")
    write_png(tmp_path / "photo.png", degraded)
    run(casjax_command, "restore", "photo.png", "--qf", "10", cwd=tmp_path)
    restored = read_luma(tmp_path / "photo-restored.png")
    errors = [np.square(x.astype(float) - clean).mean() for x in (degraded, restored)]
    assert errors[1] < errors[0]


def test_it_trains_the_quickstart_to_its_end(casjax_command, tmp_path):
    """With fewer steps than it takes by default."""
    shorter = ["--config.multiscale.epochs=0.02", "--config.multiscale.warmup_steps=1"]
    shorter += ["--config.finetune.epochs=0.01"]
    done = run(casjax_command, "train", "--config=quickstart", *shorter, cwd=tmp_path)
    assert "parameters sha256" in done.stdout
    assert (tmp_path / "runs/quickstart/results.json").is_file()


@pytest.mark.parametrize("config", ["qf20", "efficient:qf=10"])
def test_it_gets_as_far_as_the_data(casjax_command, config, tmp_path):
    arguments = [f"--config={config}", f"--config.data.images_dir={tmp_path}"]
    done = run(casjax_command, "train", *arguments, cwd=tmp_path, check=False)
    assert done.returncode == 2
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert str(tmp_path / "live1") in line
