"""What a user meets first: the package's names, the command, and configs by name."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import casjax
from casjax import cli
from casjax.restoration import restoring
from casjax.training import configs

ROOT = Path(__file__).parent.parent


def run(*command, cwd, check=True):
    """A command's exit status and both its outputs."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not check or done.returncode == 0, done.stderr
    return done.returncode, done.stdout, done.stderr


def test_the_package_alone_imports_none_of_its_libraries(tmp_path):
    program = (
        "import sys; before = {*sys.modules}; import casjax; "
        "found = {name.partition('.')[0] for name in {*sys.modules} - before}; "
        "print(found - {*sys.stdlib_module_names})"
    )
    _, output, _ = run("-c", program, cwd=tmp_path)
    assert output.strip() == "{'casjax'}"


def test_what_the_package_offers():
    assert {*casjax.__all__} <= {*dir(casjax)}
    clean = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    degraded = casjax.jpeg.degrade(clean, 10)
    assert 10 < casjax.metrics.psnr(degraded, clean)[0] < 50
    assert casjax.load_network("l4-qf20").qualities == (20, 20)
    assert casjax.restore_image is restoring.restore_image
    with pytest.raises(AttributeError, match="no attribute 'restore_images'"):
        _ = casjax.restore_images


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_a_subcommand_is_its_module(name, tmp_path):
    """To the letter of its help; Abseil's flags name the module's file, in both."""
    for argument in ("--help", "--nonsense"):
        by_name = run("-m", "casjax.cli", name, argument, cwd=tmp_path, check=False)
        as_module = run("-m", cli.COMMANDS[name].module, argument, cwd=tmp_path, check=False)
        assert by_name == as_module
    assert as_module[0] == 2


def test_the_command_names_its_subcommands_and_version(tmp_path):
    _, output, _ = run("-m", "casjax.cli", "--help", cwd=tmp_path)
    assert all(
        name in output and command.purpose in output for name, command in cli.COMMANDS.items()
    )
    _, output, _ = run("-m", "casjax.cli", "--version", cwd=tmp_path)
    assert output == f"casjax {casjax.__version__}\n"
    status, _, errors = run("-m", "casjax.cli", "restaurate", cwd=tmp_path, check=False)
    assert status == 2
    assert "invalid choice: 'restaurate'" in errors


@pytest.mark.parametrize("config", ["qf10", "efficient:qf=5-95", ROOT / "configs/l8.py", "mine.py"])
def test_training_finds_its_config_from_any_folder(config, tmp_path):
    """It gets as far as the test sets, which are opened once the config is found to be sound."""
    own = "from configs import base, neighbour\nget_config = lambda: neighbour.like(base)\n"
    (tmp_path / "mine.py").write_text(own)
    (tmp_path / "neighbour.py").write_text("like = lambda base: base.get_config()\n")
    command = ["-m", "casjax.cli", "train", f"--config={config}"]
    command += ["--config.evaluation.datasets=('nothing',)", "--config.initial_weights="]
    _, _, errors = run(*command, cwd=tmp_path, check=False)
    assert errors.splitlines()[-1].startswith("error: unknown image source 'nothing'")
    [workdir] = (tmp_path / "runs").iterdir()
    assert workdir.name == Path(str(config).partition(":")[0]).stem


def test_a_config_is_given_what_follows_its_name():
    for reference, argument in (("efficient:qf=5-95", "qf=5-95"), ("paper:qf=35", "qf=35")):
        name = reference.partition(":")[0]
        found = configs.load_config(reference).to_dict()
        assert found != configs.load_config(name).to_dict()
        assert found == importlib.import_module(f"configs.{name}").get_config(argument).to_dict()
    with pytest.raises(ValueError, match=r"base\.py: it takes no argument, got 'x' after"):
        configs.load_config("base:x")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("import nothing", "mine.py, line 1: ModuleNotFoundError: No module named 'nothing'"),
        ("\n(", "mine.py, line 2: '(' was never closed"),
        ("", "mine.py: it has no function get_config that returns a ConfigDict"),
        ("def get_config():\n    return {}", "get_config returns a dict, not a ConfigDict"),
        ("def get_config(a):\n    return {}", "missing 1 required positional argument: 'a'"),
        ("def get_config():\n    raise ValueError('so\\nnot')", "so not"),
    ],
)
def test_a_config_that_cannot_be_run_is_named_in_a_line(content, said, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(said)) as raised:
        configs.load_config(str(path))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("reference", ["qf35", "configs/qf35.py", "", "base.py:x", "efficient.py"])
def test_a_config_that_there_is_not_is_said_with_those_there_are(reference):
    with pytest.raises(FileNotFoundError, match=r"no such config: .* qf10, qf20, qf40"):
        configs.load_config(reference)


def test_a_colon_parts_the_argument_but_not_a_drive():
    assert configs._split(r"C:\configs\mine.py:qf=20") == (r"C:\configs\mine.py", ["qf=20"])
    assert configs._split("codec:webp") == ("codec", ["webp"])
    assert configs._split("qf20") == ("qf20", [])
