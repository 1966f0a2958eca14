"""A source that was edited: connectors stay on the version they applied until V shows the difference and refreshes them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update
from textual.pilot import Pilot

from syncterm.engine.model import EndpointKind
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import connectors, source_versions, sources
from syncterm.widgets.confirm import Confirm
from tests.screens.conftest import NOW, Seed, Stage, connector_id, picture, toasts, until

SOURCE = connector_id("pg-main")
APPLIED = {"host": "old.example", "database": "shop", "user": "etl", "password": "***"}
PRESENT = APPLIED | {"host": "new.example", "port": 6432}


async def edit_source(database: Database, seeds: Sequence[Seed]) -> None:
    """The source as if it had been edited once, its connectors on the version before."""
    async with database.write() as connection:
        for version, config in ((1, APPLIED), (2, PRESENT)):
            await connection.execute(
                insert(source_versions).values(
                    source_id=SOURCE, version=version, config=json.dumps(config), created_at=NOW, created_by="ana"
                )
            )
        await connection.execute(update(sources).where(sources.c.id == SOURCE).values(version=2, config=json.dumps(PRESENT)))
        await connection.execute(update(connectors).where(connectors.c.source_id == SOURCE).values(source_version=1))


async def versions(pilot: Pilot[Any]) -> dict[str, int]:
    """Connector → the version it applied, of those of the source."""

    async def read(engine: Any) -> dict[str, int]:
        async with engine.database.read() as connection:
            statement = select(connectors.c.name, connectors.c.source_version).where(connectors.c.source_id == SOURCE)
            return {row.name: row.source_version for row in await connection.execute(statement)}

    return await pilot.app.host.call(read)  # type: ignore[attr-defined, no-any-return]  # the app of the stage


async def ask(pilot: Pilot[Any]) -> str:
    """Press V; the question that comes."""
    await pilot.press("V")
    await until(pilot, lambda: isinstance(pilot.app.screen, Confirm), "the question is there")
    await pilot.pause()
    return "\n".join(picture(pilot.app))  # type: ignore[arg-type]


async def test_one_connector_is_refreshed_after_the_difference_was_shown(stage: Stage) -> None:
    stage.write(edit_source, ())
    async with stage.open() as pilot:
        shown = await ask(pilot)
        assert "old.example" in shown
        assert "new.example" in shown
        assert "6432" in shown
        await pilot.press("n")
        await until(pilot, lambda: not isinstance(pilot.app.screen, Confirm))
        assert set((await versions(pilot)).values()) == {1}, "Cancel changes nothing"
        await ask(pilot)
        await pilot.press("y")
        await until(pilot, lambda: any("Uses version 2" in toast for toast in toasts(pilot.app)), "it is said")  # type: ignore[arg-type]
        found = await versions(pilot)
        assert found.pop("billing-pg") == 2
        assert set(found.values()) == {1}, "the others stay"


async def test_all_of_a_source_at_once(stage: Stage) -> None:
    stage.write(edit_source, ())
    async with stage.open() as pilot:
        pilot.app.open_endpoint(EndpointKind.SOURCE, SOURCE)  # type: ignore[attr-defined]
        screen = pilot.app.screen
        await until(pilot, lambda: screen.detail is not None and screen.detail.uses, "its connectors are read")  # type: ignore[attr-defined]
        await ask(pilot)
        await pilot.press("y")
        await until(pilot, lambda: any("done" in toast for toast in toasts(pilot.app)), "it is said")  # type: ignore[arg-type]
        assert set((await versions(pilot)).values()) == {2}


async def test_the_schema_tab_says_that_the_source_was_edited(stage: Stage) -> None:
    stage.write(edit_source, ())
    async with stage.open() as pilot:
        await pilot.press("enter")
        await until(
            pilot,
            lambda: any("at version 2; this connector stays on 1. V shows" in line for line in picture(pilot.app)),  # type: ignore[arg-type]
            "it is said",
        )


async def test_there_is_nothing_to_refresh(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.press("V")
        await until(pilot, lambda: any("present version" in toast for toast in toasts(pilot.app)), "it is said")  # type: ignore[arg-type]
