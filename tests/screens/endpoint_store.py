"""A store with sources and destinations in each of the five statuses, what they offer, and what went wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, insert, update
from textual.pilot import Pilot

from syncterm.app import SyncTermApp
from syncterm.engine import audit, source_catalog
from syncterm.engine.model import CheckResult, EndpointKind
from syncterm.engine.schema import Catalog, Field, LogicalType, StreamSchema
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.screens.endpoint import EndpointScreen
from syncterm.screens.endpoints import EndpointsScreen
from tests.screens.conftest import ANA, NOW, Seed, Stage, add, connector_id, failed, fill, seed, until

REFUSED = 'password authentication failed for user "etl"'
TABLES = {EndpointKind.SOURCE: tables.sources, EndpointKind.DESTINATION: tables.destinations}


@dataclass(frozen=True)
class SeedEndpoint:
    """A source or a destination to be; `values` are columns of the store's table."""

    name: str
    type: str = "postgres"
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return connector_id(self.name)


def endpoint(name: str, type_: str = "postgres", **values: Any) -> SeedEndpoint:
    """One whose credentials were accepted, unless its values say otherwise."""
    return SeedEndpoint(name, type_, values)


CONFIG = '{"host": "db.example.com", "database": "billing", "user": "etl", "password": {"environment": "BILLING_PASSWORD"}}'

SOURCES = (
    endpoint("billing-db", config=CONFIG, version=3),
    endpoint(
        "crm-files",
        "file",
        config='{"path": "/srv/crm"}',
        credentials="rejected",
        credentials_ok_at=NOW - timedelta(days=9),
        credentials_at=NOW - timedelta(minutes=12),
        credentials_message="/srv/crm may not be read: permission denied.",
        check_result=CheckResult.PERMISSION_DENIED,
        check_message="/srv/crm may not be read: permission denied.",
        check_at=NOW - timedelta(minutes=12),
    ),
    endpoint("events-lake", "file", config='{"path": "/srv/events/*.parquet"}', check_at=None, check_result=None),
    endpoint("ledger-db", "sqlite", config='{"path": "/srv/ledger.sqlite"}'),
    endpoint(
        "new-warehouse",
        config="{}",
        credentials="never_tested",
        credentials_ok_at=None,
        incomplete_reason="Host is missing",
        check_result=None,
        check_at=None,
    ),
)
"""Sources in the five statuses, in this order: Live, Re-Auth required, Authenticated, Error, Setup."""

DESTINATIONS = (
    endpoint("archive", "file", config='{"path": "/srv/archive"}'),
    endpoint("mart", credentials="never_tested", credentials_ok_at=None, check_result=None, check_at=None),
    endpoint("warehouse", "duckdb", config='{"path": "/srv/warehouse.duckdb"}'),
)

CONNECTORS = (
    seed("billing-hourly", "billing-db", "warehouse", source_version=2),
    seed("billing-nightly", "billing-db", "archive", source_version=3),
    seed("crm-daily", "crm-files", "warehouse"),
    seed("ledger-daily", "ledger-db", "warehouse", **failed("source_transient", "disk I/O error")),
    seed("ledger-paused", "ledger-db", "warehouse", paused_by="person", paused_reason="Paused by ana."),
)


TRAIL: tuple[tuple[str, dict[str, Any]], ...] = (
    ("save_endpoint", {"version": 1}),
    ("test_endpoint", {"result": "Connection is working", "cause": ""}),
    ("save_endpoint", {"Host": "db.example.com", "version": 3}),
)


def stream(name: str, *columns: tuple[str, str]) -> StreamSchema:
    """A stream of a catalog: columns as (name, logical type)."""
    return StreamSchema(name, tuple(Field(column, LogicalType(type_), True, type_) for column, type_ in columns), ())


CATALOG = (
    stream("public.customers", ("id", "int64"), ("email", "text"), ("updated_at", "timestamptz")),
    stream(
        "public.invoices",
        ("id", "int64"),
        ("customer_id", "int64"),
        ("total", "float64"),
        ("paid", "boolean"),
        ("at", "timestamptz"),
    ),
    stream("public.payments", ("id", "int64"), ("invoice_id", "int64"), ("at", "timestamptz")),
)


async def add_endpoints(database: Database, kind: EndpointKind, endpoints: Sequence[SeedEndpoint]) -> None:
    """Write those sources or destinations."""
    async with database.write() as connection:
        for position, one in enumerate(endpoints, start=1):
            values = {
                "id": one.id,
                "name": one.name,
                "type": one.type,
                "config": "{}",
                "version": 1,
                "credentials": "ok",
                "credentials_at": NOW - timedelta(hours=position),
                "credentials_ok_at": NOW - timedelta(hours=position),
                "check_result": CheckResult.WORKING,
                "check_at": NOW - timedelta(hours=position),
                "created_at": NOW - timedelta(days=60 - position),
                "created_by": "ana",
                "updated_at": NOW - timedelta(days=2 * position),
            }
            await connection.execute(insert(TABLES[kind]).values(values | dict(one.values)))


async def fill_endpoints(
    database: Database,
    sources: Sequence[SeedEndpoint] = SOURCES,
    destinations: Sequence[SeedEndpoint] = DESTINATIONS,
    connectors: Sequence[Seed] = CONNECTORS,
) -> None:
    """Write them all, and an engine that holds the lease."""
    await fill(database, ())
    async with database.write() as connection:
        for table in TABLES.values():
            await connection.execute(delete(table))
    await add_endpoints(database, EndpointKind.SOURCE, sources)
    await add_endpoints(database, EndpointKind.DESTINATION, destinations)
    await add(database, connectors)
    async with database.write() as connection:
        await connection.execute(
            update(tables.connectors)
            .where(tables.connectors.c.last_outcome == "success")
            .values(last_success_at=tables.connectors.c.last_sync_at)
        )


async def add_history(database: Database) -> None:
    """What `billing-db` and `ledger-db` have been through."""
    await source_catalog.keep(
        database, connector_id("billing-db"), source_catalog.catalog_rows(Catalog(CATALOG)), NOW - timedelta(minutes=5)
    )
    async with database.write() as connection:
        days = [(NOW - timedelta(days=day)).replace(hour=0) for day in range(3)]
        for name, records in (("billing-db", 30_287), ("ledger-db", 412), ("warehouse", 61_000)):
            await connection.execute(
                insert(tables.rollup_days),
                [
                    {"subject_id": connector_id(name), "day_at": day, "records": records * (position + 1)}
                    for position, day in enumerate(days)
                ],
            )
        for version, by in ((1, "ana"), (2, "ben"), (3, "ana")):
            await connection.execute(
                insert(tables.source_versions).values(
                    source_id=connector_id("billing-db"),
                    version=version,
                    config=CONFIG.replace("billing", f"billing_{version}", 1) if version < 3 else CONFIG,
                    created_at=NOW - timedelta(days=30 // version),
                    created_by=by,
                )
            )
        for number, message in enumerate(("disk I/O error", "database is locked", "disk I/O error"), start=1):
            at = NOW - timedelta(hours=3 * number)
            await connection.execute(
                insert(tables.syncs).values(
                    id=f"0kfailedsync{number:08}",
                    connector_id=connector_id("ledger-daily"),
                    trigger="scheduled",
                    reason="schedule",
                    requested_by="",
                    state="completed",
                    outcome="failed",
                    created_at=at,
                    started_at=at,
                    finished_at=at + timedelta(seconds=9),
                    duration_ms=9_000,
                    error_class="source_transient",
                    error_message=message,
                )
            )
        for number, (operation, after) in enumerate(TRAIL):
            await audit.record(
                connection,
                actor=ANA,
                operation=operation,
                object_type="source",
                object_id=connector_id("billing-db"),
                object_name="billing-db",
                after=after,
                now=NOW - timedelta(days=9 - 3 * number),
            )


def seed_endpoints(stage: Stage, **what: Any) -> None:
    """Fill the stage's store with the standard sources and destinations, or those named."""

    async def write(database: Database, _: Sequence[Seed]) -> None:
        await fill_endpoints(database, **what)
        if not what:
            await add_history(database)

    stage.write(write, ())


async def settle_table(pilot: Pilot[Any]) -> EndpointsScreen:
    """Wait until the table in front shows what the store holds."""
    app = pilot.app
    assert isinstance(app, SyncTermApp)
    await until(
        pilot, lambda: isinstance(app.screen_stack[0], EndpointsScreen) and app.screen_stack[0].query("#table"), "the table"
    )
    screen = app.screen_stack[0]
    assert isinstance(screen, EndpointsScreen)
    await until(pilot, lambda: screen.counts is not None and screen.table.is_settled, "the rows are there")
    await quiet(pilot)
    return screen


async def show(pilot: Pilot[Any], kind: EndpointKind = EndpointKind.SOURCE) -> EndpointsScreen:
    """Go to the table of that kind."""
    await pilot.press("2" if kind is EndpointKind.SOURCE else "3")
    return await settle_table(pilot)


async def settle_detail(pilot: Pilot[Any]) -> EndpointScreen:
    """Wait until the detail screen in front shows everything."""
    await until(pilot, lambda: isinstance(pilot.app.screen, EndpointScreen) and pilot.app.screen.detail is not None, "the details")
    screen = pilot.app.screen
    assert isinstance(screen, EndpointScreen)
    await quiet(pilot)
    return screen


async def quiet(pilot: Pilot[Any]) -> None:
    """Wait until nothing works in the background, twice in a row."""
    for _ in range(2):
        await pilot.pause()
        await until(pilot, lambda: not any(worker.is_running for worker in pilot.app.workers), "nothing works in the background")
