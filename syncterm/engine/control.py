"""How one sync is stopped, and how it says that it is alive: shared by the runner's loop and the sync's threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from syncterm.engine.errors import CancelledSyncError, InterruptedSyncError, SynctermError


class Progress:
    """Counters of the stream that is being moved. Written by the sync's threads, read by the runner; each is one assignment."""

    def __init__(self) -> None:
        self.stream = ""
        self.records = 0
        """Records read so far in this stream."""
        self.bytes = 0
        self.expected: int | None = None

    @property
    def beat(self) -> tuple[str, int, int]:
        """Changes exactly when bytes or records have moved."""
        return self.stream, self.records, self.bytes


class Control:
    """The one way to end a sync early.

    `stop` fans out to every registered interrupter, so that a thread that hangs in a library call returns, and closes the gate that
    every commit must pass: a thread that returns too late can change nothing.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._interrupters: list[Callable[[], None]] = []
        self._stopped = threading.Event()
        self._committing = False
        self._after_commit: SynctermError | None = None
        self.reason: SynctermError | None = None
        """Why it was stopped; None while it runs."""
        self.progress = Progress()

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set()

    @property
    def committing(self) -> bool:
        """Whether a commit is under way, which moves neither bytes nor records."""
        return self._committing

    def wait(self, seconds: float) -> bool:
        """Wait for `stop`, at most that long; whether it came."""
        return self._stopped.wait(seconds)

    def raise_if_stopped(self) -> None:
        """Raises: the reason that `stop` was given."""
        if self._stopped.is_set():
            raise self.reason or CancelledSyncError("The sync was cancelled.")

    @contextmanager
    def interrupter(self, interrupt: Callable[[], None]) -> Iterator[None]:
        """While the block runs, `stop` calls `interrupt`, which must be thread-safe and must not block."""
        with self._lock:
            self._interrupters.append(interrupt)
        try:
            if self.stopped:
                interrupt()
            yield
        finally:
            with self._lock:
                self._interrupters.remove(interrupt)

    def stop(self, reason: SynctermError) -> bool:
        """End the sync for that reason.

        False where a commit is under way, which runs to its end and is followed by the stop; or where it was stopped already.
        """
        with self._lock:
            if self._stopped.is_set():
                return False
            if self._committing:
                self._after_commit = self._after_commit or reason
                return False
            self.reason = reason
            self._stopped.set()
            interrupters = list(self._interrupters)
        for interrupt in interrupters:
            interrupt()
        return True

    @contextmanager
    def commit_gate(self, may_commit: Callable[[], bool]) -> Iterator[None]:
        """The only place where a commit may happen.

        Raises:
            SynctermError: the reason of `stop`, or InterruptedSyncError where `may_commit` (the lease) says no.
        """
        with self._lock:
            if self._stopped.is_set():
                raise self.reason or CancelledSyncError("The sync was cancelled.")
            if not may_commit():
                raise InterruptedSyncError("This engine no longer holds the store's lease; nothing was committed.")
            self._committing = True
        try:
            yield
        finally:
            with self._lock:
                self._committing = False
                if self._after_commit is not None:
                    self.reason = self._after_commit
                    self._stopped.set()
