"""Two engines on one store: one executes, no due time runs twice, and one that was frozen and replaced writes nothing."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from syncterm.engine.schema import Field, LogicalType
from tests.contracts.destination_harness import DestinationHarness, DuckDBHarness
from tests.process.engine_process import (
    Console,
    Starter,
    make_due,
    state_of,
    store_rows,
    store_value,
    wait_completed,
    wait_for_lease,
    wait_until,
)

RECORDS = 500
ROUNDS = 5
"""How often a test starts two engines at once; there are four such tests."""
FIELDS = (Field("id", LogicalType("int64")),)


def document(target: DestinationHarness, schedule: str) -> str:
    return (
        f"version: 1\nsources: {{events: {{type: scripted, config: {{records: {RECORDS}}}}}}}\n"
        f"destinations: {{target: {{type: {target.type_}, config: {target.document()}}}}}\n"
        f"connectors: {{c: {{source: events, destination: target, schedule: {schedule},"
        " streams: [{name: events, sync_mode: append}]}}\n"
    )


@pytest.mark.parametrize("seed", range(4))
def test_two_engines_at_once_run_a_due_time_once(seed: int, tmp_path: Path, start: Starter) -> None:
    target = DuckDBHarness(tmp_path)
    with Console(tmp_path) as console:
        console.apply(document(target, "{kind: interval, every: 1h}"))
    due = []
    for number in range(1, ROUNDS + 1):
        due.append(make_due(tmp_path))
        engines = [start(tmp_path), start(tmp_path)]

        def all_ran(count: int = number) -> bool:
            return store_rows(tmp_path, "select count(*), min(state), max(state) from syncs") == [(count, "completed", "completed")]

        wait_until(all_ran, "every due time ran")
        assert store_value(tmp_path, "select epoch from lease") == number, "one of the two took the lease, once"
        assert store_value(tmp_path, "select pid from lease") in [engine.pid for engine in engines]
        for engine in engines:
            engine.kill()
    assert store_rows(tmp_path, "select due_at, attempt, outcome from syncs order by due_at") == [(at, 1, "success") for at in due]
    rows = target.rows("events", FIELDS)
    assert rows is not None
    assert len(rows) == RECORDS * ROUNDS


@pytest.mark.parametrize(
    ("target", "place"),
    [("sqlite", "batch-read:6"), ("sqlite", "commit-begun:2"), ("postgres", "commit-begun:2"), ("parquet", "commit-begun:2")],
    indirect=["target"],
)
def test_a_frozen_engine_that_was_replaced_writes_nothing(
    target: DestinationHarness, place: str, tmp_path: Path, start: Starter
) -> None:
    with Console(tmp_path) as console:
        console.apply(document(target, "{kind: manual}"))
        frozen = start(tmp_path, failpoint=f"{place}:STOP")
        wait_completed(tmp_path, console.sync("c"))
        sync_id = console.sync("c")
        wait_until(lambda: state_of(frozen.pid) == "T", "it froze in the second sync")
        heir = start(tmp_path)
        wait_for_lease(tmp_path, heir)
        wait_completed(tmp_path, sync_id)
        before = target.rows("events", FIELDS)
        assert before is not None
        assert len(before) == 2 * RECORDS
        frozen.send(signal.SIGCONT)
        wait_until(lambda: frozen.said("Another engine has taken over"), "the frozen engine found out")
        # It ends what it ran before it gives way; only then is there nothing more to come.
        heir.kill()
        wait_for_lease(tmp_path, frozen)
        assert target.rows("events", FIELDS) == before
        attempts = "select epoch, outcome, error_class from attempts where sync_id = ? order by number"
        assert store_rows(tmp_path, attempts, sync_id) == [
            (1, "failed", "interrupted"),
            (2, "success", None),
        ]
        wait_completed(tmp_path, console.sync("c"))
        after = target.rows("events", FIELDS)
        assert after is not None
        assert len(after) == 3 * RECORDS


def test_a_frozen_engine_that_keeps_its_file_locked_still_loads_once(tmp_path: Path, start: Starter) -> None:
    """DuckDB gives its file to one process: the heir waits, and takes up what the frozen one committed after all."""
    target = DuckDBHarness(tmp_path)
    with Console(tmp_path) as console:
        console.apply(document(target, "{kind: manual}"))
        sync_id = console.sync("c")
        frozen = start(tmp_path, failpoint="commit-begun:1:STOP")
        wait_until(lambda: state_of(frozen.pid) == "T", "it froze")
        heir = start(tmp_path)
        wait_for_lease(tmp_path, heir)
        waiting = "select count(*) from attempts where error_class = 'destination'"
        wait_until(lambda: store_value(tmp_path, waiting), "the heir found the file in use")
        frozen.send(signal.SIGCONT)
        wait_completed(tmp_path, sync_id)
        rows = target.rows("events", FIELDS)
        assert rows is not None
        assert len(rows) == RECORDS
        assert store_rows(tmp_path, "select outcome, records_written from syncs") == [("success", RECORDS)]


def test_an_engine_that_was_frozen_and_not_replaced_goes_on(tmp_path: Path, start: Starter) -> None:
    target = DuckDBHarness(tmp_path)
    with Console(tmp_path) as console:
        console.apply(document(target, "{kind: manual}"))
        engine = start(tmp_path)
        wait_for_lease(tmp_path, engine)
        # Right after a heartbeat it writes nothing: frozen in the middle of a write it would hold the store's lock.
        wait_until(lambda: store_value(tmp_path, "select beats from lease") > 2, "the engine has begun")
        engine.send(signal.SIGSTOP)
        sync_id = console.sync("c")
        engine.send(signal.SIGCONT)
        wait_completed(tmp_path, sync_id)
        assert store_value(tmp_path, "select epoch from lease") == 1
