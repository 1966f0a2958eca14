"""Handing an iterator of record batches to a library that pulls it from threads of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa


class PulledBatches:
    """A record batch reader that keeps what its iterator raised; libraries wrap such an exception in one of their own."""

    def __init__(self, batches: Iterator[pa.RecordBatch], schema: pa.Schema, poll: Callable[[], None]) -> None:
        """`poll` is called for every batch and may raise."""
        import pyarrow as pa

        self._error: BaseException | None = None
        self.reader: pa.RecordBatchReader = pa.RecordBatchReader.from_batches(schema, self._pull(batches, poll))

    @contextmanager
    def own_errors(self) -> Iterator[None]:
        """Raise what the iterator raised, as the same object, in the place of whatever the library made of it."""
        try:
            yield
        except BaseException:
            if self._error is not None:
                raise self._error from None
            raise

    def _pull(self, batches: Iterator[pa.RecordBatch], poll: Callable[[], None]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in batches:
                poll()
                yield batch
        except BaseException as error:
            self._error = error
            raise
