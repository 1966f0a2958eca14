"""What every source promises. Subclass `SourceContract` with a fixture `harness` to try one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from syncterm.engine.adapters import Adapter, parse_config
from syncterm.engine.errors import CancelledSyncError, ConfigError
from syncterm.engine.model import RejectedRecord, StreamConfig, SyncMode, Window
from syncterm.engine.schema import Field, StreamSchema, arrow_schema, parse_type
from syncterm.engine.sources.base import Source, SourceBatch
from tests.contracts.source_harness import COLUMNS, Record, SourceHarness

ROWS: list[Record] = [(1, "one", 10), (2, "", 20), (3, None, 30), (4, 'é "quoted", \n', 30)]
MANY = 50_000
"""Enough rows for several batches, or at least for one that is not small."""


def discovered(harness: SourceHarness) -> tuple[Source, StreamSchema]:
    source = harness.make()
    schema = source.discover().stream(harness.stream)
    assert schema is not None
    return source, schema


def read_all(
    source: Source, schema: StreamSchema, fields: tuple[Field, ...] | None = None, window: Window | None = None
) -> list[SourceBatch]:
    """Every batch of a stream, each checked against what was promised."""
    fields = schema.fields if fields is None else fields
    mode = SyncMode.REPLACE if window is None else SyncMode.INCREMENTAL_APPEND
    stream = StreamConfig(schema.name, mode, cursor_field=None if window is None else "seen")
    batches = list(source.read(stream, schema, fields, window))
    for piece in batches:
        assert piece.records.schema.names == [field.name for field in fields]
        assert piece.records.schema.types == arrow_schema(fields).types
    return batches


def records(batches: Sequence[SourceBatch]) -> list[tuple[object, ...]]:
    return [tuple(row.values()) for piece in batches for row in piece.records.to_pylist()]


def rejected(batches: Sequence[SourceBatch]) -> list[RejectedRecord]:
    return [record for piece in batches for record in piece.rejected]


def fields_of(schema: StreamSchema, *names: str) -> tuple[Field, ...]:
    return tuple(schema.field(name) for name in names)


class SourceContract:
    """The contract of `sources/base.py`, as tests."""

    @pytest.fixture
    def harness(self) -> SourceHarness:
        """The source under test, with no stream yet."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def _close_adapters(self, harness: SourceHarness) -> Iterator[None]:
        yield
        harness.close_all()

    def test_the_connection_test_passes(self, harness: SourceHarness) -> None:
        harness.fill(ROWS)
        steps = list(harness.make().check())
        assert steps
        assert all(step.passed for step in steps)

    def test_the_catalog_names_the_columns_and_survives_as_text(self, harness: SourceHarness) -> None:
        harness.fill(ROWS)
        catalog = harness.make().discover()
        schema = catalog.stream(harness.stream)
        assert schema is not None
        assert {field.name: str(field.type) for field in schema.fields} == {"id": "int64", "note": "text", "seen": "int64"}
        assert tuple(StreamSchema.from_text(stream.to_text()) for stream in catalog.streams) == catalog.streams
        assert harness.make().discover() == catalog

    def test_all_rows_arrive_as_they_are(self, harness: SourceHarness) -> None:
        harness.fill(ROWS)
        source, schema = discovered(harness)
        batches = read_all(source, schema, fields_of(schema, *COLUMNS))
        assert sorted(records(batches), key=repr) == sorted(ROWS, key=repr)
        assert rejected(batches) == []
        assert sum(piece.bytes for piece in batches) > 0

    def test_columns_come_in_the_order_asked_for(self, harness: SourceHarness) -> None:
        harness.fill(ROWS)
        source, schema = discovered(harness)
        batches = read_all(source, schema, fields_of(schema, "seen", "id"))
        assert sorted(records(batches), key=repr) == sorted([(seen, id_) for id_, _, seen in ROWS], key=repr)

    def test_a_value_that_cannot_be_cast_is_a_rejected_record(self, harness: SourceHarness) -> None:
        harness.fill([(1, "7", 1), (2, "seven", 2), (3, None, 3)])
        source, schema = discovered(harness)
        columns = (schema.field("id"), Field("note", parse_type("int64")))
        batches = read_all(source, schema, columns)
        assert sorted(records(batches), key=repr) == [(1, 7), (3, None)]
        (record,) = rejected(batches)
        assert (record.stream, record.code) == (harness.stream, "cast_failed")
        assert "note" in record.message
        assert "seven" in record.payload

    def test_no_rows(self, harness: SourceHarness) -> None:
        harness.fill(ROWS)
        source, schema = discovered(harness)
        harness.fill([])
        assert records(read_all(source, schema, fields_of(schema, *COLUMNS))) == []

    def test_a_window_leaves_out_nothing_that_belongs_to_it(self, harness: SourceHarness) -> None:
        harness.fill(ROWS)
        source, schema = discovered(harness)
        if not source.capabilities.incremental:
            pytest.skip("this source has no incremental reads")
        stream = StreamConfig(schema.name, SyncMode.INCREMENTAL_APPEND, cursor_field="seen")
        high = source.high(stream, schema)
        assert high in ("30", None)
        read = records(read_all(source, schema, fields_of(schema, *COLUMNS), Window("20", high)))
        assert {row for row in ROWS if row[2] is not None and row[2] >= 20} <= set(read)

    def test_many_rows_in_bounded_batches(self, harness: SourceHarness) -> None:
        harness.fill([(number, f"note {number}" * 20, number) for number in range(MANY)])
        source, schema = discovered(harness)
        batches = read_all(source, schema, fields_of(schema, *COLUMNS))
        assert [row[0] for row in sorted(records(batches), key=lambda row: int(str(row[0])))] == list(range(MANY))
        assert max(piece.records.nbytes for piece in batches) < 16 * 1024 * 1024

    def test_interrupt_ends_a_read(self, harness: SourceHarness) -> None:
        harness.fill([(number, "note", number) for number in range(100)])
        source, schema = discovered(harness)
        source.interrupt()
        with pytest.raises(CancelledSyncError):
            read_all(source, schema)
        source.close()
        source.close()

    def test_reading_does_not_write(self, harness: SourceHarness) -> None:
        harness.fill(ROWS)
        source, schema = discovered(harness)
        read_all(source, schema)
        source.close()
        again, schema_again = discovered(harness)
        assert schema_again == schema
        assert sorted(records(read_all(again, schema_again, fields_of(schema, *COLUMNS))), key=repr) == sorted(ROWS, key=repr)

    def test_a_configuration_with_an_unknown_setting_is_refused(self, harness: SourceHarness) -> None:
        adapter: type[Adapter] = type(harness.make())
        with pytest.raises(ConfigError):
            parse_config(adapter, {**harness.document(), "no_such_setting": 1})
