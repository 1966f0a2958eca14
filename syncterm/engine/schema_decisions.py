"""What a person, or the policy, decides about changes of a source's schema, written to the store.

Approving approves exactly the change that was shown, by its number: what the source offers meanwhile waits for its own approval.
Where a change takes something out of the set-up (a column or a stream that is gone), the set-up is saved as every editor saves it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle, schema_history
from syncterm.engine.connector_setup import draft_of, kept_of, stream_of
from syncterm.engine.connector_writing import write_connector
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import Actor, ChangeState, Role, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import StreamSchema
from syncterm.engine.schema_change import accept, adapted, needs_decision, reads_again, standing_policy
from syncterm.engine.schema_difference import ChangeClass, ChangeKind, Entry
from syncterm.engine.schema_history import difference_text, read_difference
from syncterm.engine.store.tables import catalog_streams, connectors, schema_changes, streams


async def approve(connection: AsyncConnection, connector: Row[Any], change: Row[Any], actor: Actor, now: datetime) -> str:
    """Approve a change that waits, as it was shown; what follows, in plain words.

    Args:
        connector: the connector's row.
        change: the row of `schema_changes`.

    Raises:
        ConfigError: it was decided meanwhile, the source has changed further, or it cannot be approved.
    """
    _require_open(change)
    entries, _ = read_difference(change.difference)
    unfit = next((entry for entry in entries if not entry.approvable), None)
    if unfit is not None:
        raise ConfigError(f"Stream {change.stream!r}, {unfit.title}: this cannot be approved.", remedy=unfit.effect)
    if schema_history.is_offer(entries):
        schema = StreamSchema.from_text(change.schema)
        await _save(connection, connector, actor, now, lambda present: [*present, default_stream(schema)])
        follows = f"{change.stream} is selected; the next sync reads it."
    elif any(entry.kind is ChangeKind.STREAM_REMOVED for entry in entries):
        await _save(connection, connector, actor, now, lambda present: [one for one in present if one.name != change.stream])
        follows = f"{change.stream} is no longer synced; its data stays in the destination."
    else:
        follows = await _accept(connection, connector, change, entries, actor, now)
    await _decide(connection, change.id, ChangeState.APPROVED, actor, now)
    await schema_history.note_blocking(connection, connector.id)
    return follows


async def _accept(
    connection: AsyncConnection, connector: Row[Any], change: Row[Any], entries: Sequence[Entry], actor: Actor, now: datetime
) -> str:
    row = await _stream(connection, connector.id, change.stream)
    config, found = stream_of(row), StreamSchema.from_text(change.schema)
    approved = StreamSchema.from_text(row.schema) if row.schema else found
    schema, kept = accept(config, approved, found, entries, kept_of(row.kept_types))
    values = schema_history.approved_values(schema, kept)
    again = reads_again(config, entries)
    if again:
        values["resync_requested"] = True
    smaller = adapted(config, entries)
    if smaller != config:
        await _save(
            connection, connector, actor, now, lambda present: [smaller if one.name == config.name else one for one in present]
        )
    where = (streams.c.connector_id == connector.id, streams.c.name == change.stream)
    await connection.execute(update(streams).where(*where).values(**values))
    return f"The next sync reads {change.stream} with it" + (", from the beginning." if again else ".")


async def reject(connection: AsyncConnection, connector: Row[Any], change: Row[Any], actor: Actor, now: datetime) -> str:
    """Keep the approved schema; the same change is not asked again. What follows, in plain words.

    Raises:
        ConfigError: it was decided meanwhile, or the source has changed further.
    """
    _require_open(change)
    entries, blocking = read_difference(change.difference)
    stops = any(needs_decision(entry) for entry in entries)
    await _decide(connection, change.id, ChangeState.REJECTED, actor, now, blocking=stops)
    if stops:
        blocking = blocking or f"Stream {change.stream!r} changed in the source."
        said = f"{blocking} The change was rejected: adapt the stream in the set-up, or bring back what is gone."
        await connection.execute(
            update(schema_changes).where(schema_changes.c.id == change.id).values(difference=difference_text(entries, said))
        )
    await schema_history.note_blocking(connection, connector.id)
    if stops:
        return f"{change.stream} cannot be synced so: adapt it in the set-up (e), or bring back in the source what is gone."
    if schema_history.is_offer(entries):
        return f"{change.stream} is not synced."
    return f"{change.stream} goes on as it was approved."


async def always(connection: AsyncConnection, connector: Row[Any], change: Row[Any]) -> str:
    """Let the policy that applies to the stream apply such changes by itself from now on; what it is, in plain words."""
    entries, _ = read_difference(change.difference)
    row = (
        await connection.execute(
            select(streams.c.schema_policy).where(streams.c.connector_id == connector.id, streams.c.name == change.stream)
        )
    ).first()
    own = row is not None and row.schema_policy is not None
    present = await connection.execute(select(connectors.c.schema_policy).where(connectors.c.id == connector.id))
    policy = standing_policy(entries, SchemaPolicy(row.schema_policy if own and row is not None else present.scalar_one()))
    if own:
        where = (streams.c.connector_id == connector.id, streams.c.name == change.stream)
        await connection.execute(update(streams).where(*where).values(schema_policy=policy))
    values = {"version": connectors.c.version + 1} | ({} if own else {"schema_policy": policy})
    await lifecycle.touch(connection, connector.id, values)
    words = {SchemaPolicy.APPLY_ADDITIONS: "additions are", SchemaPolicy.APPLY_ALL: "all but breaking changes are"}
    breaking = " Breaking ones always wait." if any(entry.change_class is ChangeClass.BREAKING for entry in entries) else ""
    return f"From now on {words[policy]} applied by themselves.{breaking}"


async def offer(
    connection: AsyncConnection, connector_id: str, names: Sequence[str], policy: SchemaPolicy, sync_id: str | None, now: datetime
) -> bool:
    """Record streams that are new in the source: waiting for a person; or selected, where the policy applies all.

    Returns:
        Whether they were selected: not where a person has to look, as at a name or a table that the connector cannot have.
    """
    connector = (await connection.execute(select(connectors).where(connectors.c.id == connector_id))).one()
    catalog = catalog_streams.c
    rows = (
        await connection.execute(
            select(catalog.name, catalog.fingerprint, catalog.schema)
            .where(catalog.source_id == connector.source_id, catalog.name.in_(names))
            .order_by(catalog.position)
        )
    ).all()
    if not rows:
        return False
    added = [default_stream(StreamSchema.from_text(row.schema)) for row in rows]
    applied = policy is SchemaPolicy.APPLY_ALL and await _select(connection, connector, added, policy, now)
    effect = "It is selected and synced whole (replace); other settings are chosen in the set-up."
    difference = difference_text([Entry(ChangeKind.STREAM_ADDED, ChangeClass.ADDITIVE, effect=effect)])
    decided = {"decided_at": now, "decided_by": f"policy {policy}"} if applied else {}
    values: list[dict[str, Any]] = [
        {
            "connector_id": connector_id,
            "stream": row.name,
            "found_at": now,
            "sync_id": sync_id,
            "difference": difference,
            "fingerprint": row.fingerprint,
            "schema": row.schema,
            "state": ChangeState.APPLIED if applied else ChangeState.WAITING,
            "blocking": False,
            **decided,
        }
        for row in rows
    ]
    await connection.execute(insert(schema_changes), values)
    return applied


async def _select(
    connection: AsyncConnection, connector: Row[Any], added: Sequence[StreamConfig], policy: SchemaPolicy, now: datetime
) -> bool:
    """Take streams into the connector by its policy; whether it could be."""
    engine = Actor(f"policy {policy}", Role.ADMINISTRATOR)
    try:
        async with connection.begin_nested():
            await _save(connection, connector, engine, now, lambda present: [*present, *added])
    except ConfigError:
        return False
    return True


def default_stream(schema: StreamSchema) -> StreamConfig:
    """The set-up of a stream that nobody has chosen settings for: read whole and replaced, which is right for every stream."""
    return StreamConfig(schema.name, SyncMode.REPLACE, primary_key=schema.primary_key)


def _require_open(change: Row[Any]) -> None:
    if change.state == ChangeState.SUPERSEDED:
        raise ConfigError(f"The source has changed stream {change.stream!r} further.", remedy="Look at the newer change.")
    if change.state != ChangeState.WAITING:
        by = f" by {change.decided_by}" if change.decided_by else ""
        raise ConfigError(f"The change of stream {change.stream!r} is {change.state}{by} already.")


async def _decide(
    connection: AsyncConnection, change_id: int, state: ChangeState, actor: Actor, now: datetime, *, blocking: bool = False
) -> None:
    values = {"state": state, "blocking": blocking, "decided_at": now, "decided_by": actor.name}
    await connection.execute(update(schema_changes).where(schema_changes.c.id == change_id).values(**values))


async def _stream(connection: AsyncConnection, connector_id: str, name: str) -> Row[Any]:
    row = (await connection.execute(select(streams).where(streams.c.connector_id == connector_id, streams.c.name == name))).first()
    if row is None:
        raise ConfigError(f"The connector no longer syncs stream {name!r}.", remedy="Look again.")
    return row


async def _save(
    connection: AsyncConnection,
    connector: Row[Any],
    actor: Actor,
    now: datetime,
    change: Callable[[list[StreamConfig]], list[StreamConfig]],
) -> None:
    """Save the connector's set-up with other streams. `updated_at` stays: nobody has looked at the catalog for it."""
    row = (await connection.execute(select(connectors).where(connectors.c.id == connector.id))).one()
    rows = await connection.execute(
        select(streams).where(streams.c.connector_id == connector.id, streams.c.selected).order_by(streams.c.position)
    )
    present = [stream_of(stream) for stream in rows]
    await write_connector(connection, replace(draft_of(row), streams=tuple(change(present))), row, actor, now, refresh=False)
    await connection.execute(update(connectors).where(connectors.c.id == connector.id).values(updated_at=row.updated_at))
