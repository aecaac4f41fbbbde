"""CAS-CNN in JAX/Flax: JPEG compression artifact removal."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from casjax.restoration.restoring import restore_image

__all__ = ["restore_image"]


def __getattr__(name: str) -> Any:
    """Import what the package offers when it is asked for: JAX is slow to start."""
    if name == "restore_image":
        from casjax.restoration.restoring import restore_image

        return restore_image
    raise AttributeError(f"module 'casjax' has no attribute {name!r}")
