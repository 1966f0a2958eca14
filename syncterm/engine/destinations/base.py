"""The protocol of a destination."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from syncterm.engine.adapters import DESTINATIONS_GROUP, Adapter, adapter_class
from syncterm.engine.deletes import DeletePlan
from syncterm.engine.model import RejectedRecord, SyncMode
from syncterm.engine.schema import Field

if TYPE_CHECKING:
    import pyarrow as pa

STATE_TABLE = "_syncterm_state"
"""Name of the table, in each collection, that holds a row a stream: connector, stream, table, epoch, sync, cursor, loads, rows."""


@dataclass(frozen=True, slots=True)
class DestinationCapabilities:
    """What a destination can do; the catalog shows it."""

    transactions: bool = True
    upsert: bool = True
    deletes: bool = False
    """Whether it can mark or remove single records that are gone in the source."""
    parallel_loads: int = 4
    """How many syncs may load into one destination at the same time."""


@dataclass(frozen=True, slots=True)
class LoadTarget:
    """Where and how a load writes."""

    connector_id: str
    stream: str
    collection: str
    """Schema, folder or prefix; empty for the destination's default."""
    table: str
    fields: tuple[Field, ...]
    sync_mode: SyncMode
    primary_key: tuple[str, ...]
    cursor_field: str | None
    epoch: int
    """The engine's fencing token."""
    sync_id: str
    full: bool
    """Whether this load replaces all that is there (replace, and the first load of a historical re-sync in any mode)."""
    deletes: DeletePlan | None = None
    """What becomes of records whose keys are not listed by `Load.write_keys`; None where it is not asked for."""


@dataclass(frozen=True, slots=True)
class StreamState:
    """What a destination knows of a stream: the truth about the cursor."""

    stream: str
    epoch: int
    sync_id: str
    cursor: str | None
    """`Cursor.to_text()`; None where the mode keeps none."""
    load: int
    """How many loads have been committed."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What a commit did. `written` + `superseded` = records handed to `write`."""

    written: int
    superseded: int = 0
    """Older versions of a key within this load."""
    deleted: int = 0
    """Records that were there and were marked or removed."""
    withheld: int = 0
    """Records that would have been, but are more than the plan allows: none was."""
    held: int = 0
    """Of how many records, where some were withheld."""


class Load(ABC):
    """One stream of one sync on its way into the destination. Used from one worker thread."""

    def accept(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, tuple[RejectedRecord, ...]]:
        """Split off what this destination cannot store (NUL in a PostgreSQL text, …), before it is written."""
        return batch, ()

    @abstractmethod
    def write(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Stage all the batches; nothing is visible to readers. Called once. Batches have the target's fields and Arrow types.

        The iterator may raise (`CancelledSyncError`, a source's error): it must reach the caller as it is.
        """

    def write_keys(self, batches: Iterator[pa.RecordBatch]) -> None:
        """Stage the keys of all records that the source holds now, as in `write`; at most once, and after it.

        Batches have the columns of the target's key, in that order, with the target's Arrow types and without NULLs; a key may come
        twice. Only where the target has a plan for deletes; `commit` then carries it out.
        """
        raise NotImplementedError

    def forget_keys(self) -> None:
        """Drop what `write_keys` staged: some of the source's keys may be missing, so nothing is deleted."""
        raise NotImplementedError

    @abstractmethod
    def commit(self, cursor: str | None) -> LoadResult:
        """Publish what was staged and save the cursor, in one step.

        Raises:
            StaleEpochError: where a newer epoch has claimed the stream; nothing changed.
            DestinationError: nothing changed.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop what was staged; never raises; harmless after `commit`."""


class Destination(Adapter):
    """A system that data is written to."""

    capabilities: ClassVar[DestinationCapabilities] = DestinationCapabilities()

    @abstractmethod
    def state(self, connector_id: str, collection: str) -> dict[str, StreamState]:
        """Stream → what was last committed for it. Empty where nothing ever was; creates nothing."""

    @abstractmethod
    def open(self, target: LoadTarget) -> Load:
        """Begin a load: claim the stream for the target's epoch, create or extend what is missing
        (new columns are added, none dropped).

        Raises:
            StaleEpochError: where a newer epoch has claimed the stream.
            ConfigError: the mode is not possible here; or the table exists, was not made by syncterm, and would be replaced.
            DestinationBusyError: in use by another process.
        """

    def release(self, connector_id: str, collection: str) -> None:
        """Forget a deleted connector's state rows; its data stays."""


def destination_class(type_: str) -> type[Destination]:
    """The destination class of a type id. Raises: ConfigError: where none is registered."""
    return adapter_class(DESTINATIONS_GROUP, type_)
