"""Training onto a disk that is full or must not be written to: small file systems of our own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def mounting(script):
    """Run a script that mounts file systems, which nobody else sees."""
    if subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("mounting a file system needs user namespaces")
    return subprocess.run(
        ["unshare", "-rm", "bash"],
        input=script,
        env=os.environ | {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )


@pytest.mark.slow
def test_cutouts_that_do_not_fit_are_an_error_and_leave_nothing(tmp_path):
    """Written to a map of a file, they would end the process with SIGBUS."""
    program = (
        "from casjax.training.cutouts import load_cutouts; from pathlib import Path; "
        f"load_cutouts(Path('{tmp_path}/c.npy'), ['synthetic:2'], count=200, size=120, seed=0, "
        "channels=1, images_dir='')"
    )
    done = mounting(
        f"mount -t tmpfs -o size=600k tmpfs {tmp_path} || exit\n"
        f'{sys.executable} -c "{program}"; echo status $? >&2; ls -A {tmp_path}\n',
    )
    assert "No space left on device" in done.stderr
    assert "status 1" in done.stderr  # of Python, for an exception
    assert done.stdout == ""


@pytest.mark.slow
def test_a_full_and_a_read_only_disk_are_named_and_lose_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    run = (
        f"{sys.executable} tests/small.py --workdir={disk}/run --config.multiscale.epochs=400 "
        f"--config.data.cutouts_dir={tmp_path} --config.loop.log_every=1 "
        "--config.loop.checkpoint_every=50 --config.loop.validate_every=1000; echo status $? >&2"
    )
    done = mounting(
        f"mount -t tmpfs -o size=600k tmpfs {disk} || exit\n{run}\n"
        f"mount -o remount,size=10m {disk}\n{run}\nmount -o remount,ro {disk}\n{run}\n",
    )
    full, freed, read_only = re.findall(r"(.*?)\nstatus (\d)", done.stderr, re.DOTALL)
    for (said, status), message in (
        (full, "No space left on device"),
        (read_only, "Read-only file system"),
    ):
        assert status == "2"
        assert "Traceback" not in said
        [line] = re.findall("^error: .*", said, re.MULTILINE)
        assert message in line
        assert str(disk) in line
    assert freed[1] == "0", freed
    assert int(re.search(r"Resuming after step (\d+)", freed[0])[1]) % 50 == 0
