"""Timed calls, and the machine's own limits: a large matrix product and a large copy.

Calls to be compared are timed alternately, so that other load on the machine affects all of them
alike.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp

Call = Callable[[], Any]
"""A function that has finished all its work when it returns."""
Record = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """One thing to time.

    Attributes:
      name: of its part of the benchmark.
      detail: distinguishes it from others in that part.
      model: the network; "" if there is none.
      dtype: of the arithmetic.
      shape: of a call's input.
      unit: of its figure, such as "Mpixel/s"; for "s" the figure is the time of a call.
      amount: of work in one call, in that unit.
      call: the function to time.
      flops: the arithmetic of a call in the plain formulation; 0 if it is not the limit.
      traffic: the least number of bytes that a call must read and write; 0 if not the limit.
      rivals: functions of other libraries that do the same in the same dtype, by library.
    """

    name: str
    call: Call
    unit: str
    amount: float = 1.0
    detail: str = ""
    model: str = ""
    dtype: str = "float32"
    shape: Sequence[int] = ()
    flops: float = 0.0
    traffic: float = 0.0
    rivals: Mapping[str, Call] = dataclasses.field(default_factory=dict)


def measure(case: Case, *, calls: int, seconds: float) -> list[Record]:
    """Time a case, its rivals and the machine's limit, in turn.

    Args:
      case: what to time.
      calls: of each, after a warm-up call.
      seconds: after which no further round of calls starts.

    Returns:
      A record for the case and one for each rival: the attributes of the case, `library`, the
      number of `calls`, and `min`, `median` and `max` of the figure over them. `limit` is what the
      machine could do if the case's arithmetic were one matrix product, or its traffic one copy,
      and `ratio_to_limit` is the median's share of it. `ratio_to_torch`, for the case only, is its
      median over that of the fastest rival. Unknown values are None.
    """
    todo = [case.call, *case.rivals.values()]
    limit = None
    if case.flops:
        todo.append(_product(case.dtype))
        limit = 2 * _side() ** 3 / case.flops * case.amount
    elif case.traffic:
        todo.append(_copy())
        limit = 2 * COPIED / case.traffic * case.amount
    times = interleave(todo, calls=calls, seconds=seconds)
    if limit:
        limit /= median(times.pop())

    records = []
    for library, of_one in zip(["casjax", *case.rivals], times, strict=True):
        figures = [case.amount / t if case.unit != "s" else t for t in of_one]
        records.append(
            {key: getattr(case, key) for key in ("name", "detail", "model", "dtype", "unit")}
            | {"library": library, "shape": list(case.shape), "calls": len(of_one)}
            | {"min": min(figures), "median": median(figures), "max": max(figures), "limit": limit}
            | {"ratio_to_limit": median(figures) / limit if limit else None}
            | {"ratio_to_torch": None}
        )
    own, *others = records
    if others:
        own["ratio_to_torch"] = own["median"] / max(record["median"] for record in others)
    return records


def interleave(todo: Sequence[Call], *, calls: int, seconds: float) -> list[list[float]]:
    """Return the seconds of each call of each function; the first round is always run."""
    for call in todo:
        call()
    times: list[list[float]] = [[] for _ in todo]
    end = time.perf_counter() + seconds
    while len(times[0]) < calls and (not times[0] or time.perf_counter() < end):
        for call, of_one in zip(todo, times, strict=True):
            start = time.perf_counter()
            call()
            of_one.append(time.perf_counter() - start)
    return times


COPIED = 2**28  # bytes: beyond all caches


def _side() -> int:
    """Return the side of the matrices whose product is the limit: 0.1 s on CPUs, 1 ms on GPUs."""
    return 2048 if jax.default_backend() == "cpu" else 8192


@functools.cache
def _product(dtype: str) -> Call:
    matrix = jnp.ones((_side(), _side()), "bfloat16" if dtype == "mixed" else dtype)
    # Sums in float32: with bfloat16 sums, CPUs do not use their bfloat16 units.
    product = jax.jit(functools.partial(jnp.matmul, preferred_element_type=jnp.float32))
    return lambda: product(matrix, matrix).block_until_ready()


@functools.cache
def _copy() -> Call:
    values = jnp.ones(COPIED // 4, jnp.float32)
    # The addition forces a copy: a bare one could be elided.
    copy = jax.jit(lambda values: values + 1)
    return lambda: copy(values).block_until_ready()
