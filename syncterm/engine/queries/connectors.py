"""Connectors: their order, their rows, their counts, and everything about one."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, literal_column, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.connector_setup import anchor_of, schedule_of
from syncterm.engine.errors import ConfigError, ErrorClass
from syncterm.engine.model import Activity, CheckResult, CredentialsState, EndpointKind, Outcome, PausedBy
from syncterm.engine.queries import status_expressions as expressions
from syncterm.engine.queries.endpoints import endpoint_rows
from syncterm.engine.queries.rows import ConnectorCounts, ConnectorDetail, ConnectorQuery, ConnectorRow
from syncterm.engine.queries.schedules import schedule_facts
from syncterm.engine.queries.streams import stream_counts
from syncterm.engine.schedule import describe
from syncterm.engine.status import (
    ConnectorFacts,
    ConnectorStatus,
    JobStatus,
    check_fails,
    connector_status,
    is_broken,
    job_status,
    sync_fails,
)
from syncterm.engine.store.tables import LIVE_CONNECTOR, SCANNED_LIVE_CONNECTOR, connectors, destinations, sources
from syncterm.engine.why import WhyFacts, why

NEXT_FIRES = 5
"""Fire times that a detail shows."""
ROWS_AT_ONCE = 500
"""Rows that one statement fetches by id."""
_LONGEST_TEXT = 255  # characters of the longest column that is searched: a longer text matches nothing
_REASON_SHOWN = 200  # characters of a reason's first line

_c = connectors.c
_RUNNING = (Activity.RUNNING, Activity.BACKING_OFF, Activity.CANCELLING)


# Order, filters -----------------------------------------------------------------------------------------------------------


def _end_rank(table: Any, column: ColumnElement[Any], of: ColumnElement[Any]) -> ColumnElement[int]:
    """A connector's source or destination by its place among all of them: numbers sort faster than texts."""
    ranks = select(table.c.id, func.dense_rank().over(order_by=of).label("rank")).cte(f"{table.name}_ranks")
    return select(ranks.c.rank).where(ranks.c.id == column).scalar_subquery()


SORTS: Mapping[str, Callable[[], Sequence[ColumnElement[Any]]]] = {
    "name": lambda: [func.lower(_c.name)],
    "source": lambda: [_end_rank(sources, _c.source_id, func.lower(sources.c.name))],
    "destination": lambda: [_end_rank(destinations, _c.destination_id, func.lower(destinations.c.name))],
    "status": lambda: [expressions.attention_rank()],
    "last_sync": lambda: [_c.last_sync_at],
    "next_sync": lambda: [_c.next_fire_at],
    "schedule": lambda: [expressions.schedule_rank(), _c.schedule_every_ms, _c.schedule_expression],
    "records": lambda: [_c.last_records],
    "duration": lambda: [_c.last_duration_ms],
    "created": lambda: [_c.created_at],
    "user": lambda: [func.lower(_c.created_by)],
    "collection": lambda: [func.lower(_c.collection)],
    "type": lambda: [_end_rank(sources, _c.source_id, sources.c.type)],
}
"""Sort → its expressions. NULL comes last in both directions; ties go by id."""
_INDEXED = frozenset({"name", "last_sync", "next_sync", "records", "duration", "created"})
"""Sorts that an index alone answers."""


def _contains(column: Any, text: str) -> ColumnElement[bool]:
    return column.icontains(text, autoescape=True) if len(text) <= _LONGEST_TEXT else false()


def _end_contains(table: Any, column: ColumnElement[Any], text: str, *names: str) -> ColumnElement[bool]:
    matches = or_(*(_contains(table.c[name], text) for name in names))
    return column.in_(select(table.c.id).where(matches))


FIELDS: Mapping[str, Callable[[str], ColumnElement[bool]]] = {
    "id": lambda text: _contains(_c.id, text),
    "name": lambda text: _contains(_c.name, text),
    "source": lambda text: _end_contains(sources, _c.source_id, text, "name", "type"),
    "destination": lambda text: _end_contains(destinations, _c.destination_id, text, "name", "type"),
    "collection": lambda text: _contains(_c.collection, text),
    "user": lambda text: _contains(_c.created_by, text),
    "type": lambda text: or_(
        _end_contains(sources, _c.source_id, text, "type"), _end_contains(destinations, _c.destination_id, text, "type")
    ),
    "schedule": lambda text: _contains(expressions.schedule_text(), text),
}
"""What a query's `fields` may name."""


def _is(condition: ColumnElement[bool], *, inverse: bool) -> ColumnElement[bool]:
    """The condition, where NULL counts as false."""
    known = func.coalesce(condition, false())
    return not_(known) if inverse else known


def _text_conditions(query: ConnectorQuery) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = [SCANNED_LIVE_CONNECTOR]
    if query.text:
        found = or_(
            _contains(_c.name, query.text),
            _contains(_c.collection, query.text),
            _contains(_c.id, query.text),
            _end_contains(sources, _c.source_id, query.text, "name"),
            _end_contains(destinations, _c.destination_id, query.text, "name"),
        )
        conditions.append(_is(found, inverse=query.inverse))
    for name, value in query.fields.items():
        if name not in FIELDS:
            raise ConfigError(f"{name!r} is not a field of connectors.", remedy=f"Use one of {', '.join(FIELDS)}.")
        text = value.removeprefix("!")
        if text:
            conditions.append(_is(FIELDS[name](text), inverse=value.startswith("!")))
    return conditions


def _conditions(query: ConnectorQuery) -> list[ColumnElement[bool]]:
    conditions = _text_conditions(query)
    if query.statuses:
        conditions.append(expressions.connector_status().in_([status.value for status in query.statuses]))
    if query.job_statuses:
        conditions.append(expressions.job_status().in_([status.value for status in query.job_statuses]))
    if query.failures_only:
        conditions.append(expressions.is_broken())
    return conditions


def keys_statement(query: ConnectorQuery) -> Select[Any]:
    """The statement that lists the ids a query matches, in its order.

    Raises:
        ConfigError: an unknown sort or field.
    """
    if query.sort not in SORTS:
        raise ConfigError(f"Connectors cannot be sorted by {query.sort!r}.", remedy=f"Use one of {', '.join(SORTS)}.")
    order = [*SORTS[query.sort](), _c.id]
    if query.descending:
        order = [expression.desc() for expression in order]
    conditions = _conditions(query)
    if len(conditions) == 1 and query.sort in _INDEXED:
        conditions = [LIVE_CONNECTOR]
    return select(_c.id).where(*conditions).order_by(*(expression.nulls_last() for expression in order[:-1]), order[-1])


async def connector_keys(connection: AsyncConnection, query: ConnectorQuery) -> list[str]:
    """See `Queries.connector_keys`."""
    # As one text: a tenth of the time that thousands of rows take to get here. SQLite keeps a subquery's order for this function.
    listed = keys_statement(query).subquery()
    text = (await connection.execute(select(func.group_concat(listed.c.id, " ")))).scalar()
    return text.split(" ") if text else []


async def connector_counts(connection: AsyncConnection, query: ConnectorQuery) -> ConnectorCounts:
    """See `Queries.connector_counts`."""
    statement = (
        select(expressions.summary().label("summary"), func.count().label("number"))
        .where(*_text_conditions(query))
        .group_by(literal_column("1"))
    )
    by_status = dict.fromkeys(ConnectorStatus, 0)
    by_job = dict.fromkeys(JobStatus, 0)
    matching = 0
    for row in await connection.execute(statement):
        of_status, of_job, broken = expressions.read_summary(row.summary)
        by_status[of_status] += row.number
        by_job[of_job] += row.number
        if (
            (not query.statuses or of_status in query.statuses)
            and (not query.job_statuses or of_job in query.job_statuses)
            and (broken or not query.failures_only)
        ):
            matching += row.number
    total, running, queued = await activity_counts(connection)
    return ConnectorCounts(total, matching, by_status, by_job, running, queued)


async def activity_counts(connection: AsyncConnection) -> tuple[int, int, int]:
    """All connectors; those whose sync runs; those whose sync is queued."""
    rows = await connection.execute(select(_c.activity, func.count()).where(LIVE_CONNECTOR).group_by(_c.activity))
    by_activity = {Activity(activity): number for activity, number in rows}
    running = sum(by_activity.get(activity, 0) for activity in _RUNNING)
    return sum(by_activity.values()), running, by_activity.get(Activity.QUEUED, 0)


async def changed_connectors(connection: AsyncConnection, after: int) -> tuple[int, frozenset[str], bool]:
    """See `Queries.changed_connectors`."""
    rows = (await connection.execute(select(_c.id, _c.changed_at, _c.deleted_at, _c.listed_at).where(_c.changed_at > after))).all()
    newest = max((row.changed_at for row in rows), default=after)
    listed = any(row.deleted_at is not None or row.listed_at > after for row in rows)
    return newest, frozenset(row.id for row in rows), listed


# Rows -----------------------------------------------------------------------------------------------------------------------

_ENDS = (
    sources.c.name.label("source_name"),
    sources.c.type.label("source_type"),
    sources.c.credentials.label("source_credentials"),
    sources.c.credentials_message.label("source_message"),
    sources.c.incomplete_reason.label("source_incomplete"),
    destinations.c.name.label("destination_name"),
    destinations.c.type.label("destination_type"),
    destinations.c.credentials.label("destination_credentials"),
    destinations.c.credentials_message.label("destination_message"),
    destinations.c.incomplete_reason.label("destination_incomplete"),
)


def _rows_statement() -> Select[Any]:
    return (
        select(connectors, *_ENDS)
        .outerjoin(sources, sources.c.id == _c.source_id)
        .outerjoin(destinations, destinations.c.id == _c.destination_id)
        .where(LIVE_CONNECTOR)
    )


async def connector_rows(connection: AsyncConnection, ids: Sequence[str]) -> dict[str, ConnectorRow]:
    """See `Queries.connector_rows`."""
    found: dict[str, ConnectorRow] = {}
    for start in range(0, len(ids), ROWS_AT_ONCE):
        statement = _rows_statement().where(_c.id.in_(ids[start : start + ROWS_AT_ONCE]))
        found |= {row.id: connector_row(row) for row in await connection.execute(statement)}
    return {id_: found[id_] for id_ in ids if id_ in found}


def facts_of(row: Any) -> ConnectorFacts:
    """The facts that a connector's statuses depend on, from a row with its ends' credentials."""
    return ConnectorFacts(
        paused_by=_or_none(PausedBy, row.paused_by),
        configuration_complete=row.configuration_complete,
        schema_change_waits=row.schema_change is not None,
        source_credentials=_or_none(CredentialsState, row.source_credentials),
        destination_credentials=_or_none(CredentialsState, row.destination_credentials),
        check_result=_or_none(CheckResult, row.check_result),
        check_at=row.check_at,
        last_outcome=_or_none(Outcome, row.last_outcome),
        last_error_class=_or_none(ErrorClass, row.last_error_class),
        last_success_at=row.last_success_at,
        activity=Activity(row.activity),
        end_incomplete=row.source_incomplete is not None or row.destination_incomplete is not None,
    )


def _incomplete_reason(row: Any) -> str | None:
    """What the set-up lacks: the connector's own, or that of an end."""
    if row.incomplete_reason is not None:
        reason: str = row.incomplete_reason
        return reason
    for end, name, lacks in (
        ("source", row.source_name, row.source_incomplete),
        ("destination", row.destination_name, row.destination_incomplete),
    ):
        if lacks is not None:
            return f"its {end} {name!r} is unfinished: {lacks}"
    return None


def _or_none(kind: Callable[[str], Any], value: str | None) -> Any:
    return None if value is None else kind(value)


def connector_row(row: Any) -> ConnectorRow:
    """The row that a table shows, from a row of `_rows_statement`."""
    facts = facts_of(row)
    status = connector_status(facts)
    return ConnectorRow(
        id=row.id,
        name=row.name,
        source_name=row.source_name,
        source_type=row.source_type,
        destination_name=row.destination_name,
        destination_type=row.destination_type,
        collection=row.collection,
        status=status,
        job_status=job_status(facts),
        paused_and_broken=status is ConnectorStatus.PAUSED and is_broken(facts),
        status_reason=_status_reason(row, facts, status),
        activity=facts.activity,
        activity_reason=row.activity_reason,
        active_sync_id=row.active_sync_id,
        attempt=row.attempt,
        back_off_until=row.back_off_until,
        progress_stream=row.progress_stream,
        progress_records=row.progress_records,
        progress_bytes=row.progress_bytes,
        progress_expected=row.progress_expected,
        schedule_text=describe(schedule_of(row)),
        next_fire_at=row.next_fire_at,
        due_since=row.due_since,
        last_sync_at=row.last_sync_at,
        last_outcome=facts.last_outcome,
        last_error_class=facts.last_error_class,
        last_error_message=row.last_error_message,
        last_duration=milliseconds(row.last_duration_ms),
        last_records=row.last_records,
        last_bytes=row.last_bytes,
        last_rejected=row.last_rejected,
        created_at=row.created_at,
        created_by=row.created_by,
        version=row.version,
    )


def milliseconds(number: int | None) -> timedelta | None:
    """A duration as the store keeps it."""
    return None if number is None else timedelta(milliseconds=number)


def first_line(text: str | None) -> str:
    """The first line of a text, shortened."""
    line = (text or "").strip().partition("\n")[0]
    return line if len(line) <= _REASON_SHOWN else f"{line[: _REASON_SHOWN - 1]}…"


def _blocking(schema_change: str | None) -> str | None:
    """Why a schema change stops the connector."""
    reason: str | None = json.loads(schema_change).get("blocking") if schema_change else None
    return reason


def _status_reason(row: Any, facts: ConnectorFacts, status: ConnectorStatus) -> str:
    if status is ConnectorStatus.PAUSED:
        by = "the engine" if facts.paused_by is PausedBy.ENGINE else "a person"
        return f"Paused by {by}. {first_line(row.paused_reason)}".strip()
    if status is ConnectorStatus.INCOMPLETE:
        if facts.configuration_complete and not facts.end_incomplete:
            return first_line(_blocking(row.schema_change)) or "A schema change waits for approval."
        return first_line(_incomplete_reason(row)) or "The set-up is not finished."
    if status is ConnectorStatus.ACTIVE:
        return ""
    for end, state, message in (
        ("source", facts.source_credentials, row.source_message),
        ("destination", facts.destination_credentials, row.destination_message),
    ):
        if state is CredentialsState.REJECTED:
            return f"The {end}'s credentials were refused. {first_line(message)}".strip()
    if sync_fails(facts) and row.last_error_message:
        return first_line(row.last_error_message)
    if check_fails(facts):
        return f"{facts.check_result}: {first_line(row.check_message)}".rstrip(": ")
    return "The last sync failed."


# One connector --------------------------------------------------------------------------------------------------------------


async def connector_detail(
    connection: AsyncConnection, id_or_name: str, now: datetime, *, engine_runs: bool
) -> ConnectorDetail | None:
    """See `Queries.connector`."""
    found = (await connection.execute(_rows_statement().where(_c.id == id_or_name))).first()
    if found is None:
        found = (await connection.execute(_rows_statement().where(_c.name == id_or_name))).first()
    if found is None:
        return None
    row: Any = found
    schedule, anchor, offset = schedule_of(row), anchor_of(row), timedelta(milliseconds=row.offset_ms)
    source = await endpoint_rows(connection, EndpointKind.SOURCE, now, row.source_id) if row.source_id else []
    destination = await endpoint_rows(connection, EndpointKind.DESTINATION, now, row.destination_id) if row.destination_id else []
    facts = facts_of(row)
    ahead = await schedule_facts(connection, row, now, NEXT_FIRES)
    selected, streams = await stream_counts(connection, row.id)
    return ConnectorDetail(
        row=connector_row(row),
        streams_selected=selected,
        streams_total=streams,
        source=next(iter(source), None),
        destination=next(iter(destination), None),
        schedule=schedule,
        anchor_at=anchor,
        offset=offset,
        catch_up=row.catch_up,
        next_fires=tuple(start.at for start in ahead.starts),
        why=why(
            WhyFacts(
                status=facts,
                schedule=schedule,
                anchor_at=anchor,
                offset=offset,
                next_fire_at=row.next_fire_at,
                due_since=row.due_since or ahead.own_due_since,
                missed=row.missed,
                catch_up=row.catch_up,
                paused_reason=row.paused_reason,
                paused_at=row.paused_at,
                incomplete_reason=_incomplete_reason(row),
                activity_reason=row.activity_reason,
                activity_at=row.activity_at,
                attempt=row.attempt,
                back_off_until=row.back_off_until,
                progress_stream=row.progress_stream,
                last_error_message=_failure_message(row, facts),
                engine_runs=engine_runs,
                blackout=ahead.blackout,
                own_schedules=ahead.own_schedules,
                next_own_stream=ahead.next_own_stream,
                next_own_at=ahead.next_own_at,
            ),
            now,
        ),
        source_version=row.source_version,
        incomplete_reason=_incomplete_reason(row),
        schema_change=row.schema_change,
        schema_policy=row.schema_policy,
        reject_limit_count=row.reject_limit_count,
        reject_limit_share=row.reject_limit_share,
        stall_limit=timedelta(milliseconds=row.stall_limit_ms),
        paused_by=facts.paused_by,
        paused_reason=row.paused_reason,
        paused_at=row.paused_at,
        check_result=facts.check_result,
        check_message=row.check_message,
        check_at=row.check_at,
        last_success_at=row.last_success_at,
        consecutive_failures=row.consecutive_failures,
        failing_since=row.failing_since,
        missed=row.missed,
        updated_at=row.updated_at,
        blackout=ahead.blackout,
        next_starts=ahead.starts,
    )


def _failure_message(row: Any, facts: ConnectorFacts) -> str | None:
    return _status_reason(row, facts, ConnectorStatus.BROKEN) if is_broken(facts) else None
