"""Blocking work in threads of its own, that can be left behind when it does not return."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import TypeVar

from syncterm.engine.control import Control

logger = logging.getLogger(__name__)
T = TypeVar("T")

CANCEL_GRACE = 1.5
"""Seconds a thread has to return after it was stopped; then it is left behind, and the closed commit gate keeps it harmless."""
_POLL = 0.25


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
            # A future takes no StopIteration; what is no Exception (an adapter that calls sys.exit) would end the engine's loop.
            failure = error if isinstance(error, Exception) and not isinstance(error, StopIteration) else _fault(name, error)
            deliver(lambda: future.set_exception(failure))
        else:
            deliver(lambda: future.set_result(result))

    threading.Thread(target=run, name=name[:64], daemon=True).start()
    stopped_for = 0.0
    while True:
        done, _ = await asyncio.wait({future}, timeout=_POLL)
        if done:
            return future.result()
        if control.stopped:
            stopped_for += _POLL
            if stopped_for >= CANCEL_GRACE:
                future.cancel()
                control.raise_if_stopped()


def _fault(name: str, error: BaseException) -> RuntimeError:
    fault = RuntimeError(f"{name} ended with {type(error).__name__}({error})")
    fault.__cause__ = error
    return fault
