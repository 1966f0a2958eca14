"""A connector's streams in a person's hands: which are selected, how they are set up, what differs, what is wrong.

Which streams are selected is a set, so that taking 5,000 in or out is one operation on sets; set-ups are held for those streams
alone that were edited, and what is wrong with one is found out when somebody asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from syncterm.editing.stream_baseline import Baseline, differing, merged
from syncterm.editing.stream_problems import Problem, fold_table, stream_problems
from syncterm.engine.drafts import CatalogEntry
from syncterm.engine.model import StreamConfig
from syncterm.engine.schema import StreamSchema
from syncterm.engine.stream_defaults import EndAbilities, Suggestion, default_config, suggest


class StreamState:
    """What is known, selected and set up; `StreamEditing` changes it step by step.

    Args:
        base: what is offered and saved.
        abilities: what the two ends can do.
    """

    def __init__(self, base: Baseline, abilities: EndAbilities | None = None) -> None:
        self.abilities = abilities or EndAbilities()
        self._base = base
        self._schemas: dict[str, StreamSchema] = {}
        self._suggestions: dict[str, Suggestion] = {}
        self._sets: dict[str, tuple[StreamConfig, frozenset[str]]] = {}
        """Stream → its selected columns as a set, for the set-up they were taken from."""
        self._selected: frozenset[str] = self._base.selected
        self._edited: dict[str, StreamConfig] = {}
        """Stream → its set-up, where it is not the saved one, or where none is saved."""
        self._group_tables()
        self._examine_all()

    def _group_tables(self) -> None:
        """Which streams, selected or not, go to the same table."""
        self._tables: dict[str, set[str]] = {}
        """Folded table → the streams that go to it."""
        own = self._base.tables
        for name in self._base.entries:
            self._tables.setdefault(fold_table(own.get(name, name), self.abilities), set()).add(name)
        self._shared = {table for table, names in self._tables.items() if len(names) > 1}
        for name, config in self._edited.items():
            self._move(name, fold_table(own.get(name, name), self.abilities), fold_table(config.target, self.abilities))

    def _move(self, name: str, table: str, other: str) -> None:
        """A stream goes to another table."""
        if table == other:
            return
        self._tables[table].discard(name)
        self._tables.setdefault(other, set()).add(name)
        for each in (table, other):
            (self._shared.add if len(self._tables[each]) > 1 else self._shared.discard)(each)

    def _examine_all(self) -> None:
        """Nothing is known of what is wrong: streams are looked at when somebody asks. Defaults are right by their making."""
        self._faulty: set[str] = set()
        """Streams whose own set-up could not be synced, as far as they were looked at, selected or not."""
        self._unexamined = {*self._base.saved, *self._base.unselected, *self._edited}
        self._changed: frozenset[str] | None = None
        """What `changed` says; None as long as nobody asked."""

    # --- What is known

    @property
    def entries(self) -> tuple[CatalogEntry, ...]:
        """Every stream: those that the source offers, then those that only the connector knows."""
        return tuple(self._base.entries.values())

    def offered(self, name: str) -> bool:
        """Whether the source offers the stream; True as long as nothing was discovered."""
        return name in self._base.offered or not self._base.offered

    def barred(self, name: str) -> str:
        """Why no connector can have a stream of this name; empty where one can."""
        return self._base.barred.get(name, "")

    def set_abilities(self, abilities: EndAbilities) -> None:
        """Another end was chosen: defaults and problems are what it can do. No step."""
        if abilities != self.abilities:
            self.abilities = abilities
            self._group_tables()
            self._examine_all()

    def learn(self, *schemas: StreamSchema) -> None:
        """Take note of the columns of streams. No step: it changes what is known, nothing that a person did."""
        for schema in schemas:
            self._schemas[schema.name] = schema
            self._suggestions[schema.name] = suggest(schema)
            self._look_anew(schema.name)

    def learn_suggestions(self, suggestions: Mapping[str, Suggestion]) -> None:
        """Take note of keys and cursors that the catalog suggests, without the columns: defaults for many streams at once."""
        self._suggestions.update(suggestions)

    def unknown(self, names: Iterable[str]) -> tuple[str, ...]:
        """Those streams of which no key and no cursor is known, so that their default would be to replace everything."""
        return tuple(
            name for name in names if name not in self._suggestions and name in self._base.offered and self._kept(name) is None
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
        return tuple(name for name, folded in self._base.folded if needle in folded)

    # --- The set-up as it is now

    def _kept(self, name: str) -> StreamConfig | None:
        """The stream's set-up, where it is more than the default."""
        return self._edited.get(name) or self._base.config(name)

    def selected(self, name: str) -> bool:
        return name in self._selected

    def all_selected(self, names: Iterable[str]) -> bool:
        """Whether every one of those streams is selected that can be."""
        return self._selected.issuperset(set(names) - self._base.barred.keys())

    @property
    def selected_count(self) -> int:
        return len(self._selected)

    def config(self, name: str) -> StreamConfig:
        """The stream's set-up: a person's, or the default that it would have when selected."""
        return self._kept(name) or self.default(name)

    def default(self, name: str) -> StreamConfig:
        """What the stream starts with when it is selected."""
        return default_config(name, self._suggestions.get(name, Suggestion()), self.abilities)

    def column_selected(self, name: str, column: str) -> bool:
        """Whether a column is chosen, in a selected stream or not."""
        chosen = self._chosen(name)
        return chosen is None or column in chosen

    def _chosen(self, name: str) -> frozenset[str] | None:
        config = self._kept(name)
        if config is None or config.columns is None:
            return None
        held = self._sets.get(name)
        if held is None or held[0] is not config:
            held = self._sets[name] = config, frozenset(config.columns)
        return held[1]

    def column_counts(self, name: str) -> tuple[int, int]:
        """Chosen columns and all columns of a stream, as far as known."""
        schema = self._schemas.get(name)
        total = len(schema.fields) if schema is not None else self._base.entries[name].column_count
        chosen = self._chosen(name)
        return (total if chosen is None else len(chosen)), total

    def streams(self) -> tuple[StreamConfig, ...]:
        """The selected streams: the saved ones in their order, then the new ones in the source's order."""
        selected, base = self._selected, self._base
        names = [name for name in base.saved if name in selected]
        names += [name for name in base.entries if name in selected and name not in base.selected]
        return tuple(map(self.config, names))

    # --- Changing it

    def _select(self, names: frozenset[str]) -> None:
        self._selected = names & self._base.entries.keys()
        self._changed = None

    def _put(self, name: str, config: StreamConfig | None) -> None:
        """Set a stream up; None for the default, or for what is saved."""
        if name not in self._base.entries:
            return
        table, saved = self._table_of(name), self._base.config(name)
        if config is None or config == saved:
            self._edited.pop(name, None)
        else:
            self._edited[name] = config
        self._move(name, table, self._table_of(name))
        self._look_anew(name)

    def _look_anew(self, name: str) -> None:
        if self._kept(name) is not None:
            self._unexamined.add(name)
        self._faulty.discard(name)
        self._changed = None

    def _table_of(self, name: str) -> str:
        config = self._edited.get(name)
        target = config.target if config is not None else self._base.tables.get(name, name)
        return fold_table(target, self.abilities)

    def _reset(self) -> None:
        """Everything as saved."""
        self._selected = self._base.selected
        self._edited.clear()
        self._group_tables()
        self._examine_all()

    # --- Against the saved state

    @property
    def changed(self) -> Collection[str]:
        """Streams that differ from what is saved."""
        if self._changed is None:
            saved = self._base.selected
            edited = (name for name in self._edited if name in saved and name in self._selected)
            self._changed = (self._selected ^ saved).union(edited)
        return self._changed

    def differences(self, name: str) -> tuple[str, ...]:
        """What differs from the saved set-up: `selected`, or fields of `StreamConfig`."""
        if name not in self.changed:
            return ()
        saved = self.saved_config(name)
        return ("selected",) if saved is None or name not in self._selected else differing(saved, self.config(name))

    def saved_config(self, name: str) -> StreamConfig | None:
        """The set-up of a stream that is selected in what is saved."""
        return self._base.saved.get(name)

    def column_changed(self, name: str, column: str) -> bool:
        """Whether what is set for a column differs from what is saved."""
        saved = self.saved_config(name)
        if name not in self.changed or saved is None or not self.selected(name):
            return False
        config = self.config(name)
        return (
            self.column_selected(name, column) != (saved.columns is None or column in saved.columns)
            or (column in config.primary_key) != (column in saved.primary_key)
            or (column == config.cursor_field) != (column == saved.cursor_field)
            or config.casts.get(column) != saved.casts.get(column)
        )

    def rebase(self, base: Baseline) -> dict[str, tuple[str, ...]]:
        """What is saved or offered is another one now: by this person, somebody else, or a sync. Edits go on from there.

        Returns:
            Edited streams of which somebody else changed the same → what both changed: `selected`, or fields of `StreamConfig`. The
            edit stands.
        """
        before, self._base = self._base, base
        known = base.entries.keys()
        taken, left = self._selected - before.selected, before.selected - self._selected
        # Streams that somebody left out while this person set them up stay: the edit says that they are wanted.
        set_up = {name for name in self._edited if name in self._selected and name in before.selected and name in known}
        both: dict[str, tuple[str, ...]] = dict.fromkeys(set_up - base.selected, ("selected",))
        self._selected = frozenset((base.selected | taken | both.keys()) - left) & known
        edited, self._edited = self._edited, {}
        for name, mine in edited.items():
            old, theirs = before.config(name), base.config(name)
            if name not in known:
                continue
            if old is not None and theirs is not None:
                clashing = set(differing(old, mine)) & set(differing(old, theirs)) & set(differing(mine, theirs))
                if clashing and name in self._selected:
                    both[name] = (*both.get(name, ()), *(each for each in differing(mine, theirs) if each in clashing))
                mine = merged(old, mine, theirs)
            if mine != theirs:
                self._edited[name] = mine
        self._sets.clear()
        self._group_tables()
        self._examine_all()
        return both

    # --- Problems

    @property
    def troubled(self) -> Collection[str]:
        """Selected streams that could not be synced as they are set up; the first time it looks at all of them."""
        found = {name for name in tuple(self._unexamined & self._selected) if self._is_faulty(name)}
        found |= self._faulty & self._selected
        if self._base.offered:
            found |= self._selected - self._base.offered.keys()
        for table in self._shared:
            sharing = self._tables[table] & self._selected
            if len(sharing) > 1:
                found |= sharing
        return found

    def blocked(self, name: str) -> bool:
        """Whether a stream is selected and could not be synced as it is set up."""
        return name in self._selected and (self._is_faulty(name) or not self.offered(name) or bool(self._sharing(name)))

    def _is_faulty(self, name: str) -> bool:
        if name in self._unexamined:
            self._unexamined.discard(name)
            if any(problem.blocking for problem in self._own_problems(name)):
                self._faulty.add(name)
        return name in self._faulty

    def _sharing(self, name: str) -> tuple[str, ...]:
        """Other selected streams that go to the same table."""
        table = self._table_of(name)
        return tuple(sorted((self._tables[table] & self._selected) - {name})) if table in self._shared else ()

    def _own_problems(self, name: str) -> tuple[Problem, ...]:
        return stream_problems(self.config(name), schema=self._schemas.get(name), abilities=self.abilities)

    def problems(self, name: str) -> tuple[Problem, ...]:
        """What is wrong with a selected stream, the worst first; notes, too."""
        if not self.selected(name):
            return ()
        return stream_problems(
            self.config(name),
            schema=self._schemas.get(name),
            offered=self.offered(name),
            sharing=self._sharing(name),
            abilities=self.abilities,
        )
