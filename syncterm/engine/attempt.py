"""One attempt of a sync: every selected stream that the sync has not committed yet, one after the other."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle, schema_history
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.batch_queue import POLL_SECONDS
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import ConnectorSetup, is_set_up_so, load_setup
from syncterm.engine.control import Control
from syncterm.engine.destinations.base import Destination, StreamState
from syncterm.engine.errors import ConfigError, ErrorClass, SynctermError
from syncterm.engine.failpoint import reach
from syncterm.engine.model import (
    ACTION_OF_MODE,
    LogLevel,
    Outcome,
    Reason,
    RejectedRecord,
    StreamCounts,
    StreamResult,
    SyncMode,
)
from syncterm.engine.pipeline import LoadedStream, StreamHooks, StreamTask, run_stream
from syncterm.engine.redaction import redact
from syncterm.engine.schema import Catalog
from syncterm.engine.schema_settling import SchemaSettling, SettledStream
from syncterm.engine.source_catalog import CatalogRow, catalog_rows
from syncterm.engine.sources.base import Source
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import syncs
from syncterm.engine.threads import in_thread

logger = logging.getLogger(__name__)
T = TypeVar("T")

REJECTED_PIECE = 50
"""Failed records that a write transaction takes: a few milliseconds of the loop."""


@dataclass(frozen=True, slots=True)
class Execution:
    """What the engine lends a runner."""

    database: Database
    clock: Clock
    adapters: AdapterFactory
    epoch: int
    may_commit: Callable[[], bool]
    changed: Callable[[str], None]
    """Called with the connector's id after each change that a screen shows."""


def describe_error(error: BaseException) -> tuple[ErrorClass, str]:
    """An exception's class and its message, without secrets."""
    if isinstance(error, SynctermError):
        return error.error_class, redact(str(error))
    return ErrorClass.INTERNAL, redact(f"Unexpected {type(error).__name__}: {error}")


class SyncLog:
    """Log lines of one sync, kept until the next write to the store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lines: list[tuple[datetime, str, str]] = []

    def add(self, level: LogLevel, message: str) -> None:
        self._lines.append((self._clock.now(), level, redact(message)))

    def take(self) -> list[tuple[datetime, str, str]]:
        lines, self._lines = self._lines, []
        return lines


class Attempt:
    """Moves the streams of one attempt.

    Args:
        control: stops this attempt; the next one gets a new control.
    """

    def __init__(self, execution: Execution, sync_id: str, connector_id: str, control: Control, log: SyncLog) -> None:
        self.sync_id = sync_id
        self.connector_id = connector_id
        self.control = control
        self.results: list[StreamResult] = []
        """How each stream ended, so far."""
        self.errors: list[Exception] = []
        """What went wrong, so far."""
        self.notes: list[str] = []
        """What the sync's summary says beside what was committed: changes of the source's schema."""
        self._execution = execution
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._resync = False
        """Whether the sync is a historical re-sync."""

    async def run(self) -> None:
        """Move the streams; never raises, see `errors`."""
        try:
            await self._move_streams()
        except Exception as error:
            self.errors.insert(0, error)

    def _write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return owned_write(self._execution, self.sync_id)

    async def _move_streams(self) -> None:
        """Move every selected stream that this sync has not committed yet; one stream's failure does not stop the others."""
        execution = self._execution
        async with execution.database.read() as connection:
            setup = await load_setup(connection, self.connector_id)
            sync = (await connection.execute(select(syncs.c.streams, syncs.c.reason).where(syncs.c.id == self.sync_id))).one()
        self._resync = sync.reason == Reason.HISTORICAL_RESYNC
        names = _names(sync.streams) if sync.streams is not None else None
        wanted = [stream for stream in setup.streams if names is None or stream.config.name in names]
        if not wanted:
            raise ConfigError(f"Connector {setup.name!r} has no stream selected.", remedy="Select streams in its set-up.")
        catalog, offered, held = await self._blocking(lambda: self._look(setup), f"look {setup.name}")
        settling = SchemaSettling(execution.database, execution.clock, self._write, self._blocking, self._log.add, self.sync_id)
        try:
            settled = await settling.settle(setup, wanted, catalog, offered)
        finally:
            self.notes += settling.notes
        for one in settled:
            self.control.raise_if_stopped()
            name = one.setup.config.name
            self.control.progress.stream, self.control.progress.records, self.control.progress.bytes = name, 0, 0
            expected = one.expected_rows if one.setup.config.sync_mode is SyncMode.REPLACE else None
            self.control.progress.expected = expected
            self.results.append(await self._move(setup, one, held.get(name)))

    def _look(self, setup: ConnectorSetup) -> tuple[Catalog, tuple[CatalogRow, ...], dict[str, StreamState]]:
        """In a thread: what the source offers and what the destination holds."""
        source, destination = self._source(setup), self._destination(setup)
        try:
            with self.control.interrupter(source.interrupt), self.control.interrupter(destination.interrupt):
                with _naming("source"):
                    catalog = source.discover()
                with _naming("destination"):
                    return catalog, catalog_rows(catalog), destination.state(setup.id, setup.collection)
        finally:
            source.close()
            destination.close()

    async def _move(self, setup: ConnectorSetup, settled: SettledStream, held: StreamState | None) -> StreamResult:
        """Move one stream; its failure is a result, a stop is raised."""
        stream = settled.setup
        clock, name = self._execution.clock, stream.config.name
        started = clock.now()
        before = held.cursor if held else None
        blank = StreamResult(
            name, stream.config.sync_mode, ACTION_OF_MODE[stream.config.sync_mode], StreamCounts(), Outcome.FAILED, before, before,
            started_at=started,
        )  # fmt: skip
        full = stream.config.sync_mode is SyncMode.REPLACE or self._resync or stream.resync_requested
        withheld = 0
        if held is not None and held.sync_id == self.sync_id:
            # Whether that load answered a request that is open now is known only where the sync as a whole was meant to.
            full = self._resync
            result = await self._recall(blank)
        else:
            if full:
                blank = replace(blank, cursor_before=None)
            reading = settled.reading(full=full)
            task = StreamTask(
                setup.id,
                self.sync_id,
                self._execution.epoch,
                setup.collection,
                stream.config,
                reading.schema,
                arriving=reading.arriving,
                full=full,
                state=held,
                reject_limit_count=setup.reject_limit_count,
                reject_limit_share=setup.reject_limit_share,
                approved_deletes=stream.approved_deletes,
            )
            async with self._write() as connection:
                await lifecycle.drop_rejected(connection, self.sync_id, name)
            try:
                loaded = await self._blocking(lambda: self._run(setup, task, blank), f"sync {setup.name}")
            except Exception as error:
                self.control.raise_if_stopped()
                self.errors.append(error)
                error_class, message = describe_error(error)
                result = replace(blank, error_class=error_class, error_message=message, finished_at=clock.now())
            else:
                withheld = loaded.withheld
                for warning in loaded.warnings:
                    self._log.add(LogLevel.WARNING, warning)
                result = replace(
                    blank, counts=loaded.counts, outcome=Outcome.SUCCESS, cursor_after=loaded.cursor, finished_at=clock.now()
                )
        self._log.add(
            LogLevel.INFO if result.outcome is Outcome.SUCCESS else LogLevel.ERROR,
            f"{name}: {result.counts.read} read = {result.counts.written} written + {result.counts.unchanged} unchanged + "
            f"{result.counts.filtered} filtered + {result.counts.rejected} rejected."
            + (f" {result.counts.deleted} deleted in the destination." if result.counts.deleted else "")
            if result.outcome is Outcome.SUCCESS
            else f"{name}: {result.error_message}",
        )
        async with self._write() as connection:
            answers = full and await is_set_up_so(connection, setup, stream.config, settled.settlement.schema)
            await lifecycle.finish_stream(
                connection,
                self.sync_id,
                self.connector_id,
                result,
                answers_request=answers,
                withheld=withheld,
                approved=stream.approved_deletes,
            )
            if full and result.outcome is Outcome.SUCCESS:
                await schema_history.table_made_anew(connection, self.connector_id, name, settled.settlement.schema)
            await lifecycle.add_log(connection, self.connector_id, self.sync_id, self._log.take())
        reach("stream-recorded")
        return result

    async def _recall(self, blank: StreamResult) -> StreamResult:
        """The result of a load that was committed by an attempt that did not live to say so."""
        async with self._execution.database.read() as connection:
            noted = await lifecycle.prepared_stream(connection, self.sync_id, blank.stream)
        counts, before = noted or (StreamCounts(), blank.cursor_before)
        self._log.add(LogLevel.INFO, f"{blank.stream}: committed by an earlier attempt of this sync.")
        return replace(blank, counts=counts, outcome=Outcome.SUCCESS, cursor_before=before, finished_at=self._execution.clock.now())

    def _run(self, setup: ConnectorSetup, task: StreamTask, blank: StreamResult) -> LoadedStream:
        """In a thread: the load itself."""
        source, destination = self._source(setup), self._destination(setup)
        execution = self._execution

        def save_rejected(records: list[RejectedRecord]) -> None:
            # Redacting takes its time, so it is done here; inserting does too, so the loop gets it in small pieces.
            redacted = [replace(record, message=redact(record.message), payload=redact(record.payload)) for record in records]
            rows = lifecycle.rejected_rows(self.sync_id, self.connector_id, redacted, execution.clock.now())
            for start in range(0, len(rows), REJECTED_PIECE):
                self._wait_for(self._save_rejected(rows[start : start + REJECTED_PIECE]))

        def prepare(counts: StreamCounts, cursor: str | None) -> None:
            self._wait_for(self._prepare(replace(blank, counts=counts, cursor_after=cursor)))

        try:
            return run_stream(source, destination, task, self.control, StreamHooks(save_rejected, prepare, execution.may_commit))
        finally:
            source.close()
            destination.close()

    async def _save_rejected(self, rows: list[dict[str, Any]]) -> None:
        async with self._write() as connection:
            self.control.raise_if_stopped()  # a thread left behind adds nothing to what the next attempt finds
            await lifecycle.save_rejected(connection, rows)

    async def _prepare(self, result: StreamResult) -> None:
        async with self._write() as connection:
            self.control.raise_if_stopped()
            await lifecycle.prepare_stream(connection, self.sync_id, result)

    def _wait_for(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """From a sync's thread: run a coroutine on the engine's loop and wait for it, or until the attempt is stopped.

        The loop may end without a word to those who wait for it.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        while True:
            try:
                return future.result(POLL_SECONDS)
            except concurrent.futures.TimeoutError:
                if future.done():
                    raise
                if self.control.stopped:
                    future.cancel()
                    self.control.raise_if_stopped()

    async def _blocking(self, function: Callable[[], T], name: str) -> T:
        return await in_thread(function, self.control, name)

    def _source(self, setup: ConnectorSetup) -> Source:
        return self._execution.adapters.source(setup.source)

    def _destination(self, setup: ConnectorSetup) -> Destination:
        return self._execution.adapters.destination(setup.destination)


def _names(text: str) -> frozenset[str]:
    return frozenset(json.loads(text))


@contextmanager
def _naming(end: str) -> Iterator[None]:
    """Errors that leave the block say which end of the connector they come from."""
    try:
        yield
    except SynctermError as error:
        error.end = end
        raise


@asynccontextmanager
async def owned_write(execution: Execution, sync_id: str) -> AsyncIterator[AsyncConnection]:
    """A write transaction, where this engine still owns the sync. Raises: InterruptedSyncError: where it does not."""
    async with execution.database.write() as connection:
        await lifecycle.guard(connection, sync_id, execution.epoch)
        yield connection
