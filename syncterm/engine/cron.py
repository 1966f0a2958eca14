"""Cron expressions: what they may say, and which wall-clock minute comes next. Zones are `schedule`'s business.

Grammar and meaning are Debian's cron(8) with the extensions of cronsim 2.8: five fields, lists, ranges, steps, English names of
three letters, `L` and `LW` for days of the month, `5L` (last Friday) and `1#2` (second Monday) for days of the week, `0` and `7`
are Sunday. Where both day fields are restricted either may match; where one of them begins with a star both must.

Every expression is spelled out into lists of numbers, so that croniter, which steps the wall clock, never meets a spelling that it
reads in another way (`5L`, `5-7`, `*/31`, mixtures of `1#2` and plain days).
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import product

from croniter import croniter
from croniter.croniter import CroniterBadDateError

from syncterm.engine.errors import ConfigError

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_MAX_LENGTH = 256
"""Characters of an expression."""
_SEARCH_YEARS = 50
"""How far ahead a match is looked for; the rarest that exists (29 February on a given weekday) takes 40."""
_REFERENCE = datetime(2000, 1, 1)
_MONTH_NAMES = {
    name: number
    for number, name in enumerate(("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1)
}
_DAY_NAMES = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"))}
_LAST_OF_WEEKDAY = re.compile(r"([0-7])L", re.ASCII)
_NUMBERED_WEEKDAY = re.compile(r"([0-7]|[A-Z]{3})#([1-5])", re.ASCII)


@dataclass(frozen=True, slots=True)
class _FieldRule:
    title: str
    low: int
    high: int
    names: dict[str, int]

    @property
    def allowed(self) -> str:
        names = f" or {', '.join(self.names)}" if self.names else ""
        return f"{self.low} to {self.high}{names}"


_RULES = (
    _FieldRule("minute", 0, 59, {}),
    _FieldRule("hour", 0, 23, {}),
    _FieldRule("day of month", 1, 31, {}),
    _FieldRule("month", 1, 12, _MONTH_NAMES),
    _FieldRule("day of week", 0, 7, _DAY_NAMES),
)
_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY = _RULES


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression, parsed."""

    text: str
    """As it was written, spaces collapsed."""
    fixed_time: bool
    """Neither minutes nor hours begin with a star: Debian's rule for jobs that a clock change must neither skip nor repeat."""
    alternatives: tuple[str, ...]
    """Spelled-out expressions of which any may match."""

    def next_wall(self, wall: datetime) -> datetime | None:
        """The first matching minute of the wall clock (naive) that begins after `wall`; None where 50 years have none."""
        return min((found for text in self.alternatives if (found := _next_of(text, wall)) is not None), default=None)


@lru_cache(maxsize=4096)
def parse_cron(expression: str) -> Cron:
    """Parse an expression of five fields, or a nickname such as `@daily`.

    Raises:
        ConfigError: saying which field is wrong, why, and what it may be; also where the expression can never fire.
    """
    fields = _split(expression)
    minutes, hours, days, months, weekdays = fields
    clock = f"{_spell_out(_parse_field(minutes, _MINUTE), _MINUTE)} {_spell_out(_parse_field(hours, _HOUR), _HOUR)}"
    month_list = _spell_out(_parse_field(months, _MONTH), _MONTH)
    day_choices, weekday_choices = _parse_days(days), _parse_weekdays(weekdays)
    if days.startswith("*") or weekdays.startswith("*"):
        pairs = tuple(product(day_choices, weekday_choices))
    else:
        pairs = (*((day, "*") for day in day_choices), *(("*", weekday) for weekday in weekday_choices))
    text = " ".join(expression.split())
    cron = Cron(
        text=text,
        fixed_time=not minutes.startswith("*") and not hours.startswith("*"),
        alternatives=tuple(dict.fromkeys(f"{clock} {day} {month_list} {weekday}" for day, weekday in pairs)),
    )
    if cron.next_wall(_REFERENCE) is None:
        raise ConfigError(
            f"The cron expression {text!r} never fires: no month that it names has such a day.",
            remedy="Change the day of month or the month; L is the last day of every month.",
        )
    return cron


def _split(expression: str) -> list[str]:
    if len(expression) > _MAX_LENGTH:
        raise ConfigError(f"The cron expression has {len(expression)} characters; {_MAX_LENGTH} are allowed.")
    if any(character not in " \t" and (character.isspace() or not character.isprintable()) for character in expression):
        raise ConfigError(f"The cron expression {expression!r} contains a line break or a control character.")
    text = " ".join(expression.split()).upper()
    if text.startswith("@"):
        if text.lower() in NICKNAMES:
            text = NICKNAMES[text.lower()]
        elif text.startswith("@EVERY"):
            raise ConfigError(f"{expression!r} is an interval, not a cron expression.", remedy="Use kind: interval with every: 5m.")
        else:
            raise ConfigError(f"{expression!r} is not a cron nickname.", remedy=f"Use one of {', '.join(NICKNAMES)}.")
    fields = text.split(" ")
    if len(fields) != len(_RULES):
        count = "no fields" if not text else "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        seconds = " Fields for seconds or years are not supported." if len(fields) in (6, 7) else ""
        raise ConfigError(
            f"The cron expression {expression!r} has {count}; five are needed:"
            f" minute, hour, day of month, month, day of week.{seconds}",
            remedy="For example 0 6 * * 1-5: at 06:00 from Monday to Friday.",
        )
    return fields


def _parse_field(text: str, rule: _FieldRule) -> set[int]:
    values: set[int] = set()
    for item in text.split(","):
        values |= _parse_item(item, rule)
    return values


def _parse_item(item: str, rule: _FieldRule) -> set[int]:
    """The values of one item of a list: `*`, `5`, `1-5`, each with or without `/step`; `5/15` means 5 to the end in steps."""
    if not item:
        raise ConfigError(f"The {rule.title} field has an empty item.", remedy="Remove the extra comma.")
    span, slash, step_text = item.partition("/")
    step = 1
    if slash:
        step = _number(step_text, item, rule)
        if step == 0:
            raise ConfigError(f"The {rule.title} field has a step of 0 in {item!r}.", remedy="A step is 1 or more.")
    start_text, dash, end_text = span.partition("-")
    if span == "*":
        start, end = rule.low, rule.high
    elif dash:
        start, end = _value(start_text, item, rule), _value(end_text, item, rule)
        if end < start:
            raise ConfigError(
                f"The {rule.title} range {span!r} runs backwards.",
                remedy=f"Write it as two: {start_text}-{rule.high},{rule.low}-{end_text}.",
            )
    else:
        start = _value(span, item, rule)
        end = rule.high if slash else start
    return set(range(start, end + 1, step))


def _value(text: str, item: str, rule: _FieldRule) -> int:
    named = rule.names.get(text)
    value = _number(text, item, rule) if named is None else named
    if not rule.low <= value <= rule.high:
        raise ConfigError(f"{text} is out of range in the {rule.title} field.", remedy=f"Use {rule.allowed}.")
    return value


def _number(text: str, item: str, rule: _FieldRule) -> int:
    if not re.fullmatch(r"[0-9]{1,4}", text):
        raise ConfigError(
            f"The {rule.title} field cannot be {item!r}.", remedy=f"Use {rule.allowed}, *, a list, a range or a step."
        )
    return int(text)


def _spell_out(values: set[int], rule: _FieldRule) -> str:
    complete = len(values) == rule.high - rule.low + 1
    return "*" if complete else ",".join(str(value) for value in sorted(values))


def _parse_days(text: str) -> list[str]:
    """Spelled-out choices for the day of month. croniter's `31w` is the weekday nearest to the last day: the last weekday."""
    plain, choices = [], []
    for item in text.split(","):
        if item == "LW":
            choices.append("31w")
        elif item == "L":
            choices.append("l")
        else:
            plain.append(item)
    if plain:
        choices.append(_spell_out(_parse_field(",".join(plain), _DAY), _DAY))
    return ["*"] if "*" in choices else choices


def _parse_weekdays(text: str) -> list[str]:
    """Spelled-out choices for the day of week."""
    plain, choices = [], []
    for item in text.split(","):
        if last := _LAST_OF_WEEKDAY.fullmatch(item):
            choices.append(f"l{int(last[1]) % 7}")
        elif numbered := _NUMBERED_WEEKDAY.fullmatch(item):
            choices.append(f"{_value(numbered[1], item, _WEEKDAY) % 7}#{numbered[2]}")
        else:
            plain.append(item)
    if plain:
        weekdays = {value % 7 for value in _parse_field(",".join(plain), _WEEKDAY)}
        choices.append("*" if len(weekdays) == 7 else ",".join(str(value) for value in sorted(weekdays)))
    return ["*"] if "*" in choices else choices


@lru_cache(maxsize=4096)
def _prototype(text: str) -> croniter:
    return croniter(text, _REFERENCE, datetime, day_or=False, max_years_between_matches=_SEARCH_YEARS)


def _next_of(text: str, wall: datetime) -> datetime | None:
    stepper = copy.copy(_prototype(text))  # stepping changes a croniter, and threads share the cache
    try:
        found: datetime = stepper.get_next(datetime, start_time=wall)
    except (CroniterBadDateError, OverflowError, ValueError):  # no match, or past the year 9999
        return None
    return found
