"""Which casts there are: what a person may choose for a column of a discovered type."""

from __future__ import annotations

from collections.abc import Mapping

from syncterm.engine.schema import MAX_DECIMAL_PRECISION, SIMPLE_TYPES, LogicalType

_INTEGERS = ("int16", "int32", "int64", "uint64")
_FLOATS = ("float32", "float64")
_WRITTEN = ("text", "json")
"""Every value can be written as these."""
_ALL = (*SIMPLE_TYPES, "decimal")

_OFFERED: Mapping[str, tuple[str, ...]] = {
    "boolean": (*_INTEGERS, *_WRITTEN),
    **dict.fromkeys(_INTEGERS, ("boolean", *_INTEGERS, *_FLOATS, "decimal", *_WRITTEN)),
    **dict.fromkeys((*_FLOATS, "decimal"), (*_INTEGERS, *_FLOATS, "decimal", *_WRITTEN)),
    **dict.fromkeys(("text", "binary"), _ALL),  # bytes are read as UTF-8
    "date": ("timestamp", "timestamptz", *_WRITTEN),
    "time": _WRITTEN,
    **dict.fromkeys(("timestamp", "timestamptz"), ("date", "timestamp", "timestamptz", *_WRITTEN)),
    "json": ("boolean", *_INTEGERS, *_FLOATS, "decimal", "text"),
    "uuid": ("text",),
}
"""Discovered type → types for which `cast` has a rule that at least some of its values pass. A test holds it against `cast`."""

_FRACTION_DIGITS = 9
_UINT64_DIGITS = 20


def can_cast(from_: LogicalType, to: LogicalType) -> bool:
    """Whether a column of one type can be read as another, all or some of its values; the type itself always can.

    Which precision and scale a decimal has makes no difference: values that do not fit are failed records.
    """
    return to == from_ or (to.name in _OFFERED[from_.name] and (to.name != from_.name or to.name == "decimal"))


def castable(from_: LogicalType) -> tuple[LogicalType, ...]:
    """The other types that a column of this type can be cast to, in the order of `SIMPLE_TYPES`.

    Decimal comes last, with a precision and a scale that fit; any other may be chosen.
    """
    simple = [LogicalType(name) for name in SIMPLE_TYPES if name in _OFFERED[from_.name] and name != from_.name]
    return (*simple, suggested_decimal(from_)) if "decimal" in _OFFERED[from_.name] else tuple(simple)


def suggested_decimal(from_: LogicalType) -> LogicalType:
    """A decimal for values of this type: integers without a fraction, others with all the digits there can be."""
    if from_.name in _INTEGERS:
        return LogicalType("decimal", _UINT64_DIGITS, 0)
    scale = from_.scale if from_.scale is not None else _FRACTION_DIGITS
    return LogicalType("decimal", MAX_DECIMAL_PRECISION, scale)
