"""Statuses, derived: what the screens call a connector, a job, a sync, a log entry, a source, by the facts that the store keeps.

Pure and light to import. The same rules as SQL expressions, for sorting, filtering and counting in the store, are in
`syncterm.engine.queries.status_expressions`; a test holds the two together over every combination. Source of the rules: semantics,
"Statuses"; the first that matches wins.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Activity, CheckResult, CredentialsState, Outcome, PausedBy, SyncState


class ConnectorStatus(StrEnum):
    """The label in the connectors table, in the order in which they ask for attention."""

    BROKEN = "Broken"
    INCOMPLETE = "Incomplete"
    PAUSED = "Paused"
    ACTIVE = "Active"


class JobStatus(StrEnum):
    """The label on the admin page."""

    PENDING = "Pending"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    PAUSED = "Paused"


class SyncStatus(StrEnum):
    """The label in a sync history."""

    IN_PROGRESS = "In Progress"
    SUCCESS = "Success"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class LogStatus(StrEnum):
    """The label of an execution in the logs."""

    CREATED = "Created"
    PENDING = "Pending"
    EXECUTING = "Executing"
    COMPLETED = "Completed"
    ERROR = "Error"


class SourceStatus(StrEnum):
    """The label of a source; destinations have the same ones."""

    SETUP = "Setup"
    AUTHENTICATED = "Authenticated"
    LIVE = "Live"
    REAUTH_REQUIRED = "Re-Auth required"
    ERROR = "Error"


class TileStatus(StrEnum):
    """The label of an integration's tile: a connector's, coarsened."""

    ACTIVE = "Active"
    ERROR = "Error"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class ConnectorFacts:
    """What the status of a connector and of a job depends on."""

    paused_by: PausedBy | None = None
    configuration_complete: bool = True
    schema_change_waits: bool = False
    source_credentials: CredentialsState | None = CredentialsState.OK
    destination_credentials: CredentialsState | None = CredentialsState.OK
    check_result: CheckResult | None = None
    check_at: datetime | None = None
    last_outcome: Outcome | None = None
    last_error_class: ErrorClass | None = None
    last_success_at: datetime | None = None
    activity: Activity = Activity.IDLE
    end_incomplete: bool = False
    """Whether its source or its destination is unfinished."""


def check_fails(facts: ConnectorFacts) -> bool:
    """Whether the newest word on the connection is a test that failed: a sync that succeeded since overrules it."""
    if facts.check_result in (None, CheckResult.WORKING):
        return False
    return facts.last_success_at is None or (facts.check_at is not None and facts.check_at > facts.last_success_at)


def sync_fails(facts: ConnectorFacts) -> bool:
    """Whether the last finished sync failed. One that was interrupted did not: it goes on when an engine starts."""
    return facts.last_outcome is Outcome.FAILED and facts.last_error_class is not ErrorClass.INTERRUPTED


def is_incomplete(facts: ConnectorFacts) -> bool:
    """Whether a person has to finish the set-up, of its ends too, or approve a schema change."""
    return not facts.configuration_complete or facts.schema_change_waits or facts.end_incomplete


def is_broken(facts: ConnectorFacts) -> bool:
    """Whether credentials, the connection, or the last sync failed, paused or not."""
    rejected = CredentialsState.REJECTED in (facts.source_credentials, facts.destination_credentials)
    return rejected or sync_fails(facts) or check_fails(facts)


def connector_status(facts: ConnectorFacts) -> ConnectorStatus:
    """The label of a connector."""
    return connector_label(paused=facts.paused_by is not None, incomplete=is_incomplete(facts), broken=is_broken(facts))


def connector_label(*, paused: bool, incomplete: bool, broken: bool) -> ConnectorStatus:
    """The label of a connector, from what its facts come down to."""
    if paused:
        return ConnectorStatus.PAUSED
    if incomplete:
        return ConnectorStatus.INCOMPLETE
    return ConnectorStatus.BROKEN if broken else ConnectorStatus.ACTIVE


def job_status(facts: ConnectorFacts) -> JobStatus:
    """The label of a job."""
    return job_label(paused=facts.paused_by is not None, activity=facts.activity, last_outcome=facts.last_outcome)


def job_label(*, paused: bool, activity: Activity, last_outcome: Outcome | None) -> JobStatus:
    """The label of a job, from what its facts come down to. A cancelled sync is not a failed one."""
    if paused:
        return JobStatus.PAUSED
    if activity is Activity.QUEUED or (activity is Activity.IDLE and last_outcome is None):
        return JobStatus.PENDING
    if activity is not Activity.IDLE:
        return JobStatus.RUNNING
    return JobStatus.FAILED if last_outcome is Outcome.FAILED else JobStatus.COMPLETED


def tile_status(status: ConnectorStatus) -> TileStatus:
    """The label of an integration's tile."""
    if status is ConnectorStatus.PAUSED:
        return TileStatus.DISABLED
    return TileStatus.ACTIVE if status is ConnectorStatus.ACTIVE else TileStatus.ERROR


def sync_status(state: SyncState, outcome: Outcome | None) -> SyncStatus:
    """The label of a sync in a history."""
    if state is not SyncState.COMPLETED or outcome is None:
        return SyncStatus.IN_PROGRESS
    return {
        Outcome.SUCCESS: SyncStatus.SUCCESS,
        Outcome.FAILED: SyncStatus.FAILED,
        Outcome.CANCELLED: SyncStatus.CANCELLED,
    }[outcome]


def log_status(state: SyncState, outcome: Outcome | None) -> LogStatus:
    """The label of an execution in the logs."""
    if state is SyncState.COMPLETED:
        return LogStatus.ERROR if outcome is Outcome.FAILED else LogStatus.COMPLETED
    return {
        SyncState.CREATED: LogStatus.CREATED,
        SyncState.PENDING: LogStatus.PENDING,
        SyncState.EXECUTING: LogStatus.EXECUTING,
    }[state]


@dataclass(frozen=True, slots=True)
class EndpointFacts:
    """What the status of a source or a destination depends on."""

    credentials: CredentialsState = CredentialsState.OK
    ever_accepted: bool = True
    """Whether the credentials were accepted once."""
    enabled: int = 0
    """Connectors that use it and are not paused."""
    broken: int = 0
    """Those of them that are Broken."""


def source_status(facts: EndpointFacts) -> SourceStatus:
    """The label of a source or a destination."""
    if facts.credentials is CredentialsState.REJECTED:
        return SourceStatus.REAUTH_REQUIRED if facts.ever_accepted else SourceStatus.SETUP
    if facts.credentials is CredentialsState.NEVER_TESTED and not facts.ever_accepted:
        return SourceStatus.SETUP
    if not facts.enabled:
        return SourceStatus.AUTHENTICATED
    return SourceStatus.ERROR if facts.broken == facts.enabled else SourceStatus.LIVE
