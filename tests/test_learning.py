"""The plot of learning: its curves are those of the manifest and of the runs."""

import json
from pathlib import Path

import pytest
from PIL import Image

from casjax.networks import manifest
from casjax.report import learning
from casjax.training.metric_writer import MetricWriter


def write_run(workdir, gains, *, batch_size):
    workdir.mkdir(parents=True)
    writer = MetricWriter(workdir, first_step=0)
    for i, gain in enumerate(gains, 1):
        writer.write(10 * i, "train", {"psnr": 0.0, "jpeg_psnr": 0.0})
        writer.write(10 * i, "validation", {"psnr": 29 + gain, "jpeg_psnr": 29.0})
    writer.close()
    (workdir / "config.json").write_text(json.dumps({"batch_size": batch_size}))


def test_runs_are_found_below_a_folder(tmp_path):
    write_run(tmp_path / "one", [0.5, 0.75], batch_size=8)
    write_run(tmp_path / "more/two", [0.25], batch_size=20)
    curves = learning.of_runs([tmp_path])
    assert curves == {"one": [[80, 0.5], [160, 0.75]], "more/two": [[200, 0.25]]}
    assert learning.of_runs([tmp_path / "one"]) == {"one": curves["one"]}


def test_no_curve_takes_the_place_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for gain, folder in enumerate(("x/one", "y/one", "x/net")):
        write_run(tmp_path / folder, [gain], batch_size=1)
    curves = learning.of_runs([Path("x"), Path("y")], taken=["net"])
    assert curves == {"x/one": [[10, 0]], "y/one": [[10, 1]], "x/net": [[10, 2]]}
    curves = learning.of_runs([Path("x/one")], taken=["one", "x/one"])
    assert curves == {f"{tmp_path}/x/one": [[10, 0]]}


def test_networks_go_on_where_their_earlier_trainings_ended():
    earlier = {"cutouts": 100, "learning_curve": [[50, 0.1], [100, 0.2]]}
    entry = {"cutouts": 40, "learning_curve": [[40, 0.3]], "earlier": [{"cutouts": 1000}, earlier]}
    assert learning.of_network(entry) == [[1050, 0.1], [1100, 0.2], [1140, 0.3]]
    assert learning.of_network({"cutouts": 40}) == []


def test_the_curves_are_drawn_and_named(tmp_path, monkeypatch):
    write_run(tmp_path / "runs/one", [0.5, 0.75], batch_size=8)
    entry = {"cutouts": 40, "learning_curve": [[20, 0.1], [40, 0.3]]}
    monkeypatch.setattr(manifest, "manifest", lambda: {"net": entry, "without": {"cutouts": 9}})
    assert learning.main([str(tmp_path / "runs"), "-o", str(tmp_path / "learning")]) == 0
    for theme in ("light", "dark"):
        with Image.open(tmp_path / f"learning-{theme}.png") as image:
            assert min(image.size) > 500
    [axes] = learning.draw({"net": learning.of_network(entry)}).axes
    assert axes.lines[0].get_xydata().tolist() == entry["learning_curve"]
    assert axes.lines[0].get_label() == "net: +0.300 dB after 40"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no workdir of a training"), ("{", "config or metrics are damaged")],
)
def test_mistakes_are_one_line_and_status_2(tmp_path, capsys, content, message):
    if content:
        write_run(tmp_path / "run", [0.5], batch_size=8)
        (tmp_path / "run/config.json").write_text(content)
    with pytest.raises(SystemExit) as leaving:
        learning.main([str(tmp_path), "-o", str(tmp_path / "learning")])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("learning*"))
