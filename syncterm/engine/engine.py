"""The engine: what schedules, queues and executes syncs on one store. One engine a store executes; the others are attached."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from syncterm.engine import lifecycle, retention
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.adapters import AdapterContext
from syncterm.engine.attempt import Execution
from syncterm.engine.clock import Clock, SystemClock
from syncterm.engine.clockwork import Clockwork
from syncterm.engine.dispatcher import Dispatcher, Limits
from syncterm.engine.errors import InterruptedSyncError, SynctermError
from syncterm.engine.events import EVERYTHING, Change, Events, changed
from syncterm.engine.failpoint import reach
from syncterm.engine.identifiers import new_id
from syncterm.engine.key_store import load_keys
from syncterm.engine.lease import HEARTBEAT_INTERVAL, Lease
from syncterm.engine.operations import Operations
from syncterm.engine.queries import Queries
from syncterm.engine.scheduler import WAKE_UP, Scheduler
from syncterm.engine.store.database import Database
from syncterm.engine.workspace import Workspace

logger = logging.getLogger(__name__)

PROGRESS_INTERVAL = 0.5
"""Seconds between two writes of the running syncs' progress."""
WATCH_INTERVAL = 0.5
"""Seconds between two looks at whether another process wrote to the store."""
RETENTION_INTERVAL = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What a person can set about an engine."""

    limits: Limits = field(default_factory=Limits)
    keep_history: timedelta = timedelta(days=60)
    schedule: bool = True
    """Whether due times queue syncs; without, only what a person asked for is executed."""


class Engine:
    """An engine on the loop that runs it.

    Args:
        workspace: whose store it works on.
        execute: whether it may take the lease and execute syncs; False for commands that only ask.
        base_folder: what relative paths in configurations are relative to; None for the workspace's folder.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        execute: bool = True,
        clock: Clock | None = None,
        settings: EngineSettings | None = None,
        base_folder: Path | None = None,
    ) -> None:
        self.workspace = workspace
        self.clock: Clock = clock or SystemClock()
        self.events = Events()
        self.id = new_id(self.clock.now())
        self._execute = execute
        self._settings = settings or EngineSettings()
        self._context = AdapterContext(self.clock, workspace.forbidden_paths, base_folder or workspace.folder)
        self._clockwork = Clockwork()
        self._dispatcher: Dispatcher | None = None
        self._scheduler: Scheduler | None = None
        self._data_version = 0
        self._sequence = 0
        self._pending: Change | None = None
        self._publishing = False
        self._lock = asyncio.Lock()

    @property
    def executing(self) -> bool:
        """Whether this engine holds the lease."""
        return self._dispatcher is not None

    async def start(self) -> None:
        """Open the store, then begin to work.

        Raises:
            StoreError: the store cannot be opened; nothing was changed.
        """
        await self.open()
        await self.begin()

    async def open(self) -> None:
        """Open the store: from now on it can be asked, and operations leave there what they ask for.

        Raises:
            StoreError: it cannot be opened; nothing was changed.
            ConfigError: the system's keyring, which is to hold the key, does not.
        """
        self.workspace.create()
        self.database = await Database.open(self.workspace.store_path, clock=self.clock)
        in_keyring = self.workspace.keys_in_keyring
        if in_keyring:  # asked once, beside the loop: a keyring may take its time
            await asyncio.to_thread(load_keys, self.workspace.key_path, in_keyring=True)
        self.adapters = AdapterFactory(self.workspace.key_path, self._context, keys_in_keyring=in_keyring)
        self.queries = Queries(self.database, self.clock)
        self.operations = Operations(self.database, self.clock, self.adapters, self._told)
        self.lease = Lease(self.database, self.clock, holder=self.id)
        self._data_version = await self.database.data_version()
        self._sequence, _, _ = await self.queries.changed_connectors(0)

    async def begin(self) -> None:
        """Watch the store, and take the lease if it is free. What was due meanwhile is queued first, which takes its time."""
        self._clockwork.start()
        self._clockwork.every(WATCH_INTERVAL, self._watch_store, "watch")
        if self._execute:
            await self._tend_lease()
            self._clockwork.every(HEARTBEAT_INTERVAL, self._tend_lease, "lease")

    async def stop(self) -> None:
        """End the syncs that run, so that the next engine resumes them; give the lease back; close the store."""
        await self._clockwork.stop()
        async with self._lock:
            if self._dispatcher is not None:
                await self._step_down("The engine was stopped.")
                try:
                    await self.lease.release()
                except SynctermError as error:
                    logger.warning("The lease runs out by itself; it could not be given back: %s", error)
        await self.database.close()

    # The lease ---------------------------------------------------------------------------------------------------------------

    async def _tend_lease(self) -> None:
        """Take a free lease, or keep the one that is held."""
        async with self._lock:
            if not self._clockwork.running:
                return
            try:
                if self._dispatcher is None:
                    if await self.lease.acquire():
                        await self._take_over()
                elif await self.lease.heartbeat():
                    reach("lease-renewed")
                else:
                    logger.warning("Another engine has taken over this store.")
                    await self._step_down("Another engine has taken over this store.")
            except SynctermError as error:
                logger.warning("The lease could not be renewed: %s", error)
                if self._dispatcher is not None and not self.lease.valid():
                    await self._step_down("The store could not be reached in time to keep the lease.")

    async def _take_over(self) -> None:
        """Begin to execute: first what the engine before left open, then what is due."""
        epoch = self.lease.epoch
        if epoch is None:
            return
        now = self.clock.now()
        async with self.database.write() as connection:
            reopened = await lifecycle.reopen_interrupted(
                connection, epoch, now, "Interrupted: the engine that ran this sync ended. It resumes from its last commit."
            )
        if reopened:
            logger.info("Resuming %d interrupted syncs.", len(reopened))
        execution = Execution(
            self.database,
            self.clock,
            self.adapters,
            epoch,
            self.lease.valid,
            lambda connector_id: self.notify(changed([connector_id])),
        )
        self._dispatcher = Dispatcher(self.database, self.clock, execution, self._settings.limits, execution.changed)
        self._dispatcher.start()
        self._clockwork.every(PROGRESS_INTERVAL, self._save_progress, "progress")
        self._clockwork.every(RETENTION_INTERVAL.total_seconds(), self._retain, "retention")
        self.notify(EVERYTHING)
        if self._settings.schedule:
            self._scheduler = Scheduler(self.database, self.clock, self._clockwork, self._queued, self._advanced)
            await self._scheduler.begin()

    async def _step_down(self, reason: str) -> None:
        dispatcher, self._dispatcher, self._scheduler = self._dispatcher, None, None
        for work in ("progress", "retention", WAKE_UP):
            self._clockwork.forget(work)
        if dispatcher is not None:
            await dispatcher.stop(InterruptedSyncError(reason))
        self.notify(EVERYTHING)

    # Changes -----------------------------------------------------------------------------------------------------------------

    def notify(self, change: Change) -> None:
        """Tell subscribers, at most ten times a second."""
        self._pending = change if self._pending is None else self._pending.merge(change)
        if not self._publishing:
            self._publishing = True
            asyncio.get_running_loop().call_later(0.1, self._publish)

    def _publish(self) -> None:
        change, self._pending, self._publishing = self._pending, None, False
        if change is not None:
            self.events.publish(change)

    def _queued(self, connector_ids: Iterable[str]) -> None:
        if self._dispatcher is not None:
            self._dispatcher.look()
        self.notify(changed(connector_ids))

    def _advanced(self, connector_ids: Iterable[str]) -> None:
        self.notify(changed(connector_ids))

    async def _told(self, change: Change) -> None:
        """An operation changed the store: look at the queue and at what is due."""
        self.notify(change)
        if self._dispatcher is not None:
            self._dispatcher.look()
        if self._scheduler is not None:
            await self._scheduler.set_wake_up()

    async def _watch_store(self) -> None:
        """Notice what other processes wrote: their commands, and the progress of the engine that executes."""
        if self._dispatcher is not None and not self.lease.valid():
            await self._tend_lease()  # this process was frozen: find out whether another one has taken over, before anything runs
        if self._scheduler is not None:
            await self._scheduler.notice_clock()
        if self._dispatcher is not None:
            self._dispatcher.notice_clock()
        version = await self.database.data_version()
        if version == self._data_version:
            return
        self._data_version = version
        self._sequence, ids, order = await self.queries.changed_connectors(self._sequence)
        await self._told(Change(ids, order))

    # Periodic work -----------------------------------------------------------------------------------------------------------

    async def _save_progress(self) -> None:
        if self._dispatcher is None:
            return
        progress = self._dispatcher.progress()
        if progress:
            async with self.database.write(durable=False) as connection:
                await lifecycle.save_progress(connection, progress)
            self.notify(changed(progress))

    async def _retain(self) -> None:
        await retention.apply(self.database, self.clock, keep=self._settings.keep_history)
