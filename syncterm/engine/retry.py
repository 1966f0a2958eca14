"""What follows a failure: another attempt or none, a warning, a pause; and how failures are compared and stored. Pure functions.

Rules (the product's semantics, "Retry, timeouts, cancel"): a sync gives up after 5 attempts in a row without progress, 10 in all
without, 20 in all with. Waits are 10, 30, 90, 270 seconds with full jitter; progress resets them; what a source asks for by
Retry-After wins, up to an hour. Configuration, credentials and permissions are never retried. A connector is warned about at 20
failed syncs in a row and 4 days without success, and paused at 30 and 7 days; both conditions must hold.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from syncterm.engine.errors import CancelledSyncError, ErrorClass, RateLimitedError, SynctermError

WAITS = (10.0, 30.0, 90.0, 270.0)
"""Seconds: upper bounds of the waits before the second, third, … attempt in a row without progress."""
RETRY_AFTER_LIMIT = 3600.0
"""Seconds: the longest wait that a source may ask for."""
NEVER_RETRIED = frozenset({ErrorClass.CONFIG, ErrorClass.AUTH, ErrorClass.PERMISSION})
ERROR_LIMIT = 64 * 1024
"""Bytes of UTF-8 that are kept of an error's text."""
_COMPARED = 4096
"""Characters of an error's text that its fingerprint looks at."""


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How many attempts a sync may make."""

    in_a_row_without_progress: int = 5
    without_progress: int = 10
    with_progress: int = 20


@dataclass(frozen=True, slots=True)
class Attempts:
    """The failed attempts of one sync so far."""

    in_a_row_without_progress: int = 0
    without_progress: int = 0
    with_progress: int = 0

    @property
    def made(self) -> int:
        return self.without_progress + self.with_progress


@dataclass(frozen=True, slots=True)
class RetryDecision:
    """What to do after a failed attempt."""

    attempts: Attempts
    """The failed attempts, this one included: the state to keep."""
    retry_at: datetime | None
    """When to try again; None to give up."""
    reason: str
    """Why, as a sentence."""


LIMITS = RetryLimits()


def decide_retry(
    attempts: Attempts,
    error: BaseException,
    *,
    progress: bool,
    now: datetime,
    random: Callable[[], float],
    limits: RetryLimits = LIMITS,
) -> RetryDecision:
    """Decide about another attempt of a sync.

    Args:
        attempts: the failed attempts before this one.
        error: what ended this one.
        progress: whether this attempt committed rows.
        now: aware.
        random: gives a number, 0 ≤ x < 1, for the jitter.
    """
    attempts = (
        replace(attempts, in_a_row_without_progress=0, with_progress=attempts.with_progress + 1)
        if progress
        else replace(
            attempts,
            in_a_row_without_progress=attempts.in_a_row_without_progress + 1,
            without_progress=attempts.without_progress + 1,
        )
    )
    obstacle = _obstacle(attempts, error, limits)
    if obstacle is not None:
        return RetryDecision(attempts, None, obstacle)
    asked = error.retry_after if isinstance(error, RateLimitedError) else None
    if asked is not None and asked >= 0:  # a NaN is not
        wait = min(asked, RETRY_AFTER_LIMIT)
        cause = f"The source asked to wait {_seconds(asked)}" + (f"; the limit is {_seconds(wait)}" if wait < asked else "")
    else:
        wait = random() * WAITS[min(max(attempts.in_a_row_without_progress, 1), len(WAITS)) - 1]
        cause = f"Attempt {attempts.made} failed in a way that may pass"
    return RetryDecision(attempts, now + timedelta(seconds=wait), f"{cause}.")


def is_transient(error: BaseException) -> bool:
    """Whether a retry without any change can succeed, by the error's class; an unknown exception is a fault of the program."""
    return isinstance(error, SynctermError) and error.transient and error.error_class not in NEVER_RETRIED


def _obstacle(attempts: Attempts, error: BaseException, limits: RetryLimits) -> str | None:
    """Why there is no further attempt, as a sentence; None where there may be one."""
    if isinstance(error, CancelledSyncError):
        return "A person cancelled the sync."
    if not is_transient(error):
        kind = error.error_class if isinstance(error, SynctermError) else ErrorClass.INTERNAL
        return f"An error of class {kind} does not pass by itself."
    for count, limit, text in (
        (attempts.in_a_row_without_progress, limits.in_a_row_without_progress, "attempts in a row without progress"),
        (attempts.without_progress, limits.without_progress, "attempts in all without progress"),
        (attempts.with_progress, limits.with_progress, "attempts in all with progress"),
    ):
        if count >= limit:
            return f"Retries are exhausted: {count} {text}."
    return None


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if math.isfinite(seconds) and seconds < 1e9 else "for ever"


# Failures in a row ----------------------------------------------------------------------------------------------------------


class Escalation(StrEnum):
    """What a connector's failures in a row call for."""

    NONE = "none"
    WARN = "warn"
    PAUSE = "pause"


ESCALATIONS = ((Escalation.PAUSE, 30, timedelta(days=7)), (Escalation.WARN, 20, timedelta(days=4)))
"""Escalation, failed syncs in a row, and time without success: both must be reached. The gravest first."""


def escalate(failures_in_a_row: int, last_success_at: datetime, now: datetime) -> Escalation:
    """What a connector's failures in a row call for.

    Args:
        failures_in_a_row: failed syncs since the last success; cancelled and interrupted ones do not count.
        last_success_at: aware; when the connector was created where it never succeeded.
    """
    for escalation, failures, without_success in ESCALATIONS:
        if failures_in_a_row >= failures and now - last_success_at >= without_success:
            return escalation
    return Escalation.NONE


# The text of failures -------------------------------------------------------------------------------------------------------

_VARIABLE_PARTS = (
    (re.compile(r"\"[^\"\n]*\"|`[^`\n]*`|(?<!\w)'[^'\n]*'(?!\w)|“[^”\n]*”|«[^»\n]*»"), "‹value›"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "‹id›"),
    (re.compile(r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?"), "‹time›"),
    (re.compile(r"\b(?=\w{0,64}\d)\w{8,64}\b"), "‹id›"),
    (re.compile(r"[+-]?\d+(?:[.,:]\d+)*"), "‹number›"),
    (re.compile(r"\s+"), " "),
)
"""What differs between two messages of the same failure, and what stands for it."""


def message_template(message: str) -> str:
    """A message without what differs from one failure to the next: quoted values, identifiers, times and numbers."""
    text = message[:_COMPARED]
    for pattern, replacement in _VARIABLE_PARTS:
        text = pattern.sub(replacement, text)
    return text.strip()


def fingerprint_message(message: str) -> str:
    """A hash by which failures are grouped, the same for messages with the same template. 16 hexadecimal digits."""
    return hashlib.sha256(message_template(message).casefold().encode("utf-8", "surrogatepass")).hexdigest()[:16]


def clip_error(text: str, limit: int = ERROR_LIMIT) -> str:
    """The text in at most `limit` bytes of UTF-8: its head and its tail where it is longer, and how much was left out.

    Redact before clipping: half a secret is not recognised.
    """
    data = text[: limit + 1].encode("utf-8", "replace") if len(text) > limit else text.encode("utf-8", "replace")
    if len(text) <= limit and len(data) <= limit:
        return data.decode()
    marker = f"\n… {len(text):,} characters in all; the middle is left out …\n"
    room = max(0, limit - len(marker.encode()))
    head = data[: room - room // 2].decode("utf-8", "ignore")
    tail = text[-limit:].encode("utf-8", "replace")[-(room // 2) :].decode("utf-8", "ignore") if room // 2 else ""
    return f"{head}{marker}{tail}"
