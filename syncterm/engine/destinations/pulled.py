"""Handing an iterator of record batches to a library that pulls it from threads of its own."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class PulledBatches:
    """A record batch reader that keeps what its iterator raised; libraries wrap such an exception in one of their own."""

    def __init__(self, batches: Iterator[pa.RecordBatch], schema: pa.Schema, poll: Callable[[], None]) -> None:
        """`poll` is called for every batch and may raise."""
        import pyarrow as pa

        self._error: BaseException | None = None
        self._pulling = self._pull(batches, poll)
        self.reader: pa.RecordBatchReader = pa.RecordBatchReader.from_batches(schema, self._pulling)

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Raise what the iterator raised, as the same object, in the place of whatever the library made of it.

        At the end the iterator is let go, though a library that failed may hold the reader for longer.
        """
        try:
            yield
        except BaseException:
            if self._error is not None:
                raise self._error from None
            raise
        finally:
            self._error = None
            with suppress(ValueError):  # it is still being pulled
                self._pulling.close()

    def _pull(self, batches: Iterator[pa.RecordBatch], poll: Callable[[], None]) -> Generator[pa.RecordBatch, None, None]:
        try:
            for batch in batches:
                poll()
                yield batch
        except BaseException as error:
            self._error = error
            raise
