"""The store's migrations: numbered revisions, run by Alembic inside one transaction.

Only `HEAD` is needed at a normal start; Alembic is imported when something has to run.
"""

from __future__ import annotations

from pathlib import Path

HEAD = "0001"
"""The revision that this version of the product reads and writes. Revisions are numbers of four digits that only grow."""


def upgrade(path: Path) -> None:
    """Bring the SQLite file at `path` to `HEAD`, in one transaction: all of it or nothing.

    Blocks; for a worker thread. The caller holds the store's lock file and has made a backup.

    Raises:
        sqlalchemy.exc.DatabaseError: what SQLite reports.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.engine import URL
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        poolclass=NullPool,
        connect_args={"isolation_level": None, "timeout": 10},  # None: this function begins and ends the transaction
    )
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        connection.exec_driver_sql("PRAGMA synchronous = FULL")
        connection.exec_driver_sql("BEGIN EXCLUSIVE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()
