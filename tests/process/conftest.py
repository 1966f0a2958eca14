"""Fixtures of the process tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.destination_harness import DestinationHarness, DuckDBHarness, FileHarness, PostgresHarness, SQLiteHarness
from tests.process.engine_process import Starter, engine_processes


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts engine processes; those that are left at the end are killed."""
    with engine_processes() as starter:
        yield starter


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> DestinationHarness:
    """A destination by its name, as an indirect parameter."""
    kind = request.param
    if kind == "postgres":
        return PostgresHarness(request.getfixturevalue("postgres_database"))
    if kind == "duckdb":
        return DuckDBHarness(tmp_path)
    return SQLiteHarness(tmp_path) if kind == "sqlite" else FileHarness(tmp_path, "parquet")
