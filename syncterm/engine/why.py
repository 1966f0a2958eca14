"""Why a connector is or isn't running: one computed paragraph, from facts alone.

What it does now comes first; then what holds it back or when it is due, with the schedule, its zone, what it counts from and its
offset, blackout windows, and streams with schedules of their own; then what was missed, what failed, and a change of the clock
ahead. Pure; instants are written in UTC.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from syncterm.engine.blackout import describe_window, in_blackout, window_around
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import MANUAL_SCHEDULE, Activity, BlackoutWindow, PausedBy, Schedule, ScheduleKind
from syncterm.engine.schedule import clock_change_ahead, describe
from syncterm.engine.status import ConnectorFacts, is_broken

CLOCK_CHANGE_NOTICE = timedelta(days=7)
"""How long ahead a change of the clock is told."""
_ERROR_SHOWN = 200  # characters of an error's first line

_ZERO = timedelta(0)


@dataclass(frozen=True, slots=True)
class WhyFacts:
    """What the paragraph is made of."""

    status: ConnectorFacts
    schedule: Schedule = MANUAL_SCHEDULE
    anchor_at: datetime | None = None
    offset: timedelta = _ZERO
    next_fire_at: datetime | None = None
    due_since: datetime | None = None
    missed: int = 0
    catch_up: str = "once"
    paused_reason: str | None = None
    paused_at: datetime | None = None
    incomplete_reason: str | None = None
    activity_reason: str | None = None
    activity_at: datetime | None = None
    attempt: int | None = None
    back_off_until: datetime | None = None
    progress_stream: str | None = None
    last_error_message: str | None = None
    engine_runs: bool = True
    """Whether some engine executes on this store."""
    blackout: tuple[BlackoutWindow, ...] = ()
    own_schedules: int = 0
    """Streams that have a schedule of their own."""
    next_own_stream: str | None = None
    """The one of them that is due next."""
    next_own_at: datetime | None = None


def why(facts: WhyFacts, now: datetime) -> str:
    """Why the connector runs, waits, or does nothing."""
    return " ".join(_sentences(facts, now))


def _sentences(facts: WhyFacts, now: datetime) -> Iterator[str]:
    if not facts.engine_runs:
        yield "No engine runs on this store, so nothing starts until one does."
    busy = facts.status.activity is not Activity.IDLE
    if busy:
        yield _activity(facts)
    obstacle = _obstacle(facts)
    if obstacle:
        yield obstacle
    else:
        yield _due(facts, now, busy)
        yield from _own_streams(facts)
        yield from _blackout(facts, now)
    if facts.due_since is not None:
        yield f"It fell due at {_at(facts.due_since)} meanwhile: one sync follows."
    if facts.missed:
        times = "fire time was" if facts.missed == 1 else "fire times were"
        done = "skipped" if facts.catch_up == "skip" else "made up for by one sync"
        yield f"{facts.missed} {times} missed and {done}."
    if not busy and is_broken(facts.status):
        yield _failure(facts)
    if not obstacle and facts.schedule.kind is ScheduleKind.CRON:
        change = clock_change_ahead(facts.schedule, now, CLOCK_CHANGE_NOTICE)
        if change:
            yield change


def _activity(facts: WhyFacts) -> str:
    since = f" since {_at(facts.activity_at)}" if facts.activity_at is not None else ""
    reason = f": {_line(facts.activity_reason)}" if facts.activity_reason else ""
    attempt = f", attempt {facts.attempt}" if facts.attempt and facts.attempt > 1 else ""
    stream = f", stream {facts.progress_stream}" if facts.progress_stream else ""
    match facts.status.activity:
        case Activity.RUNNING:
            return f"Running{since}{attempt}{stream}."
        case Activity.QUEUED:
            return f"Queued{since}{reason}."
        case Activity.BACKING_OFF:
            until = f" until {_at(facts.back_off_until)}" if facts.back_off_until is not None else ""
            after = f" after attempt {facts.attempt}" if facts.attempt else ""
            return f"Backing off{until}{after}{reason}."
        case _:
            return f"Cancelling{since}: it stops at the next batch."


def _obstacle(facts: WhyFacts) -> str | None:
    """What keeps it from falling due by itself, mended by a person only."""
    if facts.status.paused_by is not None:
        by = "the engine" if facts.status.paused_by is PausedBy.ENGINE else "a person"
        since = f" at {_at(facts.paused_at)}" if facts.paused_at is not None else ""
        reason = f": {_line(facts.paused_reason)}" if facts.paused_reason else ""
        return f"Paused by {by}{since}{reason}. Resume it to schedule it again."
    if not facts.status.configuration_complete:
        reason = _line(facts.incomplete_reason) if facts.incomplete_reason else "its set-up is not finished"
        return f"Not scheduled: {reason}. Edit its set-up."
    if facts.status.end_incomplete:
        return f"No sync can run: {_line(facts.incomplete_reason)}. Complete it."
    if facts.status.schema_change_waits:
        return "A schema change waits for approval; syncs stop at it until somebody approves it."
    return None


def _due(facts: WhyFacts, now: datetime, busy: bool) -> str:
    schedule = facts.schedule
    if schedule.kind is ScheduleKind.MANUAL:
        return "Its schedule is manual: it runs when somebody asks for it."
    if facts.next_fire_at is None:
        return f"Its schedule, {describe(schedule)}, has no fire time ahead."
    again = "next due" if busy else "due"
    if facts.next_fire_at <= now:
        when = f"Waits for the engine to take it up: {again} at {_at(facts.next_fire_at)}"
    else:
        lead = "It is" if busy else "Waits: it is"
        when = f"{lead} {again} at {_at(facts.next_fire_at)}, in {span(facts.next_fire_at - now)}"
    return f"{when}. {_schedule(facts)}"


def _own_streams(facts: WhyFacts) -> Iterator[str]:
    if facts.own_schedules:
        have = "1 stream has a schedule" if facts.own_schedules == 1 else f"{facts.own_schedules} streams have schedules"
        following = f"; {facts.next_own_stream} is due next, at {_at(facts.next_own_at)}" if facts.next_own_at is not None else ""
        yield f"{have} of {'its' if facts.own_schedules == 1 else 'their'} own{following}."


def _blackout(facts: WhyFacts, now: datetime) -> Iterator[str]:
    """That a blackout is on, or that the next fire time lies in one."""
    coming = min((at for at in (facts.next_fire_at, facts.next_own_at) if at is not None), default=None)
    try:
        for at in (now, coming):
            window = window_around(facts.blackout, at) if at is not None else None
            if at is None or window is None:
                continue
            end = _at(in_blackout(facts.blackout, at))
            if at is now:
                yield f"A blackout window ({describe_window(window)}) holds scheduled syncs back until {end}; sync now starts one."
            else:
                yield f"{_at(at)} lies in a blackout window ({describe_window(window)}): that sync starts at {end}."
            return
    except ConfigError as error:
        yield f"Its blackout windows cannot be computed: {_line(error.message)}."


def _schedule(facts: WhyFacts) -> str:
    schedule = facts.schedule
    if schedule.kind is ScheduleKind.CRON:
        return f"Its schedule is the cron expression {schedule.expression} in the time zone {schedule.timezone}."
    text = describe(schedule)
    counted = f", counted from {_at(facts.anchor_at)}" if facts.anchor_at is not None else ""
    later = f", {span(facts.offset)} later so that not all fire at once" if facts.offset else ""
    return f"Its schedule is {text[:1].lower()}{text[1:]}{counted}{later}."


def _failure(facts: WhyFacts) -> str:
    error = f": {_line(facts.last_error_message)}" if facts.last_error_message else ""
    kind = f" ({facts.status.last_error_class})" if facts.status.last_error_class else ""
    return f"The last word on it is a failure{kind}{error}."


def span(length: timedelta) -> str:
    """A length of time in its two largest units: `2 d 4 h`, `12 min`, `17 s`; shorter ones are cut off."""
    seconds = max(0, int(length.total_seconds()))
    parts = []
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        number, seconds = divmod(seconds, size)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2]) or "0 s"


def _at(instant: datetime | None) -> str:
    return "–" if instant is None else f"{instant.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _line(text: str | None) -> str:
    """The first line, without its full stop."""
    line = (text or "").strip().partition("\n")[0]
    return (line if len(line) <= _ERROR_SHOWN else f"{line[: _ERROR_SHOWN - 1]}…").rstrip(". ")
