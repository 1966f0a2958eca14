"""Versions of a source: what a change of it means for the connectors that use it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP
from syncterm.engine.drafts import ConfigDifference, Saved
from syncterm.engine.model import CredentialsState, EndpointKind, Outcome
from syncterm.engine.redaction import MASK
from syncterm.engine.source_versions import changed_account_fields, differences, fill_masked, with_secrets_of, without_secrets
from syncterm.engine.store.tables import connectors, source_versions
from tests.engine.workbench import ADMINISTRATOR, Workbench, workbench
from tests.servers.postgres import PostgresDatabase

SOURCE, DESTINATION = EndpointKind.SOURCE, EndpointKind.DESTINATION


# The rules --------------------------------------------------------------------------------------------------------------------

FIELDS = frozenset({("password",), ("headers", "*"), ("keys", "*", "token")})
CONFIG = {
    "host": "a",
    "password": "p1",
    "headers": {"X": "x1"},
    "keys": [{"name": "n1", "token": "t1"}, {"name": "n2", "token": "t2"}],
}
PRESENT = {
    "host": "b",
    "password": "p2",
    "headers": {"X": "x2", "Y": "y2"},
    "keys": [{"name": "n3", "token": "t3"}],
}


def test_configuration_is_what_is_left_without_secrets() -> None:
    assert without_secrets(CONFIG, FIELDS) == {
        "host": "a",
        "headers": {},
        "keys": {"0": {"name": "n1"}, "1": {"name": "n2"}},
    }


def test_the_present_secrets_are_laid_over_an_older_version() -> None:
    assert with_secrets_of(CONFIG, PRESENT, FIELDS) == {
        "host": "a",
        "password": "p2",
        "headers": {"X": "x2", "Y": "y2"},
        "keys": [{"name": "n1", "token": "t3"}, {"name": "n2", "token": "t2"}],
    }
    assert with_secrets_of({"host": "a", "password": "p1"}, {"host": "b"}, FIELDS) == {"host": "a"}
    assert with_secrets_of({"host": "a"}, {"host": "b", "password": "p"}, FIELDS) == {"host": "a", "password": "p"}


TEXTS = st.text(max_size=4)
CONFIGS = st.fixed_dictionaries(
    {"host": TEXTS},
    optional={
        "password": TEXTS,
        "headers": st.dictionaries(st.sampled_from("XYZ"), TEXTS),
        "keys": st.lists(st.fixed_dictionaries({"name": TEXTS}, optional={"token": TEXTS}), max_size=3),
    },
)


@given(CONFIGS, CONFIGS)
def test_laying_secrets_over_changes_no_configuration(config: dict[str, Any], present: dict[str, Any]) -> None:
    laid = with_secrets_of(config, present, FIELDS)
    assert without_secrets(laid, FIELDS) == without_secrets(config, FIELDS)
    assert with_secrets_of(laid, present, FIELDS) == laid
    assert with_secrets_of(config, config, FIELDS) == config


@given(CONFIGS)
def test_masks_are_filled_from_what_is_stored(config: dict[str, Any]) -> None:
    masked = json.loads(json.dumps(config))
    for path in [("password",)]:
        if path[0] in masked:
            masked[path[0]] = MASK
    masked |= {"headers": dict.fromkeys(config["headers"], MASK)} if "headers" in config else {}
    for item in masked.get("keys", []):
        item |= {"token": MASK} if "token" in item else {}
    assert fill_masked(masked, config, FIELDS) == (config, [])


def test_a_mask_without_a_stored_secret_is_named() -> None:
    filled, lacking = fill_masked({"host": MASK, "keys": [{"token": MASK}]}, {"keys": []}, FIELDS)
    assert filled["host"] == MASK  # no secret field: it is what somebody wrote
    assert lacking == [("keys", "0", "token")]


POSTGRES = {"host": "a", "database": "d", "user": "u", "password": "p"}


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, ()),
        ({"password": "q"}, ()),
        ({"database": "e", "schema": "s", "sslmode": "require"}, ()),
        ({"port": 5432}, ()),  # the default
        ({"port": 5433, "host": "b"}, ("host", "port")),
        ({"user": "v"}, ("user",)),
    ],
)
def test_an_account_of_postgresql_is_host_port_and_user(change: dict[str, Any], fields: tuple[str, ...]) -> None:
    assert changed_account_fields(SOURCES_GROUP, "postgres", POSTGRES, {**POSTGRES, **change}) == fields
    assert changed_account_fields(DESTINATIONS_GROUP, "postgres", POSTGRES, {**POSTGRES, **change}) == fields


def test_where_an_adapter_does_not_say_every_setting_makes_the_account() -> None:
    assert changed_account_fields(SOURCES_GROUP, "sqlite", {"path": "a"}, {"path": "b"}) == ("path",)


def test_differences_have_titles_and_no_secrets() -> None:
    found = differences(SOURCES_GROUP, "postgres", POSTGRES, {**POSTGRES, "password": "q", "schema": "s", "port": 5432})
    assert found == (
        ConfigDifference("schema", "Schema", "public", "s"),
        ConfigDifference("password", "Password", MASK, MASK),
    )
    (reference,) = differences(SOURCES_GROUP, "postgres", POSTGRES, {**POSTGRES, "password": "${env:P}"})
    assert (reference.applied, reference.present) == (MASK, "${env:P}")


# What connectors use ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Workbench]:
    async with workbench(tmp_path / "home", schedule=False) as bench:
        yield bench


def database_of(path: Path, *values: int) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
    connection.close()
    return path


def arrived(path: Path) -> list[int]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute("SELECT id FROM t ORDER BY id").fetchall()
    connection.close()
    return [row[0] for row in rows]


def document(source: Path, destination: Path) -> str:
    return f"""
version: 1
sources: {{s: {{type: sqlite, config: {{path: {source}}}}}}}
destinations: {{d: {{type: sqlite, config: {{path: {destination}}}}}}}
connectors:
  c: {{source: s, destination: d, streams: [{{name: t, sync_mode: replace}}]}}
"""


async def change(bench: Workbench, kind: EndpointKind, **config: Any) -> Saved:
    rows = await (bench.engine.queries.sources() if kind is SOURCE else bench.engine.queries.destinations())
    draft = await bench.engine.queries.endpoint_draft(kind, rows[0].id)
    assert draft is not None
    saved: Saved = await bench.engine.operations.save_endpoint(ADMINISTRATOR, replace(draft, config={**draft.config, **config}))
    return saved


async def applied(bench: Workbench) -> int:
    async with bench.engine.database.read() as connection:
        return int((await connection.execute(select(connectors.c.source_version))).scalar_one())


async def succeed(bench: Workbench) -> None:
    detail = await bench.sync("c")
    assert detail.row.outcome is Outcome.SUCCESS, detail.row.error_message


async def test_a_changed_source_waits_for_a_refresh(bench: Workbench, tmp_path: Path) -> None:
    old, new, out = database_of(tmp_path / "a.db", 1), database_of(tmp_path / "b.db", 2, 3), tmp_path / "out.db"
    await bench.apply(document(old, out))
    connector_id = await bench.id_of("c")
    saved = await change(bench, SOURCE, path=str(new))
    assert saved.version == 2
    assert saved.message == "Source 's' is saved as version 2; 1 connector stays on its version until refreshed."
    await succeed(bench)
    assert arrived(out) == [1]
    assert await bench.engine.queries.version_difference(connector_id) == (
        ConfigDifference("path", "Database file", str(old), str(new)),
    )
    detail = await bench.engine.queries.endpoint_detail(SOURCE, saved.id)
    assert detail is not None
    assert [(use.name, use.applied_version, use.outdated) for use in detail.uses] == [("c", 1, True)]
    assert [(version.version, version.used_by) for version in detail.versions] == [(2, 0), (1, 1)]
    (result,) = await bench.engine.operations.refresh_source(ADMINISTRATOR, [connector_id])
    assert result.done, result.message
    assert await bench.engine.queries.version_difference(connector_id) == ()
    await succeed(bench)
    assert arrived(out) == [2, 3]
    (again,) = await bench.engine.operations.refresh_source(ADMINISTRATOR, [connector_id])
    assert not again.done
    assert "on the present version 2" in again.message


async def test_an_older_version_in_use_changes_neither_the_catalog_nor_itself(bench: Workbench, tmp_path: Path) -> None:
    old, new, out = database_of(tmp_path / "a.db", 1), database_of(tmp_path / "b.db", 2), tmp_path / "out.db"
    with closing(sqlite3.connect(new)) as connection:
        connection.execute("CREATE TABLE only_there (id INTEGER)")
    await bench.apply(document(old, out).replace("{name: t, ", "{name: t, schema_policy: apply_all, "))
    await succeed(bench)
    saved = await change(bench, SOURCE, path=str(new))
    assert await bench.engine.operations.discover(ADMINISTRATOR, saved.id) == 2
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("CREATE TABLE only_here (id INTEGER)")
    await succeed(bench)
    assert [entry.name for entry in await bench.engine.queries.source_streams(saved.id)] == ["only_there", "t"]
    assert await bench.engine.queries.schema_changes(await bench.id_of("c")) == ()
    assert await applied(bench) == 1


async def test_approving_a_schema_change_does_not_refresh_the_source(bench: Workbench, tmp_path: Path) -> None:
    old, out = database_of(tmp_path / "a.db", 1), tmp_path / "out.db"
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("ALTER TABLE t ADD note TEXT")
    await bench.apply(document(old, out).replace("sync_mode: replace", "sync_mode: replace, columns: [id, note]"))
    await succeed(bench)
    await change(bench, SOURCE, path=str(database_of(tmp_path / "b.db", 2)))
    with closing(sqlite3.connect(old)) as connection:
        connection.execute("ALTER TABLE t DROP note")
    assert (await bench.sync("c")).row.outcome is Outcome.FAILED
    (result,) = await bench.engine.operations.approve_schema(ADMINISTRATOR, [await bench.id_of("c")])
    assert result.done, result.message
    assert await applied(bench) == 1
    await succeed(bench)
    assert arrived(out) == [1]


async def test_a_changed_destination_is_used_at_once(bench: Workbench, tmp_path: Path) -> None:
    source, first, second = database_of(tmp_path / "a.db", 1), tmp_path / "first.db", tmp_path / "second.db"
    await bench.apply(document(source, first))
    saved = await change(bench, DESTINATION, path=str(second))
    assert saved.message == "Destination 'd' is saved; 1 connector uses it from the next sync on."
    await succeed(bench)
    assert (first.exists(), arrived(second)) == (False, [1])
    assert (await bench.engine.queries.version_difference(await bench.id_of("c"))) == ()


async def test_a_document_writes_versions_and_refreshes_the_connectors_it_holds(bench: Workbench, tmp_path: Path) -> None:
    old, new, out = database_of(tmp_path / "a.db", 1), database_of(tmp_path / "b.db", 2), tmp_path / "out.db"
    await bench.apply(document(old, out))
    await bench.apply(document(new, out))
    assert await applied(bench) == 2
    async with bench.engine.database.read() as connection:
        rows = (await connection.execute(select(source_versions).order_by(source_versions.c.version))).all()
    assert [(row.version, json.loads(row.config)["path"], row.created_by) for row in rows] == [
        (1, str(old), "tester"),
        (2, str(new), "tester"),
    ]
    only_source = document(old, out).partition("destinations")[0]
    await bench.apply(only_source)
    assert await applied(bench) == 2
    await succeed(bench)
    assert arrived(out) == [2]


# Credentials ------------------------------------------------------------------------------------------------------------------


def role(database: PostgresDatabase, name: str, password: str) -> None:
    database.execute(f"""
        DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{name}') THEN CREATE ROLE {name} LOGIN; END IF; END $$;
        ALTER ROLE {name} PASSWORD '{password}';
        GRANT USAGE ON SCHEMA public, later TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA public, later TO {name}""")


@pytest.fixture
async def shop(bench: Workbench, postgres_database: PostgresDatabase, tmp_path: Path) -> PostgresDatabase:
    """A connector "c" that reads `public.t` as the role reader_one, which could read `later.t` as well."""
    postgres_database.execute("""
        CREATE TABLE t (id bigint PRIMARY KEY); INSERT INTO t VALUES (1);
        CREATE SCHEMA later; CREATE TABLE later.t (id bigint PRIMARY KEY); INSERT INTO later.t VALUES (2), (3)""")
    role(postgres_database, "reader_one", "first-password")
    settings = {**postgres_database.parameters, "user": "reader_one", "password": "first-password"}
    await bench.apply(f"""
version: 1
sources: {{s: {{type: postgres, config: {json.dumps(settings)}}}}}
destinations: {{d: {{type: sqlite, config: {{path: {tmp_path}/out.db}}}}}}
connectors:
  c: {{source: s, destination: d, streams: [{{name: t, sync_mode: replace}}]}}
""")
    return postgres_database


async def test_new_secrets_of_the_same_account_are_used_at_once_by_every_version(
    bench: Workbench, shop: PostgresDatabase, tmp_path: Path
) -> None:
    await succeed(bench)
    await change(bench, SOURCE, schema="later")
    role(shop, "reader_one", "second-password")
    assert (await bench.sync("c")).row.outcome is Outcome.FAILED
    saved = await change(bench, SOURCE, password="second-password")
    assert saved.version == 2
    assert saved.message == "Source 's' is saved; 1 connector uses it from the next sync on."
    assert await applied(bench) == 1
    await succeed(bench)
    assert arrived(tmp_path / "out.db") == [1]
    assert [difference.field for difference in await bench.engine.queries.version_difference(await bench.id_of("c"))] == ["schema"]


async def test_another_account_keeps_its_own_secret(bench: Workbench, shop: PostgresDatabase, tmp_path: Path) -> None:
    role(shop, "reader_two", "other-password")
    await change(bench, SOURCE, user="reader_two", password="other-password", schema="later")
    await succeed(bench)
    assert arrived(tmp_path / "out.db") == [1]
    await bench.engine.operations.refresh_source(ADMINISTRATOR, [await bench.id_of("c")])
    await succeed(bench)
    assert arrived(tmp_path / "out.db") == [2, 3]


async def test_what_an_older_account_meets_says_nothing_of_the_present_one(bench: Workbench, shop: PostgresDatabase) -> None:
    role(shop, "reader_two", "other-password")
    await succeed(bench)
    await change(bench, SOURCE, user="reader_two", password="other-password")
    (row,) = await bench.engine.queries.sources()
    assert row.credentials is CredentialsState.NEVER_TESTED
    await succeed(bench)
    assert (await bench.engine.queries.sources())[0].credentials is CredentialsState.NEVER_TESTED
    role(shop, "reader_one", "changed-on-the-server")
    assert (await bench.sync("c")).row.outcome is Outcome.FAILED
    assert (await bench.engine.queries.sources())[0].credentials is CredentialsState.NEVER_TESTED
    await bench.engine.operations.test_connection(ADMINISTRATOR, await bench.id_of("c"), lambda end, step: None)
    assert (await bench.engine.queries.sources())[0].credentials is CredentialsState.NEVER_TESTED
