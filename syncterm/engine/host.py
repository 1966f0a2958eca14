"""An engine on its own thread and event loop, so that a front that stalls costs the picture only, never a sync."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from syncterm.engine.clock import Clock, SystemClock
from syncterm.engine.events import Change, Subscription
from syncterm.engine.workspace import Workspace

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine, EngineSettings

logger = logging.getLogger(__name__)
T = TypeVar("T")

STOP_TIMEOUT = 10.0
"""Seconds until a stop is no longer waited for."""


class EngineHost:
    """Runs an engine in a thread of its own; the fronts call it from theirs.

    Importing this module is cheap: the engine and its libraries are imported in the engine's thread.
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
        self._execute = execute
        self.clock: Clock = clock or SystemClock()
        self._settings = settings
        self._base_folder = base_folder
        self._callbacks: dict[int, Callable[[Change], None]] = {}
        self._next_key = 0
        self._started: Future[Engine] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._finish: asyncio.Event | None = None
        self._stop_asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    async def ready(self) -> None:
        """Wait until the store is open.

        Raises:
            StoreError: what opening it raised.
        """
        await asyncio.shield(asyncio.wrap_future(self._started))

    def wait_ready(self) -> None:
        """As `ready`, from a thread without a loop."""
        self._started.result()

    async def call(self, function: Callable[[Engine], Awaitable[T]]) -> T:
        """Run `function` on the engine's loop and wait for its result; cancelling the wait cancels it there."""
        await self.ready()
        return await asyncio.wrap_future(self._submit(function))

    def call_and_wait(self, function: Callable[[Engine], Awaitable[T]]) -> T:
        """As `call`, from a thread without a loop."""
        self.wait_ready()
        return self._submit(function).result()

    def subscribe(self, callback: Callable[[Change], None]) -> Subscription:
        """Call `callback`, in the engine's thread, with every change from now on; at most ten a second."""
        self._next_key += 1
        self._callbacks[self._next_key] = callback
        return Subscription(self._callbacks, self._next_key)

    def stop(self, timeout: float = STOP_TIMEOUT) -> bool:
        """End the engine and its thread; whether it ended in time (seconds)."""
        self._stop_asked.set()
        if self._loop is not None and self._finish is not None and self._thread.is_alive():
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._finish.set)
        if self._thread.ident is not None:
            self._thread.join(timeout)
        return not self._thread.is_alive()

    def _submit(self, function: Callable[[Engine], Awaitable[T]]) -> Future[T]:
        engine = self._started.result()

        async def run() -> T:
            return await function(engine)

        if self._loop is None:
            raise RuntimeError("The engine's loop is not running.")
        return asyncio.run_coroutine_threadsafe(run(), self._loop)

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._finish = asyncio.Event()
        try:
            from syncterm.engine.engine import Engine

            engine = Engine(
                self.workspace,
                execute=self._execute,
                clock=self.clock,
                settings=self._settings,
                base_folder=self._base_folder,
            )
            engine.events.subscribe(self._publish)
            await engine.open()
        except BaseException as error:
            self._started.set_exception(error)
            return
        self._started.set_result(engine)  # what a person looks at does not wait for the engine to begin
        beginning = asyncio.create_task(engine.begin())
        beginning.add_done_callback(_report)
        if not self._stop_asked.is_set():  # asked before there was a loop to tell
            await self._finish.wait()
        beginning.cancel()
        await asyncio.wait([beginning])
        await engine.stop()

    def _publish(self, change: Change) -> None:
        for callback in tuple(self._callbacks.values()):
            callback(change)


def _report(beginning: asyncio.Task[None]) -> None:
    if not beginning.cancelled() and (error := beginning.exception()) is not None:
        logger.error("The engine could not begin to work.", exc_info=error)
