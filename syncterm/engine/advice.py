"""What a connector's history says about its schedule: a recommendation with its reasons in figures. Pure.

Four things are looked for, in this order: syncs that take much of the time between them; syncs that mostly move nothing; failures
that crowd into a few hours of the day; a daily sync in an hour when others keep the source busy. With little history there is no
advice, and nothing is ever applied by itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from itertools import pairwise

from syncterm.engine.blackout import EVERY_DAY, describe_window, in_blackout
from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import BlackoutWindow, Schedule, ScheduleKind
from syncterm.engine.schedule import INTERVALS, describe
from syncterm.engine.why import span

FEWEST_SYNCS = 20
"""Finished syncs of the present schedule without which nothing is advised; daily ones need `FEWEST_DAILY`."""
FEWEST_DAILY = 7
FEWEST_FAILURES = 5
MUCH_OF_THE_TIME = 0.5
"""Share of the interval that syncs may take."""
MOSTLY_EMPTY = 0.25
"""Share of the syncs that moved something, below which a longer interval is advised."""
CROWDED_FAILURES, CROWDED_SYNCS = 0.7, 0.35
"""So many of the failures within hours that have at most so many of the syncs."""
CROWDED_HOURS = 3
DAILY = timedelta(hours=20)
BUSY_HOUR = timedelta(minutes=10)
"""Time that others take of a source in an hour, from which on it counts as busy."""
QUIETER = 4
"""How many times less others do in an hour that is advised."""
_HOURS = 24
_PASSING = (
    ErrorClass.TIMEOUT,
    ErrorClass.RATE_LIMITED,
    ErrorClass.SOURCE_TRANSIENT,
    ErrorClass.DESTINATION,
)
"""Failures that may depend on the time of the day."""


class AdviceKind(StrEnum):
    """What was noticed."""

    TAKES_LONG = "takes_long"
    MOSTLY_EMPTY = "mostly_empty"
    FAILING_HOURS = "failing_hours"
    BUSY_SOURCE = "busy_source"


@dataclass(frozen=True, slots=True)
class Advice:
    """One recommendation. Applying it means to take `schedule`, or to add `blackout`; exactly one is set."""

    kind: AdviceKind
    title: str
    """What is advised: `Every 6 hours`."""
    reason: str
    """Why, in figures; one or two sentences."""
    schedule: Schedule | None = None
    blackout: BlackoutWindow | None = None


@dataclass(frozen=True, slots=True)
class SyncFigures:
    """One finished scheduled sync."""

    started_at: datetime
    """In UTC."""
    duration: timedelta
    moved: bool
    """Whether it wrote any record."""
    error_class: ErrorClass | None = None
    """None: it succeeded."""


@dataclass(frozen=True, slots=True)
class History:
    """What the advice is made of."""

    syncs: Sequence[SyncFigures]
    """Those since the schedule was set, the oldest first."""
    source_load: Sequence[timedelta] = (timedelta(),) * _HOURS
    """For each hour of the day in UTC, how long other connectors read from the source in it, a day."""


def advise(schedule: Schedule, blackout: Sequence[BlackoutWindow], history: History) -> tuple[Advice, ...]:
    """What to change, the most important first; empty where all is well or too little is known."""
    every = _interval(schedule, history.syncs)
    if every is None or len(history.syncs) < (FEWEST_DAILY if every >= DAILY else FEWEST_SYNCS):
        return ()
    return tuple(_advice(schedule, every, blackout, history))


def _advice(schedule: Schedule, every: timedelta, blackout: Sequence[BlackoutWindow], history: History) -> Iterator[Advice]:
    succeeded = [sync for sync in history.syncs if sync.error_class is None]
    frequency = _takes_long(every, succeeded) or _mostly_empty(every, succeeded)
    if frequency is not None:
        yield frequency
    failing = _failing_hours(blackout, history.syncs)
    if failing is not None:
        yield failing
    busy = _busy_source(schedule, every, history) if frequency is None else None
    if busy is not None:
        yield busy


def _interval(schedule: Schedule, syncs: Sequence[SyncFigures]) -> timedelta | None:
    """How far apart the syncs are: as the schedule says, or, of a cron expression, as they were."""
    if schedule.kind is ScheduleKind.INTERVAL:
        return schedule.every
    gaps = sorted(later.started_at - earlier.started_at for earlier, later in pairwise(syncs))
    return max(gaps[len(gaps) // 2], INTERVALS[0]) if gaps and schedule.kind is ScheduleKind.CRON else None


def _takes_long(every: timedelta, succeeded: Sequence[SyncFigures]) -> Advice | None:
    durations = sorted(sync.duration for sync in succeeded)
    if not durations:
        return None
    median, slow = _rank(durations, 0.5), _rank(durations, 0.95)
    share = median / every
    longer = next((interval for interval in INTERVALS if interval > every and slow <= interval * MUCH_OF_THE_TIME), None)
    if longer is None or (share <= MUCH_OF_THE_TIME and slow <= every):
        return None
    schedule = Schedule(ScheduleKind.INTERVAL, every=longer)
    return Advice(
        AdviceKind.TAKES_LONG,
        describe(schedule),
        f"A sync takes {span(median)}, 95 of 100 at most {span(slow)}: {share:.0%} of the {span(every)} between two."
        f" {describe(schedule)} it would be {median / longer:.0%}.",
        schedule=schedule,
    )


def _mostly_empty(every: timedelta, succeeded: Sequence[SyncFigures]) -> Advice | None:
    total, moved = len(succeeded), sum(sync.moved for sync in succeeded)
    if total < FEWEST_DAILY or moved > total * MOSTLY_EMPTY:
        return None
    wanted = every * total / moved if moved else INTERVALS[-1]
    longer = next((interval for interval in INTERVALS if interval >= wanted), INTERVALS[-1])
    if longer <= every:
        return None
    schedule = Schedule(ScheduleKind.INTERVAL, every=longer)
    return Advice(
        AdviceKind.MOSTLY_EMPTY,
        describe(schedule),
        f"{moved or 'None'} of {total} syncs moved anything; {describe(schedule).lower()} would have delivered the same rows"
        f" at most {span(longer - every)} later.",
        schedule=schedule,
    )


def _failing_hours(blackout: Sequence[BlackoutWindow], syncs: Sequence[SyncFigures]) -> Advice | None:
    failures = [
        sync.started_at for sync in syncs if sync.error_class in _PASSING and in_blackout(blackout, sync.started_at) is None
    ]
    if len(failures) < FEWEST_FAILURES:
        return None
    failed = Counter(at.hour for at in failures)
    ran = Counter(sync.started_at.hour for sync in syncs)
    for length in range(1, CROWDED_HOURS + 1):
        first = max(range(_HOURS), key=lambda hour: (_within(failed, hour, length), -hour))
        caught, present = _within(failed, first, length), _within(ran, first, length)
        if caught >= len(failures) * CROWDED_FAILURES and present <= len(syncs) * CROWDED_SYNCS:
            window = BlackoutWindow(EVERY_DAY, time(first), time((first + length) % _HOURS))
            return Advice(
                AdviceKind.FAILING_HOURS,
                f"No syncs {window.start:%H:%M}–{window.end:%H:%M} UTC",
                f"{caught} of {len(failures)} failures fell into these hours, with {present} of {len(syncs)} syncs:"
                f" a blackout window, {describe_window(window)}, keeps out of them.",
                blackout=window,
            )
    return None


def _within(counts: Counter[int], first: int, length: int) -> int:
    return sum(counts[(first + step) % _HOURS] for step in range(length))


def _busy_source(schedule: Schedule, every: timedelta, history: History) -> Advice | None:
    if every < DAILY:
        return None
    hour = Counter(sync.started_at.hour for sync in history.syncs).most_common(1)[0][0]
    load = history.source_load
    quiet = min(range(_HOURS), key=lambda other: (load[other], min((other - hour) % _HOURS, (hour - other) % _HOURS)))
    if load[hour] < BUSY_HOUR or load[quiet] * QUIETER > load[hour]:
        return None
    minute = history.syncs[-1].started_at.minute
    return Advice(
        AdviceKind.BUSY_SOURCE,
        f"Daily at {quiet:02}:{minute:02} UTC",
        f"Between {hour:02}:00 and {(hour + 1) % _HOURS:02}:00 UTC others read from this source for {span(load[hour])} a day,"
        f" between {quiet:02}:00 and {(quiet + 1) % _HOURS:02}:00 for {span(load[quiet])}.",
        schedule=Schedule(ScheduleKind.CRON, expression=f"{minute} {quiet} * * *"),
    )


def _rank(ordered: Sequence[timedelta], share: float) -> timedelta:
    """The nearest-rank percentile."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
