"""Asking a source something outside a sync: what it offers, its first records, what a cursor column holds.

The work runs in a thread, with a deadline; cancelling the call ends it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import select

from syncterm.engine import credentials, source_catalog
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import Endpoint
from syncterm.engine.control import Control
from syncterm.engine.errors import AuthenticationError, CancelledSyncError, ConfigError, ConnectionTimeoutError, SynctermError
from syncterm.engine.model import EndpointKind
from syncterm.engine.redaction import redact
from syncterm.engine.source_catalog import CatalogRow, catalog_rows
from syncterm.engine.sources.base import Source
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import sources
from syncterm.engine.threads import in_thread

DISCOVERY_DEADLINE = 120.0
"""Seconds that reading a source's catalog may take: folders of many files and schemas of many tables take a while."""
T = TypeVar("T")


async def load_source(database: Database, source_id: str | None) -> Endpoint:
    """The source as it is set up now.

    Raises:
        ConfigError: where there is none, or where its set-up is unfinished.
    """
    async with database.read() as connection:
        row = (await connection.execute(select(sources).where(sources.c.id == source_id, sources.c.deleted_at.is_(None)))).first()
    if row is None:
        raise ConfigError("The source does not exist any more.", remedy="Choose another source.")
    if row.incomplete_reason is not None:
        raise ConfigError(f"The source {row.name!r} is not set up: {row.incomplete_reason}.", remedy="Complete its set-up first.")
    return Endpoint(row.id, row.name, row.type, json.loads(row.config), row.version)


async def ask_source(
    adapters: AdapterFactory, endpoint: Endpoint, what: str, seconds: float, work: Callable[[Source, Control], T]
) -> T:
    """Let `work` use the source in a thread; it has that many seconds.

    Args:
        what: what is asked, as the end of `did not answer within 30 seconds when asked for …`.

    Raises:
        SynctermError: what went wrong, without secrets.
    """
    control = Control()

    def ask() -> T:
        source = adapters.source(endpoint)
        try:
            with control.interrupter(source.interrupt):
                return work(source, control)
        finally:
            source.close()

    late = ConnectionTimeoutError(
        f"The source {endpoint.name!r} did not answer within {seconds:.0f} seconds when asked for {what}.",
        remedy="Test its connection, then try again.",
    )
    deadline = asyncio.get_running_loop().call_later(seconds, control.stop, late)
    try:
        return await in_thread(ask, control, f"ask {endpoint.name}")
    except asyncio.CancelledError:
        control.stop(CancelledSyncError("It was cancelled."))
        raise
    except SynctermError as error:
        if isinstance(error, CancelledSyncError) and control.reason is not None:
            raise control.reason from None
        error.message, error.remedy = redact(error.message), redact(error.remedy)
        error.args = (error.message,)
        raise
    finally:
        deadline.cancel()


async def discover_source(database: Database, clock: Clock, adapters: AdapterFactory, endpoint: Endpoint) -> int:
    """Read a source's catalog into the store; the number of its streams. What it says of the credentials is kept, too.

    Raises:
        SynctermError: why the source could not be read; the catalog stays as it was.
    """

    def work(source: Source, control: Control) -> tuple[CatalogRow, ...]:
        return catalog_rows(source.discover())

    try:
        rows = await ask_source(adapters, endpoint, "its streams", DISCOVERY_DEADLINE, work)
    except AuthenticationError as error:
        async with database.write() as connection:
            await credentials.refused(connection, EndpointKind.SOURCE, endpoint.id, clock.now(), error.message)
        raise
    await source_catalog.keep(database, endpoint.id, rows, clock.now())
    async with database.write() as connection:
        await credentials.accepted(connection, EndpointKind.SOURCE, endpoint.id, clock.now())
    return len(rows)
