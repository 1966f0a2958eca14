"""The review as one list: every section with what was chosen, its problems below it, and at the foot how to finish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncterm.editing.connector_wizard import TITLES, ConnectorWizard, Step, StepState
from syncterm.engine.blackout import describe_window
from syncterm.engine.schedule import describe
from syncterm.text import Glyphs, clean, clip, count, fit
from syncterm.widgets.lines import Line
from syncterm.widgets.row_view import RowView

TEXT_LIMIT = 500
LABEL = 14
"""Cells of a section's title."""
KEY = 8
"""Cells of a key and the gap behind it."""
NAMES = 3


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One line of the review."""

    action: str
    """What enter does: `step:<step>`, `name`, `dry_run`, or a way to finish; empty for a line between."""
    line: Line


@dataclass(frozen=True, slots=True)
class Finish:
    """One way to finish."""

    id: str
    key: str
    title: str
    detail: str = ""
    reason: str = ""
    """Why it cannot be done now."""


class ReviewList(RowView):
    """What was chosen, what is wrong, and how to finish."""

    def __init__(self) -> None:
        super().__init__(id="review")
        self._rows: tuple[ReviewRow, ...] = ()

    def show(self, rows: Sequence[ReviewRow]) -> None:
        """Show these rows; the cursor stays on its action."""
        at = self.action_at_cursor
        self._rows = tuple(rows)
        self.cursor = next((index for index, row in enumerate(self._rows) if row.action and row.action == at), self.cursor)
        self.rows_changed()
        self._skip_gaps(1)

    def point_at(self, action: str) -> None:
        """Put the cursor on an action."""
        self.cursor = next((index for index, row in enumerate(self._rows) if row.action == action), self.cursor)

    @property
    def action_at_cursor(self) -> str:
        return self._rows[self.cursor].action if self.cursor < len(self._rows) else ""

    def row_count(self) -> int:
        return len(self._rows)

    def row_line(self, index: int, cells: int) -> Line:
        return self._rows[index].line

    def action_move(self, rows: int) -> None:
        super().action_move(rows)
        self._skip_gaps(1 if rows > 0 else -1)

    def _skip_gaps(self, step: int) -> None:
        """A line between is no place to stand on."""
        at = self.cursor
        while 0 <= at < len(self._rows) and not self._rows[at].action:
            at += step
        if 0 <= at < len(self._rows):
            self.cursor = at
        elif step > 0:
            self._skip_gaps(-1)


def review_rows(wizard: ConnectorWizard, finishes: Sequence[Finish], glyphs: Glyphs, cells: int) -> list[ReviewRow]:
    """The lines of the review. Problems stand below the section whose step mends them."""
    rows: list[ReviewRow] = []

    def section(action: str, title: str, text: str, step: Step, *, more: str = "") -> None:
        troubled = any(problem.blocking for problem in wizard.problems_of(step))
        sign = (glyphs.warning, "$text-warning") if troubled else (glyphs.check, "$text-success")
        room = max(10, cells - LABEL - 4)
        shown = clip(clean(text, limit=TEXT_LIMIT), room, glyphs.ellipsis)
        rest = clip(more, max(0, room - len(shown) - 2), glyphs.ellipsis) if more else ""
        line: Line = (
            (" ", ""),
            sign,
            (f" {fit(title, LABEL)}", "bold"),
            (shown, ""),
            (f"  {rest}" if rest else "", "dim"),
        )
        rows.append(ReviewRow(action, line))
        for problem in wizard.problems_of(step):
            mark = (glyphs.failed, "$text-error") if problem.blocking else (glyphs.warning, "$text-warning")
            words = clip(clean(problem.message, limit=TEXT_LIMIT), max(10, room - 2), glyphs.ellipsis)
            rows.append(
                ReviewRow(
                    f"step:{step}" if step is not Step.REVIEW else "name", ((" " * (LABEL + 3), ""), mark, (f" {words}", mark[1]))
                )
            )

    source, destination = wizard.source, wizard.destination
    section("step:source", TITLES[Step.SOURCE], source.name if source else "not chosen", Step.SOURCE, more=_type(source))
    section("step:streams", TITLES[Step.STREAMS], _streams(wizard), Step.STREAMS)
    where = ""
    if destination is not None:
        where = f"{_type(destination)}, {'collection ' + clean(wizard.collection) if wizard.collection else 'default collection'}"
    section(
        "step:destination",
        TITLES[Step.DESTINATION],
        destination.name if destination else "not chosen",
        Step.DESTINATION,
        more=where,
    )
    section("step:schedule", TITLES[Step.SCHEDULE], describe(wizard.schedule), Step.SCHEDULE, more=_schedule_more(wizard))
    if wizard.problems_of(Step.REVIEW):
        section("name", "Name", wizard.name or "not named", Step.REVIEW)
    rows.append(ReviewRow("", ()))
    dry = "" if wizard.draft().streams else "no stream is selected"
    for finish in (Finish("dry_run", "v", "Dry run", "the first records of a stream, as they would arrive", dry), *finishes):
        dim = "dim" if finish.reason else ""
        detail = clip(clean(finish.reason or finish.detail), max(10, cells - KEY - 8 - len(finish.title)), glyphs.ellipsis)
        line: Line = (
            ("   ", ""),
            (fit(finish.key, KEY), dim or "bold $primary"),
            (finish.title, dim or "bold"),
            (f"   {detail}", "dim"),
        )
        rows.append(ReviewRow(finish.id, line))
    return rows


def _type(end: object) -> str:
    return clean(getattr(end, "type_title", ""), limit=TEXT_LIMIT)


def _streams(wizard: ConnectorWizard) -> str:
    names = [stream.name for stream in wizard.draft().streams]
    if not names:
        return "none"
    if len(names) <= NAMES:
        return ", ".join(names)
    total = f" of {count(len(wizard.streams.entries))}" if wizard.streams is not None else ""
    return f"{', '.join(names[:NAMES])} and {count(len(names) - NAMES)} more{total}"


def _schedule_more(wizard: ConnectorWizard) -> str:
    parts = []
    if wizard.blackout:
        parts.append("not " + "; ".join(clean(describe_window(window)) for window in wizard.blackout))
    if own := len(wizard.stream_schedules):
        parts.append(f"{count(own)} {'stream' if own == 1 else 'streams'} by their own")
    return ", ".join(parts)


def step_sign(state: StepState, glyphs: Glyphs) -> tuple[str, str]:
    """A step's sign and its style."""
    return {
        StepState.DONE: (glyphs.check, "$text-success"),
        StepState.TROUBLED: (glyphs.warning, "$text-warning"),
        StepState.TO_COME: (glyphs.waiting, "dim"),
    }[state]
