"""JAX's compilation cache, kept between runs."""

import os
from pathlib import Path

import jax

from casjax.files import user_cache_folder

CACHE_VARIABLE = "CASJAX_COMPILATION_CACHE"


def cache_compilations() -> Path | None:
    """Make JAX keep its compilations in the user's cache folder between runs; for commands.

    The folder is `casjax/jax` under `$XDG_CACHE_HOME` or `~/.cache`. The environment variable
    `CASJAX_COMPILATION_CACHE` sets another one, or `off`.

    Returns:
      The folder; None where it is switched off, or where the user's cache folder cannot be
      written: runs then start more slowly, and nothing else changes.

    Raises:
      ValueError: the folder named by the environment cannot be written.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen == "off":
        return None
    users = user_cache_folder()
    folder = Path(chosen) if chosen else users and users / "jax"
    if folder is None or not _can_be_written(folder):
        if chosen:
            raise ValueError(f"{CACHE_VARIABLE}={chosen}: expected a folder to write to, or 'off'")
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # The default of a second excludes the many small programs: metrics, one for each shape.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
    return folder


def _can_be_written(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
