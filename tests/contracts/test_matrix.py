"""Each source into each destination in each mode, through the pipeline: what arrives, what is counted, where the cursor stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncterm.engine.control import Control
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import Cursor, RejectedRecord, StreamConfig, SyncMode
from syncterm.engine.pipeline import LoadedStream, StreamHooks, StreamTask, run_stream
from tests.contracts.destination_harness import DestinationHarness, DuckDBHarness, FileHarness, PostgresHarness, SQLiteHarness
from tests.contracts.loads import FIELDS
from tests.contracts.source_harness import (
    DuckDBSourceHarness,
    FileSourceHarness,
    PostgresSourceHarness,
    Record,
    SourceHarness,
    SQLiteSourceHarness,
)

BEFORE: list[Record] = [(1, "one", 10), (2, "two", 20), (3, "three", 30)]
AFTER: list[Record] = [(1, "one", 10), (2, "zwei", 40), (3, "three", 30), (4, "vier", 50), (5, "fünf", 50)]
CHANGED: list[Record] = [(2, "zwei", 40), (4, "vier", 50), (5, "fünf", 50)]
ARRIVED: dict[SyncMode, list[Record]] = {
    SyncMode.REPLACE: AFTER,
    SyncMode.APPEND: BEFORE + AFTER,
    SyncMode.INCREMENTAL_APPEND: BEFORE + CHANGED,
    SyncMode.INCREMENTAL_UPSERT: AFTER,
}
FILE_FORMATS = ("parquet", "csv", "jsonl")


@pytest.fixture(params=["duckdb", "sqlite", "postgres", *FILE_FORMATS])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> SourceHarness:
    folder = tmp_path / "source"
    folder.mkdir()
    match request.param:
        case "duckdb":
            return DuckDBSourceHarness(folder)
        case "sqlite":
            return SQLiteSourceHarness(folder)
        case "postgres":
            return PostgresSourceHarness(request.getfixturevalue("postgres_database"))
    return FileSourceHarness(folder, request.param)


@pytest.fixture(params=["duckdb", "sqlite", "postgres", *FILE_FORMATS])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationHarness:
    folder = tmp_path / "destination"
    folder.mkdir()
    match request.param:
        case "duckdb":
            return DuckDBHarness(folder)
        case "sqlite":
            return SQLiteHarness(folder)
        case "postgres":
            return PostgresHarness(request.getfixturevalue("postgres_database"))
    return FileHarness(folder, request.param)


def sync(source: SourceHarness, destination: DestinationHarness, mode: SyncMode, *, full: bool = False) -> LoadedStream:
    """One sync of the source's stream, as the runner does it."""
    reader, writer = source.make(), destination.make()
    rejected: list[RejectedRecord] = []
    try:
        schema = reader.discover().stream(source.stream)
        assert schema is not None
        stream = StreamConfig(
            source.stream, mode, primary_key=("id",), cursor_field="seen" if mode.incremental else None, table="orders"
        )
        state = writer.state("connector", "").get(source.stream)
        task = StreamTask("connector", "sync", 1, "", stream, schema, full, state)
        hooks = StreamHooks(rejected.extend, lambda counts, cursor: None, lambda: True)
        loaded = run_stream(reader, writer, task, Control(), hooks)
    finally:
        reader.close()
        writer.close()
    assert rejected == []
    return loaded


@pytest.mark.parametrize("mode", list(SyncMode), ids=lambda mode: mode.value)
def test_two_syncs_and_a_historical_one(source: SourceHarness, destination: DestinationHarness, mode: SyncMode) -> None:
    source.fill(BEFORE)
    if mode is SyncMode.INCREMENTAL_UPSERT and not destination.make().capabilities.upsert:
        with pytest.raises(ConfigError):
            sync(source, destination, mode)
        assert destination.everything() == {}
        return
    first = sync(source, destination, mode)
    assert (first.counts.read, first.counts.written) == (3, 3)
    assert destination.rows("orders", FIELDS) == BEFORE

    source.fill(AFTER)
    second = sync(source, destination, mode)
    assert destination.rows("orders", FIELDS) == sorted(ARRIVED[mode], key=repr)
    assert second.counts.balanced
    assert second.counts.written == (len(CHANGED) if mode.incremental else len(AFTER))
    assert (None if second.cursor is None else Cursor.from_text(second.cursor).value) == ("50" if mode.incremental else None)

    third = sync(source, destination, mode)
    if mode.incremental:  # nothing is new: nothing is written, and the cursor stays
        assert third.counts.written == 0
        assert third.cursor == second.cursor
        assert destination.rows("orders", FIELDS) == sorted(ARRIVED[mode], key=repr)

    sync(source, destination, mode, full=True)
    assert destination.rows("orders", FIELDS) == AFTER
