"""The protocol of a source."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from syncterm.engine.adapters import SOURCES_GROUP, Adapter, adapter_class
from syncterm.engine.model import RejectedRecord, StreamConfig, Window
from syncterm.engine.schema import Catalog, Field, StreamSchema

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, slots=True)
class SourceCapabilities:
    """What a source can do; the catalog shows it."""

    incremental: bool = True
    deletes: bool = False
    """Whether a whole read lists every record that there is now, so that one which is missing is gone."""
    real_time: bool = False


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """A piece of a stream: the records that could be read, and those that could not.

    `records` has exactly the fields that `Source.fields` announced, in that order, with `schema.arrow_schema`'s types. Records
    read = records.num_rows + len(rejected) + filtered.
    """

    records: pa.RecordBatch
    rejected: tuple[RejectedRecord, ...] = ()
    filtered: int = 0
    bytes: int = 0
    """Bytes read from the source for this piece, as far as known; else the size of `records`."""


class Source(Adapter):
    """A system that data is read from.

    Life of one read: `discover` (or a catalog known already) → `high` → `read`, all in one worker thread; `interrupt` from any.
    """

    capabilities: ClassVar[SourceCapabilities] = SourceCapabilities()

    @abstractmethod
    def discover(self) -> Catalog:
        """Streams, columns, types, keys.

        Raises:
            SynctermError: as `check`.
        """

    def high(self, stream: StreamConfig, schema: StreamSchema) -> str | None:
        """The highest cursor value now present, as the source's exact text; never in the future of the source's clock.

        Fixed at the start of a sync, so that rows that change while it reads belong to the next one. None where the stream is empty
        or the source cannot tell without reading everything (then the pipeline takes the highest value that it saw).
        """
        return None

    def indexed_columns(self, stream: StreamSchema) -> frozenset[str] | None:
        """Columns that an index of the stream begins with, so that their newest values are found without reading everything.

        None where the source cannot tell, and where an index makes no sense.
        """
        return None

    @abstractmethod
    def read(
        self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...], window: Window | None
    ) -> Iterator[SourceBatch]:
        """Read a stream, in batches of about 4 MiB.

        Args:
            stream: as set up.
            schema: as discovered.
            fields: the columns to read, in order, each with the type it must arrive in: the discovered type or the person's cast.
                They include the cursor and the key.
            window: for incremental modes; None reads everything. Rows outside may be yielded too: the pipeline filters again.

        A value that does not fit its field's type makes its record a rejected one (`cast_failed`), never an exception.

        Raises:
            SynctermError: typed, where the read as a whole fails.
        """


def source_class(type_: str) -> type[Source]:
    """The source class of a type id. Raises: ConfigError: where none is registered."""
    return adapter_class(SOURCES_GROUP, type_)
