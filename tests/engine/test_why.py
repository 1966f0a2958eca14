"""The paragraph that says why a connector is or isn't running."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from syncterm.engine.blackout import EVERY_DAY
from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import Activity, BlackoutWindow, Outcome, PausedBy, Schedule, ScheduleKind
from syncterm.engine.status import ConnectorFacts
from syncterm.engine.why import WhyFacts, span, why

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOURLY = Schedule(ScheduleKind.INTERVAL, timedelta(hours=1))
MANUAL = Schedule(ScheduleKind.MANUAL)
ASKED = "Its schedule is manual: it runs when somebody asks for it."
BERLIN = Schedule(ScheduleKind.CRON, None, "30 2 * * *", "Europe/Berlin")
NOON = BlackoutWindow(EVERY_DAY, time(12), time(14))
AFTERNOON = BlackoutWindow(frozenset({1}), time(13), time(14))
IDLE = WhyFacts(
    status=ConnectorFacts(last_outcome=Outcome.SUCCESS, last_success_at=NOW - timedelta(minutes=40)),
    schedule=HOURLY,
    anchor_at=datetime(2026, 3, 1, 0, 20, tzinfo=UTC),
    offset=timedelta(seconds=17),
    next_fire_at=NOW + timedelta(minutes=20, seconds=17),
)


def busy(activity: Activity, **values: object) -> WhyFacts:
    return replace(IDLE, status=replace(IDLE.status, activity=activity), **values)  # type: ignore[arg-type]


CASES: list[tuple[str, WhyFacts, str]] = [
    (
        "waits",
        IDLE,
        "Waits: it is due at 2026-03-10 12:20:17 UTC, in 20 min 17 s. Its schedule is every hour, counted from 2026-03-01"
        " 00:20:00 UTC, 17 s later so that not all fire at once.",
    ),
    (
        "no engine",
        replace(IDLE, engine_runs=False, offset=timedelta(0)),
        "No engine runs on this store, so nothing starts until one does. Waits: it is due at 2026-03-10 12:20:17 UTC, in"
        " 20 min 17 s. Its schedule is every hour, counted from 2026-03-01 00:20:00 UTC.",
    ),
    ("manual", WhyFacts(ConnectorFacts()), ASKED),
    (
        "due now",
        replace(IDLE, next_fire_at=NOW, schedule=Schedule(ScheduleKind.CRON, None, "0 * * * *", "UTC")),
        "Waits for the engine to take it up: due at 2026-03-10 12:00:00 UTC. Its schedule is the cron expression 0 * * * *"
        " in the time zone UTC.",
    ),
    (
        "never due again",
        replace(IDLE, next_fire_at=None, schedule=Schedule(ScheduleKind.CRON, None, "0 0 31 2 *", "UTC")),
        "Its schedule, 0 0 31 2 * (UTC), has no fire time ahead.",
    ),
    (
        "paused by the engine",
        replace(
            IDLE,
            status=replace(IDLE.status, paused_by=PausedBy.ENGINE),
            next_fire_at=None,
            paused_reason="30 syncs in a row failed.",
            paused_at=NOW,
        ),
        "Paused by the engine at 2026-03-10 12:00:00 UTC: 30 syncs in a row failed. Resume it to schedule it again.",
    ),
    (
        "paused by a person while it runs",
        replace(
            busy(Activity.RUNNING, activity_at=NOW, attempt=1),
            status=replace(IDLE.status, activity=Activity.RUNNING, paused_by=PausedBy.PERSON),
        ),
        "Running since 2026-03-10 12:00:00 UTC. Paused by a person. Resume it to schedule it again.",
    ),
    (
        "incomplete",
        replace(IDLE, status=replace(IDLE.status, configuration_complete=False), incomplete_reason="No stream is selected."),
        "Not scheduled: No stream is selected. Edit its set-up.",
    ),
    (
        "schema change",
        replace(IDLE, status=replace(IDLE.status, schema_change_waits=True)),
        "A schema change waits for approval; syncs stop at it until somebody approves it.",
    ),
    (
        "running, second attempt, fell due again",
        busy(Activity.RUNNING, activity_at=NOW, attempt=2, progress_stream="orders", due_since=NOW, offset=timedelta(0)),
        "Running since 2026-03-10 12:00:00 UTC, attempt 2, stream orders. It is next due at 2026-03-10 12:20:17 UTC, in 20"
        " min 17 s. Its schedule is every hour, counted from 2026-03-01 00:20:00 UTC."
        " It fell due at 2026-03-10 12:00:00 UTC meanwhile: one sync follows.",
    ),
    (
        "queued behind a limit",
        replace(
            busy(Activity.QUEUED, activity_at=NOW, activity_reason="8 of 8 syncs run; number 3 in the queue"),
            schedule=MANUAL,
        ),
        f"Queued since 2026-03-10 12:00:00 UTC: 8 of 8 syncs run; number 3 in the queue. {ASKED}",
    ),
    (
        "backing off",
        replace(
            busy(
                Activity.BACKING_OFF,
                attempt=2,
                back_off_until=NOW + timedelta(seconds=30),
                activity_reason="The server said 429.\nSecond line",
            ),
            schedule=MANUAL,
        ),
        f"Backing off until 2026-03-10 12:00:30 UTC after attempt 2: The server said 429. {ASKED}",
    ),
    (
        "cancelling",
        replace(busy(Activity.CANCELLING, activity_at=NOW), schedule=MANUAL),
        f"Cancelling since 2026-03-10 12:00:00 UTC: it stops at the next batch. {ASKED}",
    ),
    (
        "missed",
        replace(IDLE, schedule=MANUAL, missed=49),
        f"{ASKED} 49 fire times were missed and made up for by one sync.",
    ),
    (
        "skipped",
        replace(IDLE, schedule=MANUAL, missed=1, catch_up="skip"),
        f"{ASKED} 1 fire time was missed and skipped.",
    ),
    (
        "broken",
        replace(
            IDLE,
            schedule=MANUAL,
            status=replace(IDLE.status, last_outcome=Outcome.FAILED, last_error_class=ErrorClass.AUTH),
            last_error_message="password authentication failed for user 'x'",
        ),
        f"{ASKED} The last word on it is a failure (auth): password authentication failed for user 'x'.",
    ),
    (
        "inside a blackout window",
        replace(IDLE, schedule=MANUAL, blackout=(NOON,)),
        f"{ASKED} A blackout window (every day 12:00–14:00 UTC) holds scheduled syncs back until 2026-03-10 14:00:00 UTC;"
        " sync now starts one.",
    ),
    (
        "falls due inside a blackout window",
        replace(IDLE, anchor_at=None, offset=timedelta(0), next_fire_at=NOW + timedelta(hours=1), blackout=(AFTERNOON,)),
        "Waits: it is due at 2026-03-10 13:00:00 UTC, in 1 h. Its schedule is every hour. 2026-03-10 13:00:00 UTC lies in a"
        " blackout window (Tue 13:00–14:00 UTC): that sync starts at 2026-03-10 14:00:00 UTC.",
    ),
    (
        "streams with schedules of their own",
        replace(IDLE, schedule=MANUAL, own_schedules=2, next_own_stream="devices", next_own_at=NOW + timedelta(minutes=5)),
        f"{ASKED} 2 streams have schedules of their own; devices is due next, at 2026-03-10 12:05:00 UTC.",
    ),
    (
        "one stream that only a person syncs",
        replace(IDLE, schedule=MANUAL, own_schedules=1),
        f"{ASKED} 1 stream has a schedule of its own.",
    ),
]


@pytest.mark.parametrize(("facts", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_sentences(facts: WhyFacts, text: str) -> None:
    assert why(facts, NOW) == text


def test_a_change_of_the_clock_ahead_is_told_a_week_before() -> None:
    facts = replace(IDLE, schedule=BERLIN)
    assert "The clock of Europe/Berlin" in why(facts, datetime(2026, 3, 25, tzinfo=UTC))
    assert "The clock" not in why(facts, datetime(2026, 3, 20, tzinfo=UTC))


def test_there_is_always_an_answer() -> None:
    for activity, paused, complete, schedule, due, engine in itertools.product(
        Activity, (None, *PausedBy), (True, False), (HOURLY, BERLIN, MANUAL), (None, NOW), (True, False)
    ):
        status = ConnectorFacts(paused_by=paused, configuration_complete=complete, activity=activity)
        text = why(WhyFacts(status, schedule, next_fire_at=due, engine_runs=engine), NOW)
        assert text.endswith(".")
        assert "None" not in text
        assert ".." not in text


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(0), "0 s"),
        (timedelta(seconds=-5), "0 s"),
        (timedelta(seconds=17), "17 s"),
        (timedelta(minutes=20, seconds=17), "20 min 17 s"),
        (timedelta(hours=2), "2 h"),
        (timedelta(days=2, hours=4, minutes=9), "2 d 4 h"),
    ],
)
def test_spans(length: timedelta, text: str) -> None:
    assert span(length) == text
