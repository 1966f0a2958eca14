"""The tables of sources and destinations: every key, cells, filter, order, live changes, hostile names, roles, pictures."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, update
from textual.events import Click, MouseDown, MouseUp

from syncterm.actions import Scope, in_scope
from syncterm.app import SyncTermApp
from syncterm.engine.engine import Engine
from syncterm.engine.events import EVERYTHING, changed
from syncterm.engine.model import Actor, CheckResult, CredentialsState, EndpointKind, Role
from syncterm.engine.queries import EndpointRow
from syncterm.engine.status import SourceStatus
from syncterm.engine.store import tables
from syncterm.screens.check import CheckScreen
from syncterm.screens.endpoint_details import details
from syncterm.screens.endpoint_rows import ATTENTION, STATUS_LOOKS, arranged, row_cells, sorts
from syncterm.screens.endpoints import EndpointsScreen
from syncterm.screens.look import Look
from syncterm.screens.menu import Menu, Ticks
from syncterm.settings import Settings
from syncterm.text import GLYPHS_UNICODE, clean
from syncterm.widgets.confirm import Confirm
from syncterm.widgets.header import Header
from syncterm.widgets.table_model import TableQuery, cell_text
from tests.samples import SAMPLES
from tests.screens.conftest import NOW, Stage, connector_id, picture, toasts, until
from tests.screens.endpoint_store import endpoint, quiet, seed_endpoints, settle_detail, show

LOOK = Look(GLYPHS_UNICODE, NOW)
ROW = EndpointRow(
    id="0abc",
    name="billing-db",
    type="postgres",
    status=SourceStatus.LIVE,
    status_reason="",
    version=3,
    credentials=CredentialsState.OK,
    credentials_at=NOW,
    connectors=2,
    enabled=2,
    broken=0,
    other_ends=("archive", "warehouse"),
    last_run=NOW - timedelta(minutes=3),
    records_30_days=181_722,
    catalog_at=NOW,
    created_at=NOW - timedelta(days=3),
    created_by="ana",
    updated_at=NOW - timedelta(days=2),
    type_title="PostgreSQL",
    check_result=CheckResult.WORKING,
    check_at=NOW - timedelta(hours=1),
)
SOURCE = EndpointKind.SOURCE


@pytest.fixture
def endpoint_stage(empty_stage: Stage) -> Stage:
    """A workspace with sources, destinations and connectors in each status."""
    seed_endpoints(empty_stage)
    return empty_stage


def names(screen: EndpointsScreen) -> list[str]:
    """The names shown, in order."""
    return [screen.records[key].name for key in screen.table._selection.keys if key in screen.records]


def app_of(pilot: Any) -> SyncTermApp:
    assert isinstance(pilot.app, SyncTermApp)
    return pilot.app


# --- Cells, filter and order, without a screen


@pytest.mark.parametrize(
    ("row", "column", "expected"),
    [
        (ROW, "name", "billing-db"),
        (ROW, "status", "● Live"),
        (replace(ROW, status=SourceStatus.SETUP), "status", "◐ Setup"),
        (replace(ROW, status=SourceStatus.AUTHENTICATED), "status", "✓ Authenticated"),
        (replace(ROW, status=SourceStatus.REAUTH_REQUIRED), "status", "▲ Re-Auth required"),
        (replace(ROW, status=SourceStatus.ERROR), "status", "✗ Error"),
        (ROW, "others", "archive, warehouse"),
        (replace(ROW, other_ends=()), "others", "-"),
        (ROW, "last_run", "3 min ago"),
        (replace(ROW, last_run=None), "last_run", "never"),
        (ROW, "records", "181,722"),
        (ROW, "type", "PostgreSQL"),
        (replace(ROW, type_title=""), "type", "postgres"),
        (ROW, "connectors", "2"),
        (ROW, "tested", "1 h ago ✓"),
        (replace(ROW, check_result=CheckResult.TIMEOUT), "tested", "1 h ago ✗"),
        (replace(ROW, check_result=None, check_at=None), "tested", "never"),
        (ROW, "version", "3"),
    ],
)
def test_cells(row: EndpointRow, column: str, expected: str) -> None:
    assert cell_text(row_cells(row, LOOK)[column]) == expected


def test_every_status_has_a_look_a_tab_and_a_place_in_the_order() -> None:
    assert {look.status for look in STATUS_LOOKS} == set(SourceStatus) == set(ATTENTION)
    assert len({look.glyph for look in STATUS_LOOKS}) == len(STATUS_LOOKS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {"billing-db", "crm", "ledger"}),
        ("type:post", {"billing-db"}),
        ("type:files", {"crm"}),
        ("status:re-auth", {"crm"}),
        ("!status:re-auth", {"billing-db", "ledger"}),
        ("destination:archive", {"billing-db"}),
        ("user:ben", {"ledger"}),
        ("LEDGER", {"ledger"}),
        ("!ledger type:post", {"billing-db"}),
        ("no such thing", set()),
    ],
)
def test_filter_terms(text: str, expected: set[str]) -> None:
    rows = (
        ROW,
        replace(ROW, id="1", name="crm", type="file", type_title="Files", status=SourceStatus.REAUTH_REQUIRED, other_ends=()),
        replace(ROW, id="2", name="ledger", type="sqlite", type_title="SQLite", created_by="ben", other_ends=("lake",)),
    )
    assert {row.name for row in arranged(rows, SOURCE, TableQuery(text=text)).rows} == expected


@given(
    st.lists(
        st.builds(
            lambda number, name, status, run, others: replace(
                ROW,
                id=str(number),
                name=name,
                status=status,
                last_run=None if run is None else NOW - timedelta(minutes=run),
                other_ends=others,
            ),
            st.integers(0, 10_000),
            st.text(max_size=5),
            st.sampled_from(list(SourceStatus)),
            st.none() | st.integers(0, 50),
            st.sampled_from([(), ("a",), ("a", "b")]),
        ),
        max_size=20,
        unique_by=lambda row: row.id,
    ),
    st.sampled_from(list(sorts(SOURCE))),
    st.booleans(),
)
def test_every_sort_keeps_all_rows_and_puts_nothing_last(rows: Sequence[EndpointRow], sort: str, descending: bool) -> None:
    found = arranged(rows, SOURCE, TableQuery(sort=sort, descending=descending)).rows
    assert sorted(row.id for row in found) == sorted(row.id for row in rows)
    if sort == "last_run":
        runs = [row.last_run for row in found]
        present = [run for run in runs if run is not None]
        assert runs == [*sorted(present, reverse=descending), *[None] * (len(runs) - len(present))]
    if sort == "status":
        order = [ATTENTION.index(row.status) for row in found]
        assert order == sorted(order, reverse=descending)


def test_counts_leave_the_statuses_aside() -> None:
    rows = (ROW, replace(ROW, id="1", name="b", status=SourceStatus.ERROR))
    found = arranged(rows, SOURCE, TableQuery(filters={"statuses": ("Error",)}))
    assert (found.counts.total, found.counts.matching) == (2, 1)
    assert found.counts.by_status == {"Live": 1, "Error": 1}


def test_details_say_what_to_do_and_hold_no_control_characters() -> None:
    row = replace(ROW, status=SourceStatus.REAUTH_REQUIRED, status_reason="refused \x1b[31m" * 20, last_error="worse \x07" * 50)
    text = details(row, SOURCE, LOOK, 40).plain
    assert "renews the credentials" in " ".join(text.split())
    assert "\x1b" not in text
    assert all(len(line) <= 40 for line in text.splitlines())


# --- Keys


async def test_the_table_shows_the_five_statuses(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        assert [str(row.status) for row in screen.records.values()] == [
            "Live",
            "Re-Auth required",
            "Authenticated",
            "Error",
            "Setup",
        ]
        shown = picture(app_of(pilot))
        assert "All 5" in shown[1]
        assert "Re-Auth required 1" in shown[1]
        assert any("billing-db" in line and "archive, warehouse" in line and "181,722" in line for line in shown)


async def test_filter_sort_and_tabs(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await pilot.press("slash", *"type:post", "enter")
        await until(pilot, lambda: names(screen) == ["billing-db", "new-warehouse"])
        assert "FILTER type:post (2/5)" in screen.query_one(Header).text
        await pilot.press("escape")
        await until(pilot, lambda: len(names(screen)) == 5)
        await pilot.press("S")
        await until(pilot, lambda: names(screen)[0] == "new-warehouse")
        await pilot.press("f")
        await until(pilot, lambda: names(screen) == ["ledger-db", "crm-files"])
        await pilot.press("f", "right_square_bracket")
        await until(pilot, lambda: names(screen) == ["billing-db"])
        await pilot.press("left_square_bracket", "F")
        assert isinstance(pilot.app.screen, Ticks)
        await pilot.press("space", "enter")
        await until(pilot, lambda: names(screen) == ["billing-db"])


@pytest.mark.parametrize("sort", list(sorts(SOURCE)))
async def test_every_column_sorts_by_key_and_is_remembered(endpoint_stage: Stage, tmp_path: Path, sort: str) -> None:
    settings = Settings(state_path=tmp_path / "state.json")
    async with endpoint_stage.open(settings=settings) as pilot:
        screen = await show(pilot)
        await pilot.press("s")
        menu = pilot.app.screen
        assert isinstance(menu, Menu)
        assert [choice.title for choice in menu._choices] == list(sorts(SOURCE).values())
        await pilot.press("g", *["down"] * list(sorts(SOURCE)).index(sort), "enter")
        await quiet(pilot)
        assert screen.table.table_query.sort == sort
    state = json.loads((tmp_path / "state.json").read_text())
    assert state["sources"]["sort"] == sort


async def test_a_click_on_a_header_sorts(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await pilot.click("#table", offset=(picture(app_of(pilot))[2].index("Records"), 0))
        await quiet(pilot)
        assert screen.table.table_query.sort == "records"


async def test_columns_marks_wide_details_and_display(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await pilot.press("space", "space")
        assert "2 marked" in screen.query_one(Header).text
        await pilot.press("escape", "o")
        assert isinstance(pilot.app.screen, Ticks)
        await pilot.press("G", "space", "enter")
        await pilot.pause()
        assert screen.view.shown[-1] == "id"
        await pilot.press("w", "p")
        assert "PAUSED" in screen.query_one(Header).text
        await pilot.press("p")
        screen.table.move_to(connector_id("crm-files"))
        await pilot.press("d")
        await pilot.pause()
        assert "permission denied" in "\n".join(picture(app_of(pilot)))


@pytest.mark.parametrize("key", ["R", "ctrl+r"])
async def test_refresh_reads_again(endpoint_stage: Stage, key: str) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        screen._endpoints._known = {}
        await pilot.press(key)
        await until(pilot, lambda: len(names(screen)) == 5)


async def test_enter_opens(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await show(pilot, EndpointKind.DESTINATION)
        await pilot.press("enter")
        assert (await settle_detail(pilot)).endpoint_id == connector_id("archive")


async def test_sync_says_who_syncs(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await show(pilot)
        await pilot.press("r")
        await pilot.pause()
        assert toasts(app_of(pilot)) == ["A source is synced by its connectors: enter shows them."]


async def test_add_opens_the_catalog(endpoint_stage: Stage) -> None:
    from syncterm.screens.type_catalog import TypeCatalog

    async with endpoint_stage.open() as pilot:
        await show(pilot)
        await pilot.press("a")
        await until(pilot, lambda: isinstance(pilot.app.screen, TypeCatalog))


async def test_edit_opens_the_form(endpoint_stage: Stage) -> None:
    from syncterm.screens.endpoint_form import EndpointForm

    async with endpoint_stage.open() as pilot:
        await show(pilot)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, EndpointForm))


async def test_check_tests_the_one_under_the_cursor(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        screen.table.move_to(connector_id("ledger-db"))
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CheckScreen))
        await until(pilot, lambda: any("ledger-db" in line for line in picture(app_of(pilot))))


async def test_several_marked_are_edited_one_at_a_time(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await show(pilot)
        await pilot.press("asterisk", "e")
        await pilot.pause()
        assert "One at a time" in toasts(app_of(pilot))[0]


@pytest.mark.parametrize("key", ["D", "delete"])
async def test_delete_confirms_and_undo_brings_back(endpoint_stage: Stage, key: str) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        screen.table.move_to(connector_id("events-lake"))
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        assert any("Delete 1 source?" in line for line in picture(app_of(pilot)))
        await pilot.press("enter")
        await until(pilot, lambda: pilot.app.screen is screen)
        assert "events-lake" in names(screen), "the focus is on Cancel"
        await pilot.press(key)
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: "events-lake" not in names(screen))
        await until(pilot, lambda: "U undo 10:00" in screen.query_one(Header).text)
        await pilot.press("U")
        await until(pilot, lambda: "events-lake" in names(screen))


async def test_what_is_in_use_is_not_deleted_and_its_connectors_are_named(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await pilot.press("D")
        await until(pilot, lambda: toasts(app_of(pilot)))
        (said,) = toasts(app_of(pilot))
        assert said.startswith("Not deleted: billing-db is in use by billing-hourly, billing-nightly.")
        assert pilot.app.screen is screen


async def test_of_several_only_those_not_in_use_are_deleted(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await pilot.press("asterisk", "D")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        dialog = pilot.app.screen
        assert isinstance(dialog, Confirm)
        assert {target.name for target in dialog.targets} == {"events-lake", "new-warehouse"}
        await pilot.press("y")
        await until(pilot, lambda: names(screen) == ["billing-db", "crm-files", "ledger-db"])


async def test_menu_by_key_and_right_click(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await pilot.press("m")
        menu = pilot.app.screen
        assert isinstance(menu, Menu)
        assert [(choice.id, choice.key) for choice in menu._choices] == [("edit", "e"), ("check", "c"), ("delete", "D")]
        await pilot.press("escape")
        row = next(index for index, line in enumerate(picture(app_of(pilot))) if "ledger-db" in line)
        await pilot._post_mouse_events([MouseDown, MouseUp, Click], widget="#table", offset=(10, row - 2), button=3)
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        assert screen.table.cursor_key == connector_id("ledger-db")


@pytest.mark.parametrize(("key", "expected"), [("y", connector_id("crm-files")), ("n", "crm-files")])
async def test_yank(endpoint_stage: Stage, key: str, expected: str) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        screen.table.move_to(connector_id("crm-files"))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        await pilot.press(key)
        await until(pilot, lambda: pilot.app.clipboard == expected)


@pytest.mark.parametrize("file_format", ["csv", "json"])
async def test_export_writes_the_filtered_view(
    endpoint_stage: Stage, file_format: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with endpoint_stage.open() as pilot:
        await show(pilot)
        await pilot.press("slash", *"db", "enter")
        await quiet(pilot)
        await pilot.press("E", file_format[0])
        await until(pilot, lambda: toasts(app_of(pilot)))
        (path,) = tmp_path.glob(f"sources-*.{file_format}")  # noqa: ASYNC240
        text = path.read_text()
        found = json.loads(text) if file_format == "json" else list(csv.DictReader(text.splitlines()))
        assert [row["name"] for row in found] == ["billing-db", "ledger-db"]
        others = found[0]["other_ends"]
        assert others == (["archive", "warehouse"] if file_format == "json" else "archive, warehouse")
        assert "BILLING_PASSWORD" not in text


# --- Who may


async def test_a_viewer_looks_and_changes_nothing(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open(actor=Actor("eve", Role.VIEWER)) as pilot:
        await show(pilot)
        for key in ("a", "e", "c", "D"):
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(pilot.app.screen, EndpointsScreen)
        assert len([toast for toast in toasts(app_of(pilot)) if "needs the role user" in toast]) == 4


async def test_read_only_binds_no_delete(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open(read_only=True) as pilot:
        screen = await show(pilot)
        assert "READ-ONLY" in screen.query_one(Header).text
        assert "D" not in screen.active_bindings
        await pilot.press("a", "D")
        await pilot.pause()
        assert toasts(app_of(pilot)) == ["This dashboard is read-only."]


async def test_every_action_of_the_scope_is_bound_on_the_screen(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        bound = {active.binding.id for active in screen.active_bindings.values()}
        assert bound >= {spec.id for spec in in_scope(Scope.ENDPOINTS)}


# --- Live


async def _set(engine: Engine, source: str, **values: Any) -> None:
    async with engine.database.write() as connection:
        await connection.execute(update(tables.sources).where(tables.sources.c.name == source).values(**values))
    engine.notify(EVERYTHING)


async def test_changes_appear_and_the_cursor_stays(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        screen.table.move_to(connector_id("ledger-db"))
        await app_of(pilot).host.call(lambda engine: _set(engine, "events-lake", name="aaa-lake", credentials="rejected"))
        await until(pilot, lambda: names(screen)[0] == "aaa-lake", "the new name")
        assert screen.table.cursor_key == connector_id("ledger-db")
        await until(pilot, lambda: "Re-Auth required 2" in picture(app_of(pilot))[1], "the tab counts")


async def test_a_change_of_a_connector_changes_its_ends(endpoint_stage: Stage) -> None:
    async def mend(engine: Engine) -> None:
        async with engine.database.write() as connection:
            await connection.execute(
                update(tables.connectors)
                .where(tables.connectors.c.name == "ledger-daily")
                .values(last_outcome="success", last_error_class=None, changed_at=tables.CHANGE_SEQUENCE)
            )
        engine.notify(changed([connector_id("ledger-daily")]))

    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await app_of(pilot).host.call(mend)
        await until(pilot, lambda: screen.records[connector_id("ledger-db")].status == "Live")


async def test_what_changed_behind_another_screen_is_there_on_return(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        await pilot.press("1")
        await pilot.pause()
        await app_of(pilot).host.call(lambda engine: _set(engine, "events-lake", name="aaa-lake"))
        await until(pilot, lambda: screen._stale, "the change was heard")
        await pilot.press("2")
        await until(pilot, lambda: "aaa-lake" in names(screen))


async def test_a_source_that_another_process_adds_appears(endpoint_stage: Stage) -> None:
    async def write(database: Any, _: Any) -> None:
        async with database.write() as connection:
            await connection.execute(
                insert(tables.sources).values(
                    id="0new", name="aaa-new", type="sqlite", config="{}", created_at=NOW, created_by="ben", updated_at=NOW
                )
            )

    async with endpoint_stage.open() as pilot:
        screen = await show(pilot)
        endpoint_stage.write(write, ())
        await until(pilot, lambda: "aaa-new" in names(screen))


# --- Nothing yet, many, hostile


async def test_an_empty_table_says_what_to_do(empty_stage: Stage) -> None:
    async with empty_stage.open(size=(80, 24)) as pilot:
        await show(pilot)
        shown = "\n".join(picture(app_of(pilot)))
        assert "No sources yet." in shown
        assert "Press  a  to add one" in shown


async def test_hostile_names_are_harmless(empty_stage: Stage) -> None:
    cases = [
        case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text())["cases"] if isinstance(case.get("s"), str)
    ]
    hostile = dict.fromkeys(text[:200].encode("utf-8", "replace").decode() for text in cases)
    made = [
        endpoint(name, id=f"0h{index:018}", credentials="rejected", credentials_message=name, created_by=name)
        for index, name in enumerate(filter(None, hostile))
    ]
    seed_endpoints(empty_stage, sources=made, destinations=(), connectors=())
    async with empty_stage.open(size=(120, len(made) + 6)) as pilot:
        screen = await show(pilot)
        app = app_of(pilot)
        assert screen.table.count == len(made)
        for keys in ((), ("d",), ("m",), ("escape",), ("D",), ("escape",), ("colon", *"source "), ("escape",)):
            await pilot.press(*keys)
            await pilot.pause(0.05)
            assert not [line for line in picture(app) if clean(line) != line]
        strips = app.screen._compositor.render_strips()
        assert {strip.cell_length for strip in strips} == {120}
        assert not [
            segment for strip in strips for segment in strip if segment.style is not None and "@click" in segment.style.meta
        ]


# --- Pictures


class TestPictures:
    """Both tables at both sizes; without colours, in ASCII; the empty state, the details."""

    @pytest.mark.parametrize("kind", list(EndpointKind))
    @pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
    def test_table(self, endpoint_stage: Stage, snap_compare: Any, size: tuple[int, int], kind: EndpointKind) -> None:
        async def act(pilot: Any) -> None:
            await show(pilot, kind)

        assert snap_compare(endpoint_stage.app(), terminal_size=size, run_before=act)

    @pytest.mark.parametrize("look", ["mono", "ascii", "light"])
    def test_looks(self, endpoint_stage: Stage, snap_compare: Any, look: str) -> None:
        async def act(pilot: Any) -> None:
            await show(pilot)

        theme = {"light": "syncterm-light", "mono": "mono"}.get(look, "")
        app = endpoint_stage.app(settings=Settings(theme=theme), ascii=look == "ascii")
        assert snap_compare(app, terminal_size=(80, 24), run_before=act)

    @pytest.mark.parametrize("keys", [("d",), ("m",), ("o",), ("question_mark",)], ids=["details", "menu", "columns", "help"])
    def test_overlays(self, endpoint_stage: Stage, snap_compare: Any, keys: tuple[str, ...]) -> None:
        async def act(pilot: Any) -> None:
            screen = await show(pilot)
            screen.table.move_to(connector_id("crm-files"))
            await pilot.press(*keys)
            await quiet(pilot)
            for field in pilot.app.screen.query("Input"):
                field.cursor_blink = False
                field._cursor_visible = True
            await pilot.pause()

        assert snap_compare(endpoint_stage.app(), terminal_size=(100, 30), run_before=act)

    @pytest.mark.parametrize("kind", list(EndpointKind))
    def test_empty(self, empty_stage: Stage, snap_compare: Any, kind: EndpointKind) -> None:
        async def act(pilot: Any) -> None:
            await show(pilot, kind)

        assert snap_compare(empty_stage.app(), terminal_size=(80, 24), run_before=act)
