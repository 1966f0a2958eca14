"""The help overlay: complete, grouped, filterable, and it scrolls."""

from __future__ import annotations

import pytest
from textual.containers import VerticalScroll
from textual.widgets import Input

from syncterm.actions import ACTIONS, Scope, in_scope
from syncterm.app import SyncTermApp
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.screens.help import HelpEntry, HelpScreen, entries, help_text
from syncterm.settings import Settings
from tests.screens.conftest import Stage, picture, until


async def test_the_help_names_every_key_of_the_screen_and_of_its_table(stage: Stage) -> None:
    async with stage.open() as pilot:
        found = entries(pilot.app.screen, ascii=False)
        titles = {entry.title for entry in found}
        # Every screen of Textual's copies a selection by ctrl+c; ours only answers where there is none.
        specs = [spec for spec in (*in_scope(Scope.CONNECTORS), *in_scope(Scope.APP)) if spec.keys]
        assert titles >= {spec.title for spec in specs if spec.id != "copy_or_hint"}
        assert titles >= {"Mark", "Mark range", "Page down", "First row", "Columns right"}
        groups = [entry.group for entry in found]
        assert groups == sorted(groups, key=groups.index), "each group stands together"
        keys = {entry.title: entry.keys for entry in found}
        assert keys["Delete"] == "D del"
        assert keys["Export view"] == "ctrl+s E"


async def test_the_help_shows_the_keys_as_configured(stage: Stage) -> None:
    async with stage.open(settings=Settings(keymap={"details": "i"})) as pilot:
        keys = {entry.title: entry.keys for entry in entries(pilot.app.screen, ascii=False)}
        assert keys["Details"] == "i"


async def test_what_does_not_apply_is_marked(stage: Stage) -> None:
    async with stage.open() as pilot:
        enabled = {entry.title: entry.enabled for entry in entries(pilot.app.screen, ascii=False)}
        assert not enabled[ACTIONS["undo"].title]
        assert enabled[ACTIONS["sync_now"].title]


async def test_typing_filters_and_esc_clears_then_closes(stage: Stage) -> None:
    async with stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await pilot.press("question_mark", *"clipboard")
        await pilot.pause()
        shown = "\n".join(picture(app))
        assert "Copy the id" in shown
        assert "Pause or resume" not in shown
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen)
        assert app.screen.query_one(Input).value == ""
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ConnectorsScreen))


async def test_the_help_scrolls_on_a_small_terminal(stage: Stage) -> None:
    async with stage.open(size=(80, 24)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await pilot.press("f1")
        await pilot.pause()
        assert "Quit" not in "\n".join(picture(app)[1:-1])
        scroll = app.screen.query_one(VerticalScroll)
        assert scroll.max_scroll_y > 0
        await pilot.press(*["pagedown"] * 10)
        await pilot.pause()
        assert scroll.scroll_offset.y == scroll.max_scroll_y
        await pilot.press("up")
        await pilot.pause()
        assert scroll.scroll_offset.y == scroll.max_scroll_y - 1


async def test_no_key_matches_is_said(stage: Stage) -> None:
    async with stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await pilot.press("question_mark", *"zzzz")
        await pilot.pause()
        assert "No key matches." in "\n".join(picture(app))


@pytest.mark.parametrize("columns", [20, 40, 60, 76, 95])
def test_texts_wrap_under_their_own_column(columns: int) -> None:
    entry = HelpEntry("Connector", "r", "Sync now", "Start a sync of the marked connectors, or of the one under the cursor.", True)
    lines = help_text([entry], columns).plain.splitlines()
    assert lines[0] == "Connector"
    column = lines[1].index("Start")
    assert all(line[:column].strip() == "" for line in lines[2:])
    assert " ".join(line[column:] for line in lines[1:]) == entry.text
