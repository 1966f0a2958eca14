"""The command palette: words, arguments by name, what cannot be done now."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from syncterm.actions import ACTIONS
from syncterm.app import SyncTermApp
from syncterm.engine.model import Activity
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.screens.palette import PaletteScreen, matching, split
from tests.screens.conftest import Stage, connector_id, picture, settle, toasts, until

SPECS = tuple(ACTIONS.values())


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("", "open"),
        ("sync", "sync_now"),
        ("pau", "toggle_pause"),
        ("del", "delete"),
        ("theme", "choose_theme"),
        ("Historical", "historical_resync"),
        ("clipboard", "yank"),
    ],
)
def test_the_best_match_comes_first(text: str, first: str) -> None:
    assert matching(SPECS, text)[0].id == first


def test_nonsense_matches_nothing() -> None:
    assert matching(SPECS, "no such command") == []


@pytest.mark.parametrize(
    ("text", "action", "argument"),
    [
        ("connector billing", "open", "billing"),
        ("  connector   two words ", "open", "two words"),
        ("sort dur", "sort", "dur"),
        ("sync ", "sync_now", ""),
        ("sync", None, ""),
        ("help me", None, ""),
        ("nothing at all", None, ""),
    ],
)
def test_a_word_and_its_argument(text: str, action: str | None, argument: str) -> None:
    spec, found = split(SPECS, text)
    assert (spec.id if spec else None, found) == (action, argument)


async def type_(pilot: Pilot[None], text: str) -> PaletteScreen:
    """Open the palette and type; waits for what matches."""
    await pilot.press("colon")
    await until(pilot, lambda: isinstance(pilot.app.screen, PaletteScreen))
    palette = pilot.app.screen
    assert isinstance(palette, PaletteScreen)
    palette.query_one(Input).value = text
    await pilot.pause()
    await until(pilot, lambda: not any(worker.is_running for worker in pilot.app.workers))
    return palette


async def test_a_connector_is_opened_by_name(stage: Stage) -> None:
    async with stage.open() as pilot:
        palette = await type_(pilot, "connector bill")
        assert [command.title for command in palette._commands] == ["connector billing-pg"]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))


async def test_an_action_on_a_connector_by_name(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, ConnectorsScreen)
        await type_(pilot, "sync crm")
        await pilot.press("enter")
        await until(pilot, lambda: screen.records[connector_id("crm-contacts")].activity == Activity.QUEUED)


async def test_sort_status_filter_theme_by_name(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, ConnectorsScreen)
        for text in ("sort duration", "status paused", "theme nord", "filter tele"):
            await type_(pilot, text)
            await pilot.press("enter")
            await settle(pilot)
        assert screen.table.table_query.sort == "duration"
        assert screen.view.statuses == {"Paused"}
        assert pilot.app.theme == "nord"
        assert screen.table.table_query.text == "tele"


async def test_tab_completes_the_word(stage: Stage) -> None:
    async with stage.open() as pilot:
        palette = await type_(pilot, "conn")
        await pilot.press("tab")
        assert palette.query_one(Input).value == "connector "


async def test_what_cannot_be_done_is_dim_and_says_why(stage: Stage) -> None:
    async with stage.open() as pilot:
        palette = await type_(pilot, "undo")
        assert palette._commands[0].reason
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(pilot.app, SyncTermApp)
        assert "Nothing was deleted" in toasts(pilot.app)[0]
        assert pilot.app.screen is palette


async def test_a_read_only_dashboard_offers_no_deed(stage: Stage) -> None:
    async with stage.open(read_only=True) as pilot:
        palette = await type_(pilot, "delete crm")
        await pilot.press("enter")
        await pilot.pause()
        assert palette._commands == [] or all(command.reason for command in palette._commands)
        await pilot.press("escape")
        assert isinstance(pilot.app, SyncTermApp)
        assert any("crm-contacts" in line for line in picture(pilot.app))


async def test_esc_closes(stage: Stage) -> None:
    async with stage.open() as pilot:
        await type_(pilot, "sync")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
