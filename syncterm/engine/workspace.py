"""A workspace: the folder that holds one store, its key and its logs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

HOME_VARIABLE = "SYNCTERM_HOME"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where one syncterm keeps everything of its own. Files are 0600, folders 0700."""

    folder: Path
    keys_in_keyring: bool = False
    """Whether a new key that seals the store's secrets goes into the system's keyring, instead of the file."""

    @classmethod
    def default(cls) -> Workspace:
        """`$SYNCTERM_HOME`, else the platform's folder for application data."""
        home = os.environ.get(HOME_VARIABLE)
        if home:
            return cls(Path(home).expanduser().absolute())
        from platformdirs import user_data_path

        return cls(user_data_path("syncterm", appauthor=False))

    @property
    def store_path(self) -> Path:
        return self.folder / "syncterm.db"

    @property
    def key_path(self) -> Path:
        return self.folder / "key"

    @property
    def log_path(self) -> Path:
        return self.folder / "syncterm.log"

    @property
    def forbidden_paths(self) -> tuple[Path, ...]:
        """Files that no connector may read or write."""
        store = self.store_path
        return (store, store.with_name(f"{store.name}-wal"), store.with_name(f"{store.name}-shm"), self.key_path)

    def create(self) -> None:
        """Make the folder, 0700, where it is missing."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
