"""What the tests of sources share: make one, read a stream to its end, compare."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from syncterm.engine.adapters import AdapterContext, parse_config
from syncterm.engine.model import RejectedRecord, StreamConfig, SyncMode, Window
from syncterm.engine.schema import StreamSchema, arrow_schema, parse_type
from syncterm.engine.sources.base import Source

SourceType = TypeVar("SourceType", bound=Source)


@dataclass(frozen=True)
class FixedClock:
    """A clock that stands still."""

    instant: datetime = datetime(2025, 6, 15, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("sources do not sleep")


@dataclass
class ReadStream:
    """Everything that came out of one stream."""

    schema: StreamSchema
    rows: list[dict[str, Any]] = field(default_factory=list)
    rejected: list[RejectedRecord] = field(default_factory=list)
    bytes: int = 0

    @property
    def read(self) -> int:
        return len(self.rows) + len(self.rejected)

    @property
    def types(self) -> dict[str, str]:
        return {found.name: str(found.type) for found in self.schema.fields}

    def column(self, name: str) -> list[Any]:
        return [row[name] for row in self.rows]


def make(source: type[SourceType], context: AdapterContext | None = None, /, **config: Any) -> SourceType:
    context = context or AdapterContext(clock=FixedClock(), base_folder=Path("/"))
    return source(parse_config(source, {name: str(v) if isinstance(v, Path) else v for name, v in config.items()}), context)


def read_stream(
    source: Source,
    name: str | None = None,
    *,
    casts: dict[str, str] | None = None,
    columns: list[str] | None = None,
    cursor: str | None = None,
    window: Window | None = None,
    schema: StreamSchema | None = None,
) -> ReadStream:
    """Discover and read; every batch is checked against the contract."""
    if schema is None:
        catalog = source.discover()
        schema = catalog.streams[0] if name is None else catalog.stream(name)
    assert schema is not None
    fields = tuple(schema.field(column) for column in columns) if columns is not None else schema.fields
    fields = tuple(
        dataclasses.replace(found, type=parse_type(casts[found.name])) if casts and found.name in casts else found
        for found in fields
    )
    stream = StreamConfig(schema.name, SyncMode.INCREMENTAL_APPEND if cursor else SyncMode.REPLACE, cursor_field=cursor)
    result = ReadStream(dataclasses.replace(schema, fields=fields))
    for batch in source.read(stream, schema, fields, window):
        assert batch.records.schema.equals(arrow_schema(fields), check_metadata=True)
        batch.records.validate(full=True)
        result.rows += batch.records.to_pylist()
        result.rejected += batch.rejected
        result.bytes += batch.bytes
    return result
