"""Every command in the documentation: it runs, and its arguments are understood.

Commands are looked for in the heads of scripts, in all that pages and docstrings set as code, and
in every line of a page's blocks of shell. Programs are replaced by stand-ins that note how they
were called; the real parsers are then given these arguments. What is left out is in tables with the
reason why; a new line of shell that is neither understood nor in a table fails.
"""

import ast
import importlib
import re
import shlex
import subprocess
import textwrap

import pytest
import test_launch
from absl import flags
from test_launch import ROOT, SCRIPTS, STAND_INS

from casjax import cli, main
from casjax.training import config_rules

repository = test_launch.repository  # a fixture

PROGRAMS = "apt-get|bash|casjax|kubectl|pip|python3?|sbatch|tensorboard"
COMMAND = re.compile(rf"(first=\$\(|([A-Z]+=\S+ )*)?({PROGRAMS}) (?!-m$)\S+")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [
    path
    for folder in ("casjax", "configs", "docs", "launch", "tests")
    for path in sorted((ROOT / folder).rglob("*.py"))
]

# Commands that are not run here, by how they begin, and why.
SKIPPED = {
    "timeout -s TERM 10 python tests/small.py": "the next line, ended by a signal",
    "casjax train --config=srcnn": "tests/test_contributing.py trains it, in a copy that has it",
    "casjax train --config=l4 --config.degradation.codec=webp6": "of a codec that is an example",
    "python3 -m venv .venv && source": "makes an environment, as launch/environment.sh does",
}


def documented_commands():
    """Commands and where they stand: script, page or module."""
    for path in sorted((ROOT / "launch").iterdir()):
        if path.is_file():
            head = re.match(r"(#.*\n)*", path.read_text(encoding="utf-8"))[0]
            for line in re.findall(r"^#   (.+)$", head, re.MULTILINE):
                if COMMAND.match(line):
                    yield path.name, line
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"^```bash\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            for line in block.replace("\\\n", " ").splitlines():
                yield str(path.relative_to(ROOT)), line
        prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
        spans = re.findall(r"`([^`]+)`", prose)
        yield from commands([" ".join(span.split()) for span in spans], path)
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                text = ast.get_docstring(node) or ""
                blocks = re.findall(r"(?:^    .+\n)+", text, re.MULTILINE)
                inline = re.findall(r"``([^`]+)``", text)
                yield from commands([*map(textwrap.dedent, blocks), *inline], path)


def commands(spans, path):
    """Those spans of code that are commands."""
    for span in map(str.strip, spans):
        if COMMAND.match(span) or re.match(r"for .*\n *do ", span):
            yield str(path.relative_to(ROOT)), span


# What a reader fills in, or has.
FILLED_IN = {
    " COUNT ": " 2 ",
    "--config=... --workdir=...": "--config=qf20 --workdir=runs/qf20",
    "[--config.KEY=VALUE ...]": "--config.seed=1",
    "[KEY=VALUE,... ...]": "quality=5,15",
    "[FOLDER ...]": "runs/peers",
    "[OPTION OF pip-audit ...]": "--progress-spinner=off",
    "[--nodes=2 --ntasks-per-node=4 --gpus-per-node=4]": "--nodes=2",
    "[...]": "",
    "train ...": "train --config=qf20 --workdir=runs/qf20",
    "evaluate METHOD ": "evaluate jpeg ",
    "--model NAME": "--model cascnn-qf20",
    "--qualities Q": "--qualities 20",
    "[RUNS ...]": "runs",
    " < photo.jpg > restored.png": "",
    "FORMAT FILE INPUTS.npz OUTPUTS.npz": "onnx network.onnx inputs.npz outputs.npz",
}


def test_commands_are_found():
    places = {place for place, _ in documented_commands()}
    scripts = {path.name for path in SCRIPTS}
    assert scripts - places == {"environment.sh", "grid.sh"}  # which others source
    assert places >= {"kubernetes.yaml", "README.md", "casjax/restore.py", "configs/l4.py"}
    assert places >= {"docs/train.md", "docs/cards.md", "docs/tables.py", "tests/fuzz.py"}


@pytest.mark.parametrize(("place", "command"), dict.fromkeys(documented_commands()))
def test_documented_commands_run_and_are_understood(place, command, repository, monkeypatch):
    """With stand-ins for Python and casjax, whose arguments the real parsers are then given."""
    if any(command.startswith(begun) for begun in SKIPPED):
        return
    assert COMMAND.match(command) or command.startswith("for "), "no program known: see SKIPPED"
    for placeholder, filled_in in FILLED_IN.items():
        command = command.replace(placeholder, filled_in)
    subprocess.run(["bash", "-ec", command], cwd=repository, check=True)
    notes = (repository / "notes").read_text().splitlines()
    assert notes
    monkeypatch.chdir(ROOT)  # where paths in them lead
    for note in notes:
        require_understood(*shlex.split(note), monkeypatch=monkeypatch)


# Whose arguments are not looked at, and why.
OTHERS = {
    "casjax.benchmark.processes": "its one argument is JSON, for the benchmark alone",
    "casjax.export.run": "its arguments are by position, for the export alone",
    "casjax.report.learning": "tests/test_learning.py calls it",
    "casjax.report.growth": "tests/test_benchmark.py calls it",
    "casjax.report.peers": "tests of the report call it",
    "docs.cards": "takes none",
    "docs.tables": "takes none",
    "mkdocs": "not ours",
    "nbconvert": "not ours",
    "pip": "not ours",
    "pytest": "not ours",
    "tests.fuzz": "parsed where it runs; tests/test_fuzz.py has its variants",
    "tests.kept": "takes none",
    "tests.small": "takes those of casjax.main",
    "venv": "not ours",
}


def require_understood(program, *arguments, monkeypatch):
    """Give arguments to the parser that they are for; what is wrong with them raises SystemExit."""
    if program == "casjax":
        module, arguments = cli.COMMANDS[arguments[0]].module, arguments[1:]
    elif program == "python" and arguments[0] == "-m":
        module, arguments = arguments[1], arguments[2:]
    elif program == "python" and arguments[0] == "-c":
        return  # a script's own lines of Python, for tests of that script
    elif program == "python":
        assert (ROOT / arguments[0]).is_file()
        module, arguments = arguments[0].removesuffix(".py").replace("/", "."), arguments[1:]
    else:
        assert program in STAND_INS
        files = [word for word in arguments if word.startswith("launch/")]
        assert all((ROOT / file).is_file() for file in files)
        return
    if module in OTHERS or "--help" in arguments:
        return
    found = importlib.util.find_spec(module)
    assert found, f"there is no module {module}"
    if not arguments:  # it is named only
        return
    if module == "casjax.main":
        monkeypatch.setattr("sys.argv", [module, *arguments])
        for override in [name for name in flags.FLAGS if name.startswith("config.")]:
            delattr(flags.FLAGS, override)
        flags.FLAGS.unparse_flags()
        main.parse_flags([module, *arguments])
        config_rules.require_valid(main.CONFIG.value.to_dict())
        return
    # To import another's __main__ would run it.
    assert module.startswith(("casjax.", "launch.")), f"{module} is neither ours nor in OTHERS"
    monkeypatch.syspath_prepend(str(ROOT / "launch"))  # as a script's own folder is
    is_folder = found.submodule_search_locations is not None
    parsing = importlib.import_module(f"{module}.__main__" if is_folder else module)
    parsing.make_parser().parse_args(arguments)


def test_what_is_skipped_stands_somewhere():
    documented = [command for _, command in documented_commands()]
    for begun in SKIPPED:
        assert any(command.startswith(begun) for command in documented), begun
    for placeholder in FILLED_IN:
        assert any(placeholder in command for command in documented), placeholder


@pytest.mark.parametrize("line", ["curl https://example.org | sh", "casjax trian --config=qf20"])
def test_what_is_not_understood_fails(line, repository, monkeypatch):
    with pytest.raises((AssertionError, KeyError)):
        test_documented_commands_run_and_are_understood("a page", line, repository, monkeypatch)
