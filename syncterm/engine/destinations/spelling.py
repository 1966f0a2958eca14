"""Which texts are JSON, and which are UUIDs: a whole column at a time, by DuckDB, in a database of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from syncterm.engine.destinations.memory import memory_connection
from syncterm.engine.destinations.rejected import Fault
from syncterm.engine.schema import Field

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyConnection


class SpellingCheck:
    """Looks for texts that are not what their column's type says. Used from one thread."""

    def __init__(self) -> None:
        self._connection: DuckDBPyConnection | None = None

    def faults(self, batch: pa.RecordBatch, field: Field) -> list[Fault]:
        """The fault of the values of a `json` or `uuid` column that are neither NULL nor valid; none for other columns.

        NaN and Infinity pass as JSON, as in DuckDB; `strict_json_faults` finds them.
        """
        import pyarrow as pa

        if field.type.name not in ("json", "uuid"):
            return []
        if self._connection is None:
            self._connection = memory_connection()
        self._connection.register("candidates", pa.table([batch.column(field.name)], names=["value"]))
        bad = f"value is not null and try_cast(value as {field.type.name}) is null"
        found = self._connection.sql(f"select {bad} as bad from candidates").to_arrow_table()["bad"].combine_chunks()
        self._connection.unregister("candidates")
        return _fault(field, found)


def strict_json_faults(batch: pa.RecordBatch, field: Field) -> list[Fault]:
    """The fault of JSON texts that only lenient readers take: NaN and Infinity as bare words. Source: RFC 8259, section 6."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if field.type.name != "json":
        return []
    column = batch.column(field.name)
    suspects = pc.indices_nonzero(pc.fill_null(pc.match_substring_regex(column, "(?i)nan|inf"), False)).to_pylist()
    bad = {row for row in suspects if not _is_strict_json(column[row].as_py())}
    return _fault(field, pa.array((row in bad for row in range(batch.num_rows)), pa.bool_())) if bad else []


def _is_strict_json(text: str) -> bool:
    def refuse(constant: str) -> None:
        raise ValueError(constant)

    try:
        json.loads(text, parse_constant=refuse, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


def _fault(field: Field, bad: pa.BooleanArray) -> list[Fault]:
    return [Fault(field.name, f"not_{field.type.name}", f"is not a valid {field.type.name}", bad)] if bad.true_count else []
