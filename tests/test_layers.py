"""The layers of the package: a module imports only from lower ones, and libraries stay at home."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "casjax"

# From the bottom; a folder stands for all modules in it.
LAYERS = [
    {"color", "files", "metrics", "losses", "jpeg", "models", "processes", "provenance"},
    {"images", "datasets", "checkpoint", "exporting"},
    {"data", "inference", "memory", "pretrained", "sadct"},
    {"evaluator", "methods", "restoration"},
    {"interruption", "journal", "loop", "metric_writer", "phases", "resuming", "steps", "train"},
    {"benchmark", "evaluate", "export", "main", "report", "restore"},
]
# Libraries that only some modules may import.
HOMES = {
    "PIL": {"images"},
    "array_record": {"datasets"},
    "etils": set(),
    "flax": {"models", "checkpoint", "exporting", "pretrained", "steps", "train"},
    "marshal": set(),  # nothing that is loaded may run code ...
    "matplotlib": {"report"},
    "ml_collections": {"main", "resuming", "train"},
    "onnx": {"exporting"},
    "onnxruntime": {"exporting"},
    "optax": {"phases", "steps"},
    "orbax": {"checkpoint"},
    "pickle": set(),
    "ray": {"restoration"},
    "safetensors": {"checkpoint"},
    "scipy": {"methods"},
    "shelve": set(),
    "skimage": {"datasets"},
    "tarfile": set(),  # ... or reach out of its folder
    "tensorboardX": {"metric_writer"},
    "tensorflow": set(),
    "tensorflow_datasets": {"datasets"},
    "torch": {"benchmark"},
    "zipfile": set(),
}
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def room(path):
    """The module or folder directly below the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_its_layer():
    placed = [name for layer in LAYERS for name in layer]
    assert sorted(placed) == sorted({room(path) for path in MODULES})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_come_from_lower_layers_or_the_same(path):
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    for name in imports(path):
        library, *rest = name.split(".")
        if library == "casjax" and rest:
            assert level[rest[0]] <= level[room(path)], f"{path} imports {name}"
            is_own = rest[0] == room(path)
            assert is_own or rest[0] not in LAYERS[-1], f"{path} imports a command"
        if library in HOMES:
            assert room(path) in HOMES[library], f"{path} imports {name}"


@pytest.mark.parametrize(
    "module",
    [
        "casjax",
        "casjax.benchmark.__main__",
        "casjax.evaluate",
        "casjax.export",
        "casjax.main",
        "casjax.report.__main__",
        "casjax.restore",
    ],
)
def test_starts_without_its_libraries(module):
    """--help and mistyped flags are answered before jax and the like are imported."""
    program = (
        f"import sys, {module}; print(sorted({{'jax', 'tensorflow_datasets'}} & {{*sys.modules}}))"
    )
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
