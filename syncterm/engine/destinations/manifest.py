"""The manifest of a table kept as files: which files it is made of, and how far each stream has been read.

A table is a folder:

    part-00000.parquet …   its rows; what readers read
    .syncterm.json         the manifest
    .syncterm.lock         held (flock) for moments: while a manifest is changed
    .staging-*             a folder for each load that is under way; its own lock lives as long as the load

A commit is the rename of a new manifest over the old one. It carries the cursor, and promises the staged file its place and the
files of an older generation their end. Both follow at once, or, after a crash, when the folder is next opened: see `settle`.
Whoever reads `*.parquet` sees complete files only. A generation's first file takes the place of the old one's in one step.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from syncterm.engine.destinations.rules import StateRow
from syncterm.engine.destinations.staging import LOCK_NAME, try_lock
from syncterm.engine.errors import ConfigError, DestinationBusyError, DestinationError

MANIFEST_NAME = ".syncterm.json"
STAGING_PREFIX = ".staging-"
STAGED_NAME = "rows.staged"
FORMAT_VERSION = 1
LOCK_WAIT = 10.0
"""Seconds to wait for another process that changes the manifest; it holds the lock for moments, or while it merges an upsert."""
_LOCK_POLL = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Pending:
    """A staged file and the part that it becomes."""

    staged: str
    """Relative to the table's folder."""
    part: int


@dataclass(frozen=True, slots=True)
class Obsolete:
    """The parts from `first` to before `end` of an older generation."""

    suffix: str
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a table consists of."""

    suffix: str
    """Of its parts: `.parquet`, `.csv.gz`, …"""
    parts: int = 0
    """How many there are: part-00000 and on."""
    fields: tuple[tuple[str, str], ...] = ()
    """Name and logical type of its columns."""
    states: tuple[StateRow, ...] = ()
    """One for each stream that was ever written here."""
    pending: Pending | None = None
    obsolete: Obsolete | None = None

    def state(self, connector_id: str, stream: str) -> StateRow | None:
        return next((row for row in self.states if (row.connector_id, row.stream) == (connector_id, stream)), None)

    def with_state(self, state: StateRow) -> Manifest:
        """The same with a state row added or changed."""
        others = tuple(row for row in self.states if (row.connector_id, row.stream) != (state.connector_id, state.stream))
        return replace(self, states=(*others, state))

    def to_text(self) -> str:
        return json.dumps({"version": FORMAT_VERSION, **asdict(self)}, indent=1)

    @classmethod
    def from_text(cls, text: str) -> Manifest:
        """Raises: ValueError, KeyError, TypeError: where the text is no manifest of this version."""
        document = json.loads(text)
        version = document.pop("version")
        if version != FORMAT_VERSION:
            raise ValueError(f"version {version!r}")
        return cls(
            suffix=document["suffix"],
            parts=document["parts"],
            fields=tuple((name, type_) for name, type_ in document["fields"]),
            states=tuple(StateRow(**row) for row in document["states"]),
            pending=Pending(**document["pending"]) if document["pending"] else None,
            obsolete=Obsolete(**document["obsolete"]) if document["obsolete"] else None,
        )


class TableFolder:
    """The folder of one table."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self, root: Path) -> None:
        """Create the folder and those between it and the destination's root, for the owner only.

        Raises:
            ConfigError: one of them is a link, or no folder.
        """
        for folder in (root, *reversed([parent for parent in self.path.parents if root in parent.parents]), self.path):
            with suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            if not folder.is_dir() or (folder != root and folder.is_symlink()):
                raise ConfigError(f"{folder} is not a folder.", remedy="Choose another path or table name.")

    def read(self) -> Manifest | None:
        """The manifest; None where there is none.

        Raises:
            DestinationError: it is damaged, or of a newer version.
        """
        try:
            return Manifest.from_text((self.path / MANIFEST_NAME).read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (ValueError, KeyError, TypeError) as error:
            raise DestinationError(
                f"The manifest {self.path / MANIFEST_NAME} cannot be read: {error}.",
                remedy="It is damaged or was written by a newer version. Restore it, or choose another table name.",
            ) from None

    def publish(self, manifest: Manifest) -> None:
        """Put a manifest in the place of the old one; when this returns it is on disk. The lock is held."""
        written = self.path / f"{MANIFEST_NAME}.new"
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(manifest.to_text())
            file.flush()
            os.fsync(file.fileno())
        written.replace(self.path / MANIFEST_NAME)
        sync_folder(self.path)

    def settle(self, manifest: Manifest) -> Manifest:
        """Do what the manifest promises, if it has not been done: harmless to repeat. The lock is held."""
        if manifest.pending is not None:
            with suppress(FileNotFoundError):  # it is in its place already
                (self.path / manifest.pending.staged).replace(self.part(manifest.suffix, manifest.pending.part))
        if manifest.obsolete is not None:
            for number in range(manifest.obsolete.first, manifest.obsolete.end):
                self.part(manifest.obsolete.suffix, number).unlink(missing_ok=True)
        if manifest.pending is not None or manifest.obsolete is not None:
            sync_folder(self.path)
        return replace(manifest, pending=None, obsolete=None)

    def strangers(self) -> list[str]:
        """Names of files here that syncterm did not make; only meaningful where there is no manifest."""
        return sorted(
            entry.name
            for entry in self.path.iterdir()
            if entry.name not in (LOCK_NAME, f"{MANIFEST_NAME}.new") and (entry.is_symlink() or not entry.is_dir())
        )

    def part(self, suffix: str, number: int) -> Path:
        """The path of a part."""
        return self.path / f"part-{number:05}{suffix}"

    @contextmanager
    def locked(self, poll: Callable[[], None]) -> Iterator[None]:
        """Keep other loads, of this process and of others, from changing the manifest.

        Args:
            poll: called while waiting; may raise.

        Raises:
            DestinationBusyError: another one holds it for longer than `LOCK_WAIT`.
        """
        give_up = time.monotonic() + LOCK_WAIT
        while (lock := try_lock(self.path / LOCK_NAME)) is None:
            poll()
            if time.monotonic() > give_up:
                raise DestinationBusyError(f"{self.path} is being written by another load.", remedy="Try again.")
            time.sleep(_LOCK_POLL)
        try:
            yield
        finally:
            os.close(lock)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
