"""Private folders for what a load writes aside, and the locks that tell the living from the dead."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

LOCK_NAME = ".syncterm.lock"
_UNLOCKED = "-unlocked"


class Staging:
    """A folder for one load. Other loads leave it alone while this one lives; `sweep` removes it when its process has died."""

    def __init__(self, parent: Path, prefix: str) -> None:
        """Make `<parent>/<prefix><random>`, for the owner only."""
        made = Path(tempfile.mkdtemp(prefix=f"{prefix}", suffix=_UNLOCKED, dir=parent))
        self._lock = try_lock(made / LOCK_NAME)
        self.path = made.rename(made.with_name(made.name.removesuffix(_UNLOCKED)))

    def end(self, *, keep: bool = False) -> None:
        """Release the folder, and remove it with what it holds unless `keep`; never raises, may be called twice."""
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def sweep(parent: Path, prefix: str) -> None:
    """Remove the folders of loads whose processes have died."""
    for folder in parent.iterdir():
        if not folder.name.startswith(prefix) or folder.name.endswith(_UNLOCKED) or folder.is_symlink() or not folder.is_dir():
            continue
        try:
            lock = try_lock(folder / LOCK_NAME)
        except FileNotFoundError:  # its load has ended meanwhile
            continue
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock until it is closed; None where it is held, be it by a thread of this process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
