"""Choosing and setting up the streams of a connector, as a pure model: edits, undo and redo, what changed, what is wrong.

The Schema tab and the wizard stand on it. It knows the list of streams (names, numbers of columns), the connector's set-up, and the
schemas of the streams that were looked at so far; an edit costs what it changes, whether the list has 20 streams or 5,000.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from syncterm.editing.stream_baseline import Baseline, merged
from syncterm.editing.stream_state import StreamState
from syncterm.engine.casting import can_cast
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import DeleteHandling, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import LogicalType, StreamSchema
from syncterm.engine.stream_defaults import EndAbilities, Suggestion

MOST_STEPS = 500
"""Steps that can be undone."""
MOST_STATES = 100_000
"""States of single streams that those steps hold together; the newest step is always kept."""


@dataclass(frozen=True, slots=True)
class _Change:
    """One stream's set-up in one step."""

    before: StreamConfig
    after: StreamConfig
    first: bool
    """Whether it had none of its own before: it was the default."""


@dataclass(frozen=True, slots=True)
class _Step:
    title: str
    selects: frozenset[str] = frozenset()
    deselects: frozenset[str] = frozenset()
    changes: Mapping[str, _Change] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return len(self.selects) + len(self.deselects) + len(self.changes)


class StreamEditing(StreamState):
    """The streams of one connector in a person's hands.

    Args:
        base: what the source offers, and what is saved.
        abilities: what the two ends can do.
    """

    def __init__(self, base: Baseline, *, abilities: EndAbilities | None = None) -> None:
        super().__init__(base, abilities)
        self._undone: list[_Step] = []
        self._done: deque[_Step] = deque()
        self._held = 0

    # --- Edits. Each is one step, and returns how many streams it changed.

    def select(self, names: Iterable[str], selected: bool = True) -> int:
        """Take streams into the connector, or out; a stream that comes back has the set-up it had.

        What no connector can name stays out.
        """
        wanted = self._base.entries.keys() & names
        if selected:
            wanted -= self._base.barred.keys()
        changed = frozenset(wanted - self._selected if selected else wanted & self._selected)
        word = "Selected" if selected else "Deselected"
        return self._apply(_Step(_titled(word, changed), *((changed, frozenset()) if selected else (frozenset(), changed))))

    def select_columns(self, name: str, columns: Iterable[str], selected: bool = True) -> int:
        """Choose columns of a stream, or leave them out; choosing one in a stream that is not selected selects the stream with it.

        A column that is left out and read for nothing else loses its cast.

        Raises:
            ConfigError: the stream's columns have not been learned.
        """
        schema = self._need(name)
        wanted = {column for column in columns if any(field.name == column for field in schema.fields)}
        config = self.config(name)
        order = [field.name for field in schema.fields]
        if name not in self._selected:
            if not selected or not wanted or self.barred(name):
                return 0
            chosen = wanted
        else:
            before = set(order if config.columns is None else config.columns)
            chosen = before | wanted if selected else before - wanted
        read = {*chosen, *config.primary_key, config.cursor_field}
        casts = {column: type_ for column, type_ in config.casts.items() if column in read}
        after = replace(config, columns=self._columns(name, order, chosen), casts=casts)
        title = f"{'Selected' if selected else 'Deselected'} {_columns_text(name, wanted)}"
        return self._apply(_Step(title, frozenset({name}) - self._selected, changes=self._changes([after])))

    def _columns(self, name: str, order: Sequence[str], chosen: Collection[str]) -> tuple[str, ...] | None:
        """The columns as they were saved where they are the same ones; None where they are all; else in the source's order."""
        saved = self._base.config(name)
        if saved is not None and saved.columns is not None and set(saved.columns) == set(chosen):
            return saved.columns
        if len(chosen) == len(order) and all(column in chosen for column in order):
            return None
        known = set(order)
        return (*(column for column in order if column in chosen), *sorted(column for column in chosen if column not in known))

    def set_sync_mode(self, names: Iterable[str], mode: SyncMode) -> int:
        """How records arrive; an incremental mode takes the suggested key and cursor where a stream has none.

        A look-back goes with upsert alone: any other mode would repeat records.
        """

        def change(config: StreamConfig) -> StreamConfig:
            suggestion = self._suggestions.get(config.name, Suggestion())
            cursor = config.cursor_field or (suggestion.cursor_field if mode.incremental else None)
            key = config.primary_key or (suggestion.primary_key if mode is SyncMode.INCREMENTAL_UPSERT else ())
            look_back = config.look_back if mode is SyncMode.INCREMENTAL_UPSERT else None
            return replace(config, sync_mode=mode, cursor_field=cursor, primary_key=key, look_back=look_back)

        return self._edit("Sync mode", names, change)

    def set_primary_key(self, name: str, columns: Iterable[str]) -> int:
        """The columns that tell records apart, in their order."""
        return self._edit("Primary key", [name], lambda config: replace(config, primary_key=tuple(dict.fromkeys(columns))))

    def toggle_key(self, name: str, column: str) -> int:
        """Add a column to the primary key, or take it out."""
        key = self.config(name).primary_key
        wanted = tuple(part for part in key if part != column) if column in key else (*key, column)
        saved = self._base.config(name)
        for familiar in (saved.primary_key if saved is not None else (), self._suggestions.get(name, Suggestion()).primary_key):
            if set(familiar) == set(wanted):
                wanted = familiar
                break
        return self.set_primary_key(name, wanted)

    def set_cursor(self, name: str, column: str | None) -> int:
        """The column whose value says how far the stream has been read."""
        return self._edit("Cursor", [name], lambda config: replace(config, cursor_field=column))

    def set_cast(self, name: str, column: str, to: LogicalType | None) -> int:
        """The type that a column arrives in; None for the one that was discovered.

        Raises:
            ConfigError: the stream's columns have not been learned, the stream has no such column, or no such cast exists.
        """
        try:
            discovered = self._need(name).field(column).type
        except KeyError:
            raise ConfigError(f"Stream {name!r} has no column {column!r}.", remedy="Correct the column's name.") from None
        if to is not None and to != discovered and not can_cast(discovered, to):
            raise ConfigError(
                f"Column {column!r} has the type {discovered}, which cannot be cast to {to}.",
                remedy="Choose one of the types that are offered.",
            )

        def change(config: StreamConfig) -> StreamConfig:
            casts = {other: type_ for other, type_ in config.casts.items() if other != column}
            if to is not None and to != discovered:
                casts[column] = str(to)
            return replace(config, casts=casts)

        return self._edit(f"Cast of {column} in", [name], change)

    def set_row_filter(self, names: Iterable[str], text: str | None) -> int:
        """Which records are read; empty or None for all. What does not parse is kept, and is a problem of the stream."""
        wanted = (text or "").strip() or None
        return self._edit("Row filter", names, lambda config: replace(config, row_filter=wanted))

    def set_delete_handling(self, names: Iterable[str], handling: DeleteHandling) -> int:
        """What becomes of records that are gone in the source."""
        return self._edit("Delete handling", names, lambda config: replace(config, delete_handling=handling))

    def set_look_back(self, names: Iterable[str], look_back: timedelta | None) -> int:
        """How far below the cursor records are read again; None or zero for not at all."""
        wanted = look_back or None
        return self._edit("Look-back", names, lambda config: replace(config, look_back=wanted))

    def set_include_null_cursor(self, names: Iterable[str], include: bool) -> int:
        """Whether records without a cursor value are read at every sync; else they are failed records."""
        return self._edit("Records without cursor", names, lambda config: replace(config, include_null_cursor=include))

    def set_table(self, name: str, table: str | None) -> int:
        """The stream's name in the destination; empty or None for its own name."""
        wanted = table if table and table != name else None
        return self._edit("Target table", [name], lambda config: replace(config, table=wanted))

    def set_schema_policy(self, names: Iterable[str], policy: SchemaPolicy | None) -> int:
        """What happens when the stream's schema changes; None for the connector's policy."""
        return self._edit("Schema policy", names, lambda config: replace(config, schema_policy=policy))

    def _edit(self, title: str, names: Iterable[str], change: Callable[[StreamConfig], StreamConfig]) -> int:
        """Change the set-up of those streams that are selected."""
        after = [change(self.config(name)) for name in names if name in self._selected]
        changes = self._changes(after)
        return self._apply(_Step(_titled(f"{title} of" if not title.endswith(" in") else title, changes), changes=changes))

    def _changes(self, configs: Iterable[StreamConfig]) -> dict[str, _Change]:
        """What those set-ups change of the present ones."""
        return {
            config.name: _Change(before, config, self._kept(config.name) is None)
            for config in configs
            if (before := self.config(config.name)) != config
        }

    def _need(self, name: str) -> StreamSchema:
        schema = self._schemas.get(name)
        if schema is None:
            raise ConfigError(f"The columns of stream {name!r} have not been read yet.", remedy="Open the stream, then try again.")
        return schema

    # --- Steps

    def _apply(self, step: _Step) -> int:
        if not step.size:
            return 0
        self._undone.clear()
        self._done.append(step)
        self._held += step.size
        while len(self._done) > 1 and (len(self._done) > MOST_STEPS or self._held > MOST_STATES):
            self._held -= self._done.popleft().size
        self._do(step)
        return len({*step.selects, *step.deselects, *step.changes})

    def undo(self) -> str | None:
        """Take the last step back; what it was, None where there is none."""
        if not self._done:
            return None
        step = self._done.pop()
        self._held -= step.size
        self._undone.append(step)
        self._select((self._selected - step.selects) | step.deselects)
        for name, change in step.changes.items():
            # What others changed meanwhile stays: only what the step did is taken back.
            config = merged(change.after, change.before, self.config(name))
            self._put(name, None if change.first and config == change.before else config)
        return step.title

    def redo(self) -> str | None:
        """Do the step again that was undone last; what it was, None where there is none."""
        if not self._undone:
            return None
        step = self._undone.pop()
        self._held += step.size
        self._done.append(step)
        self._do(step)
        return step.title

    def _do(self, step: _Step) -> None:
        self._select((self._selected | step.selects) - step.deselects)
        for name, change in step.changes.items():
            self._put(name, merged(change.before, change.after, self.config(name)))

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def discard(self) -> None:
        """Forget every step: the set-up is as saved."""
        self._done.clear()
        self._undone.clear()
        self._held = 0
        self._reset()


def _titled(what: str, after: Collection[str]) -> str:
    names = list(after)
    return f"{what} {names[0]}" if len(names) == 1 else f"{what} {len(names):,} streams"


def _columns_text(name: str, columns: Collection[str]) -> str:
    return f"{next(iter(columns))} of {name}" if len(columns) == 1 else f"{len(columns):,} columns of {name}"
