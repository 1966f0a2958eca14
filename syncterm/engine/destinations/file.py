"""Files: a folder a table, of Parquet, CSV or JSON Lines parts.

    <path>/<collection>/<table>/part-00000.parquet      (without a collection: <path>/<table>/…)

Names are made safe by `folder_names`; how a load is published in one step is told in `manifest`; how values are written in CSV and
JSON Lines, in `text_lines`. In Parquet they have the Arrow type of their logical type, and its name in the file's metadata.

Replace writes one part that takes the place of the old part in one step. Append adds a part for each load. Upsert is possible with
Parquet only, and rewrites the table: what is there without the staged keys, and the staged rows, become one new part.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field as ConfigField
from pydantic import ValidationInfo, field_validator

from syncterm.engine.destinations.base import Destination, DestinationCapabilities, LoadTarget, StreamState
from syncterm.engine.destinations.folder_names import folder_name
from syncterm.engine.destinations.manifest import MANIFEST_NAME, Manifest, TableFolder
from syncterm.engine.destinations.rules import StateRow, check_target, disk_full, fold
from syncterm.engine.errors import ConfigError, DestinationError, PermissionDeniedError
from syncterm.engine.model import CheckStep, SyncMode
from syncterm.engine.paths import PathConfig, check_path

if TYPE_CHECKING:
    from syncterm.engine.destinations.file_load import FileLoad

COMPRESSIONS = {
    "parquet": ("zstd", "snappy", "gzip", "none"),
    "csv": ("none", "gzip", "zstd"),
    "jsonl": ("none", "gzip", "zstd"),
}
"""Format → the compressions that it can have, its own default first."""
_COMPRESSION_SUFFIXES = {"none": "", "gzip": ".gz", "zstd": ".zst"}


class FileDestinationConfig(PathConfig):
    """Where the files go, and what they are."""

    path: str = ConfigField(
        title="Folder",
        description="Made at the first sync where it does not exist.",
        min_length=1,
        json_schema_extra={"path": "folder", "placeholder": "/data/lake"},
    )
    format: Literal["parquet", "csv", "jsonl"] = ConfigField(
        default="parquet",
        title="Format",
        description="Only Parquet can be upserted.",
        json_schema_extra={"choices": {"parquet": "Parquet", "csv": "CSV", "jsonl": "JSON Lines"}},
    )
    compression: Literal["automatic", "none", "gzip", "zstd", "snappy"] = ConfigField(
        default="automatic", title="Compression", description="Automatic is zstd for Parquet, and none for CSV and JSON Lines."
    )

    @field_validator("compression")
    @classmethod
    def _compression_fits(cls, value: str, info: ValidationInfo) -> str:
        format_ = info.data.get("format")
        if format_ is not None and value not in ("automatic", *COMPRESSIONS[format_]):
            raise ValueError(f"{format_} files can have the compressions {', '.join(COMPRESSIONS[format_])}")
        return value

    @property
    def codec(self) -> str:
        """The compression that is meant."""
        return COMPRESSIONS[self.format][0] if self.compression == "automatic" else self.compression

    @property
    def suffix(self) -> str:
        """What the names of the parts end with."""
        return f".{self.format}" if self.format == "parquet" else f".{self.format}{_COMPRESSION_SUFFIXES[self.codec]}"


class FileDestination(Destination):
    """A folder of files."""

    type: ClassVar[str] = "file"
    title: ClassVar[str] = "Files"
    summary: ClassVar[str] = "Parquet, CSV or JSON Lines files in a folder"
    Config = FileDestinationConfig
    capabilities: ClassVar[DestinationCapabilities] = DestinationCapabilities(transactions=True, upsert=True)

    config: FileDestinationConfig

    def __init__(self, config: Any, context: Any) -> None:
        super().__init__(config, context)
        # What this very destination can do: of the formats, only Parquet can be upserted.
        object.__setattr__(self, "capabilities", replace(type(self).capabilities, upsert=self.config.format == "parquet"))
        self._loads: set[FileLoad] = set()

    def check(self) -> Iterator[CheckStep]:
        started = time.monotonic()
        root = self.root()
        exists = root.exists()
        if exists and not root.is_dir():
            raise ConfigError(f"{root} is not a folder.", remedy="Correct the path.")
        if not root.parent.is_dir():
            raise ConfigError(f"The folder {root.parent} does not exist.", remedy="Create it, or correct the path.")
        if not os.access(root if exists else root.parent, os.W_OK | os.X_OK):
            raise PermissionDeniedError(f"{root} cannot be written by uid {os.getuid()}.", remedy="Change its permissions.")
        yield CheckStep("Initiate test", True, time.monotonic() - started, str(root))
        started = time.monotonic()
        with self.typed_errors(root):
            tables = sum(1 for _ in root.glob(f"**/{MANIFEST_NAME}")) if exists else 0
        detail = f"{tables} tables." if exists else "The folder does not exist yet; the first sync makes it."
        yield CheckStep("Connectivity test", True, time.monotonic() - started, detail)

    def state(self, connector_id: str, collection: str) -> dict[str, StreamState]:
        found: dict[str, StateRow] = {}
        for _, manifest in self._manifests(collection):
            for row in manifest.states:
                if row.connector_id == connector_id and row.loads > (found[row.stream].loads if row.stream in found else 0):
                    found[row.stream] = row
        return {stream: StreamState(stream, row.epoch, row.sync_id, row.cursor, row.loads) for stream, row in found.items()}

    def open(self, target: LoadTarget) -> FileLoad:
        from syncterm.engine.destinations.file_load import FileLoad

        upsert = target.sync_mode is SyncMode.INCREMENTAL_UPSERT
        if upsert and not self.capabilities.upsert:
            raise ConfigError(
                f"{self.config.format} files cannot be upserted (stream {target.stream!r}).",
                remedy="Choose Parquet as the format, or the mode incremental append.",
            )
        check_target(target, fold if upsert else str)
        self.raise_if_interrupted()
        root = self.root()
        if not root.parent.is_dir():
            raise ConfigError(f"The folder {root.parent} does not exist.", remedy="Create it, or correct the path.")
        table = TableFolder(self.collection(target.collection) / folder_name(target.table))
        with self.typed_errors(table.path):
            elsewhere = [
                row for folder, manifest in self._manifests(target.collection) if folder != table.path for row in manifest.states
            ]
            table.make(root)
            load = FileLoad(self, table, target, elsewhere)
        self._loads.add(load)
        return load

    def release(self, connector_id: str, collection: str) -> None:
        for path, manifest in self._manifests(collection):
            if any(row.connector_id == connector_id for row in manifest.states):
                table = TableFolder(path)
                with self.typed_errors(path), table.locked(self.raise_if_interrupted):
                    settled = table.settle(table.read() or manifest)
                    table.publish(replace(settled, states=tuple(row for row in settled.states if row.connector_id != connector_id)))

    def interrupt(self) -> None:
        super().interrupt()
        for load in tuple(self._loads):
            load.interrupt()

    def close(self) -> None:
        for load in tuple(self._loads):
            load.abort()

    def forget(self, load: FileLoad) -> None:
        """Called by a load at its end."""
        self._loads.discard(load)

    def root(self) -> Path:
        """The destination's folder. Raises: ConfigError: where it may not be written."""
        return check_path(self.config.path, self.context)

    def collection(self, collection: str) -> Path:
        """The folder of a collection."""
        return self.root() / folder_name(collection) if collection else self.root()

    @contextmanager
    def typed_errors(self, path: Path) -> Iterator[None]:
        """Turn the system's and DuckDB's errors into ours.

        Raises:
            PermissionDeniedError: the user may not.
            DestinationError: naming the path: the disk is full, or the system's own words.
        """
        try:
            yield
        except OSError as error:
            where = error.filename or path
            if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left on device" in str(error):
                raise disk_full(where) from None
            if isinstance(error, PermissionError):
                raise PermissionDeniedError(
                    f"{where} cannot be written: {error.strerror}.", remedy="Change its permissions."
                ) from None
            raise DestinationError(f"{where} could not be written: {error.strerror or error}.") from None

    def _manifests(self, collection: str) -> Iterator[tuple[Path, Manifest]]:
        """Folder and manifest of every table of a collection."""
        for path in sorted(self.collection(collection).glob(f"*/{MANIFEST_NAME}")):
            manifest = TableFolder(path.parent).read()
            if manifest is not None:
                yield path.parent, manifest
