"""Records that are gone in the source: when they may be looked for, and when what was found needs a person's approval.

After the records of an incremental read, the keys of all records that the source holds now are listed. A destination's record whose
key is not among them is marked or removed, in the transaction that carries the data and the cursor. So a record that the source got
in between is in the listing, and one that it lost after it is found by the next sync. Where only a part of the source could be
listed, nothing is deleted.

Source of the guard: the product's semantics ("Deletes"): more than 20 % (and 50 rows) needs approval.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from syncterm.engine.errors import ConfigError
from syncterm.engine.model import DeleteHandling, StreamConfig, SyncMode
from syncterm.engine.schema import Field, LogicalType

GUARD_SHARE = 20
"""Per cent of the records that a destination holds, …"""
GUARD_RECORDS = 50
"""… and number of records: what is above both is deleted only with approval."""
DELETED_AT = Field("_deleted_at", LogicalType("timestamptz"))
"""The column of a marked record: when it was noticed that it is gone; NULL while the source has it."""


@dataclass(frozen=True, slots=True)
class DeletePlan:
    """What a load does with the records whose keys are not listed."""

    handling: DeleteHandling
    """`mark` or `remove`."""
    noticed_at: datetime
    approved: int = 0
    """How many deletes a person has approved, on top of what the guard allows."""

    def allows(self, missing: int, held: int) -> bool:
        """Whether `missing` of the `held` records may be deleted now."""
        return missing <= self.approved + max(GUARD_RECORDS, held * GUARD_SHARE // 100)


def refusal(stream: StreamConfig, *, listed: bool = True, deletable: bool = True) -> str | None:
    """Why a stream cannot have its delete handling, as a sentence; None where it can.

    Args:
        listed: whether the source lists all of its records (`SourceCapabilities.deletes`).
        deletable: whether the destination can delete single records (`DestinationCapabilities.deletes`).
    """
    handling, mode = stream.delete_handling, stream.sync_mode
    if handling is DeleteHandling.KEEP:
        return None
    if mode is SyncMode.REPLACE:
        if handling is DeleteHandling.REMOVE:
            return None  # which is what replacing does
        return "A full refresh replaces the whole table, so there is no record left to mark."
    if mode is not SyncMode.INCREMENTAL_UPSERT:
        return "Appended records are not found again by their key, so deleted ones cannot be told from older versions."
    if not stream.primary_key:
        return "Without a primary key, a record that is gone cannot be told."
    if not listed:
        return "This source cannot list all of its records, so it cannot be told which are gone."
    return None if deletable else "This destination cannot delete or mark single records."


def check_deletes(stream: StreamConfig, *, listed: bool, deletable: bool) -> None:
    """Raises: ConfigError: where a stream cannot have its delete handling."""
    why = refusal(stream, listed=listed, deletable=deletable)
    if why is not None:
        raise ConfigError(
            f"Stream {stream.name!r} cannot {stream.delete_handling} deleted records: {why}",
            remedy="Choose keep, or another sync mode.",
        )


def looks_for_deletes(stream: StreamConfig) -> bool:
    """Whether the stream's syncs list the source's keys."""
    return stream.delete_handling is not DeleteHandling.KEEP and stream.sync_mode is SyncMode.INCREMENTAL_UPSERT
