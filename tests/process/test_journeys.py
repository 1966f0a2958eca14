"""Whole journeys at the keyboard of a real terminal of 80 by 24, with an engine that executes and real servers.

A newcomer's first connector; a password that was changed on the server; a column that was added; a source that was edited. What a
journey did is read where it ended up: in the destination, and in the store.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.process.engine_process import Console, store_rows, store_value, wait_completed, wait_until
from tests.process.terminal import KEYS, Terminal
from tests.servers.postgres import PostgresDatabase

PROGRAM = [sys.executable, "-m", "syncterm"]
FIRST, SECOND = "first Pa55word", "second Pa55word"


class Person:
    """Somebody at a terminal of 80 by 24, without a mouse, who looks before typing on."""

    def __init__(self, terminal: Terminal, folder: Path) -> None:
        self.terminal = terminal
        self.folder = folder

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def see(self, *texts: str) -> None:
        """Wait until each of the texts stands on the screen."""
        self.terminal.wait_for(lambda now: all(any(text in line for line in now.display) for text in texts))

    def see_no(self, text: str) -> None:
        """Wait until a text stands nowhere on the screen."""
        self.terminal.wait_for(lambda now: not any(text in line for line in now.display))

    def press(self, *keys: str) -> None:
        """Press keys by name or letter, `ctrl+s` for one with the control key."""
        for key in keys:
            self.terminal.send(chr(ord(key[-1]) & 0x1F) if key.startswith("ctrl+") and key not in KEYS else KEYS.get(key, key))

    def type(self, text: str) -> None:
        self.terminal.send(text)

    def syncs(self) -> int:
        """How many syncs are completed."""
        return int(store_value(self.home, "select count(*) from syncs where state = 'completed'"))

    def sync(self) -> None:
        """Press r on the Connectors screen; wait until the sync is completed, and the screen has seen it."""
        before = self.syncs()
        self.press("r")
        wait_until(lambda: self.syncs() > before, "a sync is completed")
        self.terminal.settle()
        self.see("● 0 running")

    def source_status(self, status: str) -> None:
        """Look at the Sources screen until the source has that status; back to the connectors."""
        self.press("2")
        self.terminal.wait_for(lambda now: "Sources" in now.line(0) and f" {status} " in now.line(3))
        self.press("1")
        self.terminal.wait_for(lambda now: "Connectors" in now.line(0))

    def leave(self) -> None:
        """Quit."""
        self.see("● 0 running")
        self.press("q")
        assert self.terminal.wait() == 0

    def lake(self, sql: str) -> list[tuple[Any, ...]]:
        """What the destination holds; the engine keeps no lock on it between syncs."""
        with duckdb.connect(str(self.folder / "lake.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


@contextmanager
def person(folder: Path) -> Iterator[Person]:
    with Terminal(PROGRAM, columns=80, rows=24, cwd=folder, env={"SYNCTERM_HOME": str(folder / "home")}) as terminal:
        yield Person(terminal, folder)


def test_a_newcomer_gets_from_nothing_to_rows_by_keyboard_alone(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    (inbox / "orders.csv").write_text("id,name,total\n1,Ana,10.5\n2,Jörg,20\n")
    (inbox / "people.csv").write_text("id,name\n1,Ana\n2,Jörg\n3,Ed\n")
    (inbox / "secrets.csv").write_text("id\n1\n")
    with person(tmp_path) as newcomer:
        newcomer.see("No connectors yet.", "Press  a  to add one")
        newcomer.press("a")
        newcomer.see("Where does the data come from?", "Add a source …")
        newcomer.press("enter")
        newcomer.see("type to search")
        newcomer.type("csv")
        newcomer.terminal.wait_for(lambda now: not any("PostgreSQL" in line for line in now.display))
        newcomer.press("enter")
        newcomer.see("Sources › Add Files")

        # What is missing is said, and the picker finds the folder.
        newcomer.press("ctrl+s")
        newcomer.see("1 field needs your attention: Path.")
        newcomer.press("ctrl+o")
        newcomer.see("╭─ Path", "inbox/", "home/")
        newcomer.type("inb")
        newcomer.see_no("home/")
        newcomer.press("enter")
        newcomer.see("people.csv", "this folder")
        newcomer.press("up", "enter")
        newcomer.see_no("╭─ Path")
        newcomer.see("Name             inbox", f"{tmp_path}/inbox"[:40])
        newcomer.press("ctrl+r")
        newcomer.see("Connection is working", "3 streams.")
        newcomer.press("ctrl+s")

        newcomer.see("inbox offers 3 streams, none selected yet.")
        newcomer.press("space")
        newcomer.see("inbox offers 3 streams, 1 selected.")
        newcomer.press("/")
        newcomer.see("stream, column or type")
        newcomer.type("people")
        newcomer.terminal.wait_for(lambda now: now.line(22).strip() == "people")  # where the search has led
        newcomer.press("enter")
        newcomer.see_no("stream, column or type")
        newcomer.press("space")
        newcomer.see("inbox offers 3 streams, 2 selected.")
        newcomer.press("ctrl+n")

        newcomer.see("Where does the data go?", "Add a destination …")
        newcomer.press("enter")
        newcomer.see("type to search")
        newcomer.type("duckdb")
        newcomer.terminal.wait_for(lambda now: not any("SQLite" in line for line in now.display))
        newcomer.press("enter")
        newcomer.see("Destinations › Add DuckDB")
        newcomer.press("tab")
        newcomer.see("ctrl+o browses")
        newcomer.type(str(tmp_path / "lake.duckdb"))
        newcomer.see("Name             lake.duckdb")
        newcomer.press("ctrl+s")
        newcomer.see("Where does the data go?", "lake.duckdb")
        newcomer.type("raw")
        newcomer.see("raw")
        newcomer.press("enter")

        newcomer.see("How often does it sync by itself?")
        newcomer.press("home", "down", "down", "down", "enter")
        newcomer.see("4 of 4 steps done", "✓ Streams       orders, people", "✓ Schedule      Every hour")
        newcomer.press("v")
        newcomer.see("╭─ Dry run of", "people")
        newcomer.press("enter")
        newcomer.see("╭─ Dry run: orders", "10.5", "Jörg", "float64")
        assert not (tmp_path / "lake.duckdb").exists(), "a dry run writes nothing"
        newcomer.press("escape")
        newcomer.see_no("Dry run: orders")
        newcomer.press("r")
        newcomer.see("Connectors › inbox to lake.duckdb", "5 read = 5 written")
        assert newcomer.lake("select id, name, total from raw.orders order by id") == [(1, "Ana", 10.5), (2, "Jörg", 20.0)]
        assert newcomer.lake("select count(*) from raw.people") == [(3,)]
        assert newcomer.lake("select table_name from information_schema.tables where table_name like '%secrets%'") == []
        newcomer.press("escape")
        newcomer.see_no("Connectors ›")
        newcomer.see("inbox to lake", "● Active")
        newcomer.leave()


def source_of(database: PostgresDatabase) -> dict[str, Any]:
    place = {"host": database.host, "port": database.port, "database": database.database}
    return {"type": "postgres", "config": {**place, "user": role(database), "password": FIRST}}


def role(database: PostgresDatabase) -> str:
    """A role of this test's own: roles are the server's, not the database's."""
    return f"etl_{database.database}"


@pytest.fixture
def clerk(tmp_path: Path, postgres_database: PostgresDatabase) -> Iterator[Person]:
    """Somebody whose connector has synced a table of a PostgreSQL to DuckDB, twice over: one for each schema of the source."""
    name = role(postgres_database)
    postgres_database.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{FIRST}'; CREATE SCHEMA archive AUTHORIZATION {name}")
    for schema, note in (("public", "new"), ("archive", "old")):
        postgres_database.execute(f"CREATE TABLE {schema}.orders (id bigint PRIMARY KEY, note text)")
        postgres_database.execute(f"ALTER TABLE {schema}.orders OWNER TO {name}")
        postgres_database.execute(f"INSERT INTO {schema}.orders SELECT i, '{note} ' || i FROM generate_series(1, 3) AS i")
    document = {
        "version": 1,
        "sources": {"shop": source_of(postgres_database)},
        "destinations": {"lake": {"type": "duckdb", "config": {"path": str(tmp_path / "lake.duckdb")}}},
        "connectors": {
            "orders": {
                "source": "shop",
                "destination": "lake",
                "collection": "raw",
                "streams": [{"name": "orders", "sync_mode": "replace", "schema_policy": "approve"}],
            }
        },
    }
    (tmp_path / "home").mkdir(mode=0o700)
    with Console(tmp_path / "home") as console:
        console.apply(json.dumps(document))
        with person(tmp_path) as made:
            made.see("orders", "● Active")
            wait_completed(made.home, console.sync("orders"))
            made.terminal.wait_for(lambda now: "just now" in now.line(3))
            assert notes(made) == ["new 1", "new 2", "new 3"]
            yield made


def lit(terminal: Terminal, title: str) -> str:
    """The colour behind what is entered in a field; the field that one types into has another than the others."""
    y = next(y for y, line in enumerate(terminal.display) if line.strip().startswith(title))
    return str(terminal.screen.buffer[y][30].bg)


def notes(person: Person) -> list[str]:
    return [note for (note,) in person.lake("select note from raw.orders order by id")]


def test_a_password_that_was_changed_is_mended_from_the_why_panel(clerk: Person, postgres_database: PostgresDatabase) -> None:
    clerk.source_status("Live")
    name = role(postgres_database)
    postgres_database.execute(f"ALTER ROLE {name} PASSWORD '{SECOND}'; INSERT INTO orders VALUES (4, 'new 4')")
    clerk.sync()
    clerk.terminal.wait_for(lambda now: "✗ Broken" in now.line(3))
    clerk.source_status("Re-Auth required")
    clerk.terminal.wait_for(lambda now: "✗ Broken" in now.line(3))

    clerk.press("W")
    clerk.see("╭─ Why: orders", "The source refuses the credentials", "password authentication failed", "1  Edit the source")
    clerk.press("1")
    clerk.see("Sources › shop › Edit", "stored – type to replace", "new secrets apply at once")
    clerk.press("ctrl+r")
    clerk.see("✗ Authentication failed", "Check user and password")
    clerk.terminal.wait_for(lambda now: lit(now, "Password") != lit(now, "• User"))  # the failed test leads to what mends it
    clerk.type(SECOND)
    clerk.see("•" * len(SECOND))
    clerk.press("ctrl+r")
    clerk.see("✓ Connection is working")
    clerk.press("ctrl+s")
    clerk.terminal.wait_for(lambda now: "Connectors" in now.line(0) and "orders" in now.line(3))
    clerk.sync()
    clerk.terminal.wait_for(lambda now: "● Active" in now.line(3))
    assert notes(clerk) == ["new 1", "new 2", "new 3", "new 4"]
    versions = "select c.source_version, s.version from connectors c join sources s on s.id = c.source_id"
    assert store_rows(clerk.home, versions) == [(1, 1)], "a new password is no new version: there is nothing to refresh"
    clerk.source_status("Live")
    clerk.leave()
    for password in (FIRST, SECOND):
        assert password.encode() not in clerk.terminal.raw


def test_an_added_column_arrives_once_it_is_approved(clerk: Person, postgres_database: PostgresDatabase) -> None:
    postgres_database.execute("ALTER TABLE orders ADD COLUMN city text; INSERT INTO orders VALUES (4, 'new 4', 'Graz')")
    clerk.sync()
    wait_until(lambda: len(notes(clerk)) == 4, "the new record is there")
    columns = (
        "select column_name from information_schema.columns where table_name = 'orders' and column_name not like '\\_%' escape '\\'"
    )
    assert sorted(clerk.lake(columns)) == [("id",), ("note",)], "the new column waits for approval"
    clerk.press("A")
    clerk.see("╭─ Schema changes: orders", "waits, syncs go on", "+ city added (text)", "safe")
    clerk.press("y")
    clerk.see("Earlier changes", "approved by ")
    clerk.press("escape")
    clerk.see_no("Schema changes: orders")
    clerk.sync()
    assert clerk.lake("select id, city from raw.orders order by id") == [(1, None), (2, None), (3, None), (4, "Graz")]
    clerk.leave()


def test_connectors_stay_on_their_version_of_an_edited_source_until_it_is_refreshed(clerk: Person) -> None:
    applied = partial(store_rows, clerk.home, "select source_version from connectors")
    clerk.press("2")
    clerk.terminal.wait_for(lambda now: "Sources" in now.line(0) and "shop" in now.line(3))
    clerk.press("e")
    clerk.see("Sources › shop › Edit", "Schema           public")
    clerk.press(*["tab"] * 5)
    clerk.see("its tables and views are the streams")
    clerk.press("ctrl+u")
    clerk.see("* Schema")
    clerk.type("archive")
    clerk.see("Schema           archive")
    clerk.press("ctrl+s")
    clerk.terminal.wait_for(lambda now: "Edit" not in now.line(0) and "shop" in now.line(3))
    clerk.press("1")
    clerk.terminal.wait_for(lambda now: "Connectors" in now.line(0))
    clerk.sync()
    assert notes(clerk) == ["new 1", "new 2", "new 3"], "the connector reads what it applied"
    assert applied() == [(1,)]

    clerk.press("V")
    clerk.see("Schema: public → archive", "Used from the next sync on.")
    clerk.press("y")
    wait_until(lambda: applied() == [(2,)], "the connector is on the present version")
    clerk.see_no("Used from the next sync on.")
    clerk.sync()
    wait_until(lambda: notes(clerk) == ["old 1", "old 2", "old 3"], "the present version is read")
    clerk.leave()
