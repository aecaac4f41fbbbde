"""Tables of many runs: groups by config keys, runs compared, and methods by quality and time."""

import csv
import json
import xml.etree.ElementTree

import numpy as np
import pytest

from casjax.report import field, peers
from casjax.report.__main__ import main
from casjax.report.layout import Table
from casjax.report.runs import read_runs


def write_run(folder, *, config=None, scores=(30.0, 31.0), seconds=0.5, method="l4", qf=20):
    """Results of a method on two images whose JPEG has 29 and 30 dB."""
    images, rows = [], []
    for name, values in (("jpeg", (29.0, 30.0)), (method, scores)):
        for image, psnr, jpeg in zip("ab", values, (29.0, 30.0), strict=True):
            record = {"dataset": "live1", "image": image, "method": name, "codec": "jpeg", "qf": qf}
            record |= {"psnr": psnr, "psnrb": psnr - 1, "ssim": psnr / 40, "ipsnr": psnr - jpeg}
            images.append(record)
        row = {key: images[-1][key] for key in ("dataset", "method", "codec", "qf")}
        keys = ("psnr", "psnrb", "ssim", "ipsnr")
        row |= {key: float(np.mean([r[key] for r in images[-2:]])) for key in keys}
        row |= {"images": 2, "ipsnr_se": 0.25}
        if name != "jpeg":
            row |= {
                "mpixels_per_second": 1 / seconds,
                "cpu_seconds_per_mpixel": seconds,
                "processor": "abacus",
            }
        rows.append(row)
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps({"rows": rows, "images": images}))
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder


def config(quality, optimizer, seed=0):
    network = {"model": {"name": "l4"}, "batch_size": 1, "initial_weights": "", "seed": seed}
    phases = {
        phase: {"epochs": 1.0, "cutouts": 10, "loss_weights": [1.0]}
        for phase in ("multiscale", "finetune")
    }
    degradation = {"codec": "jpeg", "lowest_quality": quality, "highest_quality": quality}
    network |= phases | {"degradation": degradation, "data": {"sources": ["skimage"]}}
    return network | {"quality": quality, "optimizer": {"name": optimizer}}


@pytest.fixture
def sweep(tmp_path):
    runs = tmp_path / "runs"
    write_run(runs / "a", config=config(20, "adam"), scores=(30.0, 31.0))
    write_run(runs / "b", config=config(20, "muon", seed=0), scores=(30.5, 31.0))
    write_run(runs / "c", config=config(20, "muon", seed=1), scores=(31.5, 32.0))
    write_run(runs / "d", config=config(5, "adam"), scores=(29.5, 30.0), qf=5)
    return runs


def test_runs_are_grouped_by_keys_of_their_configs(sweep, tmp_path, capsys):
    output = tmp_path / "out"
    assert main([str(sweep), "--group-by=quality,optimizer.name", f"-o={output}"]) == 0
    lines = list(csv.DictReader((output / "groups.csv").read_text().splitlines()))
    groups = [(line["quality"], line["optimizer.name"], line["runs"]) for line in lines]
    assert groups == [("5", "adam", "1"), ("20", "adam", "1"), ("20", "muon", "2")]
    assert [float(line["psnr"]) for line in lines] == [29.75, 30.5, 31.25]
    assert float(lines[2]["psnr_deviation"]) == pytest.approx(np.std([30.75, 31.75], ddof=1))
    assert lines[0]["psnr_deviation"] == ""
    markdown = (output / "groups.md").read_text()
    assert (
        "| 20 | muon | live1 | l4 | jpeg | 20 | 2 | 31.25 ± 0.71 | 30.25 | 0.7812 | +1.75 |"
        in markdown
    )
    assert markdown.strip() == capsys.readouterr().out.strip()


def test_codecs_are_never_averaged(sweep, capsys):
    path = sweep / "c" / "results.json"
    path.write_text(path.read_text().replace('"jpeg"', '"webp"'))
    assert main([str(sweep), "--group-by=quality,optimizer.name"]) == 0
    printed = capsys.readouterr().out
    assert "| 20 | muon | live1 | l4 | jpeg | 20 | 1 | 30.75" in printed
    assert "| 20 | muon | live1 | l4 | webp | 20 | 1 | 31.75" in printed


def test_methods_are_never_averaged_and_need_no_config(sweep, capsys):
    write_run(sweep / "e", method="e", scores=(25.0, 26.0))
    write_run(sweep / "f", method="f", scores=(30.0, 31.0))
    assert main([str(sweep), "--group-by=seed"]) == 0
    assert "25.50" not in capsys.readouterr().out
    assert main([str(sweep), "--group-by=qf"]) == 0
    printed = capsys.readouterr().out
    assert "| 20 | live1 | e | jpeg | 1 | 25.50" in printed
    assert "| 20 | live1 | f | jpeg | 1 | 30.50" in printed


def test_runs_of_one_name_are_told_apart(tmp_path, capsys):
    for folder, scores in (("x", (30.0, 31.0)), ("y", (30.5, 31.0))):
        write_run(tmp_path / folder / "qf20", scores=scores)
    folders = [str(tmp_path / folder) for folder in ("x", "y")]
    names = [f"{folder}/qf20" for folder in folders]
    assert main([*folders, "--compare", *names]) == 0
    assert "| live1 | 20 | PSNR [dB] | -0.250 ± 0.250 | 0 of 2" in capsys.readouterr().out


def test_without_an_output_tables_are_printed_alone(sweep, tmp_path, capsys):
    before = sorted(tmp_path.rglob("*"))
    assert main([str(sweep), "--group-by=run"]) == 0
    assert capsys.readouterr().out.count("\n| ") >= 5
    assert sorted(tmp_path.rglob("*")) == before


def test_two_runs_are_compared_image_by_image(sweep, tmp_path, capsys):
    assert main([str(sweep), "--compare", "b", "a", f"-o={tmp_path / 'out'}"]) == 0
    printed = capsys.readouterr().out
    assert "| live1 | 20 | PSNR [dB] | +0.250 ± 0.250 | 1 of 2 | p = 1 |" in printed
    lines = list(csv.DictReader((tmp_path / "out" / "comparison.csv").read_text().splitlines()))
    assert [line["metric"] for line in lines] == ["psnr", "psnrb", "ssim"]
    assert (lines[0]["better"], lines[0]["worse"]) == ("1", "0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--group-by=optimiser.name"], "optimiser.name: no run here has such a key"),
        (["--group-by=optimizer"], "optimizer: a section, expected one of its keys: name"),
        (["--compare", "a", "z"], "there is no run z, choose from: a, b, c, d"),
        (["--compare", "a", "d"], "a and d share no test set and quality factor (pictures in"),
        ([], "arguments are required: -o/--output"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(arguments, message, sweep, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(sweep), *arguments])
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_methods_are_shown_by_quality_and_time(tmp_path, capsys):
    runs = tmp_path / "runs"
    write_run(runs / "fast", method="fast", scores=(29.5, 30.5), seconds=0.1)
    write_run(runs / "slow", method="slow", scores=(31.0, 32.0), seconds=8.0)
    write_run(runs / "neither", method="neither", scores=(29.4, 30.4), seconds=1.0)
    write_run(runs / "worse", method="slow", scores=(30.0, 31.0), seconds=0.05)
    kept = tmp_path / "peers.json"
    assert peers.main([str(runs), f"-o={tmp_path / 'peers'}", f"--json={kept}"]) == 0
    table = capsys.readouterr().out
    assert "| luma | 20 | JPEG | 29.50 | 28.50 | 0.7375 |  |  |" in table
    assert "| luma | 20 | slow | 31.50 | 30.50 | 0.7875 | +2.00 ± 0.25 | 8 |" in table
    lines = json.loads(kept.read_text())
    assert [line["method"] for line in lines] == ["JPEG", "neither", "fast", "slow"]
    assert peers.shown(lines).markdown().strip() == table.strip()
    assert [line["method"] for line in peers.pareto(peers.timed(lines))] == ["fast", "slow"]
    for theme in ("light", "dark"):
        drawn = xml.etree.ElementTree.parse(tmp_path / f"peers-{theme}.svg")
        assert drawn.getroot().tag.endswith("svg")


def test_methods_in_colour_have_lines_of_their_own(tmp_path, capsys):
    runs = tmp_path / "runs"
    write_run(runs / "luma", method="tool")
    path = write_run(runs / "colour", method="tool", scores=(30.0, 30.5)) / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"channels": 3}))
    assert peers.main([str(runs), f"-o={tmp_path / 'peers'}"]) == 0
    rows = [line.split(" | ")[:4] for line in capsys.readouterr().out.splitlines()[2:] if line]
    assert rows == [
        ["| luma", "20", "JPEG", "29.50"],
        ["| luma", "20", "tool", "30.50"],
        ["| colour", "20", "JPEG", "29.50"],
        ["| colour", "20", "tool", "30.25"],
    ]


def test_without_methods_there_is_nothing_to_compare(tmp_path, capsys):
    write_run(tmp_path / "runs", qf=30)
    assert len(read_runs([tmp_path])) == 1
    with pytest.raises(SystemExit, match="2"):
        peers.main([str(tmp_path), f"-o={tmp_path / 'peers'}"])
    assert "no method was scored on live1 at quality 10, 20, 40" in capsys.readouterr().err


def facts(folder, **added):
    """Add facts to the results of a run."""
    path = folder / "results.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | added))


def test_colour_stands_beside_what_others_published(tmp_path):
    facts(write_run(tmp_path / "runs" / "a", method="ours", qf=10), channels=3)
    facts(write_run(tmp_path / "runs" / "b", method="ours", qf=10, scores=(27.6, 27.8)), channels=3)
    write_run(tmp_path / "runs" / "luma", method="luma", qf=10)
    lines = [line for line in field.colour(read_runs([tmp_path / "runs"])) if line[0] == "10"]
    names = ["JPEG", "QGAC", "FBCNN", "JDEC", "SwinIR, one network for each quality"]
    assert [line.method for line in lines] == [*names, "JPEG", "ours"]
    assert lines[1][2:] == (27.65, 27.43, "published")
    assert lines[-1].origin == "a"
    assert lines[-1].psnr == 30.5
    table = field.shown(lines).markdown()
    assert "| 10 | FBCNN | 27.77 | 27.51 | published |" in table
    assert table.splitlines()[-1] == "| 10 | ours | 30.50 | 29.50 | a |"


def test_files_saved_twice_have_a_table_of_their_own(tmp_path):
    shifted, aligned = ({"quality": 30, "shift": shift} for shift in ([4, 4], [0, 0]))
    facts(write_run(tmp_path / "runs" / "a", method="ours", qf=50), recompress=shifted)
    facts(write_run(tmp_path / "runs" / "b", method="other", qf=50), recompress=aligned)
    facts(write_run(tmp_path / "runs" / "c", method="rgb", qf=50), recompress=shifted, channels=3)
    runs = read_runs([tmp_path / "runs"])
    assert not any(run.rows or run.colour_rows for run in runs)
    lines = field.twice(runs)
    compressions = list(dict.fromkeys(line.compression for line in lines))
    assert compressions == ["10, 10", "10, 30", "10, 50", "30, 50", "50, 30"]
    methods = [line.method for line in lines if line.compression == "30, 50"]
    assert methods == ["JPEG", "ours", "JPEG", "FBCNN", "FBCNN, trained for it"]


def test_a_table_keeps_its_cells_apart():
    table = Table(["name", "score", "note"], [["a|b", "", "last"]], "What it means.")
    assert table.markdown().splitlines() == [
        "| name | score | note |",
        "| --- | --- | --- |",
        r"| a\|b |  | last |",
        "",
        "What it means.",
    ]
    assert Table(["name"], []).markdown() == "None.\n"
