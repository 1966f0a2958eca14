"""What the tests of PostgreSQL share: adapters on a test database, the edge-value tables, and loads made in one call."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from syncterm.engine.adapters import AdapterContext
from syncterm.engine.destinations.base import LoadResult, LoadTarget
from syncterm.engine.destinations.postgres import PostgresDestination
from syncterm.engine.model import StreamConfig, SyncMode, Window
from syncterm.engine.postgres import PostgresConfig
from syncterm.engine.schema import Field, StreamSchema, parse_type
from syncterm.engine.sources.base import SourceBatch
from syncterm.engine.sources.postgres import PostgresSource
from tests.samples import SAMPLES
from tests.servers.postgres import PostgresDatabase

if TYPE_CHECKING:
    import pyarrow as pa

PATIENCE = 20.0
"""Seconds after which a test that waits for something gives up."""


def config(database: PostgresDatabase, /, **changes: Any) -> PostgresConfig:
    """The configuration of a source or destination on a test database."""
    return PostgresConfig(**{**database.parameters, **changes})


def source(database: PostgresDatabase, /, **changes: Any) -> PostgresSource:
    return PostgresSource(config(database, **changes), AdapterContext())


def destination(database: PostgresDatabase, /, **changes: Any) -> PostgresDestination:
    return PostgresDestination(config(database, **changes), AdapterContext())


def load_type_edge(database: PostgresDatabase) -> None:
    """Make the schema `type_edge`: every type at its limits. A server without libxml gets text in the place of xml."""
    script = (SAMPLES / "type_edge.sql").read_text()
    if not database.query("SELECT 1 FROM pg_config() WHERE name = 'CONFIGURE' AND setting LIKE '%libxml%'"):
        script = script.replace("c_xml xml", "c_xml text")
    database.execute(script)


def read(
    adapter: PostgresSource,
    stream: StreamSchema,
    *,
    window: Window | None = None,
    fields: tuple[Field, ...] | None = None,
    **options: Any,
) -> list[SourceBatch]:
    """All batches of a stream."""
    mode = SyncMode.INCREMENTAL_UPSERT if window else SyncMode.REPLACE
    setup = StreamConfig(stream.name, mode, **options)
    return list(adapter.read(setup, stream, fields or stream.fields, window))


def rows(batches: Sequence[SourceBatch]) -> list[tuple[Any, ...]]:
    """The records of batches as tuples, sorted by their text."""
    found = [tuple(row.values()) for batch in batches for row in batch.records.to_pylist()]
    return sorted(found, key=str)


def fields(**types: str) -> tuple[Field, ...]:
    """Fields by name and logical type."""
    return tuple(Field(name, parse_type(type_)) for name, type_ in types.items())


def target(columns: tuple[Field, ...], mode: SyncMode = SyncMode.REPLACE, **changes: Any) -> LoadTarget:
    """A target with the usual values."""
    values: dict[str, Any] = {
        "connector_id": "c1",
        "stream": "items",
        "collection": "out",
        "table": "items",
        "fields": columns,
        "sync_mode": mode,
        "primary_key": ("id",) if mode is SyncMode.INCREMENTAL_UPSERT else (),
        "cursor_field": None,
        "epoch": 1,
        "sync_id": "s1",
        "full": False,
    }
    return LoadTarget(**{**values, **changes})


def batch(columns: tuple[Field, ...], *records: tuple[Any, ...]) -> pa.RecordBatch:
    """A record batch of rows."""
    import pyarrow as pa

    from syncterm.engine.schema import arrow_schema

    schema = arrow_schema(columns)
    arrays = [pa.array([record[index] for record in records], schema.field(index).type) for index in range(len(columns))]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def load(adapter: PostgresDestination, where: LoadTarget, *records: tuple[Any, ...], cursor: str | None = None) -> LoadResult:
    """Open, write and commit rows."""
    loading = adapter.open(where)
    loading.write(iter([batch(where.fields, *records)]))
    return loading.commit(cursor)


def wait_until(condition: Callable[[], Any]) -> None:
    """Wait for a condition. Raises: AssertionError: where it does not come true in time."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        threading.Event().wait(0.02)


class Background:
    """A call in a thread of its own, and how it ended."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self.result: Any = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.start()

    def _run(self, function: Callable[[], Any]) -> None:
        try:
            self.result = function()
        except BaseException as error:
            self.error = error

    def wait(self) -> BaseException | None:
        """The error that ended it, or None. Raises: AssertionError: where it has not ended in time."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the call did not end"
        return self.error


def endless(item: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The same batch for ever."""
    while True:
        yield item
