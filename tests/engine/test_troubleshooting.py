"""What is wrong with a connector and what mends it: a table of facts, and properties over all of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import (
    MANUAL_SCHEDULE,
    Activity,
    CheckResult,
    CredentialsState,
    Outcome,
    PausedBy,
    Schedule,
    ScheduleKind,
)
from syncterm.engine.status import ConnectorFacts, ConnectorStatus, connector_status
from syncterm.engine.troubleshooting import Mend, TroubleFacts, remedy_of, troubleshoot

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOURLY = Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=1))
WELL = TroubleFacts(
    ConnectorFacts(last_outcome=Outcome.SUCCESS, last_success_at=NOW), HOURLY, next_fire_at=NOW + timedelta(hours=1)
)


def with_status(**changes: object) -> TroubleFacts:
    return replace(WELL, status=replace(WELL.status, **changes))  # type: ignore[arg-type]  # names of its fields


FAILED = {"last_outcome": Outcome.FAILED, "last_success_at": None}

CASES = [
    pytest.param(WELL, [], id="well"),
    pytest.param(replace(WELL, engine_runs=False), [("No engine runs", None)], id="no engine"),
    pytest.param(with_status(configuration_complete=False), [("The set-up is not finished", Mend.EDIT_SETUP)], id="incomplete"),
    pytest.param(
        replace(WELL, source_incomplete="host is missing"), [("The source's set-up is not finished", Mend.EDIT_SOURCE)], id="source"
    ),
    pytest.param(
        replace(WELL, destination_incomplete="path is missing"),
        [("The destination's set-up is not finished", Mend.EDIT_DESTINATION)],
        id="destination",
    ),
    pytest.param(
        with_status(schema_change_waits=True), [("A schema change waits for approval", Mend.REVIEW_SCHEMA)], id="schema waits"
    ),
    pytest.param(
        with_status(source_credentials=CredentialsState.REJECTED, last_error_class=ErrorClass.AUTH, **FAILED),
        [("The source refuses the credentials", Mend.EDIT_SOURCE)],
        id="refused by the source, said once",
    ),
    pytest.param(
        with_status(destination_credentials=CredentialsState.REJECTED),
        [("The destination refuses the credentials", Mend.EDIT_DESTINATION)],
        id="refused by the destination",
    ),
    pytest.param(
        with_status(last_error_class=ErrorClass.PERMISSION, **FAILED),
        [("Permission denied", Mend.TEST_CONNECTION)],
        id="permission",
    ),
    pytest.param(
        with_status(last_error_class=ErrorClass.RATE_LIMITED, **FAILED),
        [("The source asks to be read less often", Mend.EDIT_SCHEDULE)],
        id="rate limited",
    ),
    pytest.param(
        with_status(check_result=CheckResult.TIMEOUT, check_at=NOW + timedelta(1)),
        [("Connection timeout", Mend.TEST_CONNECTION)],
        id="test failed",
    ),
    pytest.param(with_status(paused_by=PausedBy.ENGINE), [("Paused by the engine", Mend.RESUME)], id="paused by the engine"),
    pytest.param(with_status(paused_by=PausedBy.PERSON), [], id="paused by a person, who knows why"),
    pytest.param(
        replace(with_status(activity=Activity.BACKING_OFF), back_off_until=NOW),
        [("Backing off until 12:00:00 UTC", Mend.TEST_CONNECTION)],
        id="backing off",
    ),
    pytest.param(
        replace(with_status(activity=Activity.QUEUED), activity_reason="2 of 2 syncs of this source run"),
        [("Queued", Mend.EDIT_SCHEDULE)],
        id="queued",
    ),
    pytest.param(replace(WELL, next_fire_at=NOW - timedelta(minutes=3)), [("Late", Mend.SYNC_NOW)], id="late"),
    pytest.param(replace(WELL, next_fire_at=NOW - timedelta(minutes=1)), [], id="not late yet"),
    pytest.param(
        replace(WELL, last_duration=timedelta(minutes=50)),
        [("Syncs take as long as their interval", Mend.EDIT_SCHEDULE)],
        id="too tight",
    ),
    pytest.param(replace(WELL, last_duration=timedelta(minutes=40)), [], id="not too tight"),
    pytest.param(
        replace(WELL, deletes_withheld=1200), [("1,200 deletes wait for approval", Mend.APPROVE_DELETES)], id="deletes wait"
    ),
    pytest.param(replace(WELL, last_rejected=70), [("70 failed records", Mend.FAILED_RECORDS)], id="failed records"),
]


@pytest.mark.parametrize(("facts", "found"), CASES)
def test_findings(facts: TroubleFacts, found: list[tuple[str, Mend | None]]) -> None:
    findings = troubleshoot(facts, NOW)
    assert [(finding.title, next(iter(finding.mends), None)) for finding in findings] == found
    for finding in findings:
        assert finding.cause.endswith((".", "!", "?"))
        assert finding.remedy.endswith(".")


def test_what_a_system_said_is_told_in_full() -> None:
    facts = replace(
        with_status(source_credentials=CredentialsState.REJECTED), source_message='password authentication failed for user "ada"'
    )
    assert troubleshoot(facts, NOW)[0].cause == 'Password authentication failed for user "ada".'


def test_every_connector_that_asks_for_attention_is_told_why() -> None:
    for outcome, error, paused, complete, waits, source, result in product(
        (Outcome.SUCCESS, Outcome.FAILED),
        (None, *ErrorClass),
        (None, *PausedBy),
        (True, False),
        (True, False),
        CredentialsState,
        (None, *CheckResult),
    ):
        status = ConnectorFacts(
            paused_by=paused,
            configuration_complete=complete,
            schema_change_waits=waits,
            source_credentials=source,
            check_result=result,
            last_outcome=outcome,
            last_error_class=error,
        )
        findings = troubleshoot(TroubleFacts(status, MANUAL_SCHEDULE), NOW)
        label = connector_status(replace(status, paused_by=None))
        assert bool(findings) == (label is not ConnectorStatus.ACTIVE or paused is PausedBy.ENGINE), status
        if label is not ConnectorStatus.ACTIVE:
            assert findings[0].mends, status


@pytest.mark.parametrize("error_class", ErrorClass)
def test_every_class_of_error_has_a_remedy(error_class: ErrorClass) -> None:
    assert remedy_of(error_class).endswith(".")
