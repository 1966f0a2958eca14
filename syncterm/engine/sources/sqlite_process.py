"""Reads a large SQLite table in a process of its own: as columns, by ADBC, without this process's interpreter lock.

A process of its own, because only one SQLite library may open a file within a process (sqlite.org/howtocorrupt.html, section
2.2), and ADBC brings its own. The child begins one transaction, so one snapshot, and writes two Arrow streams to its standard
output: the rows whose every value has its column's storage class, and the other rows, each value as text that tells its class
(`class_text`).

ADBC takes a column's type from its first rows, so a first row of known types goes before the others; the reader drops it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 16_384
"""Rows of a record batch: some 35 ms of ADBC's work."""
NICENESS = 10
MESSAGE_BYTES = 4096
_GUARDS = {"int64": "integer", "float64": "real", "binary": "blob", "string": "text"}
"""Arrow type of a column's values as stored → SQLite's storage class."""
_FIRST = {"int64": "0", "float64": "0.0", "binary": "x''", "string": "''"}


@dataclass(frozen=True, slots=True)
class Request:
    """What the child is asked for."""

    uri: str
    fitting: str
    """SQL of the rows whose values all have their column's class; its first row is not one of the table's."""
    others: str
    """SQL of the other rows."""
    bound: Sequence[Any]


def request(uri: str, table: str, columns: Sequence[tuple[str, str]], where: str, bound: Sequence[Any]) -> Request:
    """The request for a table.

    Args:
        table: quoted.
        columns: quoted, each with the Arrow type of its values as stored.
        where: a condition, empty for none; its marks are bound to `bound`.
    """
    selected = ", ".join(f"s.{name}" for name, _ in columns)
    fits = " and ".join(f"typeof(s.{name}) in ('{_GUARDS[kind]}', 'null')" for name, kind in columns)
    first = ", ".join(f"{_FIRST[kind]} as {name}" for name, kind in columns)
    texts = ", ".join(f"{class_text(f's.{name}')} as {name}" for name, _ in columns)
    blanks = ", ".join(f"'' as {name}" for name, _ in columns)
    window = f"({where}) and " if where else ""
    return Request(
        uri,
        f"select {first} union all select {selected} from {table} as s where {window}({fits})",
        f"select {blanks} union all select {texts} from {table} as s where {window}not ({fits})",
        bound,
    )


def class_text(value: str) -> str:
    """SQL that writes a value as text, exactly: its class as one letter, then its digits, or its bytes in hexadecimal.

    Only a negative zero becomes a zero: SQLite's text has no other.
    """
    return (
        f"case typeof({value}) when 'null' then null when 'integer' then 'i' || {value} "
        f"when 'real' then 'r' || printf('%!.17g', {value}) when 'text' then 't' || hex(cast({value} as blob)) "
        f"else 'b' || hex({value}) end"
    )


def from_class_text(text: str | None) -> Any:
    """The value that `class_text` wrote; text that is not UTF-8 with surrogate escapes."""
    if text is None:
        return None
    kind, rest = text[0], text[1:]
    if kind == "i":
        return int(rest)
    if kind == "r":
        return float(rest)
    data = bytes.fromhex(rest)
    return data.decode("utf-8", "surrogateescape") if kind == "t" else data


class TableProcess:
    """A child that reads one table. `close` ends it, at any time and from any thread."""

    def __init__(self, wanted: Request) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "syncterm.engine.sources.sqlite_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._wanted = wanted

    def batches(self) -> Iterator[tuple[bool, pa.RecordBatch]]:
        """Batches, each with whether its values have their columns' classes.

        Raises:
            sqlite3.OperationalError: what SQLite said in the child; its code is set where it was a lock.
        """
        import pyarrow as pa

        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise AssertionError("the child's streams are pipes")
        try:
            wanted = self._wanted
            stdin.write(json.dumps([wanted.uri, wanted.fitting, wanted.others, list(wanted.bound)]).encode())
            stdin.close()
            for fitting in (True, False):
                first = True
                with pa.ipc.open_stream(stdout) as reader:
                    for batch in reader:
                        yield fitting, batch.slice(1) if first else batch
                        first = False
        except (pa.ArrowInvalid, OSError) as error:
            raise self._failure(str(error)) from None
        if self._process.wait() != 0:
            raise self._failure(f"the reading process ended with code {self._process.returncode}")

    def _failure(self, text: str) -> sqlite3.OperationalError:
        self._process.kill()
        said = self._process.stderr.read(MESSAGE_BYTES).decode("utf-8", "replace").strip() if self._process.stderr else ""
        failure = sqlite3.OperationalError(said or f"the reading process ended early ({text})")
        if not said or "locked" in said or "busy" in said:  # without a word it was killed: that may pass
            failure.sqlite_errorcode = sqlite3.SQLITE_BUSY
        return failure

    def kill(self) -> None:
        """End the child now; never blocks."""
        self._process.kill()

    def close(self) -> None:
        """End the child where it still runs, and forget it."""
        self._process.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
        self._process.wait()


def main() -> int:
    """The child: reads the request from standard input, writes two Arrow streams to standard output."""
    import adbc_driver_sqlite.dbapi as adbc
    import pyarrow as pa
    from adbc_driver_manager import Error

    os.nice(NICENESS)
    uri, fitting, others, bound = json.load(sys.stdin)
    try:
        with adbc.connect(uri, autocommit=False) as connection, os.fdopen(1, "wb", closefd=False) as out:
            for sql in (fitting, others):
                with connection.cursor() as cursor:
                    cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
                    cursor.execute(sql, bound or None)
                    with cursor.fetch_record_batch() as rows, pa.ipc.new_stream(out, rows.schema) as writer:
                        for batch in rows:
                            writer.write_batch(batch)
    except Error as error:
        sys.stderr.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
