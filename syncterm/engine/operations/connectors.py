"""Setting up connectors: saving a draft, reading a source's catalog, a dry run, and the check of a cursor."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import audit
from syncterm.engine.authorisation import operation
from syncterm.engine.connector_setup import Endpoint, load_destination
from syncterm.engine.connector_writing import WrittenConnector, write_connector
from syncterm.engine.cursor_check import check_cursor_column
from syncterm.engine.destinations.base import DestinationCapabilities
from syncterm.engine.discovery import discover_source, load_source
from syncterm.engine.drafts import ConnectorDraft, DryRun, Saved
from syncterm.engine.dry_run import run_dry
from syncterm.engine.errors import ConfigError, SynctermError
from syncterm.engine.events import changed
from syncterm.engine.model import Actor, Role, StreamConfig
from syncterm.engine.operation_results import IfRunning
from syncterm.engine.operations.running import RunningOperations
from syncterm.engine.store.tables import audit_events, connectors, sources
from syncterm.engine.stream_defaults import EndAbilities


class ConnectorOperations(RunningOperations):
    """What makes and changes connectors."""

    @operation(Role.USER)
    async def save_connector(self, actor: Actor, draft: ConnectorDraft, *, sync_now: bool = False) -> Saved:
        """Make or change a connector. An unfinished one is kept as Incomplete; saving applies the source's present version.

        Args:
            sync_now: queue a sync where it is complete.

        Raises:
            ConfigError: what no connector can be, a name that is taken, or a version that is no longer the newest.
            NotAllowedError: it belongs to somebody else.
        """
        if draft.id is not None:
            await self._permitted(actor, "save_connector", draft.id)
        able = await self.abilities(actor, draft.source_id, draft.destination_id)
        async with self._database.write() as connection:
            existing = await self._newest(connection, draft)
            written = await write_connector(connection, draft, existing, actor, self._clock.now(), able=able)
            await audit.record(
                connection,
                actor=actor,
                operation="create_connector" if existing is None else "save_connector",
                object_type="connector",
                object_id=written.id,
                object_name=draft.name,
                before=written.before or None,
                after=written.after,
                now=self._clock.now(),
            )
        await self._told(changed([written.id], order=existing is None or existing.name != draft.name))
        next_step = ""
        if sync_now and written.incomplete_reason is None:
            (result,) = await self.sync_now(actor, [written.id], if_running=IfRunning.QUEUE)
            next_step = result.message
        message = _message(written, existing, next_step)
        return Saved(written.id, draft.name, written.version, written.incomplete_reason, message)

    @operation(Role.USER)
    async def discover(self, actor: Actor, source_id: str) -> int:
        """Read what a source offers into the store; the number of its streams. Cancelling the call ends it.

        Raises:
            SynctermError: why it could not be read; what was known stays.
        """
        endpoint = await load_source(self._database, source_id)
        try:
            count = await discover_source(self._database, self._clock, self._adapters, endpoint)
        except SynctermError as error:
            await self._audit_source(actor, "discover", endpoint, {"result": error.message})
            raise
        await self._audit_source(actor, "discover", endpoint, {"streams": count})
        await self._told(changed((), order=False))
        return count

    @operation(Role.USER)
    async def dry_run(self, actor: Actor, draft: ConnectorDraft, stream: str, limit: int = 20) -> DryRun:
        """The first records of a stream as they would arrive. Nothing is written, no cursor moves; the draft need not be saved.

        Raises:
            SynctermError: why it could not be read.
        """
        config = next((each for each in draft.streams if each.name == stream), None)
        if config is None:
            raise ConfigError(f"The stream {stream[:80]!r} is not selected.", remedy="Select it first.")
        endpoint = await load_source(self._database, draft.source_id)
        found = await run_dry(self._database, self._adapters, endpoint, config, limit)
        await self._audit_source(actor, "dry_run", endpoint, {"stream": stream, "records": len(found.records)})
        return found

    @operation(Role.USER)
    async def check_cursor(self, actor: Actor, source_id: str, stream: StreamConfig) -> tuple[str, ...]:
        """What speaks against a stream's cursor column, in plain words; empty where nothing does.

        Raises:
            SynctermError: why the source could not be read.
        """
        endpoint = await load_source(self._database, source_id)
        warnings = await check_cursor_column(self._database, self._clock, self._adapters, endpoint, stream)
        after = {"stream": stream.name, "column": stream.cursor_field, "warnings": len(warnings)}
        await self._audit_source(actor, "check_cursor", endpoint, after)
        return warnings

    @operation(Role.VIEWER)
    async def abilities(self, actor: Actor, source_id: str | None, destination_id: str | None) -> EndAbilities:
        """What the two ends can do, as far as it decides how streams may be set up; all of it where an end is not chosen yet."""
        async with self._database.read() as connection:
            source_type = (
                (await connection.execute(select(sources.c.type).where(sources.c.id == source_id))).scalar()
                if source_id is not None
                else None
            )
        source = await asyncio.to_thread(_source_capabilities, source_type) if source_type is not None else None
        destination = await self._destination_capabilities(destination_id)
        return EndAbilities(
            incremental=source.incremental if source is not None else True,
            upsert=destination.upsert,
            deletes=destination.deletes and (source is None or source.deletes),
        )

    async def _destination_capabilities(self, destination_id: str | None) -> DestinationCapabilities:
        """What a destination can do. One that is not chosen, or whose set-up cannot be read now, is taken to be able."""
        able = DestinationCapabilities(upsert=True, deletes=True)
        if destination_id is None:
            return able
        async with self._database.read() as connection:
            endpoint = await load_destination(connection, destination_id)
        if endpoint is None:
            return able

        def look(endpoint: Endpoint) -> DestinationCapabilities:
            destination = self._adapters.destination(endpoint)
            try:
                return destination.capabilities
            finally:
                destination.close()

        try:
            return await asyncio.to_thread(look, endpoint)
        except SynctermError:
            return able  # a secret that is not there now says nothing about what the destination can do

    async def _newest(self, connection: AsyncConnection, draft: ConnectorDraft) -> Row[Any] | None:
        """The row that a draft changes. Raises: ConfigError: where it is gone, or newer than what the draft was made from."""
        if draft.id is None:
            return None
        row = (await connection.execute(select(connectors).where(connectors.c.id == draft.id))).first()
        if row is None or row.deleted_at is not None:
            raise ConfigError(
                f"The connector {draft.name!r} was deleted meanwhile.", remedy="Bring it back, or save this as a new connector."
            )
        if row.version != draft.version:
            raise ConfigError(
                f"The connector {row.name!r} was changed meanwhile{await _by_whom(connection, row.id)}; nothing was saved.",
                remedy="Open it again to see what changed, then change it there.",
            )
        return row

    async def _audit_source(self, actor: Actor, name: str, endpoint: Endpoint, after: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            await audit.record(
                connection,
                actor=actor,
                operation=name,
                object_type="source",
                object_id=endpoint.id,
                object_name=endpoint.name,
                after=after,
                now=self._clock.now(),
            )


def _source_capabilities(type_: str) -> Any:
    from syncterm.engine.sources.base import source_class

    return source_class(type_).capabilities


async def _by_whom(connection: AsyncConnection, connector_id: str) -> str:
    row = (
        await connection.execute(
            select(audit_events.c.actor, audit_events.c.at)
            .where(audit_events.c.object_id == connector_id, audit_events.c.refused.is_(False))
            .order_by(audit_events.c.id.desc())
            .limit(1)
        )
    ).first()
    return f" (by {row.actor}, {_instant(row.at)})" if row is not None else ""


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _message(written: WrittenConnector, existing: Row[Any] | None, sync: str) -> str:
    done = "Created" if existing is None else "Saved"
    if written.incomplete_reason is not None:
        return f"{done} as Incomplete: {written.incomplete_reason}."
    if sync:
        return f"{done}. {sync}"
    if existing is not None and existing.paused_by is not None:
        return f"{done}; it stays paused."
    if written.next_fire_at is None:
        return f"{done}; it syncs when somebody asks."
    return f"{done}; {'first' if existing is None else 'next'} sync at {_instant(written.next_fire_at)}."
