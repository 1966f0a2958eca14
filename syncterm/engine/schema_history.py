"""Changes of sources' schemas as the store keeps them: what a connector met, what waits, who decided, when.

A stream has at most one change that waits; a newer difference supersedes it. What was rejected stands until the source changes
further. What stops a connector is noted with it (`connectors.schema_change`), which makes it Incomplete.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.connector_setup import StreamSetup, kept_of, kept_to_text, stream_of
from syncterm.engine.model import ChangeState, SchemaPolicy
from syncterm.engine.schema import Field, StreamSchema, fingerprint
from syncterm.engine.schema_change import Settlement, settle
from syncterm.engine.schema_difference import ChangeKind, Entry
from syncterm.engine.store.tables import catalog_streams, connectors, schema_changes, streams

_PIECE = 50
"""Changes that are read between two turns of the loop: a millisecond or two."""
GONE = ""
"""The fingerprint of a stream that the source no longer has."""
_OPEN = schema_changes.c.state.in_((ChangeState.WAITING, ChangeState.REJECTED))


@dataclass(frozen=True, slots=True)
class OpenChange:
    """A change that waits for a person, or that a person rejected and the source still has."""

    id: int
    stream: str
    state: ChangeState
    entries: tuple[Entry, ...]
    fingerprint: str
    difference: str

    @property
    def keys(self) -> frozenset[tuple[str, str, str, str]]:
        return frozenset(entry.key for entry in self.entries)


def difference_text(entries: Iterable[Entry], blocking: str | None = None) -> str:
    """A difference as the store keeps it."""
    return json.dumps({"entries": [entry.to_document() for entry in entries], "blocking": blocking})


def read_difference(text: str) -> tuple[tuple[Entry, ...], str | None]:
    """What `difference_text` wrote: the entries, and why they stop the connector."""
    document = json.loads(text)
    return tuple(map(Entry.from_document, document["entries"])), document["blocking"]


async def open_changes(connection: AsyncConnection, connector_id: str) -> dict[str, OpenChange]:
    """Stream → its change that is open."""
    columns = [schema_changes.c[name] for name in ("id", "stream", "state", "difference", "fingerprint")]
    mine = (schema_changes.c.connector_id == connector_id, _OPEN)
    found: dict[str, OpenChange] = {}
    for piece in (await connection.execute(select(*columns).where(*mine).order_by(schema_changes.c.id))).partitions(_PIECE):
        for row in piece:
            entries, _ = read_difference(row.difference)
            state = ChangeState(row.state)
            found[row.stream] = OpenChange(row.id, row.stream, state, entries, row.fingerprint, row.difference)
        await asyncio.sleep(0)
    return found


def settle_stream(
    setup: StreamSetup, found: StreamSchema | None, policy: SchemaPolicy, open_change: OpenChange | None
) -> Settlement:
    """`schema_change.settle` for a stream of a connector, with what is open."""
    rejected = open_change.keys if open_change is not None and open_change.state is ChangeState.REJECTED else frozenset()
    return settle(setup.config, setup.approved, found, policy, setup.kept, rejected)


async def keep_settlement(
    connection: AsyncConnection,
    connector_id: str,
    setup: StreamSetup,
    found: StreamSchema | None,
    settlement: Settlement,
    open_change: OpenChange | None,
    *,
    sync_id: str | None,
    policy: SchemaPolicy,
    now: datetime,
) -> bool:
    """Write what became of a stream's schema; nothing where nothing moved. False where a person decided meanwhile: settle again."""
    stream = setup.config.name
    moved = settlement.schema != setup.approved or settlement.kept != setup.kept
    if not moved and not settlement.applied and not settlement.waiting and open_change is None:
        return True
    approved = select(streams.c.schema).where(streams.c.connector_id == connector_id, streams.c.name == stream)
    present = (await connection.execute(approved)).scalar()
    if present != (setup.approved.to_text() if setup.approved is not None else None):
        return False
    if moved:
        await connection.execute(
            update(streams)
            .where(streams.c.connector_id == connector_id, streams.c.name == stream)
            .values(**approved_values(settlement.schema, settlement.kept))
        )
    common = {
        "connector_id": connector_id,
        "stream": stream,
        "found_at": now,
        "sync_id": sync_id,
        "fingerprint": fingerprint(found) if found is not None else GONE,
        "schema": found.to_text() if found is not None else None,
    }
    if settlement.applied:
        await connection.execute(
            insert(schema_changes).values(
                **common,
                difference=difference_text(settlement.applied),
                state=ChangeState.APPLIED,
                blocking=False,
                decided_at=now,
                decided_by=f"policy {setup.config.schema_policy or policy}",
            )
        )
    if settlement.waiting and settlement.rejected:
        if open_change is not None:
            await _refresh(connection, open_change, settlement, open_change.entries)
        return True
    keys = {entry.key for entry in settlement.waiting}
    if (
        open_change is not None
        and open_change.state is ChangeState.WAITING
        and open_change.fingerprint == common["fingerprint"]
        and open_change.keys == keys
    ):
        await _refresh(connection, open_change, settlement, settlement.waiting)
        return True
    if open_change is not None:
        await supersede(connection, [open_change.id])
    if settlement.waiting:
        await connection.execute(
            insert(schema_changes).values(
                **common,
                difference=difference_text(settlement.waiting, settlement.blocking),
                state=ChangeState.WAITING,
                blocking=settlement.blocking is not None,
            )
        )
    return True


def approved_values(schema: StreamSchema, kept: Mapping[str, Field]) -> dict[str, Any]:
    """The columns of `streams` that say with which schema a stream goes on."""
    return {"schema": schema.to_text(), "schema_fingerprint": fingerprint(schema), "kept_types": kept_to_text(kept)}


async def _refresh(connection: AsyncConnection, change: OpenChange, settlement: Settlement, entries: Sequence[Entry]) -> None:
    """Bring the words of an open change up to date: the set-up may be another one by now."""
    text = difference_text(entries, settlement.blocking)
    if text != change.difference:
        await connection.execute(
            update(schema_changes)
            .where(schema_changes.c.id == change.id, _OPEN)
            .values(difference=text, blocking=settlement.blocking is not None)
        )


async def supersede(connection: AsyncConnection, ids: Sequence[int]) -> None:
    """Close open changes that the source or the set-up has left behind."""
    await connection.execute(
        update(schema_changes).where(schema_changes.c.id.in_(ids), _OPEN).values(state=ChangeState.SUPERSEDED, blocking=False)
    )


async def supersede_others(connection: AsyncConnection, connector_id: str) -> None:
    """Close open changes of streams that the connector no longer syncs, and offers of streams that it does or that are gone."""
    open_ = await open_changes(connection, connector_id)
    if not open_:
        return
    mine = (streams.c.connector_id == connector_id, streams.c.selected, streams.c.name.in_(list(open_)))
    selected = set((await connection.execute(select(streams.c.name).where(*mine))).scalars())
    source_id = select(connectors.c.source_id).where(connectors.c.id == connector_id).scalar_subquery()
    there = set(
        (
            await connection.execute(
                select(catalog_streams.c.name).where(
                    catalog_streams.c.source_id == source_id, catalog_streams.c.name.in_(list(open_))
                )
            )
        ).scalars()
    )
    left = [
        change.id
        for name, change in open_.items()
        if (name in selected or name not in there if is_offer(change.entries) else name not in selected)
    ]
    if left:
        await supersede(connection, left)


def is_offer(entries: Sequence[Entry]) -> bool:
    """Whether a change is a stream that is new in the source."""
    return bool(entries) and entries[0].kind is ChangeKind.STREAM_ADDED


async def note_blocking(connection: AsyncConnection, connector_id: str) -> None:
    """Say with the connector what stops it, or that nothing does any more."""
    rows = (
        await connection.execute(
            select(schema_changes.c.stream, schema_changes.c.difference)
            .where(schema_changes.c.connector_id == connector_id, _OPEN, schema_changes.c.blocking)
            .order_by(schema_changes.c.id)
        )
    ).all()
    text = None
    if rows:
        entries, blocking = read_difference(rows[0].difference)
        more = f" {len(rows) - 1} more streams wait." if len(rows) > 2 else " One more stream waits." if len(rows) == 2 else ""
        by_kind: dict[str, list[str]] = {"added": [], "removed": [], "retyped": []}
        for entry in entries:
            kind = {"+": "added", "-": "removed"}.get(entry.sign, "retyped")
            by_kind[kind].append(entry.column if kind != "retyped" and entry.column else entry.title)
        text = json.dumps({"stream": rows[0].stream, **by_kind, "blocking": (blocking or "") + more})
    present = (await connection.execute(select(connectors.c.schema_change).where(connectors.c.id == connector_id))).scalar()
    if text != present:
        await lifecycle.touch(connection, connector_id, {"schema_change": text})


async def reconsider(connection: AsyncConnection, connector_id: str) -> None:
    """After the set-up was saved: look at the changes that stop the connector again, without the source; they may not any more."""
    policy_text = (await connection.execute(select(connectors.c.schema_policy).where(connectors.c.id == connector_id))).scalar_one()
    open_ = await open_changes(connection, connector_id)
    for name, change in open_.items():
        if is_offer(change.entries):
            continue
        of_stream = (streams.c.connector_id == connector_id, streams.c.name == name, streams.c.selected)
        row = (await connection.execute(select(streams).where(*of_stream))).first()
        if row is None or row.schema is None:
            await supersede(connection, [change.id])
            continue
        text = (await connection.execute(select(schema_changes.c.schema).where(schema_changes.c.id == change.id))).scalar()
        setup = StreamSetup(stream_of(row), StreamSchema.from_text(row.schema), row.resync_requested, kept_of(row.kept_types))
        found = StreamSchema.from_text(text) if text is not None else None
        settlement = settle_stream(setup, found, SchemaPolicy(policy_text), change)
        if settlement.waiting:
            await _refresh(connection, change, settlement, change.entries if settlement.rejected else settlement.waiting)
        else:  # the next sync applies it
            await supersede(connection, [change.id])
    if open_:
        await note_blocking(connection, connector_id)


async def table_made_anew(connection: AsyncConnection, connector_id: str, stream: str, schema: StreamSchema) -> None:
    """After a load that made a stream's table anew: its columns have the approved types, unless those changed meanwhile."""
    await connection.execute(
        update(streams)
        .where(
            streams.c.connector_id == connector_id,
            streams.c.name == stream,
            streams.c.kept_types.is_not(None),
            streams.c.schema == schema.to_text(),
        )
        .values(kept_types=None)
    )


# New streams --------------------------------------------------------------------------------------------------------------------


async def new_streams(connection: AsyncConnection, connector_id: str) -> list[str]:
    """Names of streams that came into the source after the connector was saved last, which it neither syncs nor was offered.

    Empty where the connector leaves out a stream that was there before: then it leaves out on purpose.
    """
    row = (
        await connection.execute(
            select(connectors.c.source_id, connectors.c.updated_at, connectors.c.configuration_complete).where(
                connectors.c.id == connector_id
            )
        )
    ).one()
    catalog = catalog_streams.c
    first = (await connection.execute(select(func.min(catalog.found_at)).where(catalog.source_id == row.source_id))).scalar()
    if first is None:
        return []
    since = max(first, row.updated_at)
    known = select(streams.c.name).where(streams.c.connector_id == connector_id, streams.c.name == catalog.name)
    offered = select(schema_changes.c.id).where(
        schema_changes.c.connector_id == connector_id, schema_changes.c.stream == catalog.name
    )
    new = and_(catalog.source_id == row.source_id, catalog.found_at > since, ~known.exists(), ~offered.exists())
    names = list((await connection.execute(select(catalog.name).where(new).order_by(catalog.position))).scalars())
    if not names:
        return []
    taken = known.where(streams.c.selected)
    left_out = (
        select(catalog.name)
        .where(catalog.source_id == row.source_id, catalog.found_at <= since, ~taken.exists(), ~offered.exists())
        .limit(1)
    )
    return [] if (await connection.execute(left_out)).first() is not None else names
