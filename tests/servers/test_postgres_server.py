"""The test server itself: real, private, and strict about passwords."""

from __future__ import annotations

import asyncpg
import pytest

from tests.servers.postgres import PostgresDatabase, in_thread


def test_database_is_fresh_and_writable(postgres_database: PostgresDatabase) -> None:
    postgres_database.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (2)")
    assert postgres_database.query("SELECT a FROM t ORDER BY a") == [(1,), (2,)]
    assert postgres_database.query("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]


async def test_works_beside_a_running_loop(postgres_database: PostgresDatabase) -> None:
    connection = await asyncpg.connect(postgres_database.url)
    try:
        assert await connection.fetchval("SELECT current_database()") == postgres_database.database
        assert postgres_database.query("SELECT 1") == [(1,)]
    finally:
        await connection.close()


def test_tcp_asks_for_the_password(postgres_database: PostgresDatabase) -> None:
    parameters = {**postgres_database.parameters, "password": "wrong"}
    with pytest.raises(asyncpg.InvalidPasswordError):
        in_thread(asyncpg.connect(**parameters))
