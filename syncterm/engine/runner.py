"""Executes one sync: attempts, back-off, stall limit, cancellation, and the record of it all.

`Runner.execute(sync_id)` needs the store and nothing else; what it is told while it runs (cancel, pause, delete) reaches it through
the store as well.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import lifecycle
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import ConnectorSetup, StreamSetup, load_setup
from syncterm.engine.control import Control
from syncterm.engine.destinations.base import Destination, StreamState
from syncterm.engine.errors import (
    CancelledSyncError,
    ConfigError,
    ErrorClass,
    InterruptedSyncError,
    SchemaChangedError,
    StalledError,
    SynctermError,
)
from syncterm.engine.lifecycle import Ending
from syncterm.engine.model import (
    ACTION_OF_MODE,
    Activity,
    CredentialsState,
    Cursor,
    LogLevel,
    Outcome,
    RejectedRecord,
    StreamCounts,
    StreamResult,
    SyncMode,
)
from syncterm.engine.pipeline import LoadedStream, StreamHooks, StreamTask, run_stream
from syncterm.engine.redaction import redact
from syncterm.engine.retry import Attempts, decide_retry, is_transient
from syncterm.engine.schema import Catalog, StreamSchema
from syncterm.engine.schema_change import SchemaPolicy, compare
from syncterm.engine.sources.base import Source
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import connectors, destinations, sources, streams, syncs

logger = logging.getLogger(__name__)
T = TypeVar("T")

CANCEL_GRACE = 1.5
"""Seconds a thread has to return after it was stopped; then it is left behind, and the closed commit gate keeps it harmless."""
STALL_CHECK_INTERVAL = 1.0
"""Seconds between two looks at whether a sync still moves."""


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


async def in_thread(function: Callable[[], T], control: Control, name: str) -> T:
    """Run a blocking function in a daemon thread of its own, and stop waiting for it soon after `control` was stopped.

    Raises:
        SynctermError: the reason of `control.stop`, where the thread does not return in time; else whatever the function raises.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def deliver(set_result: Callable[[], None]) -> None:
        def once() -> None:
            if not future.done():
                set_result()

        try:
            loop.call_soon_threadsafe(once)
        except RuntimeError:
            logger.debug("The loop was closed before %s returned.", name)

    def run() -> None:
        try:
            result = function()
        except BaseException as error:
            failure = error
            deliver(lambda: future.set_exception(failure))
        else:
            deliver(lambda: future.set_result(result))

    threading.Thread(target=run, name=name[:64], daemon=True).start()
    stopped_for = 0.0
    while True:
        done, _ = await asyncio.wait({future}, timeout=0.25)
        if done:
            return future.result()
        if control.stopped:
            stopped_for += 0.25
            if stopped_for >= CANCEL_GRACE:
                future.cancel()
                control.raise_if_stopped()


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


class Runner:
    """One sync on its way from Pending to Completed."""

    def __init__(self, execution: Execution, sync_id: str, connector_id: str) -> None:
        self.sync_id = sync_id
        self.connector_id = connector_id
        self.control = Control()
        self.activity = Activity.QUEUED
        self._execution = execution
        self._log = SyncLog(execution.clock)
        self._attempts = Attempts()
        self._loop = asyncio.get_running_loop()

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction, where this engine still owns the sync. Raises: InterruptedSyncError: where it does not."""
        async with self._execution.database.write() as connection:
            await lifecycle.guard(connection, self.sync_id, self._execution.epoch)
            yield connection

    def stop(self, reason: SynctermError) -> None:
        """End the sync for that reason, at the next batch or by interrupting what hangs."""
        self.control.stop(reason)

    async def execute(self, slot: Callable[[], Any]) -> None:
        """Run attempts until one succeeds, the policy gives up, or the sync is stopped. `slot()` is an async context manager that
        waits for the dispatcher's limits.

        A lost lease ends it without a word to the store: the new holder closes the sync.
        """
        ending: Ending | None = None
        while ending is None:
            async with slot():
                if self.control.stopped:
                    ending = self._stopped_ending([])
                    break
                ending, wait_until = await self._attempt()
            if ending is None and wait_until is not None:
                await self._back_off(wait_until)
        if isinstance(self.control.reason, InterruptedSyncError):
            return
        await self._finish(ending)

    async def _attempt(self) -> tuple[Ending | None, datetime | None]:
        """One attempt: how the sync ended, or None and when to try again."""
        execution = self._execution
        async with self._write() as connection:
            number = await lifecycle.begin_attempt(
                connection, self.sync_id, self.connector_id, execution.epoch, execution.clock.now()
            )
        self.activity = Activity.RUNNING
        execution.changed(self.connector_id)
        results: list[StreamResult] = []
        errors: list[Exception] = []
        watch = asyncio.create_task(self._watch_for_stall())
        try:
            await self._move_streams(results, errors)
        except Exception as raised:
            errors.insert(0, raised)
        finally:
            watch.cancel()
        if isinstance(self.control.reason, InterruptedSyncError):
            return self._stopped_ending(results), None
        # What a retry cannot mend decides.
        error = next((error for error in errors if not is_transient(error)), errors[0] if errors else None)
        progressed = any(result.outcome is Outcome.SUCCESS and result.counts.read for result in results)
        now = execution.clock.now()
        ending, retry_at = self._judge(error, results, progressed, now)
        closing = ending or Ending(Outcome.FAILED, *describe_error(error or InterruptedSyncError("Interrupted.")))
        async with self._write() as connection:
            await lifecycle.end_attempt(connection, self.sync_id, number, now, closing, progressed=progressed, retry_at=retry_at)
            await lifecycle.add_log(connection, self.connector_id, self.sync_id, self._log.take())
            if retry_at is not None:
                await lifecycle.touch(
                    connection,
                    self.connector_id,
                    {"activity": Activity.BACKING_OFF, "activity_reason": closing.message, "back_off_until": retry_at},
                )
        execution.changed(self.connector_id)
        return ending, retry_at

    def _judge(
        self, error: Exception | None, results: Sequence[StreamResult], progressed: bool, now: datetime
    ) -> tuple[Ending | None, datetime | None]:
        if error is None:
            return Ending(Outcome.SUCCESS, summary=_summary(results)), None
        reason = self.control.reason
        if reason is not None and not isinstance(reason, StalledError):
            return self._stopped_ending(results), None
        error = reason or error
        error_class, message = describe_error(error)
        self._log.add(LogLevel.ERROR, message)
        if not isinstance(error, SynctermError):
            logger.error("Sync %s failed unexpectedly.", self.sync_id, exc_info=error)
        decision = decide_retry(self._attempts, error, progress=progressed, now=now, random=random.random)
        self._attempts = decision.attempts
        if decision.retry_at is not None:
            self.control = Control()
            self._log.add(LogLevel.WARNING, f"Trying again at {decision.retry_at:%H:%M:%S} UTC. {decision.reason}")
            return None, decision.retry_at
        refused_by = getattr(error, "end", None) if error_class is ErrorClass.AUTH else None
        return Ending(Outcome.FAILED, error_class, message, _summary(results), refused_by), None

    def _stopped_ending(self, results: Sequence[StreamResult]) -> Ending:
        reason = self.control.reason or CancelledSyncError("The sync was cancelled.")
        return Ending(Outcome.CANCELLED, None, str(reason), _summary(results))

    async def _finish(self, ending: Ending) -> None:
        execution = self._execution
        level = LogLevel.INFO if ending.outcome is Outcome.SUCCESS else LogLevel.WARNING
        self._log.add(level, f"Completed: {ending.outcome}. {ending.summary or ''}".strip())
        async with self._write() as connection:
            await lifecycle.add_log(connection, self.connector_id, self.sync_id, self._log.take())
            await lifecycle.finish(connection, self.sync_id, execution.clock.now(), ending)
            await _note_credentials(connection, self.connector_id, ending, execution.clock.now())
        execution.changed(self.connector_id)

    async def _back_off(self, until: datetime) -> None:
        """Wait for the next attempt, or until the sync is stopped."""
        self.activity = Activity.BACKING_OFF
        clock = self._execution.clock
        while not self.control.stopped and (left := (until - clock.now()).total_seconds()) > 0:
            await clock.sleep(min(left, 0.25))

    async def _watch_for_stall(self) -> None:
        """Stop an attempt that moves neither bytes nor records within the connector's stall limit."""
        clock = self._execution.clock
        async with self._execution.database.read() as connection:
            limit_ms = (
                await connection.execute(select(connectors.c.stall_limit_ms).where(connectors.c.id == self.connector_id))
            ).scalar_one()
        beat, since = self.control.progress.beat, clock.monotonic()
        while not self.control.stopped:
            await clock.sleep(STALL_CHECK_INTERVAL)
            if self.control.progress.beat != beat:
                beat, since = self.control.progress.beat, clock.monotonic()
            elif clock.monotonic() - since > limit_ms / 1000:
                stream = self.control.progress.stream
                self.control.stop(
                    StalledError(f"Stream {stream!r} moved neither bytes nor records for {timedelta(milliseconds=limit_ms)}.")
                )

    # One attempt's streams ---------------------------------------------------------------------------------------------------

    async def _move_streams(self, results: list[StreamResult], errors: list[Exception]) -> None:
        """Move every selected stream that this sync has not committed yet; one stream's failure does not stop the others."""
        execution = self._execution
        async with execution.database.read() as connection:
            setup = await load_setup(connection, self.connector_id)
            only = (await connection.execute(select(syncs.c.streams).where(syncs.c.id == self.sync_id))).scalar_one()
        wanted = [stream for stream in setup.streams if only is None or stream.config.name in _names(only)]
        if not wanted:
            raise ConfigError(f"Connector {setup.name!r} has no stream selected.", remedy="Select streams in its set-up.")
        catalog, held = await self._blocking(lambda: self._look(setup), f"look {setup.name}")
        schemas = await self._settle_schemas(setup, wanted, catalog)
        for stream in wanted:
            self.control.raise_if_stopped()
            name = stream.config.name
            self.control.progress.stream, self.control.progress.records, self.control.progress.bytes = name, 0, 0
            schema = schemas[name]
            self.control.progress.expected = schema.estimated_rows if stream.config.sync_mode is SyncMode.REPLACE else None
            results.append(await self._move(setup, stream, schema, held.get(name), errors))

    def _look(self, setup: ConnectorSetup) -> tuple[Catalog, dict[str, StreamState]]:
        """In a thread: what the source offers and what the destination holds."""
        source, destination = self._source(setup), self._destination(setup)
        try:
            with self.control.interrupter(source.interrupt), self.control.interrupter(destination.interrupt):
                with _naming("source"):
                    catalog = source.discover()
                with _naming("destination"):
                    return catalog, destination.state(setup.id, setup.collection)
        finally:
            source.close()
            destination.close()

    async def _settle_schemas(
        self, setup: ConnectorSetup, wanted: Sequence[StreamSetup], catalog: Catalog
    ) -> dict[str, StreamSchema]:
        """The schema each stream is read with, after the connector's policy on changes.

        Raises:
            SchemaChangedError: a change that waits for a person's approval; noted on the connector.
        """
        policy = SchemaPolicy(setup.schema_policy)
        schemas: dict[str, StreamSchema] = {}
        for stream in wanted:
            change = compare(stream.config, stream.approved, catalog.stream(stream.config.name), policy)
            for line in change.notes:
                self._log.add(LogLevel.WARNING, line)
            if change.blocking is not None:
                async with self._write() as connection:
                    await lifecycle.touch(connection, self.connector_id, {"schema_change": change.to_text()})
                raise SchemaChangedError(change.blocking, remedy="Approve the change or adapt the connector, then sync again.")
            schemas[stream.config.name] = change.schema
        async with self._write() as connection:
            for name, schema in schemas.items():
                await connection.execute(
                    update(streams)
                    .where(streams.c.connector_id == setup.id, streams.c.name == name)
                    .values(schema=Catalog((schema,)).to_text())
                )
            await connection.execute(
                update(sources)
                .where(sources.c.id == setup.source.id)
                .values(catalog=catalog.to_text(), catalog_at=self._execution.clock.now())
            )
            await lifecycle.touch(connection, setup.id, {"schema_change": None})
        return schemas

    async def _move(
        self, setup: ConnectorSetup, stream: StreamSetup, schema: StreamSchema, held: StreamState | None, errors: list[Exception]
    ) -> StreamResult:
        """Move one stream; its failure is a result, a stop is raised."""
        clock, name = self._execution.clock, stream.config.name
        started = clock.now()
        before = held.cursor if held else None
        blank = StreamResult(
            name, stream.config.sync_mode, ACTION_OF_MODE[stream.config.sync_mode], StreamCounts(), Outcome.FAILED, before, before,
            started_at=started,
        )  # fmt: skip
        committed = held is not None and held.sync_id == self.sync_id
        if committed:
            result = await self._recall(blank)
        else:
            task = StreamTask(
                setup.id,
                self.sync_id,
                self._execution.epoch,
                setup.collection,
                stream.config,
                schema,
                full=stream.config.sync_mode is SyncMode.REPLACE or stream.resync_requested,
                state=held,
                reject_limit_count=setup.reject_limit_count,
                reject_limit_share=setup.reject_limit_share,
            )
            async with self._write() as connection:
                await lifecycle.drop_rejected(connection, self.sync_id, name)
            try:
                loaded = await self._blocking(lambda: self._run(setup, task, blank), f"sync {setup.name}")
            except Exception as error:
                self.control.raise_if_stopped()
                errors.append(error)
                error_class, message = describe_error(error)
                result = replace(blank, error_class=error_class, error_message=message, finished_at=clock.now())
            else:
                for warning in loaded.warnings:
                    self._log.add(LogLevel.WARNING, warning)
                result = replace(
                    blank, counts=loaded.counts, outcome=Outcome.SUCCESS, cursor_after=loaded.cursor, finished_at=clock.now()
                )
        self._log.add(
            LogLevel.INFO if result.outcome is Outcome.SUCCESS else LogLevel.ERROR,
            f"{name}: {result.counts.read} read = {result.counts.written} written + {result.counts.unchanged} unchanged + "
            f"{result.counts.filtered} filtered + {result.counts.rejected} rejected."
            if result.outcome is Outcome.SUCCESS
            else f"{name}: {result.error_message}",
        )
        async with self._write() as connection:
            await lifecycle.finish_stream(connection, self.sync_id, self.connector_id, result)
            await lifecycle.add_log(connection, self.connector_id, self.sync_id, self._log.take())
        return result

    async def _recall(self, blank: StreamResult) -> StreamResult:
        """The result of a load that was committed by an attempt that did not live to say so."""
        async with self._execution.database.read() as connection:
            noted = await lifecycle.prepared_stream(connection, self.sync_id, blank.stream)
        counts, cursor = noted or (StreamCounts(), blank.cursor_before)
        self._log.add(LogLevel.INFO, f"{blank.stream}: committed by an earlier attempt of this sync.")
        return replace(blank, counts=counts, outcome=Outcome.SUCCESS, cursor_after=cursor, finished_at=self._execution.clock.now())

    def _run(self, setup: ConnectorSetup, task: StreamTask, blank: StreamResult) -> LoadedStream:
        """In a thread: the load itself."""
        source, destination = self._source(setup), self._destination(setup)
        execution = self._execution

        def save_rejected(records: list[RejectedRecord]) -> None:
            self._wait_for(self._save_rejected(records))

        def prepare(counts: StreamCounts, cursor: str | None) -> None:
            self._wait_for(self._prepare(replace(blank, counts=counts, cursor_after=cursor)))

        try:
            return run_stream(source, destination, task, self.control, StreamHooks(save_rejected, prepare, execution.may_commit))
        finally:
            source.close()
            destination.close()

    async def _save_rejected(self, records: list[RejectedRecord]) -> None:
        redacted = [replace(record, message=redact(record.message), payload=redact(record.payload)) for record in records]
        async with self._write() as connection:
            await lifecycle.save_rejected(connection, self.sync_id, self.connector_id, redacted, self._execution.clock.now())

    async def _prepare(self, result: StreamResult) -> None:
        async with self._write() as connection:
            await lifecycle.prepare_stream(connection, self.sync_id, result)

    def _wait_for(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """From a sync's thread: run a coroutine on the engine's loop and wait for it."""
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _blocking(self, function: Callable[[], T], name: str) -> T:
        return await in_thread(function, self.control, name)

    def _source(self, setup: ConnectorSetup) -> Source:
        return self._execution.adapters.source(setup.source)

    def _destination(self, setup: ConnectorSetup) -> Destination:
        return self._execution.adapters.destination(setup.destination)


def _names(text: str) -> list[str]:
    names: list[str] = json.loads(text)
    return names


def _summary(results: Sequence[StreamResult]) -> str:
    """What was committed, and where the next sync resumes."""
    committed = [result for result in results if result.outcome is Outcome.SUCCESS]
    if not committed:
        return "Nothing was committed; the next sync resumes where the last committed one ended."
    parts = []
    for result in committed:
        cursor = Cursor.from_text(result.cursor_after).value if result.cursor_after else None
        parts.append(f"{result.stream} {result.counts.written:,}" + (f" up to {cursor}" if cursor is not None else ""))
    return "Committed: " + ", ".join(parts) + "."


@contextmanager
def _naming(end: str) -> Iterator[None]:
    """Errors that leave the block say which end of the connector they come from."""
    try:
        yield
    except SynctermError as error:
        error.end = end
        raise


async def _note_credentials(connection: AsyncConnection, connector_id: str, ending: Ending, now: datetime) -> None:
    """A sync that succeeded proves the credentials of both ends; one that an end refused disproves that end's."""
    row = (
        await connection.execute(select(connectors.c.source_id, connectors.c.destination_id).where(connectors.c.id == connector_id))
    ).one()
    for end, table, endpoint_id in (("source", sources, row.source_id), ("destination", destinations, row.destination_id)):
        if ending.outcome is Outcome.SUCCESS:
            values: dict[str, Any] = {
                "credentials": CredentialsState.OK,
                "credentials_error_class": None,
                "credentials_message": None,
            }
        elif ending.refused_by == end:
            values = {
                "credentials": CredentialsState.REJECTED,
                "credentials_error_class": ending.error_class,
                "credentials_message": ending.message,
            }
        else:
            continue
        await connection.execute(update(table).where(table.c.id == endpoint_id).values(**values, credentials_at=now))
