"""Statuses: the rules as tables, and the same rules in the store, over every combination of facts."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from syncterm.engine.clock import SystemClock
from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Activity, CheckResult, CredentialsState, Outcome, PausedBy, Schedule, ScheduleKind, SyncState
from syncterm.engine.queries import status_expressions as expressions
from syncterm.engine.schedule import describe
from syncterm.engine.status import (
    ConnectorFacts,
    ConnectorStatus,
    EndpointFacts,
    JobStatus,
    LogStatus,
    SourceStatus,
    SyncStatus,
    TileStatus,
    connector_status,
    is_broken,
    is_incomplete,
    job_status,
    log_status,
    source_status,
    sync_status,
    tile_status,
)
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import connectors, destinations, sources
from tests.engine.store_rows import BEFORE, NOW

LATER = NOW + timedelta(hours=1)
GOOD = ConnectorFacts(last_outcome=Outcome.SUCCESS, last_success_at=NOW)
FAILED = replace(GOOD, last_outcome=Outcome.FAILED, last_error_class=ErrorClass.TIMEOUT)

CONNECTORS: list[tuple[str, ConnectorFacts, ConnectorStatus, JobStatus]] = [
    ("never run", ConnectorFacts(), ConnectorStatus.ACTIVE, JobStatus.PENDING),
    ("succeeded", GOOD, ConnectorStatus.ACTIVE, JobStatus.COMPLETED),
    ("queued", replace(GOOD, activity=Activity.QUEUED), ConnectorStatus.ACTIVE, JobStatus.PENDING),
    ("running", replace(GOOD, activity=Activity.RUNNING), ConnectorStatus.ACTIVE, JobStatus.RUNNING),
    ("first run", ConnectorFacts(activity=Activity.RUNNING), ConnectorStatus.ACTIVE, JobStatus.RUNNING),
    ("rate limited", replace(GOOD, activity=Activity.BACKING_OFF), ConnectorStatus.ACTIVE, JobStatus.RUNNING),
    ("cancelling", replace(GOOD, activity=Activity.CANCELLING), ConnectorStatus.ACTIVE, JobStatus.RUNNING),
    ("failed", FAILED, ConnectorStatus.BROKEN, JobStatus.FAILED),
    ("failed, runs again", replace(FAILED, activity=Activity.RUNNING), ConnectorStatus.BROKEN, JobStatus.RUNNING),
    ("interrupted", replace(FAILED, last_error_class=ErrorClass.INTERRUPTED), ConnectorStatus.ACTIVE, JobStatus.FAILED),
    ("cancelled", replace(GOOD, last_outcome=Outcome.CANCELLED), ConnectorStatus.ACTIVE, JobStatus.COMPLETED),
    ("paused", replace(GOOD, paused_by=PausedBy.PERSON), ConnectorStatus.PAUSED, JobStatus.PAUSED),
    ("paused, broken", replace(FAILED, paused_by=PausedBy.ENGINE), ConnectorStatus.PAUSED, JobStatus.PAUSED),
    ("unfinished", replace(GOOD, configuration_complete=False), ConnectorStatus.INCOMPLETE, JobStatus.COMPLETED),
    ("unfinished end", replace(FAILED, end_incomplete=True), ConnectorStatus.INCOMPLETE, JobStatus.FAILED),
    ("schema", replace(FAILED, schema_change_waits=True), ConnectorStatus.INCOMPLETE, JobStatus.FAILED),
    ("refused", replace(GOOD, source_credentials=CredentialsState.REJECTED), ConnectorStatus.BROKEN, JobStatus.COMPLETED),
    (
        "refused there",
        replace(GOOD, destination_credentials=CredentialsState.REJECTED),
        ConnectorStatus.BROKEN,
        JobStatus.COMPLETED,
    ),
    (
        "test failed since",
        replace(GOOD, check_result=CheckResult.TIMEOUT, check_at=LATER),
        ConnectorStatus.BROKEN,
        JobStatus.COMPLETED,
    ),
    (
        "test failed before",
        replace(GOOD, check_result=CheckResult.TIMEOUT, check_at=BEFORE),
        ConnectorStatus.ACTIVE,
        JobStatus.COMPLETED,
    ),
    (
        "test failed, never run",
        ConnectorFacts(check_result=CheckResult.PERMISSION_DENIED, check_at=NOW),
        ConnectorStatus.BROKEN,
        JobStatus.PENDING,
    ),
    ("test passed", replace(GOOD, check_result=CheckResult.WORKING, check_at=LATER), ConnectorStatus.ACTIVE, JobStatus.COMPLETED),
]


@pytest.mark.parametrize(("facts", "status", "job"), [case[1:] for case in CONNECTORS], ids=[case[0] for case in CONNECTORS])
def test_connectors_and_jobs(facts: ConnectorFacts, status: ConnectorStatus, job: JobStatus) -> None:
    assert (connector_status(facts), job_status(facts)) == (status, job)


def test_every_status_has_a_case() -> None:
    assert {case[2] for case in CONNECTORS} == set(ConnectorStatus)
    assert {case[3] for case in CONNECTORS} == set(JobStatus)


def test_a_paused_connector_may_be_broken_too() -> None:
    assert is_broken(replace(FAILED, paused_by=PausedBy.PERSON))
    assert not is_broken(replace(GOOD, paused_by=PausedBy.PERSON))


@pytest.mark.parametrize(
    ("state", "outcome", "sync", "log"),
    [
        (SyncState.CREATED, None, SyncStatus.IN_PROGRESS, LogStatus.CREATED),
        (SyncState.PENDING, None, SyncStatus.IN_PROGRESS, LogStatus.PENDING),
        (SyncState.EXECUTING, None, SyncStatus.IN_PROGRESS, LogStatus.EXECUTING),
        (SyncState.COMPLETED, Outcome.SUCCESS, SyncStatus.SUCCESS, LogStatus.COMPLETED),
        (SyncState.COMPLETED, Outcome.FAILED, SyncStatus.FAILED, LogStatus.ERROR),
        (SyncState.COMPLETED, Outcome.CANCELLED, SyncStatus.CANCELLED, LogStatus.COMPLETED),
    ],
)
def test_syncs_and_logs(state: SyncState, outcome: Outcome | None, sync: SyncStatus, log: LogStatus) -> None:
    assert (sync_status(state, outcome), log_status(state, outcome)) == (sync, log)


OK, NEVER, REJECTED = CredentialsState.OK, CredentialsState.NEVER_TESTED, CredentialsState.REJECTED
UNFINISHED = NEVER
"""In the combinations, an end that is unfinished has never been tested."""


@pytest.mark.parametrize(
    ("facts", "status"),
    [
        (EndpointFacts(NEVER, False), SourceStatus.SETUP),
        (EndpointFacts(NEVER, False, 3, 0), SourceStatus.SETUP),
        (EndpointFacts(REJECTED, False, 3, 0), SourceStatus.SETUP),
        (EndpointFacts(REJECTED, True, 3, 3), SourceStatus.REAUTH_REQUIRED),
        (EndpointFacts(NEVER, True, 1, 0), SourceStatus.LIVE),
        (EndpointFacts(OK, True, 0, 0), SourceStatus.AUTHENTICATED),
        (EndpointFacts(OK, True, 2, 2), SourceStatus.ERROR),
        (EndpointFacts(OK, True, 2, 1), SourceStatus.LIVE),
        (EndpointFacts(OK, True, 2, 0), SourceStatus.LIVE),
    ],
)
def test_sources(facts: EndpointFacts, status: SourceStatus) -> None:
    assert source_status(facts) is status


def test_tiles() -> None:
    expected = {
        ConnectorStatus.ACTIVE: TileStatus.ACTIVE,
        ConnectorStatus.BROKEN: TileStatus.ERROR,
        ConnectorStatus.INCOMPLETE: TileStatus.ERROR,
        ConnectorStatus.PAUSED: TileStatus.DISABLED,
    }
    assert {status: tile_status(status) for status in ConnectorStatus} == expected


# The same rules in the store --------------------------------------------------------------------------------------------------


def combinations() -> Iterator[ConnectorFacts]:
    """Every combination of what the rules look at, 18,432 of them."""
    checks = (
        (None, None),
        (CheckResult.WORKING, LATER),
        (CheckResult.TIMEOUT, LATER),
        (CheckResult.TIMEOUT, BEFORE),
    )
    results = (
        (None, None),
        (Outcome.SUCCESS, None),
        (Outcome.CANCELLED, None),
        (Outcome.FAILED, None),
        (Outcome.FAILED, ErrorClass.AUTH),
        (Outcome.FAILED, ErrorClass.INTERRUPTED),
    )
    ends = (  # state of the source's credentials and of the destination's, whether one is unfinished
        *((source, destination, False) for source in (None, OK, REJECTED) for destination in (None, OK, REJECTED)),
        *((*pair, True) for state in (None, OK, REJECTED) for pair in ((UNFINISHED, state), (state, UNFINISHED))),
        (UNFINISHED, UNFINISHED, True),
    )
    for paused, complete, schema, (source, destination, unfinished), check, result, success, activity in itertools.product(
        (None, PausedBy.ENGINE),
        (True, False),
        (True, False),
        ends,
        checks,
        results,
        (None, NOW),
        (Activity.IDLE, Activity.QUEUED, Activity.RUNNING),
    ):
        yield ConnectorFacts(
            paused, complete, schema, source, destination, check[0], check[1], result[0], result[1], success, activity, unfinished
        )


def values_of(number: int, facts: ConnectorFacts) -> dict[str, Any]:
    return {
        "id": str(number),
        "name": str(number),
        "created_at": BEFORE,
        "created_by": "ada",
        "updated_at": BEFORE,
        "source_id": facts.source_credentials,
        "destination_id": facts.destination_credentials,
        "paused_by": facts.paused_by,
        "configuration_complete": facts.configuration_complete,
        "schema_change": "{}" if facts.schema_change_waits else None,
        "check_result": facts.check_result,
        "check_at": facts.check_at,
        "last_outcome": facts.last_outcome,
        "last_error_class": facts.last_error_class,
        "last_success_at": facts.last_success_at,
        "activity": facts.activity,
        "changed_at": number,
        "listed_at": number,
    }


@pytest.fixture
async def database(tmp_path: Path) -> Any:
    database = await Database.open(tmp_path / "syncterm.db", clock=SystemClock())
    yield database
    await database.close()


async def test_the_store_derives_the_same_statuses(database: Database) -> None:
    every = list(combinations())
    end = {"config": "{}", "type": "x", "created_at": BEFORE, "created_by": "ada", "updated_at": BEFORE}
    async with database.write() as connection:
        for table in (sources, destinations):
            await connection.execute(
                insert(table),
                [
                    {"id": state, "name": state, "credentials": state, "incomplete_reason": lacks, **end}
                    for state, lacks in ((OK, None), (REJECTED, None), (UNFINISHED, "host is missing"))
                ],
            )
        await connection.execute(insert(connectors), [values_of(number, facts) for number, facts in enumerate(every)])
    statement = select(
        connectors.c.id,
        expressions.connector_status().label("status"),
        expressions.attention_rank().label("rank"),
        expressions.job_status().label("job"),
        expressions.is_broken().label("broken"),
        expressions.is_incomplete().label("incomplete"),
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    assert len(rows) == len(every)
    for row in rows:
        facts = every[int(row.id)]
        status = connector_status(facts)
        assert (row.status, row.job) == (status, job_status(facts)), facts
        assert (bool(row.broken), bool(row.incomplete)) == (is_broken(facts), is_incomplete(facts)), facts
        assert row.rank == list(ConnectorStatus).index(status)


SCHEDULES = [
    Schedule(ScheduleKind.MANUAL),
    Schedule(ScheduleKind.CRON, None, "0 6 * * 1-5", "Europe/Berlin"),
    *(
        Schedule(ScheduleKind.INTERVAL, timedelta(seconds=seconds))
        for seconds in (1, 2, 59, 60, 61, 90, 120, 900, 3600, 5400, 7200, 21_600, 86_400, 90_000, 172_800, 31_622_400)
    ),
]


async def test_the_store_writes_schedules_the_same_way(database: Database) -> None:
    async with database.write() as connection:
        for number, schedule in enumerate(SCHEDULES):
            row = values_of(number, GOOD) | {
                "source_id": None,
                "destination_id": None,
                "schedule_kind": schedule.kind,
                "schedule_every_ms": schedule.every // timedelta(milliseconds=1) if schedule.every else None,
                "schedule_expression": schedule.expression,
                "schedule_timezone": schedule.timezone,
            }
            await connection.execute(insert(connectors).values(row))
    async with database.read() as connection:
        rows = (await connection.execute(select(connectors.c.id, expressions.schedule_text().label("text")))).all()
    assert {SCHEDULES[int(row.id)]: row.text for row in rows} == {schedule: describe(schedule) for schedule in SCHEDULES}


def test_the_row_types_are_light_to_import() -> None:
    code = "import sys; import syncterm.engine.status, syncterm.engine.queries; print('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "False"
