"""What lies in a folder, for a person who looks for a file. Blocks: to be called in a thread. Knows no screen."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MOST_ENTRIES = 200_000
"""Entries that are listed of one folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a folder."""

    name: str
    is_folder: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder, folders first, each by name."""

    folder: str
    entries: tuple[Entry, ...] = ()
    problem: str = ""
    """Why it cannot be listed; empty where it could."""
    cut: bool = False
    """Whether there are more than are listed."""


def list_folder(folder: str) -> Listing:
    """The entries of a folder. Never raises: what is wrong is said in the listing."""
    entries: list[Entry] = []
    cut = False
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if len(entries) >= MOST_ENTRIES:
                    cut = True
                    break
                entries.append(Entry(entry.name, _is_folder(entry)))
    except (OSError, ValueError) as error:
        return Listing(folder, problem=_why(error, folder))
    entries.sort(key=lambda entry: (not entry.is_folder, entry.name.casefold(), entry.name))
    return Listing(folder, tuple(entries), cut=cut)


def matching(entries: Sequence[Entry], text: str, *, files: bool, hidden: bool) -> tuple[Entry, ...]:
    """The entries whose name contains a text, those that begin with it first; names with a dot only where they are asked for."""
    wanted = text.casefold()
    shown = [
        entry
        for entry in entries
        if (files or entry.is_folder)
        and (hidden or text.startswith(".") or not entry.name.startswith("."))
        and wanted in entry.name.casefold()
    ]
    return tuple(sorted(shown, key=lambda entry: not entry.name.casefold().startswith(wanted))) if wanted else tuple(shown)


def split_path(text: str) -> tuple[str, str]:
    """The folder that a typed path is in, absolute, and the name in it. `~` is the home folder."""
    folder, name = os.path.split(str(Path.home()) + text[1:] if text.startswith("~/") else text)
    return str(Path.cwd() / folder), name


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a broken link
        return False


def _why(error: OSError | ValueError, folder: str) -> str:
    if isinstance(error, FileNotFoundError):
        return "There is no such folder."
    if isinstance(error, PermissionError):
        return f"You (uid {os.getuid()}) may not read this folder."
    if isinstance(error, NotADirectoryError):
        return "This is a file, not a folder."
    return f"This folder cannot be read: {getattr(error, 'strerror', None) or error}."
