"""One million rows in 16 columns of TPC-H's lineitem shape, the same at every run, laid out in each source's own form."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb

ROWS = 1_000_000
COLUMNS = {
    "l_id": "bigint",
    "l_orderkey": "bigint",
    "l_partkey": "integer",
    "l_suppkey": "integer",
    "l_linenumber": "integer",
    "l_quantity": "numeric(15,2)",
    "l_extendedprice": "numeric(15,2)",
    "l_discount": "double precision",
    "l_tax": "double precision",
    "l_returnflag": "text",
    "l_shipdate": "date",
    "l_updated": "timestamp",
    "l_shipinstruct": "text",
    "l_shipmode": "text",
    "l_received": "timestamptz",
    "l_comment": "text",
}
"""Column → PostgreSQL type."""
_SELECT = """
SELECT i AS l_id, i // 4 AS l_orderkey, (hash(i) % 200000)::INT AS l_partkey, (hash(i + 1) % 10000)::INT AS l_suppkey,
  (i % 7)::INT AS l_linenumber, ((hash(i + 2) % 5000) / 100)::DECIMAL(15,2) AS l_quantity,
  ((hash(i + 3) % 10000000) / 100)::DECIMAL(15,2) AS l_extendedprice, (hash(i + 4) % 10) / 100.0::DOUBLE AS l_discount,
  (hash(i + 5) % 8) / 100.0::DOUBLE AS l_tax, ['A', 'N', 'R'][1 + (hash(i + 6) % 3)::INT] AS l_returnflag,
  DATE '1992-01-01' + (hash(i + 7) % 2500)::INT AS l_shipdate, TIMESTAMP '2025-01-01' + to_seconds(i) AS l_updated,
  ['DELIVER IN PERSON', 'COLLECT COD', 'NONE', 'TAKE BACK RETURN'][1 + (hash(i + 8) % 4)::INT] AS l_shipinstruct,
  ['AIR', 'FOB', 'MAIL', 'RAIL', 'SHIP', 'TRUCK'][1 + (hash(i + 9) % 6)::INT] AS l_shipmode,
  TIMESTAMP '2025-01-01' + to_microseconds(i * 1000001) AS l_received,
  'comment ' || hash(i + 10) || ' of line ' || i AS l_comment
FROM range(1, {rows} + 1) AS r(i)
"""


def csv(folder: Path, rows: int = ROWS) -> Path:
    """The rows as a CSV file; made once."""
    path = folder / f"lineitem_{rows}.csv"
    if not path.exists():
        with closing(duckdb.connect()) as connection:
            connection.execute(f"COPY ({_SELECT.format(rows=rows)}) TO '{path}' (FORMAT csv, HEADER)")
    return path


def sqlite(folder: Path, rows: int = ROWS) -> Path:
    """The rows as the table `lineitem` of a SQLite file; made once."""
    path = folder / f"lineitem_{rows}.sqlite"
    if path.exists():
        return path
    types = {"bigint": "INTEGER", "integer": "INTEGER", "numeric(15,2)": "REAL", "double precision": "REAL"}
    columns = ", ".join(f"{name} {types.get(type_, 'TEXT')}" for name, type_ in COLUMNS.items())
    with closing(sqlite3.connect(path)) as target, closing(duckdb.connect()) as source:
        target.execute(f"CREATE TABLE lineitem ({columns}, PRIMARY KEY (l_id))")
        casts = ", ".join(
            f"{name}::{'DOUBLE' if type_ == 'numeric(15,2)' else 'VARCHAR'} AS {name}"
            if type_ in ("numeric(15,2)", "date", "timestamp", "timestamptz")
            else name
            for name, type_ in COLUMNS.items()
        )
        found = source.execute(f"SELECT {casts} FROM ({_SELECT.format(rows=rows)})")
        marks = ", ".join("?" * len(COLUMNS))
        while piece := found.fetchmany(10_000):
            target.executemany(f"INSERT INTO lineitem VALUES ({marks})", piece)
        target.commit()
    return path


def postgres(url: str, folder: Path, rows: int = ROWS) -> None:
    """The rows as the table `lineitem` of a PostgreSQL database."""
    import asyncpg

    async def load() -> None:
        connection = await asyncpg.connect(url)
        try:
            columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
            await connection.execute(f"CREATE TABLE lineitem ({columns}, PRIMARY KEY (l_id))")
            await connection.execute("SET timezone = 'UTC'")
            with csv(folder, rows).open("rb") as file:
                await connection.copy_to_table("lineitem", source=file, format="csv", header=True)
            await connection.execute("VACUUM ANALYZE lineitem")
        finally:
            await connection.close()

    asyncio.run(load())
