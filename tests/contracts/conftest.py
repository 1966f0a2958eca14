"""Every source and every destination, each with its real counterpart."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.destination_harness import DestinationHarness, DuckDBHarness, FileHarness, PostgresHarness, SQLiteHarness
from tests.contracts.source_harness import (
    DuckDBSourceHarness,
    FileSourceHarness,
    PostgresSourceHarness,
    SourceHarness,
    SQLiteSourceHarness,
)

FILE_FORMATS = ("parquet", "csv", "jsonl")


@pytest.fixture(params=["duckdb", "sqlite", "postgres", *FILE_FORMATS])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> SourceHarness:
    folder = tmp_path / "source"
    folder.mkdir()
    match request.param:
        case "duckdb":
            return DuckDBSourceHarness(folder)
        case "sqlite":
            return SQLiteSourceHarness(folder)
        case "postgres":
            return PostgresSourceHarness(request.getfixturevalue("postgres_database"))
    return FileSourceHarness(folder, request.param)


@pytest.fixture(params=["duckdb", "sqlite", "postgres", *FILE_FORMATS])
def destination(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationHarness:
    folder = tmp_path / "destination"
    folder.mkdir()
    match request.param:
        case "duckdb":
            return DuckDBHarness(folder)
        case "sqlite":
            return SQLiteHarness(folder)
        case "postgres":
            return PostgresHarness(request.getfixturevalue("postgres_database"))
    return FileHarness(folder, request.param)
