"""What a schedule in an editor means, as lines: its words or why it is refused, the next fire times, a change of the clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, timedelta
from textwrap import wrap

from syncterm.editing.schedule_form import Preview, ScheduleForm, Surroundings
from syncterm.engine.blackout import Start
from syncterm.engine.model import ScheduleKind
from syncterm.engine.schedule import time_zone
from syncterm.text import Glyphs, clean, width
from syncterm.widgets.lines import Line

_LABEL = 6  # cells of the labels at the left


def preview_lines(found: Preview, form: ScheduleForm, around: Surroundings, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    """The preview as lines: what it means or why it is refused, the next fire times, a change of the clock."""
    if found.problem:
        lines = [*_wrapped(f"{symbols.cross} ", found.problem, "$text-error", cells)]
        return (*lines, *_wrapped("  ", found.remedy, "dim", cells)) if found.remedy else tuple(lines)
    lines = list(_wrapped(f"{symbols.check} ", found.words or "No plain words for this one.", "$text-success", cells))
    if found.schedule is None or found.schedule.kind is ScheduleKind.MANUAL:
        return tuple(lines)
    if not found.starts:
        return (*lines, (("It has no fire time ahead.", "$text-warning"),))
    zone_name = form.timezone if found.schedule.kind is ScheduleKind.CRON else "UTC"
    lines.append(())
    for number, start in enumerate(found.starts):
        label = f"{'Next' if not number else '':<{_LABEL}}"
        lines.append(((label, "dim"), *_start_pieces(start, zone_name, around, cells - _LABEL)))
    if found.offset:
        lines += _wrapped(" " * _LABEL, f"{_seconds(found.offset)} later than counted, so that not all fire at once.", "dim", cells)
    if found.clock_change:
        lines.append(())
        lines += _wrapped("! ", found.clock_change, "$text-warning", cells)
    return tuple(lines)


def _start_pieces(start: Start, zone_name: str, around: Surroundings, cells: int) -> Line:
    zone = time_zone(zone_name)
    at = start.at.astimezone(zone)
    year = f" {at:%Y}" if at.year != around.now.astimezone(zone).year else ""
    second = f":{at:%S}" if at.second else ""
    text = f"{at:%a %d %b}{year} {at:%H:%M}{second} {zone_name}"
    other = start.at.astimezone(around.local)
    if other.utcoffset() == at.utcoffset():
        other = start.at.astimezone(UTC)
    beside = "" if other.utcoffset() == at.utcoffset() else f"  {other:%H:%M} {'UTC' if not other.utcoffset() else 'here'}"
    if start.held_since is not None:
        beside = f"  due {start.held_since.astimezone(zone):%H:%M}, held"
    return ((text, ""), (beside if width(text + beside) <= cells else "", "$text-warning" if start.held_since else "dim"))


def _seconds(length: timedelta) -> str:
    minutes, seconds = divmod(int(length.total_seconds()), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _wrapped(head: str, text: str, style: str, cells: int) -> Iterable[Line]:
    lines = wrap(clean(text, limit=600), max(12, cells - width(head))) or [""]
    return [((head if not number else " " * width(head), style), (line, style)) for number, line in enumerate(lines)]
