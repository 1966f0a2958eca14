"""How fast the store answers and records: milliseconds of each query and of a finished sync, on a seeded store.

    python benchmarks/store.py                      10,000 connectors, 200,000 syncs
    python benchmarks/store.py --syncs 5000000      the size of the goals: any page, card or chart ≤ 10 ms, a finished sync ≤ 2 ms

Each figure is the median (and the worst) of the repetitions; the same seed makes the same store, which `--keep` leaves for another
run.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from syncterm.engine import retention
from syncterm.engine.clock import SystemClock
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import Outcome, Trigger
from syncterm.engine.queries import ConnectorQuery, Queries
from syncterm.engine.queries.connectors import SORTS
from syncterm.engine.rollups import FinishedSync, bin_of, record_finished
from syncterm.engine.status import ConnectorStatus
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import log_lines

DAYS = 60
ENDS = 200
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def milliseconds(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)


def sync_rows(connector_ids: Sequence[str], count: int, chance: random.Random) -> Iterator[tuple[Any, ...]]:
    """Finished syncs, evenly over the days up to now, the oldest first."""
    start = NOW - timedelta(days=DAYS)
    step = timedelta(days=DAYS) / count
    for number in range(count):
        at = start + step * number
        outcome = chance.choices(("success", "failed", "cancelled"), (970, 25, 5))[0]
        duration = int(chance.lognormvariate(8, 1))
        created = milliseconds(at)
        error = ("timeout", f"no answer after {chance.randrange(90)} s", f"fingerprint {chance.randrange(12)}")
        yield (
            new_id(at),
            chance.choice(connector_ids),
            chance.choices(("scheduled", "manual"), (95, 5))[0],
            "schedule",
            "schedule",
            "completed",
            created,
            created,
            created + duration,
            duration,
            outcome,
            *(error if outcome == "failed" else (None, None, None)),
            chance.randrange(100_000),
            chance.randrange(10_000_000),
        )


def seed(path: Path, connectors: int, syncs: int, seed_number: int) -> None:
    """Fill an empty store."""
    chance = random.Random(seed_number)
    born = milliseconds(NOW - timedelta(days=DAYS + 10))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        ends = {}
        for table in ("sources", "destinations"):
            ends[table] = [new_id(NOW - timedelta(days=90)) for _ in range(ENDS)]
            connection.executemany(
                f"INSERT INTO {table} (id, name, type, config, version, credentials, credentials_ok_at, created_at, created_by,"
                " updated_at) VALUES (?, ?, 'postgres', '{}', 1, ?, ?, ?, 'ada', ?)",
                [
                    (id_, f"{table} {number}", "rejected" if number % 50 == 7 else "ok", born, born, born)
                    for number, id_ in enumerate(ends[table])
                ],
            )
        ids = [new_id(NOW - timedelta(days=80)) for _ in range(connectors)]
        for number, id_ in enumerate(ids):
            end = chance.randrange(ENDS)
            last = milliseconds(NOW - timedelta(seconds=chance.randrange(7200)))
            values = {
                "id": id_,
                "name": f"{chance.choice(('orders', 'events', 'invoices', 'devices'))} {number}",
                "source_id": ends["sources"][end],
                "destination_id": ends["destinations"][(end * 7 + chance.randrange(3)) % ENDS],
                "collection": chance.choice(("raw", "mart", "lake")),
                "version": 1,
                "created_at": born,
                "created_by": chance.choice(("ada", "bob", "eve")),
                "updated_at": born,
                "configuration_complete": chance.random() > 0.02,
                "schema_policy": "approve",
                "blackout": "[]",
                "reject_limit_count": 10_000,
                "reject_limit_share": 10,
                "stall_limit_ms": 600_000,
                "schedule_kind": "interval",
                "schedule_every_ms": chance.choice((60_000, 3_600_000, 21_600_000)),
                "schedule_timezone": "UTC",
                "catch_up": "once",
                "offset_ms": 0,
                "next_fire_at": milliseconds(NOW + timedelta(seconds=chance.randrange(3600))),
                "missed": 0,
                "paused_by": "person" if chance.random() < 0.05 else None,
                "last_sync_at": last,
                "last_outcome": "failed" if chance.random() < 0.04 else "success",
                "last_error_class": "timeout",
                "last_error_message": "no answer",
                "last_success_at": last,
                "last_duration_ms": chance.randrange(60_000),
                "last_records": chance.randrange(100_000),
                "last_bytes": chance.randrange(10_000_000),
                "last_rejected": 0,
                "consecutive_failures": 0,
                "activity": chance.choices(("idle", "running", "queued"), (98, 1, 1))[0],
                "changed_at": number + 1,
                "listed_at": number + 1,
            }
            connection.execute(
                f"INSERT INTO connectors ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})", list(values.values())
            )
        connection.executemany(
            'INSERT INTO syncs (id, connector_id, "trigger", reason, requested_by, state, created_at, started_at, finished_at,'
            " duration_ms, outcome, error_class, error_message, error_fingerprint, records_written, bytes, missed, attempt,"
            " records_read, records_unchanged, records_filtered, records_rejected, records_deleted)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 1, 0, 0, 0, 0, 0)",
            sync_rows(ids, syncs, chance),
        )
        for number, id_ in enumerate(ids[: max(1, connectors // 50)]):
            connection.execute(
                'INSERT INTO syncs (id, connector_id, "trigger", reason, requested_by, state, created_at, missed, attempt,'
                " records_read, records_written, records_unchanged, records_filtered, records_rejected, bytes,"
                " records_deleted)"
                " VALUES (?, ?, 'manual', 'sync_now', 'ada', ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
                (new_id(NOW), id_, "executing" if number % 2 else "created", milliseconds(NOW)),
            )
        connection.execute(
            "INSERT INTO rollup_days SELECT connector_id, finished_at / 86400000 * 86400000, SUM(outcome = 'success'),"
            " SUM(outcome = 'failed'), SUM(outcome = 'cancelled'), SUM(records_written), 0, SUM(bytes), SUM(duration_ms)"
            " FROM syncs WHERE finished_at IS NOT NULL GROUP BY 1, 2"
        )
        for column in ("source_id", "destination_id"):
            connection.execute(
                f"INSERT INTO rollup_days SELECT {column}, day_at, SUM(succeeded), SUM(failed), SUM(cancelled), SUM(records), 0,"
                " SUM(bytes), SUM(duration_ms) FROM rollup_days JOIN connectors ON id = subject_id GROUP BY 1, 2"
            )
        histogram = "{" + ",".join(f'"{bin_of(duration)}":7' for duration in range(500, 60_000, 800)) + "}"
        connection.executemany(
            "INSERT INTO rollup_hours VALUES (?, ?, 80, 2, 0, 0, 0, 0, 0, ?)",
            [
                (milliseconds(NOW) - hour * 3_600_000, trigger, histogram)
                for hour in range(DAYS * 24)
                for trigger in ("scheduled", "manual")
            ],
        )
        connection.executemany(
            "INSERT INTO log_lines (sync_id, connector_id, at, level, message) VALUES (?, ?, ?, 'info', 'Completed: success.')",
            (
                (None, chance.choice(ids), milliseconds(NOW - timedelta(days=DAYS) + timedelta(days=DAYS) / syncs * number))
                for number in range(syncs)
            ),
        )
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


class Fixed(SystemClock):
    """A clock that stands at the end of the seeded history."""

    def now(self) -> datetime:
        return NOW


Work = Callable[[], Awaitable[Any]]


async def measure(work: Work, repetitions: int) -> list[float]:
    """Milliseconds of each repetition, after one that is not counted."""
    await work()
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        await work()
        times.append((time.perf_counter() - started) * 1000)
    return times


async def works(database: Database, queries: Queries) -> list[tuple[str, float, Work]]:
    """Name, goal in milliseconds, and what to measure."""
    keys = await queries.connector_keys(ConnectorQuery())
    middle = keys[len(keys) // 2]
    page = await queries.sync_page(None, limit=50)
    deep = page[-1].id
    for _ in range(20):
        deep = (await queries.sync_page(None, before=deep, limit=500))[-1].id
    week = NOW - timedelta(days=7)
    key_goal = max(10.0, len(keys) / 100_000 * 30)

    async def read_nothing() -> None:
        async with database.read():
            pass

    async def write_one() -> None:
        async with database.write() as connection:
            await connection.execute(insert(log_lines), [{"at": NOW, "level": "info", "message": "x"}])

    async def finish(durable: bool) -> None:
        async with database.write(durable=durable) as connection:
            await record_finished(
                connection,
                FinishedSync(middle, Trigger.MANUAL, Outcome.SUCCESS, NOW, timedelta(seconds=3), 1000, 0, 10_000),
            )

    found: list[tuple[str, float, Work]] = [
        ("an empty read: what all of these pay", 10, read_nothing),
        ("one log line, durable: what each write pays", 2, write_one),
    ]
    found += [
        (f"keys by {sort}{' descending' if descending else ''}", key_goal, _keys(queries, sort, descending))
        for sort in SORTS
        for descending in ((False, True) if sort in ("name", "last_sync") else (False,))
    ]
    found += [
        ("keys, text filter", 10, lambda: queries.connector_keys(ConnectorQuery(text="voice"))),
        (
            "keys, broken only",
            10,
            lambda: queries.connector_keys(ConnectorQuery(statuses=frozenset({ConnectorStatus.BROKEN}))),
        ),
        ("keys, schedule filter", 10, lambda: queries.connector_keys(ConnectorQuery(fields={"schedule": "hour"}))),
        ("rows of 50 connectors", 10, lambda: queries.connector_rows(keys[5000:5050])),
        ("counts", 10, lambda: queries.connector_counts(ConnectorQuery())),
        ("counts, text filter", 10, lambda: queries.connector_counts(ConnectorQuery(text="voice"))),
        ("changed connectors, none", 10, lambda: queries.changed_connectors(len(keys) + 1_000_000)),
        ("changed connectors, 100", 10, lambda: queries.changed_connectors(len(keys) - 100)),
        ("connector detail", 10, lambda: queries.connector(middle)),
        ("engine state", 10, queries.engine_state),
        ("sources", 10, queries.sources),
        ("destinations", 10, queries.destinations),
        ("newest 50 syncs", 10, lambda: queries.sync_page(None)),
        ("50 syncs, 10,000 down", 10, lambda: queries.sync_page(None, before=deep)),
        ("50 syncs of a connector", 10, lambda: queries.sync_page(middle)),
        ("50 failed syncs", 10, lambda: queries.sync_page(None, outcome=Outcome.FAILED)),
        ("50 cancelled syncs", 10, lambda: queries.sync_page(None, outcome=Outcome.CANCELLED)),
        ("open syncs", 10, lambda: queries.sync_page(None, only_open=True)),
        ("a sync", 10, lambda: queries.sync(page[0].id)),
        ("duration trend", 10, lambda: queries.duration_trend(middle)),
        ("failure groups of a connector, 7 days", 10, lambda: queries.failure_groups(middle, week)),
        ("failure groups of all, 1 day", 10, lambda: queries.failure_groups(None, NOW - timedelta(days=1))),
        ("failure groups of all, 7 days", 10, lambda: queries.failure_groups(None, week)),
        ("newest 500 log lines", 10, lambda: queries.log_lines(None)),
        ("log lines of a connector", 10, lambda: queries.log_lines(middle)),
        ("record a finished sync's totals, not yet on disk", 2, lambda: finish(False)),
        ("record a finished sync's totals, durable", 2, lambda: finish(True)),
    ]
    return found


def _keys(queries: Queries, sort: str, descending: bool) -> Work:
    return lambda: queries.connector_keys(ConnectorQuery(sort=sort, descending=descending))


async def run(path: Path, arguments: argparse.Namespace) -> None:
    fresh = not path.exists()  # noqa: ASYNC240 - nothing else runs
    database = await Database.open(path, clock=SystemClock())
    if fresh:
        started = time.perf_counter()
        await asyncio.to_thread(seed, path, arguments.connectors, arguments.syncs, arguments.seed)
        size = path.stat().st_size / 1e6  # noqa: ASYNC240 - nothing else runs
        print(f"seeded in {time.perf_counter() - started:.0f} s, {size:.0f} MB\n", flush=True)
    queries = Queries(database, Fixed())
    print(f"| {arguments.connectors:,} connectors, {arguments.syncs:,} syncs | median ms | worst | goal | |")
    print("| --- | ---: | ---: | ---: | --- |")
    for name, goal, work in await works(database, queries):
        if arguments.only and arguments.only not in name:
            continue
        times = await measure(work, arguments.repetitions)
        median = statistics.median(times)
        print(
            f"| {name} | {median:.2f} | {max(times):.2f} | {goal:g} | {'' if median <= goal else 'MISSED'} |",
            flush=True,
        )
    if not arguments.keep:
        removed = await retention.apply(database, Fixed(), keep=timedelta(days=DAYS - 1))
        rows = sum(removed.rows.values())
        missed = "" if removed.longest <= 0.020 else "MISSED"
        print(f"| retention of a day, {rows:,} rows: longest hold of the writer | | {removed.longest * 1000:.2f} | 20 | {missed} |")
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connectors", type=int, default=10_000)
    parser.add_argument("--syncs", type=int, default=200_000)
    parser.add_argument("--repetitions", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="measure only what has this text in its name")
    parser.add_argument("--keep", type=Path, help="folder to keep the store in, and to find it again; without retention")
    arguments = parser.parse_args()
    if arguments.keep:
        folder = arguments.keep / f"{arguments.connectors}-{arguments.syncs}-{arguments.seed}"
        asyncio.run(run(folder / "syncterm.db", arguments))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder_name:
        asyncio.run(run(Path(folder_name) / "syncterm.db", arguments))


if __name__ == "__main__":
    main()
