"""Types of text columns, guessed from a sample: conservatively, so that nothing that looks like text becomes a number.

`00123`, `+1`, `1e3x`, `1,5` and mixtures stay text. A value beyond the sample that does not fit is a rejected record, and a person
can cast any column.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from syncterm.engine.casting import MisfitError, cast
from syncterm.engine.schema import MAX_DECIMAL_PRECISION, LogicalType, parse_type

if TYPE_CHECKING:
    import pyarrow as pa

TEXT = LogicalType("text")
_INTEGER = r"^(0|-?[1-9][0-9]*)$"
_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
_LONG_NUMBER = r"^-?[0.]*([0-9]\.?){16,}"
"""More significant digits than a float64 keeps."""
_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$"
_INSTANT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
_SHAPES: tuple[tuple[str, str], ...] = (
    ("boolean", "^(true|false|True|False|TRUE|FALSE)$"),
    ("int64", _INTEGER),
    (f"decimal({MAX_DECIMAL_PRECISION},0)", _INTEGER),
    ("float64", _NUMBER),
    ("date", _DATE),
    ("timestamp", _TIMESTAMP),
    ("timestamptz", _INSTANT),
)
_OF_TEXT = ("date", "timestamp", "timestamptz")


def infer(text: pa.Array, *, only: Iterable[str] | None = None) -> LogicalType:
    """The narrowest type that all values of the sample have; text where there is none, or no value at all.

    Args:
        text: strings, or bytes that should be text.
        only: the types to consider; all where None.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    text = text.drop_null()
    if not len(text):
        return TEXT
    try:
        text = pc.cast(text, pa.string())
    except pa.ArrowInvalid:
        return TEXT
    for name, shape in _SHAPES:
        if only is not None and name not in only:
            continue
        if not _all(pc.match_substring_regex(text, pattern=shape)):
            continue
        if name == "float64" and pc.any(pc.match_substring_regex(text, pattern=_LONG_NUMBER)).as_py():
            continue
        logical = parse_type(name)
        try:
            cast(text, logical)
        except (MisfitError, pa.ArrowInvalid):
            continue
        return logical
    return TEXT


def infer_instants(text: pa.Array) -> LogicalType:
    """As `infer`, for values that the source has as text: dates and instants, or text; never numbers."""
    return infer(text, only=_OF_TEXT)


def _all(mask: pa.Array) -> bool:
    import pyarrow.compute as pc

    return bool(pc.all(mask, min_count=0).as_py())


def merge(first: LogicalType, second: LogicalType) -> LogicalType:
    """The type for a column that is of one type here and of another there: a wider number, or text."""
    if first == second:
        return first
    if {first.name, second.name} == {"int64", "float64"}:
        return LogicalType("float64")
    return TEXT


def unique_names(names: Iterable[str], fold: Callable[[str], str] = str) -> list[str]:
    """The names, none empty and none twice: `column_3` where the third is empty, `name_2` where `name` was there before."""
    result: list[str] = []
    taken: set[str] = set()
    for position, name in enumerate(names, start=1):
        base = name or f"column_{position}"
        candidate, number = base, 1
        while fold(candidate) in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(fold(candidate))
        result.append(candidate)
    return result
