"""Parquet: writing parts with exact types, and merging staged rows into those that are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from syncterm.engine.destinations.pulled import PulledBatches
from syncterm.engine.destinations.rules import quote
from syncterm.engine.schema import Field, arrow_schema

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

ROW_GROUP_ROWS = 131_072
ROW_GROUP_BYTES = 64 * 1024 * 1024
"""A row group is written when it has so many rows or bytes."""
ZSTD_LEVEL = 1
"""Level 1: the higher ones cost more time than they save bytes."""
_BATCH_ROWS = 32_768
_MERGE_MEMORY = "1GB"
"""Memory that a merge uses before it goes to the staging folder's disk."""


class ParquetPart:
    """Writes one Parquet file. The file exists already, empty, with the right mode."""

    def __init__(self, path: Path, fields: tuple[Field, ...], compression: str) -> None:
        import pyarrow.parquet as pq

        self._schema = arrow_schema(fields)
        level = ZSTD_LEVEL if compression == "zstd" else None
        self._writer = pq.ParquetWriter(str(path), self._schema, compression=compression, compression_level=level)
        self._waiting: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def write(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._rows += batch.num_rows
        self._bytes += batch.nbytes
        if self._rows >= ROW_GROUP_ROWS or self._bytes >= ROW_GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Finish the file; may be called twice."""
        if self._rows:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema), row_group_size=self._rows)
        self._waiting.clear()
        self._rows = self._bytes = 0


class Merge:
    """The rows of an upsert: staged in DuckDB, outside memory where there are many, then merged with the parts that are there."""

    def __init__(self, folder: Path, fields: tuple[Field, ...], key: tuple[str, ...], cursor_field: str | None) -> None:
        import duckdb

        self._connection = duckdb.connect(config={"temp_directory": str(folder), "memory_limit": _MERGE_MEMORY})
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

    def merged(self, parts: list[Path], fields: tuple[Field, ...], distinct: int) -> Iterator[pa.RecordBatch]:
        """The rows of the parts whose keys are not staged, then the newest staged row of each key, with the columns `fields`.

        Columns that the load does not have keep their values.
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
        if kept and parts:
            connection.register("old_rows", _reader(parts, schema))
            first = ", ".join(f"first({name}) as {name}" for name in kept)
            connection.execute(
                f"create table old_values as select {keys}, {first} from old_rows as old"
                f" where exists (select 1 from stage where {same_key}) group by {keys}"
            )
            connection.unregister("old_rows")
            old_values = "select * from old_values"
        columns = ", ".join(("stage." if field.name in delivered else "old.") + quote(field.name) for field in fields)
        query = f"select {columns} from ({newest}) as stage left join ({old_values}) as old on {same_key}"
        if parts:
            connection.register("old_rows", _reader(parts, schema))
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


def conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch with exactly these columns: wider types where the table has them, NULL where the batch lacks one."""
    import pyarrow as pa

    names = set(batch.schema.names)
    return pa.RecordBatch.from_arrays(
        [
            batch.column(field.name).cast(field.type) if field.name in names else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ],
        schema=schema,
    )


def _reader(parts: list[Path], schema: pa.Schema) -> pa.RecordBatchReader:
    """The rows of the parts; columns that a part does not have yet are NULL."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def rows() -> Iterator[pa.RecordBatch]:
        for part in parts:
            with pq.ParquetFile(part) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    yield conform(batch, schema)

    return pa.RecordBatchReader.from_batches(schema, rows())
