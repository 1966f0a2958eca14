"""The log view: following, scrolling, wrapping, searching."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from syncterm.widgets import log_view
from syncterm.widgets.log_view import LEVEL_WIDTH, LogLine, LogView
from tests.widgets.waiting import screen_lines

HEIGHT = 10


def numbered(count: int, first: int = 0) -> list[LogLine]:
    return [
        LogLine(f"line {number}", datetime(2025, 1, 1, 12, 0, number % 60, tzinfo=UTC)) for number in range(first, first + count)
    ]


@asynccontextmanager
async def shown(lines: Sequence[LogLine], **options: Any) -> AsyncIterator[tuple[LogView, Pilot[Any]]]:
    class LogApp(App[None]):
        def compose(self) -> ComposeResult:
            yield LogView(lines, **options)

    app = LogApp()
    async with app.run_test(size=(60, HEIGHT)) as pilot:
        view = app.query_one(LogView)
        view.focus()
        await pilot.pause()
        yield view, pilot


async def test_follows_the_end_until_one_scrolls_up() -> None:
    async with shown(numbered(50)) as (view, pilot):
        assert screen_lines(pilot)[-1].startswith("2025-01-01 12:00:49 info    line 49")
        view.append(numbered(5, 50))
        await pilot.pause()
        assert "line 54" in screen_lines(pilot)[-1]
        await pilot.press("k")
        view.append(numbered(5, 55))
        await pilot.pause()
        assert not view.following
        assert "line 53" in screen_lines(pilot)[-1]
        await pilot.press("f")
        assert "line 59" in screen_lines(pilot)[-1]


@pytest.mark.parametrize(
    ("keys", "first"),
    [
        ("g", 0),
        ("g j j", 2),
        ("g j k", 0),
        ("g pagedown", 9),
        ("g ctrl+f ctrl+b", 0),
        ("g G", 40),
        ("home end", 40),
        ("pageup", 31),
    ],
)
async def test_keys_scroll(keys: str, first: int) -> None:
    async with shown(numbered(50)) as (_, pilot):
        await pilot.press(*keys.split())
        assert f"line {first} " in screen_lines(pilot)[0]


async def test_timestamps_and_wrapping_toggle() -> None:
    async with shown([LogLine("x" * 100, level="error"), LogLine("订" * 40)], timestamps=False) as (view, pilot):
        assert [line.rstrip()[-1] for line in screen_lines(pilot)[:2]] == ["…", "…"]
        await pilot.press("w")
        text = "".join(line[LEVEL_WIDTH:].strip() for line in screen_lines(pilot)[:6])
        assert text.count("x") == 100
        assert text.count("订") == 40
        await pilot.press("w", "right", "l", "h")
        assert screen_lines(pilot)[0].startswith("error   x")
        await pilot.press("t")
        assert view.timestamps
        assert screen_lines(pilot)[0].startswith(" " * 20 + "error")


async def test_search_goes_from_match_to_match() -> None:
    async with shown(numbered(50)) as (view, pilot):
        await pilot.press("g")
        assert view.search("LINE 1") == 11
        await pilot.press("n", "n")
        assert view._current == 11
        await pilot.press("N", "N", "N")
        assert view._current == 19
        await pilot.pause()
        assert any("line 19" in line for line in screen_lines(pilot))
        assert view.search("[a-z]") == 0
        await pilot.press("n")
        assert view.search("") == 0


async def test_an_entry_of_many_lines_cannot_pass_for_two() -> None:
    async with shown([LogLine("ok\n2025-01-01 12:00:00 info    forged")]) as (_, pilot):
        lines = screen_lines(pilot)
        assert lines[1].strip().startswith("│ 2025-01-01")


async def test_long_entries_and_many_entries_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    async with shown([LogLine("x\n" * 5000), LogLine("y" * 1_000_000)]) as (view, _):
        assert len(view._shown) <= 2 * log_view.MOST_LINES
        assert view._shown[-1].text == "… cut: 1,000,000 characters in all"
    monkeypatch.setattr(log_view, "LIMIT", 100)
    async with shown(numbered(90)) as (view, pilot):
        view.append(numbered(50, 90))
        await pilot.pause()
        assert len(view.entries) == 90
        assert "line 139" in screen_lines(pilot)[-1]


async def test_empty_and_replaced() -> None:
    async with shown([], empty="Silence.") as (view, pilot):
        assert "Silence." in screen_lines(pilot)[0]
        view.replace(numbered(3))
        await pilot.pause()
        assert "line 2" in screen_lines(pilot)[2]
        view.append([])
        await pilot.resize_terminal(40, 5)
        assert "line 2" in screen_lines(pilot)[2]
