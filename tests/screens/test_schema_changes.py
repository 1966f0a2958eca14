"""Reviewing schema changes: what is shown, approving, rejecting, always, marks, the four policies, hostile names, who may not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from textual.pilot import Pilot

from syncterm.app import SyncTermApp
from syncterm.engine.model import ChangeState, SchemaPolicy, StreamConfig, SyncMode
from syncterm.engine.schema import Field, LogicalType, StreamSchema, fingerprint
from syncterm.engine.schema_change import settle
from syncterm.engine.schema_difference import Entry
from syncterm.engine.schema_history import difference_text, note_blocking
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.screens.connector import ConnectorScreen
from syncterm.screens.schema_changes import SchemaReview, draw_line, foot_lines, review_lines
from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, width
from syncterm.widgets.confirm import Confirm
from syncterm.widgets.lines import plain
from tests.screens.conftest import NOW, Stage, picture, toasts, until
from tests.screens.connector_store import BILLING, CONNECTOR_ID, add_connector, add_syncs, fill, opened, quiet, schema_of

HOSTILE = "a\x1b[31mred\x1b]0;title\x07[bold]<b>\u202erecord\n日本語"
ORDERS, CUSTOMERS = schema_of(BILLING[0]), schema_of(BILLING[1])
TEXT = LogicalType("text")


def config(name: str, **values: Any) -> StreamConfig:
    """How the seeded connector syncs a stream."""
    stream = next(stream for stream in BILLING if stream.name == name)
    return StreamConfig(
        name,
        stream.sync_mode,
        tuple(stream.primary_key),
        stream.cursor_field,
        tuple(stream.columns) if stream.columns is not None else None,
        dict(stream.casts),
        **values,
    )


def with_column(schema: StreamSchema, name: str) -> StreamSchema:
    return StreamSchema(schema.name, (*schema.fields, Field(name, TEXT, native="text")), schema.primary_key)


def without(schema: StreamSchema, name: str) -> StreamSchema:
    return StreamSchema(schema.name, tuple(field for field in schema.fields if field.name != name), schema.primary_key)


async def add_change(
    database: Database,
    stream: str,
    found: StreamSchema | None,
    *,
    policy: SchemaPolicy = SchemaPolicy.APPROVE,
    approved: StreamSchema | None = None,
    state: ChangeState = ChangeState.WAITING,
    by: str | None = None,
    entries: Sequence[Entry] | None = None,
) -> None:
    """Record what a sync would have found."""
    settled = settle(config(stream), approved or (ORDERS if stream == "orders" else CUSTOMERS), found, policy)
    shown = entries if entries is not None else settled.waiting
    async with database.write() as connection:
        await connection.execute(
            insert(tables.schema_changes).values(
                connector_id=CONNECTOR_ID,
                stream=stream,
                found_at=NOW,
                difference=difference_text(shown, settled.blocking),
                fingerprint=fingerprint(found) if found else "",
                schema=found.to_text() if found else None,
                state=state,
                blocking=settled.blocking is not None and state is ChangeState.WAITING,
                decided_at=NOW if by else None,
                decided_by=by,
            )
        )
        await note_blocking(connection, CONNECTOR_ID)


@pytest.fixture
def stage(empty_stage: Stage) -> Stage:
    return empty_stage


def prepare(stage: Stage, *changes: dict[str, Any], policy: str = "approve") -> None:
    """A connector with these changes."""

    async def write(database: Database) -> None:
        await add_connector(database, schema_policy=policy)
        await add_syncs(database, 3)
        for change in changes:
            await add_change(database, **change, policy=SchemaPolicy(policy))

    fill(stage, write)


ADDED = {"stream": "customers", "found": with_column(CUSTOMERS, "vat_number")}
REMOVED = {"stream": "customers", "found": without(CUSTOMERS, "email")}
SELECTED_GONE = {"stream": "orders", "found": without(ORDERS, "total")}
KEY_GONE = {"stream": "customers", "found": without(CUSTOMERS, "id")}
EARLIER = {"stream": "customers", "found": with_column(CUSTOMERS, "phone"), "state": ChangeState.APPROVED, "by": "ana"}


async def review(pilot: Pilot[Any]) -> SchemaReview:
    """Open the review by its key."""
    await pilot.press("A")
    await until(pilot, lambda: isinstance(pilot.app.screen, SchemaReview) and pilot.app.screen.loaded, "the review is open")
    await pilot.pause()
    screen = pilot.app.screen
    assert isinstance(screen, SchemaReview)
    return screen


def shown(pilot: Pilot[Any]) -> str:
    assert isinstance(pilot.app, SyncTermApp)
    return "\n".join(picture(pilot.app))


async def states(stage: Stage) -> list[tuple[str, str, str | None]]:
    """Stream, state and who decided, of every change."""

    async def read() -> list[tuple[str, str, str | None]]:
        database = await Database.open(stage.workspace.store_path, clock=stage.clock)
        try:
            async with database.read() as connection:
                columns = tables.schema_changes.c
                rows = await connection.execute(select(columns.stream, columns.state, columns.decided_by).order_by(columns.id))
                return [tuple(row) for row in rows]
        finally:
            await database.close()

    return await asyncio.to_thread(lambda: asyncio.run(read()))


async def decided(pilot: Pilot[Any], stage: Stage, *expected: str) -> None:
    """Wait until the changes are in these states."""
    host = pilot.app.host  # type: ignore[attr-defined]  # the app of the stage
    for _ in range(500):
        rows = await host.call(lambda engine: engine.queries.schema_changes(CONNECTOR_ID))
        if [str(row.state) for row in sorted(rows, key=lambda row: row.id)] == list(expected):
            break
        await pilot.pause(0.01)
    else:
        raise AssertionError(f"never {expected}")
    busy = ("decide", "look")
    await until(pilot, lambda: not any(worker.is_running and worker.group in busy for worker in pilot.app.workers), "it is shown")
    await pilot.pause()


async def test_a_change_that_waits_is_approved_as_shown(stage: Stage) -> None:
    prepare(stage, ADDED, EARLIER)
    async with opened(stage, size=(120, 40)) as pilot:
        assert "A schema change waits for approval; syncs go on without it. A reviews." in shown(pilot)
        assert "● Active" in shown(pilot)
        await review(pilot)
        text = shown(pilot)
        for part in (
            "Schema changes: billing-pg",
            "customers",
            "+ vat_number added (text)",
            "safe",
            "If approved: The destination gets the column",
            "Earlier changes",
            "approved by ana",
            "+ phone added (text)",
            "apply additions: applied",
        ):
            assert part in text, part
        await pilot.press("y")
        await decided(pilot, stage, "approved", "approved")
        assert any("The next sync reads customers with it." in toast for toast in toasts(pilot.app))  # type: ignore[arg-type]
        await pilot.press("escape")
        await until(pilot, lambda: "Streams" in shown(pilot) or "Stream /" in shown(pilot), "the connector's screen is back")
        await until(pilot, lambda: "waits for approval" not in shown(pilot), "nothing waits any more")
        assert isinstance(pilot.app.screen, ConnectorScreen)
    assert ("customers", "approved", "ana") in await states(stage)


async def test_reject_and_always(stage: Stage) -> None:
    prepare(stage, ADDED)
    async with opened(stage) as pilot:
        await review(pilot)
        await pilot.press("n")
        await decided(pilot, stage, "rejected")
        assert "rejected by ana" in shown(pilot)


async def test_approving_always_changes_the_policy_after_a_question(stage: Stage) -> None:
    prepare(stage, ADDED)
    async with opened(stage) as pilot:
        await review(pilot)
        await pilot.press("A")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm), "it asks")
        assert "the policy applies such changes by itself" in shown(pilot)
        await pilot.press("y")
        await decided(pilot, stage, "approved")
        detail = await pilot.app.host.call(lambda engine: engine.queries.connector(CONNECTOR_ID))  # type: ignore[attr-defined]
        assert detail is not None
        assert detail.schema_policy == "apply_additions"


async def test_breaking_changes_are_asked_about_with_the_focus_on_cancel(stage: Stage) -> None:
    prepare(stage, SELECTED_GONE)
    async with opened(stage) as pilot:
        assert "◐ Incomplete" in shown(pilot)
        await review(pilot)
        assert "stops the connector" in shown(pilot)
        assert "breaking" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm), "it asks")
        await pilot.pause()
        assert pilot.app.focused is not None
        assert pilot.app.focused.id == "confirm-cancel"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SchemaReview), "nothing was done")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm), "it asks again")
        await pilot.press("y")
        await decided(pilot, stage, "approved")
        await pilot.press("escape")
        await until(pilot, lambda: "● Active" in shown(pilot), "the connector is whole again")


async def test_what_cannot_be_approved_says_what_to_do(stage: Stage) -> None:
    prepare(stage, KEY_GONE)
    async with opened(stage, size=(120, 40)) as pilot:
        await review(pilot)
        assert "Records are merged by this key: choose another" in shown(pilot)
        await pilot.press("y")
        await until(pilot, lambda: isinstance(pilot.app.screen, Confirm), "it asks")
        await pilot.press("y")
        await until(pilot, lambda: any("cannot be approved" in toast for toast in toasts(pilot.app)), "it is refused")  # type: ignore[arg-type]
    assert [state for _, state, _ in await states(stage)] == ["waiting"]


async def test_marked_changes_are_decided_together(stage: Stage) -> None:
    entries = settle(config("customers"), CUSTOMERS, with_column(CUSTOMERS, "vat"), SchemaPolicy.APPROVE).waiting
    prepare(stage, ADDED, {"stream": "orders", "found": with_column(ORDERS, "vat"), "entries": entries})
    async with opened(stage) as pilot:
        screen = await review(pilot)
        await pilot.press("space")
        assert "1 marked" in shown(pilot)
        assert screen.list.cursor == 2  # the next change
        await pilot.press("escape")
        assert "marked" not in shown(pilot)
        await pilot.press("asterisk")
        assert "2 marked" in shown(pilot)
        await pilot.press("n")
        await decided(pilot, stage, "rejected", "rejected")
        await pilot.press("y")
        assert "No schema change waits." in toasts(pilot.app)[-1]  # type: ignore[arg-type]


JOURNEYS = [
    ("approve", ADDED, False, "apply all: applied"),
    ("apply_additions", REMOVED, True, "apply all: applied"),
    ("apply_all", SELECTED_GONE, True, "approve: stops"),
    ("pause", ADDED, True, "apply additions: applied"),
]


@pytest.mark.parametrize(("policy", "change", "stops", "others"), JOURNEYS)
async def test_the_journey_under_each_policy(stage: Stage, policy: str, change: dict[str, Any], stops: bool, others: str) -> None:
    prepare(stage, change, policy=policy)
    async with opened(stage, size=(120, 40)) as pilot:
        assert ("◐ Incomplete" in shown(pilot)) is stops
        await review(pilot)
        assert ("stops the connector" in shown(pilot).partition("Policy")[0]) is stops
        assert others in shown(pilot)
        await pilot.press("y")
        if policy == "apply_all":
            await until(pilot, lambda: isinstance(pilot.app.screen, Confirm), "breaking is asked about")
            await pilot.press("y")
        await decided(pilot, stage, "approved")
        await pilot.press("escape")
        await until(pilot, lambda: "● Active" in shown(pilot), "the connector is whole")


async def test_a_newer_difference_takes_the_place_of_the_one_that_was_shown(stage: Stage) -> None:
    prepare(stage, ADDED)
    async with opened(stage) as pilot:
        screen = await review(pilot)
        looking = screen._looking
        screen._looking = type(looking)(screen, lambda: asyncio.sleep(0))  # the list stays as it was shown

        async def supersede(engine: Any) -> None:  # as a sync would
            async with engine.database.write() as connection:
                await connection.execute(update(tables.schema_changes).values(state="superseded"))

        await pilot.app.host.call(supersede)  # type: ignore[attr-defined]
        await pilot.press("y")
        await until(pilot, lambda: any("further" in toast for toast in toasts(pilot.app)), "it is refused")  # type: ignore[arg-type]


@pytest.mark.parametrize("read_only", [True, False])
async def test_who_may_only_look_only_looks(stage: Stage, read_only: bool) -> None:
    from syncterm.engine.model import Actor, Role

    prepare(stage, ADDED)
    options: dict[str, Any] = {"read_only": True} if read_only else {"actor": Actor("vera", Role.VIEWER)}
    async with opened(stage, **options) as pilot:
        await review(pilot)
        assert "vat_number" in shown(pilot)
        assert "Reject" not in shown(pilot)
        for key in ("y", "n", "A"):
            await pilot.press(key)
        assert toasts(pilot.app)[-1] == ("This dashboard is read-only." if read_only else "Approving needs the role user.")  # type: ignore[arg-type]
    assert [state for _, state, _ in await states(stage)] == ["waiting"]


@pytest.mark.parametrize("size", [(80, 24), (40, 12)])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_hostile_names_stay_text(stage: Stage, size: tuple[int, int], ascii_only: bool) -> None:
    prepare(stage, {"stream": "customers", "found": with_column(CUSTOMERS, HOSTILE)})
    async with opened(stage, size=size, ascii=ascii_only) as pilot:
        await review(pilot)
        text = shown(pilot)
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "a␛[31mred" in text or "a\\x1b[31mred" in text or "[31mred" in text
        await pilot.press("j")
        await pilot.press("y")
        await decided(pilot, stage, "approved")


async def test_nothing_changed_yet_says_what_will_be_here(stage: Stage) -> None:
    prepare(stage)
    async with opened(stage) as pilot:
        await review(pilot)
        assert "The source's schema has not changed since the first sync." in shown(pilot)
        await pilot.press("y")
        assert "No schema change waits." in toasts(pilot.app)[-1]  # type: ignore[arg-type]
        await pilot.press("q")
        assert isinstance(pilot.app.screen, ConnectorScreen)


async def test_the_menu_and_the_palette_open_it(stage: Stage) -> None:
    prepare(stage, ADDED)
    async with opened(stage) as pilot:
        await pilot.press("m")
        await pilot.pause()
        await pilot.press("A")
        await until(pilot, lambda: isinstance(pilot.app.screen, SchemaReview), "the menu opens it")
        await pilot.press("escape")
        await quiet(pilot)
        await pilot.press("colon", *"approve", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SchemaReview), "the palette opens it")


def test_every_line_fits_its_cells() -> None:
    from syncterm.engine.queries import SchemaChangeRow

    settled = settle(
        StreamConfig("customers", SyncMode.INCREMENTAL_UPSERT, ("id",), "updated_at"),
        CUSTOMERS,
        with_column(without(CUSTOMERS, "id"), HOSTILE * 20),
        SchemaPolicy.APPROVE,
    )
    for state in ChangeState:
        row = SchemaChangeRow(
            1, HOSTILE * 5, NOW, None, settled.waiting, state, True, settled.blocking, NOW, HOSTILE, SchemaPolicy.APPROVE
        )
        for symbols in (GLYPHS_UNICODE, GLYPHS_ASCII):
            for cells in (30, 60, 118):
                for line in review_lines([row]):
                    drawn = plain(draw_line(line, True, cells, NOW, symbols))
                    assert width(drawn) <= cells, drawn
                    assert drawn.isprintable()
                    if cells >= 60:
                        assert all(width(plain(part)) <= cells for part in foot_lines(line, cells, symbols))


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_snapshot(stage: Stage, snap_compare: Any, size: tuple[int, int]) -> None:
    orders = settle(config("orders"), ORDERS, without(ORDERS, "total"), SchemaPolicy.APPROVE)
    prepare(
        stage,
        {"stream": "orders", "found": without(ORDERS, "total"), "entries": orders.waiting},
        ADDED,
        EARLIER,
        {"stream": "customers", "found": with_column(CUSTOMERS, "fax"), "state": ChangeState.REJECTED, "by": "bob"},
    )

    async def show(pilot: Pilot[Any]) -> None:
        from tests.screens.connector_store import show

        await show(pilot)
        await review(pilot)

    assert snap_compare(stage.app(), terminal_size=size, run_before=show)


def test_a_difference_is_read_as_it_was_written() -> None:
    settled = settle(config("orders"), ORDERS, without(ORDERS, "total"), SchemaPolicy.APPROVE)
    document = json.loads(difference_text(settled.waiting, settled.blocking))
    assert tuple(map(Entry.from_document, document["entries"])) == settled.waiting
