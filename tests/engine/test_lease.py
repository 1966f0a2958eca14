"""The lease: one holder, takeover of the dead and the silent, and none by a jump of the clock."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from syncterm.engine.clock import SystemClock
from syncterm.engine.errors import StoreError
from syncterm.engine.lease import LEASE_DURATION, Lease, process_scope
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import lease as lease_table


class SetClock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)
        self.seconds = 100.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.pass_(seconds)

    def pass_(self, seconds: float) -> None:
        self.seconds += seconds
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "syncterm.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(path, clock=SystemClock())
    yield database
    await database.close()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def engine(database: Database, clock: SetClock, name: str, **where: str) -> Lease:
    return Lease(database, clock, holder=name, **where)  # type: ignore[arg-type]


async def test_a_free_lease_is_taken_once(database: Database, clock: SetClock) -> None:
    first, second = engine(database, clock, "first"), engine(database, clock, "second")
    assert await first.holder() is None
    assert await first.acquire()
    assert not await second.acquire()
    assert (first.epoch, second.epoch) == (1, None)
    assert first.valid()
    assert not second.valid()
    holder = await second.holder()
    assert holder is not None
    assert (holder.holder, holder.epoch, holder.pid, holder.alive) == ("first", 1, os.getpid(), True)


async def test_a_released_lease_is_taken_at_once_with_the_next_epoch(database: Database, clock: SetClock) -> None:
    first, second = engine(database, clock, "first"), engine(database, clock, "second")
    assert await first.acquire()
    await first.release()
    assert not first.valid()
    assert await second.holder() is None
    assert await second.acquire()
    assert second.epoch == 2
    assert not await first.heartbeat()
    await first.release()  # of no effect now
    assert await second.heartbeat()


async def test_heartbeats_keep_a_lease_for_ever(database: Database, clock: SetClock) -> None:
    first, second = engine(database, clock, "first"), engine(database, clock, "second")
    assert await first.acquire()
    for _ in range(20):
        clock.pass_(LEASE_DURATION - 0.1)
        assert first.valid()
        assert await first.heartbeat()
        assert not await second.acquire()
    assert first.epoch == 1


async def test_a_silent_holder_is_replaced_after_the_duration_and_not_before(database: Database, clock: SetClock) -> None:
    first, second = engine(database, clock, "first"), engine(database, clock, "second")
    assert await first.acquire()
    assert not await second.acquire()  # starts to watch
    clock.pass_(LEASE_DURATION - 0.1)
    assert not await second.acquire()
    assert first.valid()
    clock.pass_(0.1)
    assert not first.valid()  # the old one stops first
    assert await second.acquire()
    assert second.epoch == 2
    assert not await first.heartbeat()
    assert first.epoch is None


async def test_a_watcher_needs_the_full_duration_of_its_own(database: Database, clock: SetClock) -> None:
    first = engine(database, clock, "first")
    assert await first.acquire()
    clock.pass_(1000)
    late = engine(database, clock, "late")
    assert not await late.acquire()  # it cannot know since when
    clock.pass_(LEASE_DURATION)
    assert await late.acquire()


async def test_a_late_holder_that_nobody_replaced_goes_on(database: Database, clock: SetClock) -> None:
    first = engine(database, clock, "first")
    assert await first.acquire()
    clock.pass_(1000)
    assert not first.valid()
    assert await first.heartbeat()
    assert first.valid()
    assert first.epoch == 1


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(hours=-1), timedelta(days=3653), timedelta(days=-1)])
async def test_a_jump_of_the_wall_clock_moves_nothing(database: Database, clock: SetClock, jump: timedelta) -> None:
    first, second = engine(database, clock, "first"), engine(database, clock, "second")
    assert await first.acquire()
    assert not await second.acquire()
    clock.at += jump
    assert first.valid()
    assert not await second.acquire()
    assert await first.heartbeat()
    clock.pass_(LEASE_DURATION)
    assert await first.heartbeat()
    assert not await second.acquire()
    clock.pass_(LEASE_DURATION)
    assert await second.acquire()


async def test_a_dead_process_of_this_machine_is_replaced_at_once(database: Database, clock: SetClock) -> None:
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await dead.wait()
    assert await Lease(database, clock, holder="dead", pid=dead.pid).acquire()
    second = engine(database, clock, "second")
    holder = await second.holder()
    assert holder is not None
    assert not holder.alive
    assert await second.acquire()


async def test_a_pid_of_another_machine_says_nothing(database: Database, clock: SetClock) -> None:
    dead = await asyncio.create_subprocess_exec(sys.executable, "-c", "")
    await dead.wait()
    assert await Lease(database, clock, holder="far", pid=dead.pid, scope="elsewhere").acquire()
    second = engine(database, clock, "second")
    assert not await second.acquire()
    clock.pass_(LEASE_DURATION)
    assert await second.acquire()


async def test_a_locked_store_costs_no_lease_by_itself(
    database: Database, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3
    from contextlib import closing

    monkeypatch.setattr("syncterm.engine.lease._BUSY_LIMIT", 0.0)
    first = engine(database, clock, "first")
    assert await first.acquire()
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            await first.heartbeat()
        assert first.valid()
        other.execute("ROLLBACK")
    assert await first.heartbeat()


async def test_two_that_take_over_at_once(database: Database, path: Path, clock: SetClock) -> None:
    """Many watchers of one silent holder, each with a database of its own: one wins."""
    assert await engine(database, clock, "first", scope="elsewhere").acquire()
    others = [await Database.open(path, clock=SystemClock()) for _ in range(4)]
    watchers = [engine(other, clock, f"watcher {number}") for number, other in enumerate(others)]
    assert not any([await watcher.acquire() for watcher in watchers])
    clock.pass_(LEASE_DURATION)
    won = await asyncio.gather(*(watcher.acquire() for watcher in watchers))
    assert sorted(won) == [False, False, False, True]
    for other in others:
        await other.close()


async def test_a_changed_row_ends_it(database: Database, clock: SetClock) -> None:
    first = engine(database, clock, "first")
    assert await first.acquire()
    async with database.write() as connection:
        await connection.execute(update(lease_table).values(epoch=7))
    assert not await first.heartbeat()


def test_the_scope_is_stable() -> None:
    code = "from syncterm.engine.lease import process_scope; print(process_scope())"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == process_scope()
    )


# Real processes -----------------------------------------------------------------------------------------------------------

HOLDER = """
import asyncio, sys
from pathlib import Path
from syncterm.engine import lease as module
from syncterm.engine.clock import SystemClock
from syncterm.engine.store.database import Database

module.LEASE_DURATION, module.HEARTBEAT_INTERVAL = 0.8, 0.1

async def main():
    database = await Database.open(Path(sys.argv[1]), clock=SystemClock())
    lease = module.Lease(database, SystemClock(), holder=sys.argv[2], scope=sys.argv[3] or None)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    held = False
    while True:
        if not held:
            held = await lease.acquire()
            if held:
                print("holds", lease.epoch, flush=True)
        else:
            if not lease.valid():
                print("expired", flush=True)
            held = await lease.heartbeat()
            if not held:
                print("lost", flush=True)
                return
        await asyncio.sleep(module.HEARTBEAT_INTERVAL)

asyncio.run(main())
"""


class Process:
    """A process that holds, or waits for, the lease; it says so line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    @classmethod
    async def start(cls, path: Path, name: str, scope: str = "") -> Process:
        made = cls(
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", HOLDER, str(path), name, scope, stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        assert await made.line() == "ready"
        return made

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    async def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        transport = self.process._transport  # type: ignore[attr-defined]
        transport.close()


@pytest.fixture
async def pair(path: Path, database: Database) -> AsyncIterator[tuple[Process, Process]]:
    processes = [await Process.start(path, name) for name in ("one", "two")]
    yield processes[0], processes[1]
    for process in processes:
        await process.end()


async def first_line(*processes: Process) -> tuple[Process, str, Process]:
    """The first of two that says something, its line, and the other."""
    tasks = {asyncio.create_task(process.line()): process for process in processes}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
        await asyncio.wait([task])
    (winner,) = done
    (other,) = pending
    return tasks[winner], winner.result(), tasks[other]


async def test_racing_processes_and_the_death_of_the_winner(pair: tuple[Process, Process]) -> None:
    for process in pair:
        process.go()
    winner, line, other = await first_line(*pair)
    assert line == "holds 1"
    winner.process.kill()
    await winner.process.wait()
    assert await other.line() == "holds 2"


async def test_a_frozen_holder_loses_and_knows_it(pair: tuple[Process, Process]) -> None:
    frozen, other = pair
    frozen.go()
    assert await frozen.line() == "holds 1"
    other.go()
    frozen.process.send_signal(signal.SIGSTOP)
    assert await other.line() == "holds 2"
    frozen.process.send_signal(signal.SIGCONT)
    assert await frozen.line() == "expired"  # its own clock tells it before it asks the store
    assert await frozen.line() == "lost"
    assert await frozen.process.wait() == 0


async def test_a_silent_holder_elsewhere_is_replaced(path: Path, database: Database) -> None:
    far, near = await Process.start(path, "far", "elsewhere"), await Process.start(path, "near")
    far.go()
    assert await far.line() == "holds 1"
    near.go()
    await far.end()  # its pid means nothing to the other, only its silence
    assert await near.line() == "holds 2"
    await near.end()
