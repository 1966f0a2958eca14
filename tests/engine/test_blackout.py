"""Blackout windows: which instants lie inside, until when, whatever the clocks do; and what a person writes for one."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from syncterm.engine.blackout import (
    EVERY_DAY,
    Start,
    check_windows,
    describe_days,
    describe_window,
    in_blackout,
    parse_days,
    parse_window,
    starts,
    windows_from_text,
    windows_to_text,
)
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import BlackoutWindow, Schedule, ScheduleKind
from syncterm.engine.schedule import fires

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns")
MINUTE = timedelta(minutes=1)

times = st.builds(time, st.integers(0, 23), st.sampled_from((0, 1, 15, 30, 59)))
windows = st.builds(BlackoutWindow, st.frozensets(st.integers(0, 6), min_size=1), times, times, st.sampled_from(ZONES))
instants = st.datetimes(datetime(2011, 12, 20), datetime(2030, 1, 1)).map(lambda at: at.replace(microsecond=0, tzinfo=UTC))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def window(text: str) -> BlackoutWindow:
    """`mon-fri 22:00 06:00 Europe/Berlin`."""
    *days, start, end, zone = text.split()
    return parse_window(" ".join(days), start, end, zone)


@pytest.mark.parametrize(
    ("texts", "now", "end"),
    [
        # inside, at the start, before, at the end (which is outside)
        (["every day 01:00 03:00 UTC"], "2026-03-02 02:00", "2026-03-02 03:00"),
        (["every day 01:00 03:00 UTC"], "2026-03-02 01:00", "2026-03-02 03:00"),
        (["every day 01:00 03:00 UTC"], "2026-03-02 00:59", None),
        (["every day 01:00 03:00 UTC"], "2026-03-02 03:00", None),
        # across midnight: the day is the one on which it begins
        (["mon 22:00 06:00 UTC"], "2026-03-02 23:00", "2026-03-03 06:00"),
        (["mon 22:00 06:00 UTC"], "2026-03-03 05:59", "2026-03-03 06:00"),
        (["mon 22:00 06:00 UTC"], "2026-03-02 05:00", None),
        (["mon 22:00 06:00 UTC"], "2026-03-03 22:30", None),
        # a whole day; to midnight
        (["sun 00:00 24:00 UTC"], "2026-03-01 12:00", "2026-03-02 00:00"),
        (["sun 12:00 12:00 UTC"], "2026-03-02 11:00", "2026-03-02 12:00"),
        # several that touch or overlap are one; those with a gap are not
        (["every day 01:00 03:00 UTC", "every day 03:00 04:00 UTC"], "2026-03-02 01:30", "2026-03-02 04:00"),
        (["daily 01:00 03:00 UTC", "daily 02:00 05:00 UTC", "daily 06:00 07:00 UTC"], "2026-03-02 01:30", "2026-03-02 05:00"),
        (["sat 00:00 24:00 UTC", "sun 00:00 24:00 UTC"], "2026-03-07 10:00", "2026-03-09 00:00"),
        # a zone's wall clock, in winter and in summer
        (["every day 22:00 06:00 Europe/Berlin"], "2026-01-15 21:00", "2026-01-16 05:00"),
        (["every day 22:00 06:00 Europe/Berlin"], "2026-07-15 20:00", "2026-07-16 04:00"),
        (["every day 22:00 06:00 Europe/Berlin"], "2026-07-15 04:30", None),
        # over the change to summer time: an hour shorter
        (["every day 22:00 06:00 Europe/Berlin"], "2026-03-28 21:00", "2026-03-29 04:00"),
        # an end, and a start, that the clock skips: 02:30 does not exist on 2026-03-29; the change is at 01:00 UTC
        (["every day 00:00 02:30 Europe/Berlin"], "2026-03-29 00:30", "2026-03-29 01:00"),
        (["every day 00:00 02:30 Europe/Berlin"], "2026-03-29 01:00", None),
        (["every day 02:30 04:00 Europe/Berlin"], "2026-03-29 00:59", None),
        (["every day 02:30 04:00 Europe/Berlin"], "2026-03-29 01:00", "2026-03-29 02:00"),
        # both: nothing is left of it that day
        (["every day 02:10 02:50 Europe/Berlin"], "2026-03-29 01:00", None),
        # over the change to winter time: 02:00 to 03:00 comes twice, all of it is inside or outside
        (["every day 00:00 02:30 Europe/Berlin"], "2026-10-25 00:45", "2026-10-25 01:30"),
        (["every day 00:00 02:30 Europe/Berlin"], "2026-10-25 01:15", "2026-10-25 01:30"),
        (["every day 02:30 04:00 Europe/Berlin"], "2026-10-25 00:30", "2026-10-25 03:00"),
        (["every day 02:30 04:00 Europe/Berlin"], "2026-10-25 01:15", "2026-10-25 03:00"),
        # a zone that skipped a whole day: Friday, 30 December 2011, did not exist in Samoa
        (["thu 22:00 06:00 Pacific/Apia"], "2011-12-30 09:30", "2011-12-30 10:00"),
    ],
)  # fmt: skip
def test_a_blackout_lasts_until_its_end_by_its_zones_clock(texts: list[str], now: str, end: str | None) -> None:
    assert in_blackout([window(text) for text in texts], at(now)) == (at(end) if end else None)


def shown_inside(one: BlackoutWindow, now: datetime) -> bool:
    """What a person with a clock of the window's zone would say."""
    wall = now.astimezone(ZoneInfo(one.timezone)).replace(tzinfo=None)
    if one.start < one.end:
        return wall.weekday() in one.days and one.start <= wall.time() < one.end
    yesterday = (wall - timedelta(days=1)).weekday()
    return (wall.weekday() in one.days and wall.time() >= one.start) or (yesterday in one.days and wall.time() < one.end)


@given(windows, instants)
@example(BlackoutWindow(EVERY_DAY, time(2, 30), time(2, 30), "Europe/Berlin"), at("2026-10-25 00:40"))
def test_whatever_a_clock_shows_as_inside_is_inside_and_the_end_lies_ahead(one: BlackoutWindow, now: datetime) -> None:
    end = in_blackout([one], now)
    if one.timezone != "Pacific/Apia" and shown_inside(one, now):
        assert end is not None
    if end is not None:
        assert end > now
        assert in_blackout([one], end - timedelta(seconds=1)) is not None
        if end - now < timedelta(days=7):
            assert in_blackout([one], end) is None


@given(windows, instants)
def test_away_from_clock_changes_a_blackout_is_what_the_clock_shows(one: BlackoutWindow, now: datetime) -> None:
    zone = ZoneInfo(one.timezone)
    offsets = {(now + timedelta(hours=hours)).astimezone(zone).utcoffset() for hours in range(-30, 31, 3)}
    if len(offsets) == 1:
        assert (in_blackout([one], now) is not None) == shown_inside(one, now)


@given(st.lists(windows, max_size=4), instants)
def test_several_windows_hold_back_what_any_of_them_does_until_the_last_ends(several: list[BlackoutWindow], now: datetime) -> None:
    end = in_blackout(several, now)
    assert (end is not None) == any(in_blackout([one], now) is not None for one in several)
    if end is not None and end - now < timedelta(days=7):
        assert not any(in_blackout([one], end) for one in several)


@given(st.lists(windows, max_size=4), instants, st.sampled_from(["0 * * * *", "*/15 2 * * *", "30 2 * * 1-5"]))
def test_starts_lie_outside_and_answer_every_fire_time(several: list[BlackoutWindow], now: datetime, expression: str) -> None:
    try:
        check_windows(several)
    except ConfigError:
        return
    schedule = Schedule(ScheduleKind.CRON, expression=expression, timezone="Europe/Berlin")
    found = starts(schedule, now, 5, several, anchor=now)
    assert len(found) == 5
    assert [start.at for start in found] == sorted({start.at for start in found})
    assert all(in_blackout(several, start.at) is None for start in found)
    bare = fires(schedule, now, 5, anchor=now)
    assert found[0].at == (in_blackout(several, bare[0]) or bare[0])


def test_what_falls_due_inside_starts_once_at_the_end_and_says_since_when() -> None:
    hourly = Schedule(ScheduleKind.CRON, expression="0 * * * *")
    night = [window("every day 22:00 06:00 UTC")]
    assert starts(hourly, at("2026-03-02 20:30"), 4, night, anchor=at("2026-01-01")) == [
        Start(at("2026-03-02 21:00")),
        Start(at("2026-03-03 06:00"), held_since=at("2026-03-02 22:00")),
        Start(at("2026-03-03 07:00")),
        Start(at("2026-03-03 08:00")),
    ]


@given(st.lists(windows, max_size=5))
def test_windows_survive_the_store(several: list[BlackoutWindow]) -> None:
    assert windows_from_text(windows_to_text(several)) == tuple(several)


@given(windows)
def test_what_describes_days_is_read_as_the_same_days(one: BlackoutWindow) -> None:
    assert parse_days(describe_days(one.days)) == one.days


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("mon-fri 22:00 06:00 Europe/Berlin", "Mon–Fri 22:00–06:00 next day Europe/Berlin"),
        ("sat,sun 0:00 24:00 UTC", "Sat, Sun 00:00–24:00 UTC"),
        ("every day 1 3 UTC", "every day 01:00–03:00 UTC"),
        ("fri-mon 12:00 13:30 UTC", "Mon, Fri–Sun 12:00–13:30 UTC"),
        ("Monday Wednesday 12:00 13:00 UTC", "Mon, Wed 12:00–13:00 UTC"),
    ],
)
def test_a_window_is_written_and_shown_in_words(written: str, shown: str) -> None:
    assert describe_window(window(written)) == shown


@pytest.mark.parametrize(
    ("days", "start", "end", "zone", "says"),
    [
        ("someday", "1:00", "2:00", "UTC", "'someday' is not a day of the week"),
        ("m", "1:00", "2:00", "UTC", "'m' is not a day"),
        ("", "1:00", "2:00", "UTC", "no days"),
        ("mon", "25:00", "2:00", "UTC", "'25:00' is not a time for the start"),
        ("mon", "1:00", "2:60", "UTC", "'2:60' is not a time for the end"),
        ("mon", "1:00", "٣:00", "UTC", "is not a time for the end"),
        ("mon", "1:00", "2:00", "Europe/Berlni", "Did you mean Europe/Berlin?"),
    ],
)  # fmt: skip
def test_what_is_no_window_is_refused_with_the_reason(days: str, start: str, end: str, zone: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says.replace("?", r"\?")):
        parse_window(days, start, end, zone)


def test_windows_must_leave_time_to_sync() -> None:
    with pytest.raises(ConfigError, match="leave no time"):
        check_windows([window("every day 00:00 24:00 UTC")])
    with pytest.raises(ConfigError, match="leave no time"):
        check_windows([window("every day 00:00 13:00 UTC"), window("every day 12:00 02:00 Europe/Berlin")])
    with pytest.raises(ConfigError, match="has no days"):
        check_windows([BlackoutWindow(frozenset(), time(1), time(2))])
    with pytest.raises(ConfigError, match="too many"):
        check_windows([window("mon 01:00 02:00 UTC")] * 51)
    check_windows([window("every day 00:00 23:59 UTC")])
    check_windows([window("mon-sat 00:00 24:00 UTC")])
