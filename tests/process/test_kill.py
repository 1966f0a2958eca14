"""SIGKILL at random moments and between any two steps: after the restart everything is as if it had not happened.

`SYNCTERM_KILLS=1000` (`make kill-test`) is the long form.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from syncterm.engine.failpoint import NAMES
from syncterm.engine.model import SyncMode
from tests.contracts.destination_harness import DestinationHarness
from tests.process.engine_process import (
    Console,
    EngineProcess,
    Starter,
    make_due,
    store_rows,
    store_value,
    wait_completed,
    wait_for_lease,
    wait_until,
)
from tests.process.invariants import Record, check

KILLS = int(os.environ.get("SYNCTERM_KILLS", "0"))
"""Of the long form; 0 for the short one."""
SEED = int(os.environ.get("SYNCTERM_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)
TARGETS = ("duckdb", "sqlite", "postgres", "parquet")
MODES = tuple(SyncMode)
CASES = tuple(itertools.product(TARGETS, MODES))
ROWS = 20_000
"""Records of the source at the beginning."""
GROWTH = 4_000
"""Records that are added before each sync."""
PLACES = tuple(name for name in NAMES if not name.startswith(("due-", "lease-", "keys-", "rotation-")))
"""The failpoints that every sync passes."""
RANDOM_KILLS = 2 if not KILLS else max(2, (KILLS - len(PLACES) * len(CASES)) // len(CASES))
"""Of each case."""


def places(target: str, mode: SyncMode) -> tuple[str, ...]:
    """The failpoints of a case: all in the long form; else each target gets each of them in one mode or another."""
    if KILLS:
        return PLACES
    first = MODES.index(mode) + TARGETS.index(target)
    return tuple(place for number, place in enumerate(PLACES) if number % len(MODES) == first % len(MODES))


class Shop:
    """A SQLite database whose table `orders` goes on growing and changing. `seen` grows with every change of a record."""

    def __init__(self, folder: Path, *, updates: bool) -> None:
        self.path = folder / "shop.sqlite"
        self._updates = updates
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._random = random.Random(SEED)
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("pragma journal_mode = wal")
            connection.execute("create table orders (id integer primary key, note text not null, seen integer not null)")
        self.grow(ROWS)

    def grow(self, records: int) -> None:
        """Add records, and change half as many where the case has updates; one transaction."""
        with closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            connection.execute("begin immediate")
            last, seen = connection.execute("select coalesce(max(id), 0), coalesce(max(seen), 0) from orders").fetchone()
            if self._updates and last:
                chosen = [self._random.randint(1, last) for _ in range(records // 2)]
                changes = [(f"changed {seen + at}", seen + at, key) for at, key in enumerate(chosen, 1)]
                connection.executemany("update orders set note = ?, seen = ? where id = ?", changes)
                seen += len(changes)
            connection.executemany(
                "insert into orders values (?, ?, ?)",
                [(last + at, f"order {last + at}", seen + at) for at in range(1, records + 1)],
            )

    def records(self) -> list[Record]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute("select id, note, seen from orders").fetchall()

    def open(self) -> None:
        """Begin to change in the background."""
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(0.02):
            self.grow(20)


class Round:
    """One connector from a shop into a target, its engines, and how often they were killed."""

    def __init__(self, folder: Path, target: DestinationHarness, mode: SyncMode, start: Starter) -> None:
        self.folder = folder
        self.target = target
        self.mode = mode
        self.shop = Shop(folder, updates=mode in (SyncMode.REPLACE, SyncMode.INCREMENTAL_UPSERT))
        self.console = Console(folder)
        self.kills = 0
        self._start = start
        self._requested = 0
        self._appended: Counter[Record] = Counter()
        self._length = 0.5
        cursor = {SyncMode.INCREMENTAL_APPEND: "cursor_field: id", SyncMode.INCREMENTAL_UPSERT: "cursor_field: seen"}.get(mode, "")
        self.console.apply(
            f"version: 1\nsources: {{shop: {{type: sqlite, config: {{path: {self.shop.path}}}}}}}\n"
            f"destinations: {{target: {{type: {target.type_}, config: {target.document()}}}}}\n"
            "connectors: {c: {source: shop, destination: target, schedule: {kind: manual},"
            f" streams: [{{name: orders, sync_mode: {mode}, primary_key: [id], {cursor}}}]}}}}\n"
        )
        self.connector_id = self.console.connector_id("c")

    def request(self) -> str:
        """Let the shop grow and ask for a sync; its id."""
        self.shop.grow(GROWTH)
        return self.request_only()

    def request_only(self) -> str:
        self._requested += 1
        if self.mode is SyncMode.APPEND:
            self._appended.update(self.shop.records())
        return self.console.sync("c")

    def kill_at_random(self, chance: random.Random) -> None:
        """Kill an engine at a moment of a sync, and a third of the next ones while they recover; then recover and check."""
        engine = self._start(self.folder)
        wait_for_lease(self.folder, engine)
        self._open_shop()
        sync_id = self.request()
        self._kill(engine, chance)
        while chance.random() < 1 / 3:
            engine = self._start(self.folder)
            wait_for_lease(self.folder, engine)
            self._kill(engine, chance)
        self.recover(sync_id)

    def _kill(self, engine: EngineProcess, chance: random.Random) -> None:
        """At a moment that is uniform over the length that a sync was last seen to take, and a little after."""
        with pytest.raises(Exception, match="timed out"):
            engine.process.wait(chance.uniform(0, self._length + 0.1))
        engine.kill()
        self.kills += 1

    def kill_at(self, place: str) -> None:
        """Let an engine end itself at a place, then recover and check."""
        self._open_shop()
        sync_id = self.request()
        engine = self._start(self.folder, failpoint=place)
        assert engine.ended() == -signal.SIGKILL, f"{place} was not reached"
        self.kills += 1
        self.recover(sync_id)

    def recover(self, sync_id: str) -> None:
        """Start an engine, wait for the interrupted sync, sync once more from a quiet source, and check."""
        engine = self._start(self.folder)
        wait_completed(self.folder, sync_id)
        self.shop.close()
        if self.mode is not SyncMode.APPEND:
            asked = time.monotonic()
            wait_completed(self.folder, self.request_only())
            self._length = time.monotonic() - asked
        expected = self._appended if self.mode is SyncMode.APPEND else Counter(self.shop.records())
        check(self.folder, self.connector_id, self.target, self.mode, expected.elements(), self._requested)
        wait_for_lease(self.folder, engine)
        engine.kill()

    def check_nothing_is_left_to_do(self) -> None:
        """C: syncing again adds nothing."""
        engine = self._start(self.folder)
        wait_completed(self.folder, self.request_only())
        expected = self._appended if self.mode is SyncMode.APPEND else Counter(self.shop.records())
        check(self.folder, self.connector_id, self.target, self.mode, expected.elements(), self._requested)
        if self.mode.incremental:
            assert store_value(self.folder, "select records_written from syncs order by rowid desc") == 0
        engine.send(signal.SIGTERM)
        assert engine.ended() == 128 + signal.SIGTERM
        assert store_value(self.folder, "select holder from lease") is None

    def _open_shop(self) -> None:
        if self.mode is not SyncMode.APPEND:  # what an append delivers can be told only where the source stands still
            self.shop.open()

    def close(self) -> None:
        self.shop.close()
        self.console.close()


@pytest.fixture
def round_(target: DestinationHarness, mode: SyncMode, tmp_path: Path, start: Starter) -> Iterator[Round]:
    made = Round(tmp_path, target, mode, start)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(("target", "mode"), CASES, indirect=["target"])
def test_killed_at_random_moments(round_: Round, mode: SyncMode) -> None:
    print(f"SYNCTERM_SEED={SEED}")
    chance = random.Random(f"{SEED} {round_.target.type_} {mode}")
    while round_.kills < RANDOM_KILLS:
        round_.kill_at_random(chance)
    round_.check_nothing_is_left_to_do()


@pytest.mark.parametrize(
    ("target", "mode", "chosen"),
    [(target, mode, places(target, mode)) for target, mode in CASES],
    indirect=["target"],
    ids=[f"{target}-{mode}-{'+'.join(places(target, mode))}" for target, mode in CASES],
)
def test_killed_between_two_steps(round_: Round, mode: SyncMode, chosen: tuple[str, ...]) -> None:
    for place in chosen:
        round_.kill_at(place)
        if place == "commit-begun" and KILLS:
            for milliseconds in (1, 2, 4, 8, 16):
                round_.kill_at(f"{place}:1:KILL:{milliseconds / 1000}")
    round_.check_nothing_is_left_to_do()


@pytest.mark.parametrize("place", ["due-queueing", "due-queued", "lease-renewed"])
def test_killed_while_a_due_time_is_claimed(place: str, tmp_path: Path, start: Starter) -> None:
    """One sync for the due time, whatever was written before the end."""
    with Console(tmp_path) as console:
        console.apply(
            "version: 1\nsources: {events: {type: scripted, config: {records: 100}}}\n"
            f"destinations: {{warehouse: {{type: duckdb, config: {{path: {tmp_path / 'w.duckdb'}}}}}}}\n"
            "connectors: {c: {source: events, destination: warehouse, schedule: {kind: interval, every: 1h},"
            " streams: [{name: events, sync_mode: append}]}}\n"
        )
    due = make_due(tmp_path)
    engine = start(tmp_path, failpoint=place)
    assert engine.ended() == -signal.SIGKILL
    start(tmp_path)
    wait_until(lambda: store_value(tmp_path, "select state = 'completed' from syncs"), "the due sync completed")
    assert store_rows(tmp_path, "select due_at, outcome from syncs") == [(due, "success")]
    assert store_value(tmp_path, "select next_fire_at from connectors") > due
