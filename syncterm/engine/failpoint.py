"""Named places where a crash test ends or freezes this process: between two steps that must not depend on each other.

`SYNCTERM_FAILPOINT=name:nth[:signal[:seconds]]` sends this process a signal (KILL by default) at the nth time that it reaches a
place, at once or that many seconds later, while it goes on. Nothing happens where the variable is not set.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "SYNCTERM_FAILPOINT"
NAMES = (
    "due-queueing",  # a due time's sync was inserted and the schedule advanced, nothing is committed yet
    "due-queued",  # both are committed
    "sync-claimed",  # Created → Pending
    "attempt-begun",  # Pending → Executing
    "load-opened",  # the destination knows this epoch; nothing was read
    "batch-read",  # a batch came from the source
    "batch-staged",  # the destination has taken a batch and asks for the next one
    "keys-listed",  # where deletes are looked for: the destination has the keys of all records that the source holds
    "commit-prepared",  # the store knows what is about to be committed
    "commit-begun",  # the gate is passed: the lease was valid a moment ago
    "commit-done",  # the destination has committed, the store does not know
    "stream-recorded",  # the store knows; the attempt is open
    "sync-completed",  # the attempt and the sync are closed
    "lease-renewed",
    "rotation-begun",  # a new key seals; everything is still sealed with the old one, which is there
    "rotation-piece-sealed",  # a piece of the configurations is sealed with the new one
    "rotation-ended",  # the old one is gone
)


class _Failpoint:
    """What the variable asks for."""

    def __init__(self, text: str) -> None:
        name, nth, signal_name, seconds, *_ = [*text.split(":"), "", "", ""]
        if name not in NAMES:
            raise ValueError(f"{VARIABLE}: there is no place {name!r}; there are {', '.join(NAMES)}")
        self.name = name
        self._left = int(nth or 1)
        self._signal = signal.Signals[f"SIG{signal_name or 'KILL'}"]
        self._seconds = float(seconds or 0)
        self._lock = threading.Lock()

    def reached(self) -> None:
        with self._lock:
            self._left -= 1
            if self._left:
                return
        if self._seconds:
            timer = threading.Timer(self._seconds, os.kill, (os.getpid(), self._signal))
            timer.daemon = True
            timer.start()
        else:
            signal.raise_signal(self._signal)  # to this thread, so that it does not take another step


_wanted = os.environ.get(VARIABLE)
_failpoint = _Failpoint(_wanted) if _wanted else None


def reach(name: str) -> None:
    """This process has come to a place."""
    if _failpoint is not None and _failpoint.name == name:
        _failpoint.reached()
