"""Hostile names on the screens that set up: returned by sources as tables, columns and values, stored as names, typed into fields.

Each test is one visit of a dashboard in a real terminal. Nothing of a name reaches the terminal as anything but text, no
key of a name does anything, and at the end the dashboard quits as it was asked to.
"""

from __future__ import annotations

import json
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.process.engine_process import Console, store_rows, store_value, wait_until
from tests.process.hostile import ONE_OF_EACH, STORABLE, Controls, judge
from tests.process.terminal import KEYS, Terminal
from tests.servers.postgres import PostgresDatabase

PROGRAM = [sys.executable, "-m", "syncterm"]


class Visitor:
    """Somebody at a dashboard who presses keys and looks."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def see(self, *texts: str) -> None:
        self.terminal.wait_for(lambda now: all(any(text in line for line in now.display) for text in texts))

    def see_no(self, text: str) -> None:
        self.terminal.wait_for(lambda now: not any(text in line for line in now.display))

    def press(self, *keys: str) -> None:
        """Press keys, each once what the one before did is painted."""
        for key in keys:
            self.terminal.send(chr(ord(key[-1]) & 0x1F) if key.startswith("ctrl+") and key not in KEYS else KEYS.get(key, key))
            # A key right behind escape would be taken for one with alt.
            self.terminal.settle(0.25 if key == "escape" else 0.05)

    def type(self, text: str) -> None:
        self.terminal.send(text)
        self.terminal.settle(0.1)

    def paste(self, texts: Sequence[str], home: str) -> None:
        """Paste texts into the line that has the focus, one by one, in brackets as terminals do; `home` stays on screen."""
        for text in texts:
            pasted = re.sub("[\0-\x08\x0b-\x1f\x7f]", "", text)  # terminals let no control character into a paste
            self.terminal.send(b"\x1b[200~" + pasted.encode() + b"\x1b[201~")
            self.terminal.settle(0.03)
            self.press("end", "ctrl+u")
        self.see(home)

    def back(self, title: str) -> None:
        """Press escape until the top line names that area and nothing behind it."""
        for _ in range(6):
            if self.terminal.line(0).split("●")[0].strip().split("  ")[0] == title:
                return
            self.press("escape")
            self.terminal.settle(0.2)
        raise AssertionError("\n".join(self.terminal.display))

    def quit(self) -> None:
        self.see("● 0 running")
        self.press("q")
        assert self.terminal.wait() == 0, "no action ran that was not asked for"


@contextmanager
def visit(home: Path, names: Sequence[str], usual: Controls | None, columns: int = 120, rows: int = 40) -> Iterator[Visitor]:
    """A dashboard that is visited and left; then what it wrote is judged."""
    environment = {"SYNCTERM_HOME": str(home)}
    with Terminal(PROGRAM, columns=columns, rows=rows, cwd=home.parent, env=environment) as terminal:
        visitor = Visitor(terminal)
        terminal.wait_for("Connectors")
        terminal.wait_for(lambda now: not any("Opening the store" in line for line in now.display))
        yield visitor
        visitor.quit()
    if usual is not None:
        judge(bytes(terminal.raw), names, usual)
    assert not list(home.parent.rglob("*.svg")), "no screenshot was planted"


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Controls:
    """What the dashboard writes where every name is harmless: it scrolls, opens a dialog, and goes."""
    home = tmp_path_factory.mktemp("usual") / "home"
    home.mkdir(mode=0o700)
    sources = {f"source {number}": {"type": "scripted", "config": {}} for number in range(60)}
    with Console(home) as console:
        console.apply(json.dumps({"version": 1, "sources": sources, "destinations": {}, "connectors": {}}))
    with visit(home, (), None) as visitor:
        visitor.press("2")
        visitor.see("source 30")
        visitor.press(*["j"] * 40, *["k"] * 40, "a")
        visitor.see("Add a source")
        visitor.press("escape")
        visitor.see_no("Add a source")
        terminal = visitor.terminal
    return Controls.of(bytes(terminal.raw))


# What a source returns ----------------------------------------------------------------------------------------------------------


def sql_name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def sqlite_tables(path: Path) -> list[str]:
    """Tables of hostile names, each with a column and a value of that name; those that SQLite takes."""
    made = []
    with closing(sqlite3.connect(path)) as connection:
        for name in STORABLE:
            column = sql_name(name) if name.lower() != "id" else '"other"'
            try:
                connection.execute(f"create table {sql_name(name)} (id integer primary key, {column} text)")
                connection.execute(f"insert into {sql_name(name)} values (1, ?)", (name,))
            except (sqlite3.Error, ValueError):
                continue
            made.append(name)
        connection.commit()
    return made


def postgres_tables(database: PostgresDatabase) -> list[str]:
    """The same in a PostgreSQL, which takes names of up to 63 bytes."""
    taken = ("", "id", "sqlite_master")  # the last is SQLite's own, where they go
    names = [name for name in STORABLE if name.strip() not in taken and "\0" not in name and len(name.encode()) <= 63]
    made = list(dict.fromkeys(names))
    for name in made:
        table = sql_name(name)
        database.execute(f"CREATE TABLE {table} (id bigint PRIMARY KEY, {table} text); INSERT INTO {table} VALUES (1, 'x')")
    return made


def check_columns(terminal: Terminal, words: str) -> int:
    """Those words stand in the same cells of every line that has them; how many lines."""
    lines = ["".join(terminal.cell(x, y)[:1] or " " for x in range(terminal.screen.columns)) for y in range(terminal.screen.lines)]
    places = {line.index(words) for line in lines if words in line}
    assert len(places) <= 1, "\n".join(terminal.display)
    return sum(words in line for line in lines)


def page_through(visitor: Visitor, words: str, least: int) -> None:
    """Go through a list by pages, whose lines all have those words."""
    visitor.press("home")
    lines = check_columns(visitor.terminal, words)
    for _ in range(8):
        visitor.press("pagedown")
        lines += check_columns(visitor.terminal, words)
    assert lines >= least
    visitor.press("home")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_tables_and_columns_of_hostile_names(kind: str, tmp_path: Path, usual: Controls, request: pytest.FixtureRequest) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    if kind == "postgres":
        database = request.getfixturevalue("postgres_database")
        names, config = postgres_tables(database), database.parameters
    else:
        names, config = sqlite_tables(tmp_path / "shop.sqlite"), {"path": str(tmp_path / "shop.sqlite")}
    assert len(names) > 80
    document = {
        "version": 1,
        "sources": {"shop": {"type": kind, "config": config}},
        "destinations": {"lake": {"type": "sqlite", "config": {"path": str(tmp_path / "lake.sqlite")}}},
        "connectors": {},
    }
    with Console(home) as console:
        console.apply(json.dumps(document))
    with visit(home, names, usual) as visitor:
        see_the_source(visitor, names)
        make_a_connector(visitor, names)
        wait_until(lambda: store_value(home, "select state = 'completed' from syncs"), "the first sync is completed")
        assert store_rows(home, "select outcome, error_message from syncs") == [("success", None)]
        see_the_connector(visitor)
        change_every_table(kind, tmp_path, names, request)
        visitor.press("r")
        wait_until(lambda: store_value(home, "select count(*) from syncs where state = 'completed'") == 2, "the second one too")
        review_the_changes(visitor)


def see_the_source(visitor: Visitor, names: Sequence[str]) -> None:
    """Its screen: discover the streams, open some, the other tabs."""
    visitor.press("2")
    visitor.see("Sources", "shop ")
    visitor.press("enter")
    visitor.see("Sources › shop")
    visitor.press("R")
    visitor.see(f"Streams {len(names)}")
    page_through(visitor, " 2 columns ", len(names))
    visitor.press("right", "down", "down", "down", "right", "]", "]", "]", "]")
    visitor.back("Sources")


def make_a_connector(visitor: Visitor, names: Sequence[str]) -> None:
    """The wizard: all streams, a dry run, the first sync."""
    visitor.press("1")
    visitor.see("No connectors yet.")
    visitor.press("a")
    visitor.see("Where does the data come from?", "shop")
    visitor.press("home", "enter")
    visitor.see(f"shop offers {len(names)} streams", " 2 columns ")
    visitor.press("*")
    # Some have control characters in their name, or none at all: no connector can name them, which is said.
    visitor.terminal.wait_for(lambda now: re.search(r" streams, [5-9]\d selected", now.line(3)))
    page_through(visitor, " 2 columns ", len(names))
    visitor.press("right", "down", "right", "ctrl+n")
    visitor.see("Where does the data go?", "lake")
    visitor.press("home", "enter")
    visitor.see("Collection")
    visitor.press("ctrl+n")
    visitor.see("How often does it sync by itself?")
    visitor.press("ctrl+n")
    visitor.see("Create and sync now", "4 of 4 steps done")
    for number in range(0, 20, 4):
        visitor.press("v")
        visitor.see("╭─ Dry run of")
        visitor.press(*["down"] * number, "enter")
        visitor.see("╭─ Dry run: ", "id int64")
        visitor.press("escape")
        visitor.see_no("Dry run: ")
    visitor.press("r")
    visitor.see("Connectors › shop to lake")


def see_the_connector(visitor: Visitor) -> None:
    """Its tabs, its sync's screen, and the panel that says why."""
    visitor.see("● 0 running")
    visitor.press("[")
    visitor.see("Sync mode")
    page_through(visitor, " 2 columns ", 30)
    visitor.press("right", "down", "down", "]")
    visitor.see("Sync ID")
    visitor.press("enter")
    visitor.see("Failed Records")
    visitor.press("pagedown", "]", "pagedown", "]", "pagedown")
    visitor.back("Connectors › shop to lake")
    visitor.press("]", "pageup", "W")
    visitor.see("Why: ")
    visitor.press("n")
    visitor.back("Connectors")


def change_every_table(kind: str, folder: Path, names: Sequence[str], request: pytest.FixtureRequest) -> None:
    """Give every table another column, whose name is a hostile one."""
    changes = [(name, f"{other}+"[-60:]) for name, other in zip(names, reversed(names), strict=True)]
    statements = [
        f"ALTER TABLE {sql_name(name)} ADD COLUMN {sql_name(column)} text" for name, column in changes if column.strip("+")
    ]
    if kind == "postgres":
        database: PostgresDatabase = request.getfixturevalue("postgres_database")
        database.execute("; ".join(sql for sql in statements if len(sql.rpartition("COLUMN")[2].encode()) < 60))
        return
    with closing(sqlite3.connect(folder / "shop.sqlite")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def review_the_changes(visitor: Visitor) -> None:
    visitor.see("● 0 running")
    visitor.press("A")
    visitor.see("╭─ Schema changes: shop to lake", " added (")
    for _ in range(12):
        visitor.press("pagedown")
        check_columns(visitor.terminal, " safe ")
    visitor.press("escape")
    visitor.see_no("Schema changes: ")


# What is typed ------------------------------------------------------------------------------------------------------------------


def test_hostile_text_in_filters_catalog_forms_and_picker(tmp_path: Path, usual: Controls) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    document = {
        "version": 1,
        "sources": {"made": {"type": "scripted", "config": {"records": 3}}},
        "destinations": {"lake": {"type": "sqlite", "config": {"path": str(tmp_path / "lake.sqlite")}}},
        "connectors": {
            "orders": {"source": "made", "destination": "lake", "streams": [{"name": "events", "sync_mode": "replace"}]},
        },
    }
    with Console(home) as console:
        console.apply(json.dumps(document))
    with visit(home, STORABLE, usual) as visitor:
        visitor.see("orders", "● Active")
        for area in "23":  # filters, the catalog, each field of each kind of form, the file picker
            visitor.press(area)
            visitor.see("Sources" if area == "2" else "Destinations", "▌")
            visitor.press("/")
            visitor.see("/ ")
            visitor.paste(ONE_OF_EACH, "All 1")
            visitor.press("escape")
            visitor.see_no("FILTER")
        visitor.press("2")
        visitor.see("made ")
        visitor.press("a")
        visitor.see("type to search", "PostgreSQL")
        visitor.paste(ONE_OF_EACH, "Add a source")
        visitor.type("postgres")
        visitor.see_no("SQLite  ")
        visitor.press("enter")
        visitor.see("Sources › Add PostgreSQL")
        visitor.paste(ONE_OF_EACH, "Add PostgreSQL")
        for _ in range(3):
            visitor.press("tab")
            visitor.paste(ONE_OF_EACH, "Add PostgreSQL")
        leave_the_form(visitor, "Add PostgreSQL")
        visitor.press("a")
        visitor.see("type to search", "PostgreSQL")
        visitor.type("csv")
        visitor.see_no("PostgreSQL")
        visitor.press("enter")
        visitor.see("Sources › Add Files")
        visitor.press("tab")
        visitor.paste(ONE_OF_EACH, "Add Files")
        visitor.press("ctrl+o")
        visitor.see("f2 takes the path")
        visitor.paste(ONE_OF_EACH, "f2 takes the path")
        visitor.press("escape")
        visitor.see_no("f2 takes the path")
        leave_the_form(visitor, "Add Files")
    assert store_rows(home, "select name from connectors") == [("orders",)]


def leave_the_form(visitor: Visitor, title: str) -> None:
    """Leave without saving, through the question whether to, and through the catalog behind it."""
    visitor.press("escape")
    visitor.terminal.settle(0.3)
    if any("Leave without saving?" in line for line in visitor.terminal.display):
        visitor.press("end", "enter")
    visitor.see_no(title)
    visitor.terminal.settle(0.5)
    if any("╭─ Add a source" in line for line in visitor.terminal.display):
        visitor.press("escape")
    visitor.see_no("╭─ ")
    visitor.see("All 1")
