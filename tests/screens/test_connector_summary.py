"""What the head of the connector screen says: pure functions as tables and properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.errors import ErrorClass
from syncterm.engine.model import (
    MANUAL_SCHEDULE,
    Activity,
    CredentialsState,
    Outcome,
    Reason,
    StreamCounts,
    SyncState,
    Trigger,
)
from syncterm.engine.queries import SyncRow
from syncterm.engine.status import ConnectorFacts, LogStatus, SyncStatus
from syncterm.engine.troubleshooting import Finding, TroubleFacts, remedy_of, troubleshoot
from syncterm.screens.connector_summary import (
    caption,
    fire_texts,
    fires_line,
    last_sync_lines,
    life_line,
    remedy_line,
    status_lines,
    type_title,
)
from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, width
from syncterm.widgets.balance import balance_text, balance_within
from syncterm.widgets.history_table import started_text, trigger_text
from syncterm.widgets.lines import plain, wrapped

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        (StreamCounts(1000, 900, 90, 5, 5), "1,000 read = 900 written + 90 unchanged + 5 filtered + 5 rejected"),
        (StreamCounts(7, 7), "7 read = 7 written"),
        (StreamCounts(7, 0, 7), "7 read = 7 unchanged"),
        (StreamCounts(7, 6), "7 read != 6 written"),
        (StreamCounts(), "nothing was read"),
    ],
)
def test_a_balance(counts: StreamCounts, text: str) -> None:
    assert balance_text(counts) == text


def test_a_balance_is_cut_short_only_where_it_must_be() -> None:
    counts = StreamCounts(1480, 1375, 90, 12, 3)
    assert balance_within(counts, 80) == balance_text(counts)
    assert balance_within(counts, 60) == "1,480 read = 1,375 written + 90 unch. + 12 filt. + 3 rej."


@given(st.builds(StreamCounts, *[st.integers(0, 10**12)] * 6))
def test_a_balance_says_whether_it_balances(counts: StreamCounts) -> None:
    if counts.read:
        assert (" = " in balance_text(counts)) == counts.balanced


@given(st.text(max_size=300), st.integers(10, 120), st.integers(1, 6))
def test_wrapped_text_fits(text: str, cells: int, most: int) -> None:
    lines = wrapped(text, cells, most, "…")
    assert 1 <= len(lines) <= most
    assert all(width(line) <= cells for line in lines)
    assert all(line.isprintable() for line in lines)


def test_fire_times_of_today_of_this_week_and_later() -> None:
    fires = [NOW + timedelta(hours=1), NOW + timedelta(hours=12), NOW + timedelta(days=9)]
    assert fire_texts(fires, BERLIN, NOW) == ["14:00", "Thu 01:00", "2026-03-13 13:00"]
    assert fire_texts([NOW + timedelta(seconds=12)], UTC, NOW) == ["12:00:12"]


@pytest.mark.parametrize("cells", [40, 60, 78, 118])
@pytest.mark.parametrize("local", [UTC, BERLIN])
def test_the_fire_line_names_the_zone_and_the_persons_own_clock(cells: int, local: tzinfo) -> None:
    fires = [NOW + timedelta(hours=hour) for hour in range(1, 6)]
    text = plain(fires_line(fires, "Europe/Berlin", local, NOW, cells, GLYPHS_UNICODE, "never"))
    assert "14:00" in text
    assert "Europe/Berlin" in text
    assert ("13:00 here" in text) == (local is UTC)
    if cells >= 78:
        assert width(text) <= cells
        assert "18:00" in text


def test_no_fire_time_says_why() -> None:
    assert "by hand only" in plain(fires_line([], "UTC", UTC, NOW, 78, GLYPHS_UNICODE, "by hand only"))


@pytest.mark.parametrize("status", ["Active", "Broken", "Incomplete", "Paused"])
@pytest.mark.parametrize("symbols", [GLYPHS_UNICODE, GLYPHS_ASCII])
def test_status_lines(status: str, symbols: object) -> None:
    why = "It waits. " * 40
    lines = status_lines(status, "", why, 78, 2, symbols)  # type: ignore[arg-type]
    assert len(lines) == 2
    assert status in plain(lines[0])
    assert all(width(plain(line)) <= 78 for line in lines)


def test_what_mends_it() -> None:
    assert remedy_line((), 78, GLYPHS_UNICODE) is None
    first, second = Finding("Late", "It is late.", "Start it by hand.", ()), Finding("Paused", "It is.", "Resume it.", ())
    line = remedy_line((first, second), 78, GLYPHS_UNICODE)
    assert line is not None
    assert plain(line).split("  ", 1)[1].strip().endswith("Start it by hand. (and 1 more)  W why")


@pytest.mark.parametrize("error", ErrorClass)
def test_every_remedy_fits_80_columns(error: ErrorClass) -> None:
    facts = ConnectorFacts(last_outcome=Outcome.FAILED, last_error_class=error, source_credentials=CredentialsState.REJECTED)
    for finding in troubleshoot(TroubleFacts(facts, MANUAL_SCHEDULE), NOW):
        line = remedy_line((finding,), 78, GLYPHS_UNICODE)
        assert line is not None
        assert finding.remedy in plain(line)
        assert width(plain(line)) <= 78
    line = remedy_line((Finding("", "", remedy_of(error)),), 78, GLYPHS_UNICODE)
    assert line is not None
    assert remedy_of(error) in plain(line)


def test_the_last_sync() -> None:
    [first] = last_sync_lines(Outcome.SUCCESS, 1_300_000, "9 read = 9 written", "", 78, GLYPHS_UNICODE)
    assert "✓ Success" in plain(first)
    assert "9 read = 9 written, 1.3 MB" in plain(first)
    failed = last_sync_lines(Outcome.FAILED, 0, "", "word " * 60, 78, GLYPHS_UNICODE)
    assert len(failed) == 2
    assert plain(failed[-1]).endswith("…")
    assert "press r" in plain(last_sync_lines(None, None, "", "", 78, GLYPHS_UNICODE)[0])


@pytest.mark.parametrize(
    ("activity", "status", "next_fire", "text"),
    [
        (Activity.IDLE, "Active", NOW + timedelta(minutes=5), "next in 5 min"),
        (Activity.IDLE, "Active", None, "idle, by hand only"),
        (Activity.IDLE, "Paused", None, "paused"),
        (Activity.IDLE, "Incomplete", None, "set-up incomplete"),
        (Activity.QUEUED, "Paused", None, "queued"),
        (Activity.BACKING_OFF, "Active", None, "backing off, attempt 2"),
        (Activity.CANCELLING, "Active", None, "cancelling"),
    ],
)
def test_what_the_link_says(activity: Activity, status: str, next_fire: datetime | None, text: str) -> None:
    assert caption(activity, 2, status, next_fire, NOW) == text


def sync(state: SyncState, outcome: Outcome | None = None) -> SyncRow:
    reached = list(SyncState).index(state)
    times = [NOW + timedelta(seconds=second) if index <= reached else None for index, second in enumerate((0, 1, 2, 62))]
    return SyncRow(
        id="s", connector_id="c", connector_name="n", status=SyncStatus.IN_PROGRESS, log_status=LogStatus.CREATED, state=state,
        outcome=outcome, trigger=Trigger.MANUAL, reason=Reason.SYNC_NOW, requested_by="ana", due_at=None, missed=0, streams=None,
        created_at=NOW, claimed_at=times[1], started_at=times[2], finished_at=times[3], duration=None, attempt=1,
        cancel_requested_at=None, cancel_requested_by=None, error_class=None, error_message=None, summary=None,
        counts=StreamCounts(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("row", "cells", "text"),
    [
        (sync(SyncState.CREATED), 118, "▶ Created 12:00:00 → Pending → Executing → Completed"),
        (sync(SyncState.EXECUTING), 118, "Created 12:00:00 → Pending 12:00:01 → ▶ Executing 12:00:02 → Completed"),
        (
            sync(SyncState.COMPLETED, Outcome.SUCCESS),
            118,
            "Created 12:00:00 → Pending 12:00:01 → Executing 12:00:02 → ✓ Completed: Success 12:01:02",
        ),
        (
            sync(SyncState.COMPLETED, Outcome.FAILED),
            78,
            "Created 12:00:00 → Pending +1.0 s → Executing +1.0 s → ✗ Completed +1m 00s",
        ),
    ],
)
def test_the_life_of_a_sync(row: SyncRow, cells: int, text: str) -> None:
    assert plain(life_line(row, UTC, cells, GLYPHS_UNICODE)) == text


@pytest.mark.parametrize(
    ("trigger", "reason", "missed", "text"),
    [
        (Trigger.SCHEDULED, Reason.SCHEDULE, 0, "Scheduled"),
        (Trigger.SCHEDULED, Reason.SCHEDULE, 49, "Scheduled, 49 missed"),
        (Trigger.MANUAL, Reason.SYNC_NOW, 0, "Manual by ana"),
        (Trigger.MANUAL, Reason.HISTORICAL_RESYNC, 0, "Manual, historical re-sync by ana"),
        (Trigger.REAL_TIME, Reason.SCHEDULE, 0, "Real time"),
    ],
)
def test_who_or_what_asked_for_it(trigger: Trigger, reason: Reason, missed: int, text: str) -> None:
    assert trigger_text(trigger, reason, "ana", missed) == text


def test_when_it_began() -> None:
    assert started_text(NOW, NOW, UTC) == "12:00:00"
    assert started_text(NOW - timedelta(days=1), NOW, UTC) == "Mar 03 12:00"
    assert started_text(NOW - timedelta(days=400), NOW, UTC) == "2025-01-28"
    assert started_text(None, NOW, UTC) == "waits"


def test_the_title_of_a_type() -> None:
    assert type_title("destination", "duckdb") == "DuckDB"
    assert type_title("source", "not installed") == "not installed"
    assert type_title("source", None) == "-"
