"""Set-up in a person's hands: what a form holds before it is saved, and what saving it answered.

A draft may be unfinished: saved, it is a source in Setup or an Incomplete connector, which nothing runs. A draft of something that
exists names the version it was read at; saving it over a newer one is refused, so that nobody's work is lost unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from syncterm.engine.model import MANUAL_SCHEDULE, BlackoutWindow, EndpointKind, Schedule, SchemaPolicy, StreamConfig
from syncterm.engine.schema import Field


@dataclass(frozen=True, slots=True)
class EndpointDraft:
    """A source or a destination."""

    kind: EndpointKind
    type: str
    name: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    """As the adapter's model reads it; may lack fields. A secret that says `redaction.MASK` stays what is stored."""
    id: str | None = None
    """None: a new one."""
    version: int | None = None
    """The version it was read at; None for a new one."""
    read_at: datetime | None = None
    """When what it was read from was last saved, so that renaming and new secrets are noticed too; None: not looked at."""


@dataclass(frozen=True, slots=True)
class ConnectorDraft:
    """A connector."""

    name: str = ""
    source_id: str | None = None
    destination_id: str | None = None
    collection: str = ""
    streams: tuple[StreamConfig, ...] = ()
    """The selected ones, in their order."""
    schedule: Schedule = MANUAL_SCHEDULE
    catch_up: str = "once"
    """`once` or `skip`."""
    schema_policy: SchemaPolicy = SchemaPolicy.APPROVE
    blackout: tuple[BlackoutWindow, ...] = ()
    id: str | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """What saving a draft made of it."""

    id: str
    name: str
    version: int
    incomplete_reason: str | None
    """What it still lacks; None where it is complete."""
    message: str
    """In plain words: what happens next, to whom."""


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """One stream of a source in a list."""

    name: str
    column_count: int


@dataclass(frozen=True, slots=True)
class DryRun:
    """The first records of a stream as they would arrive; nothing was written."""

    stream: str
    fields: tuple[Field, ...]
    """In their order, each with the type it arrives in."""
    records: tuple[tuple[str | None, ...], ...]
    """Values as text; None is NULL."""
    rejected: tuple[str, ...]
    """Why records among the first ones would fail."""
    filtered: int = 0


@dataclass(frozen=True, slots=True)
class ConfigDifference:
    """One setting of a source that differs between the version a connector applied and the present one."""

    field: str
    """Its path, dotted."""
    title: str
    applied: str
    """Secrets are masked."""
    present: str
