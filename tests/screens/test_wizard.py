"""The wizard by its keys: from an empty workspace to rows in the destination, back and forth, drafts, editing, hostile names."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from syncterm.app import SyncTermApp
from syncterm.editing.connector_wizard import Step
from syncterm.engine.document import load_document
from syncterm.engine.engine import Engine
from syncterm.engine.host import EngineHost
from syncterm.engine.model import SyncMode
from syncterm.engine.workspace import Workspace
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.screens.menu import Menu
from syncterm.screens.wizard.dry_run import DryRunScreen
from syncterm.screens.wizard.screen import WizardScreen
from syncterm.settings import Settings
from syncterm.widgets.live_table import LiveTable
from tests.screens.conftest import ANA, picture, settle, toasts, until

DOCUMENT = """
version: 1
sources:
  made: {type: scripted, config: {script: wizard, stream: events, more_streams: [orders, customers], records: 12}}
  broken: {type: scripted, config: {script: broken, faults: [{kind: unauthorized}]}}
  hanging: {type: sqlite, config: {path: FOLDER/none.sqlite}}
destinations:
  lake: {type: duckdb, config: {path: FOLDER/lake.duckdb}}
  texts: {type: file, config: {path: FOLDER/texts, format: csv}}
connectors: {}
"""


class Theatre:
    """A workspace with an engine that executes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.workspace = Workspace(folder / "workspace")
        self.hosts: list[EngineHost] = []

    def prepare(self, document: str) -> None:
        """Set up what the document says before the app opens."""

        async def apply() -> None:
            engine = Engine(self.workspace, execute=False)
            await engine.start()
            try:
                await engine.operations.apply(ANA, load_document(document.replace("FOLDER", str(self.folder))))
            finally:
                await engine.stop()

        import threading

        thread = threading.Thread(target=lambda: asyncio.run(apply()))
        thread.start()
        thread.join()

    @asynccontextmanager
    async def open(self, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Pilot[None]]:
        host = EngineHost(self.workspace)
        self.hosts.append(host)
        app = SyncTermApp(host, Settings(), actor=ANA)
        app.animation_level = "none"
        async with app.run_test(size=size, notifications=True) as pilot:
            await settle(pilot)
            yield pilot


@pytest.fixture
def theatre(tmp_path: Path) -> Iterator[Theatre]:
    made = Theatre(tmp_path)
    yield made
    for host in made.hosts:
        assert host.stop(20), "the engine did not stop"


def wizard_of(pilot: Pilot[Any]) -> WizardScreen:
    screen = pilot.app.screen
    assert isinstance(screen, WizardScreen)
    return screen


async def begin(pilot: Pilot[Any]) -> WizardScreen:
    """Press a; the wizard with its first list."""
    await pilot.press("a")
    await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen), "the wizard is open")
    screen = wizard_of(pilot)
    await until(pilot, lambda: screen.views_ready, "its steps are there")
    return screen


def text(pilot: Pilot[Any]) -> str:
    app: Any = pilot.app
    return "\n".join(picture(app))


async def shown(pilot: Pilot[Any], words: str) -> None:
    await until(pilot, lambda: words in text(pilot), f"{words!r} is shown")


async def at(pilot: Pilot[Any], step: Step) -> None:
    await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen) and pilot.app.screen.step is step, f"the step {step}")
    await pilot.pause()


async def type_text(pilot: Pilot[Any], words: str) -> None:
    focused = pilot.app.focused
    assert isinstance(focused, Input)
    focused.value = words
    await pilot.pause()


async def test_a_newcomer_gets_from_nothing_to_rows_in_duckdb(theatre: Theatre) -> None:
    people = theatre.folder / "people.csv"
    people.write_text("id,name\n1,Ana\n2,Jörg\n")
    lake = theatre.folder / "lake.duckdb"
    async with theatre.open() as pilot:
        await shown(pilot, "Press  a  to add one")
        await begin(pilot)
        await shown(pilot, "+ Add a source")
        await pilot.press("enter")
        await choose_type(pilot, "file")
        await fill_path(pilot, str(people))
        await at(pilot, Step.STREAMS)
        await shown(pilot, "people.csv offers 1 stream, 1 selected")
        await pilot.press("ctrl+n")
        await at(pilot, Step.DESTINATION)
        await pilot.press("enter")
        await choose_type(pilot, "duckdb")
        await fill_path(pilot, str(lake))
        await shown(pilot, "The first sync makes people in")
        await type_text(pilot, "raw")
        await shown(pilot, "raw.people")
        await pilot.press("enter")
        await at(pilot, Step.SCHEDULE)
        await pilot.press("enter")
        await at(pilot, Step.REVIEW)
        await shown(pilot, "people.csv to lake.duckdb")
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the connector's own screen is open")
        await shown(pilot, "2 read = 2 written")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen), "the connectors are back")
        await shown(pilot, "All 1")
        await until(pilot, lambda: isinstance(pilot.app.focused, LiveTable), "the table has its keys")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "it opens again")
    with duckdb.connect(str(lake), read_only=True) as connection:
        assert connection.execute("SELECT id, name FROM raw.people ORDER BY id").fetchall() == [(1, "Ana"), (2, "Jörg")]


async def choose_type(pilot: Pilot[Any], type_: str) -> None:
    from syncterm.screens.endpoint_form import EndpointForm
    from syncterm.screens.type_catalog import TypeCatalog

    await until(pilot, lambda: isinstance(pilot.app.screen, TypeCatalog), "the catalog is open")
    await type_text(pilot, type_)
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, EndpointForm), "the form is open")


async def fill_path(pilot: Pilot[Any], path: str) -> None:
    await pilot.press("tab")
    await pilot.pause()
    await type_text(pilot, path)
    await pilot.press("ctrl+s")
    await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen), "the wizard is back")


async def choose_source(pilot: Pilot[Any], name: str) -> None:
    """The source of that name, by its row."""
    view: Any = wizard_of(pilot).view
    await until(pilot, lambda: view.ends.loaded, "the list is there")
    await pilot.press("slash")
    await type_text(pilot, name)
    await pilot.press("enter")
    await pilot.press("enter")


async def test_back_and_forth_keeps_what_was_chosen(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open() as pilot:
        screen = await begin(pilot)
        await choose_source(pilot, "made")
        await at(pilot, Step.STREAMS)
        await shown(pilot, "made offers 3 streams, none selected yet")
        await pilot.press("ctrl+n")
        assert "No stream is selected yet" in " ".join(toasts(screen._dashboard))
        await pilot.press("asterisk")
        await shown(pilot, "3 selected")
        await pilot.press("right_square_bracket")
        await at(pilot, Step.DESTINATION)
        await choose_source(pilot, "lake")
        await type_text(pilot, "raw")
        await pilot.press("escape", "escape")
        await at(pilot, Step.STREAMS)
        await shown(pilot, "3 selected")
        await pilot.press("left_square_bracket")
        await at(pilot, Step.SOURCE)
        for _ in range(4):
            await pilot.press("ctrl+n")
            await pilot.pause()
        await at(pilot, Step.REVIEW)
        draft = screen.wizard.draft()
        assert (draft.collection, [stream.name for stream in draft.streams]) == ("raw", ["events", "orders", "customers"])
        assert {stream.sync_mode for stream in draft.streams} == {SyncMode.INCREMENTAL_UPSERT}


async def test_a_destination_that_cannot_upsert_gets_appends(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open() as pilot:
        screen = await begin(pilot)
        await choose_source(pilot, "made")
        await shown(pilot, "made offers 3 streams")
        await pilot.press("asterisk", "ctrl+n")
        await at(pilot, Step.DESTINATION)
        await choose_source(pilot, "texts")
        await until(
            pilot,
            lambda: {stream.sync_mode for stream in screen.wizard.draft().streams} == {SyncMode.INCREMENTAL_APPEND},
            "the defaults are what it can do",
        )
        assert screen.wizard.complete


async def test_what_cannot_be_read_says_why_and_can_be_tried_again(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open() as pilot:
        screen = await begin(pilot)
        await choose_source(pilot, "broken")
        await shown(pilot, "offers could not be read")
        assert "The scripted source refused the credentials (401)." in text(pilot)
        assert "Enter them again." in text(pilot)
        await pilot.press("R")
        await shown(pilot, "offers could not be read")
        await pilot.press("escape")
        await at(pilot, Step.SOURCE)
        assert not screen.wizard.complete


async def test_leaving_asks_and_keeps_a_draft(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open() as pilot:
        await begin(pilot)
        await choose_source(pilot, "made")
        await shown(pilot, "made offers 3 streams")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu), "it asks")
        await pilot.press("g")
        await at(pilot, Step.STREAMS)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu), "it asks again")
        await pilot.press("s")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the draft is open")
        await shown(pilot, "Incomplete")
        await pilot.press("e")
        await at(pilot, Step.REVIEW)
        await shown(pilot, "No destination is chosen.")
        await pilot.press("q")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "nothing was changed, so nothing is asked")


async def test_an_untouched_wizard_leaves_at_once(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open() as pilot:
        await begin(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, WizardScreen), "the table is back")


async def make_connector(pilot: Pilot[Any]) -> WizardScreen:
    """Through all the steps to the review, with every stream."""
    screen = await begin(pilot)
    await choose_source(pilot, "made")
    await shown(pilot, "made offers 3 streams")
    await pilot.press("asterisk")
    await shown(pilot, "3 selected")
    await pilot.press("ctrl+n")
    await at(pilot, Step.DESTINATION)
    await choose_source(pilot, "lake")
    await until(pilot, lambda: screen.wizard.destination is not None, "the destination is chosen")
    await pilot.press("ctrl+n")
    await at(pilot, Step.SCHEDULE)
    await pilot.press("ctrl+n")
    await at(pilot, Step.REVIEW)
    await shown(pilot, "made to lake")
    return screen


async def test_create_without_a_sync_then_edit(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open((120, 40)) as pilot:
        await make_connector(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the connector is open")
        await pilot.press("e")
        await at(pilot, Step.REVIEW)
        await shown(pilot, "Edit made to lake")
        await shown(pilot, "events, orders, customers")
        screen = wizard_of(pilot)
        screen.go(Step.SCHEDULE)
        await pilot.press("home", "enter")
        await at(pilot, Step.REVIEW)
        await shown(pilot, "Every minute")
        await pilot.press("n")
        await type_text(pilot, "renamed")
        await pilot.press("enter")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "it was saved")
        await shown(pilot, "renamed")


async def test_a_newer_version_is_not_written_over(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open((120, 40)) as pilot:
        await make_connector(pilot)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the connector is open")
        await pilot.press("e")
        await at(pilot, Step.REVIEW)
        screen = wizard_of(pilot)
        await shown(pilot, "events, orders, customers")
        draft = screen.wizard.saved
        await theatre.hosts[0].call(lambda engine: engine.operations.save_connector(ANA, draft))
        await pilot.press("n")
        await type_text(pilot, "mine")
        await pilot.press("enter", "ctrl+s")
        await until(pilot, lambda: any("changed meanwhile" in toast for toast in toasts(screen._dashboard)), "it is refused")
        assert wizard_of(pilot).wizard.name == "mine"


async def test_a_dry_run_from_the_review(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open() as pilot:
        await make_connector(pilot)
        await pilot.press("v")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu), "it asks of which stream")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DryRunScreen), "the dry run is open")
        await shown(pilot, "record 1")
        assert "id int64" in text(pilot)
        await pilot.press("escape")
        await at(pilot, Step.REVIEW)


async def test_a_draft_of_a_complete_one_waits_paused(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open() as pilot:
        await make_connector(pilot)
        await pilot.press("w")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the connector is open")
        await shown(pilot, "Paused")


async def test_a_draft_with_something_to_mend_waits_paused(theatre: Theatre) -> None:
    theatre.prepare(DOCUMENT)
    async with theatre.open() as pilot:
        screen = await make_connector(pilot)
        streams = screen.wizard.streams
        assert streams is not None
        screen.go(Step.STREAMS)
        await at(pilot, Step.STREAMS)
        name = streams.entries[0].name
        await pilot.press("enter")
        await until(pilot, lambda: streams.schema(name) is not None, "its columns are known")
        streams.set_row_filter([name], "no_such_column = 1")
        screen.go(Step.REVIEW)
        await at(pilot, Step.REVIEW)
        assert not screen.wizard.complete
        await pilot.press("w")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the connector is open")
        await shown(pilot, "Paused")


async def test_hostile_names_stay_text(theatre: Theatre) -> None:
    path = theatre.folder / "hostile.sqlite"
    connection = sqlite3.connect(path)
    with connection:
        connection.execute('create table "[red]x[/] ; drop" ("[bold]id" integer primary key, "a\x07\u202eb" text)')
        connection.execute("insert into \"[red]x[/] ; drop\" values (1, '\x1b]0;owned\x07')")
    connection.close()
    theatre.prepare(DOCUMENT.replace("FOLDER/none.sqlite", str(path)))
    async with theatre.open((120, 40)) as pilot:
        await begin(pilot)
        await choose_source(pilot, "hanging")
        await shown(pilot, "offers 1 stream, 1 selected")
        assert "[red]x[/] ; drop" in text(pilot)
        await pilot.press("right")
        await shown(pilot, "a\\x07\\u202eb")
        await pilot.press("ctrl+n")
        await at(pilot, Step.DESTINATION)
        await choose_source(pilot, "lake")
        await pilot.press("ctrl+n", "ctrl+n")
        await at(pilot, Step.REVIEW)
        await shown(pilot, "hanging to lake")
        await pilot.press("v")
        await until(pilot, lambda: isinstance(pilot.app.screen, DryRunScreen), "the dry run is open")
        await shown(pilot, "\\x1b]0;owned\\x07")
        assert "\x1b" not in text(pilot)
        assert "\u202e" not in text(pilot)
