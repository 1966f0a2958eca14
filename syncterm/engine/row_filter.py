"""Row filters: a condition over a stream's columns that says which records are moved; the same on every source.

The condition sees each record as it will be written: after the person's casts, in the types that the schema shows; columns that
are not selected in the type discovered. A record is moved where the condition is true; false and NULL leave it out, counted as
filtered. A record that could not be read never gets here: it stays a failed record, as does one that the condition cannot be
computed for (a cast of its own that does not fit, a number out of range).

Text is compared exactly, as bytes; instants in UTC, a timestamp without a zone taken as UTC; NaN equals NaN and is above every
number, as in PostgreSQL. What depends on the moment (now, current_date) is not in the language: a filter gives one answer at every
sync.

Nothing of the person's text reaches a database: the tree of `row_filter_syntax` is checked and written anew by `row_filter_sql`.
DuckDB computes it, a batch at a time, without the interpreter lock.
"""

from __future__ import annotations

import atexit
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from syncterm.engine.convert import clip, object_payload, row_payload, value_at
from syncterm.engine.errors import ConfigError, SchemaChangedError
from syncterm.engine.model import RejectedRecord, StreamConfig
from syncterm.engine.row_filter_functions import KIND_TITLES
from syncterm.engine.row_filter_sql import ConditionWriter, UnknownColumnError
from syncterm.engine.row_filter_syntax import RowFilterError, parse_condition
from syncterm.engine.schema import Field, LogicalType, StreamSchema, arrow_schema, parse_type

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection

FILTER_FAILED = "filter_failed"
"""Code of a rejected record that the condition could not be computed for."""
EXPLAINED_ROWS = 20
"""Of a batch's records that the condition fails for, how many are computed one by one, for the reason."""


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A condition that has been parsed and checked. Made by `parse_row_filter`."""

    text: str
    columns: tuple[str, ...]
    """The columns that it needs, in the order of their first mention."""
    sql: str
    """The condition as DuckDB computes it: column n of `columns` is named cn."""

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The records of a batch that the condition is true for; those that it fails for are left out, too. See `RowFilterRun`."""
        with RowFilterRun(self) as run:
            return run.split(batch, stream="")[0]


def parse_row_filter(text: str, columns: StreamSchema | Iterable[Field] | Iterable[str]) -> RowFilter:
    """Parse and check a row filter; takes well under a millisecond and loads no database.

    Args:
        text: the condition.
        columns: what it may name. With types (a schema or fields) it is also checked what is compared with what.

    Raises:
        RowFilterError: a ConfigError in plain words, with the place.
    """
    types: dict[str, LogicalType | None] = {}
    for each in columns.fields if isinstance(columns, StreamSchema) else columns:
        types |= {each: None} if isinstance(each, str) else {each.name: each.type}
    writer = ConditionWriter(types)
    sql, kind = writer.write(parse_condition(text))
    if kind not in ("boolean", "any"):
        raise RowFilterError(
            f"the condition as a whole is {KIND_TITLES[kind]}, not true or false.", 0, remedy="Compare it with something."
        )
    return RowFilter(text, tuple(writer.columns), sql)


def mentioned_columns(text: str) -> tuple[str, ...]:
    """The names in a row filter that stand where columns do, as they are written. Raises: RowFilterError."""
    found: dict[str, None] = {}
    nodes = [parse_condition(text)]
    while nodes:
        node = nodes.pop()
        if node.kind == "column":
            found[node.value] = None
        nodes.extend(reversed(node.children))
    return tuple(found)


def filtered_fields(stream: StreamConfig, schema: StreamSchema, arriving: Mapping[str, Field] | None = None) -> tuple[Field, ...]:
    """The columns that a stream's row filter sees: all of the source's, in the types that they arrive in.

    Args:
        arriving: columns that arrive in another type than the source's, where the person has not cast them.
    """
    present = ((arriving or {}).get(field.name, field) for field in schema.fields)
    return tuple(
        replace(field, type=parse_type(stream.casts[field.name]), native="") if field.name in stream.casts else field
        for field in present
    )


def stream_filter(stream: StreamConfig, fields: Iterable[Field]) -> RowFilter | None:
    """A stream's row filter, checked against `filtered_fields`; None where it has none.

    Raises:
        SchemaChangedError: naming the column that is gone; ConfigError: all else that is wrong with it.
    """
    if not stream.row_filter:
        return None
    try:
        return parse_row_filter(stream.row_filter, fields)
    except UnknownColumnError as error:
        raise SchemaChangedError(f"Stream {stream.name!r}: {error.message}", remedy=error.remedy) from None
    except ConfigError as error:
        raise ConfigError(f"Stream {stream.name!r}: {error.message}", remedy=error.remedy) from None


@cache
def _database() -> DuckDBPyConnection:
    """A database in memory for all filters, that reaches nothing and whose settings cannot be changed any more."""
    import duckdb

    atexit.register(_database.cache_clear)  # DuckDB reports on stderr what outlives the interpreter
    connection = duckdb.connect(
        config={
            "threads": "1",
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "python_enable_replacements": "false",
        }
    )
    connection.execute("set global timezone = 'UTC'")
    connection.execute("set lock_configuration = true")
    return connection


class RowFilterRun:
    """A row filter at work on the batches of one read; used from one thread, and closed."""

    def __init__(self, row_filter: RowFilter) -> None:
        self._filter = row_filter
        self._connection = _database().cursor()

    def __enter__(self) -> RowFilterRun:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection go; may be called twice."""
        self._connection.close()

    def check(self, fields: Sequence[Field]) -> None:
        """Compute the condition over no records at all.

        Args:
            fields: at least the columns that the filter needs.

        Raises:
            ConfigError: what DuckDB finds and the parser did not, such as a pattern that is none.
        """
        import duckdb

        needed = {field.name: field for field in fields}
        empty = arrow_schema([needed[name] for name in self._filter.columns] or fields[:1]).empty_table()
        try:
            self._compute(empty, f"coalesce({self._filter.sql}, false)")
        except duckdb.Error as error:
            raise ConfigError(f"The row filter cannot be computed: {_words(error)}.", remedy="Correct the row filter.") from None

    def split(
        self, batch: pa.RecordBatch, *, stream: str, fields: Sequence[Field] = (), key: Sequence[str] = ()
    ) -> tuple[pa.RecordBatch, pa.RecordBatch, tuple[RejectedRecord, ...]]:
        """The records that the condition is true for, those it leaves out, and those that it cannot be computed for.

        Args:
            batch: with at least the columns that the filter needs.
            fields: the batch's, for the rejected records, as are the stream's name and the columns of its key.
        """
        import duckdb
        import pyarrow as pa
        import pyarrow.compute as pc

        columns = pa.table([batch.column(name) for name in self._filter.columns], names=list(self._filter.columns))
        if not self._filter.columns:
            columns = pa.table([pa.nulls(batch.num_rows, pa.bool_())], names=["unused"])
        try:
            keep = self._compute(columns, f"coalesce({self._filter.sql}, false)")
        except duckdb.Error:
            keep = self._compute(columns, f"try(coalesce({self._filter.sql}, false))")
        rejected: tuple[RejectedRecord, ...] = ()
        if keep.null_count:
            failing = pc.indices_nonzero(pc.is_null(keep)).to_pylist()
            rejected = tuple(
                RejectedRecord(
                    stream=stream,
                    code=FILTER_FAILED,
                    message=self._reason(columns, row, explain=number < EXPLAINED_ROWS),
                    payload=row_payload(batch.columns, fields, row) if fields else "",
                    key=object_payload({name: value_at(batch.column(name), row) for name in key}) if key else None,
                )
                for number, row in enumerate(failing)
            )
        kept = batch.filter(keep)
        dropped = batch.filter(pc.invert(keep)) if kept.num_rows + len(rejected) < batch.num_rows else batch.slice(0, 0)
        return kept, dropped, rejected

    def _compute(self, columns: pa.Table, sql: str) -> pa.BooleanArray:
        """An expression over some rows."""
        numbered = columns.rename_columns([f"c{number}" for number in range(columns.num_columns)])
        self._connection.register("records", numbered)
        try:
            return self._connection.sql(f"select {sql} as keep from records").to_arrow_table()["keep"].combine_chunks()
        finally:
            self._connection.unregister("records")

    def _reason(self, columns: pa.Table, row: int, *, explain: bool) -> str:
        import duckdb

        why = ""
        if explain:
            try:
                self._compute(columns.slice(row, 1), f"coalesce({self._filter.sql}, false)")
            except duckdb.Error as error:
                why = f": {_words(error)}"
        return f"The row filter cannot be computed for this record{why}."


def _words(error: Exception) -> str:
    """What DuckDB says, without its class, its candidates and the numbered columns."""
    words = str(error).strip().splitlines()[0].partition("Error: ")[2] or str(error).splitlines()[0]
    return clip(re.sub(r" when casting from source column c\d+", "", words).rstrip("."), 300)
