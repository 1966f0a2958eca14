"""Staging the rows of an upsert in DuckDB, for destinations that cannot tell the newest row of a key, or have no tables at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from syncterm.engine.destinations.pulled import PulledBatches
from syncterm.engine.destinations.rules import disk_full, quote
from syncterm.engine.errors import DestinationError
from syncterm.engine.schema import Field, arrow_schema

if TYPE_CHECKING:
    import pyarrow as pa

MERGE_MEMORY = "1GB"
"""Memory that a merge uses before it goes to the staging folder's disk."""
_BATCH_ROWS = 32_768


class Merge:
    """The rows of an upsert: staged in memory, or on disk where they are many; then merged with those that are there."""

    def __init__(self, folder: Path, fields: tuple[Field, ...], key: tuple[str, ...], cursor_field: str | None) -> None:
        import duckdb

        self._connection = duckdb.connect(config={"temp_directory": str(folder), "memory_limit": MERGE_MEMORY})
        self._connection.execute("set enable_external_access = false")
        self._fields = fields
        self._key = key
        self._newest = f"{quote(cursor_field)} desc nulls last, rowid desc" if cursor_field else "rowid desc"
        self._staged = 0

    def stage(self, batches: Iterator[pa.RecordBatch], poll: Callable[[], None]) -> int:
        """Take the rows of a load; how many they were. What the iterator raises comes back as it is."""
        pulled = PulledBatches(batches, arrow_schema(self._fields), poll)
        with pulled.own_errors():
            self._connection.register("incoming", pulled.reader)
            self._staged = self._connection.execute("create table stage as select * from incoming").fetchall()[0][0]
            self._connection.unregister("incoming")
        return self._staged

    def distinct_keys(self) -> int:
        """How many keys the staged rows have."""
        keys = ", ".join(map(quote, self._key))
        count: int = self._connection.execute(f"select count(*) from (select distinct {keys} from stage)").fetchall()[0][0]
        return count

    def merged(
        self, old: Callable[[], pa.RecordBatchReader] | None, fields: tuple[Field, ...], distinct: int
    ) -> Iterator[pa.RecordBatch]:
        """The old rows whose keys are not staged, then the newest staged row of each key, with the columns `fields`.

        Args:
            old: gives a reader of the rows that are there; it may be called twice. None where there are none.
            fields: the columns of the old rows and of the result. Those that the load does not have keep their values.
            distinct: what `distinct_keys` said.
        """
        import pyarrow as pa

        connection, schema = self._connection, arrow_schema(fields)
        keys = ", ".join(map(quote, self._key))
        delivered = {field.name for field in self._fields}
        kept = [quote(field.name) for field in fields if field.name not in delivered]
        same_key = " and ".join(f"old.{quote(name)} = stage.{quote(name)}" for name in self._key)
        newest = "select * from stage"
        if distinct < self._staged:
            newest += f" qualify row_number() over (partition by {keys} order by {self._newest}) = 1"
        old_values = f"select {keys}{''.join(f', null as {name}' for name in kept)} from stage limit 0"
        if kept and old:
            connection.register("old_rows", old())
            first = ", ".join(f"first({name}) as {name}" for name in kept)
            connection.execute(
                f"create table old_values as select {keys}, {first} from old_rows as old"
                f" where exists (select 1 from stage where {same_key}) group by {keys}"
            )
            connection.unregister("old_rows")
            old_values = "select * from old_values"
        columns = ", ".join(("stage." if field.name in delivered else "old.") + quote(field.name) for field in fields)
        query = f"select {columns} from ({newest}) as stage left join ({old_values}) as old on {same_key}"
        if old:
            connection.register("old_rows", old())
            all_columns = ", ".join(f"old.{quote(field.name)}" for field in fields)
            unchanged = f"select {all_columns} from old_rows as old where not exists (select 1 from stage where {same_key})"
            query = f"{unchanged} union all {query}"
        for batch in connection.sql(query).to_arrow_reader(_BATCH_ROWS):
            yield from pa.Table.from_batches([batch]).cast(schema).to_batches()

    def interrupt(self) -> None:
        """Make what runs in another thread end soon."""
        self._connection.interrupt()

    def close(self) -> None:
        """Drop what was staged; may be called twice."""
        self._connection.close()


@contextmanager
def merge_errors(path: Path, poll: Callable[[], None]) -> Iterator[None]:
    """Turn DuckDB's errors into ours.

    Args:
        path: what was to be written.
        poll: raises where the load was interrupted.

    Raises:
        CancelledSyncError, DestinationError.
    """
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        poll()
        words = str(error).strip().split("\n\n")[0]
        if "No space left on device" in words:
            raise disk_full(path) from None
        raise DestinationError(f"The rows for {path} could not be put together: {words}") from None
