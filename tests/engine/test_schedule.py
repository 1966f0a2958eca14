"""When connectors are due: the sample cases, tables of refusals, and properties against a brute-force matcher of minutes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncterm.engine.cron import parse_cron
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import MANUAL_SCHEDULE, Schedule, ScheduleKind
from syncterm.engine.schedule import (
    INTERVALS,
    LONGEST_INTERVAL,
    WIDEST_SPREAD,
    clock_change_ahead,
    describe,
    fires,
    format_every,
    missed,
    next_fire,
    parse_every,
    parse_schedule,
    spread_offset,
    validate,
)
from tests.samples import SAMPLES

CASES: list[dict[str, Any]] = json.loads((SAMPLES / "cron_cases.json").read_text())["cases"]
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)


def cron(expression: str, timezone: str = "UTC") -> Schedule:
    return parse_schedule({"kind": "cron", "expression": expression, "timezone": timezone})


def interval(every: timedelta) -> Schedule:
    return Schedule(ScheduleKind.INTERVAL, every=every)


def instants(texts: list[str]) -> list[datetime]:
    return [datetime.fromisoformat(text) for text in texts]


@pytest.mark.parametrize(
    "case", [case for case in CASES if "after_utc" in case and "expected_utc" in case], ids=lambda case: case["id"]
)
def test_cron_samples_fire_exactly(case: dict[str, Any]) -> None:
    after = datetime.fromisoformat(case["after_utc"])
    expected = instants(case["expected_utc"])
    assert fires(cron(case["expr"], case["tz"]), after, len(expected), anchor=after) == expected


@pytest.mark.parametrize("case", [case for case in CASES if "interval" in case], ids=lambda case: case["id"])
def test_interval_samples_follow_elapsed_time(case: dict[str, Any]) -> None:
    last = datetime.fromisoformat(case["last_start_utc"])
    schedule = parse_schedule({"kind": "interval", "every": case["interval"], "timezone": case["tz"]})
    assert fires(schedule, last, len(case["expected_utc"]), anchor=last) == instants(case["expected_utc"])


@pytest.mark.parametrize(
    "case", [case for case in CASES if str(case.get("expected", "")).startswith("refused")], ids=lambda case: case["id"]
)
def test_refused_samples(case: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        cron(case["expr"], case["tz"])


@pytest.mark.parametrize(
    "case", [case for case in CASES if str(case.get("expected", "")).startswith("0")], ids=lambda case: case["id"]
)
def test_nicknames_equal_their_expressions(case: dict[str, Any]) -> None:
    after = datetime.fromisoformat(case["after_utc"])
    assert fires(cron(case["expr"]), after, 5, anchor=after) == fires(cron(case["expected"]), after, 5, anchor=after)


def test_every_sample_is_covered() -> None:
    covered = [case for case in CASES if "expected_utc" in case or str(case.get("expected", "")).startswith(("refused", "0"))]
    assert len(covered) == len(CASES) > 0


# Cron against brute force ---------------------------------------------------------------------------------------------------

ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Africa/Casablanca",
    "Asia/Kathmandu",
)
STARTS = tuple(
    datetime.fromisoformat(text).replace(tzinfo=UTC)
    for text in (
        "2025-03-09T04:00",
        "2025-11-02T03:00",
        "2025-03-29T22:00",
        "2025-10-25T22:00",
        "2025-04-05T12:00",
        "2025-10-04T13:00",
        "2018-11-03T23:00",
        "2019-02-16T23:00",
        "2011-12-29T20:00",
        "2025-02-23T00:00",
        "2025-04-06T00:00",
        "2025-06-01T00:00",
    )
)


@st.composite
def fields(draw: st.DrawFn, low: int, high: int) -> tuple[str, set[int]]:
    """A field's text and the values it means."""
    kind = draw(st.sampled_from(["star", "star step", "range", "list", "range step", "open step"]))
    start = draw(st.integers(low, high))
    end = draw(st.integers(start, high))
    step = draw(st.integers(1, 9))
    if kind == "star":
        return "*", set(range(low, high + 1))
    if kind == "star step":
        return f"*/{step}", set(range(low, high + 1, step))
    if kind == "range":
        return f"{start}-{end}", set(range(start, end + 1))
    if kind == "range step":
        return f"{start}-{end}/{step}", set(range(start, end + 1, step))
    if kind == "open step":
        return f"{start}/{step}", set(range(start, high + 1, step))
    values = draw(st.sets(st.integers(low, high), min_size=1, max_size=4))
    return ",".join(str(value) for value in values), values


Parsed = tuple[str, set[int]]


def day_matches(wall: datetime, day: Parsed, month: Parsed, weekday: Parsed) -> bool:
    in_days, in_weekdays = wall.day in day[1], wall.isoweekday() % 7 in {value % 7 for value in weekday[1]}
    both = day[0].startswith("*") or weekday[0].startswith("*")
    return wall.month in month[1] and ((in_days and in_weekdays) if both else (in_days or in_weekdays))


def brute_force(parsed: list[Parsed], zone: ZoneInfo, after: datetime, minutes: int) -> list[datetime]:
    """Every fire time in the given number of minutes, by looking at each of them."""
    minute, hour, day, month, weekday = parsed
    fixed = not minute[0].startswith("*") and not hour[0].startswith("*")
    found = []
    seen_walls: set[datetime] = set()
    start = after.replace(second=0, microsecond=0)
    previous = (start - timedelta(days=1)).astimezone(zone).replace(tzinfo=None)
    for step in range(-24 * 60, minutes + 1):  # a day before as well, to know what a repetition repeats
        instant = start + timedelta(minutes=step)
        wall = instant.astimezone(zone).replace(tzinfo=None)
        if fixed:
            skipped = []
            walk = previous + timedelta(minutes=1)
            while walk <= wall:
                skipped.append(walk)
                walk += timedelta(minutes=1)
            fresh = [each for each in skipped if each not in seen_walls]
            seen_walls.update(skipped)
        else:
            fresh = [wall]
        if any(each.minute in minute[1] and each.hour in hour[1] and day_matches(each, day, month, weekday) for each in fresh):
            found.append(instant)
        previous = max(previous, wall) if fixed else wall
    return [instant for instant in found if after < instant <= start + timedelta(minutes=minutes)]


@settings(max_examples=60, deadline=None)
@given(
    minute=fields(0, 59),
    hour=fields(0, 23),
    day=fields(1, 31),
    month=fields(1, 12),
    weekday=fields(0, 7),
    every_day=st.booleans(),
    zone=st.sampled_from(ZONES),
    start=st.sampled_from(STARTS),
    seconds=st.integers(0, 7200),
)
def test_cron_agrees_with_brute_force(
    minute: Parsed,
    hour: Parsed,
    day: Parsed,
    month: Parsed,
    weekday: Parsed,
    every_day: bool,
    zone: str,
    start: datetime,
    seconds: int,
) -> None:
    if every_day:
        day, month, weekday = ("*", set(range(1, 32))), ("*", set(range(1, 13))), ("*", set(range(8)))
    parsed = [minute, hour, day, month, weekday]
    after = start + timedelta(seconds=seconds)
    window = 18 * 60
    expected = brute_force(parsed, ZoneInfo(zone), after, window)
    try:
        schedule = cron(" ".join(text for text, _ in parsed), zone)
    except ConfigError as error:  # 31 February
        never_fires = "never fires" in str(error)
        assert never_fires
        assert not expected
        return
    found = fires(schedule, after, len(expected) + 1, anchor=after)
    assert found[: len(expected)] == expected
    assert not found[len(expected) :] or found[-1] > after.replace(second=0) + timedelta(minutes=window)


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        ("0 0 LW * *", "2025-05-02T00:00:00Z", ["2025-05-30", "2025-06-30", "2025-07-31", "2025-08-29"]),
        ("0 0 L * *", "2024-02-01T00:00:00Z", ["2024-02-29", "2024-03-31"]),
        ("0 0 * * 0L", "2025-01-01T00:00:00Z", ["2025-01-26", "2025-02-23"]),
        ("0 0 13 * 1#1", "2025-01-01T00:00:00Z", ["2025-01-06", "2025-01-13", "2025-02-03", "2025-02-13"]),
        ("0 0 * * 1#1,FRI", "2025-01-01T00:00:00Z", ["2025-01-03", "2025-01-06", "2025-01-10", "2025-01-17"]),
        ("0 0 * * 5-7", "2025-01-01T00:00:00Z", ["2025-01-03", "2025-01-04", "2025-01-05", "2025-01-10"]),
        ("0 0 */2 * 1", "2025-01-01T00:00:00Z", ["2025-01-13", "2025-01-27", "2025-02-03", "2025-02-17"]),
        ("0 0 29 2 */7", "2025-01-01T00:00:00Z", ["2032-02-29", "2060-02-29"]),
        ("0 0 1,L * *", "2025-01-15T00:00:00Z", ["2025-01-31", "2025-02-01", "2025-02-28"]),
    ],
)
def test_extensions_beyond_lists_of_numbers(expression: str, after: str, expected: list[str]) -> None:
    start = datetime.fromisoformat(after)
    found = fires(cron(expression), start, len(expected), anchor=start)
    assert [f"{instant:%Y-%m-%d}" for instant in found] == expected


def test_a_fixed_time_in_the_repeated_hour_is_never_in_the_past() -> None:
    second_round = datetime(2025, 11, 2, 6, 20, tzinfo=UTC)  # 01:20 in New York, for the second time
    assert next_fire(cron("30 1 * * *", "America/New_York"), second_round, anchor=EPOCH) == datetime(2025, 11, 3, 6, 30, tzinfo=UTC)


def test_the_end_of_the_calendar_is_no_error() -> None:
    assert next_fire(cron("0 0 * * *"), datetime(9999, 12, 31, 12, tzinfo=UTC), anchor=EPOCH) is None
    assert next_fire(interval(timedelta(days=2)), datetime(9999, 12, 31, 12, tzinfo=UTC), anchor=EPOCH) is None


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("* * * * * *", "6 fields"),
        ("", "no fields"),
        ("0 0 31 2 *", "never fires"),
        ("0 0 30 2 */2", "never fires"),
        ("60 * * * *", "out of range"),
        ("* 24 * * *", "out of range"),
        ("0 0 0 * *", "out of range"),
        ("0 0 * * 8", "out of range"),
        ("0 0 * * MONDAY", "day of week"),
        ("? * * * *", "minute"),
        ("H * * * *", "minute"),
        ("R * * * *", "minute"),
        ("٣ * * * *", "minute"),
        ("* * * *\n*", "line break"),
        ("1/ * * * *", "minute"),
        ("*/5/5 * * * *", "minute"),
        ("1--5 * * * *", "minute"),
        ("0 0 * * 1#6", "day of week"),
        ("0 0 1W * *", "day of month"),
        ("@reboot", "nickname"),
        ("@every 5m", "interval"),
        ("*" * 10_000, "characters"),
        ("99999999999999999999 * * * *", "minute"),
    ],
)
def test_nonsense_is_refused_with_a_reason(expression: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_cron(expression)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40) | st.text(alphabet="0123456789*/,-LW# ", max_size=24))
def test_any_text_parses_or_is_refused_by_type(text: str) -> None:
    try:
        parsed = parse_cron(text)
    except ConfigError:
        return
    assert parsed.next_wall(datetime(2025, 1, 1)) is not None


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/localtime", "localtime", "posixrules", "europe/berlin", "", "UTC\n", "x" * 10_000, "Europe/Berlim"],
)
def test_unknown_zones_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="not a time zone") as caught:
        cron("0 0 * * *", name)
    assert len(str(caught.value)) < 300


# Intervals ------------------------------------------------------------------------------------------------------------------


@given(
    every=st.integers(1, 366 * 86_400),
    offset=st.integers(0, 599),
    anchor=st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1), timezones=st.just(UTC)),
    later=st.integers(0, 10**9),
)
def test_interval_fires_lie_on_the_anchored_grid(every: int, offset: int, anchor: datetime, later: int) -> None:
    step, shift = timedelta(seconds=every), timedelta(seconds=offset)
    after = anchor + timedelta(seconds=later)
    following = next_fire(interval(step), after, anchor=anchor, offset=shift)
    assert following is not None
    assert following > after
    assert (following - anchor - shift) % step == timedelta(0)
    assert following - step <= max(after, anchor + shift)
    assert following >= anchor + step


@given(every=st.integers(1, 5000), since=st.integers(-5000, 5000), length=st.integers(0, 5000), offset=st.integers(0, 599))
def test_missed_interval_fires_equal_the_counted_ones(every: int, since: int, length: int, offset: int) -> None:
    schedule, shift = interval(timedelta(seconds=every)), timedelta(seconds=offset)
    start = EPOCH + timedelta(seconds=since)
    end = start + timedelta(seconds=length)
    listed = [each for each in fires(schedule, start, length // every + 2, anchor=EPOCH, offset=shift) if each <= end]
    assert missed(schedule, start, end, anchor=EPOCH, offset=shift) == len(listed)


def test_missed_cron_fires_are_counted_up_to_the_limit() -> None:
    assert missed(cron("0 * * * *"), EPOCH, EPOCH + timedelta(hours=49), anchor=EPOCH) == 49
    assert missed(cron("* * * * *"), EPOCH, EPOCH + timedelta(days=365), anchor=EPOCH, limit=50) == 50
    assert missed(MANUAL_SCHEDULE, EPOCH, EPOCH + timedelta(days=365), anchor=EPOCH) == 0
    assert missed(cron("* * * * *"), EPOCH, EPOCH - timedelta(days=365), anchor=EPOCH) == 0


def test_manual_never_fires() -> None:
    assert next_fire(MANUAL_SCHEDULE, EPOCH, anchor=EPOCH) is None
    assert fires(MANUAL_SCHEDULE, EPOCH, 5, anchor=EPOCH) == []


@given(identifier=st.text(), every=st.sampled_from(INTERVALS) | st.timedeltas(timedelta(seconds=1), LONGEST_INTERVAL))
def test_spread_offset_is_stable_whole_and_bounded(identifier: str, every: timedelta) -> None:
    offset = spread_offset(identifier.encode("utf-8", "replace").decode(), every)
    assert offset == spread_offset(identifier.encode("utf-8", "replace").decode(), every)
    assert timedelta(0) <= offset < min(every, WIDEST_SPREAD)
    assert offset.microseconds == 0


def test_a_thousand_hourly_connectors_do_not_fire_in_one_second() -> None:
    offsets = [spread_offset(f"connector-{number}", timedelta(hours=1)) for number in range(1000)]
    assert max(offsets.count(offset) for offset in offsets) < 12


@given(st.integers(1, 366 * 86_400))
def test_every_text_reads_back(seconds: int) -> None:
    assert parse_every(format_every(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["5", "0s", "1e18h", "-1h", "", "h", "1.5h", "1w", "367d", "999999999d", "9" * 400 + "s", "1h30m", "٣h", "NaN", "1 H"]
)
def test_impossible_intervals_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_every(text)


# Documents and words --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, "no kind"),
        ({"kind": "crom"}, "Did you mean cron"),
        ({"kind": "interval"}, "needs every"),
        ({"kind": "cron"}, "needs expression"),
        ({"kind": "manual", "every": "1h"}, "has no every"),
        ({"kind": "interval", "every": "1h", "expression": "* * * * *"}, "has no expression"),
        ({"kind": "interval", "every": 5}, "must be text"),
        ({"kind": "interval", "every": "1h", "timezon": "UTC"}, "Did you mean timezone"),
        ({"kind": "interval", "every": "1h", "timezone": "Mars/Phobos"}, "not a time zone"),
    ],
)
def test_wrong_documents_are_refused_with_a_reason(document: dict[str, object], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse_schedule(document)


@pytest.mark.parametrize(
    "schedule",
    [Schedule(ScheduleKind.INTERVAL), Schedule(ScheduleKind.CRON), interval(timedelta(milliseconds=1500)), interval(timedelta(0))],
)
def test_incomplete_schedules_are_not_valid(schedule: Schedule) -> None:
    with pytest.raises(ConfigError):
        validate(schedule)


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (MANUAL_SCHEDULE, "Manual"),
        (interval(timedelta(hours=1)), "Every hour"),
        (interval(timedelta(hours=24)), "Every day"),
        (interval(timedelta(minutes=1)), "Every minute"),
        (interval(timedelta(minutes=15)), "Every 15 minutes"),
        (interval(timedelta(minutes=90)), "Every 90 minutes"),
        (cron("0 6 * * 1-5", "Europe/Berlin"), "0 6 * * 1-5 (Europe/Berlin)"),
    ],
)
def test_descriptions(schedule: Schedule, text: str) -> None:
    assert describe(schedule) == text


def test_a_clock_change_ahead_is_told_once_it_is_near() -> None:
    before = datetime(2025, 3, 29, 12, tzinfo=UTC)
    schedule = cron("30 2 * * *", "Europe/Berlin")
    sentence = clock_change_ahead(schedule, before, timedelta(days=2))
    assert sentence is not None
    assert "from 2025-03-30 02:00 to 2025-03-30 03:00 (2025-03-30 01:00 UTC)" in sentence
    assert "right after" in sentence
    assert "elapsed time" in (clock_change_ahead(cron("*/5 * * * *", "Europe/Berlin"), before, timedelta(days=2)) or "")
    assert clock_change_ahead(schedule, before, timedelta(hours=2)) is None
    assert clock_change_ahead(interval(timedelta(hours=1)), before, timedelta(days=2)) is None
    assert clock_change_ahead(cron("30 2 * * *"), before, timedelta(days=300)) is None
