"""Mistakes in config files and their overrides, said in a line."""

import traceback
from pathlib import Path


def what_is_wrong(error: BaseException, config: str) -> str:
    """Say in a line what is wrong with the flags or with the config file, which may be any code.

    Args:
      error: what came of parsing them.
      config: what --config was given: a path, and maybe a colon and an argument.
    """
    if isinstance(error, AttributeError) and isinstance(error.args[0], KeyError):
        [cause] = error.args  # names the key and the nearest one
        return f"--config has no such key: {' '.join(str(cause.args[0]).split())}"
    path, _, argument = config.partition(":")
    chain = [error]
    while cause := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(cause)
    for found in chain:
        said = " ".join(str(found).split()) or type(found).__name__
        if isinstance(found, SyntaxError):
            return f"{path}: not Python: {said}"
        if "get_config() takes" in said and argument and found is chain[-1]:
            return f"{path}: it takes no argument, got {argument!r} after the colon"
        frames = traceback.extract_tb(found.__traceback__)
        lines = [f.lineno for f in frames if Path(f.filename).absolute() == Path(path).absolute()]
        if lines and isinstance(found, ValueError):  # which configs raise of their arguments
            return said
        if lines:
            return f"{path}, line {lines[-1]}: {type(found).__name__}: {said}"
    if "get_config" in str(error):
        return f"{path}: a config file has a function get_config, which returns a ConfigDict"
    return " ".join(str(error).split())
