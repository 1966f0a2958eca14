"""What operations answer, and what they are asked beside ids."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class IfRunning(StrEnum):
    """What "sync now" does with a connector whose sync runs already."""

    LEAVE = "leave"
    QUEUE = "queue"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class OperationResult:
    """What an operation did with one connector, source or destination."""

    connector_id: str
    """Its id, also where it is a source or a destination."""
    name: str
    done: bool
    message: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a destructive operation would touch."""

    names: tuple[str, ...]
    running: tuple[str, ...]
    """Names of those whose sync runs or waits."""
    records: int
    """Records that the last syncs of all of them wrote."""
    last_duration: timedelta | None
    """The longest of their last syncs: an estimate for a re-sync."""
    sharing: tuple[str, ...]
    """Other connectors that write into the same collection of the same destination."""


@dataclass(frozen=True, slots=True)
class Deletion:
    """A deletion that can be undone until an instant."""

    token: str
    until: datetime
    results: tuple[OperationResult, ...]
