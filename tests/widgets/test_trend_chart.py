"""The trend chart: bars to scale, a cursor by key and mouse."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from syncterm.text import GLYPHS_UNICODE
from syncterm.widgets.trend_chart import Bucket, TrendChart
from tests.widgets.waiting import screen_lines

SIZE = (40, 9)
"""Eight lines of bars and the caption."""

HOURS = [Bucket(f"h{number}", f"{number:02}:00", (number, 1), f"ok {number}\nfailed 1") for number in range(10)]


class ChartApp(App[None]):
    def __init__(self, buckets: Sequence[Bucket], **options: Any) -> None:
        super().__init__()
        self.chart = TrendChart(("good", "bad"), **options)
        self.given = buckets
        self.selected: list[str] = []

    def compose(self) -> ComposeResult:
        self.chart.styles.height = "1fr"
        yield self.chart

    def on_mount(self) -> None:
        self.chart.set_buckets(self.given)
        self.chart.focus()

    def on_trend_chart_bucket_selected(self, message: TrendChart.BucketSelected) -> None:
        assert message.control is self.chart
        self.selected.append(message.bucket.key)


@asynccontextmanager
async def drawn(buckets: Sequence[Bucket], **options: Any) -> AsyncIterator[tuple[ChartApp, TrendChart, Pilot[Any]]]:
    app = ChartApp(buckets, **options)
    async with app.run_test(size=SIZE, tooltips=True) as pilot:
        await pilot.pause()
        yield app, app.chart, pilot


def column_heights(lines: Sequence[str], chart: TrendChart) -> list[int]:
    """The height of each bar in eighths of a cell."""
    heights = []
    for index in range(len(chart.buckets)):
        x, _ = chart._place(index) or (0, 0)
        heights.append(sum(GLYPHS_UNICODE.blocks.index(line[x]) for line in lines if line[x] in GLYPHS_UNICODE.blocks))
    return heights


async def test_bars_are_to_scale() -> None:
    buckets = [Bucket(str(number), str(number), (number,)) for number in range(11)]
    async with drawn(buckets) as (_, chart, pilot):
        lines = screen_lines(pilot)
        assert lines[0].startswith("10│")
        assert lines[7].startswith(" 0│")
        assert column_heights(lines[:8], chart) == [round(number * 6.4) for number in range(11)]
        assert lines[8].strip().startswith("0")
        assert lines[8].rstrip().endswith("10")


@pytest.mark.parametrize(("bars", "caption"), [(1, "10:00"), (2, "10:00  11:00"), (4, "10:00      13:00")])
async def test_few_bars_stand_together(bars: int, caption: str) -> None:
    async with drawn([Bucket(str(number), f"{10 + number}:00", (5,)) for number in range(bars)]) as (_, chart, pilot):
        lines = screen_lines(pilot)
        assert lines[0].rstrip() == "5│" + " ".join(["███"] * bars)
        assert lines[8].strip() == caption
        assert chart._bucket_at(2 + 4 * bars) is None


async def test_a_small_share_is_never_invisible() -> None:
    async with drawn([Bucket("a", "a", (1_000_000, 1)), Bucket("b", "b", (0, 1))]) as (_, chart, pilot):
        assert column_heights(screen_lines(pilot)[:8], chart)[1] == 1


@pytest.mark.parametrize(
    ("keys", "cursor"),
    [
        ("left", 9),
        ("left left", 8),
        ("home", 0),
        ("home right l h", 1),
        ("end", 9),
        ("left home left", 0),
        ("right", 9),
        ("g G", 9),
    ],
)
async def test_keys_move_the_cursor(keys: str, cursor: int) -> None:
    async with drawn(HOURS) as (app, chart, pilot):
        await pilot.press("enter")
        await pilot.press(*keys.split(), "enter")
        await pilot.pause()
        assert chart.cursor == cursor
        assert app.selected == [f"h{cursor}"]
        assert f"{cursor:02}:00  ok {cursor} · failed 1" in screen_lines(pilot)[8]


async def test_mouse_shows_and_chooses() -> None:
    async with drawn(HOURS) as (app, chart, pilot):
        place = chart._place(4)
        assert place is not None
        await pilot.hover(TrendChart, offset=(place[0], 2))
        assert str(chart.tooltip) == "04:00\nok 4\nfailed 1"
        await pilot.click(TrendChart, offset=(place[0] + 1, 3))
        await pilot.pause()
        assert app.selected == ["h4"]
        await pilot.hover(TrendChart, offset=(0, 2))
        assert chart.tooltip is None
        chart.clear_cursor()
        assert chart.cursor is None


async def test_the_cursor_stays_with_its_bucket() -> None:
    async with drawn(HOURS) as (_, chart, pilot):
        await pilot.press("left", "left")
        chart.set_buckets([*HOURS[1:], Bucket("h10", "10:00", (3, 0))])
        assert chart.cursor == 7
        chart.set_buckets(HOURS[:3])
        assert chart.cursor is None
        chart.set_buckets([])
        await pilot.press("left", "enter")
        await pilot.pause()
        assert "No data in this period." in screen_lines(pilot)[0]


async def test_more_buckets_than_cells_are_reached_by_key() -> None:
    async with drawn([Bucket(str(number), f"b{number}", (number % 7, 0)) for number in range(200)]) as (_, chart, pilot):
        assert screen_lines(pilot)[8].rstrip().endswith("b199")
        await pilot.press("home")
        await pilot.pause()
        assert chart.cursor == 0
        assert "b0" in screen_lines(pilot)[8]


async def test_ascii_tells_the_series_apart() -> None:
    async with drawn([Bucket("a", "a", (5, 5))], ascii=True) as (_, _, pilot):
        lines = screen_lines(pilot)
        assert all(line.isascii() for line in lines)
        assert [line[4] for line in lines[:8]] == list("xxxx####")


async def test_without_colour_the_series_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with drawn([Bucket("a", "a", (5, 5))]) as (_, _, pilot):
        assert [line[4] for line in screen_lines(pilot)[:8]] == list("▒▒▒▒████")


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1e15), st.floats(0, 1e15)), max_size=60))
async def test_any_numbers_can_be_drawn(numbers: list[tuple[float, float]]) -> None:
    async with drawn([Bucket(str(index), "\x1b[2J", pair, "[@click=app.quit]x") for index, pair in enumerate(numbers)]) as (
        _,
        _,
        pilot,
    ):
        await pilot.press("left")
        lines = screen_lines(pilot)
        assert all(len(line) == SIZE[0] and line.isprintable() for line in lines)
