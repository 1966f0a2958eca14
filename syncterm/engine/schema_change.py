"""What changed between the schema a stream was approved with and what the source offers now, and what the policy makes of it.

Classes (the product's semantics, "Schema changes"): additive, narrowing, breaking (key, cursor or a selected column gone). Breaking
always waits for a person. Removed columns are never dropped from a destination.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from difflib import get_close_matches

from syncterm.engine.errors import ConfigError, SchemaChangedError
from syncterm.engine.model import SchemaPolicy, StreamConfig
from syncterm.engine.schema import Catalog, StreamSchema

MOST_NAMES = 8
"""Names that a message lists."""


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """The difference of one stream and its consequence."""

    stream: str
    schema: StreamSchema
    """What the stream is read with."""
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    retyped: tuple[str, ...] = ()
    """`column: old → new`."""
    blocking: str | None = None
    """Why nothing may be read before a person approves; None where reading may go on."""
    notes: tuple[str, ...] = ()
    """For the sync's log."""

    def to_text(self) -> str:
        """The difference as JSON, for the store."""
        return json.dumps(
            {
                "stream": self.stream,
                "added": self.added,
                "removed": self.removed,
                "retyped": self.retyped,
                "blocking": self.blocking,
            }
        )


def check_names(config: StreamConfig, catalog: Catalog, approved: StreamSchema | None) -> None:
    """See that the source has the stream, and before the first sync the columns that its set-up names. No approval can help there.

    Raises:
        SchemaChangedError: the stream was there once and is gone.
        ConfigError: the source never had it; names what it has.
    """
    found = catalog.stream(config.name)
    if found is None:
        has = _listed(config.name, [stream.name for stream in catalog.streams])
        if approved is not None:
            raise SchemaChangedError(
                f"Stream {config.name!r} is not in the source any more; it has {has}.",
                remedy="Bring it back there, or take it out of the connector.",
            )
        raise ConfigError(f"The source has no stream {config.name!r}; it has {has}.", remedy="Correct the stream's name.")
    if approved is None:
        columns = [field.name for field in found.fields]
        for name in _needed(config):
            if name not in columns:
                raise ConfigError(
                    f"Stream {config.name!r} has no column {name!r}; it has {_listed(name, columns)}.",
                    remedy="Correct the column's name.",
                )


def _listed(name: str, known: list[str]) -> str:
    """Some of the known names, those like `name` first."""
    if not known:
        return "none"
    near = get_close_matches(name, known, n=3)
    shown = [*near, *(other for other in known if other not in near)][:MOST_NAMES]
    more = len(known) - len(shown)
    return ", ".join(map(repr, shown)) + (f" and {more} more" if more else "")


def compare(config: StreamConfig, approved: StreamSchema | None, found: StreamSchema | None, policy: SchemaPolicy) -> SchemaChange:
    """What a stream is read with, after the policy.

    Args:
        approved: the schema last approved or applied; None at the first sync, which adopts what it finds.
        found: what the source offers now; None where the stream is gone.
    """
    if found is None:
        schema = approved or StreamSchema(config.name, ())
        return SchemaChange(config.name, schema, blocking=f"Stream {config.name!r} is not in the source any more.")
    if approved is None:
        return SchemaChange(config.name, found, blocking=_gone(config, found))
    before = {field.name: field for field in approved.fields}
    now = {field.name: field for field in found.fields}
    added = tuple(name for name in now if name not in before)
    removed = tuple(name for name in before if name not in now)
    retyped = tuple(
        f"{name}: {before[name].native or before[name].type} → {now[name].native or now[name].type}"
        for name in now
        if name in before and (before[name].type != now[name].type or before[name].native != now[name].native)
    )
    change = SchemaChange(config.name, found, added, removed, retyped)
    if not (added or removed or retyped):
        return change
    blocking = _gone(config, found) or _breaking(config, removed, retyped, policy)
    if blocking:
        return replace(change, schema=approved, blocking=blocking)
    if policy is SchemaPolicy.PAUSE:
        return replace(change, schema=approved, blocking=f"The schema of stream {config.name!r} changed: {_sentence(change)}.")
    if policy is SchemaPolicy.APPROVE and (added or retyped):
        kept = tuple(before[name] if name in before else now[name] for name in now if name in before)
        note = f"Schema change of {config.name} waits for approval: {_sentence(change)}. Syncing the approved columns."
        return replace(change, schema=replace(found, fields=kept), notes=(note,))
    return replace(change, notes=(f"Schema change of {config.name} applied: {_sentence(change)}.",))


def _gone(config: StreamConfig, found: StreamSchema) -> str | None:
    names = {field.name for field in found.fields}
    missing = [name for name in _needed(config) if name not in names]
    return f"Stream {config.name!r} lost {', '.join(map(repr, missing))}, which the connector needs." if missing else None


def _needed(config: StreamConfig) -> list[str]:
    """The columns that a stream's set-up names."""
    cursor = [config.cursor_field] if config.cursor_field else []
    return list(dict.fromkeys([*(config.columns or ()), *config.primary_key, *cursor, *config.casts]))


def _breaking(config: StreamConfig, removed: tuple[str, ...], retyped: tuple[str, ...], policy: SchemaPolicy) -> str | None:
    changed = {entry.partition(": ")[0]: entry for entry in retyped}
    vital = [name for name in (*config.primary_key, config.cursor_field) if name and name in changed]
    if vital:
        return f"Stream {config.name!r}: the type of its key or cursor changed ({', '.join(changed[name] for name in vital)})."
    if removed and config.columns is None and policy is not SchemaPolicy.APPLY_ALL:
        return f"Stream {config.name!r} lost {', '.join(map(repr, removed))}; the destination would keep them as NULL from now on."
    return None


def _sentence(change: SchemaChange) -> str:
    parts = [
        f"{word} {', '.join(names)}"
        for word, names in (("added", change.added), ("removed", change.removed), ("type changed", change.retyped))
        if names
    ]
    return "; ".join(parts)
