"""The one object that answers what a screen or the command line asks. Each answer is one short read of one moment of the store."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select

from syncterm.engine import source_catalog
from syncterm.engine.advice import Advice
from syncterm.engine.clock import Clock
from syncterm.engine.drafts import CatalogEntry, ConfigDifference, ConnectorDraft, EndpointDraft
from syncterm.engine.lease import Lease
from syncterm.engine.model import EndpointKind, Outcome
from syncterm.engine.queries import advice as _advice
from syncterm.engine.queries import connectors as _connectors
from syncterm.engine.queries import endpoint_detail as _endpoints
from syncterm.engine.queries import schema_changes as _schema_changes
from syncterm.engine.queries import set_up
from syncterm.engine.queries import status_expressions as expressions
from syncterm.engine.queries import streams as _streams
from syncterm.engine.queries import syncs as _syncs
from syncterm.engine.queries.endpoints import endpoint_rows
from syncterm.engine.queries.rows import (
    AuditRow,
    ConnectorCounts,
    ConnectorDetail,
    ConnectorQuery,
    ConnectorRow,
    EndpointDetail,
    EndpointRow,
    EngineState,
    FailedRecordRow,
    FailureGroup,
    LogLine,
    SchemaChangeRow,
    SyncDetail,
    SyncRow,
    TrendPoint,
)
from syncterm.engine.queries.streams import ConnectorStreams
from syncterm.engine.queries.troubleshooting import Troubles, connector_troubles
from syncterm.engine.schema import StreamSchema
from syncterm.engine.store.database import Database
from syncterm.engine.store.tables import audit_events, connectors, lease
from syncterm.engine.stream_defaults import Suggestion


class Queries:
    """What the store says, for people. Every method may raise StoreError: the store is damaged or cannot be read."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._watch = Lease(database, clock, holder="")  # never acquires; it knows whether a holder has gone silent

    # Connectors -------------------------------------------------------------------------------------------------------------

    async def connector_keys(self, query: ConnectorQuery) -> list[str]:
        """The ids that a query matches, in its order; NULLs last in both directions, ties by id.

        Raises:
            ConfigError: an unknown sort or field.
        """
        async with self._database.read() as connection:
            return await _connectors.connector_keys(connection, query)

    async def connector_rows(self, ids: Sequence[str]) -> dict[str, ConnectorRow]:
        """The rows of those connectors, in that order; those that are deleted are left out."""
        async with self._database.read() as connection:
            return await _connectors.connector_rows(connection, ids)

    async def connector_counts(self, query: ConnectorQuery) -> ConnectorCounts:
        """How many connectors match a query, by status."""
        async with self._database.read() as connection:
            return await _connectors.connector_counts(connection, query)

    async def changed_connectors(self, after: int) -> tuple[int, frozenset[str], bool]:
        """What changed since a sequence number (0: everything): the new number, ids, and whether rows were added or removed."""
        async with self._database.read() as connection:
            return await _connectors.changed_connectors(connection, after)

    async def connector(self, id_or_name: str) -> ConnectorDetail | None:
        """Everything about one connector; None where there is none of that id or name."""
        async with self._database.read() as connection:
            holder = self._watch.describe((await connection.execute(select(lease))).first())
            runs = holder is not None and holder.alive
            return await _connectors.connector_detail(connection, id_or_name, self._clock.now(), engine_runs=runs)

    # Setting connectors up --------------------------------------------------------------------------------------------------

    async def connector_draft(self, connector_id: str) -> ConnectorDraft | None:
        """A connector as its editors take it, with the version that it has; None where there is none."""
        async with self._database.read() as connection:
            return await set_up.connector_draft(connection, connector_id)

    async def connector_streams(self, connector_id: str) -> ConnectorStreams | None:
        """A connector's streams as its Schema tab edits them, without their columns; None where there is no such connector."""
        async with self._database.read() as connection:
            return await _streams.connector_streams(connection, connector_id)

    async def stream_schema(self, connector_id: str, name: str) -> StreamSchema | None:
        """The columns of one stream: as last applied, before the first sync as its source offers them; None where nobody knows."""
        async with self._database.read() as connection:
            return await _streams.stream_schema(connection, connector_id, name)

    async def stream_suggestions(self, source_id: str) -> Mapping[str, Suggestion]:
        """The keys and cursors that a source's catalog suggests, by stream."""
        async with self._database.read() as connection:
            return await _streams.stream_suggestions(connection, source_id)

    async def stream_volumes(self, connector_id: str, names: Collection[str]) -> Mapping[str, tuple[int, int]]:
        """The most records and bytes that one of the latest syncs read of each of those streams: it has as many at least."""
        async with self._database.read() as connection:
            return await _streams.stream_volumes(connection, connector_id, names)

    async def streams_with_column(self, connector_id: str, text: str) -> frozenset[str]:
        """The streams that have a column whose name or type contains the text, upper and lower case alike (ASCII)."""
        async with self._database.read() as connection:
            return await _streams.streams_with_column(connection, connector_id, text)

    async def source_streams(self, source_id: str) -> tuple[CatalogEntry, ...]:
        """What a source offered at its last discovery, in its order; empty where nobody has looked yet."""
        async with self._database.read() as connection:
            return await set_up.source_streams(connection, source_id)

    async def source_streams_with_column(self, source_id: str, text: str) -> frozenset[str]:
        """As `streams_with_column`, of what a source offers."""
        async with self._database.read() as connection:
            return await _streams.source_streams_with_column(connection, source_id, text)

    async def source_stream(self, source_id: str, name: str) -> StreamSchema | None:
        """One stream of a source with its columns; None where the source did not offer it."""
        async with self._database.read() as connection:
            return await source_catalog.load_stream(connection, source_id, name)

    async def shared_tables(
        self, destination_id: str, collection: str, tables: Iterable[str], without: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Tables of a destination's collection that another connector fills already, each with that connector's name."""
        async with self._database.read() as connection:
            return await set_up.shared_tables(connection, destination_id, collection, tables, without)

    async def troubles(self, connector_id: str) -> Troubles | None:
        """What is wrong with a connector, and what mends it; None where there is none of that id."""
        async with self._database.read() as connection:
            holder = self._watch.describe((await connection.execute(select(lease))).first())
            runs = holder is not None and holder.alive
            return await connector_troubles(connection, connector_id, self._clock.now(), engine_runs=runs)

    async def schedule_advice(self, connector_id: str) -> tuple[Advice, ...]:
        """What its history advises about a connector's schedule, the most important first; empty with little history."""
        async with self._database.read() as connection:
            return await _advice.schedule_advice(connection, connector_id, self._clock.now())

    # Syncs --------------------------------------------------------------------------------------------------------------------

    async def sync_page(
        self,
        connector_id: str | None,
        *,
        before: str | None = None,
        limit: int = 50,
        outcome: Outcome | None = None,
        only_open: bool = False,
    ) -> list[SyncRow]:
        """Syncs of one connector or of all (None), the newest first.

        Args:
            before: the id of the last sync of the page before; empty where that sync is gone, because then all older ones are.
            outcome: only those that ended so.
            only_open: only those that have not ended.
        """
        async with self._database.read() as connection:
            return await _syncs.sync_page(connection, connector_id, before, limit, outcome, only_open)

    async def sync(self, sync_id: str) -> SyncDetail | None:
        """One sync with its streams and attempts; None where there is none."""
        async with self._database.read() as connection:
            return await _syncs.sync_detail(connection, sync_id)

    async def duration_trend(self, connector_id: str, count: int = 60) -> list[TrendPoint]:
        """The newest finished syncs of a connector, the oldest of them first."""
        async with self._database.read() as connection:
            return await _syncs.duration_trend(connection, connector_id, count)

    async def failure_groups(self, connector_id: str | None, since: datetime) -> list[FailureGroup]:
        """Failed syncs of one connector or of all, the same error grouped, the most frequent first."""
        async with self._database.read() as connection:
            return await _syncs.failure_groups(connection, connector_id, since)

    async def log_lines(
        self,
        connector_id: str | None,
        sync_id: str | None = None,
        *,
        after_id: int = 0,
        before_id: int | None = None,
        limit: int = 500,
    ) -> list[LogLine]:
        """Log lines, the oldest first: the next ones after `after_id`, or the last ones before `before_id`, or the newest."""
        async with self._database.read() as connection:
            return await _syncs.log_page(connection, connector_id, sync_id, after_id, before_id, limit)

    async def failed_records(
        self,
        connector_id: str | None = None,
        sync_id: str | None = None,
        *,
        stream: str | None = None,
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[FailedRecordRow]:
        """Records that were set aside, the newest first."""
        async with self._database.read() as connection:
            return await _syncs.failed_record_page(connection, connector_id, sync_id, stream, before_id, limit)

    # Schema changes -----------------------------------------------------------------------------------------------------------

    async def schema_changes(self, connector_id: str, *, limit: int = 50) -> tuple[SchemaChangeRow, ...]:
        """The changes of the source's schema that wait, the oldest first; then what became of the others, the newest first.

        Args:
            limit: how many of the others.
        """
        async with self._database.read() as connection:
            return await _schema_changes.schema_change_rows(connection, connector_id, limit)

    async def waiting_schema_changes(self, connector_id: str) -> int:
        """How many changes wait for a person."""
        async with self._database.read() as connection:
            return await _schema_changes.waiting_count(connection, connector_id)

    # Sources, destinations, the engine ------------------------------------------------------------------------------------------

    async def sources(self) -> list[EndpointRow]:
        """Every source, by name."""
        async with self._database.read() as connection:
            return await endpoint_rows(connection, EndpointKind.SOURCE, self._clock.now())

    async def destinations(self) -> list[EndpointRow]:
        """Every destination, by name."""
        async with self._database.read() as connection:
            return await endpoint_rows(connection, EndpointKind.DESTINATION, self._clock.now())

    async def endpoint_draft(self, kind: EndpointKind, endpoint_id: str) -> EndpointDraft | None:
        """A source or destination as its form takes it, secrets masked; None where there is none."""
        async with self._database.read() as connection:
            return await _endpoints.endpoint_draft(connection, kind, endpoint_id)

    async def endpoint_detail(self, kind: EndpointKind, endpoint_id: str) -> EndpointDetail | None:
        """Everything about a source or destination but its streams and its audit trail; None where there is none."""
        async with self._database.read() as connection:
            return await _endpoints.endpoint_detail(connection, kind, endpoint_id, self._clock.now())

    async def version_difference(self, connector_id: str) -> tuple[ConfigDifference, ...]:
        """What a refresh would change of the source's configuration that a connector uses; empty where nothing."""
        async with self._database.read() as connection:
            return await _endpoints.version_difference(connection, connector_id)

    async def audit(self, object_id: str | None = None, *, before_id: int | None = None, limit: int = 100) -> list[AuditRow]:
        """The audit trail of one object or of all, the newest first."""
        columns = [audit_events.c[name] for name in AuditRow.__slots__]
        statement = select(*columns).order_by(audit_events.c.id.desc()).limit(limit)
        if object_id is not None:
            statement = statement.where(audit_events.c.object_id == object_id)
        if before_id is not None:
            statement = statement.where(audit_events.c.id < before_id)
        async with self._database.read() as connection:
            return [AuditRow(*row) for row in await connection.execute(statement)]

    async def engine_state(self) -> EngineState:
        """Who executes, and how much there is to do."""
        async with self._database.read() as connection:
            holder = self._watch.describe((await connection.execute(select(lease))).first())
            _, running, queued = await _connectors.activity_counts(connection)
            broken = (
                await connection.execute(
                    select(func.count()).where(
                        connectors.c.deleted_at.is_(None), connectors.c.paused_by.is_(None), expressions.is_broken()
                    )
                )
            ).scalar_one()
            earliest: datetime | None = (
                await connection.execute(select(func.min(connectors.c.next_fire_at)).where(connectors.c.next_fire_at.is_not(None)))
            ).scalar()
        return EngineState(holder, running, queued, broken, earliest, self._clock.now())
