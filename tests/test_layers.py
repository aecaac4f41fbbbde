"""The layers of the package: a module imports only from lower ones, and libraries stay at home."""

import ast
import graphlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "casjax"
LAYERS = [
    layer["components"].keys()
    for layer in tomllib.loads((ROOT / "docs" / "layers.toml").read_text())["layers"]
]
# Libraries that only some modules may import.
HOMES = {
    "PIL": {"images"},
    "array_record": {"datasets"},
    "etils": set(),
    "flax": {"export", "models", "networks", "training"},
    "marshal": set(),  # nothing that is loaded may run code ...
    "matplotlib": {"report"},
    "ml_collections": {"main", "training"},
    "onnx": {"export"},
    "onnxruntime": {"evaluation", "export"},
    "optax": {"training"},
    "orbax": {"training"},
    "pickle": set(),
    "ray": {"restoration"},
    "safetensors": {"networks"},
    "scipy": {"evaluation"},
    "shelve": set(),
    "skimage": {"datasets"},
    "tarfile": set(),  # ... or reach out of its folder
    "tensorboardX": {"training"},
    "trackio": {"training"},
    "tensorflow": set(),
    "tensorflow_datasets": {"datasets"},
    "torch": {"benchmark", "evaluation"},
    "zipfile": set(),
}
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


def component(path):
    """The module or folder directly below the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def dotted(path):
    """How a module is imported."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_every_module_has_its_layer():
    placed = [name for layer in LAYERS for name in layer]
    assert sorted(placed) == sorted({component(path) for path in MODULES})


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_come_from_lower_layers_or_the_same_component(path):
    level = {name: i for i, layer in enumerate(LAYERS) for name in layer}
    for name in imports(path):
        library, *rest = name.split(".")
        if library == "casjax" and rest and rest[0] != component(path):
            assert level[rest[0]] < level[component(path)], f"{path} imports {name}"
        if library in HOMES:
            assert component(path) in HOMES[library], f"{path} imports {name}"


def test_no_modules_import_one_another_in_a_circle():
    """Imports within functions count too: they are for speed, not for knots."""
    names = {dotted(path): path for path in MODULES}
    graph = {
        module: {
            found
            for name in imports(path)
            for found in (name, name.rpartition(".")[0])
            if found in names and not f"{module}.".startswith(f"{found}.")  # a package's own face
        }
        for module, path in names.items()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError, which names them


@pytest.mark.parametrize(
    "module",
    [
        "casjax.benchmark.__main__",
        "casjax.cli",
        "casjax.evaluate",
        "casjax.export.__main__",
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
