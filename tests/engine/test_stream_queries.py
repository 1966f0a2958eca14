"""The streams of a connector as its Schema tab reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from syncterm.engine import source_catalog
from syncterm.engine.clock import SystemClock
from syncterm.engine.drafts import CatalogEntry
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.queries import Queries
from syncterm.engine.schema import Catalog, Field, StreamSchema, parse_type
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import connectors, sources, streams
from syncterm.engine.stream_defaults import Suggestion

NOW = datetime(2026, 3, 10, tzinfo=UTC)


def schema(name: str, *columns: tuple[str, str, str], key: tuple[str, ...] = (), cursors: tuple[str, ...] = ()) -> StreamSchema:
    fields = tuple(Field(column, parse_type(type_), True, native) for column, type_, native in columns)
    return StreamSchema(name, fields, key, cursors)


ORDERS = schema("orders", ("id", "int64", "bigint"), ("at", "timestamptz", "timestamptz"), key=("id",), cursors=("at", "id"))
HOSTILE = schema('ev"il\x1b[31m', ("a\nb", "text", "varchar"), ("ÄRGER", "text", "text"))
APPLIED = schema("orders", ("id", "int64", "bigint"))


@pytest.fixture
async def queries(tmp_path: Path) -> AsyncIterator[Queries]:
    database = await Database.open(tmp_path / "store.db", clock=SystemClock())
    async with database.write() as connection:
        await connection.execute(
            insert(sources).values(
                id="s", name="s", type="sqlite", config="{}", version=1, created_at=NOW, created_by="ana", updated_at=NOW
            )
        )
        await connection.execute(
            insert(connectors).values(id="c", name="c", source_id="s", created_at=NOW, created_by="ana", updated_at=NOW)
        )
        await connection.execute(
            insert(streams),
            [
                {"name": "orders", "position": 1, "schema": APPLIED.to_text(), "cursor": '{"value":"7","hashes":{}}'}
                | {"connector_id": "c", "sync_mode": "append", "selected": True, "resync_requested": True},
                {"name": "gone", "position": 0, "schema": None, "cursor": None}
                | {"connector_id": "c", "sync_mode": "replace", "selected": False, "resync_requested": False},
            ],
        )
    await source_catalog.keep(database, "s", source_catalog.catalog_rows(Catalog((HOSTILE, ORDERS))), NOW)
    yield Queries(database, SystemClock())
    await database.close()


async def test_the_list_is_what_is_saved_and_what_the_source_offers(queries: Queries) -> None:
    found = await queries.connector_streams("c")

    assert found is not None
    assert found.draft.streams == ()
    assert dict(found.saved) == {"orders": StreamConfig("orders", SyncMode.APPEND)}
    assert dict(found.unselected) == {"gone": StreamConfig("gone", SyncMode.REPLACE)}
    assert found.entries == (CatalogEntry(HOSTILE.name, 2), CatalogEntry("orders", 2))
    assert found.cursors == {"orders": "7"}
    assert set(found.resyncs) == {"orders"}
    assert found.applied == ()
    assert await queries.connector_streams("nobody") is None


async def test_columns_are_the_applied_ones_else_the_sources(queries: Queries) -> None:
    assert await queries.stream_schema("c", "orders") == APPLIED
    assert await queries.stream_schema("c", HOSTILE.name) == HOSTILE
    assert await queries.stream_schema("c", "gone") is None
    assert await queries.stream_schema("nobody", "orders") is None


async def test_keys_and_cursors_are_suggested_for_all_at_once(queries: Queries) -> None:
    assert await queries.stream_suggestions("s") == {"orders": Suggestion(("id",), "at"), HOSTILE.name: Suggestion()}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("AT", {"orders"}),
        ("a\nb", {HOSTILE.name}),
        ("bigint", {"orders"}),
        ("orders", set()),
        ("ÄRGER", {HOSTILE.name}),
        ("fields", set()),
        ("%", set()),
        ("t", {"orders", HOSTILE.name}),
    ],
)
async def test_columns_are_searched_in_every_stream(queries: Queries, text: str, found: set[str]) -> None:
    assert await queries.streams_with_column("c", text) == found
