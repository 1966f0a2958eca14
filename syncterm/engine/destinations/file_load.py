"""One load into a folder of files: written aside, then published with its cursor by the rename of a manifest."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from syncterm.engine.destinations.base import Load, LoadResult, LoadTarget
from syncterm.engine.destinations.file import FileDestination
from syncterm.engine.destinations.manifest import STAGED_NAME, STAGING_PREFIX, Manifest, Obsolete, Pending, TableFolder, sync_file
from syncterm.engine.destinations.merge import Merge, merge_errors
from syncterm.engine.destinations.parquet_rows import ParquetPart, conform, part_reader
from syncterm.engine.destinations.rejected import null_key_faults, split
from syncterm.engine.destinations.rules import (
    StateRow,
    check_epoch,
    check_ownership,
    fold,
    holds,
    replaces,
    schema_changed,
)
from syncterm.engine.destinations.spelling import SpellingCheck, strict_json_faults
from syncterm.engine.destinations.staging import Staging, sweep
from syncterm.engine.destinations.text_lines import TextPart, range_faults
from syncterm.engine.errors import ConfigError, DestinationError
from syncterm.engine.model import RejectedRecord, SyncMode
from syncterm.engine.schema import Field, arrow_schema, parse_type

if TYPE_CHECKING:
    import pyarrow as pa


class FileLoad(Load):
    """See `Load`. Making one claims the stream."""

    def __init__(self, destination: FileDestination, table: TableFolder, target: LoadTarget, elsewhere: list[StateRow]) -> None:
        """`elsewhere`: the state rows of the collection's other tables."""
        self.destination = destination
        self.table = table
        self.target = target
        self.upsert = target.sync_mode is SyncMode.INCREMENTAL_UPSERT
        self.staged = 0
        """Rows handed to `write`."""
        self._published = self._settled = False
        self._spelling = SpellingCheck()
        self._merge: Merge | None = None
        ours = [row for row in elsewhere if (row.connector_id, row.stream) == (target.connector_id, target.stream)]
        self._loads_elsewhere = max((row.loads for row in ours), default=0)
        with table.locked(destination.raise_if_interrupted):
            manifest = self._claim(elsewhere)
            self.staging = Staging(table.path, STAGING_PREFIX)
        self.file = self.staging.path / STAGED_NAME
        self.fields = self._table_fields(manifest)
        """The columns of the part that `write` stages."""

    def accept(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
        faults = null_key_faults(batch, self.target)
        text_format = self.destination.config.format
        if text_format != "parquet":
            faults += range_faults(batch, self.target.fields)
        if text_format == "jsonl":
            for field in self.target.fields:
                if field.type.name == "json":
                    faults += self._spelling.faults(batch, field) + strict_json_faults(batch, field)
        return split(batch, faults, self.target)

    def write(self, batches: Iterator[pa.RecordBatch]) -> None:
        if self.upsert:
            merge = self._merge = Merge(self.staging.path, self.target.fields, self.target.primary_key, self.target.cursor_field)
            with self._typed_errors():
                self.staged = merge.stage(batches, self.destination.raise_if_interrupted)
        else:
            self.staged = self._write_part(batches, self.fields)

    def commit(self, cursor: str | None) -> LoadResult:
        self.destination.raise_if_interrupted()
        try:
            with self.destination.typed_errors(self.table.path):
                return self._commit(cursor)
        finally:
            self.abort()

    def abort(self) -> None:
        if self._merge is not None:
            self._merge.close()
            self._merge = None
        self.staging.end(keep=self._published and not self._settled)
        self.destination.forget(self)

    def interrupt(self) -> None:
        """Make a merge that runs in another thread end soon. Between batches the destination's flag is polled."""
        merge = self._merge
        if merge is not None:
            merge.interrupt()

    def _commit(self, cursor: str | None) -> LoadResult:
        target, table = self.target, self.table
        with table.locked(self.destination.raise_if_interrupted):
            manifest = table.settle(self._current())
            fields = self._table_fields(manifest)
            changes = bool(self.staged or replaces(target) or not manifest.parts)
            written = self._merge_parts(manifest, fields) if self.upsert and changes else self.staged
            self.destination.raise_if_interrupted()
            state = manifest.state(target.connector_id, target.stream)
            if state is None:  # the connector was deleted while this load ran
                raise ConfigError(f"The state of stream {target.stream!r} was removed while it was loaded.", remedy="Sync again.")
            check_epoch(target, state.epoch)
            if changes:
                manifest = self._with_part(manifest, fields)
            manifest = manifest.with_state(
                replace(
                    state,
                    epoch=target.epoch,
                    sync_id=target.sync_id,
                    cursor=cursor,
                    loads=max(state.loads, self._loads_elsewhere) + 1,
                    rows=written,
                    table_name=target.table,
                )
            )
            table.publish(manifest)
            self._published = True
            with suppress(OSError):  # the commit stands; whoever opens the table next does it
                table.settle(manifest)
                self._settled = True
        return LoadResult(written=written, superseded=self.staged - written)

    def _claim(self, elsewhere: Iterable[StateRow]) -> Manifest:
        """Put the table in order, refuse what must be refused, and note the epoch; the lock is held.

        Raises:
            StaleEpochError, ConfigError, SchemaChangedError: see `Destination.open`.
        """
        target, table = self.target, self.table
        found = table.read()
        if found is None and (strangers := table.strangers()):
            raise ConfigError(
                f"The folder {table.path} holds files that syncterm did not make ({', '.join(map(repr, strangers[:3]))}).",
                remedy="Choose another table name, or move them.",
            )
        manifest = table.settle(found or Manifest(self.destination.config.suffix))
        sweep(table.path, STAGING_PREFIX)
        rows = [*manifest.states, *elsewhere]
        for row in rows:
            if (row.connector_id, row.stream) == (target.connector_id, target.stream):
                check_epoch(target, row.epoch)
        check_ownership(target, rows, manifest.parts > 0, f"The table in {table.path}", str)
        self._table_fields(manifest)
        state = manifest.state(target.connector_id, target.stream)
        if state is None:
            state = StateRow(target.connector_id, target.stream, target.table, target.epoch, target.sync_id, None, 0, 0, True)
        manifest = manifest.with_state(replace(state, epoch=target.epoch))
        table.publish(manifest)
        return manifest

    def _current(self) -> Manifest:
        manifest = self.table.read()
        if manifest is None:
            raise DestinationError(f"The manifest of {self.table.path} was removed while it was loaded.", remedy="Sync again.")
        return manifest

    def _table_fields(self, manifest: Manifest) -> tuple[Field, ...]:
        """The columns of the table after this load: those it has, then new ones; in a new generation the load's own first.

        Raises:
            SchemaChangedError: a column's type does not fit those of the parts that stay.
            ConfigError: the format of the parts that stay is another one.
        """
        target = self.target
        existing = tuple(Field(name, parse_type(type_)) for name, type_ in manifest.fields)
        if replaces(target) or not manifest.parts:
            delivered = {field.name for field in target.fields}
            return (*target.fields, *(field for field in existing if field.name not in delivered))
        if manifest.suffix != self.destination.config.suffix:
            raise ConfigError(
                f"The table in {self.table.path} consists of {manifest.suffix} files;"
                f" {self.destination.config.suffix} files cannot be added to it.",
                remedy="Keep the format, choose another table name, or run a historical re-sync.",
            )
        delivered_fields = {field.name: field for field in target.fields}
        for field in existing:
            new = delivered_fields.pop(field.name, None)
            if new is not None and not holds(field.type, new.type):
                raise schema_changed(target, field.name, str(new.type), str(field.type), f"the table in {self.table.path}")
        if self.upsert and len({fold(name) for name in (*delivered_fields, *(field.name for field in existing))}) < len(
            delivered_fields
        ) + len(existing):
            raise ConfigError(
                f"The table in {self.table.path} would have columns that differ only in letter case; it cannot be upserted.",
                remedy="Leave one of them out, or choose an append mode.",
            )
        return (*existing, *delivered_fields.values())

    def _merge_parts(self, manifest: Manifest, fields: tuple[Field, ...]) -> int:
        """Write the part that an upsert results in; how many of the staged rows were the newest of their key."""
        merge = self._merge
        if merge is None:
            raise RuntimeError("commit before write")
        parts = [self.table.part(manifest.suffix, number) for number in range(manifest.parts)]
        old = None if replaces(self.target) or not parts else partial(part_reader, parts, arrow_schema(fields))
        with self._typed_errors():
            distinct = merge.distinct_keys()
            self._write_part(merge.merged(old, fields, distinct), fields)
        return distinct

    def _with_part(self, manifest: Manifest, fields: tuple[Field, ...]) -> Manifest:
        """The manifest that promises the staged file its place: behind the other parts, or instead of them."""
        suffix = self.destination.config.suffix
        instead = self.upsert or replaces(self.target)
        number = 0 if instead else manifest.parts
        obsolete = None
        if instead and manifest.parts:
            obsolete = Obsolete(manifest.suffix, 1 if manifest.suffix == suffix else 0, manifest.parts)
        return replace(
            manifest,
            suffix=suffix,
            parts=number + 1,
            fields=tuple((field.name, str(field.type)) for field in fields),
            pending=Pending(f"{self.staging.path.name}/{STAGED_NAME}", number),
            obsolete=obsolete,
        )

    def _write_part(self, batches: Iterator[pa.RecordBatch], fields: tuple[Field, ...]) -> int:
        """Write the staged file, durably; how many rows it has. What the iterator raises comes back as it is."""
        path, schema = self.file, arrow_schema(fields)
        rows = 0
        with self._typed_errors():
            part = self._new_part(fields)
        try:
            for batch in batches:
                self.destination.raise_if_interrupted()
                with self._typed_errors():
                    part.write(conform(batch, schema))
                rows += batch.num_rows
            with self._typed_errors():
                part.close()
                sync_file(path)
        except BaseException:
            part.discard()
            raise
        return rows

    def _new_part(self, fields: tuple[Field, ...]) -> ParquetPart | TextPart:
        config, path = self.destination.config, self.file
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        if config.format == "parquet":
            return ParquetPart(path, fields, config.codec)
        return TextPart(path, fields, config.format, None if config.codec == "none" else config.codec)

    @contextmanager
    def _typed_errors(self) -> Iterator[None]:
        """Turn the system's errors and DuckDB's into ours. Raises: CancelledSyncError, DestinationError."""
        with merge_errors(self.table.path, self.destination.raise_if_interrupted), self.destination.typed_errors(self.table.path):
            yield
