"""One load into PostgreSQL: staged, and published in the transaction that moves its cursor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from syncterm.engine.deletes import DeletePlan
from syncterm.engine.destinations.base import Load, LoadResult, LoadTarget
from syncterm.engine.destinations.postgres import BEGIN, RESERVED, PostgresDestination, state_table
from syncterm.engine.destinations.postgres_csv import csv_pieces
from syncterm.engine.destinations.postgres_table import (
    Table,
    add_columns_sql,
    check_types,
    column_list,
    create_sql,
    delete_statements,
    find_table,
    fresh_name,
    grants_or_bound,
    has_key,
    keep_columns_sql,
    key_sql,
    keys_sql,
    latest_sql,
    merge_sql,
    state_update_sql,
)
from syncterm.engine.destinations.rejected import Fault, null_key_faults, split
from syncterm.engine.destinations.rules import check_epoch, check_ownership, keys_only, replaces
from syncterm.engine.destinations.spelling import SpellingCheck, strict_json_faults
from syncterm.engine.errors import ConfigError, DestinationError, DestinationUnavailableError, SynctermError
from syncterm.engine.model import RejectedRecord, SyncMode
from syncterm.engine.postgres import quote_name
from syncterm.engine.postgres_types import column_sql, max_length
from syncterm.engine.schema import Field

if TYPE_CHECKING:
    import pyarrow as pa
    from asyncpg import Connection

_VALIDATED = ("json", "jsonb", "uuid")
"""Native types whose values a PostgreSQL source has validated."""


class PostgresLoad(Load):
    """A stream's rows on their way into a table.

    Args:
        connection: this load's alone.
        schema: the target's.

    Raises:
        ConfigError: the table exists and may not be replaced, or is not a table.
        SchemaChangedError: a column exists whose type does not hold what the stream delivers.
    """

    def __init__(self, destination: PostgresDestination, connection: Connection, schema: str, target: LoadTarget) -> None:
        self.destination = destination
        self.target = target
        self.expected_loads = 0
        """How many loads the stream's state row counts while nobody else commits."""
        self._connection = connection
        self._session = destination.session
        self._schema = schema
        self._name = f"{quote_name(schema)}.{quote_name(target.table)}"
        self._described = f"table {schema}.{target.table}"
        self._replaces = replaces(target)
        self._upserts = target.sync_mode is SyncMode.INCREMENTAL_UPSERT
        self._stage: str | None = None
        """The stage's bare name; None where rows go straight into the table."""
        self._staged = 0
        self._keys: str | None = None
        """The bare name of the table of listed keys."""
        self._spelling = SpellingCheck()
        self._table = self._find(target.table)
        self.has_state = destination.has_state(connection, schema)
        rows = destination.read_state(connection, schema) if self.has_state else []
        self.made_table = check_ownership(target, rows, self._table is not None, self._described, same=str)
        if self._table is not None and not self._replaces:
            check_types(self._table, target, self._described)

    def add_columns(self) -> None:
        """Add what the table lacks, in a transaction of its own: within the load's, readers would wait until its end."""
        if self._table is not None and not self._replaces:
            self._execute(add_columns_sql(self._table, self.target, self._name))

    def accept(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
        return self._storable(batch, self.target)

    def _storable(self, batch: pa.RecordBatch, target: LoadTarget) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
        faults = null_key_faults(batch, target)
        for field in target.fields:
            faults += self._faults(batch, field)
        return split(batch, faults, target)

    def _faults(self, batch: pa.RecordBatch, field: Field) -> list[Fault]:
        import pyarrow as pa
        import pyarrow.compute as pc

        column = batch.column(field.name)
        if not pa.types.is_string(column.type):
            return []
        faults = []
        nul = pc.match_substring(column, "\0")
        if nul.true_count:
            why = "holds U+0000, which PostgreSQL cannot store"
            faults.append(Fault(field.name, "nul_character", why, pc.fill_null(nul, False)))
        native = column_sql(field)
        limit = max_length(native)
        if limit is not None:
            long = pc.fill_null(pc.greater(pc.utf8_length(column), limit), False)
            if long.true_count:
                faults.append(Fault(field.name, "too_long", f"is longer than {native} holds", long))
        if field.native not in _VALIDATED:
            faults += self._spelling.faults(batch, field) + strict_json_faults(batch, field)
        return faults

    def write(self, batches: Iterator[pa.RecordBatch]) -> None:
        table = self.target.table
        create = ""
        if self._replaces or self._upserts:
            table = self._stage = fresh_name(f"{RESERVED}stage_")
            create = create_sql(self.target, self._qualified(table), stage=self._upserts)
        elif self._table is None:
            create = create_sql(self.target, self._name)
        self._execute(f"{BEGIN}; {create}")
        if not self.target.fields:
            for _ in batches:  # rows without columns carry nothing
                pass
            return
        command: dict[str, Any] = {
            "table_name": table,
            "schema_name": self._schema,
            "columns": [field.name for field in self.target.fields],
            "format": "csv",
            "encoding": "utf8",
        }
        if self._replaces and not self._upserts:
            command["freeze"] = True  # written once for good; allowed for a table of the same transaction
        self._staged = self._session.copy_in(self._connection, command, csv_pieces(batches))

    def write_keys(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._keys = fresh_name(f"{RESERVED}keys_")
        name = self._qualified(self._keys)
        self._execute(keys_sql(self.target, name))
        command = {"table_name": self._keys, "schema_name": self._schema, "format": "csv", "encoding": "utf8"}
        target = keys_only(self.target)
        storable = (self._storable(batch, target)[0] for batch in batches)
        self._session.copy_in(self._connection, command, csv_pieces(storable))
        self._execute(f"ANALYZE {name}", unlimited=True)

    def forget_keys(self) -> None:
        self._execute(f"DROP TABLE {self._qualified(self._keys or '')}")
        self._keys = None

    def commit(self, cursor: str | None) -> LoadResult:
        try:
            written = self._publish()
            gone = self._delete(self.target.deletes) if self.target.deletes is not None and self._keys else LoadResult(0)
            state = state_table(self._schema)
            update = state_update_sql(self.target, state, cursor, written, self.made_table, self.expected_loads)
            if self._execute(update) != "UPDATE 1":
                self._execute("ROLLBACK")
                self._refuse()
            self._end_transaction()
        except BaseException:
            self.abort()
            raise
        self._session.release(self._connection)
        return replace(gone, written=written, superseded=self._staged - written)

    def abort(self) -> None:
        self._session.roll_back(self._connection)

    def _publish(self) -> int:
        """Put the staged rows in their place; how many there are."""
        if self._stage is None:
            return self._staged
        stage = self._qualified(self._stage)
        current = self._find(self.target.table)
        if current is not None and self._table is None:
            raise ConfigError(f"{self._described} was made by somebody else meanwhile.", remedy="Sync again.")
        if self._upserts and current is not None and not self._replaces:
            if not has_key(self._session, self._connection, current, self.target.primary_key):
                self._make_key(self._name)
            written = _count(self._execute(merge_sql(self.target, stage, self._name), unlimited=True))
            self._execute(f"DROP TABLE {stage}")
            return written
        written = self._staged
        if self._upserts:
            written = self._keep_latest()
        if current is None:
            self._execute(f"ALTER TABLE {self._qualified(self._stage)} RENAME TO {quote_name(self.target.table)}")
        else:
            self._replace(current)
        return written

    def _delete(self, plan: DeletePlan) -> LoadResult:
        """Mark or remove the records whose keys are not listed."""
        keys = self._qualified(self._keys or "")
        statements = delete_statements(self.target, self._name, keys, plan)
        self._execute(statements.clear, unlimited=True)
        counted = self._session.fetch(self._connection, statements.count, unlimited=True)[0]
        missing, held = counted["missing"], counted["held"]
        allowed = plan.allows(missing, held)
        if allowed and missing:
            missing = _count(self._execute(statements.delete, unlimited=True))
        self._execute(f"DROP TABLE {keys}")
        return LoadResult(0, deleted=missing) if allowed else LoadResult(0, withheld=missing, held=held)

    def _keep_latest(self) -> int:
        """Turn an upsert's stage into a table of the latest version of each key, with its index; how many rows it has."""
        stage, latest = self._qualified(self._stage or ""), fresh_name(f"{RESERVED}stage_")
        name = self._qualified(latest)
        self._execute(create_sql(self.target, name))
        insert = f"INSERT INTO {name} ({column_list(self.target)}) {latest_sql(self.target, stage)}"
        written = _count(self._execute(insert, unlimited=True))
        self._execute(f"DROP TABLE {stage}")
        self._make_key(name)
        self._stage = latest
        return written

    def _replace(self, current: Table) -> None:
        """Put the stage in the table's place, or its rows where something would be lost with the table."""
        stage = self._qualified(self._stage or "")
        grants = grants_or_bound(self._session, self._connection, current, self._name)
        if grants is not None:
            self._execute(keep_columns_sql(current, self.target, stage))
            self._execute("SAVEPOINT before_drop")
            try:
                self._execute(f"DROP TABLE {self._name}")
            except DestinationError as error:
                if "(SQLSTATE 2BP01)" not in error.message:  # dependent_objects_still_exist
                    raise
                self._execute("ROLLBACK TO SAVEPOINT before_drop")
            else:
                self._execute("; ".join([f"ALTER TABLE {stage} RENAME TO {quote_name(self.target.table)}", *grants]))
                return
        check_types(current, self.target, f"{self._described}, which cannot be replaced because other objects depend on it,")
        self._execute(f"LOCK TABLE {self._name} IN SHARE ROW EXCLUSIVE MODE")
        self._execute(add_columns_sql(current, self.target, self._name))
        self._execute(f"DELETE FROM {self._name}", unlimited=True)
        columns = column_list(self.target)
        self._execute(f"INSERT INTO {self._name} ({columns}) SELECT {columns} FROM {stage}", unlimited=True)
        self._execute(f"DROP TABLE {stage}")
        if self._upserts and not has_key(self._session, self._connection, current, self.target.primary_key):
            self._make_key(self._name)

    def _make_key(self, name: str) -> None:
        """Make the unique index that an upsert needs. Raises: ConfigError: where rows with equal keys are there already."""
        try:
            self._execute(key_sql(self.target, name), unlimited=True)
        except DestinationError as error:
            if "(SQLSTATE 23505)" not in error.message:  # unique_violation
                raise
            raise ConfigError(
                f"{self._described} holds rows with equal keys ({', '.join(self.target.primary_key)}), so it cannot be upserted.",
                remedy="Run a historical re-sync of the stream, or choose other key columns.",
            ) from None

    def _refuse(self) -> None:
        """Say why the state row was not as expected. Raises: StaleEpochError, SynctermError."""
        rows = self.destination.read_state(self._connection, self._schema)
        key = (self.target.connector_id, self.target.stream)
        row = next((row for row in rows if (row.connector_id, row.stream) == key), None)
        if row is None:
            raise ConfigError(f"The state of stream {self.target.stream!r} was removed while it was loaded.", remedy="Sync again.")
        check_epoch(self.target, row.epoch)
        raise DestinationUnavailableError(
            f"Another load of stream {self.target.stream!r} was committed meanwhile (sync {row.sync_id}). Nothing was written.",
            remedy="Try again; the next attempt begins from there.",
        )

    def _end_transaction(self) -> None:
        try:
            tag = self._execute("COMMIT")
        except SynctermError as error:
            if not error.transient:
                raise
            raise DestinationUnavailableError(
                f"The answer to COMMIT was lost, so it is not known whether the rows of stream {self.target.stream!r} are there:"
                f" {error.message}",
                remedy="The next attempt looks it up in the destination's state.",
            ) from None
        if tag != "COMMIT":
            raise DestinationError(f"{self.destination.config.place} answered {tag} to COMMIT; nothing was written.")

    def _find(self, name: str) -> Table | None:
        return find_table(self._session, self._connection, self._schema, name)

    def _qualified(self, name: str) -> str:
        return f"{quote_name(self._schema)}.{quote_name(name)}"

    def _execute(self, sql: str, *, unlimited: bool = False) -> str:
        """Run statements, if need be as long as they take; nothing for an empty text."""
        return self._session.execute(self._connection, sql, unlimited=unlimited) if sql else ""


def _count(tag: str) -> int:
    """The rows of a command tag such as `INSERT 0 5`."""
    return int(tag.rpartition(" ")[2])
