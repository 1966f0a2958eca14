"""Areas by 1 2 3, each with its own stack; the view before by minus; crumbs; the palette's way to anything by name."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from syncterm.actions import ACTIONS, Scope
from syncterm.app import SyncTermApp
from syncterm.engine.model import Actor, EndpointKind, Role
from syncterm.navigation import AREAS
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.screens.endpoint import EndpointScreen
from syncterm.screens.endpoints import EndpointsScreen
from syncterm.screens.palette import PaletteScreen
from syncterm.widgets.header import Header
from tests.screens.conftest import Stage, connector_id, picture, toasts, until
from tests.screens.endpoint_store import quiet, seed_endpoints, settle_detail, settle_table, show


@pytest.fixture
def endpoint_stage(empty_stage: Stage) -> Stage:
    """A workspace with sources, destinations and connectors in each status."""
    seed_endpoints(empty_stage)
    return empty_stage


def header(pilot: Pilot[Any]) -> str:
    return pilot.app.screen.query_one(Header).text


async def command(pilot: Pilot[Any], text: str) -> None:
    """Type a command and run the first that matches."""
    await pilot.press("colon")
    await until(pilot, lambda: isinstance(pilot.app.screen, PaletteScreen))
    palette = pilot.app.screen
    assert isinstance(palette, PaletteScreen)
    palette.query_one(Input).value = text
    await quiet(pilot)
    await pilot.press("enter")
    await pilot.pause()


def test_every_area_has_its_action() -> None:
    for area in AREAS:
        assert Scope.APP in ACTIONS[f"show_{area}"].scopes
        assert hasattr(SyncTermApp, f"action_show_{area}")


async def test_areas_keep_their_screens_cursors_and_filters(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await pilot.press("slash", *"db", "enter")
        await quiet(pilot)
        screen.table.move_to(connector_id("ledger-db"))
        await pilot.press("3")
        destinations = await settle_table(pilot)
        assert destinations.kind is EndpointKind.DESTINATION
        assert destinations.table.table_query.text == ""
        assert "Destinations" in header(pilot)
        await pilot.press("1")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        assert "Connectors" in header(pilot)
        await pilot.press("2")
        assert await settle_table(pilot) is screen
        assert screen.table.cursor_key == connector_id("ledger-db")
        assert screen.table.table_query.text == "db"
        assert "FILTER db (2/5)" in header(pilot)


async def test_an_area_comes_back_with_the_screen_it_was_left_at_and_again_with_its_table(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await show(pilot)
        await pilot.press("enter")
        detail = await settle_detail(pilot)
        await pilot.press("1")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        await pilot.press("2")
        assert await settle_detail(pilot) is detail
        await pilot.press("2")
        await until(pilot, lambda: isinstance(pilot.app.screen, EndpointsScreen))


async def test_minus_goes_to_the_view_before_across_areas_and_back(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
        await quiet(pilot)
        await show(pilot)
        await pilot.press("minus")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen), "the connector")
        await pilot.press("minus")
        await until(pilot, lambda: isinstance(pilot.app.screen, EndpointsScreen), "the sources")
        await pilot.press("enter")
        await settle_detail(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, EndpointsScreen))
        await pilot.press("minus")
        detail = await settle_detail(pilot)
        assert detail.endpoint_id == connector_id("billing-db")


async def test_the_crumbs_say_the_way(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await show(pilot)
        await pilot.press("enter")
        await settle_detail(pilot)
        await pilot.press("right_square_bracket", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
        await until(pilot, lambda: "Sources › billing-db › billing-hourly" in header(pilot), "the crumbs")
        await quiet(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, EndpointScreen))
        assert "Sources › billing-db  " in header(pilot)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("source bill", "Sources › billing-db"),
        ("destination ware", "Destinations › warehouse"),
        ("connector ledger-d", "Connectors › ledger-daily"),
    ],
)
async def test_anything_is_opened_by_name_from_anywhere(endpoint_stage: Stage, text: str, title: str) -> None:
    async with endpoint_stage.open() as pilot:
        await show(pilot, EndpointKind.DESTINATION)
        await command(pilot, text)
        await until(pilot, lambda: title in header(pilot), title)
        await quiet(pilot)


@pytest.mark.parametrize(("text", "kind"), [("source", EndpointKind.SOURCE), ("destinations", EndpointKind.DESTINATION)])
async def test_a_word_alone_shows_the_table(endpoint_stage: Stage, text: str, kind: EndpointKind) -> None:
    async with endpoint_stage.open() as pilot:
        await command(pilot, text)
        assert (await settle_table(pilot)).kind is kind


async def test_commands_of_a_table_act_on_the_table_of_the_area(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await command(pilot, "sort records")
        await quiet(pilot)
        assert screen.table.table_query.sort == "records"
        await command(pilot, "status re-auth")
        await quiet(pilot)
        assert [row.name for row in screen.records.values() if row.id in screen.table._selection.keys] == ["crm-files"]


@pytest.mark.parametrize(("text", "kind"), [("add-source", EndpointKind.SOURCE), ("add-destination", EndpointKind.DESTINATION)])
async def test_one_is_added_from_anywhere(endpoint_stage: Stage, text: str, kind: EndpointKind) -> None:
    from syncterm.screens.type_catalog import TypeCatalog

    async with endpoint_stage.open() as pilot:
        await command(pilot, text)
        await until(pilot, lambda: isinstance(pilot.app.screen, TypeCatalog))
        catalog = pilot.app.screen
        assert isinstance(catalog, TypeCatalog)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))


async def test_a_viewer_adds_nothing_by_a_command(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open(actor=Actor("eve", Role.VIEWER)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await command(pilot, "add-source")
        assert any("Needs the role user" in toast for toast in toasts(app))
        assert any("add-source" in line for line in picture(app))
        assert not app.check_action("add_source", ())
