"""Which files no connector reads or writes: the product's own, and what the operating system keeps for itself."""

from __future__ import annotations

from pathlib import Path

from syncterm.engine.adapters import AdapterContext
from syncterm.engine.errors import ConfigError

SYSTEM_FOLDERS = ("/proc", "/sys", "/dev", "/etc", "/boot")
"""Devices, kernel interfaces, passwords, host keys. `/dev/shm` is an ordinary folder in memory."""
_ALLOWED = Path("/dev/shm")  # noqa: S108 - named to be told apart, nothing is written there


def refuse_path(text: str, context: AdapterContext) -> Path:
    """The absolute path that a configuration names, links followed.

    Args:
        text: as configured; relative paths are relative to the context's base folder.
        context: its forbidden paths are refused under every name: links, hard links, `..`.

    Raises:
        ConfigError: where no connector may read or write there.
    """
    try:
        path = (context.base_folder / text).resolve()
    except (OSError, ValueError, RuntimeError):  # a NUL, a loop of links
        raise ConfigError("This path cannot be followed.", remedy="Correct it.") from None
    if any(path == forbidden.resolve() or _same_file(path, forbidden) for forbidden in context.forbidden_paths):
        raise ConfigError(
            "This file belongs to syncterm itself: it holds every connector's credentials.", remedy="Choose another file."
        )
    for folder in map(Path, SYSTEM_FOLDERS):
        if path.is_relative_to(folder.resolve()) and not path.is_relative_to(_ALLOWED):
            raise ConfigError(f"Files under {folder} are the operating system's.", remedy="Choose another file.")
    return path


def _same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except OSError:  # one of them does not exist, or cannot be looked at
        return False
