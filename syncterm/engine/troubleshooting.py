"""What keeps a connector from doing its work, and what mends it: the "why" panel (A8), as a pure function of facts.

Each finding says what is wrong, why, what to do, and which actions do it, the best first. The most pressing finding comes first:
what mends it often mends those below. Source of the order: semantics, "Statuses" and "Error classes".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Activity, CheckResult, CredentialsState, EndpointKind, PausedBy, Schedule, ScheduleKind
from syncterm.engine.status import ConnectorFacts, check_fails, sync_fails

LATE = timedelta(minutes=2)
"""How long after its due time a connector that does not run is called late."""
BUSY_SHARE = 0.8
"""Share of its interval that a sync may take before its schedule is called too tight."""


class Mend(StrEnum):
    """What a person can do about a finding; each is one action of the dashboard."""

    EDIT_SOURCE = "edit_source"
    EDIT_DESTINATION = "edit_destination"
    EDIT_SETUP = "edit"
    REVIEW_SCHEMA = "approve_schema"
    TEST_CONNECTION = "check"
    SYNC_NOW = "sync_now"
    RESUME = "toggle_pause"
    EDIT_SCHEDULE = "edit_schedule"
    APPROVE_DELETES = "approve_deletes"
    FAILED_RECORDS = "failed_records"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    title: str
    """In a few words."""
    cause: str
    """Why, in full; may hold text of the source or the destination."""
    remedy: str
    """What to do next, as a sentence that fits beside a label on 80 columns."""
    mends: tuple[Mend, ...] = ()
    """The actions that do it, the best first; empty where the dashboard cannot."""


@dataclass(frozen=True, slots=True)
class TroubleFacts:
    """What the findings are made of."""

    status: ConnectorFacts
    schedule: Schedule
    next_fire_at: datetime | None = None
    due_since: datetime | None = None
    activity_reason: str | None = None
    back_off_until: datetime | None = None
    paused_reason: str | None = None
    incomplete_reason: str | None = None
    source_incomplete: str | None = None
    """What the source's own set-up lacks."""
    destination_incomplete: str | None = None
    source_message: str | None = None
    """What the source said when it refused the credentials."""
    destination_message: str | None = None
    check_message: str | None = None
    last_error_message: str | None = None
    last_duration: timedelta | None = None
    last_rejected: int = 0
    deletes_withheld: int = 0
    """Records gone from the source that the guard kept in the destination, and nobody approved to delete yet."""
    engine_runs: bool = True


def troubleshoot(facts: TroubleFacts, now: datetime) -> tuple[Finding, ...]:
    """What is wrong with a connector, the most pressing first; empty where all is well."""
    return tuple(_findings(facts, now))


def _findings(facts: TroubleFacts, now: datetime) -> Iterator[Finding]:
    if not facts.engine_runs:
        yield Finding("No engine runs", "Nothing starts on this store until an engine does.", "Start one: syncterm engine.")
    yield from _set_up(facts)
    refused = tuple(_refused(facts))
    yield from refused
    if not refused and sync_fails(facts.status):
        yield _failed_sync(facts)
    elif not refused and check_fails(facts.status):
        yield _failed_check(facts)
    yield from _paused(facts)
    yield from _late(facts, now)
    if facts.deletes_withheld:
        yield Finding(
            f"{facts.deletes_withheld:,} deletes wait for approval",
            "So many of the destination's records are gone from the source that a mistake there is likely; nothing was deleted.",
            "See that they are really gone; then approve.",
            (Mend.APPROVE_DELETES, Mend.EDIT_SETUP),
        )
    if facts.last_rejected and not sync_fails(facts.status):
        yield Finding(
            f"{facts.last_rejected:,} failed records",
            "The last sync set them aside, each with its reason; the others arrived.",
            "Look at their reasons; cast columns that do not fit.",
            (Mend.FAILED_RECORDS, Mend.EDIT_SETUP),
        )


def _set_up(facts: TroubleFacts) -> Iterator[Finding]:
    for end, lacks, mend in (
        (EndpointKind.SOURCE, facts.source_incomplete, Mend.EDIT_SOURCE),
        (EndpointKind.DESTINATION, facts.destination_incomplete, Mend.EDIT_DESTINATION),
    ):
        if lacks:
            yield Finding(f"The {end}'s set-up is not finished", _sentence(lacks), f"Finish the {end}'s set-up.", (mend,))
    if not facts.status.configuration_complete:
        yield Finding(
            "The set-up is not finished",
            _sentence(facts.incomplete_reason or "a required field is missing"),
            "Finish it; then it is scheduled by itself.",
            (Mend.EDIT_SETUP,),
        )
    if facts.status.schema_change_waits:
        yield Finding(
            "A schema change waits for approval",
            "The source changed in a way that could break what reads the destination; nothing is read before a person decides.",
            "Look at the difference, then approve or reject it.",
            (Mend.REVIEW_SCHEMA, Mend.EDIT_SETUP),
        )


def _refused(facts: TroubleFacts) -> Iterator[Finding]:
    for end, state, message, mend in (
        (EndpointKind.SOURCE, facts.status.source_credentials, facts.source_message, Mend.EDIT_SOURCE),
        (EndpointKind.DESTINATION, facts.status.destination_credentials, facts.destination_message, Mend.EDIT_DESTINATION),
    ):
        if state is CredentialsState.REJECTED:
            yield Finding(
                f"The {end} refuses the credentials",
                _sentence(message or "It gave no reason"),
                f"Enter the new ones in the {end}'s set-up.",
                (mend, Mend.TEST_CONNECTION),
            )


@dataclass(frozen=True, slots=True)
class _Rule:
    title: str
    remedy: str
    mends: tuple[Mend, ...]


_RULES: Mapping[ErrorClass, _Rule] = {
    ErrorClass.AUTH: _Rule(
        "Authentication failed",
        "Correct the credentials, then test the connection.",
        (Mend.EDIT_SOURCE, Mend.EDIT_DESTINATION, Mend.TEST_CONNECTION),
    ),
    ErrorClass.PERMISSION: _Rule("Permission denied", "Grant the missing right there, then test.", (Mend.TEST_CONNECTION,)),
    ErrorClass.CONFIG: _Rule("The set-up does not fit", "Correct it, then sync again.", (Mend.EDIT_SETUP, Mend.SYNC_NOW)),
    ErrorClass.TIMEOUT: _Rule(
        "Nothing answered in time",
        "Check address, port and firewall, then test.",
        (Mend.TEST_CONNECTION, Mend.SYNC_NOW, Mend.EDIT_SOURCE),
    ),
    ErrorClass.RATE_LIMITED: _Rule(
        "The source asks to be read less often", "Lower the frequency of the schedule.", (Mend.EDIT_SCHEDULE,)
    ),
    ErrorClass.SOURCE_TRANSIENT: _Rule(
        "The source could not be reached", "Test the connection, then sync again.", (Mend.TEST_CONNECTION, Mend.SYNC_NOW)
    ),
    ErrorClass.SOURCE_DATA: _Rule(
        "The source's data cannot be read",
        "Look at the failed records; adapt the streams.",
        (Mend.FAILED_RECORDS, Mend.LOGS, Mend.EDIT_SETUP),
    ),
    ErrorClass.SCHEMA: _Rule(
        "The source's schema changed", "Look at the difference, then approve or reject it.", (Mend.REVIEW_SCHEMA, Mend.EDIT_SETUP)
    ),
    ErrorClass.DESTINATION: _Rule(
        "The destination failed", "Test the connection, then sync again.", (Mend.TEST_CONNECTION, Mend.SYNC_NOW)
    ),
    ErrorClass.INTERNAL: _Rule("The sync failed unexpectedly", "Look at its log, then sync again.", (Mend.LOGS, Mend.SYNC_NOW)),
    ErrorClass.INTERRUPTED: _Rule("The sync was interrupted", "It resumes by itself when an engine runs.", ()),
}

_CHECK_CLASSES: Mapping[CheckResult, ErrorClass] = {
    CheckResult.AUTHENTICATION_FAILED: ErrorClass.AUTH,
    CheckResult.TIMEOUT: ErrorClass.TIMEOUT,
    CheckResult.PERMISSION_DENIED: ErrorClass.PERMISSION,
}


def remedy_of(error_class: ErrorClass) -> str:
    """What to do about an error of that class, as a sentence."""
    return _RULES[error_class].remedy


def _failed_sync(facts: TroubleFacts) -> Finding:
    rule = _RULES[facts.status.last_error_class or ErrorClass.INTERNAL]
    return Finding(rule.title, _sentence(facts.last_error_message or "The last sync failed"), rule.remedy, rule.mends)


def _failed_check(facts: TroubleFacts) -> Finding:
    result = facts.status.check_result or CheckResult.FAILED
    rule = _RULES[_CHECK_CLASSES.get(result, ErrorClass.CONFIG)]
    mends = (Mend.TEST_CONNECTION, *(mend for mend in rule.mends if mend not in (Mend.TEST_CONNECTION, Mend.SYNC_NOW)))
    return Finding(str(result), _sentence(facts.check_message or "The connection test failed"), rule.remedy, mends)


def _paused(facts: TroubleFacts) -> Iterator[Finding]:
    if facts.status.paused_by is PausedBy.ENGINE:
        yield Finding(
            "Paused by the engine",
            _sentence(facts.paused_reason or "Too many syncs in a row failed"),
            "Mend what failed, then resume it.",
            (Mend.RESUME, Mend.TEST_CONNECTION),
        )


def _late(facts: TroubleFacts, now: datetime) -> Iterator[Finding]:
    every = facts.schedule.every if facts.schedule.kind is ScheduleKind.INTERVAL else None
    activity = facts.status.activity
    if activity is Activity.BACKING_OFF:
        at = f" until {facts.back_off_until:%H:%M:%S} UTC" if facts.back_off_until is not None else ""
        yield Finding(
            f"Backing off{at}",
            _sentence(facts.activity_reason or "The last attempt failed in a way that may pass"),
            "It tries again by itself; a test says if it has passed.",
            (Mend.TEST_CONNECTION, Mend.EDIT_SCHEDULE),
        )
    elif activity is Activity.QUEUED and facts.activity_reason:
        yield Finding("Queued", _sentence(facts.activity_reason), "It starts by itself when there is room.", (Mend.EDIT_SCHEDULE,))
    elif activity is Activity.IDLE and facts.engine_runs and facts.next_fire_at is not None and now - facts.next_fire_at > LATE:
        yield Finding(
            "Late",
            f"It was due at {facts.next_fire_at:%Y-%m-%d %H:%M:%S} UTC and has not begun.",
            "Start it by hand; the log says what the engine does.",
            (Mend.SYNC_NOW, Mend.LOGS),
        )
    if every is not None and facts.last_duration is not None and facts.last_duration > every * BUSY_SHARE:
        yield Finding(
            "Syncs take as long as their interval",
            f"The last one took {_span(facts.last_duration)} of every {_span(every)}; the next waits for it.",
            "Lower the frequency, or select fewer streams.",
            (Mend.EDIT_SCHEDULE, Mend.EDIT_SETUP),
        )


def _span(length: timedelta) -> str:
    seconds = int(length.total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{length.total_seconds():.3g} s"


def _sentence(text: str) -> str:
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith((".", "!", "?")) else ".")
