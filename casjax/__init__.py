"""CAS-CNN in JAX/Flax: JPEG compression artifact removal.

`casjax.restore_image` restores an array of pixels, `casjax.restore_file` a file, and
`casjax.load_network` loads a trained network; `casjax.jpeg.degrade` is libjpeg to the bit, inside
`jit` too, and `casjax.metrics` has the scores. Each is imported when it is first asked for, because
JAX is slow to start.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casjax import jpeg, metrics
    from casjax.networks.pretrained import load_network
    from casjax.restoration.restoring import restore_image
    from casjax.restoration.running import restore_file

__version__ = "0.2.0"

__all__ = ["__version__", "jpeg", "load_network", "metrics", "restore_file", "restore_image"]

_HOMES = {
    "load_network": "casjax.networks.pretrained",
    "restore_file": "casjax.restoration.running",
    "restore_image": "casjax.restoration.restoring",
}


def __getattr__(name: str) -> Any:
    """Import what the package offers."""
    if name not in __all__:
        raise AttributeError(f"module 'casjax' has no attribute {name!r}")
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    return importlib.import_module(f"casjax.{name}")


def __dir__() -> list[str]:
    """Name what is offered, imported or not."""
    return sorted({*globals(), *__all__})
