"""What a cron expression means, in plain English: for the shapes that people write; None for others, never a guess.

It reads the spelled-out form that the engine fires by, so that the words cannot say anything else than what happens.
"""

from __future__ import annotations

from collections.abc import Sequence

from syncterm.engine.cron import parse_cron

MOST_TIMES = 6
"""Times, days or months named one by one; with more there are no words."""
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_ORDINALS = {1: "first", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def describe_cron(expression: str) -> str | None:
    """An expression in words: `At 06:00 from Monday to Friday`, `Every 15 minutes from 08:00 to 17:45 on Monday`.

    Raises:
        ConfigError: where it is no expression.
    """
    cron = parse_cron(expression)
    parts = [alternative.split() for alternative in cron.alternatives]
    minutes, hours, _, months, _ = parts[0]
    clock = _clock(_numbers(minutes, 0, 59), _numbers(hours, 0, 23))
    days = [_day(day, weekday) for _, _, day, _, weekday in parts]
    month = _month(months)
    if clock is None or month is None or None in days:
        return None
    daily = " every day" if clock.startswith("at ") and not any(days) and not month else ""
    when = " or ".join(day for day in days if day)
    if month and len([day for day in days if day]) > 1:
        when += ","
    text = " ".join(piece for piece in (clock + daily, when, month) if piece)
    return text[0].upper() + text[1:]


def _numbers(field: str, low: int, high: int) -> list[int]:
    return list(range(low, high + 1)) if field == "*" else [int(number) for number in field.split(",")]


def _clock(minutes: Sequence[int], hours: Sequence[int]) -> str | None:
    if len(minutes) * len(hours) <= MOST_TIMES:
        return f"at {_listed([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    all_hours = len(hours) == 24
    if len(minutes) == 1:
        return _hourly(minutes[0], hours)
    step = _step(minutes, 60)
    if step is not None:
        pace = "every minute" if step == 1 else f"every {step} minutes"
        pace += f", from minute {minutes[0]}" if minutes[0] else ""
        if all_hours:
            return pace
        if _contiguous(hours) and not minutes[0]:
            return f"{pace} from {hours[0]:02}:00 to {hours[-1]:02}:{minutes[-1]:02}"
        return None
    if all_hours and len(minutes) <= MOST_TIMES:
        return f"{_listed([str(minute) for minute in minutes])} minutes past every hour"
    return None


def _hourly(minute: int, hours: Sequence[int]) -> str | None:
    if len(hours) == 24:
        return f"every hour, {minute} minute{'s' if minute != 1 else ''} past" if minute else "every hour, on the hour"
    step = _step(hours, 24)
    if step is not None:
        return f"every {step} hours from {hours[0]:02}:{minute:02}"
    if _contiguous(hours):
        return f"every hour from {hours[0]:02}:{minute:02} to {hours[-1]:02}:{minute:02}"
    return None


def _step(numbers: Sequence[int], around: int) -> int | None:
    """The distance of numbers that lie evenly round the clock, also over its end."""
    if len(numbers) < 2 or around % len(numbers):
        return None
    step = around // len(numbers)
    return step if all(number == numbers[0] + step * index for index, number in enumerate(numbers)) else None


def _contiguous(numbers: Sequence[int]) -> bool:
    return numbers[-1] - numbers[0] == len(numbers) - 1


def _day(day: str, weekday: str) -> str | None:
    """The days of one alternative; empty for every day."""
    by_month, by_week = _day_of_month(day), _day_of_week(weekday)
    if by_month is None or by_week is None:
        return None
    if by_month and by_week:
        return f"{by_month} where that is {by_week.removeprefix('on ').removeprefix('from ')}"
    return by_month or by_week


def _day_of_month(field: str) -> str | None:
    if field == "*":
        return ""
    if field == "l":
        return "on the last day of the month"
    if field == "31w":
        return "on the last weekday of the month"
    days = _numbers(field, 1, 31)
    if len(days) > 2 and _contiguous(days):
        return f"from the {_ordinal(days[0])} to the {_ordinal(days[-1])} of the month"
    return f"on the {_listed([_ordinal(day) for day in days])} of the month" if len(days) <= MOST_TIMES else None


def _day_of_week(field: str) -> str | None:
    if field == "*":
        return ""
    if field.startswith("l"):
        return f"on the last {_DAYS[int(field[1:])]} of the month"
    if "#" in field:
        day, _, number = field.partition("#")
        return f"on the {_ORDINALS[int(number)]} {_DAYS[int(day)]} of the month"
    days = _numbers(field, 0, 6)
    if days[0] == 0 and len(days) < 7:  # Sunday ends the week
        days = [*days[1:], 7]
    if len(days) > 2 and _contiguous(days):
        return f"from {_DAYS[days[0] % 7]} to {_DAYS[days[-1] % 7]}"
    return f"on {_listed([_DAYS[day % 7] for day in days])}"


def _month(field: str) -> str | None:
    if field == "*":
        return ""
    months = _numbers(field, 1, 12)
    if len(months) > 2 and _contiguous(months):
        return f"from {_MONTHS[months[0] - 1]} to {_MONTHS[months[-1] - 1]}"
    return f"in {_listed([_MONTHS[month - 1] for month in months])}" if len(months) <= MOST_TIMES else None


def _ordinal(number: int) -> str:
    ending = "th" if number in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
