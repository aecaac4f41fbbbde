"""The examples of docs/add.md: a network in three places, a codec and a metric in one each."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from casjax.images import read_luma, write_png
from casjax.images.codecs import compress, encode

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs/add.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A copy of the repository with what docs/add.md says to add."""
    copy = tmp_path_factory.mktemp("repository")
    for folder in ("casjax", "configs", "docs", "tests"):
        shutil.copytree(
            ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("*.safetensors", "*.pyc")
        )
    shutil.copy(ROOT / "pyproject.toml", copy)
    files = re.findall(r"```python\n# (\S+\.py)\n(.*?)```", TEXT, re.DOTALL)
    assert [name for name, _ in files] == ["casjax/models/srcnn.py", "configs/srcnn.py"]
    for name, content in files:
        (copy / name).write_text(content, encoding="utf-8")
    [entry] = re.findall(r'`("srcnn": \w+,)`', TEXT)
    [line] = re.findall(r"`(from casjax\.models\.srcnn import \w+)`", TEXT)
    table = copy / "casjax/models/__init__.py"
    source = table.read_text(encoding="utf-8")
    source = source.replace("from casjax.models.svoboda", f"{line}\nfrom casjax.models.svoboda")
    source = source.replace("\n}\n", f"\n    {entry}\n}}\n", 1)
    table.write_text(source, encoding="utf-8")
    codec, metric = re.findall(r"```python\n(?!# )(.*?)```", TEXT, re.DOTALL)
    [line] = re.findall(r'`("mae": \w+,)`', TEXT)
    append(copy / "casjax/images/codecs.py", "CODECS: ", f"    {codec}")
    append(copy / "casjax/metrics.py", "METRICS: ", f"    {line}\n", before=f"{metric}\n\n")
    return copy


def append(path, table, entry, *, before=""):
    """Put an entry at the end of a table, and something before it."""
    head, name, rest = path.read_text(encoding="utf-8").partition(f"\n{table}")
    rest = rest.replace("\n}\n", f"\n{entry}}}\n", 1)
    path.write_text(f"{head}\n{before}{name.lstrip()}{rest}", encoding="utf-8")


def run(repository, *arguments, cwd):
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={"PYTHONPATH": str(repository), "PATH": "", "CASJAX_COMPILATION_CACHE": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_network_is_trained_restores_and_is_exported_and_measured(repository, tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (8, 12)), np.ones((12, 12))).astype(np.uint8)
    decoded = compress(smooth, 10, codec="jpeg")
    write_png(tmp_path / "photo.png", decoded)
    command = ["-m", "casjax.cli"]
    output = run(
        repository,
        *command,
        "train",
        "--config=srcnn",
        "--workdir=run",
        "--config.data.sources=('skimage',)",
        "--config.data.validation_sources=('skimage',)",
        "--config.data.validation_cutouts=8",
        "--config.finetune.cutouts=64",
        "--config.finetune.warmup_steps=1",
        "--config.evaluation.datasets=()",
        cwd=tmp_path,
    )
    assert "parameters sha256" in output
    run(repository, *command, "restore", "photo.png", "--model", "run", "--qf", 20, cwd=tmp_path)
    degraded, restored = (read_luma(tmp_path / f"photo{end}.png") for end in ("", "-restored"))
    assert degraded.shape == restored.shape
    assert (degraded != restored).any()
    run(repository, *command, "export", "run", "--formats", "stablehlo", cwd=tmp_path)
    assert (tmp_path / "run.stablehlo").is_file()
    options = ["--quick", "--only", "inference", "--models", "srcnn", "--calls", "1"]
    output = run(repository, *command, "benchmark", *options, cwd=tmp_path)
    assert "srcnn" in output


@pytest.mark.slow
def test_the_codec_and_the_metric_are_scored(repository, tmp_path):
    rng = np.random.default_rng(0)
    smooth = np.kron(rng.integers(0, 256, (4, 6)), np.ones((12, 12))).astype(np.uint8)
    (tmp_path / "pictures").mkdir()
    write_png(tmp_path / "pictures/a.png", smooth)
    command = ["-m", "casjax.cli", "evaluate", "jpeg", "-o", "scores", "--qualities", 20]
    run(repository, *command, "--datasets", "folder:pictures", cwd=tmp_path)
    [row] = json.loads((tmp_path / "scores/results.json").read_text())["rows"]
    decoded = compress(smooth, 20, codec="jpeg")
    assert row["mae"] == pytest.approx(np.abs(decoded.astype(float) - smooth).mean(), rel=1e-5)
    program = """
from casjax.images.codecs import encode
from casjax.images import read_luma
print(len(encode(read_luma("pictures/a.png"), 20, codec="webp6")))"""
    size = len(encode(smooth, 20, codec="webp"))
    assert 0 < int(run(repository, "-c", program, cwd=tmp_path)) < 1.2 * size


@pytest.mark.slow
def test_the_checks_ask_for_no_fourth_place(repository):
    for check in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        changed = ["casjax/models", "casjax/images", "casjax/metrics.py", "configs"]
        run(repository, "-m", *check, *changed, cwd=repository)
    tests = ["tests/test_layers.py", "tests/test_configs.py", "tests/test_benchmark.py"]
    tests += ["tests/test_cascnn.py", "-k", "keys or sections or network or layer"]
    run(repository, "-m", "pytest", "-q", "-m", "not slow", *tests, cwd=repository)
