"""A few lines of styled text that repaint one by one: only a line whose text or style changed is sent to the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.visual import Visual
from textual.widget import Widget

from syncterm.text import clean, fit, width

TEXT_LIMIT = 2000
"""Characters of a text that `wrapped` looks at."""

Line = tuple[tuple[str, str], ...]
"""Pieces of (cleaned text, style); styles as Textual writes them: "bold", "$success", "" for none."""


def plain(line: Line) -> str:
    """The text of a line, without its styles."""
    return "".join(text for text, _ in line)


def content(line: Line) -> Content:
    """A line as Textual's styled text; nothing in it is read as markup."""
    return Content.assemble(*line)


def wrapped(text: str, cells: int, most: int, ellipsis: str) -> list[str]:
    """A cleaned text in at most `most` lines of `cells`; the last is clipped where there would be more."""
    lines = wrap(clean(text, limit=TEXT_LIMIT), max(10, cells)) or [""]
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [fit(line, min(cells, width(line)), ellipsis=ellipsis) for line in lines]


class Lines(Widget):
    """Shows lines as they are, clipped at the right edge; as high as there are lines."""

    DEFAULT_CSS = """
    Lines {
        height: auto;
        background: $background;
        color: $foreground;
        text-wrap: nowrap;
        text-overflow: ellipsis;
    }
    """

    def __init__(
        self,
        lines: Sequence[Line] = (),
        *,
        name: str | None = None,
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(name=name, id=id, classes=classes)
        self._lines: tuple[Line, ...] = tuple(lines)

    @property
    def lines(self) -> tuple[Line, ...]:
        return self._lines

    def show(self, lines: Sequence[Line]) -> None:
        """Show these lines instead; repaints the ones that differ, lays out anew only where their number changed."""
        before, self._lines = self._lines, tuple(lines)
        if len(before) != len(self._lines):
            self.refresh(layout=True)
            return
        width = self.size.width
        changed = [Region(0, y, width, 1) for y, pair in enumerate(zip(before, self._lines, strict=True)) if pair[0] != pair[1]]
        if changed:
            self.refresh(*changed)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y >= len(self._lines) or width <= 0:
            return Strip.blank(width, self.rich_style)
        strips = Visual.to_strips(self, content(self._lines[y]), width, 1, self.visual_style, pad=True)
        return strips[0] if strips else Strip.blank(width, self.rich_style)
