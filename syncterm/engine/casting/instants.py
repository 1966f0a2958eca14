"""Casts to dates, times of day and instants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from syncterm.engine.casting.columns import CAST_FAILED, OUT_OF_RANGE, MisfitError, attempts, every, matches, no_rule, replace, trim

if TYPE_CHECKING:
    import pyarrow as pa

_FIRST_DAY = -719_162
"""0001-01-01 in days since 1970: the first day that Python, PostgreSQL and DuckDB all know."""
_LAST_DAY = 2_932_896
"""9999-12-31 in days since 1970."""
_MICROSECONDS_A_DAY = 86_400_000_000


def to_date(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_string(kind):

        def parse(text: pa.Array) -> pa.Array:
            return _in_years(pc.cast(text, target))

        def at_midnight(text: pa.Array) -> pa.Array:
            return replace(trim(text), (r"[ Tt]00:00(:00(\.0+)?)?$", ""))

        return attempts(array, parse, at_midnight)
    if pa.types.is_timestamp(kind):
        result = pc.cast(array, target)
        naive = pc.cast(array, pa.timestamp(kind.unit))
        if not every(pc.equal(pc.cast(result, pa.timestamp("s")), naive)):
            raise MisfitError(CAST_FAILED, "it has a time of day")
        return _in_years(result)
    if pa.types.is_date(kind):
        return _in_years(pc.cast(array, target))
    raise no_rule(array)


def to_time(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_time(array.type):
        return pc.cast(array, target)
    if not pa.types.is_string(array.type):
        raise no_rule(array)

    def parse(text: pa.Array) -> pa.Array:
        if not every(matches(text, r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$")):
            raise MisfitError(CAST_FAILED)
        on_first_day = pc.binary_join_element_wise("1970-01-01T", text, "")
        return pc.cast(pc.cast(on_first_day, pa.timestamp("us")), target)

    return attempts(array, parse, lambda text: replace(trim(text), (r"(\.[0-9]{6})0+$", r"\1")))


def to_timestamp(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Instants without and with a zone; `target` says which."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _in_years(pc.cast(array, target))
    if not pa.types.is_string(kind):
        raise no_rule(array)

    def parse(text: pa.Array) -> pa.Array:
        return _in_years(pc.cast(text, target))

    def plainer(text: pa.Array) -> pa.Array:
        return replace(trim(text), (r"^([0-9]{4}-[0-9]{2}-[0-9]{2})t", r"\1T"), (r"(\.[0-9]{6})0+($|[^0-9])", r"\1\2"))

    if target.tz is None:
        return attempts(array, parse, plainer)

    def as_utc(text: pa.Array) -> pa.Array:
        return pc.binary_join_element_wise(text, "Z", "")

    def zoned(text: pa.Array) -> pa.Array:
        return replace(
            plainer(text),
            (r"([0-9]) ?(z|UTC|GMT)$", r"\1Z"),
            (r"([0-9]) ([+-][0-9:]+)$", r"\1\2"),
            (r"^([0-9]{4}-[0-9]{2}-[0-9]{2})$", r"\1T00:00:00"),
            (r"^([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]+)$", r"\1Z"),
        )

    try:
        return parse(array)
    except (MisfitError, pa.ArrowInvalid):
        pass  # not every value has an offset: none may have one, or each needs a look
    try:
        return parse(as_utc(array))
    except (MisfitError, pa.ArrowInvalid):
        return parse(zoned(array))


def _in_years(array: pa.Array) -> pa.Array:
    """The dates or instants, known to lie in the years 1 to 9999. Raises: MisfitError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_date(array.type):
        extremes, first, after = pc.min_max(array.view(pa.int32())), _FIRST_DAY, _LAST_DAY + 1
    else:
        extremes, first = pc.min_max(array.view(pa.int64())), _FIRST_DAY * _MICROSECONDS_A_DAY
        after = (_LAST_DAY + 1) * _MICROSECONDS_A_DAY
    least, greatest = extremes["min"].as_py(), extremes["max"].as_py()
    if least is not None and not (first <= least and greatest < after):
        raise MisfitError(OUT_OF_RANGE, "only the years 1 to 9999 are carried")
    return array
