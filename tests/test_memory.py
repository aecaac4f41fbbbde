"""The memory of a network whose features can be counted by hand."""

import dataclasses
import platform
import subprocess
import sys
from typing import Any
from unittest.mock import Mock

import jax
import jax.numpy as jnp
import pytest

from casjax.networks import memory
from casjax.networks.inference import make_restorer
from casjax.networks.memory import default_memory, free_memory, largest_tile


@dataclasses.dataclass(frozen=True)
class Wide:
    """Spreads the picture to 16 channels, adds to them, and sums: 2 x 64 bytes for a pixel."""

    alignment: int = 8
    halo: int = 20

    def apply(self, variables: Any, degraded: jax.Array) -> tuple[jax.Array]:
        @jax.jit  # an inner computation counts as much as the outer one
        def widen(x):
            return jnp.sin(x * jnp.ones(16)) + 1

        return (widen(degraded).sum(-1, keepdims=True),)


def test_a_tile_fills_the_memory():
    """The least float32 features at once are one array and what is made of it: 128 bytes."""
    tile = largest_tile(Wide(), {"params": {}}, memory=280 * 512**2, multiple=64)
    assert tile == 512
    assert largest_tile(Wide(), {"params": {}}, memory=40 * 512**2, multiple=64) in (192, 256)


def test_tiles_are_of_few_sizes():
    """So that a run with a little more free memory finds the compilations of the one before."""
    tiles = {
        largest_tile(Wide(), {"params": {}}, memory=mebibytes * 2**20, multiple=64)
        for mebibytes in range(8, 264, 16)
    }
    few = {64 * power * quarters // 4 for power in (4, 8, 16) for quarters in (4, 5, 6, 7)}
    assert tiles <= {192} | few
    assert len(tiles) >= 4


def test_tiles_suit_the_restorer():
    for size in (2**22, 2**24, 2**27):
        tile = largest_tile(Wide(), {"params": {}}, memory=size, multiple=64)
        make_restorer(Wide(), {"params": {}}, tile=tile, bucket=64)


def test_too_little_memory():
    with pytest.raises(ValueError, match=r"^1 MiB of memory is too little .* takes \d+ MiB"):
        largest_tile(Wide(), {"params": {}}, memory=2**20, multiple=64)


def test_half_of_the_free_memory_may_be_used_and_on_cpus_no_more_than_pays(monkeypatch):
    assert free_memory() > 2**20
    for limit, expected in ((2**31, 2**30), (2**40, memory.ENOUGH)):
        accelerator = Mock()
        accelerator.memory_stats.return_value = {"bytes_limit": limit, "bytes_in_use": 2**20}
        monkeypatch.setattr(jax, "devices", lambda device=accelerator: [device])
        assert free_memory() == (limit - 2**20) // 2
        assert default_memory() == min(expected, free_memory())


def test_what_a_compilation_leaves_is_given_back_once():
    program = """
import ctypes, types
import jax
from casjax.networks.memory import return_what_compilers_leave
ctypes.CDLL = lambda _: types.SimpleNamespace(malloc_trim=lambda _: print("trimmed"))
return_what_compilers_leave()
return_what_compilers_leave()
double = jax.jit(lambda x: 2 * x)
for _ in range(2):
    double.lower(jax.ShapeDtypeStruct((3,), "float32")).compile()
print("compiled")
double.lower(jax.ShapeDtypeStruct((4,), "float32")).compile()
"""
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["trimmed", "compiled", "trimmed"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="options of glibc")
def test_freed_memory_is_kept():
    program = """
from pathlib import Path
import numpy as np
from casjax.networks.memory import keep_freed_memory
keep_freed_memory()
def pages():
    return int(Path("/proc/self/statm").read_text().split()[1])
array = np.ones(2**24)
full = pages()
del array
assert pages() > full - 256
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
