"""Writing a connector's set-up to the store: the one way, for a document, for the wizard and for every editor.

Of the streams, only rows that change are written. Saving applies the source's present version, and fires nothing by itself.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Row, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle, schema_history
from syncterm.engine.blackout import windows_to_text
from syncterm.engine.connector_rules import check, incompleteness
from syncterm.engine.connector_setup import anchor_of, schedule_of
from syncterm.engine.drafts import ConnectorDraft
from syncterm.engine.errors import ConfigError
from syncterm.engine.identifiers import new_id
from syncterm.engine.model import Actor, LogLevel, PausedBy, Schedule, StreamConfig, SyncMode
from syncterm.engine.schedule import next_fire, spread_offset
from syncterm.engine.store.tables import CHANGE_SEQUENCE, connectors, destinations, sources, streams
from syncterm.engine.stream_defaults import ABLE, EndAbilities
from syncterm.engine.stream_schedules import own_schedule_values, settle_stream_schedules

PIECE = 100
"""Rows of streams that are read, compared or written at a time: a few milliseconds of the loop."""
_AUDITED_STREAMS = 50
"""Streams whose difference the audit trail keeps; of more, their number."""
_MILLISECOND = timedelta(milliseconds=1)
_NO_SCHEDULE = (None, None, None, None)
_COLUMNS = (
    "position",
    "selected",
    "sync_mode",
    "primary_key",
    "cursor_field",
    "columns",
    "casts",
    "row_filter",
    "include_null_cursor",
    "look_back_ms",
    "target_table",
    "delete_handling",
    "schema_policy",
    "schedule_kind",
    "schedule_every_ms",
    "schedule_expression",
    "schedule_timezone",
)
"""Columns of `streams` that a person sets."""
_DUE_COLUMNS = ("anchor_at", "offset_ms", "next_fire_at", "due_since")
_SELECTED_AT = _COLUMNS.index("selected")
_SCHEDULE_AT = _COLUMNS.index("schedule_kind")
_REFILTERED = (
    "Stream {}: its row filter changed. It holds for what is read from now on; records before the cursor, and those that are in the"
    " destination, change with a historical re-sync."
)
_SHOWN_COLUMNS = tuple(name for name in _COLUMNS if name not in ("position", "selected"))


@dataclass(slots=True)
class WrittenConnector:
    """What was written."""

    id: str
    version: int
    incomplete_reason: str | None
    next_fire_at: datetime | None
    before: dict[str, Any] = field(default_factory=dict)
    """What differs, by path, as it was; empty for a new one."""
    after: dict[str, Any] = field(default_factory=dict)


async def write_connector(
    connection: AsyncConnection,
    draft: ConnectorDraft,
    existing: Row[Any] | None,
    actor: Actor,
    now: datetime,
    *,
    paused: bool | None = None,
    able: EndAbilities = ABLE,
    refresh: bool = True,
) -> WrittenConnector:
    """Make the store's connector what the draft says, inside the caller's write transaction.

    Args:
        existing: its row; None for a new one. The caller has checked the version, and that the actor may.
        paused: pause or resume it; None leaves that as it is.
        able: what its ends can do.
        refresh: apply the source's present version; else the one it has stays, as where nobody has looked at the difference.

    Raises:
        ConfigError: what no connector can be, a name that is taken, or a source or destination that is gone.
    """
    if len(draft.streams) > PIECE:
        await asyncio.to_thread(check, draft)
    else:
        check(draft)
    await _check_free(connection, draft.name, existing.id if existing is not None else None)
    source = await _endpoint(connection, sources, draft.source_id, "source")
    destination = await _endpoint(connection, destinations, draft.destination_id, "destination")
    incomplete = incompleteness(draft, able) or _unfinished(source, "source") or _unfinished(destination, "destination")
    connector_id: str = existing.id if existing is not None else new_id(now)
    values: dict[str, Any] = {
        "name": draft.name,
        "source_id": draft.source_id,
        "destination_id": draft.destination_id,
        "source_version": existing.source_version if existing is not None and not refresh else getattr(source, "version", None),
        "collection": draft.collection,
        "configuration_complete": incomplete is None,
        "incomplete_reason": incomplete,
        "schema_policy": draft.schema_policy,
        "catch_up": draft.catch_up,
        "blackout": windows_to_text(draft.blackout),
    }
    before = {name: getattr(existing, name) for name in values} if existing is not None else {}
    written = WrittenConnector(connector_id, 1 if existing is None else existing.version + 1, incomplete, None)
    _note(written, before, values)
    schedule_before = _shown_schedule(schedule_of(existing)) if existing is not None else {}
    _note(written, schedule_before, _shown_schedule(draft.schedule))
    values |= {"updated_at": now, **_pause_values(paused, existing, actor, now)}
    values |= schedule_values(connector_id, draft.schedule, schedule_of(existing) if existing is not None else None, now)
    is_paused = values.get("paused_by", existing.paused_by if existing is not None else None) is not None
    values["next_fire_at"] = written.next_fire_at = None
    if incomplete is None and not is_paused:
        values["next_fire_at"] = written.next_fire_at = _next_fire(draft.schedule, values, existing, now)
    if existing is None:
        await connection.execute(
            insert(connectors).values(
                id=connector_id, created_at=now, created_by=actor.name, version=1, changed_at=CHANGE_SEQUENCE, **values
            )
        )
    else:
        await lifecycle.touch(connection, connector_id, {**values, "version": written.version})
        if values.get("paused_by") is not None:
            await lifecycle.ask_to_cancel(connection, f"{actor.name} (paused)", connector_id, now)
    other_source = existing is not None and existing.source_id is not None and existing.source_id != draft.source_id
    anchor = values["anchor_at"] if "anchor_at" in values or existing is None else anchor_of(existing)
    await _write_streams(connection, written, draft.streams, anchor, now, other_source=other_source)
    await settle_stream_schedules(connection, connector_id, now)
    if existing is not None:
        await schema_history.reconsider(connection, connector_id)
    return written


def schedule_values(identity: str, wanted: Schedule, present: Schedule | None, now: datetime) -> dict[str, Any]:
    """The columns of a schedule that changed: it counts from now, spread by the identity's stable offset. Empty: it is the same."""
    if present == wanted:
        return {}
    offset = spread_offset(identity, wanted.every) if wanted.every is not None else timedelta()
    return {
        "schedule_kind": wanted.kind,
        "schedule_every_ms": wanted.every // _MILLISECOND if wanted.every is not None else None,
        "schedule_expression": wanted.expression,
        "schedule_timezone": wanted.timezone,
        "anchor_at": now,
        "offset_ms": offset // _MILLISECOND,
    }


def _next_fire(schedule: Schedule, values: Mapping[str, Any], existing: Row[Any] | None, now: datetime) -> datetime | None:
    if existing is not None and "anchor_at" not in values and existing.next_fire_at is not None:
        due: datetime = existing.next_fire_at
        return due
    anchor = values["anchor_at"] if "anchor_at" in values or existing is None else anchor_of(existing)
    offset_ms = values.get("offset_ms", existing.offset_ms if existing is not None else 0)
    return next_fire(schedule, now, anchor=anchor, offset=timedelta(milliseconds=offset_ms))


def _pause_values(wanted: bool | None, existing: Row[Any] | None, actor: Actor, now: datetime) -> dict[str, Any]:
    if wanted is None or wanted == (existing is not None and existing.paused_by is not None):
        return {}
    if not wanted:
        return {"paused_by": None, "paused_reason": None, "paused_at": None}
    return {
        "paused_by": PausedBy.PERSON,
        "paused_reason": f"Paused by {actor.name}.",
        "paused_at": now,
        "due_since": None,
    }


async def _check_free(connection: AsyncConnection, name: str, connector_id: str | None) -> None:
    """Raises: ConfigError: where another connector has that name."""
    other = (
        await connection.execute(select(connectors.c.id).where(connectors.c.name == name, connectors.c.deleted_at.is_(None)))
    ).scalar()
    if other is not None and other != connector_id:
        raise ConfigError(f"There is a connector {name!r} already.", remedy="Choose another name.")


async def _endpoint(connection: AsyncConnection, table: Any, endpoint_id: str | None, kind: str) -> Row[Any] | None:
    if endpoint_id is None:
        return None
    row = (await connection.execute(select(table).where(table.c.id == endpoint_id, table.c.deleted_at.is_(None)))).first()
    if row is None:
        raise ConfigError(f"The {kind} that was chosen does not exist any more.", remedy=f"Choose another {kind}.")
    return row


def _unfinished(endpoint: Row[Any] | None, kind: str) -> str | None:
    if endpoint is None or endpoint.incomplete_reason is None:
        return None
    return f"the {kind} {endpoint.name} is not set up: {endpoint.incomplete_reason}"


# Streams --------------------------------------------------------------------------------------------------------------------


def stream_row(stream: StreamConfig, position: int) -> tuple[Any, ...]:
    """A stream's set-up as the store keeps it, in the order of `_COLUMNS`."""
    schedule = stream.schedule
    every = schedule.every if schedule is not None else None
    return (
        position,
        True,
        str(stream.sync_mode),
        json.dumps(list(stream.primary_key)),
        stream.cursor_field,
        json.dumps(list(stream.columns)) if stream.columns is not None else None,
        json.dumps(dict(stream.casts)),
        stream.row_filter,
        stream.include_null_cursor,
        stream.look_back // _MILLISECOND if stream.look_back is not None else None,
        stream.table,
        str(stream.delete_handling),
        str(stream.schema_policy) if stream.schema_policy is not None else None,
        *(
            (
                str(schedule.kind),
                every // _MILLISECOND if every is not None else None,
                schedule.expression,
                schedule.timezone,
            )
            if schedule is not None
            else _NO_SCHEDULE
        ),
    )


async def _write_streams(
    connection: AsyncConnection,
    written: WrittenConnector,
    wanted: Sequence[StreamConfig],
    anchor: datetime,
    now: datetime,
    *,
    other_source: bool,
) -> None:
    """Select exactly these streams; what is remembered of a stream (set-up, schema, cursor) stays, selected or not."""
    known = await _known_streams(connection, written.id)
    added: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    refiltered: list[str] = []
    position = -1
    for number, stream in enumerate(wanted):
        if number % PIECE == PIECE - 1:
            await asyncio.sleep(0)
        present = known.pop(stream.name, None)
        position = max(position + 1, present.set_up[0] if present is not None else 0)  # where the order stays, so does the row
        row = stream_row(stream, position)
        if present is not None and present.set_up == row and not other_source:
            continue
        values: dict[str, Any] = {"stream_name": stream.name, **dict(zip(_COLUMNS, row, strict=True))}
        values |= _own_schedule(written.id, stream, row, present, anchor)
        values["resync_requested"] = present is not None and (other_source or present.needs_resync(stream))
        _note_stream(written, stream.name, present.set_up if present is not None else None, row)
        if present is not None and not values["resync_requested"] and present.goes_on_with_another_filter(stream):
            refiltered.append(stream.name)
        (added if present is None else changed).append(values)
    for piece in _pieces(added):
        await connection.execute(_INSERT, [{"connector": written.id, **values} for values in piece])
    for piece in _pieces(changed):
        await connection.execute(_UPDATE, [{"connector": written.id, **values} for values in piece])
    for names in _pieces(refiltered):
        await lifecycle.add_log(connection, written.id, None, [(now, LogLevel.WARNING, _REFILTERED.format(repr(n))) for n in names])
    if other_source:
        forget = {"schema": None, "schema_fingerprint": None, "kept_types": None}
        await connection.execute(update(streams).where(streams.c.connector_id == written.id).values(**forget))
    left = [name for name, stream in known.items() if stream.set_up[_SELECTED_AT] or other_source]
    # A stream that is selected again has the set-up that it had; what the destination holds of another source's is read anew.
    values = {"selected": False, **({"resync_requested": True} if other_source else {})}
    for names in _pieces(left):
        theirs = (streams.c.connector_id == written.id) & streams.c.name.in_(names)
        await connection.execute(update(streams).where(theirs).values(**values))
        for name in names:
            _note_stream(written, name, known[name].set_up, None)
    _shorten_audit(written)


@dataclass(frozen=True, slots=True)
class _KnownStream:
    set_up: tuple[Any, ...]
    cursor: str | None
    resync_requested: bool
    own_schedule: tuple[Any, ...]
    """In the order of `_DUE_COLUMNS`."""

    def goes_on_with_another_filter(self, stream: StreamConfig) -> bool:
        """Whether records that were passed or delivered already would be treated in another way now."""
        changed = self.set_up[_COLUMNS.index("row_filter")] != stream.row_filter
        return changed and self.cursor is not None and stream.sync_mode.incremental

    def needs_resync(self, stream: StreamConfig) -> bool:
        """Whether going on, or from the beginning, would leave out or repeat rows."""
        mode, cursor_field = self.set_up[_COLUMNS.index("sync_mode")], self.set_up[_COLUMNS.index("cursor_field")]
        other_cursor = self.cursor is not None and cursor_field != stream.cursor_field
        held_already = mode == SyncMode.REPLACE and stream.sync_mode is SyncMode.INCREMENTAL_APPEND
        return self.resync_requested or other_cursor or held_already


async def _known_streams(connection: AsyncConnection, connector_id: str) -> dict[str, _KnownStream]:
    columns = [streams.c[name] for name in _COLUMNS]
    rest = [streams.c[name] for name in ("cursor", "resync_requested", *_DUE_COLUMNS)]
    statement = select(streams.c.name, *columns, *rest).where(streams.c.connector_id == connector_id).order_by(streams.c.name)
    known: dict[str, _KnownStream] = {}
    after: str | None = None
    while True:
        page = statement if after is None else statement.where(streams.c.name > after)
        rows = (await connection.execute(page.limit(PIECE))).all()
        for row in rows:
            set_up, (cursor, resync, *own) = row[1 : len(_COLUMNS) + 1], row[len(_COLUMNS) + 1 :]
            known[row[0]] = _KnownStream(tuple(set_up), cursor, resync, tuple(own))
        if len(rows) < PIECE:
            return known
        after = rows[-1][0]


def _own_schedule(
    connector_id: str, stream: StreamConfig, row: tuple[Any, ...], present: _KnownStream | None, anchor: datetime
) -> dict[str, Any]:
    """What a stream's own schedule counts from and when it is due; unchanged, it stays as it was."""
    if present is not None and present.set_up[_SCHEDULE_AT:] == row[_SCHEDULE_AT:]:
        return dict(zip(_DUE_COLUMNS, present.own_schedule, strict=True))
    values = own_schedule_values(stream.schedule, connector_id, anchor)
    return {name: values[name] for name in _DUE_COLUMNS}


_PARAMETERS: dict[str, BindParameter[Any]] = {name: bindparam(name) for name in (*_COLUMNS, *_DUE_COLUMNS, "resync_requested")}
_INSERT = insert(streams).values(connector_id=bindparam("connector"), name=bindparam("stream_name"), **_PARAMETERS)
_UPDATE = (
    update(streams)
    .where(streams.c.connector_id == bindparam("connector"), streams.c.name == bindparam("stream_name"))
    .values(**_PARAMETERS)
)


def _pieces(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), PIECE):
        yield items[start : start + PIECE]


# The audit trail ------------------------------------------------------------------------------------------------------------


def _note(written: WrittenConnector, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    for name in {**before, **after}:
        if before.get(name) != after.get(name):
            if before:
                written.before[name] = before.get(name)
            written.after[name] = after.get(name)


def _shown_schedule(schedule: Schedule) -> dict[str, Any]:
    parts = {"kind": schedule.kind, "every": schedule.every, "expression": schedule.expression, "timezone": schedule.timezone}
    return {f"schedule.{name}": str(value) if value is not None else None for name, value in parts.items()}


def _note_stream(written: WrittenConnector, name: str, before: tuple[Any, ...] | None, after: tuple[Any, ...] | None) -> None:
    """A stream that was added, changed or left out, with what differs."""
    old = dict(zip(_COLUMNS, before, strict=True)) if before is not None else None
    new = dict(zip(_COLUMNS, after, strict=True)) if after is not None else None
    differing = [column for column in _SHOWN_COLUMNS if (old or {}).get(column) != (new or {}).get(column)]
    if not differing:
        return
    path = f"streams.{name}"
    written.after[path] = {column: new[column] for column in differing} if new is not None else None
    if old is not None:
        written.before[path] = {column: old[column] for column in differing}


def _shorten_audit(written: WrittenConnector) -> None:
    """Keep the difference of the first streams; a change of thousands is its number."""
    named = [path for path in written.after if path.startswith("streams.")]
    if len(named) > _AUDITED_STREAMS:
        for path in named[_AUDITED_STREAMS:]:
            written.before.pop(path, None)
            del written.after[path]
        written.after["streams"] = f"{len(named) - _AUDITED_STREAMS:,} more streams changed"
