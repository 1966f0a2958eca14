"""Fixtures that all tests may use."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.servers.postgres import PostgresDatabase, PostgresServer, start_server

# How long an example takes is the machine's business, never a test's verdict.
settings.register_profile("syncterm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("syncterm")

SNAPSHOTS = Path(__file__).parent.parent / "snapshots"


def _snapshots_at_top_level(plugin: Any) -> None:
    """Make the snapshot plugin keep its pictures in `snapshots/<test file>/`; it offers no setting for that."""

    class TopLevelSVG(plugin.SVGImageExtension):  # type: ignore[misc]  # the plugin has no types
        @classmethod
        def dirname(cls, *, test_location: Any) -> str:
            return str(SNAPSHOTS / test_location.basename)

    plugin.SVGImageExtension = TopLevelSVG


_plugin = sys.modules.get("pytest_textual_snapshot")
"""Loaded by pytest, or absent; never imported here, because it brings the screens' library into the engine's tests."""
if _plugin is not None:
    _snapshots_at_top_level(_plugin)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A real PostgreSQL server, started when a test first asks; one for each process of a parallel run."""
    server = start_server()
    yield server
    server.stop()


@pytest.fixture
def postgres_database(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A new, empty database, dropped after the test."""
    database = postgres_server.create_database()
    yield database
    postgres_server.drop_database(database)
