"""The built-in sources keep the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.source_contract import SourceContract
from tests.contracts.source_harness import (
    DuckDBSourceHarness,
    FileSourceHarness,
    PostgresSourceHarness,
    SourceHarness,
    SQLiteSourceHarness,
)
from tests.servers.postgres import PostgresDatabase


class TestDuckDB(SourceContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SourceHarness:
        return DuckDBSourceHarness(tmp_path)


class TestSQLite(SourceContract):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SourceHarness:
        return SQLiteSourceHarness(tmp_path)


class TestFiles(SourceContract):
    @pytest.fixture(params=["parquet", "csv", "jsonl"])
    def harness(self, tmp_path: Path, request: pytest.FixtureRequest) -> SourceHarness:
        return FileSourceHarness(tmp_path, request.param)


class TestPostgres(SourceContract):
    @pytest.fixture
    def harness(self, postgres_database: PostgresDatabase) -> SourceHarness:
        return PostgresSourceHarness(postgres_database)
