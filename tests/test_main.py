"""The command line of the main job: what it prints, and what it says to mistakes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags

from casjax import main as command
from casjax.training import train
from casjax.training.interrupted import InterruptedTrainingError

ROOT = Path(__file__).parent.parent
BASE = f"--config={ROOT}/configs/base.py"


def run(*arguments, **environment):
    """The command as a user starts it: exit status and both outputs."""
    command = [sys.executable, "-m", "casjax.main", *map(str, arguments)]
    environment = os.environ | environment
    pipes = {"capture_output": True, "text": True}
    done = subprocess.run(command, cwd=ROOT, env=environment, **pipes, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config is missing"),
        (["--config=configs/none.py"], "configs/none.py: there is no such config"),
        ([BASE, "--config.qualitty=3"], 'Did you mean "quality" instead of "qualitty"?'),
        ([BASE, "--config.multiscale.epoch=3"], 'Did you mean "epochs" instead of "epoch"?'),
        ([BASE, "--config.quality=high"], "--config.quality=high: invalid literal for int()"),
        ([BASE, "--cofnig.quality=3"], "Unknown command line flag 'cofnig"),
        ([BASE, "quality=3"], "unexpected argument 'quality=3'"),
        ([BASE, "--config.batch_size=3"], "batch_size=3 does not divide by 4 devices"),
        ([BASE, "--config.data.sources=('live2',)"], "unknown image source 'live2'"),
        ([BASE, "--config.data.sources=('folder:none',)"], "none"),
        ([BASE, "--config.initial_weights=none"], "none: no weights there"),
        ([BASE, "--config.model.name=cascade"], "model.name='cascade': expected one of"),
        ([BASE, "--config.evaluation.datasets=('live2',)"], "unknown image source 'live2'"),
        ([BASE, "--config.loop.log_every=0"], "config.loop.log_every=0: expected a whole number"),
        ([BASE, "--config.multiscale.loss_weights=1"], "one for each output of the network"),
        (
            [BASE, "--config.data.cutouts_dir=README.md"],
            "README.md: a file, expected a folder for cut-outs",
        ),
        ([BASE, "--workdir=README.md"], "README.md: --workdir is a file"),
        ([BASE, "--profile=-1"], "profile"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tmp_path, arguments, message):
    status, output, errors = run(f"--workdir={tmp_path}", *arguments)
    assert status == 2
    assert output == ""
    [line] = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert message in line
    assert "Traceback" not in errors


def test_a_config_file_that_cannot_be_run_is_said_in_a_line(tmp_path):
    (tmp_path / "config.py").write_text("def get_config():\n    return 1 / 0")
    status, _, errors = run(f"--config={tmp_path}/config.py")
    assert status == 2
    [line] = errors.splitlines()
    assert "config.py, line 2: ZeroDivisionError" in line


def test_a_wrong_environment_is_said_in_a_line(tmp_path):
    status, _, errors = run(BASE, f"--workdir={tmp_path}", JAX_PROCESS_ID="first")
    assert status == 2
    assert errors == "error: JAX_PROCESS_ID=first: expected a number in the environment\n"
    for environment in ({"JAX_PLATFORMS": "tpu"}, {"CASJAX_COMPILATION_CACHE": "README.md"}):
        status, _, errors = run(BASE, f"--workdir={tmp_path}", **environment)
        assert status == 2
        [line] = [line for line in errors.splitlines() if line.startswith("error: ")]
        [(name, value)] = environment.items()
        assert f"{name}={value}: " in line
        assert "Traceback" not in errors


@pytest.fixture
def main(monkeypatch, tmp_path):
    """`main.main` with a training that does what it is told."""

    def main(train_and_evaluate):
        monkeypatch.setattr(train, "train_and_evaluate", train_and_evaluate)
        monkeypatch.setattr(sys, "argv", ["casjax.main", BASE, f"--workdir={tmp_path}"])
        flags.FLAGS.unparse_flags()
        command.main(command.parse_flags(sys.argv))

    return main


def test_the_table_and_the_hash_are_printed(main, capsys):
    row = {"dataset": "live1", "qf": 20, "method": "jpeg", "psnr": 30.07, "psnrb": 27.57}
    row |= {"ssim": 0.868, "ipsnr": 0.0, "ipsnrb": 0.0, "bpp": 0.5}
    row |= {"ipsnr_se": "NaN", "ipsnrb_se": "NaN"}
    results = {"rows": [row], "images": [], "failures": [], "parameters_sha256": "c0ffee"}
    main(lambda config, workdir, profile_steps: results)
    output = capsys.readouterr().out
    assert "30.07" in output
    assert output.splitlines()[-1] == "parameters sha256 c0ffee"
    with pytest.raises(SystemExit, match="1"):
        main(lambda config, workdir, profile_steps: results | {"failures": [{}, {}]})
    assert "error: 2 scores failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "status", "said"),
    [
        (FloatingPointError("the loss is not finite at step 7"), 1, "not finite at step 7"),
        (KeyboardInterrupt(), 130, "resumes from the last checkpoint"),
        (InterruptedTrainingError(7, signal.SIGINT), 130, "SIGINT: stopped after step 7"),
        (InterruptedTrainingError(7, signal.SIGTERM), 75, "SIGTERM: stopped after step 7"),
    ],
)
def test_other_ends_have_their_own_status(main, capsys, raised, status, said):
    def fail(config, workdir, profile_steps):
        raise raised

    with pytest.raises(SystemExit) as leaving:
        main(fail)
    assert leaving.value.code == status
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_quickstart_gains_over_jpeg(tmp_path):
    """The real network through the real command, killed in the middle and begun again."""
    arguments = [sys.executable, "-m", "casjax.main", "--config=configs/quickstart.py"]
    arguments += [f"--workdir={tmp_path}/run", f"--config.data.cutouts_dir={tmp_path}"]
    arguments += ["--config.devices=1", "--config.loop.checkpoint_every=10"]
    first = subprocess.Popen(arguments, cwd=ROOT)
    while not (tmp_path / "run/checkpoints/20").exists():
        assert first.poll() is None
        try:
            first.wait(timeout=1)
        except subprocess.TimeoutExpired:
            continue
    first.kill()
    first.wait()
    second = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert second.stdout.splitlines()[-1] == f"parameters sha256 {results['parameters_sha256']}"
    jpeg, restored = results["rows"]
    assert restored["psnr"] > jpeg["psnr"] + 0.1
