"""Cron expressions in plain English."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.cron import parse_cron
from syncterm.engine.cron_words import describe_cron
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import Schedule, ScheduleKind
from syncterm.engine.schedule import fires
from tests.samples import SAMPLES


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("* * * * *", "Every minute"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("5-59/15 * * * *", "Every 15 minutes, from minute 5"),
        ("0 * * * *", "Every hour, on the hour"),
        ("5 * * * *", "Every hour, 5 minutes past"),
        ("1 * * * *", "Every hour, 1 minute past"),
        ("5,35,40 * * * *", "5, 35 and 40 minutes past every hour"),
        ("0 6 * * 1-5", "At 06:00 from Monday to Friday"),
        ("15 2 * * *", "At 02:15 every day"),
        ("@daily", "At 00:00 every day"),
        ("@weekly", "At 00:00 on Sunday"),
        ("0 6,18 * * *", "At 06:00 and 18:00 every day"),
        ("0 */6 * * *", "At 00:00, 06:00, 12:00 and 18:00 every day"),
        ("30 */2 * * *", "Every 2 hours from 00:30"),
        ("30 8-17 * * *", "Every hour from 08:30 to 17:30"),
        ("*/15 8-17 * * mon-fri", "Every 15 minutes from 08:00 to 17:45 from Monday to Friday"),
        ("0 9 * * 6,0", "At 09:00 on Saturday and Sunday"),
        ("0 9 * * 5-7", "At 09:00 from Friday to Sunday"),
        ("0 9 1,15 * *", "At 09:00 on the 1st and 15th of the month"),
        ("0 9 1-7 * *", "At 09:00 from the 1st to the 7th of the month"),
        ("0 9 22 3 *", "At 09:00 on the 22nd of the month in March"),
        ("0 9 1 */3 *", "At 09:00 on the 1st of the month in January, April, July and October"),
        ("0 9 * 6-8 *", "At 09:00 from June to August"),
        ("0 9 L * *", "At 09:00 on the last day of the month"),
        ("0 9 LW * *", "At 09:00 on the last weekday of the month"),
        ("0 9 * * 5L", "At 09:00 on the last Friday of the month"),
        ("0 9 * * 1#2", "At 09:00 on the second Monday of the month"),
        ("0 0 1 * 1", "At 00:00 on the 1st of the month or on Monday"),
        ("0 0 29 2 1", "At 00:00 on the 29th of the month or on Monday, in February"),
        ("0 0 */2 * 1", None),
        ("0 0 1,2,3,*/2 * *", None),
        ("*/7 * * * *", None),
        ("*/15 8,12,20 * * *", None),
    ],
)
def test_common_shapes_in_words(expression: str, words: str | None) -> None:
    assert describe_cron(expression) == words


def test_what_is_no_expression_is_refused() -> None:
    with pytest.raises(ConfigError, match="five are needed"):
        describe_cron("0 6")


def _expressions() -> list[str]:
    cases: Any = json.loads((SAMPLES / "cron_cases.json").read_text())
    found = re.findall(r'"(?:expr|expression|cron)": "([^"]+)"', json.dumps(cases))
    return sorted({expression for expression in found if _is_valid(expression)})


def _is_valid(expression: str) -> bool:
    try:
        parse_cron(expression)
    except ConfigError:
        return False
    return True


def test_every_sample_has_words_or_none() -> None:
    expressions = _expressions()
    assert len(expressions) > 20
    for expression in expressions:
        words = describe_cron(expression)
        assert words is None or re.fullmatch(r"[A-Z0-9][\w:,\- ]+", words), (expression, words)


@given(
    st.integers(0, 59), st.lists(st.integers(0, 23), min_size=1, max_size=6, unique=True), st.sampled_from(["*", "1-5", "0", "6,0"])
)
def test_the_times_in_words_are_those_at_which_it_fires(minute: int, hours: list[int], weekdays: str) -> None:
    expression = f"{minute} {','.join(map(str, hours))} * * {weekdays}"
    words = describe_cron(expression)
    assert words is not None
    start = datetime(2026, 3, 1, tzinfo=UTC)
    found = fires(Schedule(ScheduleKind.CRON, expression=expression), start - timedelta(seconds=1), 30, anchor=start)
    assert {f"{fire:%H:%M}" for fire in found} == set(re.findall(r"\d\d:\d\d", words))


@given(st.integers(1, 59))
def test_a_step_is_in_words_only_where_it_is_even(step: int) -> None:
    words = describe_cron(f"*/{step} * * * *")
    if step > 1 and 60 % step == 0 and 60 // step > 6:
        assert words == f"Every {step} minutes"
    start = datetime(2026, 3, 1, tzinfo=UTC)
    found = fires(Schedule(ScheduleKind.CRON, expression=f"*/{step} * * * *"), start, 60, anchor=start)
    gaps = {later - earlier for earlier, later in pairwise(found)}
    if words is not None and words.startswith("Every ") and "minutes" in words:
        assert gaps == {timedelta(minutes=step)}
