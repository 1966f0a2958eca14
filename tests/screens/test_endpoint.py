"""The screen of one source or destination: every tab and key, live changes, discovery on a real SQLite, hostile names, pictures."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from syncterm.actions import Scope, in_scope
from syncterm.app import SyncTermApp
from syncterm.engine import source_catalog
from syncterm.engine.engine import Engine
from syncterm.engine.events import EVERYTHING
from syncterm.engine.model import Actor, EndpointKind, Role
from syncterm.engine.queries import AuditRow
from syncterm.engine.schema import Catalog
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.screens.check import CheckScreen
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.endpoint import EndpointScreen
from syncterm.screens.endpoint_summary import audit_text, version_note
from syncterm.screens.endpoints import EndpointsScreen
from syncterm.screens.menu import Menu
from syncterm.screens.sync_detail import SyncDetailScreen
from syncterm.settings import Settings
from syncterm.text import clean
from syncterm.widgets.confirm import Confirm
from tests.samples import SAMPLES
from tests.screens.conftest import NOW, Seed, Stage, connector_id, failed, picture, seed, toasts, until
from tests.screens.endpoint_store import endpoint, fill_endpoints, quiet, seed_endpoints, settle_detail, stream

SOURCE, DESTINATION = EndpointKind.SOURCE, EndpointKind.DESTINATION


@pytest.fixture
def endpoint_stage(empty_stage: Stage) -> Stage:
    """A workspace with sources, destinations and connectors in each status."""
    seed_endpoints(empty_stage)
    return empty_stage


async def open_(pilot: Any, name: str = "billing-db", kind: EndpointKind = SOURCE, tab: str = "") -> EndpointScreen:
    """Open one, at that tab."""
    await pilot.press("2" if kind is SOURCE else "3")
    await until(pilot, lambda: isinstance(pilot.app.screen, EndpointsScreen))
    app_of(pilot).open_endpoint(kind, connector_id(name))
    screen = await settle_detail(pilot)
    if tab:
        screen.show_tab(tab)
        await quiet(pilot)
    return screen


def app_of(pilot: Any) -> SyncTermApp:
    assert isinstance(pilot.app, SyncTermApp)
    return pilot.app


def shown(pilot: Any) -> str:
    return "\n".join(picture(app_of(pilot)))


# --- Pure parts


AUDIT = AuditRow(1, NOW, "ana", "user", "save_endpoint", "source", "0", "billing", False, None, None)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (AUDIT, ""),
        (replace(AUDIT, refused=True), "refused"),
        (replace(AUDIT, after='{"version": 1, "incomplete": null}'), "version: 1"),
        (replace(AUDIT, after='{"version": 1, "incomplete": "Host is missing"}'), "version: 1, unfinished: Host is missing"),
        (replace(AUDIT, before='{"Host": "a"}', after='{"Host": "b"}'), "Host: a > b"),
        (replace(AUDIT, after='{"result": "Connection timeout", "cause": "No answer."}'), "Connection timeout: No answer."),
        (replace(AUDIT, after='{"streams": 1234}'), "1,234 streams"),
        (replace(AUDIT, after="no json"), ""),
        (replace(AUDIT, after='["a"]'), ""),
        (replace(AUDIT, after=json.dumps({str(n): n for n in range(7)})), "0: 0, 1: 1, 2: 2, 3: 3 and 3 more"),
    ],
)
def test_the_audit_trail_in_words(row: AuditRow, expected: str) -> None:
    assert audit_text(row) == expected


@pytest.mark.parametrize(("applied", "outdated", "expected"), [(None, False, "-"), (3, False, "3"), (2, True, "2, newest is 3")])
def test_the_applied_version_in_words(applied: int | None, outdated: bool, expected: str) -> None:
    assert version_note(applied, 3, outdated) == expected


# --- Tabs


async def test_the_head_says_status_test_and_what_was_moved(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await open_(pilot)
        text = shown(pilot)
        for words in ("Live", "PostgreSQL", "version 3", "Connection is working, 1 h ago", "181,722 records", "by ana"):
            assert words in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("crm-files", ("Re-Auth required", "permission denied", "e renews the credentials")),
        ("events-lake", ("Authenticated", "no connector that runs uses it yet")),
        ("ledger-db", ("Error", "the Errors tab shows what failed", "1 paused, 1 Broken")),
        ("new-warehouse", ("Setup", "Host is missing", "e completes the set-up")),
    ],
)
async def test_what_is_wrong_and_what_to_do(endpoint_stage: Stage, name: str, words: Sequence[str]) -> None:
    async with endpoint_stage.open(size=(80, 24)) as pilot:
        await open_(pilot, name)
        for word in words:
            assert word in shown(pilot)


async def test_streams_open_with_their_columns_and_are_searched(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await open_(pilot)
        assert "3 streams · discovered 5 min ago" in shown(pilot)
        await pilot.press("down", "space")
        await until(pilot, lambda: "customer_id" in shown(pilot), "the columns")
        assert "float64" in shown(pilot)
        await pilot.press("left")
        await until(pilot, lambda: "customer_id" not in shown(pilot))
        await pilot.press("slash", *"PAY", "enter")
        await until(pilot, lambda: [one.name for one in screen._streams.tree_of_streams.streams] == ["public.payments"])
        assert "1 of 3 streams" in shown(pilot)
        await pilot.press("escape")
        await until(pilot, lambda: len(screen._streams.tree_of_streams.streams) == 3)
        assert pilot.app.screen is screen, "esc cleared the search first"


async def test_thousands_of_streams_are_drawn_a_window_at_a_time(empty_stage: Stage) -> None:
    async def write(database: Database, _: Sequence[Seed]) -> None:
        await fill_endpoints(database)
        catalog = Catalog(tuple(stream(f"table_{number:05}", ("id", "int64")) for number in range(5_000)))
        await source_catalog.keep(database, connector_id("billing-db"), source_catalog.catalog_rows(catalog), NOW)

    empty_stage.write(write, ())
    async with empty_stage.open() as pilot:
        screen = await open_(pilot)
        tree = screen._streams.tree_of_streams
        await pilot.press("end")
        assert "table_04999" in shown(pilot)
        assert len(tree._painted) <= 2 * screen.size.height
        await pilot.press("space")
        await until(pilot, lambda: tree.row_count() == 5_001)


async def test_a_connector_is_opened_from_its_source(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await open_(pilot, tab="connectors")
        text = shown(pilot)
        assert "2, newest is 3" in text
        assert "billing-nightly" in text
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConnectorScreen))
        assert pilot.app.screen.connector_id == connector_id("billing-nightly")  # type: ignore[attr-defined]  # as was just asked


async def test_the_setup_shows_titles_and_no_secret(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await open_(pilot, tab="setup")
        text = shown(pilot)
        assert "db.example.com" in text
        assert "waits for a refresh" in text
        assert "present" in text


async def test_errors_open_their_sync(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await open_(pilot, "ledger-db", tab="errors")
        assert "database is locked" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SyncDetailScreen))


async def test_the_audit_trail_says_who_did_what(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await open_(pilot, tab="audit")
        lines = [line for line in picture(app_of(pilot)) if " ana " in line and "ago" in line and "Created" not in line]
        assert [words in line for words, line in zip(("Host: db.example.com", "Tested", "version: 1"), lines, strict=True)] == [
            True
        ] * 3


async def test_brackets_walk_the_tabs_and_a_destination_has_no_streams(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await open_(pilot, "warehouse", DESTINATION)
        seen = []
        for _ in range(4):
            seen.append(screen._tab)
            await pilot.press("right_square_bracket")
        assert seen == ["connectors", "setup", "errors", "audit"]
        assert screen._tab == "connectors"
        await pilot.press("left_square_bracket")
        assert screen._tab == "audit"


# --- Keys


async def test_test_edit_menu_yank_and_zoom(endpoint_stage: Stage) -> None:
    from syncterm.screens.endpoint_form import EndpointForm

    async with endpoint_stage.open() as pilot:
        screen = await open_(pilot, "ledger-db")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(pilot.app.screen, CheckScreen))
        await until(pilot, lambda: pilot.app.screen.phase != "running")  # type: ignore[attr-defined]  # as was just asked
        await pilot.press("escape", "m")
        await until(pilot, lambda: isinstance(pilot.app.screen, Menu))
        await pilot.press("escape", "y", "y")
        await until(pilot, lambda: pilot.app.clipboard == connector_id("ledger-db"))
        await pilot.press("z")
        assert screen.has_class("-zoomed")
        await pilot.press("escape")
        assert not screen.has_class("-zoomed")
        await pilot.press("e")
        await until(pilot, lambda: isinstance(pilot.app.screen, EndpointForm))


async def test_an_unfinished_one_cannot_be_tested(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await open_(pilot, "new-warehouse")
        await pilot.press("c")
        await pilot.pause()
        assert toasts(app_of(pilot)) == ["There is nothing to test yet: Host is missing."]


async def test_deleting_leads_back_and_undo_restores(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        await open_(pilot, "events-lake")
        await pilot.press("D")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm))
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, EndpointsScreen))
        await pilot.press("U")
        table = pilot.app.screen
        assert isinstance(table, EndpointsScreen)
        await until(pilot, lambda: connector_id("events-lake") in table.table._selection.keys)


async def test_every_action_of_the_scope_is_bound_on_the_screen(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open() as pilot:
        screen = await open_(pilot)
        bound = {active.binding.id for active in screen.active_bindings.values()}
        assert bound >= {spec.id for spec in in_scope(Scope.ENDPOINT)}


async def test_a_viewer_looks_and_changes_nothing(endpoint_stage: Stage) -> None:
    async with endpoint_stage.open(actor=Actor("eve", Role.VIEWER)) as pilot:
        screen = await open_(pilot)
        for key in ("e", "c", "D", "R"):
            await pilot.press(key)
            await pilot.pause()
            assert pilot.app.screen is screen
        assert screen._discovering is None
        assert len([toast for toast in toasts(app_of(pilot)) if "needs the role user" in toast]) == 3


# --- Live, and what a source offers now


async def test_a_change_is_shown(endpoint_stage: Stage) -> None:
    async def refuse(engine: Engine) -> None:
        async with engine.database.write() as connection:
            await connection.execute(
                update(tables.sources)
                .where(tables.sources.c.name == "billing-db")
                .values(credentials="rejected", credentials_message="password refused")
            )
        engine.notify(EVERYTHING)

    async with endpoint_stage.open() as pilot:
        await open_(pilot)
        await app_of(pilot).host.call(refuse)
        await until(pilot, lambda: "password refused" in shown(pilot))
        assert "Re-Auth required" in shown(pilot)


async def test_discovering_reads_the_source(empty_stage: Stage, tmp_path: Path) -> None:
    path = tmp_path / "shop.sqlite"
    with closing(sqlite3.connect(path)) as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, total REAL)")
    seed_endpoints(
        empty_stage, sources=(endpoint("shop", "sqlite", config=json.dumps({"path": str(path)})),), destinations=(), connectors=()
    )
    async with empty_stage.open() as pilot:
        screen = await open_(pilot, "shop")
        assert "Nobody has looked yet" in shown(pilot)
        await pilot.press("R")
        await until(pilot, lambda: "orders" in shown(pilot), "the stream is there")
        with closing(sqlite3.connect(path)) as shop:
            shop.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY)")
        await until(pilot, lambda: screen._discovering is None)
        await pilot.press("R")
        await until(pilot, lambda: "customers" in shown(pilot), "the new stream is there")


async def test_a_discovery_that_fails_says_why(empty_stage: Stage, tmp_path: Path) -> None:
    gone = json.dumps({"path": str(tmp_path / "gone.sqlite")})
    seed_endpoints(empty_stage, sources=(endpoint("shop", "sqlite", config=gone),), destinations=(), connectors=())
    async with empty_stage.open() as pilot:
        screen = await open_(pilot, "shop")
        await pilot.press("R")
        await until(pilot, lambda: toasts(app_of(pilot)))
        assert "gone.sqlite" in toasts(app_of(pilot))[0]
        await until(pilot, lambda: screen._discovering is None)


# --- Hostile names


async def test_hostile_names_are_harmless_on_every_tab(empty_stage: Stage) -> None:
    cases = [
        case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text())["cases"] if isinstance(case.get("s"), str)
    ]
    hostile = list(filter(None, dict.fromkeys(text[:200].encode("utf-8", "replace").decode() for text in cases)))

    async def write(database: Database, _: Sequence[Seed]) -> None:
        name = next(text for text in hostile if "\x1b" in text)
        source = endpoint(
            name,
            "sqlite",
            id=connector_id("hostile"),
            config=json.dumps({"path": hostile[0]}),
            credentials="rejected",
            credentials_message=name,
        )
        users = [
            seed(text, id=f"0h{index:018}", source_id=source.values["id"], **failed("source_data", text))
            for index, text in enumerate(hostile)
        ]
        await fill_endpoints(
            database, sources=(source, endpoint("pg-main")), destinations=(endpoint("warehouse"),), connectors=users
        )
        catalog = Catalog(tuple(stream(text, (text, "text")) for text in hostile))
        await source_catalog.keep(database, source.values["id"], source_catalog.catalog_rows(catalog), NOW)

    empty_stage.write(write, ())
    async with empty_stage.open(size=(100, len(hostile) + 14)) as pilot:
        screen = await open_(pilot, "hostile")
        app = app_of(pilot)
        for tab in ("streams", "connectors", "setup", "errors", "audit"):
            screen.show_tab(tab)
            await quiet(pilot)
            if tab == "streams":
                for _ in range(5):
                    await pilot.press("space", "down", "down")
                await quiet(pilot)
            assert not [line for line in picture(app) if clean(line) != line], tab
            strips = app.screen._compositor.render_strips()
            assert {strip.cell_length for strip in strips} == {100}, tab
            assert not [one for strip in strips for one in strip if one.style is not None and "@click" in one.style.meta]


# --- Pictures


class TestPictures:
    """Each tab at both sizes, each trouble, a destination, without colours and in ASCII."""

    @pytest.mark.parametrize("tab", ["streams", "connectors", "setup", "errors", "audit"])
    @pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
    def test_tab(self, endpoint_stage: Stage, snap_compare: Any, size: tuple[int, int], tab: str) -> None:
        async def act(pilot: Any) -> None:
            await open_(pilot, "ledger-db" if tab == "errors" else "billing-db", tab=tab)
            if tab == "streams":
                await pilot.press("down", "space")
                await quiet(pilot)

        assert snap_compare(endpoint_stage.app(), terminal_size=size, run_before=act)

    @pytest.mark.parametrize("name", ["crm-files", "new-warehouse"])
    def test_trouble(self, endpoint_stage: Stage, snap_compare: Any, name: str) -> None:
        async def act(pilot: Any) -> None:
            await open_(pilot, name)

        assert snap_compare(endpoint_stage.app(), terminal_size=(80, 24), run_before=act)

    @pytest.mark.parametrize("look", ["mono", "ascii"])
    def test_destination(self, endpoint_stage: Stage, snap_compare: Any, look: str) -> None:
        async def act(pilot: Any) -> None:
            await open_(pilot, "warehouse", DESTINATION)

        app = endpoint_stage.app(settings=Settings(theme="mono" if look == "mono" else ""), ascii=look == "ascii")
        assert snap_compare(app, terminal_size=(80, 24), run_before=act)
