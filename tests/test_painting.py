"""What is sent brings a terminal to exactly the screen that was meant, in fewer bytes."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pyte
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.geometry import Region
from textual.strip import Strip

from syncterm.painting import FrameDifference
from syncterm.text import fit

WIDTH, HEIGHT = 24, 14
STYLES = [Style(), Style(color="red"), Style(bgcolor="blue", bold=True), Style(reverse=True)]
Line = list[tuple[str, int]]
"""Pieces of (text, number of a style)."""

texts = st.text(st.sampled_from(["a", "b", " ", "c", "订", "é"]), max_size=10)
lines = st.lists(st.tuples(texts, st.integers(0, len(STYLES) - 1)), max_size=4)
frames = st.lists(lines, min_size=HEIGHT, max_size=HEIGHT)


def strip_of(line: Line, width: int = WIDTH) -> Strip:
    strip = Strip([Segment(text, STYLES[number]) for text, number in line if text])
    return strip.adjust_cell_length(width, STYLES[0])


class Painted:
    """A frame difference, and an emulator that shows what it sends."""

    def __init__(self) -> None:
        self.frame = FrameDifference()
        self.console = Console(file=io.StringIO(), force_terminal=True, color_system="truecolor", width=WIDTH)
        self.screen = pyte.Screen(WIDTH, HEIGHT)
        self.stream = pyte.Stream(self.screen)

    def send(self, update: CompositorUpdate) -> str:
        reduced = self.frame.reduce(update)  # type: ignore[arg-type]  # Textual's updates render themselves
        assert isinstance(reduced, CompositorUpdate)
        sent = reduced.render_segments(self.console)
        self.stream.feed(sent)
        return sent

    def full(self, frame: Sequence[Line]) -> str:
        return self.send(LayoutUpdate([[strip_of(line)] for line in frame], Region(0, 0, WIDTH, HEIGHT)))

    def partial(self, frame: Sequence[Line], spans: Sequence[tuple[int, int, int]], cut: int) -> str:
        """The lines of the spans, in two chops that meet at a column."""
        chops: list[dict[int, Strip | None]] = []
        for line in frame:
            left, right = strip_of(line).divide([cut, WIDTH])
            chops.append({0: left, cut: right})
        return self.send(ChopsUpdate(chops, list(spans), [[cut, WIDTH] for _ in frame]))

    def shown(self) -> list[list[tuple[str, str, str, bool, bool]]]:
        buffer = self.screen.buffer
        return [
            [(cell.data, cell.fg, cell.bg, cell.bold, cell.reverse) for cell in (buffer[y][x] for x in range(WIDTH))]
            for y in range(HEIGHT)
        ]


def expected(frame: Sequence[Line], cut: int = WIDTH) -> list[list[tuple[str, str, str, bool, bool]]]:
    """The screen when all of it is painted anew; a wide character on the cut is two blanks, as Textual has it."""
    fresh = Painted()
    fresh.send(LayoutUpdate([strip_of(line).divide([cut, WIDTH]) for line in frame], Region(0, 0, WIDTH, HEIGHT)))
    return fresh.shown()


@settings(max_examples=60, deadline=None)
@given(frames, st.lists(frames, min_size=1, max_size=4), st.integers(1, WIDTH - 1))
def test_any_sequence_of_frames_arrives_exactly(first: list[Line], others: list[list[Line]], cut: int) -> None:
    painted = Painted()
    painted.full(first)
    for frame in others:
        painted.partial(frame, [(y, 0, WIDTH) for y in range(HEIGHT)], cut)
        assert painted.shown() == expected(frame, cut)


@settings(max_examples=60, deadline=None)
@given(frames, st.integers(-5, 5), st.integers(0, 3), lines, st.integers(1, WIDTH - 1))
def test_scrolled_lines_arrive_exactly(frame: list[Line], shift: int, heading: int, fresh: Line, cut: int) -> None:
    painted = Painted()
    painted.full(frame)
    body = frame[heading:]
    moved = body[shift:] + [fresh] * shift if shift >= 0 else [fresh] * -shift + body[:shift]
    after = frame[:heading] + moved
    painted.partial(frame, [(y, 0, WIDTH) for y in range(HEIGHT)], cut)
    painted.partial(after, [(y, 0, WIDTH) for y in range(HEIGHT)], cut)
    assert painted.shown() == expected(after, cut)


def test_marks_stay_on_their_character() -> None:
    painted = Painted()
    painted.full(numbered(0))
    for text in ("e\u0301x", "ex", "订\u0301e\u0301", "e\u0301e"):
        frame = [[(text, 0)], *numbered(0)[1:]]
        painted.partial(frame, [(0, 0, WIDTH)], WIDTH)
        assert painted.shown() == expected(frame)


def numbered(first: int) -> list[Line]:
    return [[(fit(f"row {number}", WIDTH), number % 2)] for number in range(first, first + HEIGHT)]


def test_what_stands_beside_scrolled_lines_stays() -> None:
    painted = Painted()
    painted.full([[(f"row {y}".ljust(16), 0), (f"side {y}".ljust(8), 1)] for y in range(HEIGHT)])
    chops: list[dict[int, Strip | None]] = [{0: strip_of([(f"row {y + 1}".ljust(16), 0)], 16), 16: None} for y in range(HEIGHT)]
    sent = painted.send(ChopsUpdate(chops, [(y, 0, 16) for y in range(HEIGHT)], [[16, WIDTH] for _ in range(HEIGHT)]))
    assert "M" in sent
    assert painted.shown() == expected([[(f"row {y + 1}".ljust(16), 0), (f"side {y}".ljust(8), 1)] for y in range(HEIGHT)])


def test_lines_that_moved_are_not_sent_again() -> None:
    painted = Painted()
    whole = len(painted.full(numbered(0)))
    sent = painted.partial(numbered(1), [(y, 0, WIDTH) for y in range(HEIGHT)], 5)
    assert len(sent) < whole / 4
    assert painted.shown() == expected(numbered(1))


def test_nothing_is_sent_where_nothing_differs() -> None:
    painted = Painted()
    painted.full(numbered(0))
    assert painted.partial(numbered(0), [(y, 0, WIDTH) for y in range(HEIGHT)], 5) == ""


def test_one_cell_is_sent_as_one_cell() -> None:
    painted = Painted()
    painted.full(numbered(0))
    changed = numbered(0)
    changed[3] = [(fit("row 3", WIDTH - 1) + "!", 1)]
    assert len(painted.partial(changed, [(3, 0, WIDTH)], 5)) < 30
    assert painted.shown() == expected(changed)


def test_a_full_update_mends_whatever_stands_on_the_terminal() -> None:
    painted = Painted()
    painted.full(numbered(0))
    painted.stream.feed("\x1b[2J\x1b[Hsomebody else wrote here")
    painted.full(numbered(0))
    assert painted.shown() == expected(numbered(0))


def test_sequences_of_unknown_width_are_sent_as_they_are_and_forgotten() -> None:
    painted = Painted()
    painted.full(numbered(0))
    family = "\U0001f468\u200d\U0001f469"
    strip = Strip([Segment(family + " x", STYLES[0])])
    update = ChopsUpdate([{0: strip}], [(0, 0, strip.cell_length)], [[strip.cell_length]])
    assert family in painted.send(update)
    assert family in painted.send(update)


def test_other_renderables_pass() -> None:
    frame = FrameDifference()
    assert frame.reduce(None) is None
    assert frame.reduce("text") == "text"
