"""The built-in destinations keep the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.destination_contract import DestinationContract
from tests.contracts.destination_harness import DestinationHarness, DuckDBHarness, FileHarness, PostgresHarness, SQLiteHarness
from tests.servers.postgres import PostgresDatabase


class TestDuckDB(DestinationContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> DestinationHarness:
        return DuckDBHarness(tmp_path)


class TestSQLite(DestinationContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> DestinationHarness:
        return SQLiteHarness(tmp_path)


class TestFiles(DestinationContract):
    @pytest.fixture(params=["parquet", "csv", "jsonl"])
    def harness(self, tmp_path: Path, request: pytest.FixtureRequest) -> DestinationHarness:
        return FileHarness(tmp_path, request.param)


class TestPostgres(DestinationContract):
    @pytest.fixture
    def harness(self, postgres_database: PostgresDatabase) -> DestinationHarness:
        return PostgresHarness(postgres_database)
