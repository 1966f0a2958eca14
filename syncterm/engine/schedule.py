"""When a connector is due: intervals by elapsed time, cron by the wall clock of a zone. Pure functions of their arguments.

Zone rules are Debian's cron(8): a fixed time that the clock skips runs right after the gap, a repeated one runs once; where minutes
or hours begin with a star, every minute of elapsed time whose wall clock matches counts. Intervals never look at a clock: their
fire times are anchor + offset + n · every for n = 1, 2, …, so that setting a schedule fires nothing by itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from syncterm.engine.cron import Cron, parse_cron
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import MANUAL_SCHEDULE, Schedule, ScheduleKind

INTERVALS = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=15),
    timedelta(hours=1),
    timedelta(hours=6),
    timedelta(hours=24),
)
"""The intervals that the schedule editor offers."""
SHORTEST_INTERVAL = timedelta(seconds=1)
LONGEST_INTERVAL = timedelta(days=366)
WIDEST_SPREAD = timedelta(minutes=10)
"""Connectors with the same interval are spread over at most this long."""
MISSED_LIMIT = 1000
"""Missed fire times of a cron expression are counted up to this many."""

_NO_OFFSET = timedelta(0)
_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_EVERY = re.compile(r"([0-9]{1,9})\s?([smhd])", re.ASCII)


def next_fire(schedule: Schedule, after: datetime, *, anchor: datetime, offset: timedelta = _NO_OFFSET) -> datetime | None:
    """The first fire time later than `after`, in UTC; None for manual schedules and where the calendar ends.

    Args:
        after: aware.
        anchor: aware; what an interval counts from, normally when the schedule was set. Cron ignores it.
        offset: an interval's share of `spread_offset`. Cron ignores it: a person named the minute.

    Raises:
        ConfigError: where the schedule is not valid.
    """
    if schedule.kind is ScheduleKind.MANUAL:
        return None
    try:
        if schedule.kind is ScheduleKind.INTERVAL:
            every = _every(schedule)
            base = anchor.astimezone(UTC) + offset
            return base + every * max(1, (after - base) // every + 1)
        return _next_cron(parse_cron(_expression(schedule)), time_zone(schedule.timezone), after.astimezone(UTC))
    except OverflowError:
        return None


def fires(schedule: Schedule, after: datetime, count: int, *, anchor: datetime, offset: timedelta = _NO_OFFSET) -> list[datetime]:
    """The next `count` fire times later than `after`; fewer where there are no more."""
    found: list[datetime] = []
    while len(found) < count:
        following = next_fire(schedule, after, anchor=anchor, offset=offset)
        if following is None:
            break
        found.append(following)
        after = following
    return found


def missed(
    schedule: Schedule,
    since: datetime,
    until: datetime,
    *,
    anchor: datetime,
    offset: timedelta = _NO_OFFSET,
    limit: int = MISSED_LIMIT,
) -> int:
    """How many fire times lie in (since, until]: exact for an interval; for cron at most `limit`, which then means "or more"."""
    if schedule.kind is ScheduleKind.MANUAL or until <= since:
        return 0
    if schedule.kind is ScheduleKind.INTERVAL:
        every, base = _every(schedule), anchor + offset
        return max(0, (until - base) // every) - max(0, (since - base) // every)
    count = 0
    following = next_fire(schedule, since, anchor=anchor)
    while following is not None and following <= until and count < limit:
        count += 1
        following = next_fire(schedule, following, anchor=anchor)
    return count


def spread_offset(connector_id: str, every: timedelta) -> timedelta:
    """How much later than its anchor a connector fires: whole seconds, 0 ≤ offset < min(every, 10 minutes), the same at every call.

    It comes from a SHA-256 of the identifier, so that it depends on nothing else and a thousand hourly connectors spread evenly.
    """
    seconds = max(1, min(every, WIDEST_SPREAD) // _SECOND)
    return timedelta(seconds=int.from_bytes(hashlib.sha256(connector_id.encode()).digest()[:8], "big") % seconds)


def parse_every(text: str) -> timedelta:
    """The interval that `text` names: a whole number and a unit, s, m, h or d; 1 second to 366 days.

    Raises:
        ConfigError: saying why it is none.
    """
    match = _EVERY.fullmatch(text.strip())
    if match is None:
        if re.fullmatch(r"[0-9]+", text.strip(), re.ASCII):
            raise ConfigError(f"The interval {text!r} has no unit.", remedy="Write 5m for 5 minutes; units are s, m, h and d.")
        raise ConfigError(
            f"{text[:64]!r} is not an interval.", remedy="Use a whole number and a unit, s, m, h or d: 30s, 15m, 1h, 7d."
        )
    number, unit = int(match[1]), _UNITS[match[2]]
    if number > LONGEST_INTERVAL // unit:
        raise ConfigError(f"The interval {text!r} is too long.", remedy=f"The longest is {format_every(LONGEST_INTERVAL)}.")
    _check_every(unit * number)
    return unit * number


def format_every(every: timedelta) -> str:
    """An interval as `parse_every` reads it, in the largest unit that fits: `1h`, `90m`, `7d`."""
    for letter, unit in _UNITS.items():
        if not every % unit:
            return f"{every // unit}{letter}"
    return f"{every // _SECOND}s"


def parse_schedule(document: Mapping[str, object]) -> Schedule:
    """The schedule of a document: `kind` is interval (with `every`), cron (with `expression`), or manual; and `timezone`.

    Raises:
        ConfigError: naming the key that is wrong and what it may be.
    """
    known = ("kind", "every", "expression", "timezone")
    for key, value in document.items():
        if key not in known:
            raise ConfigError(f"{key!r} is not a key of a schedule.{_suggest(key, known)}", remedy=f"Use {', '.join(known)}.")
        if not isinstance(value, str):
            raise ConfigError(f"{key} must be text.", remedy="Put it in quotes.")
    text = {key: value for key, value in document.items() if isinstance(value, str)}
    kinds = tuple(ScheduleKind)
    if "kind" not in text:
        raise ConfigError("The schedule has no kind.", remedy=f"Use kind: {', '.join(kinds)}.")
    kind = text["kind"]
    if kind not in kinds:
        raise ConfigError(f"{kind[:64]!r} is not a kind of schedule.{_suggest(kind, kinds)}", remedy=f"Use {', '.join(kinds)}.")
    wanted = {ScheduleKind.INTERVAL: "every", ScheduleKind.CRON: "expression"}.get(ScheduleKind(kind))
    for key in ("every", "expression"):
        if key in text and key != wanted:
            raise ConfigError(f"A schedule of kind {kind} has no {key}.")
        if key not in text and key == wanted:
            raise ConfigError(f"A schedule of kind {kind} needs {key}.")
    schedule = Schedule(
        ScheduleKind(kind),
        every=parse_every(text["every"]) if "every" in text else None,
        expression=parse_cron(text["expression"]).text if "expression" in text else None,
        timezone=text.get("timezone", MANUAL_SCHEDULE.timezone),
    )
    validate(schedule)
    return schedule


def validate(schedule: Schedule) -> None:
    """Raises: ConfigError: where a schedule is not valid, with a reason a person understands."""
    time_zone(schedule.timezone)
    if schedule.kind is ScheduleKind.INTERVAL:
        _check_every(_every(schedule))
    elif schedule.kind is ScheduleKind.CRON:
        parse_cron(_expression(schedule))


def describe(schedule: Schedule) -> str:
    """A schedule for people: `Every hour`, `Every 15 minutes`, `0 6 * * 1-5 (Europe/Berlin)`, `Manual`."""
    if schedule.kind is ScheduleKind.MANUAL:
        return "Manual"
    if schedule.kind is ScheduleKind.CRON:
        return f"{schedule.expression} ({schedule.timezone})"
    text = format_every(_every(schedule))
    name = {"d": "day", "h": "hour", "m": "minute", "s": "second"}[text[-1]]
    return f"Every {name}" if text[:-1] == "1" else f"Every {text[:-1]} {name}s"


def clock_change_ahead(schedule: Schedule, after: datetime, within: timedelta) -> str | None:
    """One sentence about the first clock change of a cron schedule's zone in (after, after + within]; None where there is none."""
    if schedule.kind is not ScheduleKind.CRON:
        return None
    zone = time_zone(schedule.timezone)
    start = after.astimezone(UTC)
    change = _first_change(zone, start, start + within)
    if change is None:
        return None
    before, now = (change - _SECOND).astimezone(zone), change.astimezone(zone)
    wall_before = before.replace(tzinfo=None) + _SECOND
    rule = (
        "a skipped time runs right after it, a repeated one once"
        if parse_cron(_expression(schedule)).fixed_time
        else "runs follow elapsed time"
    )
    return (
        f"The clock of {schedule.timezone} goes from {wall_before:%Y-%m-%d %H:%M} to {now:%Y-%m-%d %H:%M}"
        f" ({change:%Y-%m-%d %H:%M} UTC): {rule}."
    )


@cache
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones() - {"Factory", "localtime"})  # those two mean another zone on each machine


@cache
def time_zone(name: str) -> ZoneInfo:
    """The zone of exactly that name in the IANA time zone database; no other file is ever opened.

    Raises:
        ConfigError: where there is none; suggests the nearest.
    """
    if name not in _zone_names():
        near = get_close_matches(name.strip()[:64], _zone_names(), n=1)
        remedy = f"Did you mean {near[0]}?" if near else "Use a name like Europe/Berlin or UTC."
        raise ConfigError(f"{name[:64]!r} is not a time zone.", remedy=remedy)
    return ZoneInfo(name)


def _next_cron(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    return _next_fixed(cron, zone, after) if cron.fixed_time else _next_elapsed(cron, zone, after)


def _next_fixed(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first fire time of a fixed time of day: the earlier of two where the clock repeats it, the end of a gap that skips it."""
    wall = after.astimezone(zone).replace(tzinfo=None)
    while (following := cron.next_wall(wall)) is not None:
        instant = instant_of(following, zone)
        if instant > after:
            return instant
        wall = following  # its first occurrence has passed: `after` lies in the repetition
    return None


def instant_of(wall: datetime, zone: ZoneInfo, *, last: bool = False) -> datetime:
    """When a zone's clock shows a wall time, in UTC: the first or `last` of a repeated one, the change where it is skipped."""
    early, late = wall.replace(tzinfo=zone, fold=0), wall.replace(tzinfo=zone, fold=1)
    instant = early.astimezone(UTC)
    if early.utcoffset() == late.utcoffset():
        return instant
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return late.astimezone(UTC) if last else instant
    change = _first_change(zone, late.astimezone(UTC), instant)
    return instant if change is None else change


def _next_elapsed(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """The first minute after `after` whose wall clock matches, walking the stretches between clock changes."""
    start = after
    wall = start.astimezone(zone).replace(tzinfo=None)
    while (following := cron.next_wall(wall)) is not None:
        instant = following.replace(tzinfo=UTC) - _offset(zone, start)
        change = _first_change(zone, start, instant)
        if change is None:
            return instant
        start = change
        wall = change.astimezone(zone).replace(tzinfo=None)
        if not wall.second and not wall.microsecond:
            wall -= _MINUTE  # the minute that begins with the change counts
    return None


def _first_change(zone: ZoneInfo, start: datetime, end: datetime) -> datetime | None:
    """The first instant in (start, end] at which the zone's offset differs from that before; None where it stays."""
    offset = _offset(zone, start)
    low = start
    while low < end:
        high = min(low + _DAY, end)
        if _offset(zone, high) != offset:
            low = low.replace(microsecond=0)
            while high - low > _SECOND:
                middle = low + (high - low) // 2
                middle = middle.replace(microsecond=0)
                low, high = (low, middle) if _offset(zone, middle) != offset else (middle, high)
            return high.replace(microsecond=0)
        low = high
    return None


def _offset(zone: ZoneInfo, instant: datetime) -> timedelta:
    return instant.astimezone(zone).utcoffset() or _NO_OFFSET


def _every(schedule: Schedule) -> timedelta:
    if schedule.every is None:
        raise ConfigError("A schedule of kind interval needs every.")
    return schedule.every


def _expression(schedule: Schedule) -> str:
    if schedule.expression is None:
        raise ConfigError("A schedule of kind cron needs expression.")
    return schedule.expression


def _check_every(every: timedelta) -> None:
    if not SHORTEST_INTERVAL <= every <= LONGEST_INTERVAL or every % _SECOND:
        raise ConfigError(
            f"An interval of {every / _SECOND:g} seconds is not possible.",
            remedy=f"Use whole seconds, from {format_every(SHORTEST_INTERVAL)} to {format_every(LONGEST_INTERVAL)}.",
        )


def _suggest(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word[:64], known, n=1)
    return f" Did you mean {near[0]}?" if near else ""
