"""What the casts share: the error, plain forms of encoded columns, questions to and rewrites of whole columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

INVALID_UTF8 = "invalid_utf8"
OUT_OF_RANGE = "out_of_range"
CAST_FAILED = "cast_failed"

_SPACE = " \t\r\n\v\f"


class MisfitError(ValueError):
    """A value that does not fit its type.

    Args:
        code: `cast_failed`, `out_of_range` or `invalid_utf8`.
        reason: why, as the end of a sentence; empty where the code says it all.
    """

    def __init__(self, code: str, reason: str = "") -> None:
        super().__init__(reason or code)
        self.code = code
        self.reason = reason


def plain(array: pa.Array) -> pa.Array:
    """The array without encodings: dictionaries, runs, views and large offsets undone."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    kind = array.type
    if pa.types.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pc.cast(array, pa.string())
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return pc.cast(array, pa.binary())
    return array


def is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_binary(kind))


def no_rule(array: pa.Array) -> MisfitError:
    return MisfitError(CAST_FAILED, f"a value of type {array.type} has no exact form in this type")


def utf8(array: pa.Array) -> pa.Array:
    """Text, checked to be UTF-8. Raises: MisfitError."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        if pa.types.is_string(array.type):
            array.validate(full=True)
            return array
        return pc.cast(array, pa.string())
    except pa.ArrowInvalid:
        raise MisfitError(INVALID_UTF8, "its bytes are not UTF-8") from None


def attempts(text: pa.Array, parse: Callable[[pa.Array], pa.Array], *spellings: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The first of parse(text), parse(spelling(text)), … that works; the last failure otherwise."""
    import pyarrow as pa

    for spelling in spellings:
        try:
            return parse(text)
        except (MisfitError, pa.ArrowInvalid):
            text = spelling(text)
    return parse(text)


def trim(text: pa.Array) -> pa.Array:
    import pyarrow.compute as pc

    return pc.utf8_trim(text, characters=_SPACE)


def replace(text: pa.Array, *pairs: tuple[str, str]) -> pa.Array:
    import pyarrow.compute as pc

    for pattern, replacement in pairs:
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=replacement)
    return text


def matches(text: pa.Array, pattern: str) -> pa.Array:
    import pyarrow.compute as pc

    return pc.match_substring_regex(text, pattern=pattern)


def every(mask: pa.Array) -> bool:
    """Whether the mask holds wherever it is not NULL."""
    import pyarrow.compute as pc

    return pc.all(mask, min_count=0).as_py() is not False


def some(mask: pa.Array) -> bool:
    import pyarrow.compute as pc

    return pc.any(mask, min_count=0).as_py() is True


def data_of(text: pa.Array) -> bytes:
    """The bytes of all the values, one after another."""
    import pyarrow as pa

    _, offsets, data = text.buffers()
    if data is None:
        return b""
    ends = pa.Array.from_buffers(pa.int32(), len(text) + 1, [None, offsets], offset=text.offset)
    return bytes(memoryview(data)[ends[0].as_py() : ends[-1].as_py()])
