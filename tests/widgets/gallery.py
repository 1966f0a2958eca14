"""Every widget with text from outside in it, as a program: ``python -m tests.widgets.gallery SCENARIO``.

The scenario is a JSON file {"names": [...]}. Keys: ``c`` asks the next confirmation, ``e`` puts the next name into the filter line
and into a toast, ``b`` moves the chart's cursor to the next bar, ``q`` ends. The last line says how many names have been shown.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.console import RenderableType
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import Screen
from textual.widgets import Static

from syncterm.painting import FrameDifference
from syncterm.text import clean
from syncterm.widgets.confirm import NAMES_SHOWN, Confirm, Target
from syncterm.widgets.filter_bar import FilterBar
from syncterm.widgets.log_view import LogLine, LogView
from syncterm.widgets.trend_chart import Bucket, TrendChart


class Gallery(App[None]):
    """Chart, log, filter line, and a status line."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [("c", "confirm"), ("e", "filter"), ("b", "bar"), ("q", "quit")]

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names
        self.asked = self.filtered = 0
        self.frame = FrameDifference()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, self.frame.reduce(renderable))

    def compose(self) -> ComposeResult:
        yield TrendChart(("good", "bad"))
        yield LogView([LogLine(name, level=name) for name in self.names], follow=False, timestamps=False)
        yield FilterBar(["status"], placeholder=self.names[0])
        yield Static(id="status")

    def on_mount(self) -> None:
        self.query_one(TrendChart).set_buckets([Bucket(str(index), name, (1, 1), name) for index, name in enumerate(self.names)])
        self.query_one(LogView).focus()
        self._tell()

    def _tell(self) -> None:
        cursor = self.query_one(TrendChart).cursor
        self.query_one("#status", Static).update(Content(f"asked {self.asked} filtered {self.filtered} bar {cursor} end"))

    def action_confirm(self) -> None:
        batch = self.names[self.asked : self.asked + NAMES_SHOWN]
        self.asked += len(batch)
        self._tell()
        targets = [Target(f"id-{index}", name) for index, name in enumerate(batch)]
        self.push_screen(Confirm("Delete", targets, consequences=batch[:1], title=f"asked {self.asked}"))

    def action_filter(self) -> None:
        name = self.names[self.filtered]
        self.filtered += 1
        bar = self.query_one(FilterBar)
        bar.open(name)
        bar.keep()
        self.clear_notifications()
        self.notify(clean(name), markup=False)
        self._tell()

    def action_bar(self) -> None:
        self.query_one(TrendChart).action_move(1)
        self._tell()


if __name__ == "__main__":
    Gallery(json.loads(Path(sys.argv[1]).read_text("utf-8"))["names"]).run()
