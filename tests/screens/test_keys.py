"""Every key of the Connectors screen, and the registry they come from."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.binding import Binding
from textual.events import Click, MouseDown, MouseUp

from syncterm.actions import ACTIONS, CONNECTOR_MENU, Group, Scope, bindings, in_scope, key_label
from syncterm.app import ExitReason, SyncTermApp
from syncterm.engine.model import Activity
from syncterm.screens.catalog_pane import CatalogPane
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.connector_rows import SORTS, STATUS_ORDER
from syncterm.screens.connectors import ConnectorsScreen, ConnectorTable
from syncterm.screens.endpoint import EndpointScreen
from syncterm.screens.endpoints import EndpointsScreen
from syncterm.screens.help import HelpScreen
from syncterm.screens.menu import ChoiceList, Menu, Ticks
from syncterm.screens.palette import PaletteScreen
from syncterm.screens.stream_editor import StreamEditor
from syncterm.screens.sync_detail import SyncDetailScreen
from syncterm.screens.table_screen import ScreenTable
from syncterm.settings import Settings
from syncterm.widgets.catalog_tree import CatalogTree
from syncterm.widgets.confirm import Confirm
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.header import Header
from syncterm.widgets.stream_tree import StreamTree
from tests.screens.conftest import STANDARD, Stage, connector_id, picture, seed, settle, toasts, until


def screen_of(app: object) -> ConnectorsScreen:
    assert isinstance(app, SyncTermApp)
    screen = app.screen_stack[0]
    assert isinstance(screen, ConnectorsScreen)
    return screen


def names(app: object) -> list[str]:
    """The names shown, in order."""
    screen = screen_of(app)
    return [screen.records[key].name for key in screen.table._selection.keys]


# --- The registry


def test_every_binding_of_ours_has_an_id() -> None:
    for owner in (
        SyncTermApp,
        ConnectorsScreen,
        ConnectorTable,
        HelpScreen,
        PaletteScreen,
        Menu,
        Ticks,
        ChoiceList,
        ConnectorScreen,
        SyncDetailScreen,
        EndpointsScreen,
        ScreenTable,
        EndpointScreen,
        CatalogPane,
        CatalogTree,
        StreamEditor,
        StreamTree,
    ):
        for binding in owner.BINDINGS:
            assert isinstance(binding, Binding)
            assert binding.id, f"{owner.__name__}: {binding.key}"


def test_every_entry_of_the_registry_has_its_method_where_it_lives() -> None:
    owners = {
        Scope.APP: SyncTermApp,
        Scope.CONNECTORS: ConnectorsScreen,
        Scope.CONNECTOR: ConnectorScreen,
        Scope.SYNC: SyncDetailScreen,
        Scope.ENDPOINTS: EndpointsScreen,
        Scope.ENDPOINT: EndpointScreen,
        Scope.STREAMS: StreamEditor,
    }
    never = {Scope.ENDPOINTS: {"sync_now"}}
    for spec in ACTIONS.values():
        for scope in spec.scopes:
            has = hasattr(owners[scope], f"action_{spec.id}")
            assert has != (spec.id in never.get(scope, ())), f"{scope}: {spec.id}"


def test_every_entry_of_the_registry_is_bound_where_it_lives() -> None:
    for scope in Scope:
        bound = {binding.id for binding in bindings(scope) if isinstance(binding, Binding)}
        assert bound == {spec.id for spec in in_scope(scope) if spec.keys}


@pytest.mark.parametrize("scope", list(Scope))
def test_a_key_means_one_thing(scope: Scope) -> None:
    around = {Scope.APP: (), Scope.STREAMS: (Scope.CONNECTOR, Scope.APP)}.get(scope, (Scope.APP,))
    specs = [spec for each in (scope, *around) for spec in in_scope(each)]
    keys = [key for spec in specs for key in spec.keys.split(",") if key]
    assert len(keys) == len(set(keys))


def test_no_action_hangs_on_a_key_that_terminals_eat() -> None:
    eaten = {"ctrl+a", "ctrl+b", "ctrl+s", "ctrl+@", "ctrl+h", "ctrl+i", "ctrl+j", "ctrl+k", "ctrl+l", "ctrl+m"}
    for spec in ACTIONS.values():
        keys = set(spec.keys.split(","))
        assert not keys <= eaten, spec.id
        if spec.dangerous:
            assert not keys & {"ctrl+d", "ctrl+k"}, spec.id


def test_every_command_of_the_palette_is_another_word() -> None:
    commands = [spec.command for spec in ACTIONS.values()]
    assert len(commands) == len(set(commands))
    assert not any(" " in command for command in commands)


@pytest.mark.parametrize(
    ("key", "label"),
    [
        ("slash", "/"),
        ("ctrl+s", "ctrl+s"),
        ("left_square_bracket", "["),
        ("D", "D"),
        ("escape", "esc"),
        ("minus", "-"),
        ("f1", "f1"),
    ],
)
def test_keys_are_written_as_people_write_them(key: str, label: str) -> None:
    assert key_label(key) == label


# --- Find and sort


async def test_filter_is_typed_live_and_esc_clears_it(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("slash", *"pay")
        await until(pilot, lambda: names(pilot.app) == ["payments"])
        await pilot.press("enter")
        assert "FILTER pay (1/12)" in pilot.app.screen.query_one(Header).text
        await pilot.press("escape")
        await until(pilot, lambda: len(names(pilot.app)) == len(STANDARD))
        assert "FILTER" not in pilot.app.screen.query_one(Header).text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("!a", {"events-s3", "hr-people", "inventory", "partners-sftp"}),
        ("source:crm", {"crm-contacts"}),
        ("destination:lake", {"events-s3", "telemetry-parquet"}),
        ("status:inc", {"inventory"}),
        ("nothing-like-it", set()),
    ],
)
async def test_filter_terms(stage: Stage, text: str, expected: set[str]) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        await pilot.press("slash")
        screen.query_one(FilterBar)._input.value = text
        await pilot.press("enter")
        await settle(pilot)
        if text == "!a":
            assert expected.isdisjoint(name for name in names(pilot.app) if "a" in name)
        else:
            assert set(names(pilot.app)) == expected
        if not expected:
            assert any("Nothing matches this filter" in line for line in picture(screen.dashboard))


async def test_letters_typed_into_the_filter_are_no_commands(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("slash", *"qDrx")
        await pilot.pause()
        assert screen_of(pilot.app).query_one(FilterBar)._input.value == "qDrx"
        assert pilot.app.is_running
        assert len(pilot.app.screen_stack) == 1


async def test_failures_only(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("f")
        await settle(pilot)
        assert set(names(pilot.app)) == {"finance-ledger", "telemetry-parquet"}
        await pilot.press("f")
        await settle(pilot)
        assert len(names(pilot.app)) == len(STANDARD)


async def test_status_filter_takes_several(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("F")
        await pilot.press("down", "space", "space", "enter")
        await settle(pilot)
        assert set(names(pilot.app)) == {"finance-ledger", "inventory"}


async def test_brackets_walk_the_status_tabs(stage: Stage) -> None:
    async with stage.open() as pilot:
        seen = []
        for _ in range(len(STATUS_ORDER) + 1):
            await pilot.press("right_square_bracket")
            await settle(pilot)
            seen.append(len(names(pilot.app)))
        assert seen == [8, 1, 1, 2, 12]
        await pilot.press("left_square_bracket")
        await settle(pilot)
        assert set(names(pilot.app)) == {"hr-people", "telemetry-parquet"}


async def test_a_click_on_a_status_tab_filters_by_it(stage: Stage) -> None:
    async with stage.open() as pilot:
        line = picture(screen_of(pilot.app).dashboard)[1]
        await pilot.click("#status-tabs", offset=(line.index("Broken"), 0))
        await settle(pilot)
        assert names(pilot.app) == ["finance-ledger"]


async def test_sort_picker_offers_all_columns_and_is_remembered(stage: Stage, tmp_path: Path) -> None:
    settings = Settings(state_path=tmp_path / "state.json")
    async with stage.open(settings=settings) as pilot:
        await pilot.press("s")
        menu = pilot.app.screen
        assert isinstance(menu, Menu)
        assert [choice.title for choice in menu._choices] == list(SORTS.values())
        for _ in range(list(SORTS).index("records")):
            await pilot.press("down")
        await pilot.press("enter")
        await settle(pilot)
        assert names(pilot.app)[0] == "billing-pg"
        await pilot.press("S")
        await settle(pilot)
        assert names(pilot.app)[:2] == ["web-analytics", "telemetry-parquet"]
        assert names(pilot.app)[-1] == "inventory", "what has no value comes last in both directions"
    async with stage.open(settings=settings) as pilot:
        assert names(pilot.app)[:2] == ["web-analytics", "telemetry-parquet"]


async def test_the_cursor_stays_with_its_row_when_the_order_changes(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press("S")
        await settle(pilot)
        assert screen.table.cursor_key == connector_id("crm-contacts")


async def test_a_click_on_a_header_sorts(stage: Stage) -> None:
    async with stage.open() as pilot:
        line = picture(screen_of(pilot.app).dashboard)[2]
        await pilot.click("#table", offset=(line.index("Duration"), 0))
        await settle(pilot)
        assert screen_of(pilot.app).table.table_query.sort == "duration"


# --- View


async def test_columns_chooser_hides_moves_and_remembers(stage: Stage, tmp_path: Path) -> None:
    settings = Settings(state_path=tmp_path / "state.json")
    async with stage.open(settings=settings) as pilot:
        await pilot.press("o")
        assert isinstance(pilot.app.screen, Ticks)
        # Untick the second (Source → Destination), then move Status up over it.
        await pilot.press("down", "space", "K", "enter")
        await pilot.pause()
        assert screen_of(pilot.app).view.shown[:2] == ("name", "status")
        assert "Source" not in picture(screen_of(pilot.app).dashboard)[2]
    async with stage.open(settings=settings) as pilot:
        assert screen_of(pilot.app).view.shown[:2] == ("name", "status")


async def test_the_name_column_stays(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("o", "space", "enter")
        assert "The name stays." in toasts(screen_of(pilot.app).dashboard)[0]
        await pilot.pause()
        assert screen_of(pilot.app).view.shown[0] == "name"


async def test_wide_shows_every_column_by_scrolling(stage: Stage) -> None:
    async with stage.open(size=(80, 24)) as pilot:
        assert "Duration" not in picture(screen_of(pilot.app).dashboard)[2]
        await pilot.press("w", *["right"] * 6)
        assert "Duration" in picture(screen_of(pilot.app).dashboard)[2]
        assert "Name" in picture(screen_of(pilot.app).dashboard)[2], "the first column stays"
        await pilot.press("w")
        assert "Source" in picture(screen_of(pilot.app).dashboard)[2]


async def test_pause_freezes_the_picture_and_counts_changes(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        await pilot.press("p")
        assert " PAUSED " in screen.query_one(Header).text
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press("t")
        await until(pilot, lambda: "PAUSED 1 changes" in screen.query_one(Header).text)
        assert any("crm-contacts" in line and "Active" in line for line in picture(screen.dashboard))
        await pilot.press("p")
        await until(pilot, lambda: any("crm-contacts" in line and "Paused" in line for line in picture(screen.dashboard)))
        assert "PAUSED" not in screen.query_one(Header).text


@pytest.mark.parametrize("key", ["R", "ctrl+r"])
async def test_refresh_reads_again(stage: Stage, key: str) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        assert isinstance(screen.records, dict)
        screen.records.clear()
        await pilot.press(key)
        await until(pilot, lambda: connector_id("billing-pg") in screen.records)


async def test_details_pane(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("finance-ledger"))
        await pilot.press("d")
        await pilot.pause()
        shown = "\n".join(picture(screen.dashboard))
        assert "password authentication" in shown
        assert "W says more" in shown
        await pilot.press("escape")
        await pilot.pause()
        assert "W says more" not in "\n".join(picture(screen.dashboard))


async def test_the_header_can_be_hidden_and_stays_so(stage: Stage, tmp_path: Path) -> None:
    settings = Settings(state_path=tmp_path / "state.json")
    async with stage.open(settings=settings) as pilot:
        await pilot.press("ctrl+e")
        await pilot.pause()
        assert "running" not in picture(screen_of(pilot.app).dashboard)[0]
    async with stage.open(settings=settings) as pilot:
        assert "running" not in picture(screen_of(pilot.app).dashboard)[0]
        await pilot.press("ctrl+e")
        await pilot.pause()
        assert "running" in picture(screen_of(pilot.app).dashboard)[0]


async def test_theme_picker_previews_reverts_and_remembers(stage: Stage, tmp_path: Path) -> None:
    settings = Settings(state_path=tmp_path / "state.json")
    async with stage.open(settings=settings) as pilot:
        await pilot.press("T", "down")
        await pilot.pause()
        assert pilot.app.theme == "syncterm-light"
        await pilot.press("escape")
        await pilot.pause()
        assert pilot.app.theme == "syncterm-dark"
        await pilot.press("T", "down", "enter")
        await pilot.pause()
        assert pilot.app.theme == "syncterm-light"
    async with stage.open(settings=settings) as pilot:
        assert pilot.app.theme == "syncterm-light"


# --- Connectors


async def test_enter_opens_and_minus_goes_back_and_forth(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        await pilot.press("minus")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
        await pilot.press("minus")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))


async def test_minus_says_why_it_does_nothing(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("minus")
        await pilot.pause()
        assert toasts(screen_of(pilot.app).dashboard) == ["There is no other view yet."]


async def test_logs_open_the_logs_tab(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("l")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
        assert isinstance(pilot.app.screen, ConnectorScreen)
        assert pilot.app.screen._first_tab == "logs"


async def test_one_shows_the_table_from_anywhere(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
        await pilot.press("1")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))


async def test_sync_now_queues(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press("r")
        await until(pilot, lambda: screen.records[connector_id("crm-contacts")].activity == Activity.QUEUED)
        assert toasts(screen.dashboard) == ["Sync now: crm-contacts: Queued."]


async def test_sync_now_of_a_running_connector_asks(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        menu = pilot.app.screen
        assert isinstance(menu, Menu)
        assert [choice.id for choice in menu._choices] == ["leave", "queue", "restart"]
        await pilot.press("q")
        await until(pilot, lambda: toasts(screen.dashboard))
        assert toasts(screen.dashboard) == ["Sync now: billing-pg: Queued behind the running sync."]


async def test_actions_apply_to_the_marks(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press("space", "space", "t")
        assert "2 marked" in screen.query_one(Header).text
        marked = [connector_id("crm-contacts"), connector_id("events-s3")]
        await until(pilot, lambda: all(screen.records[key].status == "Paused" for key in marked))
        assert toasts(screen.dashboard) == ["Pause: 2 connectors: done."]
        await pilot.press("t")
        await until(pilot, lambda: all(screen.records[key].status == "Active" for key in marked))
        await pilot.press("escape")
        assert not screen.table.marks


async def test_cancel_asks_when_more_than_one_sync_would_end(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("asterisk", "x")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        dialog = pilot.app.screen
        assert isinstance(dialog, Confirm)
        assert {target.name for target in dialog.targets} == {"billing-pg", "marketing-ads", "orders-mysql", "payments"}
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        assert screen_of(pilot.app).records[connector_id("payments")].activity == Activity.RUNNING


async def test_cancel_says_why_it_does_nothing(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.pause()
        await pilot.press("x")
        await pilot.pause()
        assert toasts(screen.dashboard) == ["No sync runs or waits there."]


async def test_check_opens_its_dialog(stage: Stage) -> None:
    from syncterm.screens.check import CheckScreen

    async with stage.open() as pilot:
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CheckScreen))


async def test_historical_resync_shows_what_it_touches_first(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press("H")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        shown = "\n".join(picture(screen.dashboard))
        assert "Re-sync 1 connector?" in shown
        assert "121,148 records" in shown
        assert "see the old data" in shown
        await pilot.press("y")
        await until(pilot, lambda: toasts(screen.dashboard))
        assert toasts(screen.dashboard) == ["Historical re-sync: crm-contacts: Historical re-sync: queued."]


@pytest.mark.parametrize("key", ["D", "delete"])
async def test_delete_confirms_and_undo_brings_back(stage: Stage, key: str) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: "crm-contacts" not in names(pilot.app))
        await until(pilot, lambda: "U undo 10:00" in screen.query_one(Header).text)
        stage.clock.advance(30)
        screen.dashboard.tick()
        assert "U undo 09:30" in screen.query_one(Header).text
        await pilot.press("U")
        await until(pilot, lambda: connector_id("crm-contacts") in screen.table._selection.keys)
        await until(pilot, lambda: "undo" not in screen.query_one(Header).text)


async def test_enter_in_the_delete_dialog_cancels(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        await settle(pilot)
        assert "crm-contacts" in names(pilot.app)


async def test_a_deletion_of_a_running_connector_must_be_typed(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        dialog = pilot.app.screen
        assert isinstance(dialog, Confirm)
        await pilot.press("y")
        assert pilot.app.screen is dialog
        dialog.query_one("#confirm-typed").value = dialog.phrase  # type: ignore[attr-defined]  # it is an Input
        await pilot.press("enter")
        await until(pilot, lambda: "billing-pg" not in names(pilot.app))


async def test_the_ids_are_those_at_the_key_press(stage: Stage) -> None:
    """While the dialog asks, the row under the cursor becomes another one; what was asked about is deleted, nothing else."""
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        screen.table.move_to(connector_id("partners-sftp"))
        await pilot.press("y")
        await until(pilot, lambda: "crm-contacts" not in names(pilot.app))
        assert "partners-sftp" in names(pilot.app)


async def test_undo_says_why_it_does_nothing(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("U")
        await pilot.pause()
        assert "Nothing was deleted" in toasts(screen_of(pilot.app).dashboard)[0]


async def test_the_menu_has_its_actions_each_with_its_key(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        await pilot.press("m")
        menu = pilot.app.screen
        assert isinstance(menu, Menu)
        assert [choice.id for choice in menu._choices] == list(CONNECTOR_MENU)
        assert [choice.key for choice in menu._choices] == ["t", "r", "e", "H", "c", "A", "D"]
        assert menu._choices[0].title == "Pause"
        await pilot.press("t")
        await until(pilot, lambda: screen.records[connector_id("crm-contacts")].status == "Paused")


async def test_menu_opens_by_right_click_on_the_row(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        lines = picture(screen.dashboard)
        row = next(index for index, line in enumerate(lines) if "hr-people" in line)
        await pilot._post_mouse_events([MouseDown, MouseUp, Click], widget="#table", offset=(10, row - 2), button=3)
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        menu = pilot.app.screen
        assert isinstance(menu, Menu)
        assert menu._title == "hr-people"
        assert menu._choices[0].title == "Resume"


async def test_edit_and_add_open_the_set_up(stage: Stage) -> None:
    from syncterm.screens.wizard.screen import WizardScreen

    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("crm-contacts"))
        for key in ("e", "a"):
            await pilot.press(key)
            await until(pilot, lambda: isinstance(pilot.app.screen, WizardScreen))
            await pilot.press("escape")
            await until(pilot, lambda: pilot.app.screen is screen)


# --- Copy and export


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["y"], connector_id("finance-ledger")),
        (["n"], "finance-ledger"),
        (["e"], 'password authentication failed for user "etl"'),
        (["c", "enter"], "finance-ledger\nid " + connector_id("finance-ledger")),
    ],
)
async def test_yank(stage: Stage, keys: list[str], expected: str) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        screen.table.move_to(connector_id("finance-ledger"))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        for key in keys:
            await pilot.press(key)
            await pilot.pause()
        await until(pilot, lambda: toasts(screen.dashboard))
        assert pilot.app.clipboard == expected


async def test_yank_json_is_json(stage: Stage) -> None:
    import json

    async with stage.open() as pilot:
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        await pilot.press("j")
        await until(pilot, lambda: pilot.app.clipboard)
        assert json.loads(pilot.app.clipboard)["name"] == "billing-pg"


@pytest.mark.parametrize("key", ["ctrl+s", "E"])
async def test_export_writes_the_filtered_view(stage: Stage, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with stage.open() as pilot:
        await pilot.press("f")
        await settle(pilot)
        await pilot.press(key, "c")
        await until(pilot, lambda: toasts(screen_of(pilot.app).dashboard))
        (path,) = tmp_path.glob("connectors-*.csv")  # noqa: ASYNC240
        lines = path.read_text().splitlines()
        assert [line.split(",")[1] for line in lines] == ["name", "finance-ledger", "telemetry-parquet"]
        assert path.stat().st_mode & 0o777 == 0o600


# --- Going back, quitting


async def test_esc_closes_one_thing_after_the_other_and_never_quits(stage: Stage) -> None:
    async with stage.open() as pilot:
        screen = screen_of(pilot.app)
        await pilot.press("space", "slash", *"e", "enter", "d", "question_mark")
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorsScreen))
        await pilot.press("escape")
        assert not screen.has_class("-details")
        assert screen.table.table_query.text == "e"
        await pilot.press("escape")
        await settle(pilot)
        assert screen.table.table_query.text == ""
        assert screen.table.marks
        await pilot.press("backspace")
        assert not screen.table.marks
        await pilot.press("escape", "escape")
        assert pilot.app.is_running


async def test_quit_asks_while_syncs_run(stage: Stage) -> None:
    async with stage.open() as pilot:
        app = screen_of(pilot.app).dashboard
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Menu))
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, ConnectorsScreen))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Menu))
        await pilot.press("l")
        await until(pilot, lambda: not app.is_running)
        assert isinstance(app, SyncTermApp)
        assert app.exit_reason is ExitReason.DETACH


async def test_quit_stops_at_once_where_nothing_runs(empty_stage: Stage) -> None:
    empty_stage.seed(seed("quiet"))
    async with empty_stage.open() as pilot:
        app = screen_of(pilot.app).dashboard
        await pilot.press("ctrl+q")
        await until(pilot, lambda: not app.is_running)
        assert isinstance(app, SyncTermApp)
        assert app.exit_reason is ExitReason.QUIT


async def test_ctrl_c_does_not_quit(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert toasts(screen_of(pilot.app).dashboard) == ["Press q to quit."]


async def test_suspend_goes_to_the_shell(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    monkeypatch.setattr(SyncTermApp, "action_suspend_process", lambda self: called.append(True))
    async with stage.open() as pilot:
        await pilot.press("ctrl+z")
        assert called


@pytest.mark.parametrize("key", ["question_mark", "f1"])
async def test_help_opens(stage: Stage, key: str) -> None:
    async with stage.open() as pilot:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, HelpScreen))


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
async def test_palette_opens(stage: Stage, key: str) -> None:
    async with stage.open() as pilot:
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, PaletteScreen))


# --- Read-only, roles, keymap


async def test_a_read_only_dashboard_binds_nothing_dangerous(stage: Stage) -> None:
    async with stage.open(read_only=True) as pilot:
        screen = screen_of(pilot.app)
        assert "READ-ONLY" in screen.query_one(Header).text
        bound = {active.binding.id for active in screen.active_bindings.values()}
        assert bound.isdisjoint(spec.id for spec in ACTIONS.values() if spec.dangerous)
        await pilot.press("D", "H", "r")
        await pilot.pause()
        assert isinstance(pilot.app.screen, ConnectorsScreen)
        assert toasts(screen.dashboard) == ["This dashboard is read-only."]


async def test_keys_can_be_bound_anew(stage: Stage) -> None:
    async with stage.open(settings=Settings(keymap={"details": "i", "sort": "O"})) as pilot:
        screen = screen_of(pilot.app)
        await pilot.press("d")
        assert not screen.has_class("-details")
        await pilot.press("i")
        assert screen.has_class("-details")
        await pilot.press("O")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))


def test_the_groups_of_the_help_are_all_used() -> None:
    assert {spec.group for spec in ACTIONS.values()} == set(Group)
