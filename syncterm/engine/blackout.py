"""Blackout windows: weekly stretches of a zone's wall clock in which nothing scheduled starts. Pure functions of their arguments.

A window lasts from the first moment its zone's clock shows the start to the last moment it shows the end, so that a repeated hour
lies wholly inside or outside; a start or an end that the clock skips is the instant of the change. What falls due inside waits for
the end, once; what runs goes on; what a person asks for starts all the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from syncterm.engine.errors import ConfigError
from syncterm.engine.model import BlackoutWindow, Schedule
from syncterm.engine.schedule import instant_of, next_fire, time_zone

DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_LONG_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
EVERY_DAY = frozenset(range(7))
BLACKOUT_REASON = "a blackout window holds scheduled syncs back"
"""How `connectors.activity_reason` begins where a queued sync waits for the end of a blackout."""
MOST_WINDOWS = 50
"""Windows that one connector may have."""
_WEEK = timedelta(days=8)
"""Windows that follow one another without a gap for so long leave no time at all."""
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Start:
    """When a scheduled sync begins."""

    at: datetime
    held_since: datetime | None = None
    """Its fire time, where that lies inside a blackout window whose end is `at`."""


def in_blackout(windows: Sequence[BlackoutWindow], now: datetime) -> datetime | None:
    """When the blackout that `now` lies in ends, in UTC; None where it lies in none. Windows that touch or overlap are one.

    Raises:
        ConfigError: a window names an unknown zone.
    """
    now = now.astimezone(UTC)
    end: datetime | None = None
    while True:
        reached = end or now
        further = max((until for window in windows if (until := _end_around(window, reached)) is not None), default=None)
        if further is None or reached - now > _WEEK:
            return end
        end = further


def window_around(windows: Sequence[BlackoutWindow], instant: datetime) -> BlackoutWindow | None:
    """The first of the windows that an instant lies in."""
    return next((window for window in windows if _end_around(window, instant) is not None), None)


def starts(
    schedule: Schedule,
    after: datetime,
    count: int,
    windows: Sequence[BlackoutWindow],
    *,
    anchor: datetime,
    offset: timedelta = timedelta(),
) -> list[Start]:
    """The next `count` instants at which a schedule starts a sync; what falls due inside a blackout starts once, at its end."""
    found: list[Start] = []
    while len(found) < count:
        following = next_fire(schedule, after, anchor=anchor, offset=offset)
        if following is None:
            break
        held = in_blackout(windows, following)
        found.append(Start(following) if held is None else Start(held, held_since=following))
        after = found[-1].at
    return found


def describe_window(window: BlackoutWindow) -> str:
    """A window for people: `Mon–Fri 22:00–06:00 Europe/Berlin`, `every day 00:00–24:00 UTC`."""
    end = "24:00" if window.end == time() else f"{window.end:%H:%M}"
    over = " next day" if window.end <= window.start and window.end != time() else ""
    return f"{describe_days(window.days)} {window.start:%H:%M}–{end}{over} {window.timezone}"


def describe_days(days: frozenset[int]) -> str:
    """Days of the week for people: `every day`, `Mon–Fri`, `Sat, Sun`."""
    if days == EVERY_DAY:
        return "every day"
    runs: list[list[int]] = []
    for day in sorted(days):
        if runs and runs[-1][-1] == day - 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    return ", ".join(
        f"{DAY_NAMES[run[0]]}–{DAY_NAMES[run[-1]]}" if len(run) > 2 else ", ".join(DAY_NAMES[day] for day in run) for run in runs
    )


def parse_window(days: str, start: str, end: str, timezone: str) -> BlackoutWindow:
    """A window from what a person writes: days as `Mon-Fri, Sun` or `every day`, times as `22:00`, `24:00` for midnight.

    Raises:
        ConfigError: saying which part is wrong and what it may be.
    """
    time_zone(timezone)
    return BlackoutWindow(parse_days(days), _parse_time(start, "start"), _parse_time(end, "end"), timezone)


def parse_days(text: str) -> frozenset[int]:
    """Days of the week, Monday is 0, from names or ranges of names.

    Raises:
        ConfigError: naming what is not a day.
    """
    words = text.strip().casefold().replace("–", "-")
    if words in ("every day", "daily", "all", "*"):
        return EVERY_DAY
    days: set[int] = set()
    for part in words.replace(",", " ").replace(" - ", "-").split():
        first, dash, last = part.partition("-")
        low, high = _parse_day(first), _parse_day(last) if dash else _parse_day(first)
        days |= {(low + step) % 7 for step in range((high - low) % 7 + 1)}
    if not days:
        raise ConfigError("The window has no days.", remedy="Write every day, or names: Mon-Fri, Sun.")
    return frozenset(days)


def _parse_day(word: str) -> int:
    for day, name in enumerate(_LONG_NAMES):
        if len(word) >= 2 and name.startswith(word):
            return day
    raise ConfigError(f"{word[:64]!r} is not a day of the week.", remedy=f"Use {', '.join(DAY_NAMES)}, or every day.")


def _parse_time(text: str, which: str) -> time:
    hours, colon, minutes = text.strip().partition(":")
    minutes = minutes if colon else "0"
    if hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit() and len(hours) <= 2 and len(minutes) <= 2:
        hour, minute = int(hours), int(minutes)
        if hour == 24 and minute == 0:
            return time()
        if hour < 24 and minute < 60:
            return time(hour, minute)
    raise ConfigError(f"{text[:64]!r} is not a time for the {which}.", remedy="Write hours and minutes: 22:00.")


def check_windows(windows: Sequence[BlackoutWindow]) -> None:
    """Raises: ConfigError: where a window is not valid, or where together they leave no time to sync."""
    if len(windows) > MOST_WINDOWS:
        raise ConfigError(f"{len(windows)} blackout windows are too many.", remedy=f"At most {MOST_WINDOWS}.")
    for window in windows:
        time_zone(window.timezone)
        if not window.days or not window.days <= EVERY_DAY:
            raise ConfigError("A blackout window has no days.", remedy="Name at least one day of the week.")
    monday = datetime(2024, 1, 1, tzinfo=UTC)
    if any((end := in_blackout(windows, monday + _DAY * day)) and end - monday - _DAY * day > _WEEK - _DAY for day in range(7)):
        raise ConfigError(
            "The blackout windows leave no time to sync.", remedy="Leave a gap between them, or pause the connector instead."
        )


def windows_to_text(windows: Sequence[BlackoutWindow]) -> str:
    """Windows as the store keeps them in `connectors.blackout`."""
    return json.dumps(
        [
            {
                "days": sorted(window.days),
                "start": f"{window.start:%H:%M}",
                "end": f"{window.end:%H:%M}",
                "timezone": window.timezone,
            }
            for window in windows
        ]
    )


@lru_cache(maxsize=4096)
def windows_from_text(text: str) -> tuple[BlackoutWindow, ...]:
    """The windows in `connectors.blackout`."""
    return tuple(
        BlackoutWindow(
            frozenset(entry["days"]), time.fromisoformat(entry["start"]), time.fromisoformat(entry["end"]), entry["timezone"]
        )
        for entry in json.loads(text)
    )


def _end_around(window: BlackoutWindow, instant: datetime) -> datetime | None:
    """The end of the stretch of a window that an instant lies in."""
    zone = time_zone(window.timezone)
    today = instant.astimezone(zone).date()
    ends = []
    for day in (today - _DAY, today, today + _DAY):  # a zone that skips a day moves a stretch to the next
        if day.weekday() in window.days:
            start, end = _stretch(window, day)
            if start <= instant < end:
                ends.append(end)
    return max(ends, default=None)


@lru_cache(maxsize=4096)
def _stretch(window: BlackoutWindow, day: date) -> tuple[datetime, datetime]:
    """The instants that the window which begins on that day covers: [start, end)."""
    zone = time_zone(window.timezone)
    last_day = day if window.end > window.start else day + _DAY
    start = instant_of(datetime.combine(day, window.start), zone)
    return start, instant_of(datetime.combine(last_day, window.end), zone, last=True)
