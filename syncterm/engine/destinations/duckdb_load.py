"""One load into DuckDB: staged, checked, and published in one transaction with its cursor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from syncterm.engine.deletes import DELETED_AT, DeletePlan
from syncterm.engine.destinations.base import Load, LoadResult, LoadTarget
from syncterm.engine.destinations.duckdb import DuckDBDestination, Place, read_state, roll_back
from syncterm.engine.destinations.pulled import PulledBatches
from syncterm.engine.destinations.rejected import null_key_faults, split
from syncterm.engine.destinations.rules import check_epoch, check_ownership, fold, keys_only, quote, replaces, schema_changed
from syncterm.engine.destinations.spelling import SpellingCheck
from syncterm.engine.errors import ConfigError, DestinationError
from syncterm.engine.model import DeleteHandling, RejectedRecord, SyncMode
from syncterm.engine.schema import LogicalType, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

SQL_TYPES = {
    "boolean": "BOOLEAN",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "uint64": "UBIGINT",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "text": "VARCHAR",
    "binary": "BLOB",
    "date": "DATE",
    "time": "TIME",
    "timestamp": "TIMESTAMP",
    "timestamptz": "TIMESTAMP WITH TIME ZONE",
    "json": "JSON",
    "uuid": "UUID",
}
"""Logical type → DuckDB type, as DuckDB spells it; `decimal(p,s)` is `DECIMAL(p,s)`."""

_HOLDS = {
    "SMALLINT": {"TINYINT", "UTINYINT"},
    "INTEGER": {"TINYINT", "UTINYINT", "SMALLINT", "USMALLINT"},
    "BIGINT": {"TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER"},
    "HUGEINT": {"TINYINT", "UTINYINT", "SMALLINT", "USMALLINT", "INTEGER", "UINTEGER", "BIGINT", "UBIGINT"},
    "DOUBLE": {"FLOAT", "SMALLINT", "INTEGER"},
    "VARCHAR": {"JSON", "UUID"},
}
"""Type of an existing column → types that it can hold without loss, apart from its own."""
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_STAGE = 'temp."_syncterm_stage"'
_KEYS = 'temp."_syncterm_keys"'
_KEPT = 'temp."_syncterm_kept"'
_INCOMING = "_syncterm_incoming"


def sql_type(type_: LogicalType) -> str:
    """The DuckDB type of a logical type."""
    return f"DECIMAL({type_.precision},{type_.scale})" if type_.name == "decimal" else SQL_TYPES[type_.name]


def holds(existing: str, wanted: str) -> bool:
    """Whether a column of one DuckDB type can hold every value of another."""
    if existing == wanted or wanted in _HOLDS.get(existing, ()):
        return True
    have, want = _DECIMAL.fullmatch(existing), _DECIMAL.fullmatch(wanted)
    if have is None or want is None:
        return False
    scale = int(have[2]) - int(want[2])
    return scale >= 0 and int(have[1]) - int(want[1]) >= scale


def _cast_columns(target: LoadTarget) -> str:
    """What is selected of incoming rows: the target's columns in their types."""
    return ", ".join(f"cast({quote(field.name)} as {sql_type(field.type)}) as {quote(field.name)}" for field in target.fields)


class DuckDBLoad(Load):
    """See `Load`. Made by `DuckDBDestination.open`, which closes the connection where making it fails."""

    def __init__(self, destination: DuckDBDestination, connection: DuckDBPyConnection, within: Place, target: LoadTarget) -> None:
        self.destination = destination
        self.connection = connection
        self.within = within
        self.target = target
        self.table = within.table(target.table)
        self.existing = self._existing_columns()
        """Folded name → (name, DuckDB type) of the table's columns; empty where it does not exist."""
        self.made_table = check_ownership(target, read_state(connection, within), bool(self.existing), f"Table {self.table}")
        self.anew = replaces(target) or not self.existing
        """Whether the table is made by this load."""
        if not self.anew:
            self._check_types()
        self.staged = 0
        """Rows handed to `write`."""
        self.keys_staged = False
        self._spelling = SpellingCheck()

    def accept(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
        return self._storable(batch, self.target)

    def _storable(self, batch: pa.RecordBatch, target: LoadTarget) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
        faults = null_key_faults(batch, target)
        for field in target.fields:
            faults += self._spelling.faults(batch, field)
        return split(batch, faults, target)

    def write(self, batches: Iterator[pa.RecordBatch]) -> None:
        destination = self.destination
        destination.raise_if_interrupted()
        pulled = PulledBatches(batches, arrow_schema(self.target.fields), destination.raise_if_interrupted)
        with pulled.own_errors(), destination.typed_errors():
            self.connection.register(_INCOMING, pulled.reader)
            self.staged = self._stage()
            self.connection.unregister(_INCOMING)

    def write_keys(self, batches: Iterator[pa.RecordBatch]) -> None:
        destination, target = self.destination, keys_only(self.target)
        destination.raise_if_interrupted()
        columns = _cast_columns(target)
        storable = (self._storable(batch, target)[0] for batch in batches)
        pulled = PulledBatches(storable, arrow_schema(target.fields), destination.raise_if_interrupted)
        with pulled.own_errors(), destination.typed_errors():
            self.connection.register(_INCOMING, pulled.reader)
            self.connection.execute(f"create temp table {_KEYS} as select distinct {columns} from {_INCOMING}").fetchall()
            self.connection.unregister(_INCOMING)
        self.keys_staged = True

    def forget_keys(self) -> None:
        self.keys_staged = False

    def commit(self, cursor: str | None) -> LoadResult:
        destination, target = self.destination, self.target
        destination.raise_if_interrupted()
        try:
            with destination.typed_errors():
                written = self._merge() if target.sync_mode is SyncMode.INCREMENTAL_UPSERT else self.staged
                gone = self._delete(target.deletes) if target.deletes is not None and self.keys_staged else LoadResult(0)
                self._save_state(cursor, written)
                destination.raise_if_interrupted()
                self.connection.commit()
        except BaseException as error:
            self._explain(error)
            raise
        finally:
            self._end()
        return replace(gone, written=written, superseded=self.staged - written)

    def abort(self) -> None:
        self._end()

    def _stage(self) -> int:
        """Move the incoming rows into the file or into a temporary table; how many they were."""
        rows = f"select {_cast_columns(self.target)} from {_INCOMING}"
        if self.target.sync_mode is SyncMode.INCREMENTAL_UPSERT:
            statement = f"create temp table {_STAGE} as {rows}"
        else:
            self.connection.begin()
            statement = self._publish(rows)
        count: int = self.connection.execute(statement).fetchall()[0][0]
        return count

    def _publish(self, rows: str) -> str:
        """The statement that puts the rows of a query into the table: made anew, or added to."""
        if self.anew:
            names = {fold(field.name) for field in self.target.fields}
            kept = "".join(
                f", cast(null as {type_}) as {quote(name)}" for key, (name, type_) in self.existing.items() if key not in names
            )
            return f"create or replace table {self.table} as select *{kept} from ({rows})"
        for field in self.target.fields:
            if fold(field.name) not in self.existing:
                self.connection.execute(f"alter table {self.table} add column {quote(field.name)} {sql_type(field.type)}")
        return f"insert into {self.table} ({self._names()}) {rows}"

    def _merge(self) -> int:
        """Bring the staged rows into the table by key; how many were left after older versions of a key."""
        keys = ", ".join(quote(name) for name in self.target.primary_key)
        newest = f"{quote(self.target.cursor_field)} desc nulls last, rowid desc" if self.target.cursor_field else "rowid desc"
        connection = self.connection
        connection.begin()
        distinct = connection.execute(f"select count(*) from (select distinct {keys} from {_STAGE})").fetchall()[0][0]
        rows = f"select {self._names()} from {_STAGE}"
        if distinct < self.staged:
            rows += f" qualify row_number() over (partition by {keys} order by {newest}) = 1"
        if self.anew:
            return self._arrived(connection.execute(self._publish(rows)).fetchall()[0][0], distinct)
        same_key = " and ".join(f"target.{quote(name)} = stage.{quote(name)}" for name in self.target.primary_key)
        names = {fold(field.name) for field in self.target.fields}
        kept = [quote(name) for key, (name, _) in self.existing.items() if key not in names]
        insert = self._publish(rows)
        if kept:  # columns that the stream no longer has keep their values
            first = ", ".join(f"first({name}) as {name}" for name in kept)
            matched = f"{self.table} as target where exists (select 1 from {_STAGE} as stage where {same_key})"
            connection.execute(f"create temp table {_KEPT} as select {keys}, {first} from {matched} group by {keys}")
            columns = ", ".join(f"stage.{quote(field.name)}" for field in self.target.fields)
            insert = (
                f"insert into {self.table} ({self._names()}, {', '.join(kept)})"
                f" select {columns}, {', '.join('target.' + name for name in kept)}"
                f" from ({rows}) as stage left join {_KEPT} as target on {same_key}"
            )
        connection.execute(f"delete from {self.table} as target using {_STAGE} as stage where {same_key}")
        return self._arrived(connection.execute(insert).fetchall()[0][0], distinct)

    def _delete(self, plan: DeletePlan) -> LoadResult:
        """Mark or remove the records whose keys are not listed; within the transaction."""
        connection, mark = self.connection, quote(DELETED_AT.name)
        marks = plan.handling is DeleteHandling.MARK
        known = " and ".join(f"target.{quote(name)} is not null" for name in self.target.primary_key)
        same_key = " and ".join(f"target.{quote(name)} = keys.{quote(name)}" for name in self.target.primary_key)
        listed = f"exists (select 1 from {_KEYS} as keys where {same_key})"
        gone = f"{known} and not {listed}" + (f" and target.{mark} is null" if marks else "")
        if marks:
            connection.execute(
                f"update {self.table} as target set {mark} = null where {mark} is not null and {known} and {listed}"
            ).fetchall()
        held = connection.execute(f"select count(*) from {self.table}{f' where {mark} is null' if marks else ''}").fetchall()[0][0]
        missing = connection.execute(f"select count(*) from {self.table} as target where {gone}").fetchall()[0][0]
        if not plan.allows(missing, held):
            return LoadResult(0, withheld=missing, held=held)
        if missing and marks:
            connection.execute(f"update {self.table} as target set {mark} = ? where {gone}", [plan.noticed_at]).fetchall()
        elif missing:
            connection.execute(f"delete from {self.table} as target where {gone}").fetchall()
        return LoadResult(0, deleted=missing)

    def _arrived(self, written: int, expected: int) -> int:
        if written != expected:
            raise DestinationError(f"{written} rows arrived in table {self.table}, not {expected}.")
        return written

    def _save_state(self, cursor: str | None, written: int) -> None:
        """Write the state row, within the data's transaction. Raises: StaleEpochError."""
        target, state = self.target, self.within.state_table
        key = [target.connector_id, target.stream]
        epoch = self.connection.execute(f"select epoch from {state} where connector_id = ? and stream = ?", key).fetchall()
        if epoch:
            check_epoch(target, epoch[0][0])
        else:  # the connector was deleted while this load ran
            raise ConfigError(f"The state of stream {target.stream!r} was removed while it was loaded.", remedy="Sync again.")
        self.connection.execute(
            f'update {state} set table_name = ?, epoch = ?, sync_id = ?, "cursor" = ?, loads = loads + 1, "rows" = ?,'
            " made_table = ? where connector_id = ? and stream = ?",
            [target.table, target.epoch, target.sync_id, cursor, written, self.made_table, *key],
        )

    def _explain(self, error: BaseException) -> None:
        """After a commit that failed: where a newer epoch is the cause, say so. Raises: StaleEpochError."""
        import duckdb

        roll_back(self.connection)
        try:
            rows = read_state(self.connection, self.within)
        except duckdb.Error:
            return
        for row in rows:
            if (row.connector_id, row.stream) == (self.target.connector_id, self.target.stream):
                check_epoch(self.target, row.epoch)

    def _end(self) -> None:
        self.destination.disconnect(self.connection)

    def _names(self) -> str:
        return ", ".join(quote(field.name) for field in self.target.fields)

    def _existing_columns(self) -> dict[str, tuple[str, str]]:
        if not self.within.has(self.connection, self.target.table):
            return {}
        rows = self.connection.execute(f"describe {self.table}").fetchall()
        return {fold(column): (column, type_) for column, type_, *_ in rows}

    def _check_types(self) -> None:
        for field in self.target.fields:
            name, existing = self.existing.get(fold(field.name), (field.name, sql_type(field.type)))
            if not holds(existing, sql_type(field.type)):
                raise schema_changed(self.target, name, str(field.type), existing, f"table {self.table}")
