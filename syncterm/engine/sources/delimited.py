"""Delimited text (CSV, TSV): Arrow's streaming parser with every column as bytes, then `convert`.

How the file is read:
    an unquoted empty value is NULL, a quoted one the empty text; `null_values` adds spellings of NULL, which count unquoted only
    lines end with LF, CRLF or CR, also mixed; quoted values may hold line ends; blank lines are no rows
    a row with too few or too many values, or with bytes that are not text, is one rejected record
    the first row names the columns (unless there is no header): empty names become `column_3`, repeated ones `name_2`
    a quote that is never closed is an error, since it is unknown what it has swallowed
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from syncterm.engine.convert import clip, convert, object_payload
from syncterm.engine.errors import SourceDataError
from syncterm.engine.model import RejectedRecord
from syncterm.engine.schema import Field
from syncterm.engine.sources.base import SourceBatch
from syncterm.engine.sources.file_bytes import BLOCK_BYTES, MARK_BYTES, MAX_LINE_BYTES, FileBytes, OversizedLine, unmark
from syncterm.engine.sources.inference import unique_names

if TYPE_CHECKING:
    import pyarrow as pa

DELIMITERS = (",", ";", "\t", "|")
"""What `auto` chooses from."""
SAMPLE_BYTES = 1024 * 1024
_END = "\ufdd1end\ufdd1"
"""Value of a row that is added after the last one: where it does not come back as a row, a quote was never closed."""
_CONTROL = frozenset(range(32)) - frozenset(b"\t\n\r\x0b\x0c\x1b")
_MAX_PAYLOAD_CHARACTERS = 16_000


@dataclass(frozen=True, slots=True)
class DelimitedFormat:
    """How the text is cut into values."""

    delimiter: str | None = None
    """None: found out from the first rows."""
    quote: str | None = '"'
    header: bool = True
    null_values: tuple[str, ...] = ("",)


@dataclass(frozen=True, slots=True)
class DelimitedLayout:
    """What the beginning of a file tells."""

    delimiter: str
    names: tuple[str, ...]
    """Of the columns, none empty, none twice; empty where there is no row at all."""
    sample: tuple[pa.Array, ...] = field(repr=False)
    """The first rows' values, as bytes, one array a column."""
    row_bytes: float
    """Average length of a row of the sample; 0 where there is none."""


def layout(file: FileBytes, format_: DelimitedFormat) -> DelimitedLayout:
    """Delimiter, names and a sample.

    Raises:
        SourceDataError: the file is not delimited text.
    """
    sample, complete = _beginning(file, format_)
    _refuse_binary(file, sample)
    delimiter = format_.delimiter or _sniff(sample, format_)
    columns = _parse_sample(sample, delimiter, format_)
    if not columns or not len(columns[0]):
        return DelimitedLayout(delimiter, (), (), 0.0)
    count = len(columns[0])
    if not complete and count > 1 + format_.header:
        columns = [column.slice(0, count - 1) for column in columns]  # the last row may be cut
    names = [f"column_{position}" for position in range(1, len(columns) + 1)]
    if format_.header:
        names = [_name(file, column[0].as_py()) for column in columns]
        columns = [column.slice(1) for column in columns]
    return DelimitedLayout(delimiter, tuple(unique_names(names)), tuple(columns), len(sample) / count)


def _beginning(file: FileBytes, format_: DelimitedFormat) -> tuple[bytes, bool]:
    """The first megabyte, or more where a row is longer; and whether that is everything."""
    sample = b""
    for block in file.blocks(mark=True, line_ends=b"\n\r", quote=(format_.quote or "").encode()):
        sample += block
        if len(sample) >= SAMPLE_BYTES:
            break
    if len(sample) <= SAMPLE_BYTES:
        return sample, True
    end = max(sample.rfind(b"\n", 0, SAMPLE_BYTES), sample.rfind(b"\r", 0, SAMPLE_BYTES)) + 1
    has_rows = sample.count(b"\n", 0, end) + sample.count(b"\r", 0, end) > 2
    return (sample[:end] if has_rows else sample), False


def _refuse_binary(file: FileBytes, sample: bytes) -> None:
    beginning = sample[:8192]
    control = sum(beginning.count(byte) for byte in _CONTROL)
    first_line = beginning.split(b"\n", 1)[0]
    if b"\x00" in first_line or (len(beginning) >= 512 and control * 50 > len(beginning)):
        raise SourceDataError(f"{file.path} is not text.", remedy="Choose its format or its encoding in the source's settings.")


def _name(file: FileBytes, value: bytes | None) -> str:
    if value is not None and MARK_BYTES in value:
        raise SourceDataError(
            f"{file.path}: the column name {unmark(value)!r} is not {file.encoding} text.",
            remedy="Choose the file's encoding in the source's settings.",
        )
    return (value or b"").decode()


def _sniff(sample: bytes, format_: DelimitedFormat) -> str:
    """The delimiter with which most of the first rows have as many values as the first, and more than one."""

    def score(delimiter: str) -> tuple[float, int]:
        columns = _parse_sample(sample[: 64 * 1024], delimiter, format_)
        rows = len(columns[0]) if columns else 0
        return (rows * len(columns) if len(columns) > 1 else 0, -DELIMITERS.index(delimiter))

    return max(DELIMITERS, key=score)


def _parse_sample(sample: bytes, delimiter: str, format_: DelimitedFormat) -> list[pa.Array]:
    import pyarrow as pa
    from pyarrow import csv

    if not sample.strip(b"\r\n"):
        return []
    read = csv.ReadOptions(autogenerate_column_names=True, use_threads=False, block_size=len(sample) + 1)
    parse = _parse_options(delimiter, format_, lambda row: "skip")
    try:
        names = csv.open_csv(pa.BufferReader(sample), read_options=read, parse_options=parse).schema.names
        table = csv.read_csv(
            pa.BufferReader(sample), read_options=read, parse_options=parse, convert_options=_convert_options(names, names, format_)
        )
    except pa.ArrowInvalid:
        return []
    return [column.combine_chunks() for column in table.columns]


def _parse_options(delimiter: str, format_: DelimitedFormat, on_invalid: Callable[[Any], str]) -> Any:
    from pyarrow import csv

    return csv.ParseOptions(
        delimiter=delimiter, quote_char=format_.quote or False, newlines_in_values=True, invalid_row_handler=on_invalid
    )


def _convert_options(names: list[str], wanted: list[str], format_: DelimitedFormat) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    return csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.binary()),
        include_columns=wanted,
        null_values=list(format_.null_values),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        check_utf8=False,
    )


class _Rows:
    """A file for Arrow's parser: whole blocks of text, then the end row.

    Arrow reads ahead in a thread of its own, also after its reader has failed or was left: from `abandon` on, nothing is read any
    more, so that the file can be closed, or read again from the beginning.
    """

    def __init__(self, file: FileBytes, delimiter: str, columns: int, quote: str | None) -> None:
        self._blocks = file.blocks(mark=True, line_ends=b"\n\r", quote=(quote or "").encode())
        self._end = delimiter.join([_END] * columns).encode() + b"\n"
        self._data = memoryview(b"")
        self._ended = self._line_open = False
        self._turn = threading.Lock()
        self.closed = False

    def abandon(self) -> None:
        """End here; returns when no read is going on."""
        with self._turn:
            self._ended = True
            self._data = memoryview(b"")
            self._blocks.close()

    def read(self, size: int = -1) -> bytes:
        with self._turn:
            return self._read(size)

    def _read(self, size: int) -> bytes:
        while not self._data and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
                block = b"\n" + self._end if self._line_open else self._end
            else:
                self._line_open = block[-1:] not in (b"\n", b"\r")
            self._data = memoryview(block)
        piece = self._data if size < 0 else self._data[:size]
        self._data = self._data[len(piece) :]
        return bytes(piece)

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
        self.abandon()


class DelimitedReader:
    """Reads one file into records.

    Args:
        file: at any position; read from its beginning, twice where a row turns out longer than a block.
        format_: how it is cut.
        stream: name for rejected records.
        where: what a rejected record's key begins with: the file's name among several, else empty.
    """

    def __init__(self, file: FileBytes, format_: DelimitedFormat, stream: str, where: str = "") -> None:
        self._file = file
        self._format = format_
        self._stream = stream
        self._where = where
        self._done = 0
        """Rows handed over."""
        self._invalid: list[int] = []
        """Numbers of the rows with too few or too many values."""
        self._faults: list[RejectedRecord] = []
        """Their records, not handed over yet."""
        self._oversized = 0
        """Number of the last line that was reported as too long."""

    def read(self, fields: tuple[Field, ...], constants: Mapping[str, str]) -> Generator[SourceBatch, None, None]:
        """The records.

        Args:
            fields: what the records must have; a name that the file does not have is NULL.
            constants: field name → the text that it has in every record.

        Raises:
            SynctermError: as `FileBytes`; SourceDataError: a quote that is never closed, a row beyond all bounds.
        """
        import pyarrow as pa

        self._file.rewind()
        found = layout(self._file, self._format)
        if not found.names or not fields:
            return
        for block_size in (BLOCK_BYTES, MAX_LINE_BYTES + BLOCK_BYTES):
            self._file.rewind()
            try:
                yield from self._read(found, fields, constants, block_size)
                return
            except pa.ArrowInvalid as error:
                if "straddling" not in str(error):
                    raise SourceDataError(f"{self._file.path} cannot be parsed: {clip(str(error), 500)}") from None
        raise SourceDataError(
            f"Row {self._done + len(self._invalid) + 1 + self._format.header} of stream {self._stream!r} is longer than "
            f"{MAX_LINE_BYTES // 2**20} MiB, or a quote in it is never closed.",
            remedy="Mend the file, or change the quote character in the source's settings.",
        )

    def _read(
        self, found: DelimitedLayout, fields: tuple[Field, ...], constants: Mapping[str, str], block_size: int
    ) -> Iterator[SourceBatch]:
        rows = _Rows(self._file, found.delimiter, len(found.names), self._format.quote)
        try:
            yield from self._parse(rows, found, fields, constants, block_size)
        finally:
            rows.abandon()

    def _parse(
        self,
        rows: _Rows,
        found: DelimitedLayout,
        fields: tuple[Field, ...],
        constants: Mapping[str, str],
        block_size: int,
    ) -> Iterator[SourceBatch]:
        import pyarrow as pa
        from pyarrow import csv

        file = self._file
        names = [str(position) for position in range(len(found.names))]
        position_of = {name: str(position) for position, name in enumerate(found.names)}
        wanted = [position_of[field.name] for field in fields if field.name in position_of and field.name not in constants]
        already_invalid = len(self._invalid)
        seen_invalid = 0

        def on_invalid(row: Any) -> str:
            nonlocal seen_invalid
            seen_invalid += 1
            if seen_invalid > already_invalid:
                self._invalid.append(row.number)
                self._faults.append(self._ragged(row))
            return "skip"

        reader = csv.open_csv(
            pa.PythonFile(rows, mode="r"),
            read_options=csv.ReadOptions(
                column_names=names, use_threads=False, block_size=block_size, skip_rows_after_names=int(self._format.header)
            ),
            parse_options=_parse_options(found.delimiter, self._format, on_invalid),
            convert_options=_convert_options(names, list(dict.fromkeys([*wanted, names[-1]])), self._format),
        )
        skip = self._done
        before = 0
        held: pa.RecordBatch | None = None
        last = names[-1]
        for batch in reader:
            if batch.num_rows and held is not None:
                yield self._batch(held, fields, position_of, constants, file.position - before)
                before = file.position
            if batch.num_rows:
                passed = min(skip, batch.num_rows)
                skip -= passed
                held = batch.slice(passed)
        if held is None or held.num_rows == 0 or held.column(held.schema.get_field_index(last))[-1].as_py() != _END.encode():
            raise SourceDataError(
                f"{file.path}: a quote that begins near row {self._done + len(self._invalid) + 2} is never closed.",
                remedy="Mend the file, or change the quote character in the source's settings.",
            )
        yield self._batch(held.slice(0, held.num_rows - 1), fields, position_of, constants, file.position - before)

    def _batch(
        self,
        rows: pa.RecordBatch,
        fields: tuple[Field, ...],
        position_of: Mapping[str, str],
        constants: Mapping[str, str],
        size: int,
    ) -> SourceBatch:
        import pyarrow as pa

        file = self._file
        first = self._done
        shifted = [invalid - index for index, invalid in enumerate(self._invalid)]
        self._done += rows.num_rows
        columns = []
        for field_ in fields:
            if field_.name in constants:
                columns.append(pa.repeat(pa.scalar(constants[field_.name]), rows.num_rows))
            elif field_.name in position_of:
                column = rows.column(rows.schema.get_field_index(position_of[field_.name]))
                column = _restore(column) if file.marked else column
                columns.append(column.view(pa.string()) if field_.type.name == "binary" else column)
            else:
                columns.append(pa.nulls(rows.num_rows))

        def key(row: int) -> str:
            number = first + row + 1 + self._format.header
            return self._key(number + bisect_right(shifted, number))

        batch = convert(columns, fields, stream=self._stream, keys=key)
        oversized = [line for line in file.oversized if line.number > self._oversized]
        self._oversized = max((line.number for line in oversized), default=self._oversized)
        rejected = (*batch.rejected, *self._faults, *(oversized_record(line, self._stream, self._where) for line in oversized))
        self._faults.clear()
        file.oversized.clear()
        return SourceBatch(batch.records, rejected, bytes=size)

    def _key(self, number: int) -> str:
        return f"{self._where} row {number}".lstrip()

    def _ragged(self, row: Any) -> RejectedRecord:
        code = "too_few_fields" if row.actual_columns < row.expected_columns else "too_many_fields"
        text = unmark(row.text.encode()).decode("utf-8", "backslashreplace")
        return RejectedRecord(
            stream=self._stream,
            code=code,
            message=f"The row has {row.actual_columns} values, not {row.expected_columns}.",
            payload=clip(text, _MAX_PAYLOAD_CHARACTERS),
            key=self._key(row.number),
        )


def oversized_record(line: OversizedLine, stream: str, where: str) -> RejectedRecord:
    """The rejected record of a line that was left out because of its length."""
    return RejectedRecord(
        stream=stream,
        code="too_large",
        message=f"The line has {line.length} bytes; at most {MAX_LINE_BYTES} are read.",
        payload=object_payload({"beginning": unmark(line.beginning).decode("utf-8", "backslashreplace")}),
        key=f"{where} line {line.number}".lstrip(),
    )


def _restore(column: pa.Array) -> pa.Array:
    """The column with the bytes that stood in the file where they are not text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    marked = pc.match_substring(column, pattern=MARK_BYTES)
    if not pc.any(marked).as_py():
        return column
    values = [value if value is None else unmark(value) for value in column.to_pylist()]
    return pa.array(values, pa.binary())
