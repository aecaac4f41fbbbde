"""The scripts under launch/, with stand-ins for what a cluster gives them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from casjax import main
from casjax.networks.manifest import manifest

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "launch").glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_well_formed(script):
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_free_of_what_shellcheck_finds(script):
    subprocess.run(["shellcheck", "-x", "-P", "launch", script], cwd=ROOT, check=True)


def test_the_python_in_scripts_does_what_they_need(tmp_path):
    """With the real Python; elsewhere in these tests a stand-in answers."""

    def run(script, *arguments):
        [program] = re.findall(r"""python -c (['"])(.*?)\1""", script.read_text(), re.DOTALL)
        command = [sys.executable, "-c", program[1], *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    networks = run(ROOT / "launch/reproduce.sh")
    assert networks == [name for name, entry in manifest().items() if is_for_one(entry)]
    figures = tmp_path / "figures.json"
    figures.write_text('[{"median": 10.0}, {"median": 25.0}]')
    assert run(ROOT / "launch/train_shipped.sh", figures, 10) == ["12000"]  # 0.8 x 600 s x 25


def is_for_one(entry):
    """Whether a network that ships is for one quality, as the paper's are."""
    lowest, highest = entry["qualities"]
    return lowest == highest


# The only programs within reach: a script that calls another one fails, and installs nothing.
TOOLS = """awk basename bash cat dirname env flock grep head mkdir nproc rm sed seq sleep sort tr
    xargs""".split()
# What notes how it was called, in a form that a shell takes again; `python` for tests to read, too.
# A line in one go, for some run at once.
NOTE = """note="$(printf '%q ' "${0##*/}" "$@")"; echo "$note" >> notes"""
STAND_INS = {
    "casjax": NOTE,
    "apt-get": NOTE,
    "kubectl": NOTE,
    "mypy": NOTE,
    "pip": NOTE,
    "pip-audit": NOTE,
    "python3": NOTE,
    "ruff": NOTE,
    "tensorboard": NOTE,
    "python": f"""
        {NOTE}
        if [[ "$*" == *" import manifest"* ]]; then
            echo {" ".join(name for name, entry in manifest().items() if is_for_one(entry))}
        fi
        echo "python $* on ${{JAX_LOCAL_DEVICE_IDS:-all}}" >> calls
        if [[ "$*" == *--process=1* ]]; then exit "${{STATUS:-0}}"; fi""",
    # Runs a script at once, for each task of an array.
    "sbatch": """
        options=()
        while [[ "$1" == -* ]]; do options+=("$1"); shift; done
        of_script="$(grep '^#SBATCH' "$1")"
        array="$(printf '%s\n' "${options[@]}" "$of_script" | sed -n 's/.*--array=//p' | head -n 1)"
        export SLURM_SUBMIT_DIR="$PWD" SLURM_JOB_ID=7
        for tasks in $(tr , ' ' <<< "${array:-0}"); do
          for task in $(seq "${tasks%-*}" "${tasks#*-}"); do
            SLURM_ARRAY_TASK_ID="$task" bash "$@" > /dev/null || exit
          done
        done
        echo 7""",
    "scontrol": 'echo "scontrol $*" >> calls',
    "srun": 'while [[ "$1" == --* ]]; do shift; done; "$@"; exit "${STATUS:-0}"',
}


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository without the package, whose commands note how they were called."""
    shutil.copytree(ROOT / "launch", tmp_path / "launch")
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "docs").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/installed").touch()
    for name, program in STAND_INS.items():
        path = tmp_path / ".venv/bin" / name
        path.write_text(f"#!/usr/bin/env bash\n{program}\n")
        path.chmod(0o755)
    (tmp_path / "tools").mkdir()
    for name in TOOLS:
        (tmp_path / "tools" / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PYTHON", "python")
    monkeypatch.setenv("PATH", f"{tmp_path}/.venv/bin:{tmp_path}/tools")
    return tmp_path


@pytest.fixture
def cluster(repository):
    """Runs a script: its status, and how Python was called; `STATUS` is what srun ends with."""

    def run(script, *arguments, **environment):
        slurm = {"SLURM_SUBMIT_DIR": str(repository), "SLURM_JOB_ID": "7"}
        done = subprocess.run(
            ["bash", repository / "launch" / script, *arguments],
            env=os.environ | slurm | environment,
            cwd="/",
            check=False,
        )
        return done.returncode, (repository / "calls").read_text().splitlines()

    return run


@pytest.mark.parametrize(
    ("status", "restarts", "queued"),
    [(0, 0, False), (1, 0, False), (2, 0, False), (75, 0, True), (137, 3, True), (75, 100, False)],
)
def test_slurm_queues_again_what_was_stopped(cluster, status, restarts, queued):
    found, calls = cluster(
        "slurm.sh", "--workdir=a b", STATUS=str(status), SLURM_RESTART_COUNT=str(restarts)
    )
    assert found == status
    assert calls[0] == "python -m casjax.main --workdir=a b on all"
    assert calls[1:] == (["scontrol requeue 7"] if queued else [])


def test_a_slurm_array_has_a_quality_for_each_task(cluster):
    assert cluster("slurm_sweep.sh", "--config.seed=1", SLURM_ARRAY_TASK_ID="40", RUNS="x") == (
        0,
        [
            "python -m casjax.main --config=paper:qf=40 --workdir=x/qf40 --config.quality=40 "
            "--config.initial_weights=x/qf20 --config.seed=1 on all"
        ],
    )


def trainings(calls):
    """Of each call its workdir, the network it begins from, and what else it overrides."""
    found = []
    for call in calls:
        words = call.removesuffix(" on all").split()[3:]
        options = dict(word.removeprefix("--").split("=", 1) for word in words)
        start, workdir = options.pop("config.initial_weights", None), options.pop("workdir")
        found.append((workdir, start, options))
    return found


def test_a_sweep_trains_20_first_and_the_others_from_it(cluster):
    status, calls = cluster("sweep.sh", "--config.seed=1", RUNS="x", QUALITIES="5 20 35")
    assert status == 0
    assert [(workdir, start) for workdir, start, _ in trainings(calls)] == [
        ("x/qf20", ""),
        ("x/qf5", "x/qf20"),
        ("x/qf35", "x/qf20"),
    ]
    assert trainings(calls)[2][2] == {
        "config": "paper:qf=35",
        "config.quality": "35",
        "config.seed": "1",
    }


def test_a_grid_has_a_network_for_each_combination_and_a_table(cluster):
    grid = ["quality=5,15", "optimizer.name=adam,muon", "seed=0,1"]
    status, calls = cluster("sweep.sh", *grid, "--config.model.dtype=bfloat16", RUNS="x")
    assert status == 0
    settings = [f"optimizer.name={name}-seed={s}" for name in ("adam", "muon") for s in (0, 1)]
    assert [(workdir, start) for workdir, start, _ in trainings(calls[:-1])] == [
        *((f"x/qf20-{setting}", "") for setting in settings),
        *(
            (f"x/qf{quality}-{setting}", f"x/qf20-{setting}")
            for setting in settings
            for quality in (5, 15)
        ),
    ]
    assert trainings(calls[:-1])[-1][2] == {
        "config": "paper:qf=15",
        "config.quality": "15",
        "config.optimizer.name": "muon",
        "config.seed": "1",
        "config.model.dtype": "bfloat16",
    }
    assert calls[-1] == (
        "python -m casjax.report x --group-by quality,optimizer.name,seed -o x on all"
    )


def test_a_sweep_from_scratch_has_no_network_to_begin_from(cluster):
    status, calls = cluster("sweep.sh", "quality=20,30", RUNS="x", START="none")
    assert status == 0
    assert [(workdir, start) for workdir, start, _ in trainings(calls[:-1])] == [
        ("x/qf20", None),
        ("x/qf30", None),
    ]


def test_a_slurm_array_of_a_grid_has_the_networks_of_the_sweep(cluster):
    grid = ["quality=5,15", "optimizer.name=adam,muon"]
    for task in range(4):
        status, calls = cluster("slurm_sweep.sh", *grid, SLURM_ARRAY_TASK_ID=str(task), RUNS="x")
        assert status == 0
    assert [(workdir, start) for workdir, start, _ in trainings(calls)] == [
        (f"x/qf{quality}-optimizer.name={name}", f"x/qf20-optimizer.name={name}")
        for quality in (5, 15)
        for name in ("adam", "muon")
    ]
    assert cluster("slurm_sweep.sh", *grid, SLURM_ARRAY_TASK_ID="4")[0] == 2


@pytest.mark.parametrize("script", ["sweep.sh", "slurm_sweep.sh"])
@pytest.mark.parametrize("word", ["quality", "quality=5,", "a=b c", "=1"])
def test_a_mistyped_grid_is_wrong_usage(cluster, script, word, tmp_path):
    (tmp_path / "calls").touch()
    assert cluster(script, word, SLURM_ARRAY_TASK_ID="5") == (2, [])


def test_all_networks_that_ship_are_trained_and_shipped(cluster):
    status, calls = cluster(
        "train_shipped.sh", "--config.seed=1", RUNS="x", PHOTOS="p", CUTOUTS="48000"
    )
    assert status == 0
    training = [call for call in calls if " casjax.main " in call]
    trained = {workdir: begins for workdir, begins, _ in trainings(training)}
    assert trained == {
        "x/qf20": "",
        "x/qf10": "x/qf20/multiscale.safetensors",
        "x/qf40": "x/qf20/multiscale.safetensors",
        "x/qf60": "x/qf20",
        "x/qf80": "x/qf20",
        "x/cascnn-colour": "cascnn-qf20",
        **dict.fromkeys(("x/l4-qf20", "x/l8-qf20", "x/arcnn-qf20"), ""),
        **{f"x/{name}-qf{q}": f"x/{name}-qf20" for name in ("l4", "arcnn") for q in (10, 40)},
    }
    assert all(call.endswith("--config.seed=1 on all") for call in training)
    [first] = [call for call in training if "--workdir=x/qf20 " in call]
    assert "multiscale.epochs=0.04 " in first  # a fifth of 48,000, of a file of 240,000
    assert "finetune.epochs=0.06 " in first
    shipped = dict(re.findall(r"ship\.py x/(\S+) --name (\S+)", "\n".join(calls)))
    assert {f"x/{workdir}" for workdir in shipped} == trained.keys()
    assert shipped["qf10"] == "cascnn-qf10"
    assert shipped["l4-qf40"] == "l4-qf40"
    assert calls.index(first) < min(i for i, call in enumerate(calls) if "/qf10 " in call)


@pytest.mark.parametrize("budget", ["small", "paper"])
def test_reproducing_has_a_run_for_every_line_of_table_two(cluster, budget):
    status, calls = cluster("reproduce.sh", "--budget", budget, RUNS="x")
    assert status == 0
    folders = {found[1] for call in calls if (found := re.search(r"(?:-o |workdir=)x/(\S+)", call))}
    baselines = {f"{name}-qf{quality}" for name in ("arcnn", "l4") for quality in (10, 20, 40)}
    scored = {folder.removesuffix("-scores") for folder in folders if folder.endswith("-scores")}
    if budget == "small":  # it has the others from the networks that ship
        assert scored == {name for name, entry in manifest().items() if is_for_one(entry)}
        folders |= {name.removeprefix("cascnn-") for name in scored}
        multiscale = {name for name, entry in manifest().items() if "multiscale" in entry}
        folders |= {f"{name.removeprefix('cascnn-')}-multiscale" for name in multiscale}
    else:
        own = {f"qf{quality}" for quality in (10, 20, 40, 60, 80)}
        assert scored == own | baselines | {"l8-qf20"}
    multiscale = {f"qf{quality}-multiscale" for quality in (10, 20, 40)}
    sadct = {f"sadct-qf{quality}" for quality in (10, 20, 40)}
    assert folders >= {"jpeg", "report", "l8-qf20"} | sadct | baselines | multiscale
    assert folders >= {f"qf{quality}" for quality in (10, 20, 40, 60, 80)}
    assert calls[-1].startswith("python -m casjax.report x -o x/report")


def test_peers_are_scored_one_picture_at_a_time_and_drawn(cluster):
    status, calls = cluster("peers.sh", "more", RUNS="x", ARCNN="weights")
    assert status == 0
    *scored, drawn, filled_in = calls
    assert all(call.startswith("python -m casjax.evaluate ") for call in scored)
    assert not any("--jobs" in call for call in scored)
    folders = [found[1] for call in scored if (found := re.search(r" -o x/(\S+)", call))]
    assert len(set(folders)) == len(scored)
    assert {"jpegli", "colour/jpegli", "jpegqs", "colour/jpegqs", "waifu2x"} < set(folders)
    assert {f"arcnn-qf{quality}" for quality in (10, 20, 40)} < set(folders)
    assert drawn.startswith("python -m casjax.report.peers x more -o docs/figures/peers --json")
    assert filled_in.startswith("python docs/tables.py")


def test_processes_of_one_host(cluster):
    status, calls = cluster("processes.sh", "2", "--workdir=x", PORT="4321", STATUS="75")
    assert status == 75
    assert sorted(calls) == [
        f"python -m casjax.main --coordinator=localhost:4321 --processes=2 --process={i} "
        f"--workdir=x on {i}"
        for i in range(2)
    ]


def test_the_pods_are_as_many_as_the_processes_and_find_the_first():
    service, job = yaml.safe_load_all((ROOT / "launch/kubernetes.yaml").read_text())
    name, spec = job["metadata"]["name"], job["spec"]
    pod = spec["template"]["spec"]
    [container] = pod["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["JAX_NUM_PROCESSES"] == str(spec["completions"]) == str(spec["parallelism"])
    assert environment["JAX_COORDINATOR_ADDRESS"].startswith(f"{name}-0.{pod['subdomain']}:")
    assert service["metadata"]["name"] == pod["subdomain"]
    assert service["spec"]["selector"] == {"job-name": name}
    source = Path(main.__file__).read_text()
    assert set(re.findall(r'"(JAX_\w+)"', source)) == set(environment)


def test_constraints_are_versions_that_the_package_allows():
    """Of every library that it needs, and of nothing that does not have a version."""
    text = (ROOT / "launch/constraints.txt").read_text(encoding="utf-8")
    lines = [Requirement(line) for line in text.splitlines() if not line.startswith("#")]
    pinned = {canonicalize_name(line.name): line.specifier for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    for needed in (need for need in map(Requirement, needs) if need.name != "casjax"):
        [version] = pinned[canonicalize_name(needed.name)]
        assert version.operator == "=="
        assert needed.specifier.contains(version.version), needed.name
