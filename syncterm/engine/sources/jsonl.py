"""JSON Lines: one object a line.

The fast path hands blocks of whole lines to Arrow's JSON parser with the types given. Wherever that is not exact (nested values,
numbers with more digits than fit, values of another type, a bad line), the block is taken apart line by line in Python, in which
every number keeps its digits and every nested value its text; a line that is no object is one rejected record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from syncterm.engine.convert import convert, object_payload
from syncterm.engine.errors import SourceDataError
from syncterm.engine.model import RejectedRecord
from syncterm.engine.schema import Field, LogicalType, arrow_schema, arrow_type
from syncterm.engine.sources.base import SourceBatch
from syncterm.engine.sources.delimited import oversized_record
from syncterm.engine.sources.file_bytes import FileBytes, is_utf8
from syncterm.engine.sources.inference import TEXT, infer, infer_instants, merge

if TYPE_CHECKING:
    import pyarrow as pa

SAMPLE_BYTES = 1024 * 1024
_FAST = ("boolean", "int16", "int32", "int64", "float64", "text", "date", "timestamp", "timestamptz")
"""Types that Arrow reads from JSON exactly, or refuses; dates and instants by way of text."""
_PIECE = 200
"""Lines parsed between two looks at whether to stop: a few milliseconds."""
_SPACE = re.compile(r"[ \t\r\n]*")
_JSON = LogicalType("json")


class _LineError(ValueError):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder: Any = json.JSONDecoder(parse_constant=_refuse_constant, parse_int=str, parse_float=str)
_scan = _decoder.scan_once


def parse_line(line: bytes) -> dict[str, str]:
    """Name → the value's text as it stands in the line, for one line that is a JSON object.

    Raises:
        _LineError: with the code of the rejected record.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise _LineError("invalid_utf8", f"Byte {error.start + 1} of the line is not UTF-8 text.") from None
    members: dict[str, str] = {}
    skip = _SPACE.match
    try:
        at = skip(text).end()  # type: ignore[union-attr]
        if text[at] != "{":
            raise _LineError("not_an_object", "The line is not a JSON object.")
        at = skip(text, at + 1).end()  # type: ignore[union-attr]
        while text[at] != "}":
            if text[at] != '"':
                raise ValueError(f"a name was expected at character {at + 1}")
            name, at = scanstring(text, at + 1)
            at = skip(text, at).end()  # type: ignore[union-attr]
            if text[at] != ":":
                raise ValueError(f"a colon was expected at character {at + 1}")
            at = skip(text, at + 1).end()  # type: ignore[union-attr]
            _, end = _scan(text, at)
            if not name.isascii():
                name.encode()
            if name in members:
                raise _LineError("duplicate_key", f"The name {name!r} occurs twice: which value is meant is unknown.")
            members[name] = text[at:end]
            at = skip(text, end).end()  # type: ignore[union-attr]
            if text[at] == ",":
                at = skip(text, at + 1).end()  # type: ignore[union-attr]
                if text[at] == "}":
                    raise ValueError(f"a name was expected at character {at + 1}")
            elif text[at] != "}":
                raise ValueError(f"a comma was expected at character {at + 1}")
        if skip(text, at + 1).end() != len(text):  # type: ignore[union-attr]
            raise ValueError(f"more follows the object at character {at + 2}")
    except _LineError:
        raise
    except (IndexError, StopIteration):
        raise _LineError("truncated_record", "The line ends within its JSON object.") from None
    except UnicodeEncodeError:
        raise _LineError("invalid_utf8", "A name holds half of a surrogate pair.") from None
    except RecursionError:
        raise _LineError("parse_error", "The line is nested too deeply.") from None
    except json.JSONDecodeError as error:
        code = "truncated_record" if "Unterminated" in error.msg else "parse_error"
        raise _LineError(code, f"The line is not JSON: {error.msg} at character {error.pos + 1}.") from None
    except ValueError as error:
        raise _LineError("parse_error", f"The line is not JSON: {error}.") from None
    return members


def plain_text(token: str) -> str | None:
    """A JSON value's text outside JSON: a string without its quotes, NULL for null, all else as it stands."""
    if token == "null":  # noqa: S105
        return None
    return scanstring(token, 1)[0] if token[0] == '"' else token


@dataclass
class _Seen:
    """What the sample shows of one name."""

    numbers: list[str] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    booleans: bool = False
    nested: bool = False

    def type(self) -> LogicalType:
        import pyarrow as pa

        if self.nested:
            return _JSON
        found = []
        if self.numbers:
            found.append(infer(pa.array(self.numbers, pa.string())))
        if self.strings:
            found.append(infer_instants(pa.array(self.strings, pa.string())))
        if self.booleans:
            found.append(LogicalType("boolean"))
        logical = found[0] if found else TEXT
        for other in found[1:]:
            logical = merge(logical, other)
        return logical


def sample(file: FileBytes) -> tuple[dict[str, LogicalType], float]:
    """Name → type, in the order of appearance, of the file's beginning; and the average length of a line.

    Raises:
        SourceDataError: it holds a JSON array, or nothing that is JSON.
    """
    seen: dict[str, _Seen] = {}
    size = lines = good = 0
    fault: _LineError | None = None
    for block in file.blocks(mark=False):
        if not size and block.lstrip()[:1] == b"[":
            raise SourceDataError(
                f"{file.path} holds a JSON array, not one object a line.", remedy="Write one object a line (JSON Lines)."
            )
        cut = block[:SAMPLE_BYTES]
        if len(cut) < len(block):
            cut = block[: block.find(b"\n", SAMPLE_BYTES - 1) + 1] or block
        for line in cut.split(b"\n"):
            if not line.strip():
                continue
            lines += 1
            try:
                members = parse_line(line)
            except _LineError as error:
                fault = fault or error
                continue
            good += 1
            for name, token in members.items():
                _note(seen.setdefault(name, _Seen()), token)
        size += len(cut)
        break
    if fault is not None and not good:
        raise SourceDataError(f"{file.path} is not JSON Lines: {fault}", remedy="Choose the file's format in the settings.")
    return {name: what.type() for name, what in seen.items()}, size / lines if lines else 0.0


def _note(seen: _Seen, token: str) -> None:
    first = token[0]
    if first in "{[":
        seen.nested = True
    elif first == '"':
        seen.strings.append(scanstring(token, 1)[0].encode("utf-8", "replace").decode())
    elif first in "tf":
        seen.booleans = True
    elif first != "n":
        seen.numbers.append(token)


class JsonLinesReader:
    """Reads one file into records.

    Args:
        file: at its beginning.
        stream: name for rejected records.
        known: name → type of everything that the stream is known to have, read or not.
        where: what a rejected record's key begins with: the file's name among several, else empty.
    """

    def __init__(self, file: FileBytes, stream: str, known: Mapping[str, LogicalType], where: str = "") -> None:
        self._file = file
        self._stream = stream
        self._known = known
        self._where = where

    def read(self, fields: tuple[Field, ...], constants: Mapping[str, str]) -> Iterator[SourceBatch]:
        """The records.

        Args:
            fields: what the records must have; a name that a line does not have is NULL.
            constants: field name → the text that it has in every record.

        Raises:
            SynctermError: as `FileBytes`.
        """
        before = 0
        fast = all(field_.type.name in _FAST for field_ in fields if field_.name not in constants)
        for block in self._file.blocks(mark=False):
            oversized = self._oversized()
            number = self._file.first_line
            columns = self._parse_fast(block, fields, constants) if fast else None
            if columns is not None:
                batch = self._convert(columns, fields, number)
            else:
                batch = self._parse_lines(block, fields, constants, number)
            size, before = self._file.position - before, self._file.position
            yield SourceBatch(batch.records, (*oversized, *batch.rejected), bytes=size)
        if oversized := self._oversized():
            import pyarrow as pa

            yield SourceBatch(pa.RecordBatch.from_pylist([], schema=arrow_schema(fields)), oversized)

    def _oversized(self) -> tuple[RejectedRecord, ...]:
        lines, self._file.oversized[:] = tuple(self._file.oversized), []
        return tuple(oversized_record(line, self._stream, self._where) for line in lines)

    def _convert(self, columns: list[pa.Array], fields: tuple[Field, ...], first: int) -> SourceBatch:
        return convert(columns, fields, stream=self._stream, keys=lambda row: self._key(first + row))

    def _key(self, number: int) -> str:
        return f"{self._where} line {number}".lstrip()

    def _parse_fast(self, block: bytes, fields: tuple[Field, ...], constants: Mapping[str, str]) -> list[pa.Array] | None:
        """The columns as Arrow parses them; None where it cannot, or might not be exact.

        The block must begin with an object: Arrow crashes on a document that begins with null.
        """
        import pyarrow as pa
        import pyarrow.compute as pc
        from pyarrow import json as arrow_json

        if not block.startswith(b"{") or not is_utf8(block):
            return None
        lines = self._file.lines
        types = {name: _wire_type(logical) for name, logical in self._known.items() if logical.name in _FAST}
        types.update({field_.name: _wire_type(field_.type) for field_ in fields if field_.name not in constants})
        try:
            table = arrow_json.read_json(
                pa.BufferReader(block),
                read_options=arrow_json.ReadOptions(use_threads=False, block_size=len(block) + 1),
                parse_options=arrow_json.ParseOptions(
                    explicit_schema=pa.schema(types.items()), newlines_in_values=False, unexpected_field_behavior="ignore"
                ),
            )
        except pa.ArrowInvalid:
            return None
        if table.num_rows != lines or _has_empty_rows(table):
            return None
        columns = []
        for field_ in fields:
            if field_.name in constants:
                columns.append(pa.repeat(pa.scalar(constants[field_.name]), lines))
                continue
            column = table.column(field_.name).combine_chunks()
            if field_.type.name == "float64" and pc.all(pc.is_finite(column), min_count=0).as_py() is False:
                return None  # NaN and Infinity, which JSON does not have
            columns.append(column)
        return columns

    def _parse_lines(self, block: bytes, fields: tuple[Field, ...], constants: Mapping[str, str], first: int) -> SourceBatch:
        import pyarrow as pa

        values: list[list[str | None]] = [[] for _ in fields]
        numbers: list[int] = []
        faults: list[RejectedRecord] = []
        ends_with_line = block.endswith(b"\n")
        lines = block.split(b"\n")
        for index, line in enumerate(lines):
            if index % _PIECE == 0:
                self._file.poll()
            if not line.strip():
                continue
            try:
                row = _values(parse_line(line), fields, constants)
            except _LineError as error:
                last = index == len(lines) - 1 and not ends_with_line
                code = "truncated_record" if last and error.code == "parse_error" else error.code
                faults.append(self._fault(code, str(error), line, first + index))
                continue
            numbers.append(first + index)
            for column, value in zip(values, row, strict=True):
                column.append(value)
        columns = [
            pa.ExtensionArray.from_storage(pa.json_(), array) if field_.type.name == "json" else array
            for field_, array in zip(fields, (pa.array(column, pa.string()) for column in values), strict=True)
        ]
        batch = convert(columns, fields, stream=self._stream, keys=lambda row: self._key(numbers[row]))
        return SourceBatch(batch.records, (*batch.rejected, *faults))

    def _fault(self, code: str, message: str, line: bytes, number: int) -> RejectedRecord:
        return RejectedRecord(
            stream=self._stream,
            code=code,
            message=message,
            payload=object_payload({"line": line.decode("utf-8", "backslashreplace")}),
            key=self._key(number),
        )


def _has_empty_rows(table: pa.Table) -> bool:
    """Whether a row has no value at all: Arrow reads a line that holds only null so."""
    import pyarrow.compute as pc

    if any(column.null_count == 0 for column in table.columns):
        return False
    empty = None
    for column in table.columns:
        empty = column.is_null() if empty is None else pc.and_(empty, column.is_null())
    return empty is not None and pc.any(empty).as_py() is True


def _wire_type(logical: LogicalType) -> pa.DataType:
    return arrow_type(TEXT if logical.name in ("date", "timestamp", "timestamptz") else logical)


def _values(members: Mapping[str, str], fields: tuple[Field, ...], constants: Mapping[str, str]) -> list[str | None]:
    """The texts of one record. Raises: _LineError: where one has no form in UTF-8 (half of a surrogate pair)."""
    row: list[str | None] = []
    for field_ in fields:
        token = members.get(field_.name)
        if field_.name in constants:
            row.append(constants[field_.name])
            continue
        if token is None:
            row.append(None)
            continue
        value = plain_text(token)
        if value is not None and "\\u" in token:
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _LineError("invalid_utf8", f"{field_.name}: half of a surrogate pair is not text.") from None
        row.append(token if value is not None and field_.type == _JSON else value)
    return row
