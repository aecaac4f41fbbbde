"""Configs by name or path: those that ship with the package, and the user's own files.

The shipped ones are in ``configs/`` at the top of the repository and are installed inside the
package. Wherever they are, and whatever the working folder, a config may use
``from configs import base``, which finds the files beside it and the shipped ones.
"""

import importlib.util
import inspect
import re
import sys
import traceback
import types
from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict

_PACKAGE = Path(__file__).parent.parent
FOLDER = next(
    folder
    for folder in (_PACKAGE / "configs", _PACKAGE.parent / "configs")
    if (folder / "base.py").is_file()
)


class ConfigParser(flags.ArgumentParser):
    """Parses the flag ``--config``."""

    def parse(self, argument: str) -> ConfigDict:
        """Return `load_config` of the argument, locked so that overrides add no keys."""
        config = load_config(argument)
        config.lock()
        return config

    def flag_type(self) -> str:
        """Name the type in ``--help``."""
        return "config"


def load_config(reference: str) -> ConfigDict:
    """Load the config ``qf20``, ``efficient:qf=20,cutouts=8000``, ``mine.py`` or ``mine.py:qf=20``.

    A name means a shipped config, and anything ending in ``.py`` a file. What follows a colon is
    the argument of its ``get_config``.

    Raises:
      FileNotFoundError: there is no such config.
      ValueError: it cannot be run, or not with this argument; the message has the file and line.
    """
    path, arguments = _find(reference)
    # A package without its own files, and nothing on sys.path: other modules stay hidden.
    package = types.ModuleType("configs")
    package.__path__ = [str(path.parent), str(FOLDER)]
    sys.modules["configs"] = package
    spec = importlib.util.spec_from_file_location(f"configs.{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        if not hasattr(module, "get_config"):
            raise ValueError(f"{path}: it has no function get_config that returns a ConfigDict")
        if arguments and not inspect.signature(module.get_config).parameters:
            raise ValueError(f"{path}: it takes no argument, got {arguments[0]!r} after the colon")
        config = module.get_config(*arguments)
    except Exception as error:
        raise ValueError(_explain(error, path)) from error
    if not isinstance(config, ConfigDict):
        raise ValueError(f"{path}: get_config returns a {type(config).__name__}, not a ConfigDict")
    return config


def read_argument(
    name: str, argument: str, defaults: Mapping[str, str], *, ranges: Sequence[str] = ()
) -> dict[str, str]:
    """Read what follows a config's colon, such as ``qf=10,cutouts=8000``.

    Args:
      name: of the config.
      argument: the text, settings separated by commas.
      defaults: of all settings.
      ranges: settings that may also be ranges of numbers, such as ``5-95``.

    Returns:
      The text of each setting.

    Raises:
      ValueError: there is anything else.
    """
    found = [re.fullmatch(r"(\w+)=(\d+)(-\d+)?", part) for part in argument.split(",")]
    settings = {part[1]: part[2] + (part[3] or "") for part in found if part}
    is_read = all(found) and settings.keys() <= defaults.keys()
    if not is_read or any("-" in text and key not in ranges for key, text in settings.items()):
        known = ", ".join(f"{key}={text}" for key, text in defaults.items())
        also = f", or a range for {', '.join(ranges)}," if ranges else ""
        raise ValueError(f"{name}:{argument}: expected numbers{also} for some of {known}")
    return {**defaults, **settings}


def config_name(reference: str) -> str:
    """Return the name of a config: `qf20` for ``qf20``, ``configs/qf20.py`` and ``qf20:x``."""
    return Path(_split(reference)[0]).stem


def shipped() -> list[str]:
    """Return the names of the configs that ship."""
    return sorted(path.stem for path in FOLDER.glob("*.py"))


def _split(reference: str) -> tuple[str, list[str]]:
    """Split the name or path from the optional argument."""
    # Not at the first colon, which may be that of C:\.
    match = re.fullmatch(r"(.*?\.py|[^:]*)(?::(.*))?", reference, re.DOTALL)
    assert match is not None
    return match[1], [] if match[2] is None else [match[2]]


def _find(reference: str) -> tuple[Path, list[str]]:
    name, arguments = _split(reference)
    path = Path(name) if name.endswith(".py") else FOLDER / f"{name}.py"
    if not path.is_file():
        raise FileNotFoundError(
            f"{reference}: there is no such config: expected the path of a .py file, or one of "
            f"{', '.join(shipped())}"
        )
    return path, arguments


def _explain(error: Exception, path: Path) -> str:
    """Say in one line what went wrong in a config, and where."""
    said = " ".join(str(error).split())
    if isinstance(error, ValueError):  # raised by the config about its argument
        return said
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}"
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    where = f"{path}, line {lines[-1]}" if lines else str(path)
    return f"{where}: {type(error).__name__}: {said}"
