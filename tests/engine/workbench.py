"""A workspace with an engine in this loop, for tests: apply a document, sync, wait for a condition."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from syncterm.engine.clock import Clock
from syncterm.engine.document import load_document
from syncterm.engine.engine import Engine, EngineSettings
from syncterm.engine.model import Actor, Role
from syncterm.engine.queries import ConnectorRow, SyncDetail
from syncterm.engine.store.tables import connectors
from syncterm.engine.workspace import Workspace

ADMINISTRATOR = Actor("tester", Role.ADMINISTRATOR)
PATIENCE = 30.0  # seconds until a condition is given up


async def until(condition: Callable[[], Awaitable[Any]], what: str) -> Any:
    """Wait until `condition` gives something true; that something."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = await condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        await asyncio.sleep(0.02)


class Workbench:
    """One engine on one workspace."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    async def apply(self, text: str) -> None:
        await self.engine.operations.apply(ADMINISTRATOR, load_document(text))

    async def id_of(self, name: str) -> str:
        async with self.engine.database.read() as connection:
            found = (
                await connection.execute(
                    select(connectors.c.id).where(connectors.c.name == name, connectors.c.deleted_at.is_(None))
                )
            ).scalar_one()
        return str(found)

    async def row(self, name: str) -> ConnectorRow:
        connector_id = await self.id_of(name)
        return (await self.engine.queries.connector_rows([connector_id]))[connector_id]

    async def start_sync(self, name: str) -> str:
        """Ask for a sync; its id."""
        connector_id = await self.id_of(name)
        (result,) = await self.engine.operations.sync_now(ADMINISTRATOR, [connector_id])
        assert result.done, result.message
        return (await self.engine.queries.sync_page(connector_id, limit=1))[0].id

    async def completed(self, sync_id: str) -> SyncDetail:
        async def done() -> SyncDetail | None:
            detail = await self.engine.queries.sync(sync_id)
            return detail if detail is not None and detail.row.state == "completed" else None

        detail: SyncDetail = await until(done, f"sync {sync_id} completed")
        return detail

    async def sync(self, name: str) -> SyncDetail:
        """Sync a connector and wait for the end."""
        return await self.completed(await self.start_sync(name))


@asynccontextmanager
async def workbench(
    folder: Path, *, clock: Clock | None = None, execute: bool = True, schedule: bool = True
) -> AsyncIterator[Workbench]:
    """An engine on the workspace in `folder`, started and at the end stopped."""
    engine = Engine(Workspace(folder), clock=clock, execute=execute, settings=EngineSettings(schedule=schedule))
    await engine.start()
    try:
        yield Workbench(engine)
    finally:
        await engine.stop()
