"""One load into SQLite: filled into a database of its own, then copied over in one transaction with its cursor."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

from syncterm.engine.deletes import DELETED_AT, DeletePlan
from syncterm.engine.destinations.base import STATE_TABLE, Load, LoadResult, LoadTarget
from syncterm.engine.destinations.merge import Merge, merge_errors
from syncterm.engine.destinations.pulled import PulledBatches
from syncterm.engine.destinations.rejected import null_key_faults, split
from syncterm.engine.destinations.rules import (
    check_epoch,
    check_ownership,
    disk_full,
    fold,
    keys_only,
    quote,
    replaces,
    schema_changed,
)
from syncterm.engine.destinations.sqlite import SQLiteDestination, read_state
from syncterm.engine.destinations.sqlite_values import Storage, declared_type, holds, value_faults
from syncterm.engine.destinations.staging import Staging, sweep
from syncterm.engine.errors import ConfigError, DestinationError
from syncterm.engine.model import DeleteHandling, RejectedRecord, SyncMode
from syncterm.engine.schema import Field

if TYPE_CHECKING:
    import pyarrow as pa

KEY_INDEX_PREFIX = "_syncterm_key_"
"""Of the unique index that an upserted table has on its key."""
_STAGE = 'stage."rows"'


class SQLiteLoad(Load):
    """See `Load`. Made by `SQLiteDestination.open`, which closes the connection where that fails."""

    def __init__(
        self, destination: SQLiteDestination, connection: sqlite3.Connection, path: Path, table: str, target: LoadTarget
    ) -> None:
        self.destination = destination
        self.connection = connection
        self.path = path
        self.name = table
        self.table = f"main.{quote(table)}"
        self.target = target
        self.upsert = target.sync_mode is SyncMode.INCREMENTAL_UPSERT
        self.existing: dict[str, tuple[str, str]] = {}
        """Folded name → (name, declared type) of the table's columns; empty where it does not exist. Read by `look`."""
        self.made_table = False
        self.staged = self.written = 0
        """Rows handed to `write`, and those left after older versions of a key."""
        self.keys_staged = False
        self._staging: Staging | None = None
        self._merge: Merge | None = None

    def look(self) -> None:
        """Read what is there; within a transaction.

        Raises:
            ConfigError: the table must not be replaced, or belongs to another collection's table of the same full name.
            SchemaChangedError: a column's type does not fit.
        """
        target = self.target
        columns = self.connection.execute("select name, type from pragma_table_info(?, 'main')", (self.name,)).fetchall()
        self.existing = {fold(name): (name, declared) for name, declared in columns}
        described = f"Table {quote(self.name)}"
        states = read_state(self.connection)
        for collection, row in states:
            if row.loads and fold(row.table_name) == fold(self.name) and collection != target.collection:
                raise ConfigError(
                    f"{described} is already used by the collection {collection!r}.",
                    remedy="Choose another table name or collection.",
                )
        rows = [row for collection, row in states if collection == target.collection]
        self.made_table = check_ownership(replace(target, table=self.name), rows, bool(self.existing), described)
        if replaces(target):
            return
        for field in target.fields:
            name, declared = self.existing.get(fold(field.name), (field.name, declared_type(field.type)))
            if not holds(declared, field.type):
                raise schema_changed(target, name, str(field.type), declared or "no type", described.lower())

    def make_staging(self) -> None:
        """Make the private folder, and clear away those of loads that died."""
        prefix = f".{self.path.name}.syncterm-"
        sweep(self.path.parent, prefix)
        self._staging = Staging(self.path.parent, prefix)

    def accept(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
        return self._storable(batch, self.target)

    def _storable(self, batch: pa.RecordBatch, target: LoadTarget) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
        return split(batch, null_key_faults(batch, target) + value_faults(batch, target.fields), target)

    def write(self, batches: Iterator[pa.RecordBatch]) -> None:
        poll = self.destination.raise_if_interrupted
        poll()
        if not self.upsert:
            self.staged = self.written = self._fill(batches, "rows", self.target.fields)
            return
        target = self.target
        merge = self._merge = Merge(self._folder(), target.fields, target.primary_key, target.cursor_field)
        with merge_errors(self.path, poll):
            self.staged = merge.stage(batches, poll)
            self.written = merge.distinct_keys()
            self._fill(merge.merged(None, target.fields, self.written), "rows", target.fields)
            merge.close()

    def write_keys(self, batches: Iterator[pa.RecordBatch]) -> None:
        self.destination.raise_if_interrupted()
        target = keys_only(self.target)
        self._fill((self._storable(batch, target)[0] for batch in batches), "keys", target.fields)
        with closing(sqlite3.connect(self._stage_path())) as connection:
            columns = ", ".join(f"c{number}" for number in range(len(target.fields)))
            connection.execute(f"create index key_index on keys ({columns})")
        self.keys_staged = True

    def forget_keys(self) -> None:
        self.keys_staged = False

    def commit(self, cursor: str | None) -> LoadResult:
        destination, connection = self.destination, self.connection
        try:
            destination.raise_if_interrupted()
            with destination.typed_errors():
                connection.execute("attach ? as stage", (str(self._stage_path()),))
                with destination.transaction(connection):
                    self._check_state()
                    self.look()
                    self._copy()
                    plan = self.target.deletes
                    gone = self._delete(plan) if plan is not None and self.keys_staged else LoadResult(0)
                    self._save_state(cursor)
                    destination.raise_if_interrupted()
        finally:
            self.abort()
        return replace(gone, written=self.written, superseded=self.staged - self.written)

    def abort(self) -> None:
        with suppress(sqlite3.Error):  # whatever is wrong with the connection, it is gone afterwards
            self.connection.close()
        if self._merge is not None:
            self._merge.close()
        if self._staging is not None:
            self._staging.end()
        self.destination.forget(self)

    def interrupt(self) -> None:
        """Make what runs in another thread end soon; between batches the destination's flag is polled."""
        with suppress(sqlite3.Error):  # closed in the meantime
            self.connection.interrupt()
        merge = self._merge
        if merge is not None:
            merge.interrupt()

    def _fill(self, batches: Iterator[pa.RecordBatch], table: str, fields: tuple[Field, ...]) -> int:
        """Write rows into a table of the load's own database; how many. What the iterator raises comes back as it is."""
        from adbc_driver_manager import Error as DriverError
        from adbc_driver_sqlite import dbapi

        path = self._stage_path()
        storage = Storage(fields)
        rows = 0

        def stored() -> Iterator[pa.RecordBatch]:
            nonlocal rows
            for batch in batches:
                rows += batch.num_rows
                yield from storage.convert(batch)

        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        columns = ", ".join(f"c{number} {declared_type(field.type)}" for number, field in enumerate(fields))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"create table {quote(table)} ({columns})")
        pulled = PulledBatches(stored(), storage.schema(), self.destination.raise_if_interrupted)
        try:
            with pulled.own_errors(), dbapi.connect(str(path), autocommit=True) as staging, staging.cursor() as cursor:
                cursor.execute("pragma journal_mode = off")
                cursor.fetchall()
                cursor.execute("pragma synchronous = off")
                staging.adbc_connection.set_autocommit(False)  # the driver's own transaction would hide why it failed
                cursor.adbc_ingest(table, pulled.reader, mode="append")
                staging.adbc_connection.commit()
        except DriverError as error:
            if "disk is full" in str(error):
                raise disk_full(self.path) from None
            raise DestinationError(f"The rows for {self.path} could not be staged: {error}") from None
        return rows

    def _copy(self) -> None:
        """Bring the staged rows into the table; within the transaction."""
        connection, table, fields = self.connection, self.table, self.target.fields
        delivered = {fold(field.name): field for field in fields}
        instead = replaces(self.target)
        fits = all(key not in delivered or holds(declared, delivered[key].type) for key, (_, declared) in self.existing.items())
        if not self.existing or (instead and not fits):
            self._make_table(delivered)
        else:
            if instead:
                connection.execute(f"delete from {table}")
            for key, field in delivered.items():
                if key not in self.existing:
                    connection.execute(f"alter table {table} add column {quote(field.name)} {declared_type(field.type)}")
        present = [name for (name,) in connection.execute("select name from pragma_table_info(?, 'main')", (self.name,))]
        names = [field.name for field in fields]
        into = table if present == names else f"{table} ({', '.join(map(quote, names))})"
        rows = f"insert into {into} select * from {_STAGE}"
        if instead or not self.existing or not self.upsert:  # a copy without an index is many times as fast
            self._drop_key_index(unless=())
            copied = connection.execute(rows).rowcount
            if self.upsert:
                self._make_key_index()
        else:
            self._make_key_index()
            key = ", ".join(map(quote, self.target.primary_key))
            changed = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in names)
            copied = connection.execute(f"{rows} where true on conflict ({key}) do update set {changed}").rowcount
        if copied != self.written:
            raise DestinationError(f"{copied} rows arrived in table {quote(self.name)} of {self.path}, not {self.written}.")

    def _delete(self, plan: DeletePlan) -> LoadResult:
        """Mark or remove the records whose keys are not listed; within the transaction."""
        connection, mark = self.connection, quote(DELETED_AT.name)
        marks = plan.handling is DeleteHandling.MARK
        key = [f"{self.table}.{quote(name)}" for name in self.target.primary_key]
        same_key = " and ".join(f"{column} = keys.c{number}" for number, column in enumerate(key))
        listed = f"exists (select 1 from stage.keys as keys where {same_key})"
        gone = " and ".join(f"{column} is not null" for column in key) + f" and not {listed}"
        if marks:
            gone += f" and {mark} is null"
            connection.execute(f"update {self.table} set {mark} = null where {mark} is not null and {listed}")
        live = f" where {mark} is null" if marks else ""
        held = connection.execute(f"select count(*) from {self.table}{live}").fetchone()[0]
        missing = connection.execute(f"select count(*) from {self.table} where {gone}").fetchone()[0]
        if not plan.allows(missing, held):
            return LoadResult(0, withheld=missing, held=held)
        if missing and marks:
            noticed = plan.noticed_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            connection.execute(f"update {self.table} set {mark} = ? where {gone}", (noticed,))
        elif missing:
            connection.execute(f"delete from {self.table} where {gone}")
        return LoadResult(0, deleted=missing)

    def _make_table(self, delivered: Mapping[str, Field]) -> None:
        """Make the table, in the place of one whose types do not fit; columns that the stream no longer has stay, empty."""
        columns = [f"{quote(field.name)} {declared_type(field.type)}" for field in delivered.values()]
        columns += [f"{quote(name)} {declared}" for key, (name, declared) in self.existing.items() if key not in delivered]
        self.connection.execute(f"drop table if exists {self.table}")
        self.connection.execute(f"create table {self.table} ({', '.join(columns)})")

    def _drop_key_index(self, *, unless: tuple[str, ...]) -> None:
        """Drop the index on the key, unless it is on just these columns."""
        index = KEY_INDEX_PREFIX + self.name
        columns = [fold(name) for (name,) in self.connection.execute("select name from pragma_index_info(?, 'main')", (index,))]
        if columns and columns != [fold(name) for name in unless]:
            self.connection.execute(f"drop index main.{quote(index)}")

    def _make_key_index(self) -> None:
        """See that there is a unique index on the key. Raises: ConfigError: where the table holds a key twice."""
        key = self.target.primary_key
        self._drop_key_index(unless=key)
        index = f"main.{quote(KEY_INDEX_PREFIX + self.name)}"
        try:
            self.connection.execute(
                f"create unique index if not exists {index} on {quote(self.name)} ({', '.join(map(quote, key))})"
            )
        except sqlite3.IntegrityError:
            raise ConfigError(
                f"Table {quote(self.name)} cannot be upserted: it holds some keys ({', '.join(key)}) more than once.",
                remedy="Run a historical re-sync, or choose another key.",
            ) from None

    def _state_row(self) -> tuple[str, str, str]:
        return (self.target.connector_id, self.target.collection, self.target.stream)

    def _check_state(self) -> None:
        """Raises: StaleEpochError; ConfigError: where the connector was deleted while this load ran."""
        found = self.connection.execute(
            f"select epoch from main.{quote(STATE_TABLE)} where connector_id = ? and collection = ? and stream = ?",
            self._state_row(),
        ).fetchone()
        if found is None:
            raise ConfigError(f"The state of stream {self.target.stream!r} was removed while it was loaded.", remedy="Sync again.")
        check_epoch(self.target, found[0])

    def _save_state(self, cursor: str | None) -> None:
        self.connection.execute(
            f"update main.{quote(STATE_TABLE)} set table_name = ?, epoch = ?, sync_id = ?, cursor = ?, loads = loads + 1, rows = ?,"
            " made_table = ? where connector_id = ? and collection = ? and stream = ?",
            (self.name, self.target.epoch, self.target.sync_id, cursor, self.written, self.made_table, *self._state_row()),
        )

    def _folder(self) -> Path:
        if self._staging is None:
            raise RuntimeError("the load was not opened")
        return self._staging.path

    def _stage_path(self) -> Path:
        return self._folder() / "rows.staged"
