"""Whether oneDNN's calls work on this machine, found out once and in a separate process.

They are internal to XLA: with another version or on another processor they may be unknown, wrong,
or abort the process. So a child process first compares them with `lax`, in a few seconds. Its
result is stored beside JAX's compilation cache, or in the user's cache folder, by jaxlib version
and processor.

Its bfloat16 is not even tried where the processor has no units for it: there oneDNN 3.7.3 (jaxlib
0.10.2) starts parallel work within parallel work, for which XLA's few threads may wait for ever.
"""

import functools
import hashlib
import json
import logging
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TypedDict

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax
from jax.typing import DTypeLike

from casjax.files import local_folder, user_cache_folder, write_json
from casjax.models.convolutions import onednn

FORM = 6  # increase it when what is tried changes
PATIENCE = 300  # seconds
UNITS_FOR_BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # flags of a processor
# Images, height and width, channels in and out, kernel and padding: every code path, odd sizes.
TRIED = ((2, 9, 33, 17, 2, 1), (1, 13, 1, 5, 11, 0), (2, 5, 64, 96, 3, 1), (1, 7, 19, 1, 5, 2))
TOLERANCE = {"float32": 1e-5, "bfloat16": 2**-7}  # of the largest magnitude
_TRIAL = f"from {__name__} import _try; _try()"


class Verdict(TypedDict):
    """The result of the trial.

    Attributes:
      fault: why oneDNN is not used; "" where it works.
      bfloat16_gain: how many times as fast bfloat16 is as float32, in a layer of CAS-CNN; 0 where
        oneDNN is not used for it.
    """

    fault: str
    bfloat16_gain: float


def onednn_works(dtype: DTypeLike) -> bool:
    """Return whether the calls of `onednn` give the right results on this machine, in a dtype."""
    return not fault_in(dtype)


def fault_in(dtype: DTypeLike) -> str:
    """Return why oneDNN is not used for a dtype; "" where it is."""
    found = verdict()
    if found["fault"] or jnp.dtype(dtype) != jnp.bfloat16:
        return found["fault"]
    return "" if found["bfloat16_gain"] else "this processor has no units for bfloat16"


@functools.cache
def verdict() -> Verdict:
    """Return what is known of this machine, finding it out if necessary."""
    if jax.default_backend() != "cpu" or platform.machine().lower() not in ("x86_64", "amd64"):
        return Verdict(fault="it needs an x86-64 processor", bfloat16_gain=0.0)
    compilations = local_folder(jax.config.jax_compilation_cache_dir)  # type: ignore[attr-defined]
    folder = compilations or user_cache_folder()
    digest = hashlib.sha256(processor().encode()).hexdigest()[:16]
    path = folder and folder / f"onednn-{FORM}-{jaxlib.__version__}-{digest}.json"
    found = _kept(path) if path else None
    if found is None:
        try:
            found = _ask_child()
            if path:
                _keep(path, found)
        except subprocess.TimeoutExpired:  # the machine is busy: not stored
            found = Verdict(fault=f"its trial took over {PATIENCE} seconds", bfloat16_gain=0.0)
        except OSError as error:  # nor is a lack of memory
            found = Verdict(fault=f"its trial could not run: {error}", bfloat16_gain=0.0)
    if found["fault"]:
        logging.warning("oneDNN is not used, so convolutions are slower: %s", found["fault"])
    return found


def _keep(path: Path, found: Verdict) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, found)
    except OSError:
        pass  # It will be found out again next time.


def _kept(path: Path) -> Verdict | None:
    """Return what was found out before, if it can be read."""
    try:
        return _read(path.read_text())
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _read(text: str) -> Verdict:
    fields = json.loads(text)
    return Verdict(fault=fields["fault"], bfloat16_gain=fields["bfloat16_gain"])


def processor() -> str:
    """Describe this processor by what distinguishes it from those that compute differently."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
            return next(line for line in file if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        return f"{platform.machine()} {platform.processor()}"


def has_units_for_bfloat16() -> bool:
    """Return whether this processor is known to have such units, which only Linux tells."""
    return not UNITS_FOR_BFLOAT16.isdisjoint(processor().split())


def _ask_child() -> Verdict:
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": ""}
    package = str(Path(__file__).parents[3])
    environment["PYTHONPATH"] = os.pathsep.join([package, os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", _TRIAL]
    child = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if child.returncode in (-signal.SIGKILL, -signal.SIGTERM):
        raise InterruptedError(f"it was ended by {signal.Signals(-child.returncode).name}")
    if child.returncode:
        last = (child.stderr.strip().splitlines() or ["no message"])[-1]
        return Verdict(fault=f"its trial ended with {child.returncode}: {last}", bfloat16_gain=0.0)
    return _read(child.stdout.splitlines()[-1])


def _try() -> None:
    """Run the trial in the child process: its last line of output is the verdict."""
    random = np.random.default_rng(0)
    dtypes = ["float32", *(["bfloat16"] if has_units_for_bfloat16() else [])]
    for dtype in dtypes:
        for n, side, ci, co, size, padding in TRIED:
            shapes = (n, side, side + 3, ci), (size, size, ci, co)
            x, kernel = (jnp.asarray(random.normal(size=shape), dtype) for shape in shapes)
            errors = _error(x, kernel, padding), _error_of_product(kernel.reshape(-1, co))
            if not all(error <= TOLERANCE[dtype] for error in errors):
                print(json.dumps(Verdict(fault=f"its {dtype} is wrong", bfloat16_gain=0.0)))
                return
    gain = round(_seconds("float32") / _seconds("bfloat16"), 2) if "bfloat16" in dtypes else 0.0
    print(json.dumps(Verdict(fault="", bfloat16_gain=gain)))


@functools.partial(jax.jit, static_argnums=2)
def _error(x: jax.Array, kernel: jax.Array, padding: int) -> jax.Array:
    """Return the largest error against `lax` of a convolution and its gradients, relatively."""

    def expected(x: jax.Array, kernel: jax.Array) -> jax.Array:
        around = (padding, padding)
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(
            x, kernel, (1, 1), (around, around), dimension_numbers=layout, precision="highest"
        )

    wide = [array.astype(jnp.float32) for array in (x, kernel)]
    y, pull_back = jax.vjp(lambda *a: onednn.convolve((a[0],), a[1], padding, x.dtype), x, kernel)
    exact, pull_back_exact = jax.vjp(expected, *wide)
    pairs = zip((y, *pull_back(y)), (exact, *pull_back_exact(y.astype(jnp.float32))), strict=True)
    return jnp.stack([jnp.abs(a - b).max() / jnp.abs(b).max() for a, b in pairs]).max()


@jax.jit
def _error_of_product(a: jax.Array) -> jax.Array:
    """Return the largest error of ``a.T a``, relatively."""
    found = onednn.matmul(a, a, jnp.float32, transpose_a=True)
    exact = jnp.matmul(a.T, a, precision="highest", preferred_element_type=jnp.float32)
    return jnp.abs(found - exact).max() / jnp.abs(exact).max()


def _seconds(dtype: str) -> float:
    """Return the shortest of eleven times that a layer of CAS-CNN takes."""
    x, kernel = jnp.ones((1, 64, 64, 128), dtype), jnp.ones((3, 3, 128, 128), dtype)
    convolve = jax.jit(lambda x, kernel: onednn.convolve((x,), kernel, 1, x.dtype))
    times = []
    for _ in range(11):
        start = time.perf_counter()
        convolve(x, kernel).block_until_ready()
        times.append(time.perf_counter() - start)
    return min(times)
