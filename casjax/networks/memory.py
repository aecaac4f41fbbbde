"""How much memory a network takes, estimated without compiling it, and what becomes of it."""

import ctypes
import functools
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, Var

from casjax.models import example_inputs, vary
from casjax.networks.graphs import is_own, kept_fact
from casjax.networks.inference import ImageModel, context

PROBE = 512  # pixels: side of the picture whose computation is analysed
LARGEST_TILE = 4096
# What XLA reserves on CPU for each byte counted here: 0.8 to 1.8, 1.6 for CAS-CNN. It allocates a
# loop's results long before the loop.
ALLOWANCE = 1.75
SHARE = 0.5  # of the free memory is used by default
ENOUGH = 2**30 * 5 // 4


def largest_tile(
    model: ImageModel, variables: Mapping[str, Any], *, memory: int, multiple: int
) -> int:
    """Return the side of the largest square tile that the network can run on within `memory`.

    The side is a power of two times `multiple`, or one, two or three quarters more, so that runs
    with more or less memory can share compilations.

    Args:
      model: the network.
      variables: what its `apply` takes.
      memory: bytes for the network's features; its weights and the pictures come on top.
      multiple: the side is a multiple of this many pixels, and of the network's alignment.

    Raises:
      ValueError: `memory` is too small for any useful tile.
    """
    multiple = math.lcm(multiple, model.alignment)
    bytes_per_pixel = ALLOWANCE * _peak_bytes(model, variables) / PROBE**2
    tile = math.isqrt(int(memory / bytes_per_pixel)) // multiple * multiple
    # Context on both sides, and something in between.
    smallest = -(-2 * context(model) // multiple) * multiple + multiple
    if tile < smallest:
        needed = math.ceil(smallest**2 * bytes_per_pixel / 2**20)
        raise ValueError(
            f"{memory / 2**20:.0f} MiB of memory is too little for this network: "
            f"its smallest tile takes {needed} MiB"
        )
    return max(smallest, _one_of_few(min(tile, LARGEST_TILE) // multiple) * multiple)


def _one_of_few(number: int) -> int:
    """Round down to a power of two, or to one, two or three quarters more."""
    quarter = 1 << max(0, number.bit_length() - 3)
    return number // quarter * quarter


def default_memory() -> int:
    """Return how many bytes a tile may take on the default device by default.

    A share of the free memory; on CPUs, where larger tiles are hardly faster, at most `ENOUGH`.
    """
    memory = free_memory()
    return min(memory, ENOUGH) if jax.default_backend() == "cpu" else memory


def free_memory() -> int:
    """Return the share of the default device's free memory that may be used, in bytes."""
    statistics = jax.devices()[0].memory_stats() or {}
    if "bytes_limit" in statistics:
        return int(SHARE * (statistics["bytes_limit"] - statistics.get("bytes_in_use", 0)))
    # What is available at the moment if the system tells, or else a share of the total.
    if (meminfo := Path("/proc/meminfo")).is_file():
        available = re.search(r"^MemAvailable: +(\d+) kB$", meminfo.read_text(), re.MULTILINE)
        if available:
            return int(SHARE * int(available[1]) * 2**10)
    names = os.sysconf_names if hasattr(os, "sysconf") else {}
    if "SC_PHYS_PAGES" in names:
        return int(SHARE / 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return 2**31


@functools.cache
def return_what_compilers_leave() -> None:
    """Make each compilation return its memory to the system before anything runs; for commands.

    That is 0.4 GB for CAS-CNN, which glibc would keep. With other C libraries this does nothing.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.endswith("/backend_compile_duration"):
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(listen)


def keep_freed_memory() -> None:
    """Stop the process from returning memory to the system, which takes long; for commands.

    XLA frees all intermediate results after each call. Training by 8 on two cores took 1.15 times
    as long without this. With C libraries other than glibc this does nothing.
    """
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    trim_threshold, mmap_max = -1, -4  # M_TRIM_THRESHOLD and M_MMAP_MAX in malloc.h
    set_option(trim_threshold, 2**31 - 1)
    set_option(mmap_max, 0)


def _peak_bytes(model: Any, variables: Mapping[str, Any]) -> int:
    """Return the peak memory if each step of the computation stored its results in full.

    XLA fuses steps, which takes less, and convolutions need scratch space, which takes more: hence
    the allowance. The package's own networks are analysed in the formulation that is traced
    soonest: the peak is the same in all.
    """

    def peak(network: Any) -> int:
        inputs = example_inputs(network, size=PROBE)
        return _peak(jax.make_jaxpr(lambda *x: network.apply(variables, *x))(*inputs).jaxpr)

    if not is_own(model):
        return peak(model)
    direct = vary(model, convolution="direct")
    return kept_fact(lambda: peak(direct), name=f"peak bytes of {direct!r}")


def _peak(jaxpr: Jaxpr) -> int:
    last_use = {v: i for i, eqn in enumerate(jaxpr.eqns) for v in _variables(eqn.invars)}
    last_use |= dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
    live = {v: _bytes(v) for v in jaxpr.invars}
    peak = sum(live.values())
    for i, eqn in enumerate(jaxpr.eqns):
        inputs = sum(_bytes(v) for v in set(_variables(eqn.invars)))
        results = {v: _bytes(v) for v in eqn.outvars}
        inner = max((_peak(body) - inputs for body in _bodies(eqn.params)), default=0)
        peak = max(peak, sum(live.values()) + max(sum(results.values()), inner))
        live |= results
        live = {v: size for v, size in live.items() if last_use.get(v, -1) > i}
    return peak


def _variables(atoms: list[Any]) -> Iterator[Var]:
    return (atom for atom in atoms if not isinstance(atom, Literal))


def _bodies(parameters: Mapping[str, Any]) -> Iterator[Jaxpr]:
    for value in parameters.values():
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value


def _bytes(variable: Any) -> int:
    return math.prod(variable.aval.shape) * variable.aval.dtype.itemsize
