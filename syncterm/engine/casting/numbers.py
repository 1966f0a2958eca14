"""Casts to booleans and numbers."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING

from syncterm.engine.casting.columns import (
    CAST_FAILED,
    OUT_OF_RANGE,
    MisfitError,
    attempts,
    data_of,
    every,
    matches,
    no_rule,
    replace,
    some,
    trim,
)
from syncterm.engine.schema import MAX_DECIMAL_PRECISION

if TYPE_CHECKING:
    import pyarrow as pa

_TRUE = ("true", "t", "1", "yes", "y", "on")
_WIDE_PRECISION = 76
"""Digits of Arrow's decimal256."""
_FALSE = ("false", "f", "0", "no", "n", "off")


def to_boolean(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_boolean(array.type):
        return array
    if pa.types.is_integer(array.type):
        if not every(pc.or_(pc.equal(array, 0), pc.equal(array, 1))):
            raise MisfitError(CAST_FAILED, "only 0 and 1 are booleans")
        return pc.cast(array, target)
    if not pa.types.is_string(array.type):
        raise no_rule(array)

    def from_words(text: pa.Array) -> pa.Array:
        found = pc.index_in(pc.utf8_lower(trim(text)), value_set=pa.array([*_TRUE, *_FALSE]), skip_nulls=True)
        if found.null_count != text.null_count:
            raise MisfitError(CAST_FAILED)
        return pc.less(found, len(_TRUE))

    try:
        return pc.cast(array, target)
    except pa.ArrowInvalid:
        return from_words(array)


def to_integer(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_string(kind):

        def parse(text: pa.Array) -> pa.Array:
            result = pc.cast(text, target)
            data = data_of(text)
            if (b"x" in data or b"X" in data) and some(matches(text, "[xX]")):
                raise MisfitError(CAST_FAILED, "hexadecimal notation is not read as a number")
            return result

        def plainer(text: pa.Array) -> pa.Array:
            return replace(trim(text), (r"^\+([0-9])", r"\1"), (r"^(-?[0-9]+)\.0*$", r"\1"))

        return attempts(array, parse, plainer)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pc.cast(array, target)
    raise no_rule(array)


def to_float(array: pa.Array, target: pa.DataType) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = array.type
    if pa.types.is_string(kind):

        def parse(text: pa.Array) -> pa.Array:
            result = pc.cast(text, target)
            if not every(pc.is_finite(result)):
                named = text.filter(pc.invert(pc.is_finite(result)))
                if not every(matches(named, r"(?i)^[+-]?(nan|inf|infinity)$")):
                    raise MisfitError(OUT_OF_RANGE)
            return result

        return attempts(array, parse, trim)
    if pa.types.is_integer(kind):
        return pc.cast(array, target)
    if pa.types.is_floating(kind):
        result = pc.cast(array, target)
        same = pc.or_(pc.equal(pc.cast(result, pa.float64()), pc.cast(array, pa.float64())), pc.is_nan(array))
    elif pa.types.is_decimal(kind):
        result = pc.cast(array, target)
        same = pc.equal(pc.cast(result, kind), array)
    else:
        raise no_rule(array)
    if not every(same):
        raise MisfitError(OUT_OF_RANGE, "it has more digits than this type keeps")
    return result


def to_decimal(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Arrow's rescaling wraps around silently beyond 38 digits (76 in decimal256): nothing larger is ever handed to it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wide = pa.decimal256(_WIDE_PRECISION, target.scale)
    kind = array.type
    if pa.types.is_integer(kind):
        return pc.cast(pc.cast(pc.cast(array, pa.decimal128(20, 0)), wide), target)
    if pa.types.is_decimal(kind) and kind.precision <= MAX_DECIMAL_PRECISION:
        return pc.cast(pc.cast(array, wide), target)
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        array = pc.cast(array, pa.string())
    elif not pa.types.is_string(kind):
        raise no_rule(array)

    def parse(text: pa.Array) -> pa.Array:
        data = data_of(text)
        if b"e" in data or b"E" in data:
            raise pa.ArrowInvalid("an exponent")
        longest = pc.max(pc.binary_length(text)).as_py()
        if longest + target.scale <= MAX_DECIMAL_PRECISION:
            return pc.cast(text, target)
        whole = pc.max(pc.binary_length(replace(text, (r"\..*$", "")))).as_py()
        if longest > _WIDE_PRECISION or whole + target.scale > _WIDE_PRECISION:
            raise pa.ArrowInvalid("too many digits")
        return pc.cast(pc.cast(text, wide), target)

    def fixed(text: pa.Array) -> pa.Array:
        return pa.array([_fixed_point(value) for value in text.to_pylist()], pa.string())

    return attempts(array, parse, trim, fixed)


def _fixed_point(text: str | None) -> str | None:
    """A number in fixed-point notation without superfluous zeros; as it is where it is none, or too large to be worth it."""
    if text is None:
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or "_" in text or not text.isascii():
        return text
    if number.is_zero():
        return "0"
    if abs(number.adjusted()) > 2 * MAX_DECIMAL_PRECISION or len(text) > 1000:
        return text
    with localcontext() as context:
        context.prec = 1000
        return f"{number.normalize():f}"
