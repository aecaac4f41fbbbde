"""Files written completely or not at all, and folders locked by one process."""

import contextlib
import glob
import hashlib
import json
import logging
import os
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def user_cache_folder() -> Path | None:
    """Return the package's folder in the user's cache; None for a user without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "casjax")
    except RuntimeError:
        return None


def local_folder(folder: str | None) -> Path | None:
    """Return a folder's path; None for none, and for an address such as gs://bucket/folder."""
    return Path(folder) if folder and "://" not in folder else None


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Provide a temporary path beside `path`, which takes its name if the block succeeds.

    A killed process leaves it behind, for `remove_abandoned`.
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


def write_bytes(path: Path, data: bytes, *, times: tuple[int, int] | None = None) -> None:
    """Write a file, completely or not at all.

    Args:
      path: where to write.
      data: what to write.
      times: of last access and modification, in nanoseconds; None is now.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)
        if times:
            os.utime(temporary, ns=times)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, completely or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, completely or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove_abandoned(folder: Path) -> None:
    """Remove from a folder what killed processes of this host left there with `replacing`."""
    host = socket.gethostname()
    for left in folder.glob(f".{glob.escape(host)}-*.part"):
        owner = re.fullmatch(rf"\.{re.escape(host)}-(\d+)-[0-9a-f]+\.part", left.name)
        if owner and not is_running(int(owner[1])):
            with contextlib.suppress(OSError):  # already gone, or not ours to remove
                left.unlink()


def is_running(process: int) -> bool:
    """Return whether there is a process with this number on this host; on Windows always True."""
    if os.name == "nt":  # where os.kill would really kill it
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
    """Lock a folder against all other processes until the block or the process ends.

    If the system or the file system has no locks, as some network file systems, a warning is
    logged, and it is left to the user.

    Raises:
      BlockingIOError: another process has locked it.
    """
    import filelock  # which warns where there are no locks: not for those who need none

    with (folder / ".lock").open("w") as lock:
        try:
            is_ours = filelock.lock_descriptor(lock.fileno(), blocking=False)
        except OSError as error:
            logging.warning(
                "%s cannot be locked (%s): start one run there at a time", folder, error
            )
            is_ours = True
        if not is_ours:
            raise BlockingIOError(f"{folder} is locked by another process")
        yield


def readable_name(source_name: str) -> str:
    """Return a source's name without characters that do not belong in a file name."""
    return re.sub(r"[^\w+-]+", "-", source_name).strip("-")
