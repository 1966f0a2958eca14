"""Pictures of the widgets, in colour, without it, and in ASCII."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from textual.pilot import Pilot

from syncterm.widgets.confirm import Confirm, Target
from tests.widgets.demo_table import TableApp, make_rows
from tests.widgets.waiting import until

Compare = Callable[..., bool]


async def _prepare(pilot: Pilot[Any]) -> None:
    app = pilot.app
    assert isinstance(app, TableApp)
    await until(pilot, lambda: app.table.is_settled)
    await pilot.press("j", "space", "space", "j")
    app.table.sort_by("name")
    await until(pilot, lambda: app.table.is_settled)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
def test_table(snap_compare: Compare, size: tuple[int, int]) -> None:
    assert snap_compare(TableApp(make_rows(200)), terminal_size=size, run_before=_prepare)


def test_table_ascii(snap_compare: Compare) -> None:
    assert snap_compare(TableApp(make_rows(200), ascii=True), terminal_size=(80, 24), run_before=_prepare)


def test_table_mono(snap_compare: Compare, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(TableApp(make_rows(200)), terminal_size=(80, 24), run_before=_prepare)


@pytest.mark.parametrize("count", [3, 12])
def test_confirm(snap_compare: Compare, count: int) -> None:
    async def ask(pilot: Pilot[Any]) -> None:
        await _prepare(pilot)
        targets = [Target(f"c-{number:04}", "orders " if number == 1 else f"orders-{number}") for number in range(count)]
        consequences = ["Future syncs stop.", "What was already imported stays."]
        await pilot.app.push_screen(Confirm("Delete", targets, consequences=consequences))
        await pilot.pause()

    assert snap_compare(TableApp(make_rows(50)), terminal_size=(80, 24), run_before=ask)
