"""The rules of `syncterm.engine.status` as SQL expressions over the store's tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy import ColumnElement, String, and_, case, cast, literal, not_, or_, select

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Activity, CheckResult, CredentialsState, Outcome, ScheduleKind
from syncterm.engine.status import ConnectorStatus, JobStatus, connector_label, job_label
from syncterm.engine.store.tables import connectors, destinations, sources

_c = connectors.c
T = TypeVar("T")


def is_incomplete() -> ColumnElement[bool]:
    """As `status.is_incomplete`; never NULL."""
    ends = (
        column.in_(select(table.c.id).where(table.c.incomplete_reason.is_not(None)))
        for column, table in ((_c.source_id, sources), (_c.destination_id, destinations))
    )
    return case((or_(not_(_c.configuration_complete), _c.schema_change.is_not(None), *ends), True), else_=False)


def is_broken() -> ColumnElement[bool]:
    """As `status.is_broken`; never NULL."""
    rejected = or_(
        *(
            column.in_(select(table.c.id).where(table.c.credentials == CredentialsState.REJECTED))
            for column, table in ((_c.source_id, sources), (_c.destination_id, destinations))
        )
    )
    sync_fails = and_(
        _c.last_outcome == Outcome.FAILED, or_(_c.last_error_class.is_(None), _c.last_error_class != ErrorClass.INTERRUPTED)
    )
    check_fails = and_(_c.check_result != CheckResult.WORKING, or_(_c.last_success_at.is_(None), _c.check_at > _c.last_success_at))
    return case((or_(sync_fails, check_fails, rejected), True), else_=False)


def connector_status() -> ColumnElement[str]:
    """As `status.connector_status`."""
    return _by_status({status: literal(status.value) for status in ConnectorStatus})


def attention_rank() -> ColumnElement[int]:
    """A connector's place in the order of what asks for attention first: the order of `ConnectorStatus`."""
    return _by_status({status: literal(rank) for rank, status in enumerate(ConnectorStatus)})


def _by_status(values: Mapping[ConnectorStatus, ColumnElement[T]]) -> ColumnElement[T]:
    return case(
        (_c.paused_by.is_not(None), values[ConnectorStatus.PAUSED]),
        (is_incomplete(), values[ConnectorStatus.INCOMPLETE]),
        (is_broken(), values[ConnectorStatus.BROKEN]),
        else_=values[ConnectorStatus.ACTIVE],
    )


def job_status() -> ColumnElement[str]:
    """As `status.job_status`."""
    idle = _c.activity == Activity.IDLE
    return case(
        (_c.paused_by.is_not(None), literal(JobStatus.PAUSED.value)),
        (_c.activity == Activity.QUEUED, literal(JobStatus.PENDING.value)),
        (and_(idle, _c.last_outcome.is_(None)), literal(JobStatus.PENDING.value)),
        (not_(idle), literal(JobStatus.RUNNING.value)),
        (_c.last_outcome == Outcome.FAILED, literal(JobStatus.FAILED.value)),
        else_=literal(JobStatus.COMPLETED.value),
    )


_UNITS = (("day", 86_400_000), ("hour", 3_600_000), ("minute", 60_000), ("second", 1000))  # milliseconds


def schedule_text() -> ColumnElement[str]:
    """A connector's schedule as `schedule.describe` writes it."""
    every = _c.schedule_every_ms
    texts = [
        (
            every % length == 0,
            case((every == length, f"Every {unit}"), else_=literal("Every ") + cast(every // length, String) + f" {unit}s"),
        )
        for unit, length in _UNITS
    ]
    return case(
        (_c.schedule_kind == ScheduleKind.CRON, _c.schedule_expression + " (" + _c.schedule_timezone + ")"),
        (_c.schedule_kind == ScheduleKind.INTERVAL, case(*texts, else_="")),
        else_="Manual",
    )


def schedule_rank() -> ColumnElement[int]:
    """Intervals sort first, then cron expressions, then manual ones."""
    return case((_c.schedule_kind == ScheduleKind.INTERVAL, 0), (_c.schedule_kind == ScheduleKind.CRON, 1), else_=2)


_OUTCOMES = (None, *Outcome)
_ACTIVITIES = tuple(Activity)


def summary() -> ColumnElement[int]:
    """What a connector's labels come down to, as one small number: cheap to count by. `read_summary` reads it."""
    outcome = case({outcome.value: rank for rank, outcome in enumerate(_OUTCOMES) if outcome}, value=_c.last_outcome, else_=0)
    activity = case({activity.value: rank for rank, activity in enumerate(_ACTIVITIES)}, value=_c.activity, else_=0)
    flags = (_c.paused_by.is_not(None), is_incomplete(), is_broken())
    number: ColumnElement[int] = activity * len(_OUTCOMES) + outcome
    for flag in flags:
        number = number * 2 + case((flag, 1), else_=0)
    return number


def read_summary(number: int) -> tuple[ConnectorStatus, JobStatus, bool]:
    """A connector's label, its job's label, and whether it is broken, paused or not."""
    number, broken = divmod(number, 2)
    number, incomplete = divmod(number, 2)
    number, paused = divmod(number, 2)
    activity, outcome = divmod(number, len(_OUTCOMES))
    job = job_label(paused=bool(paused), activity=_ACTIVITIES[activity], last_outcome=_OUTCOMES[outcome])
    return connector_label(paused=bool(paused), incomplete=bool(incomplete), broken=bool(broken)), job, bool(broken)
