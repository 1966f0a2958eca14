"""The words of the product as types: enums and frozen dataclasses shared by the engine and its fronts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any

from syncterm.engine.errors import ErrorClass


class SyncMode(StrEnum):
    """How a stream's rows arrive in the destination."""

    REPLACE = "replace"
    APPEND = "append"
    INCREMENTAL_APPEND = "incremental_append"
    INCREMENTAL_UPSERT = "incremental_upsert"

    @property
    def incremental(self) -> bool:
        return self in (SyncMode.INCREMENTAL_APPEND, SyncMode.INCREMENTAL_UPSERT)


class DeleteHandling(StrEnum):
    """What becomes of a destination's record whose source record is gone."""

    KEEP = "keep"
    MARK = "mark"
    """Its column `_deleted_at` says when that was noticed."""
    REMOVE = "remove"


class SchemaPolicy(StrEnum):
    """What a connector does by itself when the source's schema changes."""

    APPROVE = "approve"
    APPLY_ADDITIONS = "apply_additions"
    APPLY_ALL = "apply_all"
    PAUSE = "pause"


class ChangeState(StrEnum):
    """What became of a change of a source's schema."""

    WAITING = "waiting"
    APPLIED = "applied"
    """By the connector's policy."""
    APPROVED = "approved"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"
    """The source or the set-up changed further before anybody decided, or after it was rejected."""


class EndpointKind(StrEnum):
    """The two ends of a connector."""

    SOURCE = "source"
    DESTINATION = "destination"


class Action(StrEnum):
    """What a write did to the destination."""

    INSERT = "insert"
    UPSERT = "upsert"
    DELETE = "delete"
    REPLACE = "replace"


ACTION_OF_MODE: Mapping[SyncMode, Action] = {
    SyncMode.REPLACE: Action.REPLACE,
    SyncMode.APPEND: Action.INSERT,
    SyncMode.INCREMENTAL_APPEND: Action.INSERT,
    SyncMode.INCREMENTAL_UPSERT: Action.UPSERT,
}


class Trigger(StrEnum):
    """How a sync came to run: the "Sync mode" of a run on the health screens."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    REAL_TIME = "real_time"


class Reason(StrEnum):
    """Why a sync was queued."""

    SCHEDULE = "schedule"
    SYNC_NOW = "sync_now"
    HISTORICAL_RESYNC = "historical_resync"
    RETRY = "retry"


class SyncState(StrEnum):
    """Where a sync is in its life; the label of the log view."""

    CREATED = "created"
    PENDING = "pending"
    EXECUTING = "executing"
    COMPLETED = "completed"


class Outcome(StrEnum):
    """How a sync ended."""

    SUCCESS = "success"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Activity(StrEnum):
    """What a connector is doing now."""

    IDLE = "idle"
    QUEUED = "queued"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    CANCELLING = "cancelling"


class CredentialsState(StrEnum):
    """What is known about a source's or destination's credentials."""

    NEVER_TESTED = "never_tested"
    OK = "ok"
    REJECTED = "rejected"


class PausedBy(StrEnum):
    PERSON = "person"
    ENGINE = "engine"


class ScheduleKind(StrEnum):
    INTERVAL = "interval"
    CRON = "cron"
    MANUAL = "manual"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Role(StrEnum):
    """What a person may do: a viewer looks, a user manages their own connectors, an administrator manages all."""

    VIEWER = "viewer"
    USER = "user"
    ADMINISTRATOR = "administrator"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks for an operation."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a connector is due.

    Exactly one of `every` (interval) and `expression` (cron) is set; neither for manual.
    """

    kind: ScheduleKind
    every: timedelta | None = None
    expression: str | None = None
    timezone: str = "UTC"


MANUAL_SCHEDULE = Schedule(ScheduleKind.MANUAL)


@dataclass(frozen=True, slots=True)
class BlackoutWindow:
    """A weekly stretch of a zone's wall clock in which no sync of a connector starts: [start, end)."""

    days: frozenset[int]
    """Days of the week on which it begins; Monday is 0."""
    start: time
    end: time
    """Not later than `start`: on the next day."""
    timezone: str = "UTC"


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """One stream of a connector, as a person set it up."""

    name: str
    sync_mode: SyncMode
    primary_key: tuple[str, ...] = ()
    cursor_field: str | None = None
    columns: tuple[str, ...] | None = None
    """Selected columns in order; None for all."""
    casts: Mapping[str, str] = field(default_factory=dict)
    """Column → logical type, as `schema.parse_type` reads it."""
    row_filter: str | None = None
    include_null_cursor: bool = False
    """Rows without a cursor value: read at every sync (True), or failed records (False)."""
    look_back: timedelta | None = None
    """How far below the cursor an upsert reads again, for rows that arrive late; None for not at all."""
    table: str | None = None
    """Name in the destination; None for the stream's own name."""
    delete_handling: DeleteHandling = DeleteHandling.KEEP
    schema_policy: SchemaPolicy | None = None
    """None: the connector's."""
    schedule: Schedule | None = None
    """When this stream is due by itself; None: with its connector."""

    @property
    def target(self) -> str:
        return self.table or self.name


@dataclass(frozen=True, slots=True)
class Window:
    """What an incremental read covers: (low, high] with `low` read again inclusively.

    Both are the exact text that the source gave, compared in the source's type. `low` is None at the first sync, `high` is None
    where the stream is empty or the source cannot tell; then everything present is read.
    """

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a stream has been read: the exact text of the highest value, and the rows already delivered at that value."""

    value: str | None
    hashes: Mapping[str, int] = field(default_factory=dict)
    """Hash of a row's content → how many such rows have been delivered, for rows whose cursor equals `value`."""
    column: str | None = None
    """The column that `value` is of; None where that was not noted."""
    columns: tuple[str, ...] | None = None
    """The columns that the hashes are of; None where that was not noted. Columns that come later do not make delivered rows new."""

    def to_text(self) -> str:
        document: dict[str, Any] = {"value": self.value, "hashes": dict(self.hashes)}
        if self.column is not None:
            document["column"] = self.column
        if self.columns is not None:
            document["columns"] = self.columns
        return json.dumps(document, separators=(",", ":"), sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Cursor:
        document = json.loads(text)
        columns = document.get("columns")
        return cls(document["value"], document["hashes"], document.get("column"), tuple(columns) if columns is not None else None)


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that could not be delivered, set aside with its reason."""

    stream: str
    code: str
    """Short, stable, in snake case: `cast_failed`, `too_few_fields`, `invalid_utf8`, `null_cursor`, …"""
    message: str
    """What is wrong, naming the column and the value."""
    payload: str
    """The record itself as text (JSON where it has fields), at most 64 KiB."""
    key: str | None = None
    """The record's key as text, or its position (`line 17`) where it has none."""
    action: Action = Action.INSERT


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """Records of one stream in one sync. A successful one balances: read = written + unchanged + filtered + rejected."""

    read: int = 0
    written: int = 0
    unchanged: int = 0
    """Already delivered by an earlier sync, recognised at the cursor's boundary."""
    filtered: int = 0
    """Left out on purpose: the row filter, cursors beyond the window, older versions of a key within one load."""
    rejected: int = 0
    bytes: int = 0
    deleted: int = 0
    """Records of the destination that were marked or removed, because the source has them no more. Not among those read."""

    @property
    def balanced(self) -> bool:
        return self.read == self.written + self.unchanged + self.filtered + self.rejected


@dataclass(frozen=True, slots=True)
class StreamResult:
    """How one stream of a sync ended."""

    stream: str
    sync_mode: SyncMode
    action: Action
    counts: StreamCounts
    outcome: Outcome
    cursor_before: str | None = None
    cursor_after: str | None = None
    error_class: ErrorClass | None = None
    error_message: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None


class CheckResult(StrEnum):
    """The four results of a connection test (A6), and the fault that is none of them."""

    WORKING = "Connection is working"
    AUTHENTICATION_FAILED = "Authentication failed"
    TIMEOUT = "Connection timeout"
    PERMISSION_DENIED = "Permission denied"
    FAILED = "Connection failed"


@dataclass(frozen=True, slots=True)
class CheckStep:
    """One step of a connection test, reported when it ends."""

    title: str
    """`Initiate test`, `Authentication check`, `Connectivity test`, …"""
    passed: bool
    seconds: float
    detail: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a connection test found."""

    result: CheckResult
    cause: str
    """In plain words; empty where the connection works."""
    remedy: str
    steps: tuple[CheckStep, ...]


@dataclass(frozen=True, slots=True)
class AdapterDescription:
    """What a person sees of an adapter in the catalog."""

    type: str
    title: str
    summary: str
    capabilities: Mapping[str, Any]
