"""The difference between the schema a stream was approved with and what its source offers now, as data.

A list of entries, each with its class and what approving it does:

    additive    nothing that is synced changes its meaning: a column or stream is new, every value still fits
    narrowing   something may be missing in the destination from now on: a column went, values of a new type may not fit
    breaking    the set-up cannot go on as it is: the key, the cursor or a selected column went or changed its type; the stream went
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from syncterm.engine.destinations import rules
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import StreamConfig, SyncMode
from syncterm.engine.postgres_types import column_sql
from syncterm.engine.postgres_types import holds as column_holds
from syncterm.engine.row_filter import mentioned_columns
from syncterm.engine.schema import Field, StreamSchema


class ChangeKind(StrEnum):
    """What changed."""

    STREAM_ADDED = "stream_added"
    STREAM_REMOVED = "stream_removed"
    COLUMN_ADDED = "column_added"
    COLUMN_REMOVED = "column_removed"
    TYPE_CHANGED = "type_changed"
    NULLABILITY_CHANGED = "nullability_changed"
    KEY_CHANGED = "key_changed"


class ChangeClass(StrEnum):
    """How much a change touches; see the module."""

    ADDITIVE = "additive"
    NARROWING = "narrowing"
    BREAKING = "breaking"


CLASS_WORDS: Mapping[ChangeClass, str] = {
    ChangeClass.ADDITIVE: "safe",
    ChangeClass.NARROWING: "may lose data",
    ChangeClass.BREAKING: "breaking",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of one stream."""

    kind: ChangeKind
    change_class: ChangeClass
    column: str = ""
    """Empty where the stream as a whole changed."""
    before: str = ""
    after: str = ""
    effect: str = ""
    """What approving it does, in plain words; where it cannot be approved, what to do instead."""
    used: bool = True
    """Whether the connector's set-up uses what changed."""
    approvable: bool = True

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same change as another one."""
        return (self.kind, self.column, self.before, self.after)

    @property
    def sign(self) -> str:
        """`+`, `-` or `~`."""
        added = self.kind in (ChangeKind.COLUMN_ADDED, ChangeKind.STREAM_ADDED)
        return "+" if added else "-" if self.kind in (ChangeKind.COLUMN_REMOVED, ChangeKind.STREAM_REMOVED) else "~"

    @property
    def title(self) -> str:
        """What changed, in a few words; names are as they came from outside."""
        match self.kind:
            case ChangeKind.STREAM_ADDED:
                return "stream is new"
            case ChangeKind.STREAM_REMOVED:
                return "stream is gone"
            case ChangeKind.COLUMN_ADDED:
                return f"{self.column} added ({self.after})"
            case ChangeKind.COLUMN_REMOVED:
                return f"{self.column} removed ({self.before})"
            case ChangeKind.KEY_CHANGED:
                return f"primary key: {self.before or 'none'} → {self.after or 'none'}"
        return f"{self.column}: {self.before} → {self.after}"

    def to_document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Entry:
        """What `to_document` made."""
        values = dict(document)
        return cls(ChangeKind(values.pop("kind")), ChangeClass(values.pop("change_class")), **values)


def needed_columns(config: StreamConfig) -> list[str]:
    """The columns that a stream's set-up names."""
    cursor = [config.cursor_field] if config.cursor_field else []
    return list(dict.fromkeys([*(config.columns or ()), *config.primary_key, *cursor, *config.casts]))


def filter_columns(config: StreamConfig) -> tuple[str, ...]:
    """The columns that a stream's row filter names."""
    if not config.row_filter:
        return ()
    try:
        return mentioned_columns(config.row_filter)
    except ConfigError:
        return ()  # a filter that cannot be read is refused where it is used


def difference(config: StreamConfig, approved: StreamSchema, found: StreamSchema | None) -> tuple[Entry, ...]:
    """Every change of a stream, in the source's order: nothing where it is as approved.

    Args:
        found: what the source offers now; None where the stream is gone.
    """
    if found is None:
        effect = "The stream is taken out of the connector; its data stays in the destination."
        return (Entry(ChangeKind.STREAM_REMOVED, ChangeClass.BREAKING, effect=effect),)
    before = {column.name: column for column in approved.fields}
    now = {column.name: column for column in found.fields}
    entries = [_removed(config, column) for name, column in before.items() if name not in now]
    for name, column in now.items():
        old = before.get(name)
        if old is None:
            entries.append(_added(config, column))
            continue
        if (old.type, old.native) != (column.type, column.native):
            entries.append(_retyped(config, old, column))
        if old.nullable != column.nullable:
            entries.append(_nullability(config, column))
    if approved.primary_key != found.primary_key:
        entries.append(_key(config, approved.primary_key, found.primary_key))
    return tuple(entries)


def is_selected(config: StreamConfig, name: str) -> bool:
    """Whether a stream's set-up syncs a column."""
    return config.columns is None or name in needed_columns(config)


def merged_by(config: StreamConfig, name: str) -> bool:
    """Whether records are merged by that column."""
    return config.sync_mode is SyncMode.INCREMENTAL_UPSERT and name in config.primary_key


def read_by(config: StreamConfig, name: str) -> bool:
    """Whether records are read by that cursor."""
    return config.sync_mode.incremental and name == config.cursor_field


def _added(config: StreamConfig, column: Field) -> Entry:
    entry = Entry(ChangeKind.COLUMN_ADDED, ChangeClass.ADDITIVE, column.name, after=_type(column))
    if column.name in (*needed_columns(config), *filter_columns(config)):
        return replace(entry, effect="The set-up names it, so it is synced.", used=False)
    if config.columns is not None:
        return replace(entry, effect="It is not selected: nothing changes.", used=False)
    if config.sync_mode is SyncMode.REPLACE:
        return replace(entry, effect="The destination gets the column.")
    return replace(entry, effect="The destination gets the column; older records have NULL in it until a historical re-sync.")


def _removed(config: StreamConfig, column: Field) -> Entry:
    name = column.name
    entry = Entry(ChangeKind.COLUMN_REMOVED, ChangeClass.BREAKING, name, before=_type(column))
    whose = "all" if config.sync_mode is SyncMode.REPLACE else "new"
    stays = f"the destination keeps the column, {whose} records have NULL in it."
    for role, vital in (("merged by this key", merged_by), ("read by this cursor", read_by)):
        if vital(config, name):
            instead = f"Records are {role}: choose another one, or another sync mode, in the set-up; or bring the column back."
            return replace(entry, effect=instead, approvable=False)
    if name in filter_columns(config):
        return replace(
            entry, effect="The row filter uses it: change the filter in the set-up, or bring the column back.", approvable=False
        )
    if name in needed_columns(config):
        alone = config.columns is not None and set(config.columns) <= {name}
        if alone:
            return replace(
                entry, effect="Nothing else is selected: select columns in the set-up, or bring it back.", approvable=False
            )
        return replace(entry, effect=f"It is taken out of the set-up; {stays}")
    if config.columns is not None:
        return replace(entry, change_class=ChangeClass.ADDITIVE, effect="It was not selected: nothing changes.", used=False)
    return replace(entry, change_class=ChangeClass.NARROWING, effect=stays[:1].upper() + stays[1:])


def _retyped(config: StreamConfig, old: Field, column: Field) -> Entry:
    name, replaces = column.name, config.sync_mode is SyncMode.REPLACE
    entry = Entry(ChangeKind.TYPE_CHANGED, ChangeClass.ADDITIVE, name, *_types(old, column))
    if old.type != column.type and name in (*config.primary_key, config.cursor_field):
        what = "The stream is read again from the beginning with the next sync, which replaces the table."
        effect = what if merged_by(config, name) or read_by(config, name) else _misfits(old, replaces)
        return replace(entry, change_class=ChangeClass.BREAKING, effect=effect)
    if not is_selected(config, name):
        return replace(entry, effect="It is not selected: nothing changes.", used=False)
    if name in config.casts:
        return replace(entry, effect=f"It arrives as {config.casts[name]}, as the set-up says.", used=False)
    if fits(old, column):
        return replace(entry, effect="Every value fits the destination's column.")
    return replace(entry, change_class=ChangeClass.NARROWING, effect=_misfits(old, replaces))


def _misfits(old: Field, replaces: bool) -> str:
    if replaces:
        return "The next sync gives the destination's column the new type."
    misfits = f"The destination keeps {_type(old)}: values that do not fit become failed records."
    return f"{misfits} A historical re-sync gives it the new type."


def _nullability(config: StreamConfig, column: Field) -> Entry:
    words = ("may be NULL", "never NULL")
    before, after = reversed(words) if column.nullable else words
    effect = "Nothing changes in the destination."
    used = is_selected(config, column.name)
    if used and column.nullable and merged_by(config, column.name):
        effect = "Records without this key column become failed records."
    elif used and column.nullable and read_by(config, column.name) and not config.include_null_cursor:
        effect = "Records without a cursor value become failed records."
    return Entry(ChangeKind.NULLABILITY_CHANGED, ChangeClass.ADDITIVE, column.name, before, after, effect, used)


def _key(config: StreamConfig, before: Sequence[str], after: Sequence[str]) -> Entry:
    entry = Entry(ChangeKind.KEY_CHANGED, ChangeClass.ADDITIVE, before=", ".join(before), after=", ".join(after))
    if config.sync_mode is not SyncMode.INCREMENTAL_UPSERT or config.primary_key != tuple(before):
        return replace(entry, effect="The connector does not use it: nothing changes.", used=False)
    key = ", ".join(config.primary_key)
    if after and set(after) <= set(config.primary_key):
        return replace(entry, effect=f"Records go on being merged by {key}.")
    effect = f"Records go on being merged by {key}: those that share it replace one another. Another key is chosen in the set-up."
    return replace(entry, change_class=ChangeClass.BREAKING, effect=effect)


def _type(column: Field) -> str:
    return column.native or str(column.type)


def _types(old: Field, column: Field) -> tuple[str, str]:
    """Both types by the source's names, or by ours where the source's do not tell them apart."""
    natives = _type(old), _type(column)
    return natives if natives[0] != natives[1] else (str(old.type), str(column.type))


def fits(existing: Field, wanted: Field) -> bool:
    """Whether a destination's column that was made for one field holds every value of another, whatever the destination."""
    return rules.holds(existing.type, wanted.type) and column_holds(column_sql(existing), column_sql(wanted))
