"""The queue between the thread that reads and the thread that writes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from syncterm.engine.control import Control
from syncterm.engine.errors import CancelledSyncError

if TYPE_CHECKING:
    import pyarrow as pa

QUEUE_BYTES = 32 * 1024 * 1024
"""Bytes of record batches between the two threads."""
POLL_SECONDS = 0.1
"""How often a waiting thread looks whether it was stopped."""


class BatchQueue:
    """A queue of record batches, bounded in bytes; either end can close it."""

    def __init__(self, limit: int = QUEUE_BYTES) -> None:
        self._limit = limit
        self._items: queue.SimpleQueue[tuple[pa.RecordBatch, int] | None] = queue.SimpleQueue()
        self._bytes = 0
        self._abandoned = False
        self._room = threading.Condition()

    def put(self, batch: pa.RecordBatch, control: Control) -> None:
        """Add a batch, waiting for room. A batch larger than the limit passes alone."""
        size = batch.nbytes
        with self._room:
            while self._bytes and self._bytes + size > self._limit and not self._abandoned:
                control.raise_if_stopped()
                self._room.wait(POLL_SECONDS)
            if self._abandoned:
                raise CancelledSyncError("The destination takes no more batches.")
            self._bytes += size
        self._items.put((batch, size))

    def close(self) -> None:
        """No more batches will come."""
        self._items.put(None)

    def abandon(self) -> None:
        """No more batches will be taken: `put` raises from now on."""
        with self._room:
            self._abandoned = True
            self._room.notify_all()

    def drain(self, control: Control) -> Iterator[pa.RecordBatch]:
        """The batches in order, until `close`."""
        while True:
            control.raise_if_stopped()
            try:
                item = self._items.get(timeout=POLL_SECONDS)
            except queue.Empty:
                continue
            if item is None:
                return
            batch, size = item
            with self._room:
                self._bytes -= size
                self._room.notify()
            yield batch
