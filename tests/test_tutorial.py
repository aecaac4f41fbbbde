"""The tutorial: its notebook runs, and its page is made of it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NOTEBOOK = ROOT / "docs/tutorial.ipynb"
FIGURES = "--NbConvertApp.output_files_dir=figures/tutorial"
TEMPLATE = "--template-file=launch/tutorial.md.j2"


def cells(kind):
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_the_page_is_that_of_the_notebook():
    page = (ROOT / "docs/tutorial.md").read_text(encoding="utf-8")
    place = 0
    for cell in cells("code"):
        place = page.find("".join(cell["source"]), place)
        assert place >= 0, f"run `bash launch/tutorial.sh`: the page lacks {cell['source'][:2]}"
    for cell in cells("markdown"):
        assert "".join(cell["source"]) in page, "run `bash launch/tutorial.sh`"
    figures = re.findall(r"\]\((figures/tutorial/[^)]+)\)", page)
    assert len(figures) >= 3
    kept = sorted(path.name for path in (ROOT / "docs/figures/tutorial").iterdir())
    assert kept == sorted(Path(figure).name for figure in figures)


def test_what_a_run_gave_is_not_in_the_notebook():
    for cell in cells("code"):
        assert not cell["outputs"]
        assert cell["execution_count"] is None


@pytest.mark.slow
def test_the_notebook_runs_and_the_networks_gain(tmp_path):
    pytest.importorskip("nbconvert")
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "markdown", NOTEBOOK]
    subprocess.run(
        [*command, f"--output-dir={tmp_path}", FIGURES, TEMPLATE],
        check=True,
        timeout=1200,
        cwd=ROOT,
    )
    page = (tmp_path / "tutorial.md").read_text(encoding="utf-8")
    psnr = {name: float(score) for name, score in re.findall(r"^ +(\w+) +([\d.]+) ", page, re.M)}
    assert psnr["restored"] == psnr["shipped"] > psnr["mine"] > psnr["JPEG"]
    jpeg, restored = map(float, re.findall(r"([\d.]+) dB in RGB", page))
    assert restored > jpeg
    assert len(list((tmp_path / "figures/tutorial").iterdir())) >= 3
