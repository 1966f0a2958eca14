"""What a person has typed into a schedule editor and what it would mean: the schedule or why it is none, words, times. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import available_timezones

from syncterm.engine.blackout import Start, starts
from syncterm.engine.cron_words import describe_cron
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import MANUAL_SCHEDULE, BlackoutWindow, Schedule, ScheduleKind
from syncterm.engine.schedule import (
    INTERVALS,
    clock_change_ahead,
    describe,
    format_every,
    parse_every,
    parse_schedule,
    spread_offset,
    time_zone,
)

NEXT_STARTS = 5
"""Fire times that are shown."""
CLOCK_CHANGE_HORIZON = timedelta(days=31)
ZONES_SHOWN = 4
OTHER_INTERVAL, CRON, MANUAL = "Another interval", "Cron expression", "Manual"
KINDS = (*(describe(Schedule(ScheduleKind.INTERVAL, every=every)) for every in INTERVALS), OTHER_INTERVAL, CRON, MANUAL)
"""The lines to choose from."""
WITH_CONNECTOR = "With its connector"


@dataclass(frozen=True, slots=True)
class ScheduleChoice:
    """What a person chose."""

    schedule: Schedule = MANUAL_SCHEDULE
    catch_up: str = "once"
    """`once` or `skip`."""
    blackout: tuple[BlackoutWindow, ...] = ()
    per_stream: Mapping[str, Schedule | None] = field(default_factory=dict)
    """Stream → its own schedule; None, or no entry: with its connector."""

    def own_schedules(self) -> dict[str, Schedule]:
        """The streams that have a schedule of their own."""
        return {name: schedule for name, schedule in self.per_stream.items() if schedule is not None}

    def differs(self, other: ScheduleChoice) -> bool:
        """Whether anything would change."""
        return (self.schedule, self.catch_up, self.blackout, self.own_schedules()) != (
            other.schedule,
            other.catch_up,
            other.blackout,
            other.own_schedules(),
        )


@dataclass(frozen=True, slots=True)
class ScheduleForm:
    """The fields as they are."""

    kind: str = MANUAL
    """One of `KINDS`, or `WITH_CONNECTOR`."""
    every: str = "30m"
    expression: str = "0 6 * * 1-5"
    timezone: str = "UTC"

    @classmethod
    def of(cls, schedule: Schedule | None) -> ScheduleForm:
        """The fields that say this schedule; None is `WITH_CONNECTOR`."""
        if schedule is None:
            return cls(WITH_CONNECTOR)
        if schedule.kind is ScheduleKind.INTERVAL and schedule.every is not None:
            kind = describe(schedule) if schedule.every in INTERVALS else OTHER_INTERVAL
            return cls(kind, every=format_every(schedule.every), timezone=schedule.timezone)
        if schedule.kind is ScheduleKind.CRON and schedule.expression is not None:
            return cls(CRON, expression=schedule.expression, timezone=schedule.timezone)
        return cls(MANUAL)

    def schedule(self) -> Schedule | None:
        """The schedule that they say; None: with its connector.

        Raises:
            ConfigError: saying why they say none.
        """
        match self.kind:
            case "With its connector":
                return None
            case "Manual":
                return MANUAL_SCHEDULE
            case "Cron expression":
                return parse_schedule({"kind": "cron", "expression": self.expression, "timezone": self.timezone})
            case "Another interval":
                return Schedule(ScheduleKind.INTERVAL, every=parse_every(self.every))
        return Schedule(ScheduleKind.INTERVAL, every=INTERVALS[KINDS.index(self.kind)])


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What fire times depend on beside the schedule."""

    now: datetime
    local: tzinfo | None = None
    """The person's clock; None: this machine's."""
    present: Schedule | None = None
    """The schedule that is saved: only while it stays do `anchor` and `offset` count."""
    anchor: datetime | None = None
    offset: timedelta = timedelta()
    identity: str = ""
    """The connector's id, which decides the offset of a new interval; empty for a new connector."""
    blackout: tuple[BlackoutWindow, ...] = ()
    of_stream: bool = False
    """A stream's own schedule counts from what its connector counts from, whenever it was set."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What the fields mean."""

    schedule: Schedule | None
    problem: str = ""
    """Why they say no schedule; empty where they do."""
    remedy: str = ""
    words: str = ""
    starts: tuple[Start, ...] = ()
    offset: timedelta = timedelta()
    clock_change: str = ""


def preview(form: ScheduleForm, around: Surroundings) -> Preview:
    """What these fields would do. Some ten milliseconds for the rarest of cron expressions: not for a loop."""
    try:
        schedule = form.schedule()
    except ConfigError as error:
        return Preview(None, error.message, error.remedy)
    if schedule is None:
        return Preview(None, words="It is due with its connector.")
    if schedule.kind is ScheduleKind.MANUAL:
        return Preview(schedule, words="It runs when somebody asks for it, and never by itself.")
    kept = schedule == around.present and around.anchor is not None and not around.of_stream
    anchor = around.anchor if (kept or around.of_stream) and around.anchor is not None else around.now
    offset = around.offset if kept else timedelta()
    if not kept and schedule.every is not None and around.identity:
        offset = spread_offset(around.identity, schedule.every)
    try:
        following = starts(schedule, around.now, NEXT_STARTS, around.blackout, anchor=anchor, offset=offset)
    except ConfigError as error:
        return Preview(schedule, error.message, error.remedy)
    words = describe_cron(schedule.expression) if schedule.expression is not None else describe(schedule)
    change = clock_change_ahead(schedule, around.now, CLOCK_CHANGE_HORIZON)
    return Preview(schedule, words=words or "", starts=tuple(following), offset=offset, clock_change=change or "")


@cache
def _zones() -> tuple[tuple[str, str], ...]:
    names = sorted(name for name in available_timezones() if name not in ("Factory", "localtime"))
    return tuple((name.casefold().replace("_", " "), name) for name in names)


def find_zones(text: str, most: int = ZONES_SHOWN) -> list[str]:
    """Time zones whose name contains the text, those where a word begins with it first."""
    wanted = text.strip().casefold().replace("_", " ")
    if not wanted:
        return []
    found = [(folded, name) for folded, name in _zones() if wanted in folded]
    found.sort(key=lambda pair: (pair[0] != wanted, f"/{wanted}" not in f"/{pair[0]}", "/" not in pair[0], pair[0]))
    return [name for _, name in found[:most]]


def is_zone(text: str) -> bool:
    """Whether that is the name of a time zone."""
    try:
        time_zone(text)
    except ConfigError:
        return False
    return True


def find_streams(names: Sequence[str], text: str) -> list[str]:
    """The streams whose name contains a text, in their order."""
    wanted = text.strip().casefold()
    return [name for name in names if wanted in name.casefold()] if wanted else list(names)


def with_stream(choice: ScheduleChoice, name: str, schedule: Schedule | None) -> ScheduleChoice:
    """The choice with another schedule for a stream."""
    return replace(choice, per_stream={**choice.per_stream, name: schedule})
