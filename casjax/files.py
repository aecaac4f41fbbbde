"""Files that are whole or not there, and folders that one process holds."""

import contextlib
import glob
import logging
import os
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside `path`, which takes its name if the block ends well.

    A process that is killed leaves it behind, for `remove_abandoned`.
    """
    owner = f"{socket.gethostname()}-{os.getpid()}"
    temporary = Path(path).with_name(f".{owner}-{secrets.token_hex(8)}.part")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno and not error.filename:  # as on a full disk
            error.filename = os.fspath(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Remove from a folder what `replacing` left there in processes of this host that are gone."""
    host = socket.gethostname()
    for left in folder.glob(f".{glob.escape(host)}-*.part"):
        owner = re.fullmatch(rf"\.{re.escape(host)}-(\d+)-[0-9a-f]+\.part", left.name)
        if owner and not is_running(int(owner[1])):
            with contextlib.suppress(OSError):  # gone meanwhile, or not ours to remove
                left.unlink()


def is_running(process: int) -> bool:
    """Whether there is a process of this number on this host; on Windows, true for all."""
    if os.name == "nt":  # where os.kill is no question, but a command
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # someone else's
    return True


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder against every other process that wants to, till the block or process ends.

    Where the system or the file system knows no locks, as some network file systems, a warning is
    logged, and it is left to the user.

    Raises:
      BlockingIOError: another process holds it.
    """
    import filelock  # which warns where there are no locks: who needs none shall not hear of it

    with (folder / ".lock").open("w") as lock:
        try:
            is_ours = filelock.lock_descriptor(lock.fileno(), blocking=False)
        except OSError as error:
            logging.warning(
                "%s cannot be locked (%s): start one run there at a time", folder, error
            )
            is_ours = True
        if not is_ours:
            raise BlockingIOError(f"{folder} is held by another process")
        yield


def readable_name(source_name: str) -> str:
    """A source's name without what does not belong into a file's name."""
    return re.sub(r"[^\w+-]+", "-", source_name).strip("-")
