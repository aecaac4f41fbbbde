"""What a killed process leaves behind, and what keeps two from one folder."""

import os
import subprocess
import sys

import pytest

from casjax import files

WRITER = """
import pathlib, sys, time
from casjax import files
folder = pathlib.Path(sys.argv[1])
with files.held(folder), files.replacing(folder / "result") as temporary:
    temporary.write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def writer(tmp_path):
    """A process in the middle of writing a file in a folder that it holds."""
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline().strip() == b"ready"
        yield process
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="there nobody can tell who is dead")
def test_only_what_the_dead_left_is_removed(writer, tmp_path):
    (tmp_path / ".mine.part").write_text("kept")
    with files.replacing(tmp_path / "ours") as temporary:
        temporary.touch()
        files.remove_abandoned(tmp_path)
        assert len(list(tmp_path.glob("*.part"))) == 3
    writer.kill()
    writer.wait()
    files.remove_abandoned(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".lock", ".mine.part", "ours"]


def test_a_folder_is_held_until_its_holder_dies(writer, tmp_path):
    with pytest.raises(BlockingIOError), files.held(tmp_path):
        pass
    writer.kill()
    writer.wait()
    with files.held(tmp_path):
        pass
