"""What goes wrong behind a screen is said and logged, never lost."""

from __future__ import annotations

import logging

import pytest

from syncterm.app import SyncTermApp
from syncterm.engine.errors import StoreError
from syncterm.screens.base import DashboardScreen
from syncterm.widgets.live_table import LiveTable
from tests.screens.conftest import Stage, toasts, until


@pytest.mark.parametrize(
    ("error", "toast", "logged"),
    [
        (StoreError("The disk is full.", remedy="Free some space."), "The disk is full.: Free some space.", 0),
        (KeyError("[red]x"), "A defect of syncterm: KeyError: '[red]x'", 1),
    ],
)
@pytest.mark.parametrize("by_table", [True, False])
async def test_a_failure_becomes_a_toast(
    stage: Stage, caplog: pytest.LogCaptureFixture, error: Exception, toast: str, logged: int, by_table: bool
) -> None:
    async def fail() -> None:
        raise error

    async with stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        screen = app.screen
        assert isinstance(screen, DashboardScreen)
        with caplog.at_level(logging.ERROR, "syncterm.app"):
            if by_table:
                table = screen.query_one(LiveTable)
                table.post_message(LiveTable.LoadFailed(table, error))
            else:
                screen.run_worker(fail(), exit_on_error=False)
            await until(pilot, lambda: toasts(app) == [toast])
        assert len(caplog.records) == logged
        assert app.is_running
