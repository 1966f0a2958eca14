"""What is wrong with a field, in a person's words instead of pydantic's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from syncterm.editing.setup_form.description import FormField

MOST_CHOICES = 12
"""Choices that a message lists."""

Words = Callable[[Mapping[str, Any]], str]

_WORDS: Mapping[str, Words] = {
    "missing": lambda _: "This is needed.",
    "none_required": lambda _: "This must be empty.",
    "string_type": lambda _: "This must be text.",
    "string_too_short": lambda c: "This is needed." if c["min_length"] == 1 else f"At least {c['min_length']} characters.",
    "string_too_long": lambda c: "One character at most." if c["max_length"] == 1 else f"At most {c['max_length']:,} characters.",
    "string_pattern_mismatch": lambda c: f"This does not have the expected form: {c['pattern']}",
    "int_type": lambda _: "This must be a whole number.",
    "int_parsing": lambda _: "This must be a whole number.",
    "int_from_float": lambda _: "This must be a whole number.",
    "int_parsing_size": lambda _: "This number is too large.",
    "float_type": lambda _: "This must be a number.",
    "float_parsing": lambda _: "This must be a number.",
    "finite_number": lambda _: "This must be a finite number.",
    "decimal_type": lambda _: "This must be a number.",
    "decimal_parsing": lambda _: "This must be a number.",
    "greater_than": lambda c: f"This must be more than {_number(c['gt'])}.",
    "greater_than_equal": lambda c: f"This must be at least {_number(c['ge'])}.",
    "less_than": lambda c: f"This must be less than {_number(c['lt'])}.",
    "less_than_equal": lambda c: f"This must be at most {_number(c['le'])}.",
    "multiple_of": lambda c: f"This must be a multiple of {c['multiple_of']}.",
    "bool_type": lambda _: "This must be yes or no.",
    "bool_parsing": lambda _: "This must be yes or no.",
    "too_short": lambda c: f"At least {c['min_length']} {'item' if c['min_length'] == 1 else 'items'}.",
    "too_long": lambda c: f"At most {c['max_length']} {'item' if c['max_length'] == 1 else 'items'}.",
    "date_parsing": lambda _: "This must be a date, such as 2025-01-31.",
    "date_from_datetime_parsing": lambda _: "This must be a date, such as 2025-01-31.",
    "datetime_parsing": lambda _: "This must be a date and time, such as 2025-01-31T08:30:00Z.",
    "datetime_from_date_parsing": lambda _: "This must be a date and time, such as 2025-01-31T08:30:00Z.",
    "time_parsing": lambda _: "This must be a time of day, such as 08:30.",
    "time_delta_parsing": lambda _: "This must be a length of time, such as 00:05:00 or PT5M.",
    "uuid_parsing": lambda _: "This must be a UUID.",
    "url_parsing": lambda _: "This must be a URL, such as https://host/path.",
    "url_scheme": lambda c: f"The URL must begin with {c['expected_schemes']}.",
    "extra_forbidden": lambda _: "There is no such setting any more; it is left out when you save.",
    "recursion_loop": lambda _: "This refers to itself.",
}


def words(fault: Mapping[str, Any], field: FormField | None) -> str:
    """What one of pydantic's faults means, as a sentence; repeats no value, it may be a secret.

    Args:
        fault: of `ValidationError.errors(include_input=False)`.
        field: the one it is about; None for the whole.
    """
    kind = str(fault["type"])
    context: Mapping[str, Any] = fault.get("ctx") or {}
    place = _within(fault, field) if field is not None else ""
    if kind in ("literal_error", "enum"):
        choices = [str(option.value) for option in field.options] if field is not None else []
        listed = ", ".join(choices[:MOST_CHOICES]) + (", …" if len(choices) > MOST_CHOICES else "")
        text = f"Choose one of {listed or context.get('expected', 'the values that it knows')}."
    else:
        try:
            text = _WORDS[kind](context) if kind in _WORDS else sentence(str(fault["msg"]))
        except (KeyError, TypeError, ValueError):  # a context that is not what pydantic documents
            text = sentence(str(fault["msg"]))
    return f"{place[0].upper()}{place[1:]}: {text}" if place else text


def sentence(text: str) -> str:
    """A message of a validator as a sentence of its own."""
    for prefix in ("Value error, ", "Assertion failed, "):
        text = text.removeprefix(prefix)
    text = text.strip() or "This is not valid."
    if text.startswith(("must ", "is ", "can ", "should ", "has ", "needs ")):
        text = f"This {text}"
    return (text[0].upper() + text[1:]).rstrip(".") + "."


def _within(fault: Mapping[str, Any], field: FormField) -> str:
    """Which part of a list, mapping or record a fault is about: `2nd item, kind`."""
    where = tuple(fault["loc"])
    rest = next((where[len(place) :] for place in field.locations if where[: len(place)] == place), ())
    parts = [f"item {part + 1}" if isinstance(part, int) else str(part) for part in rest if part != "[key]"]
    return ", ".join(parts)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
