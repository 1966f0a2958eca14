"""Kills an engine while it looks for deleted records: the destination holds the old records, or the new ones and their deletes."""

from __future__ import annotations

import itertools
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from syncterm.engine.model import DeleteHandling
from tests.contracts.destination_harness import DestinationHarness
from tests.contracts.loads import FIELDS, fields
from tests.process.engine_process import Console, Starter, store_value, wait_completed

Row = tuple[int, str, int]
BEFORE = [(number, f"order {number}", number) for number in range(1, 301)]
AFTER = [
    (number, "changed", 300 + number) if number % 10 == 0 else (number, f"order {number}", number) for number in range(41, 301)
]
GONE = BEFORE[:40]
PLACES = ("batch-read:2", "keys-listed", "commit-prepared", "commit-begun", "commit-done", "stream-recorded")
CASES = tuple(itertools.product(("duckdb", "sqlite", "postgres"), (DeleteHandling.MARK, DeleteHandling.REMOVE)))
KILLS = int(os.environ.get("SYNCTERM_KILLS", "0"))
"""0 for the short form, where each case has one of the places."""


def fill(folder: Path, rows: list[Row]) -> None:
    with closing(sqlite3.connect(folder / "shop.sqlite")) as connection, connection:
        connection.execute("drop table if exists orders")
        connection.execute("create table orders (id integer primary key, note text, seen integer)")
        connection.executemany("insert into orders values (?, ?, ?)", rows)


@pytest.mark.parametrize(
    ("target", "handling", "chosen"),
    [(target, handling, PLACES if KILLS else PLACES[number :: len(CASES)]) for number, (target, handling) in enumerate(CASES)],
    indirect=["target"],
    ids=[f"{target}-{handling}" for target, handling in CASES],
)
def test_killed_while_deletes_are_looked_for(
    target: DestinationHarness, handling: DeleteHandling, chosen: tuple[str, ...], tmp_path: Path, start: Starter
) -> None:
    shown = (*FIELDS, *fields(_deleted_at="timestamptz"))

    def rows() -> tuple[list[Row], list[Row]]:
        if handling is DeleteHandling.REMOVE:
            return target.rows("orders", FIELDS) or [], GONE
        found = target.rows("orders", shown) or []
        return [row[:3] for row in found if row[3] is None], [row[:3] for row in found if row[3] is not None]

    old = (sorted(BEFORE, key=repr), GONE if handling is DeleteHandling.REMOVE else [])
    new = (sorted(AFTER, key=repr), sorted(GONE, key=repr) if handling is DeleteHandling.MARK else GONE)
    with Console(tmp_path) as console:
        console.apply(
            f"version: 1\nsources: {{shop: {{type: sqlite, config: {{path: {tmp_path / 'shop.sqlite'}}}}}}}\n"
            f"destinations: {{target: {{type: {target.type_}, config: {target.document()}}}}}\n"
            "connectors: {c: {source: shop, destination: target, schedule: {kind: manual}, streams: [{name: orders,"
            f" sync_mode: incremental_upsert, primary_key: [id], cursor_field: seen, delete_handling: {handling}}}]}}}}\n"
        )
        connector_id = console.connector_id("c")
        for place in chosen:
            fill(tmp_path, BEFORE)
            engine = start(tmp_path)
            (resync,) = console.call(lambda engine, actor: engine.operations.historical_resync(actor, [connector_id]))
            assert resync.done
            first = str(store_value(tmp_path, "select id from syncs order by rowid desc"))
            wait_completed(tmp_path, first)
            engine.kill()
            assert rows() == old

            fill(tmp_path, AFTER)
            sync_id = console.sync("c")
            engine = start(tmp_path, failpoint=place if ":" in place else f"{place}:1")
            assert engine.ended() == -signal.SIGKILL, f"{place} was not reached"
            committed = place in ("commit-done", "stream-recorded")
            assert rows() == (new if committed else old)
            engine = start(tmp_path)
            wait_completed(tmp_path, sync_id)
            assert store_value(tmp_path, "select outcome from syncs where id = ?", sync_id) == "success"
            assert rows() == new
            engine.kill()
