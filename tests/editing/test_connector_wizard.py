"""The wizard's model: what is chosen stays chosen, and what is wrong is named with the step that mends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from syncterm.editing.connector_wizard import STEPS, ConnectorWizard, End, Step, StepState, neighbour
from syncterm.engine.drafts import CatalogEntry, ConnectorDraft
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import EndpointKind, Schedule, ScheduleKind, StreamConfig, SyncMode
from syncterm.engine.stream_defaults import EndAbilities, Suggestion

SHOP = End(EndpointKind.SOURCE, "s1", "shop", "PostgreSQL")
FILES = End(EndpointKind.SOURCE, "s2", "files", "Files")
LAKE = End(EndpointKind.DESTINATION, "d1", "lake", "DuckDB")
ENTRIES = (CatalogEntry("orders", 4), CatalogEntry("customers", 3))
ALL = EndAbilities()
HOURLY = Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=1))


def whole() -> ConnectorWizard:
    wizard = ConnectorWizard()
    wizard.choose_source(SHOP)
    wizard.take_catalog(ENTRIES, ALL).select(["orders"])
    wizard.choose_destination(LAKE)
    wizard.choose_schedule(HOURLY)
    wizard.propose_name()
    return wizard


def messages(wizard: ConnectorWizard) -> list[tuple[Step, str]]:
    return [(problem.step, problem.message) for problem in wizard.problems()]


def test_an_empty_one_lacks_its_ends_and_would_lose_nothing() -> None:
    wizard = ConnectorWizard()
    assert messages(wizard) == [(Step.SOURCE, "No source is chosen."), (Step.DESTINATION, "No destination is chosen.")]
    assert (wizard.changed, wizard.complete) == (False, False)
    assert {wizard.state_of(step) for step in STEPS} == {StepState.TO_COME}


def test_a_whole_one() -> None:
    wizard = whole()
    assert wizard.problems() == ()
    assert wizard.draft() == ConnectorDraft(
        "shop to lake", "s1", "d1", streams=(StreamConfig("orders", SyncMode.REPLACE),), schedule=HOURLY
    )
    states = [wizard.state_of(step) for step in STEPS]
    assert states == [StepState.DONE] * 4 + [StepState.TO_COME]
    assert wizard.first_open_step() is Step.REVIEW


def test_what_was_chosen_from_a_source_waits_until_it_is_chosen_again() -> None:
    wizard = whole()
    wizard.choose_source(FILES)
    assert wizard.draft().streams == ()
    assert wizard.problems_of(Step.STREAMS)
    wizard.take_catalog([CatalogEntry("lines", 1)], ALL).select(["lines"])
    wizard.choose_source(SHOP)
    assert [stream.name for stream in wizard.draft().streams] == ["orders"]
    wizard.choose_source(FILES)
    assert [stream.name for stream in wizard.draft().streams] == ["lines"]


def test_reading_the_catalog_again_keeps_the_selection() -> None:
    wizard = whole()
    editing = wizard.take_catalog((*ENTRIES, CatalogEntry("new", 1)), ALL)
    assert editing.selected("orders")
    assert len(editing.entries) == 3


def test_another_destination_changes_what_is_possible() -> None:
    wizard = whole()
    editing = wizard.streams
    assert editing is not None
    editing.learn_suggestions({"customers": Suggestion(("id",), "at")})
    editing.select(["customers"])
    assert editing.config("customers").sync_mode is SyncMode.INCREMENTAL_UPSERT
    editing.set_abilities(EndAbilities(upsert=False))
    assert editing.config("customers").sync_mode is SyncMode.INCREMENTAL_APPEND
    assert wizard.complete


@pytest.mark.parametrize(
    ("collection", "words"), [("raw", ""), ("", ""), ("a\x00b", "U+0000"), ("x" * 256, "256 characters"), ("  ", "is empty")]
)
def test_collections(collection: str, words: str) -> None:
    wizard = whole()
    wizard.collection = collection
    found = " ".join(problem.message for problem in wizard.problems_of(Step.DESTINATION))
    assert (words in found) if words else not found


def test_problems_name_the_step_that_mends_them() -> None:
    wizard = whole()
    editing = wizard.streams
    assert editing is not None
    editing.set_sync_mode(["orders"], SyncMode.INCREMENTAL_APPEND)
    wizard.rename("a\x1bb")
    wizard.choose_destination(replace(LAKE, incomplete_reason="the path is missing"))
    steps = [step for step, _ in messages(wizard)]
    assert steps == [Step.STREAMS, Step.DESTINATION, Step.REVIEW]
    assert "The destination lake is not set up: the path is missing." in [message for _, message in messages(wizard)]
    assert not wizard.complete


def test_many_streams_in_trouble_are_counted() -> None:
    wizard = whole()
    editing = wizard.take_catalog([CatalogEntry(f"t{number}", 2) for number in range(9)], ALL)
    editing.select([f"t{number}" for number in range(9)])
    editing.set_sync_mode([f"t{number}" for number in range(9)], SyncMode.INCREMENTAL_APPEND)
    found = [problem.message for problem in wizard.problems_of(Step.STREAMS)]
    assert len(found) == 4
    assert found[-1].startswith("6 more streams")
    assert "orders" not in [stream.name for stream in wizard.draft().streams]  # it is not offered any more
    assert editing.selected_count == 9


def test_tables_that_others_fill_are_worth_knowing_and_no_obstacle() -> None:
    wizard = whole()
    wizard.shared_tables = tuple((f"t{number}", "nightly") for number in range(5))
    found = wizard.problems_of(Step.DESTINATION)
    assert [problem.blocking for problem in found] == [False] * 4
    assert found[0].message == "Table t0 is filled by the connector nightly already."
    assert found[-1].message == "So are 2 more tables."
    assert wizard.complete
    wizard.choose_destination(replace(LAKE, id="d2"))
    assert wizard.shared_tables == ()


def test_names_are_proposed_until_a_person_types_one() -> None:
    wizard = whole()
    assert wizard.propose_name(["shop to lake", "shop to lake 2"]) == "shop to lake 3"
    wizard.choose_source(replace(FILES, name="x" * 200))
    assert len(wizard.propose_name()) <= 200
    wizard.rename("mine")
    assert wizard.propose_name() == "mine"
    wizard.rename("")
    wizard.choose_source(SHOP)
    assert wizard.propose_name() == "shop to lake"


def test_a_failed_discovery_says_why_in_the_review() -> None:
    wizard = ConnectorWizard()
    wizard.choose_source(SHOP)
    wizard.discovery_fault = "No route to host."
    assert messages(wizard)[0] == (Step.STREAMS, "What the source offers has not been read: No route to host.")
    wizard.choose_source(FILES)
    assert wizard.discovery_fault == ""


def test_what_is_not_looked_up_yet_is_what_is_saved() -> None:
    saved = ConnectorDraft("copy", "s1", "d1", streams=(StreamConfig("orders", SyncMode.REPLACE),), id="c1", version=3)
    wizard = ConnectorWizard(saved)  # a person who saves before the ends are read takes nothing away
    assert (wizard.draft(), wizard.changed) == (saved, False)


def test_changing_one_that_exists() -> None:
    saved = replace(whole().draft(), id="c1", version=7)
    wizard = ConnectorWizard(saved)
    wizard.choose_source(SHOP)
    wizard.choose_destination(LAKE)
    assert (wizard.draft(), wizard.changed, wizard.complete) == (saved, False, True)
    editing = wizard.take_catalog(ENTRIES, ALL)
    assert not wizard.changed
    editing.select(["customers"])
    assert wizard.changed
    assert [stream.name for stream in wizard.draft().streams] == ["orders", "customers"]
    assert (wizard.draft().id, wizard.draft().version) == ("c1", 7)
    editing.undo()
    wizard.choose_schedule(HOURLY, per_stream={"orders": HOURLY, "customers": None})
    assert wizard.draft().streams[0].schedule == HOURLY
    wizard.choose_source(FILES)
    assert wizard.draft().streams == ()


def test_ends_that_are_gone_are_no_longer_chosen() -> None:
    wizard = whole()
    wizard.ends_changed([replace(SHOP, name="store")])
    assert wizard.source is not None
    assert (wizard.source.name, wizard.destination) == ("store", LAKE)
    wizard.ends_changed([FILES])
    assert wizard.source is None


def test_a_catalog_belongs_to_a_source() -> None:
    with pytest.raises(ConfigError, match="No source is chosen"):
        ConnectorWizard().take_catalog(ENTRIES, ALL)


def test_the_order_of_the_steps() -> None:
    assert [neighbour(step, 1) for step in STEPS] == [*STEPS[1:], None]
    assert neighbour(Step.SOURCE, -1) is None
