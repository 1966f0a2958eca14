"""Retry, escalation, and the comparison of failures: tables and properties."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.errors import (
    AuthenticationError,
    CancelledSyncError,
    ConfigError,
    ConnectionTimeoutError,
    DestinationBusyError,
    DestinationError,
    InterruptedSyncError,
    PermissionDeniedError,
    RateLimitedError,
    SchemaChangedError,
    SourceDataError,
    SourceUnavailableError,
    StaleEpochError,
    StalledError,
    UnbalancedError,
)
from syncterm.engine.retry import (
    LIMITS,
    RETRY_AFTER_LIMIT,
    WAITS,
    Attempts,
    Escalation,
    RetryDecision,
    clip_error,
    decide_retry,
    escalate,
    fingerprint_message,
    is_transient,
    message_template,
)

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
PASSING = SourceUnavailableError("The source closed the connection.")


def decide(attempts: Attempts, error: BaseException = PASSING, *, progress: bool = False, jitter: float = 1.0) -> RetryDecision:
    return decide_retry(attempts, error, progress=progress, now=NOW, random=lambda: jitter)


def run(progress: list[bool]) -> list[RetryDecision]:
    """The decisions of one sync whose attempts all fail, up to the first that gives up."""
    attempts, decisions = Attempts(), []
    for moved in progress:
        decisions.append(decide(attempts, progress=moved))
        attempts = decisions[-1].attempts
        if decisions[-1].retry_at is None:
            break
    return decisions


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConfigError("x"), False),
        (AuthenticationError("x"), False),
        (PermissionDeniedError("x"), False),
        (SourceDataError("x"), False),
        (SchemaChangedError("x"), False),
        (DestinationError("x"), False),
        (StaleEpochError("x"), False),
        (UnbalancedError("x"), False),
        (CancelledSyncError("x"), False),
        (ValueError("x"), False),
        (KeyboardInterrupt(), False),
        (ConnectionTimeoutError("x"), True),
        (RateLimitedError("x"), True),
        (SourceUnavailableError("x"), True),
        (DestinationBusyError("x"), True),
        (InterruptedSyncError("x"), True),
        (StalledError("x"), True),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_only_what_may_pass_is_retried(error: BaseException, transient: bool) -> None:
    assert is_transient(error) is transient
    assert (decide(Attempts(), error).retry_at is not None) is transient


def test_waits_grow_then_the_fifth_attempt_gives_up() -> None:
    decisions = run([False] * 20)
    assert [(each.retry_at - NOW).total_seconds() for each in decisions if each.retry_at] == list(WAITS)
    assert len(decisions) == LIMITS.in_a_row_without_progress
    assert "5 attempts in a row without progress" in decisions[-1].reason


def test_progress_resets_the_wait() -> None:
    decisions = run([False, False, True, False])
    assert [(each.retry_at - NOW).total_seconds() for each in decisions if each.retry_at] == [10, 30, 10, 10]


def test_ten_attempts_in_all_without_progress() -> None:
    decisions = run([False, False, False, True] * 10)
    assert decisions[-1].attempts.without_progress == LIMITS.without_progress
    assert "10 attempts in all without progress" in decisions[-1].reason


def test_twenty_attempts_in_all_with_progress() -> None:
    decisions = run([True] * 40)
    assert decisions[-1].attempts.made == len(decisions) == LIMITS.with_progress


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_every_sync_ends_within_its_limits(progress: list[bool]) -> None:
    decisions = run(progress)
    last = decisions[-1].attempts
    assert last.in_a_row_without_progress <= LIMITS.in_a_row_without_progress
    assert last.without_progress <= LIMITS.without_progress
    assert last.with_progress <= LIMITS.with_progress
    assert len(decisions) == last.made < LIMITS.without_progress + LIMITS.with_progress
    assert all(each.retry_at is not None for each in decisions[:-1])


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 3))
def test_full_jitter_stays_below_its_bound(jitter: float, before: int) -> None:
    decision = decide(Attempts(before, before, 0), jitter=jitter)
    assert decision.retry_at is not None
    assert NOW <= decision.retry_at <= NOW + timedelta(seconds=WAITS[before])


@pytest.mark.parametrize(
    ("asked", "waited"),
    [
        (0.0, 0.0),
        (7.5, 7.5),
        (3600.0, 3600.0),
        (1e9, RETRY_AFTER_LIMIT),
        (float("inf"), RETRY_AFTER_LIMIT),
        (None, WAITS[0]),
        (-5.0, WAITS[0]),
        (float("nan"), WAITS[0]),
    ],
)
def test_retry_after_wins_within_its_cap(asked: float | None, waited: float) -> None:
    decision = decide(Attempts(), RateLimitedError("slow down", retry_after=asked))
    assert decision.retry_at == NOW + timedelta(seconds=waited)


def test_being_asked_to_wait_does_not_lift_the_limits() -> None:
    assert decide(Attempts(4, 4, 0), RateLimitedError("slow down", retry_after=1)).retry_at is None


def test_cancelling_starts_nothing() -> None:
    decision = decide(Attempts(), CancelledSyncError("x"))
    assert decision.retry_at is None
    assert "cancelled" in decision.reason


@pytest.mark.parametrize(
    ("failures", "days", "expected"),
    [
        (0, 400, Escalation.NONE),
        (19, 400, Escalation.NONE),
        (1000, 3, Escalation.NONE),
        (20, 4, Escalation.WARN),
        (29, 400, Escalation.WARN),
        (1000, 6, Escalation.WARN),
        (30, 7, Escalation.PAUSE),
    ],
)
def test_both_conditions_are_needed(failures: int, days: int, expected: Escalation) -> None:
    assert escalate(failures, NOW - timedelta(days=days), NOW) is expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("timeout after 60 s", "timeout after 61.5 s"),
        ("row 17: cannot cast 'abc' to int64", "row 90421: cannot cast 'x y z' to int64"),
        ('relation "orders" does not exist', 'relation "items" does not exist'),
        ("request 0f8fad5b-d9cb-469f-a165-70867728950e failed", "request 7c9e6679-7425-40de-944b-e07fc1f90ae7 failed"),
        ("sync 0k3j5h2g9f8d7s6a5q4w ended", "sync 0k3j5h2g9f8d7s6a5q4x ended"),
        ("at 2025-06-01T12:00:00Z: refused", "at 2025-06-02 13:00:00.123+02:00: refused"),
        ("no route to 10.0.0.1:5432", "no route to 10.0.0.27:5433"),
        ("Connection   refused", "connection refused\n"),
    ],
)
def test_messages_of_the_same_failure_have_one_fingerprint(one: str, other: str) -> None:
    assert fingerprint_message(one) == fingerprint_message(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("timeout after 60 s", "refused after 60 s"),
        ("can't connect to host", "can't resolve the host"),
        ("", "x"),
        ("permission denied for table", "permission denied for schema"),
    ],
)
def test_different_failures_have_different_fingerprints(one: str, other: str) -> None:
    assert fingerprint_message(one) != fingerprint_message(other)


def test_the_template_reads_like_the_message() -> None:
    assert message_template("row 17: can't cast 'abc' to decimal") == "row ‹number›: can't cast ‹value› to decimal"


@given(st.text(max_size=300) | st.text(alphabet="'\"`a1 -\n", max_size=2000))
def test_any_message_has_a_fingerprint(message: str) -> None:
    assert len(fingerprint_message(message)) == 16


@given(st.text(max_size=300), st.integers(80, 400))
def test_clipped_errors_fit_and_keep_head_and_tail(text: str, limit: int) -> None:
    clipped = clip_error(text, limit)
    assert len(clipped.encode()) <= limit
    if len(text.encode()) <= limit:
        assert clipped == text


def test_a_huge_error_keeps_its_head_and_its_tail() -> None:
    text = "first line\n" + "é" * 10_000_000 + "\nlast line"
    clipped = clip_error(text)
    assert clipped.startswith("first line\n")
    assert clipped.endswith("\nlast line")
    assert f"{len(text):,} characters" in clipped
    assert len(clipped.encode()) <= 64 * 1024


def test_a_lone_surrogate_is_no_error() -> None:
    assert clip_error("\ud800x") == "?x"
    assert fingerprint_message("\ud800x")
