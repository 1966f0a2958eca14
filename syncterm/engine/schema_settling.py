"""Before each sync: what the source offers now against what was approved, the policy's word on it, and the record of both."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import schema_decisions, schema_history, source_catalog
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import ConnectorSetup, StreamSetup, load_setup
from syncterm.engine.errors import SchemaChangedError
from syncterm.engine.model import LogLevel, SchemaPolicy
from syncterm.engine.schema import Catalog, StreamSchema
from syncterm.engine.schema_change import MOST_NAMES, Reading, Settlement, check_names, reading, sentence
from syncterm.engine.schema_difference import ChangeClass
from syncterm.engine.schema_history import OpenChange
from syncterm.engine.source_catalog import CatalogRow
from syncterm.engine.store.database import Database

PIECE = 100
"""Streams that one write transaction settles: a few milliseconds of the loop."""


@dataclass(frozen=True, slots=True)
class SettledStream:
    """A stream with what it is read with."""

    setup: StreamSetup
    found: StreamSchema | None
    """What the source offers now; None where the stream is gone."""
    settlement: Settlement

    @property
    def expected_rows(self) -> int | None:
        """How many rows the source says that it has."""
        return self.found.estimated_rows if self.found is not None else None

    def reading(self, *, full: bool) -> Reading:
        """See `schema_change.reading`."""
        schema = self.settlement.schema
        return reading(schema, self.found or schema, self.settlement.kept, full=full)


class SchemaSettling:
    """Settles the schemas of one attempt.

    Args:
        write: opens a write transaction that belongs to the sync.
        blocking: runs a function in a thread that the sync's control can interrupt.
        log: adds a line to the sync's log.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        write: Callable[[], AbstractAsyncContextManager[AsyncConnection]],
        blocking: Callable[[Callable[[], Any], str], Awaitable[Any]],
        log: Callable[[LogLevel, str], None],
        sync_id: str,
    ) -> None:
        self.notes: list[str] = []
        """What the sync's summary says."""
        self._database = database
        self._clock = clock
        self._write = write
        self._blocking = blocking
        self._log = log
        self._sync_id = sync_id

    async def settle(
        self, setup: ConnectorSetup, wanted: Sequence[StreamSetup], catalog: Catalog, offered: Sequence[CatalogRow]
    ) -> Sequence[SettledStream]:
        """How each stream is read; what the source offers is kept, where the connector uses the source's present version.

        Raises:
            SchemaChangedError: a change that waits for a person's decision, noted on the connector.
            ConfigError: the source never had such a stream or column.
        """
        if setup.source.present:
            await source_catalog.keep(self._database, setup.source.id, offered, self._clock.now())
        names = {stream.config.name for stream in wanted}
        while True:
            policy = SchemaPolicy(setup.schema_policy)
            async with self._database.read() as connection:
                open_ = await schema_history.open_changes(connection, setup.id)
            settled: Sequence[SettledStream] = await self._blocking(
                partial(settle_all, wanted, catalog, policy, open_), f"settle {setup.name}"
            )
            if await self._keep(setup.id, settled, policy, open_):
                break
            async with self._database.read() as connection:  # a person decided meanwhile
                setup = await load_setup(connection, setup.id)
            wanted = [stream for stream in setup.streams if stream.config.name in names]
        for one in settled:
            self._say(one.settlement)
        if setup.source.present:
            await self._offer_new_streams(setup.id, policy)
        blocked = [one.settlement for one in settled if one.settlement.blocking is not None]
        if blocked:
            more = f" {len(blocked) - 1} more streams wait, too." if len(blocked) > 1 else ""
            raise SchemaChangedError(f"{blocked[0].blocking}{more} Nothing was read.", remedy=_remedy(blocked[0], setup.name))
        return settled

    async def _keep(
        self, connector_id: str, settled: Sequence[SettledStream], policy: SchemaPolicy, open_: Mapping[str, OpenChange]
    ) -> bool:
        """Write what became of the schemas, in pieces. False where a person decided meanwhile."""
        now = self._clock.now()
        for start in range(0, len(settled), PIECE):
            async with self._write() as connection:
                for one in settled[start : start + PIECE]:
                    kept = await schema_history.keep_settlement(
                        connection,
                        connector_id,
                        one.setup,
                        one.found,
                        one.settlement,
                        open_.get(one.setup.config.name),
                        sync_id=self._sync_id,
                        policy=policy,
                        now=now,
                    )
                    if not kept:
                        return False
        async with self._write() as connection:
            await schema_history.supersede_others(connection, connector_id)
            await schema_history.note_blocking(connection, connector_id)
        return True

    async def _offer_new_streams(self, connector_id: str, policy: SchemaPolicy) -> None:
        """Record streams that are new in the source, where the connector syncs all the others; the policy may select them."""
        async with self._database.read() as connection:
            names = await schema_history.new_streams(connection, connector_id)
        if not names:
            return
        async with self._write() as connection:
            applied = await schema_decisions.offer(connection, connector_id, names, policy, self._sync_id, self._clock.now())
        what = "selected, the next sync reads them" if applied else "they wait for approval (A)"
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        self._note(f"New in the source: {', '.join(names[:MOST_NAMES])}{more}; {what}.")

    def _say(self, settlement: Settlement) -> None:
        """Log what became of a stream's schema."""
        if settlement.applied:
            self._note(f"Schema change of {settlement.stream} applied: {sentence(settlement.applied)}.")
            for entry in settlement.applied:
                if entry.change_class is not ChangeClass.ADDITIVE:
                    self._log(LogLevel.WARNING, f"{settlement.stream}, {entry.title}: {entry.effect}")
        if settlement.waiting and settlement.blocking is None:
            what = "was rejected" if settlement.rejected else "waits for approval (A)"
            line = f"Schema change of {settlement.stream} {what}: {sentence(settlement.waiting)}. Syncing the approved columns."
            if settlement.rejected:
                self._log(LogLevel.INFO, line)
            else:
                self._note(line)

    def _note(self, line: str) -> None:
        """A warning for the log that the sync's summary repeats."""
        self._log(LogLevel.WARNING, line)
        self.notes.append(line)


def settle_all(
    wanted: Sequence[StreamSetup], catalog: Catalog, policy: SchemaPolicy, open_: Mapping[str, OpenChange]
) -> Sequence[SettledStream]:
    """Settle every stream. Thousands take a while: call it in a thread.

    Raises:
        ConfigError: the source never had such a stream or column.
    """
    offered = {stream.name: stream for stream in catalog.streams}
    settled = []
    for setup in wanted:
        name = setup.config.name
        found = offered.get(name)
        if setup.approved is None:
            check_names(setup.config, found, lambda: list(offered))
        settled.append(SettledStream(setup, found, schema_history.settle_stream(setup, found, policy, open_.get(name))))
    return settled


def _remedy(blocked: Settlement, connector: str) -> str:
    unfit = next((entry for entry in blocked.waiting if not entry.approvable), None)
    if unfit is not None:
        return unfit.effect
    if blocked.rejected:
        return ""
    return f"Approve or reject it: A on the connector's screen, or `syncterm approve {shlex.quote(connector)}`."
