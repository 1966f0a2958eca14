"""The store's file and its connections: created, migrated, backed up, refused, shared by processes."""

# ruff: noqa: ASYNC221, ASYNC240, PT012 - these tests look at files, and at errors that leave a block

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.exc import DBAPIError, IntegrityError

from syncterm.engine.clock import SystemClock
from syncterm.engine.errors import StoreError, StoreTooNewError
from syncterm.engine.store import database as module
from syncterm.engine.store import files, migrations
from syncterm.engine.store.database import CHECKPOINT_EVERY, Database
from syncterm.engine.store.tables import log_lines, metadata, syncs

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LINE = {"at": NOW, "level": "info", "message": "hello"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "syncterm.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(path, clock=SystemClock())
    yield database
    await database.close()


def ddl(path: Path) -> dict[str, str]:
    """Every table and index of a store → its SQL, spacing apart."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'alembic_version'")
        return {name: " ".join(sql.split()) for name, sql in rows}


async def count_lines(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(log_lines))).scalar_one())


def words(sql: str) -> list[str]:
    """SQL as a multiset of words: constraints may be written in another order."""
    return sorted(re.findall(r"\w+|[^\w\s]", sql))


async def test_migrations_make_exactly_the_tables(database: Database, path: Path, tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'expected.db'}")
    metadata.create_all(engine)
    engine.dispose()
    expected, found = ddl(tmp_path / "expected.db"), ddl(path)
    assert found.keys() == expected.keys()
    for name, sql in expected.items():
        assert words(found[name]) == words(sql), name
        with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(tmp_path / "expected.db")) as two:
            for kind in ("table", "index"):  # the columns and their order
                pragma = f"SELECT * FROM pragma_{kind}_xinfo('{name}')"
                assert one.execute(pragma).fetchall() == two.execute(pragma).fetchall()


def test_head_is_the_newest_revision() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


async def test_an_existing_store_opens_without_alembic(database: Database, path: Path) -> None:
    code = f"""
import asyncio, sys
from pathlib import Path
from syncterm.engine.clock import SystemClock
from syncterm.engine.store.database import Database
async def main():
    database = await Database.open(Path({str(path)!r}), clock=SystemClock())
    await database.close()
asyncio.run(main())
print([name for name in ("alembic", "textual", "rich", "pyarrow", "duckdb") if name in sys.modules])
"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o277])
async def test_modes_do_not_depend_on_the_umask(path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        path.parent.mkdir(mode=0o700)
        path.parent.chmod(0o700)
        database = await Database.open(path, clock=SystemClock())
        async with database.write() as connection:
            await connection.execute(insert(log_lines), [LINE])
        await count_lines(database)
        await database.backup()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) & 0o177 for file in path.parent.iterdir()}
        await database.close()
    finally:
        os.umask(before)
    assert len(modes) == 5  # the store, its log, the log's index, the lock, the backup
    assert set(modes.values()) == {0}


async def test_the_folder_is_made_for_its_owner_only(database: Database, path: Path) -> None:
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_store_that_others_may_read_is_closed_to_them(database: Database, path: Path) -> None:
    await database.close()
    path.chmod(0o644)
    await (await Database.open(path, clock=SystemClock())).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_writes_commit_and_roll_back(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(log_lines), [LINE])
    with pytest.raises(ZeroDivisionError):
        async with database.write() as connection:
            await connection.execute(insert(log_lines), [LINE])
            raise ZeroDivisionError
    assert await count_lines(database) == 1


async def test_a_cancelled_write_leaves_nothing_and_blocks_nobody(database: Database) -> None:
    inside = asyncio.Event()

    async def hang() -> None:
        async with database.write() as connection:
            await connection.execute(insert(log_lines), [LINE])
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.write() as connection:
        await connection.execute(insert(log_lines), [LINE])
    assert await count_lines(database) == 1


@pytest.mark.parametrize("turns", range(12))
async def test_a_write_cancelled_at_any_point_is_whole(database: Database, turns: int) -> None:
    async def two_lines() -> None:
        async with database.write() as connection:
            await connection.execute(insert(log_lines), [LINE])
            await connection.execute(insert(log_lines), [LINE])

    task = asyncio.create_task(two_lines())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    async with database.write() as connection:
        await connection.execute(insert(log_lines), [LINE])
    assert await count_lines(database) in (1, 3)


async def test_readers_cannot_write(database: Database) -> None:
    with pytest.raises((StoreError, DBAPIError), match="readonly"):
        async with database.read() as connection:
            await connection.execute(insert(log_lines), [LINE])


async def test_a_reader_sees_one_moment(database: Database) -> None:
    statement = select(func.count()).select_from(log_lines)
    async with database.read() as reader:
        before = (await reader.execute(statement)).scalar_one()
        async with database.write() as writer:
            await writer.execute(insert(log_lines), [LINE])
        assert (await reader.execute(statement)).scalar_one() == before
    assert await count_lines(database) == before + 1


async def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(
                insert(syncs).values(id="s", connector_id="none", trigger="manual", reason="x", requested_by="x", created_at=NOW)
            )


@pytest.mark.parametrize(("durable", "mode"), [(True, 2), (False, 1)])
async def test_a_durable_write_is_synced(database: Database, durable: bool, mode: int) -> None:
    for _ in range(2):
        async with database.write(durable=not durable):
            pass
        async with database.write(durable=durable) as connection:
            assert (await connection.exec_driver_sql("PRAGMA synchronous")).scalar_one() == mode
            assert (await connection.exec_driver_sql("PRAGMA journal_mode")).scalar_one() == "wal"


async def test_data_version_tells_of_other_processes_only(database: Database, path: Path) -> None:
    first = await database.data_version()
    async with database.write() as connection:
        await connection.execute(insert(log_lines), [LINE])
    assert await database.data_version() == first
    with closing(sqlite3.connect(path)) as other:
        other.execute("INSERT INTO log_lines (at, level, message) VALUES (0, 'info', '')")
        other.commit()
    assert await database.data_version() != first


async def write_lines(database: Database, count: int) -> None:
    for _ in range(count):
        async with database.write(durable=False) as connection:
            await connection.execute(insert(log_lines), [{**LINE, "message": "x" * 5000}])


async def test_checkpoints_happen_beside_the_writer(database: Database, path: Path, tmp_path: Path) -> None:
    await write_lines(database, CHECKPOINT_EVERY)
    await asyncio.wait([task for task in asyncio.all_tasks() if task.get_name() == "checkpoint"])
    alone = shutil.copy(path, tmp_path / "without its log.db")
    with closing(sqlite3.connect(alone)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM log_lines").fetchone() == (CHECKPOINT_EVERY,)


async def test_a_long_log_begins_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the checkpoints beside the writer do not keep up, a commit does what is left."""
    monkeypatch.setattr(module, "_WRITER_CHECKPOINT", 200)
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 1_000_000)
    database = await Database.open(path, clock=SystemClock())
    await write_lines(database, 500)
    size = path.with_name(f"{path.name}-wal").stat().st_size
    await database.close()
    assert 2 * size < 500 * 5000


WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import func, insert, select
from syncterm.engine.clock import SystemClock
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import log_lines

async def main():
    database = await Database.open(Path(sys.argv[1]), clock=SystemClock())
    print("open", flush=True)
    sys.stdin.readline()
    for _ in range(150):
        async with database.write(durable=False) as connection:  # read, then write: what deferred transactions fail at
            count = (await connection.execute(select(func.count()).select_from(log_lines))).scalar_one()
            line = {"at": datetime.now(UTC), "level": "info", "message": str(count)}
            await connection.execute(insert(log_lines), [line])
    await database.close()

asyncio.run(main())
"""


def start_writers(path: Path, count: int) -> list[subprocess.Popen[str]]:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "open\n", writer.stderr.read() if writer.stderr else ""
    return writers


async def test_processes_that_create_and_write_at_once(path: Path) -> None:
    writers = await asyncio.to_thread(start_writers, path, 3)
    results = await asyncio.gather(*(asyncio.to_thread(writer.communicate, "go\n") for writer in writers))
    assert [(writer.returncode, error) for writer, (_, error) in zip(writers, results, strict=True)] == [(0, "")] * 3
    with closing(sqlite3.connect(path)) as connection:
        messages = [int(message) for (message,) in connection.execute("SELECT message FROM log_lines ORDER BY id")]
    assert messages == list(range(450))  # every transaction saw all the ones before it


async def test_a_lock_held_by_another_is_waited_for(database: Database, path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")

    async def write() -> None:
        async with database.write() as connection:
            await connection.execute(insert(log_lines), [LINE])

    task = asyncio.create_task(write())
    assert await count_lines(database) == 0  # reading goes on meanwhile
    other.execute("COMMIT")
    await task
    other.close()
    assert await count_lines(database) == 1


async def test_a_lock_that_stays_ends_in_a_reason(database: Database, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"locked by another process.*Close whatever"):
            async with database.write(busy_limit=0.0):
                pass
        other.execute("ROLLBACK")
    async with database.write():
        pass


async def test_a_full_disk_is_said(database: Database) -> None:
    async with database.write() as connection:
        pages = (await connection.exec_driver_sql("PRAGMA page_count")).scalar_one()
        await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StoreError, match=r"is full.*Free disk space"):
        async with database.write() as connection:
            await connection.execute(insert(log_lines), [{**LINE, "message": "x" * 1_000_000}])
    assert await count_lines(database) == 0


# What is refused ----------------------------------------------------------------------------------------------------------


async def closed_store(path: Path) -> bytes:
    database = await Database.open(path, clock=SystemClock())
    async with database.write() as connection:
        await connection.execute(insert(log_lines), [LINE] * 3000)
    await database.close()
    return path.read_bytes()


async def test_a_newer_store_is_left_byte_for_byte(path: Path) -> None:
    await closed_store(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(StoreTooNewError, match=r"newer version.*9999.*Install"):
        await Database.open(path, clock=SystemClock())
    assert path.read_bytes() == before
    assert files.backups(path) == []


@pytest.mark.parametrize("content", [b"", b"\0" * 8192, b"PAR1" + b"x" * 9000], ids=["empty", "zeros", "other file"])
async def test_a_damaged_store_is_refused_and_kept(path: Path, content: bytes) -> None:
    await closed_store(path)
    saved = files.backup(path, NOW)
    path.write_bytes(content)
    with pytest.raises(StoreError) as raised:
        await Database.open(path, clock=SystemClock())
    assert str(path) in str(raised.value)
    assert str(saved) in str(raised.value)
    assert path.read_bytes() == content


async def test_a_truncated_store_is_noticed(path: Path) -> None:
    content = await closed_store(path)
    path.write_bytes(content[: len(content) // 3])
    with pytest.raises(StoreError, match=r"damaged.*no backup"):
        database = await Database.open(path, clock=SystemClock())
        try:
            await count_lines(database)
        finally:
            await database.close()
    assert len(path.read_bytes()) == len(content) // 3


async def test_damage_inside_is_found_by_verify(path: Path) -> None:
    content = bytearray(await closed_store(path))
    with closing(sqlite3.connect(path)) as connection:
        page, size = connection.execute("SELECT rootpage, 4096 FROM sqlite_master WHERE name = 'log_lines'").fetchone()
    database = await Database.open(path, clock=SystemClock())
    assert await database.verify() == []
    await database.close()
    content[(page - 1) * size + 3] ^= 0xFF  # the page's count of cells
    path.write_bytes(content)
    database = await Database.open(path, clock=SystemClock())
    assert await database.verify() != []
    await database.close()


async def test_another_programs_database_is_refused(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    with pytest.raises(StoreError, match="not a store of syncterm"):
        await Database.open(path, clock=SystemClock())


async def test_a_read_only_store_is_refused(path: Path) -> None:
    await closed_store(path)
    path.chmod(0o400)
    with pytest.raises(StoreError, match=r"read-only: its mode is 0400.*chmod 600"):
        await Database.open(path, clock=SystemClock())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_another_users_store_is_refused(path: Path) -> None:
    await closed_store(path)
    os.chown(path, 12345, -1)
    with pytest.raises(StoreError, match=r"belongs to user id 12345 \(mode 0600\), and this is user id 0"):
        await Database.open(path, clock=SystemClock())


async def test_a_folder_in_the_way_is_refused(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(StoreError, match="not a regular file"):
        await Database.open(path, clock=SystemClock())


# Upgrades -----------------------------------------------------------------------------------------------------------------


def set_revision(path: Path, number: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (number,))
        connection.commit()


async def test_an_upgrade_keeps_a_backup_and_the_rows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await closed_store(path)
    set_revision(path, "0000")

    def upgrade(upgraded: Path) -> None:
        assert files.backups(upgraded), "the backup comes first"
        set_revision(upgraded, migrations.HEAD)

    monkeypatch.setattr(files, "upgrade", upgrade)
    database = await Database.open(path, clock=SystemClock())
    assert await count_lines(database) == 3000
    await database.close()
    (saved,) = files.backups(path)
    assert ".backup-0000-" in saved.name
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    with closing(sqlite3.connect(saved)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM log_lines").fetchone() == (3000,)


async def test_an_upgrade_that_fails_changes_nothing(path: Path) -> None:
    await closed_store(path)
    set_revision(path, "0000")  # no such revision: Alembic refuses inside the transaction
    before = ddl(path)
    with pytest.raises(StoreError, match=r"rolled back.*newest backup is") as raised:
        await Database.open(path, clock=SystemClock())
    assert str(files.backups(path)[0]) in str(raised.value)
    assert files.revision(path) == "0000"
    assert ddl(path) == before


async def test_a_migration_that_fails_half_way_is_undone(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE syncs (kept TEXT)")  # the first revision stumbles over it after creating others
        connection.commit()
    before = ddl(path)
    with pytest.raises(Exception, match="already exists"):
        await asyncio.to_thread(migrations.upgrade, path)
    assert ddl(path) == before


async def test_only_the_newest_backups_are_kept(path: Path) -> None:
    await closed_store(path)
    made = [files.backup(path, NOW.replace(day=day)) for day in range(1, 7)]
    assert files.backups(path) == made[:2:-1]


async def test_a_half_made_store_is_made_anew(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.with_name(f"{path.name}.unfinished").write_bytes(b"half")
    await (await Database.open(path, clock=SystemClock())).close()
    assert files.revision(path) == migrations.HEAD
    assert [file for file in path.parent.iterdir() if "unfinished" in file.name] == []


@pytest.mark.parametrize("name", ["a b.db", "50%.db", "what?.db", "[x]#.db", "ünï.db", "file:x.db"])
async def test_odd_names_are_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    database = await Database.open(path, clock=SystemClock())
    saved = await database.backup()
    await database.close()
    assert path.exists()
    assert files.backups(path) == [saved]
