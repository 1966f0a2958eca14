"""The facts behind the "why" panel of one connector, and what it finds in them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine.connector_setup import schedule_of
from syncterm.engine.queries.connectors import facts_of, milliseconds
from syncterm.engine.store.tables import LIVE_CONNECTOR, connectors, destinations, sources, streams
from syncterm.engine.troubleshooting import Finding, TroubleFacts, troubleshoot


@dataclass(frozen=True, slots=True)
class Troubles:
    """What is wrong with one connector, and the ids of what mends it."""

    connector_id: str
    name: str
    findings: tuple[Finding, ...]
    """The most pressing first; empty where all is well."""
    source_id: str | None
    destination_id: str | None
    last_sync_id: str | None
    deletes_withheld: int
    """Records gone from the source whose deletes wait for approval."""


async def connector_troubles(
    connection: AsyncConnection, connector_id: str, now: datetime, *, engine_runs: bool
) -> Troubles | None:
    """See `Queries.troubles`."""
    row: Any = (
        await connection.execute(
            select(
                connectors,
                sources.c.credentials.label("source_credentials"),
                sources.c.credentials_message.label("source_message"),
                sources.c.incomplete_reason.label("source_incomplete"),
                destinations.c.credentials.label("destination_credentials"),
                destinations.c.credentials_message.label("destination_message"),
                destinations.c.incomplete_reason.label("destination_incomplete"),
            )
            .outerjoin(sources, sources.c.id == connectors.c.source_id)
            .outerjoin(destinations, destinations.c.id == connectors.c.destination_id)
            .where(LIVE_CONNECTOR, connectors.c.id == connector_id)
        )
    ).first()
    if row is None:
        return None
    waiting = (streams.c.connector_id == connector_id, streams.c.selected, streams.c.deletes_approved.is_(None))
    withheld = (await connection.execute(select(func.sum(streams.c.deletes_withheld)).where(*waiting))).scalar()
    facts = TroubleFacts(
        status=facts_of(row),
        schedule=schedule_of(row),
        next_fire_at=row.next_fire_at,
        due_since=row.due_since,
        activity_reason=row.activity_reason,
        back_off_until=row.back_off_until,
        paused_reason=row.paused_reason,
        incomplete_reason=row.incomplete_reason,
        source_incomplete=row.source_incomplete,
        destination_incomplete=row.destination_incomplete,
        source_message=row.source_message,
        destination_message=row.destination_message,
        check_message=row.check_message,
        last_error_message=row.last_error_message,
        last_duration=milliseconds(row.last_duration_ms),
        last_rejected=row.last_rejected or 0,
        deletes_withheld=withheld or 0,
        engine_runs=engine_runs,
    )
    return Troubles(row.id, row.name, troubleshoot(facts, now), row.source_id, row.destination_id, row.last_sync_id, withheld or 0)
