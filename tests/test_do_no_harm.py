"""The search for pictures that restoring makes worse, and the drawings among them."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

LAUNCH = Path(__file__).parent.parent / "launch"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(LAUNCH)
    monkeypatch.setenv("CASJAX_COMPILATION_CACHE", "off")
    return importlib.import_module("do_no_harm")


def test_drawings_are_the_same_each_time(script):
    first, second = script.drawings(), script.drawings()
    assert len(first) == 24
    for name, pixels in first.items():
        np.testing.assert_array_equal(pixels, second[name])
        assert pixels.shape[0] % 2 == pixels.shape[1] % 2 == 1
        assert pixels.std() > 5
    assert sum(pixels.ndim == 2 for pixels in first.values()) == 2
    assert len({pixels.tobytes() for pixels in first.values()}) == 24


def test_what_restore_does_by_default_is_judged(script):
    """To a good drawing: its file is decoded more precisely."""
    clean = next(iter(script.drawings().values()))
    file = script.encode(clean, 97, codec="jpeg")
    after, said = script.restored(file, script.make_parser().parse_args(["-o", "harm.json"]))
    before = script.decode(file, codec="jpeg", in_colour=clean.ndim == 3)
    assert script.psnr(after, clean) > script.psnr(before, clean) + 0.2
    assert said.startswith("decoding")


def test_pictures_that_come_back_worse_are_listed(script, monkeypatch, tmp_path, capsys):
    names = {"kept": 90, "spoilt": 200}
    rows = np.arange(40, dtype=np.uint8)[:, None] + np.arange(56, dtype=np.uint8)
    pictures = {name: rows + np.uint8(level) // 2 for name, level in names.items()}
    monkeypatch.setattr(script, "drawings", lambda: pictures)
    seen = []

    def restored(file, options):
        pixels = script.read_photograph(file, name="x", max_pixels=10**6).pixels
        seen.append(len(file))
        return (pixels + np.uint8(9) if pixels.mean() > 130 else pixels), "network, a note"

    monkeypatch.setattr(script, "restored", restored)
    command = ["-o", str(tmp_path / "new" / "harm.json"), "--sets=drawings", "--qualities=30,60"]
    assert script.main(command) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["drawings at 30", "drawings at 60"] + [
        "worse"
    ] * 2
    assert "1 of 2 are worse" in lines[0]
    assert lines[-1].startswith("worse: spoilt, drawings at 60: -")
    assert lines[-1].endswith("dB, network, a note")
    results = json.loads((tmp_path / "new" / "harm.json").read_text())
    assert results["drawings at 30"][0]["gain"] == 0
    assert len(seen) == 4
    assert script.main(command) == 1
    assert len(seen) == 4
    assert script.main([*command, "--every=2"]) == 0  # of other pictures: measured anew
    assert len(seen) == 6
    monkeypatch.setattr(script, "drawings", lambda: {"kept": pictures["kept"]})
    assert script.main(["-o", str(tmp_path / "h.json"), *command[2:]]) == 0
