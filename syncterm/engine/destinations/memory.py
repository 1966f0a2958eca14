"""One DuckDB database in memory for all loads, for what is computed and not kept: starting one costs more than a small load."""

from __future__ import annotations

import atexit
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def memory_connection() -> DuckDBPyConnection:
    """A connection of its own, for one thread at a time; what is registered in it is seen by nobody else. It reaches no file."""
    return _database().cursor()


@cache
def _database() -> DuckDBPyConnection:
    import duckdb

    atexit.register(_database.cache_clear)  # DuckDB reports on stderr what outlives the interpreter
    return duckdb.connect(config={"threads": "1", "enable_external_access": "false"})
