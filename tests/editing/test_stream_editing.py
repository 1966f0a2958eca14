"""Editing a connector's streams: every edit, undo and redo, defaults, what changed, what is wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from syncterm.editing import stream_editing
from syncterm.editing.stream_baseline import Baseline
from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine.drafts import CatalogEntry
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import DeleteHandling, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import Field, StreamSchema, parse_type
from syncterm.engine.stream_defaults import EndAbilities, Suggestion, suggest, suggest_from_document

COLUMNS = ("id", "total", "note", "created_at", "updated_at")
TYPES = ("int64", "decimal(18,2)", "text", "timestamptz", "timestamptz")


def schema(name: str, **values: Any) -> StreamSchema:
    fields = tuple(Field(column, parse_type(type_)) for column, type_ in zip(COLUMNS, TYPES, strict=True))
    return StreamSchema(name, fields, **{"primary_key": ("id",), "cursor_candidates": ("created_at", "updated_at"), **values})


def editing(*saved: StreamConfig, names: tuple[str, ...] = ("orders", "customers", "audit"), **values: Any) -> StreamEditing:
    """An editing of three streams, all of whose columns are known."""
    made = StreamEditing(Baseline([CatalogEntry(name, len(COLUMNS)) for name in names], saved), **values)
    made.learn(*map(schema, names))
    return made


def messages(edited: StreamEditing, name: str, *, blocking: bool = True) -> list[str]:
    return [problem.message for problem in edited.problems(name) if problem.blocking == blocking]


ORDERS = StreamConfig("orders", SyncMode.REPLACE, primary_key=("id",))


# Defaults -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "candidates", "abilities", "mode", "cursor"),
    [
        (("id",), ("created_at", "updated_at"), EndAbilities(), SyncMode.INCREMENTAL_UPSERT, "updated_at"),
        (("id",), ("created_at",), EndAbilities(), SyncMode.INCREMENTAL_UPSERT, "created_at"),
        ((), ("updated_at",), EndAbilities(), SyncMode.INCREMENTAL_APPEND, "updated_at"),
        (("id",), (), EndAbilities(), SyncMode.REPLACE, None),
        (("id",), ("id", "total"), EndAbilities(), SyncMode.REPLACE, None),
        (("updated_at",), ("updated_at",), EndAbilities(), SyncMode.REPLACE, None),
        (("id",), ("updated_at",), EndAbilities(upsert=False), SyncMode.INCREMENTAL_APPEND, "updated_at"),
        (("id",), ("updated_at",), EndAbilities(incremental=False), SyncMode.REPLACE, None),
    ],
)
def test_a_new_stream_starts_with_what_its_catalog_suggests(
    key: tuple[str, ...], candidates: tuple[str, ...], abilities: EndAbilities, mode: SyncMode, cursor: str | None
) -> None:
    edited = StreamEditing(Baseline([CatalogEntry("orders", 5)]), abilities=abilities)
    edited.learn(schema("orders", primary_key=key, cursor_candidates=candidates))

    edited.select(["orders"])

    assert edited.streams() == (StreamConfig("orders", mode, primary_key=key, cursor_field=cursor),)
    assert not edited.troubled


def test_a_document_suggests_what_its_schema_does() -> None:
    assert suggest_from_document(schema("orders").to_document()) == suggest(schema("orders"))


def test_a_default_follows_what_is_learned_after_the_selection() -> None:
    edited = StreamEditing(Baseline([CatalogEntry("orders", 5), CatalogEntry("audit", 5)]))
    edited.select(["orders"])
    assert edited.unknown(["orders", "audit"]) == ("orders", "audit")

    edited.learn_suggestions({"orders": Suggestion(("id",), "updated_at")})

    assert edited.unknown(["orders"]) == ()
    assert edited.config("orders").sync_mode is SyncMode.INCREMENTAL_UPSERT


# Selecting -----------------------------------------------------------------------------------------------------------------


def test_streams_keep_their_saved_order_and_new_ones_follow_in_the_sources() -> None:
    edited = editing(StreamConfig("customers", SyncMode.APPEND), ORDERS, names=("audit", "orders", "customers", "zones"))

    edited.select(["zones"])
    edited.select(["customers"], False)
    edited.select(["audit", "customers"])

    assert [config.name for config in edited.streams()] == ["customers", "orders", "audit", "zones"]


def test_a_stream_that_comes_back_has_the_set_up_it_had() -> None:
    edited = editing(ORDERS)
    edited.set_sync_mode(["orders"], SyncMode.APPEND)
    edited.select(["orders"], False)

    edited.select(["orders"])

    assert edited.config("orders").sync_mode is SyncMode.APPEND


def test_columns_are_left_out_and_come_back() -> None:
    edited = editing(ORDERS)

    edited.select_columns("orders", ["note"], False)
    assert edited.config("orders").columns == ("id", "total", "created_at", "updated_at")
    assert edited.column_counts("orders") == (4, 5)
    assert edited.column_changed("orders", "note")
    assert not edited.column_changed("orders", "total")

    edited.select_columns("orders", ["note"])
    assert edited.config("orders").columns is None
    assert not edited.changed


def test_columns_in_an_order_of_their_own_come_back_in_it() -> None:
    edited = editing(StreamConfig("orders", SyncMode.REPLACE, columns=("total", "id")))

    edited.select_columns("orders", ["total"], False)
    edited.select_columns("orders", ["total"])

    assert not edited.changed


def test_a_column_of_a_stream_that_is_not_selected_selects_the_stream_with_it() -> None:
    edited = editing()

    edited.select_columns("orders", ["note"])

    assert edited.selected("orders")
    assert edited.config("orders").columns == ("note",)


def test_columns_that_were_not_read_yet_cannot_be_chosen() -> None:
    edited = StreamEditing(Baseline([CatalogEntry("orders", 5)], [ORDERS]))

    with pytest.raises(ConfigError, match="not been read yet"):
        edited.select_columns("orders", ["note"])


def test_streams_are_searched_whatever_their_case() -> None:
    assert editing(names=("Orders", "ORDER_LINES", "audit")).matching("order") == ("Orders", "ORDER_LINES")


def test_a_stream_that_no_connector_can_name_stays_out() -> None:
    edited = editing(names=("orders", "", "x" * 2000, "naïve"))

    assert edited.select(["orders", "", "x" * 2000, "naïve"]) == 2
    assert edited.all_selected(["orders", "", "naïve"])
    assert not edited.all_selected(["orders", "", "customers"])
    assert edited.select_columns("", ["id"]) == 0
    assert edited.barred("") == "Its name is empty."
    assert not edited.barred("naïve")


# Setting up ----------------------------------------------------------------------------------------------------------------


def test_an_incremental_mode_takes_the_suggested_key_and_cursor() -> None:
    edited = editing(StreamConfig("orders", SyncMode.REPLACE))

    edited.set_sync_mode(["orders"], SyncMode.INCREMENTAL_UPSERT)

    assert edited.config("orders") == StreamConfig(
        "orders", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="updated_at"
    )


def test_every_setting_is_one_step_that_says_what_it_was() -> None:
    edited = editing(ORDERS, StreamConfig("customers", SyncMode.REPLACE))
    both = ["orders", "customers"]

    edited.set_sync_mode(both, SyncMode.INCREMENTAL_UPSERT)
    edited.toggle_key("orders", "total")
    edited.set_cursor("orders", "created_at")
    edited.set_cast("orders", "total", parse_type("text"))
    edited.set_row_filter(["orders"], " total > 3 ")
    edited.set_delete_handling(both, DeleteHandling.MARK)
    edited.set_look_back(["orders"], timedelta(hours=1))
    edited.set_include_null_cursor(["orders"], True)
    edited.set_table("orders", "orders_copy")
    edited.set_schema_policy(["orders"], SchemaPolicy.APPLY_ALL)
    edited.select_columns("orders", ["note"], False)

    assert edited.config("orders") == StreamConfig(
        "orders",
        SyncMode.INCREMENTAL_UPSERT,
        primary_key=("id", "total"),
        cursor_field="created_at",
        columns=("id", "total", "created_at", "updated_at"),
        casts={"total": "text"},
        row_filter="total > 3",
        include_null_cursor=True,
        look_back=timedelta(hours=1),
        table="orders_copy",
        delete_handling=DeleteHandling.MARK,
        schema_policy=SchemaPolicy.APPLY_ALL,
    )
    titles = []
    while (title := edited.undo()) is not None:
        titles.append(title)
    assert titles == [
        "Deselected note of orders",
        "Schema policy of orders",
        "Target table of orders",
        "Records without cursor of orders",
        "Look-back of orders",
        "Delete handling of 2 streams",
        "Row filter of orders",
        "Cast of total in orders",
        "Cursor of orders",
        "Primary key of orders",
        "Sync mode of 2 streams",
    ]
    assert not edited.changed


def test_what_changes_nothing_is_no_step() -> None:
    edited = editing(ORDERS)

    assert edited.set_sync_mode(["orders", "customers"], SyncMode.REPLACE) == 0
    assert edited.set_table("orders", "orders") == 0
    assert edited.set_cast("orders", "total", parse_type("decimal(18,2)")) == 0
    assert edited.select(["orders", "nothing of the kind"]) == 0
    assert not edited.can_undo


def test_a_cast_that_does_not_exist_is_refused() -> None:
    edited = editing(ORDERS)

    with pytest.raises(ConfigError, match="cannot be cast to date"):
        edited.set_cast("orders", "id", parse_type("date"))
    with pytest.raises(ConfigError, match="no column 'nothing'"):
        edited.set_cast("orders", "nothing", parse_type("date"))


def test_another_mode_than_upsert_drops_the_look_back() -> None:
    edited = editing(ORDERS)
    edited.set_sync_mode(["orders"], SyncMode.INCREMENTAL_UPSERT)
    edited.set_look_back(["orders"], timedelta(hours=1))

    edited.set_sync_mode(["orders"], SyncMode.REPLACE)

    assert edited.config("orders").look_back is None


# Problems --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (StreamConfig("orders", SyncMode.INCREMENTAL_APPEND), "An incremental mode needs a cursor column."),
        (StreamConfig("orders", SyncMode.INCREMENTAL_UPSERT, cursor_field="updated_at"), "Incremental upsert needs a primary key."),
        (StreamConfig("orders", SyncMode.REPLACE, columns=()), "No column is selected."),
        (StreamConfig("orders", SyncMode.REPLACE, columns=("id", "gone")), "The source has no column 'gone'."),
        (StreamConfig("orders", SyncMode.REPLACE, primary_key=("gone",)), "The source has no column 'gone'."),
        (
            StreamConfig("orders", SyncMode.REPLACE, casts={"id": "date"}),
            "'id' has the type int64, which cannot be cast to date.",
        ),
        (
            StreamConfig("orders", SyncMode.REPLACE, casts={"id": "no type"}),
            "'id' has the type int64, which cannot be cast to no type.",
        ),
        (
            StreamConfig("orders", SyncMode.INCREMENTAL_APPEND, cursor_field="note", casts={"note": "json"}),
            "'note' has the type json, which no cursor can follow.",
        ),
        (
            StreamConfig(
                "orders", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="total", look_back=timedelta(hours=1)
            ),
            "A look-back needs a cursor that is a date or an instant; 'total' is decimal.",
        ),
        (
            StreamConfig("orders", SyncMode.REPLACE, look_back=timedelta(hours=1)),
            "A look-back goes with incremental upsert only: other modes would repeat records.",
        ),
        (
            StreamConfig("orders", SyncMode.REPLACE, delete_handling=DeleteHandling.MARK),
            "A full refresh replaces the whole table, so there is no record left to mark.",
        ),
    ],
)
def test_what_keeps_a_stream_from_being_synced_is_said(config: StreamConfig, message: str) -> None:
    edited = editing(config)

    assert messages(edited, "orders") == [message]
    assert set(edited.troubled) == {"orders"}


@pytest.mark.parametrize(
    ("abilities", "message"),
    [
        (EndAbilities(incremental=False), "This source cannot be read incrementally."),
        (EndAbilities(upsert=False), "This destination cannot upsert."),
        (EndAbilities(row_filter=False), "This source cannot apply a row filter."),
        (EndAbilities(deletes=False), "This source cannot list all of its records, or this destination cannot delete single ones."),
    ],
)
def test_what_the_ends_cannot_do_is_said(abilities: EndAbilities, message: str) -> None:
    config = StreamConfig(
        "orders",
        SyncMode.INCREMENTAL_UPSERT,
        primary_key=("id",),
        cursor_field="updated_at",
        row_filter="total > 3",
        delete_handling=DeleteHandling.MARK,
    )

    assert messages(editing(config, abilities=abilities), "orders") == [message]


@pytest.mark.parametrize("text", ["total >", "nothing = 3", "total > 3 total", "x" * 100_000])
def test_a_row_filter_that_does_not_parse_is_a_problem(text: str) -> None:
    edited = editing(ORDERS)
    edited.set_row_filter(["orders"], text)

    assert len(messages(edited, "orders")) == 1
    edited.set_row_filter(["orders"], "total > 3 and note is not null")
    assert not edited.problems("orders")


def test_a_column_that_is_left_out_loses_its_cast_unless_it_is_read_all_the_same() -> None:
    edited = editing(StreamConfig("orders", SyncMode.REPLACE, primary_key=("id",), casts={"id": "text", "total": "text"}))

    edited.select_columns("orders", ["id", "total"], False)

    assert edited.config("orders").casts == {"id": "text"}


def test_two_streams_in_one_table_are_said_of_both() -> None:
    edited = editing(ORDERS, StreamConfig("customers", SyncMode.REPLACE))

    edited.set_table("customers", "ORDERS")

    assert messages(edited, "orders") == ["'customers' goes to the same table 'orders'."]
    assert messages(edited, "customers") == ["'orders' goes to the same table 'ORDERS'."]
    edited.select(["customers"], False)
    assert not edited.troubled


def test_a_key_that_is_left_out_is_worth_a_note() -> None:
    edited = editing(ORDERS)

    edited.select_columns("orders", ["id"], False)

    assert messages(edited, "orders", blocking=False) == ["'id' is not selected, and arrives all the same: it is the key."]
    assert not edited.troubled


def test_a_stream_that_the_source_has_no_more_is_listed_and_said() -> None:
    edited = editing(ORDERS, StreamConfig("gone", SyncMode.REPLACE))

    assert [entry.name for entry in edited.entries] == ["orders", "customers", "audit", "gone"]
    assert messages(edited, "gone") == ["The source does not offer this stream any more."]


# The saved state ---------------------------------------------------------------------------------------------------------------


def test_saving_makes_the_present_state_the_saved_one_and_steps_can_still_be_undone() -> None:
    edited = editing(ORDERS)
    edited.set_sync_mode(["orders"], SyncMode.APPEND)
    edited.select(["audit"])

    saved = edited.streams()
    assert not edited.rebase(Baseline(edited.entries, saved))
    assert not edited.changed

    edited.undo()
    assert set(edited.changed) == {"audit"}


def test_what_others_saved_is_taken_over_where_nothing_was_edited() -> None:
    edited = editing(ORDERS, StreamConfig("customers", SyncMode.REPLACE))
    edited.set_sync_mode(["orders"], SyncMode.APPEND)
    theirs = StreamConfig("customers", SyncMode.APPEND)

    assert not edited.rebase(Baseline([CatalogEntry("orders", 5), CatalogEntry("new", 2)], [ORDERS, theirs]))

    assert edited.config("orders").sync_mode is SyncMode.APPEND
    assert edited.config("customers") == theirs
    assert set(edited.changed) == {"orders"}
    assert [entry.name for entry in edited.entries] == ["orders", "new", "customers"]


def test_what_two_changed_of_one_stream_is_brought_together() -> None:
    edited = editing(ORDERS, StreamConfig("customers", SyncMode.REPLACE))
    edited.set_table("orders", "mine")
    edited.set_row_filter(["orders"], "total > 1")
    edited.set_table("customers", "clients")
    theirs = replace(ORDERS, sync_mode=SyncMode.APPEND, row_filter="total > 2")

    both = edited.rebase(Baseline(edited.entries, [theirs], unselected=[StreamConfig("customers", SyncMode.REPLACE)]))

    assert edited.config("orders") == replace(theirs, table="mine", row_filter="total > 1")
    assert both == {"orders": ("row_filter",), "customers": ("selected",)}
    assert edited.selected("customers")
    assert edited.differences("customers") == ("selected",)
    for _ in range(3):
        edited.undo()
    assert edited.config("orders") == replace(theirs, row_filter=None)
    assert edited.config("customers").table is None


def test_a_stream_that_two_select_is_no_change_and_is_taken_back_all_the_same() -> None:
    edited = editing(ORDERS)
    edited.select(["audit"])
    edited.undo()
    theirs = StreamConfig("audit", SyncMode.APPEND)

    assert not edited.rebase(Baseline(edited.entries, [ORDERS, theirs]))
    edited.redo()

    assert not edited.changed
    edited.undo()
    assert set(edited.changed) == {"audit"}


def test_differences_name_the_fields() -> None:
    edited = editing(ORDERS)
    edited.set_row_filter(["orders"], "total > 1")
    edited.select(["audit"])

    assert edited.differences("orders") == ("row_filter",)
    assert edited.differences("audit") == ("selected",)
    edited.discard()
    assert not edited.changed
    assert not edited.can_undo


def test_steps_are_forgotten_from_the_oldest_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_editing, "MOST_STATES", 3)
    edited = editing()
    edited.select(["orders", "customers"])
    edited.set_sync_mode(["orders"], SyncMode.APPEND)
    edited.select(["orders", "customers", "audit"], False)

    assert edited.undo() == "Deselected 2 streams"
    assert edited.undo() == "Sync mode of orders"
    assert edited.undo() is None
    assert edited.selected_count == 2


def test_an_edit_of_many_streams_holds_what_it_changes() -> None:
    names = [f"table {number}" for number in range(50)]
    edited = StreamEditing(Baseline([CatalogEntry(name, 1) for name in names]))

    assert edited.select(names) == 50
    assert edited.all_selected(names)
    assert edited.set_sync_mode(names, SyncMode.APPEND) == 50
    assert edited.undo() == "Sync mode of 50 streams"
    assert edited.changed == set(names)
    assert edited.undo() == "Selected 50 streams"
    assert not edited.changed


# Any edits -----------------------------------------------------------------------------------------------------------------

NAMES = ("orders", "customers", "audit", "Orders")
SAVED = (
    StreamConfig("customers", SyncMode.INCREMENTAL_UPSERT, primary_key=("id",), cursor_field="updated_at"),
    StreamConfig("orders", SyncMode.REPLACE, columns=("note", "id"), casts={"id": "text"}),
)
names_ = st.lists(st.sampled_from(NAMES), unique=True, max_size=4)
name_ = st.sampled_from(NAMES)
columns_ = st.lists(st.sampled_from(COLUMNS), unique=True)
column_ = st.sampled_from(COLUMNS)


class AnyEdits(RuleBasedStateMachine):
    """Whatever is done: undoing all of it gives the saved state, redoing all of it gives the last one; books are kept right."""

    @initialize()
    def open(self) -> None:
        self.edited = editing(*SAVED, names=NAMES)
        self.saved: tuple[StreamConfig, ...] = SAVED

    @rule(names=names_, selected=st.booleans())
    def select(self, names: list[str], selected: bool) -> None:
        self.edited.select(names, selected)

    @rule(name=name_, columns=columns_, selected=st.booleans())
    def select_columns(self, name: str, columns: list[str], selected: bool) -> None:
        self.edited.select_columns(name, columns, selected)

    @rule(names=names_, mode=st.sampled_from(SyncMode))
    def set_mode(self, names: list[str], mode: SyncMode) -> None:
        self.edited.set_sync_mode(names, mode)

    @rule(name=name_, column=column_)
    def toggle_key(self, name: str, column: str) -> None:
        self.edited.toggle_key(name, column)

    @rule(name=name_, column=st.none() | column_)
    def set_cursor(self, name: str, column: str | None) -> None:
        self.edited.set_cursor(name, column)

    @rule(name=name_, column=column_, type_=st.none() | st.just("text"))
    def cast(self, name: str, column: str, type_: str | None) -> None:
        self.edited.set_cast(name, column, None if type_ is None else parse_type(type_))

    @rule(name=name_, table=st.sampled_from((None, "orders", "ORDERS", "other")))
    def set_table(self, name: str, table: str | None) -> None:
        self.edited.set_table(name, table)

    @rule(names=names_, text=st.sampled_from((None, "", "id > 3")), handling=st.sampled_from(DeleteHandling))
    def set_more(self, names: list[str], text: str | None, handling: DeleteHandling) -> None:
        self.edited.set_row_filter(names, text)
        self.edited.set_delete_handling(names, handling)

    @rule()
    def undo(self) -> None:
        before = self.edited.streams()
        if self.edited.undo() is not None:
            undone = self.edited.streams()
            self.edited.redo()
            assert self.edited.streams() == before
            self.edited.undo()
            assert self.edited.streams() == undone

    @rule()
    def redo(self) -> None:
        self.edited.redo()

    @rule()
    def undo_and_redo_all(self) -> None:
        last, steps = {config.name: config for config in self.edited.streams()}, 0
        while self.edited.undo() is not None:
            steps += 1
        assert {config.name: config for config in self.edited.streams()} == {config.name: config for config in SAVED}
        for _ in range(steps):
            self.edited.redo()
        assert {config.name: config for config in self.edited.streams()} == last

    @rule()
    def save(self) -> None:
        self.saved = self.edited.streams()
        chosen = {config.name for config in self.saved}
        rest = [self.edited.config(name) for name in NAMES if name not in chosen]
        assert not self.edited.rebase(Baseline([CatalogEntry(name, 5) for name in NAMES], self.saved, unselected=rest))
        assert self.edited.streams() == self.saved

    @invariant()
    def the_books_are_right(self) -> None:
        saved, now = {config.name: config for config in self.saved}, {config.name: config for config in self.edited.streams()}
        assert set(self.edited.changed) == {name for name in NAMES if saved.get(name) != now.get(name)}
        assert self.edited.selected_count == len(now)
        anew = editing(*now.values(), names=NAMES)
        assert set(self.edited.troubled) == set(anew.troubled)
        for name in NAMES:
            assert self.edited.problems(name) == anew.problems(name)


TestAnyEdits = AnyEdits.TestCase
TestAnyEdits.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
