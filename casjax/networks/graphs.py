"""The results of tracing a network, kept between runs beside JAX's compilations.

Tracing a network takes seconds, more than restoring a small picture with it. So its graph for each
shape is kept as `jax.export` writes it, together with the few other facts that need tracing. All
of it is made again when the code, the versions or the machine change.
"""

import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import flax
import jax
import jax.export
import jaxlib

from casjax.files import local_folder, write_bytes
from casjax.models.convolutions import onednn, probe

CODE = Path(__file__).parent.parent / "models", Path(__file__).parent

CHECKS = [jax.export.DisabledSafetyCheck.custom_call(target) for target in onednn.TARGETS]

T = TypeVar("T")


def kept_call(function: Callable[..., jax.Array], *, name: str) -> Callable[..., jax.Array]:
    """Jit a function so that it is traced once for each shape, and not at all in later runs.

    Args:
      function: of trees of arrays; what it does depends only on its `name` and on the code of
        `models` and `networks`.
      name: identifies it.

    Returns:
      A function with the same results. Where no compilations are kept (see
      `compilation.cache_compilations`) it is simply `jax.jit` of the function.
    """
    jitted = jax.jit(function)
    # These graphs stay on this machine, so they may contain what other versions do not know.
    export = jax.export.export(jitted, disabled_checks=CHECKS)
    calls: dict[Any, Callable[..., jax.Array]] = {}

    def call(*arguments: Any) -> jax.Array:
        if _folder() is None:
            return jitted(*arguments)
        leaves, structure = jax.tree.flatten(arguments)
        key = structure, *((leaf.shape, leaf.dtype) for leaf in leaves)
        if key not in calls:
            shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
            graph = _kept(
                f"{name} of {shapes}",
                make=lambda: bytes(export(*shapes).serialize()),
                read=lambda content: jax.export.deserialize(bytearray(content)),
            )
            if any(target in graph.mlir_module() for target in onednn.TARGETS):
                onednn.leave_compilations_unkept()
            calls[key] = jax.jit(graph.call)
        return calls[key](*arguments)

    return call


def is_own(model: Any) -> bool:
    """Return whether a network is the package's own: all that it does follows from its name."""
    return type(model).__module__.startswith("casjax.")


def compiled(function: Callable[..., jax.Array], model: Any, *, does: str) -> Callable[..., Any]:
    """Jit a function that applies a network; for the package's own networks as `kept_call`."""
    return kept_call(function, name=f"{does} by {model!r}") if is_own(model) else jax.jit(function)


def kept_fact(compute: Callable[[], Any], *, name: str) -> Any:
    """Compute a value that JSON can hold, or read what was computed under its name before.

    Args:
      compute: returns it; depends on no more than `kept_call`'s function does.
      name: identifies it.
    """
    return _kept(name, make=lambda: json.dumps(compute()).encode(), read=json.loads)


def _kept(name: str, *, make: Callable[[], bytes], read: Callable[[bytes], T]) -> T:
    """Read what is kept under a name; make and keep it if it is missing or damaged."""
    folder = _folder()
    if folder is None:
        return read(make())
    key = hashlib.sha256("\n".join([name, *_circumstances()]).encode())
    path = folder / key.hexdigest()
    try:
        return read(path.read_bytes())
    except Exception:  # whatever a damaged file may cause
        content = make()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    except OSError:
        pass  # the next run traces again, and nothing else changes
    return read(content)


def _folder() -> Path | None:
    folder = local_folder(jax.config.jax_compilation_cache_dir)  # type: ignore[attr-defined]
    return folder and folder / "graphs"


@functools.cache
def _circumstances() -> tuple[str, ...]:
    """Return everything that a graph depends on besides its name."""
    code = hashlib.sha256()
    for path in sorted(path for folder in CODE for path in folder.rglob("*.py")):
        code.update(path.read_bytes())
    return (
        code.hexdigest(),
        flax.__version__,
        jax.__version__,
        jaxlib.__version__,
        jax.default_backend(),
        jax.devices()[0].device_kind,
        probe.processor(),
    )
