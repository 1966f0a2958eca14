"""Looks at the machine, the terminal and the store, and says what to mend."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP, adapter_class, adapter_types
from syncterm.engine.errors import SynctermError
from syncterm.engine.workspace import Workspace
from syncterm.text import byte_size

LITTLE_SPACE = 500_000_000
"""Bytes free below which the doctor warns."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    good: bool
    detail: str


def examine(workspace: Workspace) -> list[Finding]:
    """All findings; nothing is changed, and a store that is not there yet is not created."""
    return [*_machine(), *_terminal(), *_adapters(), *_workspace(workspace)]


def _machine() -> Iterator[Finding]:
    version = platform.python_version()
    yield Finding("Python", sys.version_info >= (3, 11), f"{version} on {platform.system()} {platform.machine()}")
    yield Finding("SQLite", sqlite3.sqlite_version_info >= (3, 35), sqlite3.sqlite_version)


def _terminal() -> Iterator[Finding]:
    size = shutil.get_terminal_size()
    encoding = (sys.stdout.encoding or "").lower()
    colours = "no colours (NO_COLOR)" if "NO_COLOR" in os.environ else os.environ.get("COLORTERM") or "256 colours or fewer"
    detail = f"{os.environ.get('TERM', 'no TERM')}, {size.columns}x{size.lines}, {encoding or 'no encoding'}, {colours}"
    if "utf" not in encoding:
        detail += "; without UTF-8 the dashboard draws with ASCII"
    yield Finding("Terminal", True, detail)


def _adapters() -> Iterator[Finding]:
    for group, kind in ((SOURCES_GROUP, "Source"), (DESTINATIONS_GROUP, "Destination")):
        for type_ in adapter_types(group):
            try:
                title = adapter_class(group, type_).title
            except (ImportError, SynctermError) as error:
                yield Finding(f"{kind} {type_}", False, f"{error}. Install what it needs, or remove the package that names it.")
            else:
                yield Finding(f"{kind} {type_}", True, title)


def _workspace(workspace: Workspace) -> Iterator[Finding]:
    folder = workspace.folder
    if not folder.exists():
        yield Finding("Workspace", True, f"{folder} is not there yet; the first start creates it")
        return
    yield _private(folder, "Workspace", 0o700)
    free = shutil.disk_usage(folder).free
    yield Finding("Disk space", free > LITTLE_SPACE, f"{byte_size(free)} free at {folder}")
    if workspace.key_path.exists():
        yield _private(workspace.key_path, "Key file", 0o600)
    if workspace.store_path.exists():
        yield _private(workspace.store_path, "Store", 0o600)
        yield from _store(workspace.store_path)


def _private(path: Path, subject: str, wanted: int) -> Finding:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        return Finding(subject, False, f"{path} has mode {mode:04o}; others may read it. chmod {wanted:o} mends it.")
    if found.st_uid != os.getuid():
        return Finding(subject, False, f"{path} belongs to uid {found.st_uid}, this process is uid {os.getuid()}.")
    return Finding(subject, True, f"{path}, mode {mode:04o}")


def _store(path: Path) -> Iterator[Finding]:
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        yield Finding("Store integrity", verdict == "ok", verdict if verdict == "ok" else f"{verdict}. Restore a backup beside it.")
        holder = connection.execute("SELECT pid, host, user_name, epoch FROM lease WHERE holder IS NOT NULL").fetchone()
        yield Finding(
            "Engine", True, f"process {holder[0]} on {holder[1]} by {holder[2]}, epoch {holder[3]}" if holder else "none runs now"
        )
    except sqlite3.Error as error:
        yield Finding("Store integrity", False, f"{error}. Restore a backup beside it.")
    finally:
        connection.close()
