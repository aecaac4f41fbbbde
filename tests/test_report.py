"""The report: its numbers are those of the results, its pictures those that were scored."""

import csv
import dataclasses
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from casjax import evaluate
from casjax.evaluation import evaluator, restorers
from casjax.files import write_json
from casjax.report import curves, pictures, table
from casjax.report.__main__ import main
from casjax.report.figures import draw_all, learning_curves, scores_by_file_size
from casjax.report.runs import Score, read_runs, scores_of
from casjax.training.metric_writer import MetricWriter
from launch import ship

NETWORK = {"model": {"name": "cascnn"}, "qualities": [20, 20], "data": "photographs"}
NETWORK |= {"cutouts": 1200, "steps": 60}


@dataclasses.dataclass
class Pictures:
    """An image source over arrays."""

    name: str
    images: dict

    def __len__(self):
        return len(self.images)

    @property
    def image_names(self):
        return list(self.images)

    def __getitem__(self, index):
        return list(self.images.values())[index]


def photograph(height, width, seed):
    """Smooth, with some noise."""
    noise = np.random.default_rng(seed).integers(0, 40, (height, width))
    return np.uint8(np.add.outer(np.arange(height), np.arange(width)) % 190 + noise)


def smoothed(degraded):
    rows = np.float32(degraded)
    for axis in (1, 2):
        rows = (np.roll(rows, 1, axis) + rows + np.roll(rows, -1, axis)) / 3
    return np.uint8(rows)


def write_metrics(folder):
    """Learning curves of both phases, and the config that goes with them."""
    writer = MetricWriter(folder, first_step=0)
    for step in range(10, 130, 10):
        phase = "multiscale" if step <= 60 else "finetune"
        values = {"phase": phase, "mse": 1e-3 / step, "jpeg_mse": 2e-3}
        loss = 5e-4 / step if phase == "multiscale" else values["mse"]
        writer.write(step, "train", values | {"loss": loss})
        if step % 30 == 0:
            writer.write(step, "validation", values)
    writer.close()
    losses = {"multiscale": [0.5, 0.5], "finetune": [1.0, 0.0]}
    phases = {phase: {"loss_weights": weights} for phase, weights in losses.items()}
    data = {"cutout_size": 120}
    write_json(folder / "config.json", {"batch_size": 20, "data": data, **phases})


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Results of two methods on small stand-ins for the test sets, with pictures at quality 20."""
    folder = tmp_path_factory.mktemp("results")
    images = {"lighthouse3.bmp": photograph(224, 360, 0), "bikes.bmp": photograph(64, 72, 1)}
    sources = [Pictures("live1", images), Pictures("classic5", {"1.bmp": photograph(48, 48, 2)})]
    same = restorers.Method("sadct", lambda quality: lambda x: x, [], {})
    network = restorers.Method("cascnn", lambda quality: smoothed, [], {"network": NETWORK})
    for name, method in {"foi": same, "small": network}.items():
        output = folder / name
        evaluate.score(method, sources, [20], folder=output, pictures=True)
        evaluate.score(method, sources[:1], [10, 40], folder=output, pictures=False)
    write_metrics(folder / "small")
    return folder


@pytest.fixture(scope="module")
def runs(results):
    return read_runs([results])


def means(folder, method, quality):
    """The rows of a results file, read without the report."""
    content = json.loads((folder / "results.json").read_text())
    [row] = [r for r in content["rows"] if (r["method"], r["qf"]) == (method, quality)
             and r["dataset"] == "live1"]  # fmt: skip
    return row


def test_the_table_holds_our_means_beside_the_papers(results, runs):
    rows = list(csv.DictReader(io.StringIO(table.as_csv(table.table(runs)))))
    assert len(rows) == 23
    by_line = {(int(row["qf"]), row["algorithm"]): row for row in rows}
    for line, run, method in (
        ((40, "SA-DCT"), "foi", "sadct"),
        ((20, "CAS-CNN FT"), "small", "cascnn"),
        ((10, "JPEG"), "foi", "jpeg"),
    ):
        row, expected = by_line[line], means(results / run, method, line[0])
        assert row["run"] == run
        for metric in ("psnr", "psnrb", "ssim"):
            ours, paper = float(row[f"{metric}_ours"]), float(row[f"{metric}_paper"])
            assert ours == expected[metric]
            assert float(row[f"{metric}_difference"]) == pytest.approx(ours - paper)
    assert by_line[20, "CAS-CNN FT"]["psnr_paper"] == "31.7"
    assert by_line[20, "CAS-CNN FT"]["origin"] == "1,200 cut-outs in 60 steps"
    # A network for quality 20 fills no line of another one, although it was scored there.
    for line in ((10, "CAS-CNN FT"), (20, "CAS-CNN MS loss"), (60, "JPEG")):
        assert by_line[line]["psnr_ours"] == ""
        assert by_line[line]["origin"] == "no result yet"
    assert by_line[40, "L4"]["ssim_paper"] == ""  # which the paper leaves out


def test_a_network_tells_what_it_scored_before_fine_tuning(runs, tmp_path):
    [ours] = [line.ours for line in table.table(runs) if line[:2] == (20, "CAS-CNN FT")]
    told = {"loss": "multi-scale", "steps": 5, "cutouts": 40, "initial_weights": "cascnn-qf20"}
    kept = {key: ours.row[key] for key in (*ship.KEPT, "ssim")}
    scores = [{**kept, "psnr": 41.2}, {**kept, "dataset": "classic5"}]
    network = {**ours.run.network, "multiscale": {**told, "scores": scores}}
    telling = [dataclasses.replace(ours.run, network=network)]
    lines = table.table(telling)
    [before] = [line.ours for line in lines if line[:2] == (20, "CAS-CNN MS loss")]
    assert before.row["psnr"] == 41.2
    assert table.origin(before) == "40 cut-outs in 5 steps, started from cascnn-qf20"
    # It tells nothing of single images, which Figure 3 shows.
    scores_by_file_size(telling, tmp_path)
    assert (tmp_path / "figure3-light.svg").is_file()


def test_the_three_layouts_say_the_same(runs):
    lines = table.table(runs)
    markdown, latex = table.shown(lines).markdown(), table.latex(lines)
    psnr = f"{lines[0].ours.row['psnr']:.2f}"
    difference = float(psnr) - 27.77
    assert f"| 10 | JPEG | {psnr} / 27.77 ({difference:+.2f}) |" in markdown
    sign = "+" if difference > 0 else "-"
    cells = rf"10 & JPEG & {psnr} & 27.77 & ${sign}${abs(difference):.2f} & "
    assert cells in latex
    assert latex.count(r"\\") == 2 + len(lines)
    assert markdown.count("no result yet") == latex.count("no result yet")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "CAS-CNN FT"),
        ({"loss": "multi-scale"}, "CAS-CNN MS loss"),
        ({"model": {"name": "l8"}}, "L8"),
        ({"model": {"name": "cascnn", "residual": True}}, None),
        ({"model": {"name": "cascnn", "skip_connections": False}}, None),
        ({"qualities": [5, 95]}, None),
    ],
)
def test_networks_count_in_the_line_of_their_kind(runs, changes, line):
    [score] = [s for s in scores_of(runs, dataset="live1", quality=20) if s.run.name == "small"
               and s.row["method"] == "cascnn"]  # fmt: skip
    network = NETWORK | changes
    name = network["model"]["name"]
    rows = [row if row["method"] == "jpeg" else row | {"method": name} for row in score.run.rows]
    run = dataclasses.replace(score.run, network=network, rows=rows)
    [row] = [r for r in rows if (r["qf"], r["method"], r["dataset"]) == (20, name, "live1")]
    assert table.algorithm(Score(run, row)) == line
    assert table.algorithm(Score(run, row | {"method": f"{name}+ensemble"})) is None
    lines = table.table([run])
    shown = [found.algorithm for found in lines if found.ours and found.algorithm != "JPEG"]
    assert shown == ([line] if line else [])
    others = table.other_networks([run], lines)
    assert bool(others) == (line is None)


def test_scores_on_other_codecs_stand_apart(results, tmp_path):
    content = json.loads((results / "small" / "results.json").read_text())
    for record in content["rows"] + content["images"]:
        record["codec"] = "webp"
        record["method"] = {"jpeg": "webp"}.get(record["method"], record["method"])
    evaluator.write_results(tmp_path / "results.json", content)
    runs = read_runs([tmp_path])
    lines = table.table(runs)
    assert all(line.ours is None for line in lines)
    text = table.shown_others(table.other_networks(runs, lines)).markdown()
    expected = means(results / "small", "cascnn", 20)
    assert f"| webp 20 | {tmp_path.name} | cascnn | {expected['psnr']:.2f} |" in text
    assert text.count("webp") == 3  # qualities, each once


@pytest.fixture
def small(runs):
    """The run of the network, with its learning curves."""
    [run] = [run for run in runs if run.name == "small"]
    return run


@pytest.fixture
def scores(runs):
    """The network's, by rising quality."""
    found = [s for q in (10, 20, 40) for s in scores_of(runs, dataset="live1", quality=q)]
    return [score for score in found if score.row["method"] == "cascnn"]


def test_figure_2_has_the_papers_scales(small):
    multiscale, finetune = curves.learning_curves(small).axes
    training, validation, _ = multiscale.lines
    # 20 cut-outs a step, 50,000 an epoch; the loss times 3, in units of 10^-4.
    np.testing.assert_allclose(training.get_xdata(), np.arange(10, 70, 10) * 20 / 50_000)
    np.testing.assert_allclose(training.get_ydata(), 3e4 * 5e-4 / np.arange(10, 70, 10))
    np.testing.assert_allclose(validation.get_ydata(), 1e4 * 1e-3 / np.array([30, 60]))
    training, *_ = finetune.lines
    np.testing.assert_allclose(training.get_xdata(), np.arange(10, 70, 10) * 20 / 150_000)
    np.testing.assert_allclose(training.get_ydata(), 1e4 * 1e-3 / np.arange(70, 130, 10))


def test_figure_2_has_squared_errors_whatever_the_loss(small):
    by_psnr = dataclasses.replace(small, config=small.config | {"loss": {"measure": "psnr"}})
    training, *_ = curves.learning_curves(by_psnr).axes[0].lines
    np.testing.assert_allclose(training.get_ydata(), 1e4 * 1e-3 / np.arange(10, 70, 10))


def test_figure_2_cuts_off_what_dwarfs_the_rest(small):
    first = {"step": 1, "kind": "train", "phase": "multiscale", "loss": 5.0, "mse": 5.0}
    begun = dataclasses.replace(small, metrics=[first, *small.metrics])
    panels = curves.learning_curves(begun).axes
    # JPEG's error is 20 of the axis's units.
    assert [axes.get_ylim() for axes in panels] == [(0, curves.HIGHEST_ERROR * 20)] * 2


def test_figure_2_is_of_the_run_that_saw_most(small, tmp_path):
    config = small.config | {"data": {"cutout_size": 48}}
    metrics = [*small.metrics, small.metrics[-1] | {"step": 2 * small.metrics[-1]["step"]}]
    smaller = dataclasses.replace(small, name="smaller", config=config, metrics=metrics)
    assert "the run small by" in learning_curves([smaller, small], tmp_path).caption


def test_the_legend_of_figure_4_has_room(scores):
    figure = curves.gains_by_quality({f"cascnn-qf{i}0-scores": scores for i in range(1, 6)})
    figure.set_layout_engine("constrained")
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert 0 <= legend.x0 < legend.x1 <= figure.bbox.width


def test_figures_3_and_4_show_the_records(results, runs, scores):
    [score] = [line.ours for line in table.table(runs) if line.algorithm == "CAS-CNN FT"
               and line.ours]  # fmt: skip
    psnr, ssim = curves.scores_by_file_size([score], "CAS-CNN").axes
    for axes, metric in ((psnr, "psnr"), (ssim, "ssim")):
        drawn = {float(y) for line in axes.lines for y in line.get_ydata()}
        assert drawn >= {record[metric] for record in score.images.values()}
        assert drawn >= {record[metric] for record in score.jpeg.images.values()}
        assert drawn >= {score.row[metric], score.jpeg.row[metric]}

    for axes, gain in zip(
        curves.gains_by_quality({"small": scores}).axes, ("ipsnr", "ipsnrb"), strict=True
    ):
        curve, ring, _ = axes.lines
        assert list(curve.get_xdata()) == [10, 20, 40]
        gains = [means(results / "small", "cascnn", q)[gain] for q in (10, 20, 40)]
        assert list(curve.get_ydata()) == gains
        assert list(ring.get_ydata()) == [gains[1]]


def test_a_pixel_of_a_picture_is_a_square_of_the_figure():
    pixels = photograph(20, 30, 5)
    picture = pictures.Picture(pixels, "label")
    figure = pictures.grid([[picture, picture]], scale=2)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=pictures.DPI)
    drawn = np.asarray(Image.open(file).convert("L"))
    gap = pictures.GAP
    part = drawn[gap : gap + 40, gap : gap + 60]
    np.testing.assert_array_equal(part, pixels.repeat(2, 0).repeat(2, 1))
    part = drawn[gap : gap + 40, 2 * gap + 60 : 2 * gap + 120]
    np.testing.assert_array_equal(part, pixels.repeat(2, 0).repeat(2, 1))


def test_all_figures_are_written_for_light_and_dark(runs, tmp_path):
    figures, missing = draw_all(runs, tmp_path, quality=20)
    names = [figure.stem.name for figure in figures]
    assert names == [*(f"figure{i}" for i in range(2, 7)), "peers"]
    assert missing == []
    for figure in figures:
        corners = []
        for theme in ("light", "dark"):
            svg = figure.stem.with_name(f"{figure.stem.name}-{theme}.svg").read_text()
            assert "</svg>" in svg
            with Image.open(figure.stem.with_name(f"{figure.stem.name}-{theme}.png")) as png:
                grey = np.asarray(png.convert("L"))
            assert len(np.unique(grey)) > 20
            corners.append(int(grey[0, 0]))
        assert corners == [255, 16]


def test_a_report_loads_no_network(results, tmp_path):
    """It is for machines, too, on which JAX does not run."""
    program = (
        "import sys; from casjax.report.__main__ import main; "
        f"status = main([{str(results)!r}, '-o', {str(tmp_path)!r}]); "
        "print(status, sorted({'jax', 'flax', 'orbax'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "0 []"
    assert done.stderr.count("Table II at quality") == 5
    assert {path.name for path in tmp_path.iterdir()} >= {
        "index.html", "table2.md", "table2.csv", "table2.tex", "figure2-dark.svg",
    }  # fmt: skip


def test_what_is_missing_is_named(results, tmp_path, capsys):
    content = json.loads((results / "foi" / "results.json").read_text())
    for record in content["images"]:
        record.pop("picture", None)
    (tmp_path / "bare").mkdir()
    evaluator.write_results(tmp_path / "bare" / "results.json", content)
    assert main([str(tmp_path / "bare"), "-o", str(tmp_path / "report")]) == 0
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("missing: ") for line in said)
    for figure in range(2, 7):
        assert sum(f"Figure {figure}, " in line for line in said) == 1
    page = (tmp_path / "report" / "index.html").read_text()
    assert "There are no pictures yet" in page
    assert "Figure 2, learning curves: no workdir" in page


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no results.json"),
        ("{", "results.json: not JSON"),
        ("[]", "results.json: expected a JSON object"),
        ("{}", "results.json: not the results of a run"),
        (json.dumps({"rows": [{"method": "jpeg"}], "images": []}), "a run, or its config: KeyErr"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(content, message, tmp_path, capsys):
    if content is not None:
        (tmp_path / "results.json").write_text(content)
    with pytest.raises(SystemExit) as leaving:
        main([str(tmp_path), "-o", str(tmp_path / "report")])
    assert leaving.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "report").exists()
