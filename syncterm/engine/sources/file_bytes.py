"""The bytes of one file as blocks of whole lines in UTF-8, whatever its compression and encoding.

A file is opened once and read up to the size that it had then: one that is replaced meanwhile is read as it was, one that grows is
read up to its last whole line of that moment, one that shrinks or is rewritten in place ends in an error. Memory is bounded by a
block and a line, however much a compressed file holds.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from syncterm.engine.errors import SourceDataError, SourceUnavailableError
from syncterm.engine.paths import open_file

if TYPE_CHECKING:
    from syncterm.engine.adapters import AdapterContext

BLOCK_BYTES = 1024 * 1024
"""Bytes read at a time. Larger blocks are no faster, and cost some fifty times their size in fragmented memory."""
MAX_LINE_BYTES = 8 * 1024 * 1024
"""A longer line is left out and reported."""
KEPT_BYTES = 1000
"""Bytes of such a line that are kept for the report."""

_GZIP_MAGIC = b"\x1f\x8b"
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# Bytes that are not text travel as three noncharacters (Unicode 23.7: never in interchanged text), so that parsers which insist on
# UTF-8 pass them on to where the record is rejected.
_MARK = "\ufdd0"
_NIBBLE = 0xFDE0
_MARKED = re.compile(f"{_MARK}([{chr(_NIBBLE)}-{chr(_NIBBLE + 15)}])([{chr(_NIBBLE)}-{chr(_NIBBLE + 15)}])")
MARK_BYTES = _MARK.encode()


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    marks = (_MARK + chr(_NIBBLE + (byte >> 4)) + chr(_NIBBLE + (byte & 15)) for byte in error.object[error.start : error.end])
    return "".join(marks), error.end


codecs.register_error("syncterm.mark", _mark)


def unmark(data: bytes) -> bytes:
    """The bytes as they stood in the file, where some were not text."""
    if MARK_BYTES not in data:
        return data
    pieces = _MARKED.split(data.decode())
    joined = bytearray()
    for text, high, low in zip(pieces[::3], [*pieces[1::3], ""], [*pieces[2::3], ""], strict=True):
        joined += text.encode()
        if high:
            joined.append((ord(high) - _NIBBLE) << 4 | (ord(low) - _NIBBLE))
    return bytes(joined)


@dataclass(frozen=True, slots=True)
class OversizedLine:
    """A line that was left out because of its length."""

    number: int
    """Counted from 1."""
    beginning: bytes
    length: int


def _each(characters: bytes) -> list[bytes]:
    return [bytes([character]) for character in characters]


def is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    import pyarrow as pa

    ends = pa.array([0, len(data)], pa.int64())
    try:
        pa.Array.from_buffers(pa.large_string(), 1, [None, ends.buffers()[1], pa.py_buffer(data)]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


class _Bounded(io.RawIOBase):
    """The first `size` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int, path: Path, poll: Callable[[], None]) -> None:
        self._file, self._left, self._path, self._poll = file, size, path, poll
        self.position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        self._poll()
        view = memoryview(buffer)[: self._left]  # type: ignore[arg-type]
        if not len(view):
            return 0
        try:
            count: int = self._file.readinto(view)  # type: ignore[attr-defined]
        except OSError as error:
            raise SourceUnavailableError(f"{self._path} cannot be read: {error.strerror}.") from None
        if count == 0:
            raise SourceUnavailableError(f"{self._path} was cut short while it was read.", remedy="Sync again when it is complete.")
        self._left -= count
        self.position += count
        return count


class FileBytes:
    """One file, open for reading.

    Args:
        path: as `check_path` gave it.
        context: for the files that are never read.
        encoding: of text; a byte order mark wins over it.
        poll: called before every read; raises to stop.

    Raises:
        as `open_file`.
    """

    def __init__(self, path: Path, context: AdapterContext, *, encoding: str = "utf-8", poll: Callable[[], None]) -> None:
        self.path = path
        self.encoding = codecs.lookup(encoding).name
        self._file = open_file(path, context)
        self._before = os.fstat(self._file.fileno())
        self.size = self._before.st_size
        self.poll = poll
        self.marked = False
        """Whether bytes that are not text have been met (and marked)."""
        self.oversized: list[OversizedLine] = []
        """Lines left out so far; whoever reports them takes them away."""
        self.first_line = 1
        """Number of the first line of the block that was given last."""
        self.lines = 0
        """How many line ends it has, or 1 for a last line without one."""
        self.rewind()

    def rewind(self) -> None:
        """Begin again with the first byte of the same file."""
        self._file.seek(0)
        self._raw = _Bounded(self._file, self.size, self.path, self.poll)
        self._data: BinaryIO | None = None
        self._ends_with_line = True
        self.marked = False
        self.oversized.clear()

    def __enter__(self) -> FileBytes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; may be called more than once."""
        self._file.close()

    @property
    def position(self) -> int:
        """Bytes of the file read so far, as they lie on disk."""
        return self._raw.position

    def read(self, size: int) -> bytes:
        """Decompressed bytes, `size` of them but at the end. Raises: SourceDataError: damaged or cut compressed data."""
        if self._data is None:
            self._data = self._decompressed()
        try:
            pieces = []
            while size > 0 and (piece := self._data.read(size)):
                pieces.append(piece)
                size -= len(piece)
            return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        except (EOFError, OSError, ValueError, zlib.error) as error:
            raise SourceDataError(
                f"{self.path} is damaged or incomplete: {str(error).rstrip('.')}.", remedy="Fetch the file again."
            ) from None

    def _decompressed(self) -> BinaryIO:
        magic = self._peek(4)
        if magic.startswith(_GZIP_MAGIC):
            unzipped: Any = gzip.GzipFile(fileobj=io.BufferedReader(self._raw, 1 << 18))
            opened: BinaryIO = unzipped
            return opened
        if magic.startswith(_ZSTD_MAGIC):
            import pyarrow as pa

            stream: BinaryIO = pa.CompressedInputStream(pa.PythonFile(io.BufferedReader(self._raw, 1 << 18)), "zstd")
            return stream
        return io.BufferedReader(self._raw, BLOCK_BYTES)

    def _peek(self, count: int) -> bytes:
        return os.pread(self._file.fileno(), count, 0)

    def blocks(self, *, mark: bool, line_ends: bytes = b"\n", quote: bytes = b"") -> Generator[bytes, None, None]:
        """The text in UTF-8, in blocks that end with a line (the last may not); without a byte order mark.

        Args:
            mark: whether bytes that are not text are marked, so that the block is valid UTF-8; else they stay as they are.
            line_ends: the characters that end a line.
            quote: the character that, in pairs, may enclose line ends.

        Raises:
            SourceDataError: damaged compressed data; a line too long to keep whose quotes leave open where it ends.
            SourceUnavailableError: as `check_unchanged`.
        """
        rest = b""
        quotes = 0
        line = 0
        self.first_line, self.lines = 1, 0
        oversized: OversizedLine | None = None
        for piece in self._utf8_pieces():
            data = rest + piece if rest else piece
            if oversized is not None:
                end = min((at for at in (data.find(byte) for byte in _each(line_ends)) if at >= 0), default=-1) + 1
                quotes += data.count(quote, 0, end or None) if quote else 0
                oversized = replace(oversized, length=oversized.length + (end or len(data)))
                rest = b""
                if not end:
                    continue
                self._leave_out(oversized, quotes)
                oversized, data = None, data[end:]
            # A carriage return at the very end may be half of a line end.
            end = max(data.rfind(byte, 0, len(data) - (byte == b"\r")) for byte in _each(line_ends)) + 1
            block, rest = data[:end], data[end:]
            if block:
                self.first_line = line + 1
                self.lines = max(block.count(byte) for byte in _each(line_ends) if byte in block)
                line += self.lines
                quotes += block.count(quote) if quote and quote in block else 0
                yield self._clean(block, mark)
            if len(rest) > MAX_LINE_BYTES:
                if quotes % 2:
                    raise self._endless(line + 1)
                line += 1
                oversized = OversizedLine(line, rest[:KEPT_BYTES], len(rest))
                quotes += rest.count(quote) if quote else 0
                rest = b""
        if oversized is not None:
            self._leave_out(oversized, quotes)
        self._ends_with_line = not rest and oversized is None
        if rest:
            self.first_line, self.lines = line + 1, 1
            yield self._clean(rest, mark)
        self.check_unchanged()

    def _leave_out(self, line: OversizedLine, quotes: int) -> None:
        if quotes % 2:
            raise self._endless(line.number)
        self.oversized.append(line)

    def _endless(self, number: int) -> SourceDataError:
        return SourceDataError(
            f"{self.path}: the quoted value around line {number} exceeds {MAX_LINE_BYTES // 2**20} MiB, or its quote never ends.",
            remedy="Mend the file, or change the quote character in the source's settings.",
        )

    def _utf8_pieces(self) -> Iterator[bytes]:
        """The text in UTF-8 in pieces of any kind; text in UTF-8 is not checked yet, in other encodings it is marked."""
        first = self.read(BLOCK_BYTES)
        for byte_order_mark, encoding in _BYTE_ORDER_MARKS:
            if first.startswith(byte_order_mark):
                self.encoding = encoding
                if encoding == "utf-8":
                    first = first[len(byte_order_mark) :]
                break
        decoder = None if self.encoding == "utf-8" else codecs.getincrementaldecoder(self.encoding)("syncterm.mark")
        piece = first
        while piece:
            following = self.read(BLOCK_BYTES)
            yield piece if decoder is None else decoder.decode(piece, final=not following).encode()
            piece = following

    def _clean(self, block: bytes, mark: bool) -> bytes:
        if self.encoding == "utf-8":
            if not mark or is_utf8(block):
                return block
            self.marked = True
            return block.decode("utf-8", "syncterm.mark").encode()
        if MARK_BYTES in block:
            self.marked = True
            return block if mark else unmark(block)
        return block

    def check_unchanged(self) -> None:
        """Raises: SourceUnavailableError: the file was rewritten while it was read, or grows and ended within a line."""
        after = os.fstat(self._file.fileno())
        if after.st_size == self.size and after.st_mtime_ns == self._before.st_mtime_ns:
            return
        if after.st_size > self.size and self._ends_with_line:
            return
        raise SourceUnavailableError(f"{self.path} was changed while it was read.", remedy="Sync again when it is complete.")
