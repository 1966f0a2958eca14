"""What the policy makes of a changed schema, and what a stream is read with.

    policy            additive   narrowing                                          breaking
    approve           waits      waits; a removed column stops the connector        stops
    apply_additions   applied    waits; a removed column stops the connector        stops
    apply_all         applied    applied                                            stops
    pause             stops      stops                                              stops

What waits does not hold up syncs: they go on with the approved columns in their approved types. What stops the connector makes it
Incomplete, and nothing is read before a person decides. What the set-up does not use is applied under every policy, and so is
nullability, which no destination keeps, under all but pause. A destination's column is never dropped, and only a historical re-sync
changes its type: values that do not fit it become failed records.

A stream that is new in the source is offered, never selected silently: it waits for approval where the connector syncs all streams
that its source had, and nowhere else: a connector that picks some streams has left the rest out on purpose. Under apply_all it is
selected with default settings, again only where the connector syncs all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from enum import StrEnum

from syncterm.engine.errors import ConfigError
from syncterm.engine.model import SchemaPolicy, StreamConfig
from syncterm.engine.schema import Field, StreamSchema, parse_type
from syncterm.engine.schema_difference import (
    ChangeClass,
    ChangeKind,
    Entry,
    difference,
    fits,
    is_selected,
    merged_by,
    needed_columns,
    read_by,
)

MOST_NAMES = 8
"""Names that a message lists."""


class Treatment(StrEnum):
    """What a policy does with an entry by itself."""

    APPLY = "apply"
    WAIT = "wait"
    """For a person; syncs go on with what was approved."""
    STOP = "stop"
    """For a person; nothing is read before."""


_BY_POLICY: Mapping[SchemaPolicy, tuple[Treatment, Treatment, Treatment]] = {
    SchemaPolicy.APPROVE: (Treatment.WAIT, Treatment.WAIT, Treatment.STOP),
    SchemaPolicy.APPLY_ADDITIONS: (Treatment.APPLY, Treatment.WAIT, Treatment.STOP),
    SchemaPolicy.APPLY_ALL: (Treatment.APPLY, Treatment.APPLY, Treatment.STOP),
    SchemaPolicy.PAUSE: (Treatment.STOP, Treatment.STOP, Treatment.STOP),
}
_CLASSES = tuple(ChangeClass)


@dataclass(frozen=True, slots=True)
class Settlement:
    """What a stream is synced with, and what became of each change."""

    stream: str
    schema: StreamSchema
    """The approved schema from now on."""
    kept: Mapping[str, Field] = field(default_factory=dict)
    """Column → as the destination has it, where the source has another type or no such column by now."""
    applied: tuple[Entry, ...] = ()
    waiting: tuple[Entry, ...] = ()
    rejected: bool = False
    """Whether those that wait are what a person rejected already."""
    blocking: str | None = None
    """Why nothing may be read before a person decides; None where reading may go on."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a stream is read."""

    schema: StreamSchema
    """The approved columns that the source has, as it has them now."""
    arriving: Mapping[str, Field]
    """Columns that are to arrive in another type than the source's."""


def treatment(entry: Entry, policy: SchemaPolicy) -> Treatment:
    """What a policy does with an entry by itself."""
    if not entry.used:
        return Treatment.APPLY
    if entry.kind is ChangeKind.STREAM_ADDED:
        return Treatment.APPLY if policy is SchemaPolicy.APPLY_ALL else Treatment.WAIT
    by_class = _BY_POLICY[policy][_CLASSES.index(entry.change_class)]
    if by_class is Treatment.WAIT and entry.kind is ChangeKind.NULLABILITY_CHANGED:
        return Treatment.APPLY
    return Treatment.STOP if by_class is Treatment.WAIT and entry.kind is ChangeKind.COLUMN_REMOVED else by_class


def needs_decision(entry: Entry) -> bool:
    """Whether no sync is possible with the approved schema: rejecting such a change does not let syncs go on."""
    return entry.used and (entry.change_class is ChangeClass.BREAKING or entry.kind is ChangeKind.COLUMN_REMOVED)


def standing_policy(entries: Iterable[Entry], present: SchemaPolicy) -> SchemaPolicy:
    """The policy that would have applied these entries by itself, and whatever the present one applies."""
    narrowing = any(entry.change_class is ChangeClass.NARROWING or entry.kind is ChangeKind.STREAM_ADDED for entry in entries)
    return SchemaPolicy.APPLY_ALL if narrowing or present is SchemaPolicy.APPLY_ALL else SchemaPolicy.APPLY_ADDITIONS


def check_names(config: StreamConfig, found: StreamSchema | None, offered: Callable[[], Sequence[str]]) -> None:
    """Before the first sync, see that the source has the stream and the columns that its set-up names. No approval can help there.

    Args:
        offered: the names of the streams that the source has.

    Raises:
        ConfigError: naming what it has.
    """
    if found is None:
        raise ConfigError(
            f"The source has no stream {config.name!r}; it has {_listed(config.name, offered())}.",
            remedy="Correct the stream's name.",
        )
    columns = [column.name for column in found.fields]
    for name in needed_columns(config):
        if name not in columns:
            raise ConfigError(
                f"Stream {config.name!r} has no column {name!r}; it has {_listed(name, columns)}.",
                remedy="Correct the column's name.",
            )


def _listed(name: str, known: Sequence[str]) -> str:
    """Some of the known names, those like `name` first."""
    if not known:
        return "none"
    near = get_close_matches(name, known, n=3)
    shown = [*near, *(other for other in known if other not in near)][:MOST_NAMES]
    more = len(known) - len(shown)
    return ", ".join(map(repr, shown)) + (f" and {more} more" if more else "")


def settle(
    config: StreamConfig,
    approved: StreamSchema | None,
    found: StreamSchema | None,
    policy: SchemaPolicy,
    kept: Mapping[str, Field] | None = None,
    rejected: frozenset[tuple[str, str, str, str]] = frozenset(),
) -> Settlement:
    """What a stream is synced with, after the policy and what a person decided before.

    Args:
        approved: the schema last approved or applied; None at the first sync, which adopts what it finds.
        found: what the source offers now; None where the stream is gone.
        rejected: keys of the entries that a person rejected. They are not asked again until the source changes further.
    """
    kept = dict(kept or {})
    if approved is None:
        return Settlement(config.name, found or StreamSchema(config.name, ()), kept)
    entries = difference(config, approved, found)
    if not entries:
        return Settlement(config.name, approved, kept)
    policy = config.schema_policy or policy
    treatments = {entry: treatment(entry, policy) for entry in entries}
    asked = tuple(entry for entry in entries if treatments[entry] is not Treatment.APPLY)
    known = bool(asked) and {entry.key for entry in asked} <= rejected
    stops = [entry for entry in asked if (needs_decision(entry) if known else treatments[entry] is Treatment.STOP)]
    if stops:
        return Settlement(config.name, approved, kept, (), entries, known, _blocking(config.name, stops, known))
    applied = tuple(entry for entry in entries if treatments[entry] is Treatment.APPLY)
    schema, kept = accept(config, approved, found, applied, kept)
    return Settlement(config.name, schema, kept, applied, asked, known)


def _blocking(stream: str, stops: Sequence[Entry], rejected: bool) -> str:
    more = f" and {len(stops) - 1} more changes" if len(stops) > 2 else " and one more change" if len(stops) == 2 else ""
    said = f"Stream {stream!r} changed in the source: {stops[0].title}{more}."
    if rejected:
        return f"{said} The change was rejected: adapt the stream in the set-up, or bring back what is gone."
    return said


def accept(
    config: StreamConfig,
    approved: StreamSchema,
    found: StreamSchema | None,
    entries: Iterable[Entry],
    kept: Mapping[str, Field],
) -> tuple[StreamSchema, dict[str, Field]]:
    """The approved schema once these entries are in it, and the columns that the destination has otherwise from then on.

    Args:
        found: the schema that the entries lead to; what it has beside them stays out.
    """
    kept = dict(kept)
    if found is None:
        return approved, kept
    columns = {column.name: column for column in approved.fields}
    now = {column.name: column for column in found.fields}
    key = approved.primary_key
    for entry in entries:
        old, new = columns.get(entry.column), now.get(entry.column)
        if entry.kind is ChangeKind.KEY_CHANGED:
            key = found.primary_key
        elif entry.kind is ChangeKind.COLUMN_REMOVED and old is not None:
            del columns[entry.column]
        elif entry.kind is ChangeKind.COLUMN_ADDED and new is not None:
            columns[entry.column] = new
        elif entry.kind is ChangeKind.TYPE_CHANGED and old is not None and new is not None:
            columns[entry.column] = replace(old, type=new.type, native=new.native)
        elif entry.kind is ChangeKind.NULLABILITY_CHANGED and old is not None and new is not None:
            columns[entry.column] = replace(old, nullable=new.nullable)
        if entry.kind in (ChangeKind.COLUMN_REMOVED, ChangeKind.TYPE_CHANGED) and old is not None and is_selected(config, old.name):
            kept.setdefault(old.name, _cast(config, old))
    order = [*now, *(name for name in columns if name not in now)]
    return replace(found, fields=tuple(columns[name] for name in order if name in columns), primary_key=key), kept


def _cast(config: StreamConfig, column: Field) -> Field:
    cast = config.casts.get(column.name)
    return column if cast is None else replace(column, type=parse_type(cast), native="")


def adapted(config: StreamConfig, entries: Iterable[Entry]) -> StreamConfig:
    """The set-up without the columns that are gone."""
    gone = {entry.column for entry in entries if entry.kind is ChangeKind.COLUMN_REMOVED}
    return replace(
        config,
        columns=None if config.columns is None else tuple(name for name in config.columns if name not in gone),
        casts={name: type_ for name, type_ in config.casts.items() if name not in gone},
        primary_key=tuple(name for name in config.primary_key if name not in gone),
        cursor_field=None if config.cursor_field in gone else config.cursor_field,
    )


def reads_again(config: StreamConfig, entries: Iterable[Entry]) -> bool:
    """Whether approving these entries asks for a historical re-sync: a key or a cursor has another type."""
    return any(
        entry.kind is ChangeKind.TYPE_CHANGED
        and entry.change_class is ChangeClass.BREAKING
        and (merged_by(config, entry.column) or read_by(config, entry.column))
        for entry in entries
    )


def reading(approved: StreamSchema, found: StreamSchema, kept: Mapping[str, Field], *, full: bool) -> Reading:
    """How a stream is read: the approved columns, each in the type that the destination's column takes.

    Args:
        full: whether the table is made anew, with the approved types.
    """
    accepted = {column.name: column for column in approved.fields}
    columns = tuple(column for column in found.fields if column.name in accepted)
    arriving: dict[str, Field] = {}
    for column in columns:
        wanted, held = accepted[column.name], None if full else kept.get(column.name)
        if held is not None and not fits(held, wanted):
            wanted = replace(held, nullable=column.nullable)
        if (wanted.type, wanted.native) != (column.type, column.native):
            arriving[column.name] = wanted
    return Reading(replace(found, fields=columns), arriving)


def sentence(entries: Sequence[Entry]) -> str:
    """The entries in one line for a log: at most eight."""
    shown = "; ".join(entry.title for entry in entries[:MOST_NAMES])
    return shown + (f"; and {len(entries) - MOST_NAMES} more" if len(entries) > MOST_NAMES else "")
