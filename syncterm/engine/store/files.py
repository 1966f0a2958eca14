"""The store's file: who may open it, which revision it holds, its backups, and how it is created and upgraded.

Everything here blocks and runs in a worker thread; it uses the standard library's sqlite3, so that a normal start imports no more.
"""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from syncterm.engine.errors import StoreError, StoreTooNewError
from syncterm.engine.store.migrations import HEAD, upgrade

BACKUPS_KEPT = 3
LOCK_TIMEOUT = 60.0
"""Seconds to wait for another process that creates or upgrades the same store."""
_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


def prepare(path: Path, now: datetime) -> Path:
    """Make sure that `path` is a store of this version that this user may write: create or upgrade it where needed.

    Returns: the absolute path.

    Raises:
        StoreTooNewError: written by a newer version; left as it is, byte for byte.
        StoreError: the folder or the file cannot be used; names the path, why, and what to do.
    """
    path = path.absolute()
    _check_folder(path.parent)
    if path.exists():
        check_file(path)
        if revision(path) == HEAD:
            return path
    with _locked(path):
        if not path.exists():
            _create(path)
            return path
        check_file(path)
        if revision(path) != HEAD:
            backup(path, now)
            try:
                upgrade(path)
            except Exception as error:
                raise StoreError(
                    f"Upgrading the store {path} to revision {HEAD} failed and was rolled back: {error}.",
                    remedy=f"The store is as it was; {_backup_hint(path)}",
                ) from error
    return path


def revision(path: Path) -> str:
    """The revision that the store at `path` holds; reads one row and changes nothing.

    Raises:
        StoreTooNewError, StoreError: not one that this version can read or upgrade.
    """
    if not path.stat().st_size:
        raise StoreError(f"The store {path} is empty: 0 bytes.", remedy=_backup_hint(path))
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not {"alembic_version", "connectors"} <= names:
                raise StoreError(
                    f"{path} is a SQLite file, but not a store of syncterm.", remedy="Move it away, or choose another folder."
                )
            found = str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])
    except sqlite3.OperationalError as error:
        raise StoreError(
            f"The store {path} cannot be opened: {error}.", remedy="Try again; if it persists, free disk space."
        ) from error
    except (sqlite3.DatabaseError, TypeError) as error:
        raise corrupt(path, error) from error
    if not found.isdigit():
        raise StoreError(f"The store {path} has the unknown revision {found!r}.", remedy=_backup_hint(path))
    if found > HEAD:
        raise StoreTooNewError(
            f"The store {path} was written by a newer version of syncterm: its revision is {found}, this version knows {HEAD}.",
            remedy="Install that version or a later one. The store was not changed.",
        )
    return found


def corrupt(path: Path, cause: BaseException) -> StoreError:
    """The error that says that a store is damaged, naming the newest backup."""
    return StoreError(f"The store {path} is damaged: {cause}. It was not changed.", remedy=_backup_hint(path))


def backups(path: Path) -> list[Path]:
    """The backups of the store at `path`, the newest first."""
    return sorted(path.parent.glob(f"{_escape(path.name)}.backup-*"), key=lambda file: file.name.rpartition("-")[2], reverse=True)


def backup(path: Path, now: datetime) -> Path:
    """Copy the store with SQLite's backup, while others may use it; keeps the newest few. The copy's path.

    Raises:
        StoreError: where the copy cannot be written; nothing is left behind then.
    """
    target = path.with_name(f"{path.name}.backup-{revision(path)}-{now.astimezone(UTC):%Y%m%dT%H%M%S}Z")
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        _new_file(unfinished)
        with (
            closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10)) as source,
            closing(sqlite3.connect(unfinished)) as copy,
        ):
            source.backup(copy, pages=1000)
            copy.execute("PRAGMA journal_mode = DELETE")
        unfinished.replace(target)
    except (OSError, sqlite3.Error) as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(
            f"The store {path} could not be backed up to {target}: {error}.", remedy="Free disk space, then try again."
        ) from error
    for old in backups(path)[BACKUPS_KEPT:]:
        old.unlink(missing_ok=True)
    return target


def check_file(path: Path) -> None:
    """Refuse a store file that is not this user's own to write; close it to others where it is open to them.

    Raises:
        StoreError: naming the path, its owner and its mode.
    """
    found = path.stat()
    owner, mode = found.st_uid, stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"The store {path} is not a regular file.", remedy="Move it away, or choose another folder.")
    if owner != os.geteuid():
        raise StoreError(
            f"The store {path} belongs to user id {owner} (mode {mode:04o}), and this is user id {os.geteuid()}.",
            remedy="Run syncterm as its owner, or choose another folder.",
        )
    if not mode & stat.S_IWUSR or not os.access(path, os.R_OK | os.W_OK):
        raise StoreError(
            f"The store {path} is read-only: its mode is {mode:04o}, its owner user id {owner}.", remedy=f"Run chmod 600 {path}."
        )
    if mode & 0o077:
        path.chmod(_FILE_MODE)


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The folder {folder} cannot be created: {error}.", remedy="Choose another folder.") from error
    found = folder.stat()
    if not os.access(folder, os.W_OK | os.X_OK) or not found.st_mode & stat.S_IWUSR:
        raise StoreError(
            f"The folder {folder} cannot be written by user id {os.geteuid()}:"
            f" its owner is user id {found.st_uid}, its mode {stat.S_IMODE(found.st_mode):04o}.",
            remedy="The store's folder must be writable; choose another one or change its mode.",
        )


def _create(path: Path) -> None:
    """Make a new store beside `path` and put it there in one step, so that a store is never half there."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    try:
        for leftover in (
            unfinished,
            unfinished.with_name(f"{unfinished.name}-wal"),
            unfinished.with_name(f"{unfinished.name}-shm"),
        ):
            leftover.unlink(missing_ok=True)
        _new_file(unfinished)
        upgrade(unfinished)
        unfinished.replace(path)
    except Exception as error:
        unfinished.unlink(missing_ok=True)
        raise StoreError(
            f"The store {path} could not be created: {error}.", remedy="Free disk space, or choose another folder."
        ) from error


def _new_file(path: Path) -> None:
    """An empty file that only its owner may read and write, whatever the umask."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FILE_MODE)
    try:
        os.fchmod(descriptor, _FILE_MODE)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the store's lock file: one process at a time creates or upgrades."""
    lock = path.with_name(f"{path.name}.lock")
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, _FILE_MODE)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"Another process has been creating or upgrading the store {path} for {LOCK_TIMEOUT:.0f} seconds.",
                        remedy="Wait for it to end, then start again.",
                    ) from None
                time.sleep(random.uniform(0.02, 0.08))  # noqa: S311 - spreads the waiters, no secret
        yield
    finally:
        os.close(descriptor)


def _backup_hint(path: Path) -> str:
    found = backups(path)
    if not found:
        return "There is no backup beside it."
    return f"The newest backup is {found[0]}; to go back to it, stop syncterm and copy it over the store."


def _escape(name: str) -> str:
    """`name` for a glob pattern, taken literally."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)
