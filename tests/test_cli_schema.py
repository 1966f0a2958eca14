"""`syncterm approve`: what it prints, approves, rejects, and by which exit code a script knows."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.test_cli import CommandLine

HOSTILE = "extra\x1b[31m\u202e"


@pytest.fixture
def syncterm(tmp_path: Path) -> CommandLine:
    """A connector `c` whose source has a new column, and a sync has seen it."""
    path = tmp_path / "shop.db"
    command = CommandLine(tmp_path / "home")
    orders = {"name": "orders", "sync_mode": "replace"}
    document = {
        "version": 1,
        "sources": {"shop": {"type": "sqlite", "config": {"path": str(path)}}},
        "destinations": {"lake": {"type": "duckdb", "config": {"path": str(tmp_path / "lake.duckdb")}}},
        "connectors": {"c": {"source": "shop", "destination": "lake", "schedule": {"kind": "manual"}, "streams": [orders]}},
    }
    with closing(sqlite3.connect(path)) as database:
        database.executescript("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT); INSERT INTO orders VALUES (1, 'one');")
        assert command("apply", "-", text=json.dumps(document)).status == 0
        assert command("sync", "c").status == 0
        database.execute(f'ALTER TABLE orders ADD "{HOSTILE}" TEXT')
        database.commit()
    assert command("sync", "c").status == 0
    return command


def test_a_change_is_shown_then_approved_for_good(syncterm: CommandLine) -> None:
    shown = syncterm("approve", "c", "--dry-run")
    assert shown.status == 0
    assert "c: orders (waits, syncs go on)" in shown.out
    assert "  + extra" in shown.out
    assert "[safe]" in shown.out
    done = syncterm("approve", "c", "--always", "--json")
    assert done.status == 0
    (change,), (result,) = done.document["changes"], done.document["results"]
    assert (change["stream"], change["state"]) == ("orders", "waiting")
    assert change["entries"][0]["column"] == HOSTILE
    assert "From now on additions are applied by themselves." in result["message"]
    again = syncterm("approve", "c")
    assert again.status == 1
    assert "No schema change waits." in again.err
    assert syncterm("sync", "c").status == 0


def test_a_change_is_rejected(syncterm: CommandLine) -> None:
    assert syncterm("approve", "c", "--reject", "--always").status == 2
    done = syncterm("approve", "c", "--reject")
    assert done.status == 0
    assert "goes on as it was approved" in done.err
    assert syncterm("sync", "c").status == 0
    assert syncterm("approve", "c", "--dry-run").out == ""


def test_a_connector_that_is_not_there(syncterm: CommandLine) -> None:
    assert syncterm("approve", "nobody").status == 3
