"""Choosing and setting up the streams of a connector, as a pure model: edits, undo and redo, what changed, what is wrong.

The Schema tab and the wizard stand on it. It knows the list of streams (names, numbers of columns), the connector's set-up, and the
schemas of the streams that were looked at so far; an edit costs what it changes, whether the list has 20 streams or 5,000.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from syncterm.engine.casting import can_cast
from syncterm.engine.drafts import CatalogEntry
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import DeleteHandling, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import LogicalType, StreamSchema
from syncterm.engine.stream_defaults import EndAbilities, Suggestion, default_config, suggest
from syncterm.stream_problems import Problem, fold_table, stream_problems

MOST_STEPS = 500
"""Steps that can be undone."""
MOST_STATES = 100_000
"""States of single streams that those steps hold together; the newest step is always kept."""


@dataclass(frozen=True, slots=True)
class _State:
    selected: bool
    config: StreamConfig | None
    """None: the default, from what the catalog suggests."""


@dataclass(frozen=True, slots=True)
class _Step:
    title: str
    before: Mapping[str, _State]
    after: Mapping[str, _State]


_UNTOUCHED = _State(False, None)


class StreamEditing:
    """The streams of one connector in a person's hands.

    Args:
        entries: what the source offers, in its order.
        saved: the selected streams as saved, in their order.
        unselected: set-ups of streams that are not selected; they come back when one is.
        applied: streams with a set-up that the source does not offer, with as many columns as were last synced.
        abilities: what the two ends can do.
    """

    def __init__(
        self,
        entries: Iterable[CatalogEntry],
        saved: Iterable[StreamConfig] = (),
        *,
        unselected: Iterable[StreamConfig] = (),
        applied: Iterable[CatalogEntry] = (),
        abilities: EndAbilities | None = None,
    ) -> None:
        self.abilities = abilities or EndAbilities()
        self._schemas: dict[str, StreamSchema] = {}
        self._suggestions: dict[str, Suggestion] = {}
        self._states: dict[str, _State] = {}
        self._undone: list[_Step] = []
        self._done: deque[_Step] = deque()
        self._held = 0
        self._sets: dict[str, tuple[StreamConfig, frozenset[str]]] = {}
        """Stream → its selected columns as a set, for the set-up they were taken from."""
        self._take_offered(entries, applied)
        self._take_saved(saved, unselected)
        self._states = dict(self._saved)
        self._count_all()

    def _take_offered(self, entries: Iterable[CatalogEntry], applied: Iterable[CatalogEntry]) -> None:
        self._offered = {entry.name: entry for entry in entries}
        self._applied = {entry.name: entry for entry in applied}

    def _take_saved(self, saved: Iterable[StreamConfig], unselected: Iterable[StreamConfig]) -> None:
        self._saved: dict[str, _State] = {config.name: _State(True, config) for config in saved}
        self._saved_order = tuple(self._saved)
        for config in unselected:
            self._saved.setdefault(config.name, _State(False, config))
        missing = [self._applied.get(name, CatalogEntry(name, 0)) for name in self._saved if name not in self._offered]
        self._entries = {**self._offered, **{entry.name: entry for entry in missing}}
        self._folded = [(name, name.casefold()) for name in self._entries]

    def _count_all(self) -> None:
        self._changed: set[str] = set()
        self._troubled: set[str] = set()
        self._tables: dict[str, set[str]] = {}
        for name, state in self._states.items():
            if state.selected:
                self._tables.setdefault(self._table_of(name), set()).add(name)
        self._note(self._states)

    # --- What is known

    @property
    def entries(self) -> tuple[CatalogEntry, ...]:
        """Every stream: those that the source offers, then those that only the connector knows."""
        return tuple(self._entries.values())

    def offered(self, name: str) -> bool:
        """Whether the source offers the stream; True as long as nothing was discovered."""
        return name in self._offered or not self._offered

    def set_abilities(self, abilities: EndAbilities) -> None:
        """Another end was chosen: defaults and problems are what it can do. No step."""
        if abilities != self.abilities:
            self.abilities = abilities
            self._count_all()

    def learn(self, *schemas: StreamSchema) -> None:
        """Take note of the columns of streams. No step: it changes what is known, nothing that a person did."""
        for schema in schemas:
            self._schemas[schema.name] = schema
            self._suggestions[schema.name] = suggest(schema)
        self._note([schema.name for schema in schemas])

    def learn_suggestions(self, suggestions: Mapping[str, Suggestion]) -> None:
        """Take note of keys and cursors that the catalog suggests, without the columns: defaults for many streams at once."""
        self._suggestions.update(suggestions)
        self._note([name for name in suggestions if name in self._states])

    def unknown(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those streams of which no key and no cursor is known, so that their default would be to replace everything."""
        return tuple(
            name for name in names if name not in self._suggestions and name in self._offered and self._state(name).config is None
        )

    def schema(self, name: str) -> StreamSchema | None:
        """The stream's columns; None as long as they were not learned."""
        return self._schemas.get(name)

    def forget_schemas(self, keep: Collection[str] = ()) -> None:
        """What was learned may be out of date: it is asked for again. What is kept stays until it is learned anew."""
        self._schemas = {name: schema for name, schema in self._schemas.items() if name in keep}

    def matching(self, text: str) -> tuple[str, ...]:
        """The streams whose name contains the text, upper and lower case alike, in the list's order."""
        needle = text.casefold()
        return tuple(name for name, folded in self._folded if needle in folded)

    # --- The set-up as it is now

    def _state(self, name: str) -> _State:
        return self._states.get(name, _UNTOUCHED)

    def selected(self, name: str) -> bool:
        return self._state(name).selected

    @property
    def selected_count(self) -> int:
        return sum(map(len, self._tables.values()))

    def config(self, name: str) -> StreamConfig:
        """The stream's set-up: a person's, or the default that it would have when selected."""
        return self._state(name).config or self.default(name)

    def default(self, name: str) -> StreamConfig:
        """What the stream starts with when it is selected."""
        return default_config(name, self._suggestions.get(name, Suggestion()), self.abilities)

    def column_selected(self, name: str, column: str) -> bool:
        """Whether a column is chosen, in a selected stream or not."""
        chosen = self._chosen(name)
        return chosen is None or column in chosen

    def _chosen(self, name: str) -> frozenset[str] | None:
        config = self._state(name).config
        if config is None or config.columns is None:
            return None
        held = self._sets.get(name)
        if held is None or held[0] is not config:
            held = self._sets[name] = config, frozenset(config.columns)
        return held[1]

    def column_counts(self, name: str) -> tuple[int, int]:
        """Chosen columns and all columns of a stream, as far as known."""
        schema = self._schemas.get(name)
        total = len(schema.fields) if schema is not None else self._entries[name].column_count
        chosen = self._chosen(name)
        return (total if chosen is None else len(chosen)), total

    def streams(self) -> tuple[StreamConfig, ...]:
        """The selected streams: the saved ones in their order, then the new ones in the source's order."""
        saved = [name for name in self._saved_order if self._state(name).selected]
        known = set(saved)
        new = [name for name in self._entries if name not in known and self._state(name).selected]
        return tuple(self.config(name) for name in (*saved, *new))

    # --- Edits. Each is one step, and returns how many streams it changed.

    def select(self, names: Iterable[str], selected: bool = True) -> int:
        """Take streams into the connector, or out; a stream that comes back has the set-up it had."""
        after = {
            name: replace(self._state(name), selected=selected)
            for name in names
            if name in self._entries and self._state(name).selected != selected
        }
        word = "Selected" if selected else "Deselected"
        return self._apply(_titled(word, after), after)

    def select_columns(self, name: str, columns: Iterable[str], selected: bool = True) -> int:
        """Choose columns of a stream, or leave them out; choosing one in a stream that is not selected selects the stream with it.

        A column that is left out and read for nothing else loses its cast.

        Raises:
            ConfigError: the stream's columns have not been learned.
        """
        schema = self._need(name)
        wanted = {column for column in columns if any(field.name == column for field in schema.fields)}
        state, config = self._state(name), self.config(name)
        order = [field.name for field in schema.fields]
        if not state.selected:
            if not selected or not wanted:
                return 0
            chosen = wanted
        else:
            before = set(order if config.columns is None else config.columns)
            chosen = before | wanted if selected else before - wanted
        read = {*chosen, *config.primary_key, config.cursor_field}
        casts = {column: type_ for column, type_ in config.casts.items() if column in read}
        after = _State(True, replace(config, columns=self._columns(name, order, chosen), casts=casts))
        return self._apply(f"{'Selected' if selected else 'Deselected'} {_columns_text(name, wanted)}", {name: after})

    def _columns(self, name: str, order: Sequence[str], chosen: Collection[str]) -> tuple[str, ...] | None:
        """The columns as they were saved where they are the same ones; None where they are all; else in the source's order."""
        saved = self._saved.get(name, _UNTOUCHED).config
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
        saved = self._saved.get(name, _UNTOUCHED).config
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
        after = {
            name: _State(True, changed)
            for name in names
            if self.selected(name) and (changed := change(config := self.config(name))) != config
        }
        return self._apply(_titled(f"{title} of" if not title.endswith(" in") else title, after), after)

    def _need(self, name: str) -> StreamSchema:
        schema = self._schemas.get(name)
        if schema is None:
            raise ConfigError(f"The columns of stream {name!r} have not been read yet.", remedy="Open the stream, then try again.")
        return schema

    # --- Steps

    def _apply(self, title: str, after: Mapping[str, _State]) -> int:
        after = {name: state for name, state in after.items() if state != self._state(name)}
        if not after:
            return 0
        self._undone.clear()
        self._done.append(_Step(title, {name: self._state(name) for name in after}, after))
        self._held += len(after)
        while len(self._done) > 1 and (len(self._done) > MOST_STEPS or self._held > MOST_STATES):
            self._held -= len(self._done.popleft().after)
        self._put(after)
        return len(after)

    def undo(self) -> str | None:
        """Take the last step back; what it was, None where there is none."""
        if not self._done:
            return None
        step = self._done.pop()
        self._held -= len(step.after)
        self._undone.append(step)
        self._put(step.before)
        return step.title

    def redo(self) -> str | None:
        """Do the step again that was undone last; what it was, None where there is none."""
        if not self._undone:
            return None
        step = self._undone.pop()
        self._held += len(step.after)
        self._done.append(step)
        self._put(step.after)
        return step.title

    @property
    def can_undo(self) -> bool:
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        return bool(self._undone)

    def _put(self, states: Mapping[str, _State]) -> None:
        touched = set(states)
        for name, state in states.items():
            if self._state(name).selected:
                table = self._table_of(name)
                sharing = self._tables[table]
                sharing.discard(name)
                touched |= sharing
                if not sharing:
                    del self._tables[table]
            self._states[name] = state
            if state.selected:
                sharing = self._tables.setdefault(self._table_of(name), set())
                touched |= sharing
                sharing.add(name)
        self._note(touched)

    def _table_of(self, name: str) -> str:
        config = self._state(name).config
        return fold_table(config.target if config is not None else name, self.abilities)

    def _note(self, names: Iterable[str]) -> None:
        """Bring what changed and what is wrong up to date for those streams."""
        for name in names:
            state, saved = self._state(name), self._saved.get(name, _UNTOUCHED)
            same = state is saved or (
                state.selected == saved.selected
                and (not state.selected or state.config is saved.config or self.config(name) == saved.config)
            )
            (self._changed.discard if same else self._changed.add)(name)
            blocked = state.selected and any(problem.blocking for problem in self.problems(name))
            (self._troubled.add if blocked else self._troubled.discard)(name)

    # --- Against the saved state

    @property
    def changed(self) -> Collection[str]:
        """Streams that differ from what is saved."""
        return self._changed

    def differences(self, name: str) -> tuple[str, ...]:
        """What differs from the saved set-up: `selected`, or fields of `StreamConfig`."""
        state, saved = self._state(name), self._saved.get(name, _UNTOUCHED)
        if state.selected != saved.selected:
            return ("selected",)
        if not state.selected or saved.config is None:
            return ()
        config = self.config(name)
        return tuple(field for field in StreamConfig.__slots__ if getattr(config, field) != getattr(saved.config, field))

    def saved_config(self, name: str) -> StreamConfig | None:
        """The set-up of a stream that is selected in what is saved."""
        state = self._saved.get(name, _UNTOUCHED)
        return state.config if state.selected else None

    def column_changed(self, name: str, column: str) -> bool:
        """Whether what is set for a column differs from what is saved."""
        saved = self.saved_config(name)
        if name not in self._changed or saved is None or not self.selected(name):
            return False
        config = self.config(name)
        return (
            self.column_selected(name, column) != (saved.columns is None or column in saved.columns)
            or (column in config.primary_key) != (column in saved.primary_key)
            or (column == config.cursor_field) != (column == saved.cursor_field)
            or config.casts.get(column) != saved.casts.get(column)
        )

    def mark_saved(self, streams: Iterable[StreamConfig]) -> None:
        """What was saved is what counts now. Steps can still be undone, which then are changes again."""
        wanted = list(streams)
        selected = {config.name for config in wanted}
        rest = [state.config for name, state in self._states.items() if name not in selected and state.config is not None]
        self._take_saved(wanted, rest)
        self._note(list(self._entries))

    def rebase(
        self,
        entries: Iterable[CatalogEntry],
        saved: Iterable[StreamConfig],
        *,
        unselected: Iterable[StreamConfig] = (),
        applied: Iterable[CatalogEntry] = (),
    ) -> None:
        """Somebody else, or a sync, changed what is saved or offered: it is taken over where no step of this person stands."""
        edited = set(self._changed)
        before = self._states
        self._take_offered(entries, applied)
        self._take_saved(saved, unselected)
        self._states = {**self._saved, **{name: before[name] for name in edited if name in before}}
        self._sets.clear()
        self._count_all()

    def discard(self) -> None:
        """Forget every step: the set-up is as saved."""
        self._done.clear()
        self._undone.clear()
        self._held = 0
        self._states = dict(self._saved)
        self._count_all()

    # --- Problems

    @property
    def troubled(self) -> Collection[str]:
        """Selected streams that could not be synced as they are set up."""
        return self._troubled

    def problems(self, name: str) -> tuple[Problem, ...]:
        """What is wrong with a selected stream, the worst first; notes, too."""
        if not self.selected(name):
            return ()
        return stream_problems(
            self.config(name),
            schema=self._schemas.get(name),
            offered=self.offered(name),
            sharing=tuple(sorted(self._tables[self._table_of(name)] - {name})),
            abilities=self.abilities,
        )


def _titled(what: str, after: Collection[str]) -> str:
    names = list(after)
    return f"{what} {names[0]}" if len(names) == 1 else f"{what} {len(names):,} streams"


def _columns_text(name: str, columns: Collection[str]) -> str:
    return f"{next(iter(columns))} of {name}" if len(columns) == 1 else f"{len(columns):,} columns of {name}"
