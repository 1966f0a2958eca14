"""Deletes through a whole engine: counted and logged, withheld and approved."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.model import Actor, Role
from syncterm.engine.store.tables import log_lines, streams
from tests.engine.workbench import ADMINISTRATOR, Workbench, workbench

DOCUMENT = """
version: 1
sources:
  shop: {type: sqlite, config: {path: shop.sqlite}}
destinations:
  warehouse: {type: sqlite, config: {path: warehouse.sqlite}}
connectors:
  c:
    source: shop
    destination: warehouse
    streams:
      - {name: orders, sync_mode: incremental_upsert, primary_key: [id], cursor_field: id, delete_handling: remove}
"""


def fill(folder: Path, first: int, last: int) -> None:
    with closing(sqlite3.connect(folder / "shop.sqlite")) as connection, connection:
        connection.execute("drop table if exists orders")
        connection.execute("create table orders (id integer primary key)")
        connection.executemany("insert into orders values (?)", [(number,) for number in range(first, last + 1)])


def held(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "warehouse.sqlite")) as connection:
        count: int = connection.execute("select count(*) from orders").fetchone()[0]
        return count


async def stream(bench: Workbench) -> Any:
    """The stream's row in the store: how many deletes are withheld, and how many approved."""
    async with bench.engine.database.read() as connection:
        return (await connection.execute(select(streams.c.deletes_withheld, streams.c.deletes_approved))).one()


async def log(bench: Workbench, sync_id: str) -> str:
    async with bench.engine.database.read() as connection:
        lines = await connection.execute(select(log_lines.c.message).where(log_lines.c.sync_id == sync_id))
        return "\n".join(lines.scalars())


async def test_deletes_are_counted_withheld_and_approved(tmp_path: Path) -> None:
    fill(tmp_path, 1, 1000)
    async with workbench(tmp_path) as bench:
        await bench.apply(DOCUMENT)
        connector_id = await bench.id_of("c")
        assert (await bench.sync("c")).row.outcome == "success"
        fill(tmp_path, 101, 1000)
        few = await bench.sync("c")
        assert (few.streams[0].counts.deleted, few.row.counts.deleted, held(tmp_path)) == (100, 100, 900)
        assert "100 deleted in the destination" in await log(bench, few.row.id)

        (nothing,) = await bench.engine.operations.approve_deletes(ADMINISTRATOR, [connector_id])
        assert (nothing.done, nothing.message) == (False, "No deletes wait for approval.")
        fill(tmp_path, 501, 1000)
        many = await bench.sync("c")
        assert (many.row.outcome, many.row.counts.deleted, held(tmp_path)) == ("success", 0, 900)
        assert "400 of the 900 records of stream 'orders' are gone" in await log(bench, many.row.id)
        assert (await stream(bench)).deletes_withheld == 400

        (theirs,) = await bench.engine.operations.approve_deletes(Actor("somebody else", Role.USER), [connector_id])
        assert not theirs.done
        (approved,) = await bench.engine.operations.approve_deletes(ADMINISTRATOR, [connector_id])
        assert (approved.done, approved.message) == (True, "The next sync may delete 400 of orders.")
        assert (await stream(bench)).deletes_approved == 400
        done = await bench.sync("c")
        assert (done.row.counts.deleted, held(tmp_path)) == (400, 500)
        row = await stream(bench)
        assert (row.deletes_withheld, row.deletes_approved) == (None, None)


async def test_an_approval_covers_what_was_shown_and_no_more(tmp_path: Path) -> None:
    fill(tmp_path, 1, 1000)
    async with workbench(tmp_path) as bench:
        await bench.apply(DOCUMENT)
        connector_id = await bench.id_of("c")
        await bench.sync("c")
        fill(tmp_path, 301, 1000)
        await bench.sync("c")
        await bench.engine.operations.approve_deletes(ADMINISTRATOR, [connector_id])
        fill(tmp_path, 1000, 1000)  # meanwhile nearly everything went
        more = await bench.sync("c")
        assert (more.row.counts.deleted, held(tmp_path)) == (0, 1000)
        row = await stream(bench)
        assert (row.deletes_withheld, row.deletes_approved) == (999, None)


@pytest.mark.parametrize(("first", "approved"), [(301, 300), (1, None)])
async def test_an_approval_given_while_a_sync_runs_holds_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, approved: int | None
) -> None:
    """Unless that sync finds that nothing is gone any more."""
    fill(tmp_path, 1, 1000)
    finish = lifecycle.finish_stream

    async def approved_meanwhile(connection: AsyncConnection, *arguments: Any, **options: Any) -> None:
        await connection.execute(update(streams).values(deletes_approved=streams.c.deletes_withheld))
        await finish(connection, *arguments, **options)

    async with workbench(tmp_path) as bench:
        await bench.apply(DOCUMENT)
        await bench.sync("c")
        fill(tmp_path, 301, 1000)
        await bench.sync("c")
        fill(tmp_path, first, 1000)
        monkeypatch.setattr(lifecycle, "finish_stream", approved_meanwhile)
        await bench.sync("c")
        assert (await stream(bench)).deletes_approved == approved


@pytest.mark.parametrize(
    ("mode", "handling", "why"),
    [
        ("incremental_append", "remove", "appended records are not found again"),
        ("replace", "mark", "a full refresh replaces the whole table"),
        ("replace", "remove", None),
    ],
)
async def test_a_mode_that_cannot_tell_deletes_leaves_the_connector_incomplete(
    tmp_path: Path, mode: str, handling: str, why: str | None
) -> None:
    async with workbench(tmp_path, execute=False) as bench:
        await bench.apply(DOCUMENT.replace("incremental_upsert", mode).replace("remove", handling))
        detail = await bench.engine.queries.connector(await bench.id_of("c"))
        assert detail is not None
        if why is None:
            assert detail.incomplete_reason is None
        else:
            assert f"stream orders is to {handling} deleted records: {why}" in (detail.incomplete_reason or "")


async def test_a_destination_that_cannot_delete_says_so(tmp_path: Path) -> None:
    fill(tmp_path, 1, 10)
    async with workbench(tmp_path) as bench:
        await bench.apply(DOCUMENT.replace("sqlite, config: {path: warehouse.sqlite}", "file, config: {path: lake}"))
        refused = await bench.sync("c")
        assert refused.row.error_class == "config"
        assert "This destination cannot delete or mark single records." in (refused.row.error_message or "")
        draft = await bench.engine.queries.connector_draft(await bench.id_of("c"))
        assert draft is not None
        saved = await bench.engine.operations.save_connector(ADMINISTRATOR, draft)
        assert "is to remove deleted records" in (saved.incomplete_reason or "")
