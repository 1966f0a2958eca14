"""What must hold after every crash: nothing lost, nothing twice, no cursor ahead of its rows, no sync left open, a true record."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from syncterm.engine.model import Cursor, SyncMode
from syncterm.engine.schema import Field, LogicalType
from syncterm.engine.workspace import Workspace
from tests.contracts.destination_harness import DestinationHarness
from tests.process.engine_process import store_rows, store_value

Record = tuple[int, str, int]
FIELDS = (Field("id", LogicalType("int64")), Field("note", LogicalType("text")), Field("seen", LogicalType("int64")))
TABLE = "orders"


def check(
    folder: Path, connector_id: str, target: DestinationHarness, mode: SyncMode, expected: Iterable[Record], requested: int
) -> None:
    """Prove that a workspace whose syncs have all ended, and its destination, are as if nothing had ever crashed.

    Args:
        expected: what the destination must hold, every record as often as it must be there.
        requested: how many syncs were ever asked for.
    """
    arrived = target.rows(TABLE, FIELDS) or []
    _check_records(arrived, expected)
    _check_syncs(folder, connector_id, requested)
    _check_counts(folder, connector_id, mode, len(arrived))
    _check_cursor(folder, connector_id, target, mode, arrived)
    assert store_value(folder, "pragma integrity_check") == "ok"
    assert not store_rows(folder, "pragma foreign_key_check")
    _check_files(folder, target)


def _check_records(arrived: list[tuple[Any, ...]], expected: Iterable[Record]) -> None:
    """L and D: every record, as often as it must be there, with its content."""
    have, want = Counter(arrived), Counter(expected)
    lost, surplus = want - have, have - want
    assert not lost, f"{lost.total()} records lost, such as {sorted(lost)[:3]}"
    assert not surplus, f"{surplus.total()} records too many, such as {sorted(surplus)[:3]}"


def _check_syncs(folder: Path, connector_id: str, requested: int) -> None:
    """S and H: every request became one sync, which ended well; its attempts are numbered, recorded once, and closed."""
    syncs = store_rows(
        folder, "select id, state, outcome, attempt, finished_at, error_message from syncs where connector_id = ?", connector_id
    )
    assert len(syncs) == requested
    for sync_id, state, outcome, attempt, finished_at, message in syncs:
        assert (state, outcome) == ("completed", "success"), (state, outcome, message)
        assert finished_at is not None
        attempts = store_rows(
            folder, "select number, finished_at, outcome, error_class from attempts where sync_id = ? order by number", sync_id
        )
        assert [number for number, *_ in attempts] == list(range(1, attempt + 1))
        assert all(ended is not None for _, ended, *_ in attempts)
        endings = [(outcome, error_class) for _, _, outcome, error_class in attempts]
        assert endings == [("failed", "interrupted")] * (attempt - 1) + [("success", None)]
        streams = store_rows(
            folder,
            "select outcome, records_read - records_written - records_unchanged - records_filtered - records_rejected"
            " from sync_streams where sync_id = ?",
            sync_id,
        )
        assert streams == [("success", 0)], streams
    facts = store_rows(
        folder,
        "select activity, active_sync_id, last_outcome, consecutive_failures, last_sync_id from connectors where id = ?",
        connector_id,
    )
    newest = store_value(folder, "select id from syncs where connector_id = ? order by finished_at desc, id desc", connector_id)
    assert facts == [("idle", None, "success", 0, newest)]
    assert store_value(folder, "select count(*) from attempts where sync_id not in (select id from syncs)") == 0
    assert store_value(folder, "select sum(succeeded), sum(failed) from rollup_hours") == requested
    assert store_value(folder, "select count(*) from audit_events where operation = 'sync_now'") == requested


def _check_counts(folder: Path, connector_id: str, mode: SyncMode, arrived: int) -> None:
    """The history's counts are those of the rows that are there."""
    total, last = store_rows(
        folder,
        "select sum(records_written), (select records_written from syncs where id = last_sync_id) from syncs"
        " join connectors on connectors.id = connector_id where connector_id = ?",
        connector_id,
    )[0]
    if mode is SyncMode.REPLACE:
        assert last == arrived
    elif mode is not SyncMode.INCREMENTAL_UPSERT:
        assert total == arrived


def _check_cursor(
    folder: Path, connector_id: str, target: DestinationHarness, mode: SyncMode, arrived: list[tuple[Any, ...]]
) -> None:
    """C: the destination's cursor is not ahead of its rows, and the store's copy is the destination's."""
    adapter = target.make()
    try:
        state = adapter.state(connector_id, "")[TABLE]
    finally:
        adapter.close()
    assert state.sync_id == store_value(folder, "select last_sync_id from connectors where id = ?", connector_id)
    assert state.epoch <= store_value(folder, "select epoch from lease")
    if mode.incremental:
        assert state.cursor == store_value(folder, "select cursor from streams where connector_id = ?", connector_id)
        reached = Cursor.from_text(state.cursor or "").value
        assert reached is not None
        column = 2 if mode is SyncMode.INCREMENTAL_UPSERT else 0
        assert int(reached) <= max(record[column] for record in arrived)
        versions = store_rows(folder, "select version from cursor_versions where connector_id = ? order by version", connector_id)
        assert [number for (number,) in versions] == list(range(1, len(versions) + 1))


def _check_files(folder: Path, target: DestinationHarness) -> None:
    """T: destinations that are files are sound; nothing half-written lies about; all of it is for its owner only."""
    if target.type_ == "sqlite":
        with closing(sqlite3.connect(target.document()["path"])) as connection:
            assert connection.execute("pragma integrity_check").fetchall() == [("ok",)]
    workspace = Workspace(folder)
    for path in (workspace.store_path, workspace.log_path):
        assert path.stat().st_mode & 0o077 == 0, path
