"""What queries answer with: frozen rows, statuses derived, instants aware in UTC. Pure and light to import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import (
    Action,
    Activity,
    BlackoutWindow,
    ChangeState,
    CheckResult,
    CredentialsState,
    LogLevel,
    Outcome,
    PausedBy,
    Reason,
    Schedule,
    SchemaPolicy,
    StreamCounts,
    SyncMode,
    SyncState,
    Trigger,
)
from syncterm.engine.schema_difference import CLASS_WORDS, ChangeClass, Entry
from syncterm.engine.status import ConnectorStatus, JobStatus, LogStatus, SourceStatus, SyncStatus

if TYPE_CHECKING:
    from syncterm.engine.blackout import Start
    from syncterm.engine.lease import LeaseHolder

# Connectors -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConnectorQuery:
    """Which connectors, in which order."""

    text: str = ""
    """Part of the name, source, destination, collection or id, upper and lower case alike (ASCII)."""
    inverse: bool = False
    """Those that `text` does not match."""
    statuses: frozenset[ConnectorStatus] = frozenset()
    """Empty: all."""
    job_statuses: frozenset[JobStatus] = frozenset()
    """Empty: all."""
    failures_only: bool = False
    """Those that are broken, paused or not."""
    sort: str = "name"
    """One of `queries.connectors.SORTS`."""
    descending: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    """Field → part of its text; `!` before the text turns it round. Fields: `queries.connectors.FIELDS`."""


@dataclass(frozen=True, slots=True)
class ConnectorRow:
    """One connector as a table shows it."""

    id: str
    name: str
    source_name: str | None
    source_type: str | None
    destination_name: str | None
    destination_type: str | None
    collection: str
    status: ConnectorStatus
    job_status: JobStatus
    paused_and_broken: bool
    status_reason: str
    """One line; empty where all is well."""
    activity: Activity
    activity_reason: str | None
    active_sync_id: str | None
    attempt: int | None
    back_off_until: datetime | None
    progress_stream: str | None
    progress_records: int | None
    progress_bytes: int | None
    progress_expected: int | None
    """Records expected in all; None where unknown."""
    schedule_text: str
    next_fire_at: datetime | None
    due_since: datetime | None
    last_sync_at: datetime | None
    last_outcome: Outcome | None
    last_error_class: ErrorClass | None
    last_error_message: str | None
    last_duration: timedelta | None
    last_records: int | None
    last_bytes: int | None
    last_rejected: int | None
    created_at: datetime
    created_by: str
    version: int
    """Of its set-up: each time that a person saves it is the next."""


@dataclass(frozen=True, slots=True)
class ConnectorCounts:
    """How many connectors there are. The parts need not add up to `total`: each says what it counts."""

    total: int
    """All of them."""
    matching: int
    """Those that the whole query matches."""
    by_status: Mapping[ConnectorStatus, int]
    """Those that the query matches but for its statuses: what choosing a status would show."""
    by_job_status: Mapping[JobStatus, int]
    running: int
    """Of all of them: a sync runs, backs off or is being cancelled."""
    queued: int
    """Of all of them."""


@dataclass(frozen=True, slots=True)
class ConnectorDetail:
    """Everything about one connector but its history."""

    row: ConnectorRow
    streams_selected: int
    streams_total: int
    """Those that it has a set-up of."""
    source: EndpointRow | None
    destination: EndpointRow | None
    schedule: Schedule
    anchor_at: datetime
    offset: timedelta
    catch_up: str
    """`once` or `skip`."""
    next_fires: tuple[datetime, ...]
    """When the next five scheduled syncs start; empty where it is not due by itself."""
    why: str
    """Why it is or isn't running."""
    source_version: int | None
    """The version of the source that the connector applied."""
    incomplete_reason: str | None
    schema_change: str | None
    """The difference that waits for approval, as JSON."""
    schema_policy: str
    reject_limit_count: int
    reject_limit_share: int
    """Per cent."""
    stall_limit: timedelta
    paused_by: PausedBy | None
    paused_reason: str | None
    paused_at: datetime | None
    check_result: CheckResult | None
    check_message: str | None
    check_at: datetime | None
    last_success_at: datetime | None
    consecutive_failures: int
    failing_since: datetime | None
    missed: int
    updated_at: datetime
    blackout: tuple[BlackoutWindow, ...] = ()
    next_starts: tuple[Start, ...] = ()
    """`next_fires` with the fire time of those that a blackout window holds back."""


# Schema changes ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SchemaChangeRow:
    """A change of one stream, and what became of it."""

    id: int
    stream: str
    found_at: datetime
    sync_id: str | None
    """The sync that met it."""
    entries: tuple[Entry, ...]
    state: ChangeState
    blocking: bool
    """Whether nothing is read before a person decides, or before the set-up is adapted."""
    reason: str | None
    """Why it stops the connector."""
    decided_at: datetime | None
    decided_by: str | None
    policy: SchemaPolicy
    """The one that applies to the stream now: its own, or the connector's."""

    @property
    def waits(self) -> bool:
        return self.state is ChangeState.WAITING

    @property
    def change_class(self) -> ChangeClass:
        """The gravest of its entries'."""
        return max((entry.change_class for entry in self.entries), key=tuple(ChangeClass).index)

    @property
    def class_words(self) -> str:
        """Its class in plain words."""
        return CLASS_WORDS[self.change_class]

    @property
    def approvable(self) -> bool:
        return all(entry.approvable for entry in self.entries)


# Sources and destinations -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EndpointRow:
    """A source or a destination as a table shows it."""

    id: str
    name: str
    type: str
    status: SourceStatus
    status_reason: str
    """One line; empty where all is well."""
    version: int
    credentials: CredentialsState
    credentials_at: datetime | None
    connectors: int
    """Connectors that use it."""
    enabled: int
    """Those that are not paused."""
    broken: int
    """Those of the enabled ones that are Broken."""
    other_ends: tuple[str, ...]
    """Names of the destinations that a source's connectors write to, or of the sources of a destination."""
    last_run: datetime | None
    """The latest successful sync."""
    records_30_days: int
    catalog_at: datetime | None
    """When a source's streams were last discovered."""
    created_at: datetime
    created_by: str
    updated_at: datetime
    type_title: str = ""
    """Its type's name for people; the type itself where its adapter cannot be loaded."""
    incomplete_reason: str | None = None
    """What its set-up still lacks."""
    check_result: CheckResult | None = None
    """Of its own last test; None: never tested as it is now."""
    check_message: str | None = None
    check_at: datetime | None = None
    last_error: str | None = None
    """The newest word on what is wrong with it, its connectors' failed syncs included; None where nothing is."""


@dataclass(frozen=True, slots=True)
class EndpointUse:
    """A connector that uses a source or a destination."""

    connector_id: str
    name: str
    status: ConnectorStatus
    other_end: str | None
    applied_version: int | None
    """The version of a source that it applied; None for destinations, whose changes are used at once."""
    outdated: bool
    """Whether a newer version waits for a refresh."""
    last_sync_at: datetime | None
    last_outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class EndpointError:
    """A failed sync of a connector that uses a source or a destination."""

    connector_id: str
    connector_name: str
    sync_id: str
    at: datetime
    error_class: ErrorClass | None
    message: str


@dataclass(frozen=True, slots=True)
class EndpointVersion:
    """One version of a source's configuration."""

    version: int
    created_at: datetime
    created_by: str
    used_by: int
    """Connectors that applied it."""


@dataclass(frozen=True, slots=True)
class EndpointDetail:
    """Everything about one source or destination but its streams and its audit trail."""

    row: EndpointRow
    config: tuple[tuple[str, str], ...]
    """Title and value of each setting, defaults included; secrets masked."""
    uses: tuple[EndpointUse, ...]
    """Connectors by name, at most `USES_SHOWN` of `row.connectors`."""
    errors: tuple[EndpointError, ...]
    """The newest failures of its connectors, the newest first."""
    versions: tuple[EndpointVersion, ...]
    """A source's, the newest first."""


# Syncs ------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SyncRow:
    """One sync as a history shows it."""

    id: str
    connector_id: str
    connector_name: str
    status: SyncStatus
    log_status: LogStatus
    state: SyncState
    outcome: Outcome | None
    trigger: Trigger
    reason: Reason
    requested_by: str
    due_at: datetime | None
    missed: int
    streams: tuple[str, ...] | None
    """None: all that were selected."""
    created_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    duration: timedelta | None
    attempt: int
    cancel_requested_at: datetime | None
    cancel_requested_by: str | None
    error_class: ErrorClass | None
    error_message: str | None
    summary: str | None
    """What was committed and where the next sync resumes."""
    counts: StreamCounts


@dataclass(frozen=True, slots=True)
class StreamResultRow:
    """One stream of a sync."""

    stream: str
    sync_mode: SyncMode
    action: Action
    outcome: Outcome | None
    """None: not finished."""
    started_at: datetime | None
    finished_at: datetime | None
    duration: timedelta | None
    counts: StreamCounts
    cursor_before: str | None
    cursor_after: str | None
    error_class: ErrorClass | None
    error_message: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One attempt of a sync."""

    number: int
    started_at: datetime
    finished_at: datetime | None
    outcome: Outcome | None
    error_class: ErrorClass | None
    error_message: str | None
    retry_at: datetime | None
    progressed: bool


@dataclass(frozen=True, slots=True)
class SyncDetail:
    """One sync with its streams and attempts."""

    row: SyncRow
    streams: tuple[StreamResultRow, ...]
    attempts: tuple[AttemptRow, ...]


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One finished sync in a duration trend."""

    at: datetime
    duration: float
    """Seconds."""
    outcome: Outcome
    records: int
    sync_id: str


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Failed syncs with the same kind of error."""

    fingerprint: str
    message: str
    """The newest one's."""
    error_class: ErrorClass | None
    count: int
    first: datetime
    last: datetime
    last_sync_id: str


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the logs."""

    id: int
    connector_id: str | None
    sync_id: str | None
    at: datetime
    level: LogLevel
    message: str


@dataclass(frozen=True, slots=True)
class FailedRecordRow:
    """One record that was set aside."""

    id: int
    sync_id: str
    connector_id: str
    connector_name: str
    stream: str
    at: datetime
    key: str | None
    action: Action
    code: str
    message: str
    fingerprint: str
    payload: str
    state: str
    """`open`, `retried`, `resolved` or `dismissed`."""


# The engine and its people ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the audit trail."""

    id: int
    at: datetime
    actor: str
    role: str
    operation: str
    object_type: str
    object_id: str | None
    object_name: str | None
    refused: bool
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class EngineState:
    """Who executes, and how much there is to do."""

    holder: LeaseHolder | None
    """None: no engine runs."""
    running: int
    queued: int
    failed: int
    """Connectors that are Broken."""
    next_fire_at: datetime | None
    """When the next connector is due."""
    now: datetime
