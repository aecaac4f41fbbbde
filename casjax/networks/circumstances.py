"""What a result depends on besides config and data: the code, its libraries, the machine."""

import functools
import importlib.metadata
import json
import os
import platform
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import jax

PACKAGE = Path(__file__).parent.parent
LIBRARIES = ("casjax", "flax", "jax", "jaxlib", "numpy", "optax")


def circumstances() -> dict[str, Any]:
    """Describe this process, in types that JSON can hold.

    Returns:
      `revision` as returned by `revision`, the `versions` of Python and of installed libraries,
      and `machine` as returned by `machine`.
    """
    return {"revision": revision(), "versions": versions(), "machine": machine()}


@functools.cache
def revision() -> str:
    """Return the commit of the running code, with `-dirty` if files have changed since.

    Returns:
      The commit's hash; "" where no repository of the code is found.
    """
    if _git("ls-files", "--error-unmatch", "__init__.py"):  # not merely inside another repository
        return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        installed = importlib.metadata.distribution("casjax").read_text("direct_url.json")
        return json.loads(installed or "{}").get("vcs_info", {}).get("commit_id", "")
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return ""


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(PACKAGE), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that results depend on."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:  # casjax, not installed
            continue
    return found


def machine() -> dict[str, Any]:
    """Describe the machine, as far as this process can use it.

    Returns:
      `processor` (its model), `cores` (as the system counts them), `system`, and `accelerators`
      (number and kind of this process's JAX devices, "" where it computes on the processor).
    """
    kinds = Counter(d.device_kind for d in jax.local_devices() if d.platform != "cpu")
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "system": platform.system(),
        "accelerators": ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
    }


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(": ")[2]
    return platform.processor() or platform.machine()


def require_devices(kind: str | None = None) -> None:
    """Check that JAX has devices of a kind, as "cpu", or of that which the environment asks for.

    Raises:
      ValueError: it has none.
    """
    try:
        jax.devices(kind)
    except (AssertionError, RuntimeError) as error:
        asked = os.environ.get("JAX_PLATFORMS", "")
        raise ValueError(
            f"JAX_PLATFORMS={asked}: JAX has no {kind or 'such'} devices here "
            f"({error or 'no plug-in'})"
        ) from error
