"""The engine's timer: APScheduler says when, tasks of the engine's own do the work, so that none is cut off half-way at the end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

logger = logging.getLogger(__name__)

Work = Callable[[], Awaitable[object]]


class Clockwork:
    """Runs work at intervals and at instants, on the loop that starts it. Work that still runs when it is due again goes on."""

    def __init__(self) -> None:
        self._timer = AsyncIOScheduler(timezone="UTC")
        self._tasks: dict[str, asyncio.Task[None]] = {}
        """Name → what runs now."""
        self.running = False

    def start(self) -> None:
        self._timer.start()
        self.running = True

    def every(self, seconds: float, work: Work, name: str) -> None:
        """Do `work` every so many seconds, the first time after one interval."""
        self._add(IntervalTrigger(seconds=seconds, timezone="UTC"), work, name)

    def after(self, wait: timedelta, work: Work, name: str) -> None:
        """Do `work` once, that much later; replaces what the name stood for."""
        self._add(DateTrigger(datetime.now(UTC) + wait, timezone="UTC"), work, name)

    def forget(self, name: str) -> None:
        """Do that work no more; what runs now runs to its end."""
        if self._timer.get_job(name):
            self._timer.remove_job(name)

    async def stop(self) -> None:
        """Begin no more work, and wait for what runs."""
        if not self.running:
            return
        self.running = False
        self._timer.shutdown(wait=False)
        running = [task for task in self._tasks.values() if task is not asyncio.current_task()]
        if running:
            await asyncio.wait(running)

    def _add(self, trigger: BaseTrigger, work: Work, name: str) -> None:
        async def begin() -> None:
            self._begin(work, name)

        self._timer.add_job(begin, trigger, id=name, replace_existing=True, coalesce=True, misfire_grace_time=None)

    def _begin(self, work: Work, name: str) -> None:
        if name in self._tasks or not self.running:
            return
        task = asyncio.get_running_loop().create_task(self._run(work, name), name=name)
        self._tasks[name] = task

    async def _run(self, work: Work, name: str) -> None:
        try:
            await work()
        except Exception:
            logger.exception("The engine's periodic work %r failed; it is tried again at its next time.", name)
        finally:
            del self._tasks[name]
