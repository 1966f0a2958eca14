"""The picture of a connector's flow: a box for the source, a box for the destination, and what moves between them.

Drawn by a pure function of a `FlowPicture` and a width, in Unicode or plain ASCII, for 80 columns and up (and clipped below).
"""

from __future__ import annotations

from dataclasses import dataclass

from textual import events

from syncterm.text import Glyphs, byte_size, clean, count, fit, glyphs, width
from syncterm.widgets.lines import Line, Lines

BOX_WIDEST = 42
"""Cells of a box where there is room for more."""
LINK_NARROWEST = 14
LINK_SHARE = 3
"""The link between the boxes gets one part in this many of the width."""
PACKET_DISTANCE = 6
"""Cells between two of the marks that travel along a live link."""


@dataclass(frozen=True, slots=True)
class FlowEnd:
    """One box: a system and what of it takes part."""

    title: str
    """The type for people: PostgreSQL, DuckDB, …"""
    name: str
    detail: str
    """The streams of a source, the collection of a destination."""
    fault: bool = False
    """Whether its credentials are refused."""


@dataclass(frozen=True, slots=True)
class FlowPicture:
    """Everything the picture shows."""

    source: FlowEnd
    destination: FlowEnd
    running: bool = False
    stopping: bool = False
    caption: str = ""
    """What the link says while nothing runs: idle, queued, paused."""
    footnote: str = ""
    """What it says below that: when the last sync was."""
    stream: str = ""
    records: int | None = None
    bytes: int | None = None
    expected: int | None = None
    records_per_second: float | None = None
    bytes_per_second: float | None = None
    phase: int = 0
    """Where the travelling marks stand; moves on with every progress report, never by itself."""

    @property
    def share(self) -> float | None:
        """How much of the expected records has been read, 0 to 1; None where unknown."""
        if not self.expected or self.records is None:
            return None
        return min(1.0, self.records / self.expected)


def flow_lines(picture: FlowPicture, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    """The four rows of the picture: the boxes with their borders, and between them rate, arrow, stream and progress."""
    link = max(LINK_NARROWEST, cells // LINK_SHARE)
    box = min(BOX_WIDEST, (cells - link) // 2)
    link = cells - 2 * box
    if box < 8:
        return _without_boxes(picture, cells, symbols)
    left = _box(picture.source, box, symbols)
    right = _box(picture.destination, box, symbols)
    between = _link(picture, link, symbols)
    return tuple((*left[row], *between[row], *right[row]) for row in range(4))


def _without_boxes(picture: FlowPicture, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    text = f"{clean(picture.source.name)} {symbols.arrow} {clean(picture.destination.name)}"
    return (((fit(text, cells, ellipsis=symbols.ellipsis), ""),),)


def _box(end: FlowEnd, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    frame = "$error" if end.fault else "$primary"
    top_left, top_right, bottom_left, bottom_right = tuple(symbols.corners)
    inner = cells - 4
    title = fit(clean(end.title), min(width(clean(end.title)), inner - 1), ellipsis=symbols.ellipsis)
    rule = symbols.horizontal * (cells - 5 - width(title))
    top: Line = ((f"{top_left}{symbols.horizontal} ", frame), (title, f"{frame} bold"), (f" {rule}{top_right}", frame))
    rows: list[Line] = [top]
    for text, style in ((end.name, "bold"), (end.detail, "dim")):
        rows.append(
            (
                (f"{symbols.vertical} ", frame),
                (fit(clean(text), inner, ellipsis=symbols.ellipsis), style),
                (f" {symbols.vertical}", frame),
            )
        )
    rows.append(((f"{bottom_left}{symbols.horizontal * (cells - 2)}{bottom_right}", frame),))
    return tuple(rows)


def _link(picture: FlowPicture, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    inner = cells - 2

    def centered(text: str, style: str) -> Line:
        return ((" ", ""), (fit(text, inner, "center", symbols.ellipsis), style), (" ", ""))

    if not picture.running:
        shaft = symbols.horizontal * (inner - 2)
        arrow: Line = ((" ", ""), (f"{shaft}{symbols.running} ", "dim"), (" ", ""))
        return centered("", ""), arrow, centered(clean(picture.caption), ""), centered(clean(picture.footnote), "dim")
    tone = "$text-warning" if picture.stopping else "$text-success"
    return (
        centered(_rate(picture), tone),
        ((" ", ""), *_live_shaft(inner - 2, picture.phase, tone, symbols), (f"{symbols.running} ", f"{tone} bold"), (" ", "")),
        centered(_moved(picture, inner, symbols), ""),
        _bar(picture, inner, tone, symbols),
    )


def _rate(picture: FlowPicture) -> str:
    if picture.stopping:
        return "cancelling"
    if picture.records_per_second is None:
        return "running"
    rate = f"{count(round(picture.records_per_second))} rec/s"
    return rate if not picture.bytes_per_second else f"{rate}, {byte_size(round(picture.bytes_per_second))}/s"


def _moved(picture: FlowPicture, cells: int, symbols: Glyphs) -> str:
    records = "" if picture.records is None else f" {count(picture.records)}"
    stream = clean(picture.stream) or "records"
    return fit(stream, min(width(stream), max(0, cells - width(records))), ellipsis=symbols.ellipsis) + records


def _live_shaft(cells: int, phase: int, tone: str, symbols: Glyphs) -> Line:
    parts: list[tuple[str, str]] = []
    heavy = "━" if symbols.horizontal == "─" else "="
    for cell in range(cells):
        packet = (cell - phase) % PACKET_DISTANCE < 2
        style = f"{tone} bold" if packet else tone
        glyph = heavy if packet else symbols.horizontal
        if parts and parts[-1][1] == style:
            parts[-1] = (parts[-1][0] + glyph, style)
        else:
            parts.append((glyph, style))
    return tuple(parts)


def _bar(picture: FlowPicture, cells: int, tone: str, symbols: Glyphs) -> Line:
    share = picture.share
    if share is None or cells < 12:
        text = "" if picture.bytes is None else byte_size(picture.bytes)
        return ((" ", ""), (fit(text, cells, "center"), "dim"), (" ", ""))
    percent = f" {int(share * 100):3d} %"
    room = cells - width(percent)
    full = int(share * room)
    return (
        (" ", ""),
        (symbols.blocks[-1] * full, tone),
        (symbols.shade * (room - full), "dim"),
        (percent, ""),
        (" ", ""),
    )


@dataclass(slots=True)
class Throughput:
    """Records and bytes a second, over the last few seconds of progress reports."""

    samples: list[tuple[float, int, int]]
    """(seconds of a monotonic clock, records, bytes), oldest first."""
    span: float = 5.0
    """Seconds looked back."""

    def add(self, seconds: float, records: int, size: int) -> None:
        """Take a report; a count that went back (the next sync, the next stream) starts anew."""
        if self.samples and (records < self.samples[-1][1] or size < self.samples[-1][2]):
            self.samples.clear()
        self.samples.append((seconds, records, size))
        while len(self.samples) > 2 and seconds - self.samples[1][0] >= self.span:
            del self.samples[0]

    def clear(self) -> None:
        self.samples.clear()

    def rate(self) -> tuple[float, float] | None:
        """(records, bytes) a second; None before two reports."""
        if len(self.samples) < 2:
            return None
        (start, records, size), (end, records_now, size_now) = self.samples[0], self.samples[-1]
        if end <= start:
            return None
        return (records_now - records) / (end - start), (size_now - size) / (end - start)


class Flow(Lines):
    """The picture of the flow; draws itself anew when it is resized, repaints only the rows that changed."""

    def __init__(self, *, ascii: bool = False, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._glyphs = glyphs(ascii)
        self._picture: FlowPicture | None = None

    def show_picture(self, picture: FlowPicture) -> None:
        """Show this picture."""
        self._picture = picture
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self._draw()

    def _draw(self) -> None:
        if self._picture is not None and self.size.width:
            self.show(flow_lines(self._picture, self.size.width, self._glyphs))
