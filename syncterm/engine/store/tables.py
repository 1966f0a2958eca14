"""The store's tables, as SQLAlchemy Core.

Facts, never statuses: what is set up, what was seen, what is asked for. Instants are whole milliseconds since 1970, UTC
(`Instant`); durations are milliseconds; documents are JSON text. Identifiers are `identifiers.new_id` texts.
Every column that a table of the dashboard sorts by has an index that ends in the id.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger as _BigInteger
from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    func,
    literal_column,
    text,
    type_coerce,
)
from sqlalchemy.engine import Dialect

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

BigInteger = _BigInteger().with_variant(Integer(), "sqlite")
"""64 bits on every dialect; SQLite needs INTEGER for a row id alias."""


class Instant(TypeDecorator[datetime]):
    """An aware datetime in UTC, kept as whole milliseconds since 1970."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else (value - EPOCH) // _MILLISECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else EPOCH + timedelta(milliseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

lease = Table(
    "lease",
    metadata,
    Column("id", Integer, primary_key=True),  # always 1
    Column("epoch", BigInteger, nullable=False),
    Column("holder", String(64)),  # identifier of the process's engine; NULL once released
    Column("scope", String(32)),  # lease.process_scope(): pids are comparable only within the same one
    Column("pid", Integer),
    Column("host", String(255)),
    Column("user_name", String(255)),
    Column("acquired_at", Instant),
    Column("beats", BigInteger, nullable=False, default=0),  # grows with every heartbeat: what others watch
    Column("heartbeat_at", Instant),
    Column("expires_at", Instant),
)
"""One row: which engine executes, and its fencing token."""


def _endpoint_columns() -> list[Column[Any]]:
    return [
        Column("id", String(32), primary_key=True),
        Column("name", String(200), nullable=False),
        Column("type", String(64), nullable=False),
        Column("config", Text, nullable=False),  # JSON; secret values sealed or references
        Column("version", Integer, nullable=False, default=1),
        Column("credentials", String(16), nullable=False, default="never_tested"),
        Column("credentials_at", Instant),
        Column("credentials_ok_at", Instant),  # when they were last accepted; NULL: never
        Column("credentials_error_class", String(32)),
        Column("credentials_message", Text),
        Column("incomplete_reason", Text),  # what a draft still lacks; NULL: the set-up is complete
        Column("check_result", String(32)),  # model.CheckResult of its own last test; NULL: never tested
        Column("check_message", Text),
        Column("check_at", Instant),
        Column("created_at", Instant, nullable=False),
        Column("created_by", String(255), nullable=False),
        Column("updated_at", Instant, nullable=False),
        Column("deleted_at", Instant),
        Column("deleted_by", String(255)),
    ]


sources = Table(
    "sources",
    metadata,
    *_endpoint_columns(),
    Column("catalog_at", Instant),  # of the last discovery; its streams are in `catalog_streams`
)

destinations = Table("destinations", metadata, *_endpoint_columns())

for _table in (sources, destinations):
    Index(f"uq_{_table.name}_live_name", _table.c.name, unique=True, sqlite_where=_table.c.deleted_at.is_(None))

source_versions = Table(
    "source_versions",
    metadata,
    Column("source_id", String(32), ForeignKey("sources.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("config", Text, nullable=False),  # as in `sources`
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(255), nullable=False),
)
"""Every configuration a source has had, the present one included: connectors stay on the version that they applied."""

catalog_streams = Table(
    "catalog_streams",
    metadata,
    Column("source_id", String(32), ForeignKey("sources.id"), primary_key=True),
    Column("name", String(1024), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("fingerprint", String(16), nullable=False),
    Column("column_count", Integer, nullable=False),
    Column("schema", Text, nullable=False),  # StreamSchema.to_text()
    Column("found_at", Instant, nullable=False),  # of the discovery that found it first
)
"""What a source offered at its last discovery, one row a stream, so that a list of thousands costs no parsing."""

CHANGE_SEQUENCE = text("(SELECT COALESCE(MAX(changed_at), 0) + 1 FROM connectors)")
"""The next value of `connectors.changed_at`, inside a write transaction. Inserts and updates take it by themselves."""

connectors = Table(
    "connectors",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("source_id", String(32), ForeignKey("sources.id")),
    Column("destination_id", String(32), ForeignKey("destinations.id")),
    Column("source_version", Integer),  # the version of the source that this connector applied
    Column("collection", String(255), nullable=False, default=""),
    Column("version", Integer, nullable=False, default=1),
    Column("created_at", Instant, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("updated_at", Instant, nullable=False),
    Column("deleted_at", Instant),
    Column("deleted_by", String(255)),
    # set-up
    Column("configuration_complete", Boolean, nullable=False, default=False),
    Column("incomplete_reason", Text),
    Column("schema_change", Text),  # JSON of the unapproved breaking difference
    Column("schema_policy", String(32), nullable=False, default="approve"),
    Column("blackout", Text, nullable=False, default="[]"),  # JSON list of blackout windows
    Column("reject_limit_count", Integer, nullable=False, default=10_000),
    Column("reject_limit_share", Integer, nullable=False, default=10),  # per cent; both must be exceeded
    Column("stall_limit_ms", BigInteger, nullable=False, default=600_000),
    # schedule
    Column("schedule_kind", String(16), nullable=False, default="manual"),
    Column("schedule_every_ms", BigInteger),
    Column("schedule_expression", String(255)),
    Column("schedule_timezone", String(64), nullable=False, default="UTC"),
    Column("catch_up", String(8), nullable=False, default="once"),  # once | skip
    Column("anchor_at", Instant),
    Column("offset_ms", BigInteger, nullable=False, default=0),
    Column("next_fire_at", Instant),  # NULL: not due by itself (manual, paused, incomplete, deleted)
    Column("due_since", Instant),  # due while a sync ran: one coalesced sync follows
    Column("missed", Integer, nullable=False, default=0),  # fire times missed before the last catch-up
    # paused
    Column("paused_by", String(16)),
    Column("paused_reason", Text),
    Column("paused_at", Instant),
    # connection test
    Column("check_result", String(32)),  # model.CheckResult; NULL: never tested
    Column("check_error_class", String(32)),
    Column("check_message", Text),
    Column("check_at", Instant),
    # the last finished sync
    Column("last_sync_id", String(32)),
    Column("last_sync_at", Instant),
    Column("last_outcome", String(16)),
    Column("last_error_class", String(32)),
    Column("last_error_message", Text),
    Column("last_success_at", Instant),
    Column("last_duration_ms", BigInteger),
    Column("last_records", BigInteger),
    Column("last_bytes", BigInteger),
    Column("last_rejected", BigInteger),
    Column("consecutive_failures", Integer, nullable=False, default=0),
    Column("failing_since", Instant),
    # what it does now
    Column("activity", String(16), nullable=False, default="idle"),
    Column("activity_reason", Text),  # why it waits: the limit that blocks, the queue position, the fault it backs off from
    Column("activity_at", Instant),
    Column("active_sync_id", String(32)),
    Column("attempt", Integer),
    Column("back_off_until", Instant),
    Column("progress_stream", String(255)),
    Column("progress_records", BigInteger),
    Column("progress_bytes", BigInteger),
    Column("progress_expected", BigInteger),  # records expected in all, NULL where unknown
    # grows with every change of the row: what a live table asks for
    Column("changed_at", BigInteger, nullable=False, default=CHANGE_SEQUENCE, onupdate=CHANGE_SEQUENCE),
    Column("listed_at", BigInteger, nullable=False, default=CHANGE_SEQUENCE),  # changed_at when the row was last added or restored
)
Index(
    "uq_connectors_live_name",
    connectors.c.name,
    unique=True,
    sqlite_where=connectors.c.deleted_at.is_(None),
    postgresql_where=connectors.c.deleted_at.is_(None),
)
Index("ix_connectors_due", connectors.c.next_fire_at, sqlite_where=connectors.c.next_fire_at.isnot(None))
Index("ix_connectors_changed_at", connectors.c.changed_at)
LIVE_CONNECTOR = connectors.c.deleted_at.is_(None)
"""Connectors that are not deleted. Orders and counts of these read an index and nothing else."""
SCANNED_LIVE_CONNECTOR = func.coalesce(type_coerce(connectors.c.deleted_at, BigInteger), 0) == 0
"""The same, for what looks at other columns of all of them: reading the table in its order is faster than through an index."""
for _name, _columns in {
    "name": (func.lower(connectors.c.name),),
    "last_sync": (connectors.c.last_sync_at,),
    "next_fire": (connectors.c.next_fire_at,),
    "duration": (connectors.c.last_duration_ms,),
    "records": (connectors.c.last_records,),
    "created": (connectors.c.created_at,),
    "activity": (connectors.c.activity,),
    "source": (connectors.c.source_id, connectors.c.destination_id),
    "destination": (connectors.c.destination_id, connectors.c.source_id),
}.items():
    Index(f"ix_connectors_live_{_name}", *_columns, connectors.c.id, sqlite_where=LIVE_CONNECTOR, postgresql_where=LIVE_CONNECTOR)

streams = Table(
    "streams",
    metadata,
    Column("connector_id", String(32), ForeignKey("connectors.id"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("position", Integer, nullable=False),
    Column("selected", Boolean, nullable=False, default=True),
    Column("sync_mode", String(32), nullable=False),
    Column("primary_key", Text, nullable=False, default="[]"),  # JSON list
    Column("cursor_field", String(255)),
    Column("columns", Text),  # JSON list; NULL: all
    Column("casts", Text, nullable=False, default="{}"),  # JSON object, column → logical type
    Column("row_filter", Text),
    Column("include_null_cursor", Boolean, nullable=False, default=False),
    Column("look_back_ms", BigInteger),
    Column("target_table", String(255)),
    Column("delete_handling", String(8), nullable=False, default="keep"),
    Column("schema_policy", String(32)),  # NULL: the connector's
    # a schedule of its own; all NULL: with its connector
    Column("schedule_kind", String(16)),
    Column("schedule_every_ms", BigInteger),
    Column("schedule_expression", String(255)),
    Column("schedule_timezone", String(64)),
    Column("anchor_at", Instant),
    Column("offset_ms", BigInteger),
    Column("next_fire_at", Instant),
    Column("due_since", Instant),
    Column("schema_fingerprint", String(16)),  # schema.fingerprint of what was last approved or applied
    Column("schema", Text),  # that schema, as StreamSchema.to_text()
    Column("kept_types", Text),  # JSON: column → [type, native] in the destination, where the source has another or none by now
    Column("cursor", Text),  # cache of what the destination holds
    Column("resync_requested", Boolean, nullable=False, default=False),  # a changed set-up needs everything read again
    Column("deletes_withheld", BigInteger),  # records gone from the source whose deletes need approval; NULL: none
    Column("deletes_approved", BigInteger),  # how many the next sync may delete, whatever the guard says
)

Index("ix_streams_due", streams.c.next_fire_at, sqlite_where=streams.c.next_fire_at.isnot(None))
Index("ix_streams_own_schedule", streams.c.connector_id, streams.c.name, sqlite_where=streams.c.schedule_kind.isnot(None))

schema_changes = Table(
    "schema_changes",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("connector_id", String(32), ForeignKey("connectors.id"), nullable=False),
    Column("stream", String(1024), nullable=False),
    Column("found_at", Instant, nullable=False),
    Column("sync_id", String(32)),  # the sync that found it; NULL: a discovery did
    Column("difference", Text, nullable=False),  # JSON: what was added, removed, retyped, with the class of each
    Column("fingerprint", String(16), nullable=False),  # of the schema that was found
    Column("schema", Text),  # that schema, as StreamSchema.to_text(); NULL: the stream is gone
    Column("state", String(16), nullable=False),  # waiting | applied | approved | rejected | superseded
    Column("blocking", Boolean, nullable=False),  # whether nothing is read before a person decides
    Column("decided_at", Instant),
    Column("decided_by", String(255)),
)
Index("ix_schema_changes_connector", schema_changes.c.connector_id, schema_changes.c.id)
"""Every change of a source's schema that a connector met, and what became of it."""

syncs = Table(
    "syncs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("connector_id", String(32), ForeignKey("connectors.id"), nullable=False),
    Column("trigger", String(16), nullable=False),
    Column("reason", String(32), nullable=False),
    Column("requested_by", String(255), nullable=False),
    Column("due_at", Instant),  # the fire time it answers; NULL for manual
    Column("missed", Integer, nullable=False, default=0),
    Column("streams", Text),  # JSON list; NULL: all selected
    Column("state", String(16), nullable=False, default="created"),
    Column("epoch", BigInteger),  # of the engine that claimed it
    Column("created_at", Instant, nullable=False),
    Column("claimed_at", Instant),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("duration_ms", BigInteger),
    Column("attempt", Integer, nullable=False, default=0),
    Column("cancel_requested_at", Instant),
    Column("cancel_requested_by", String(255)),
    Column("outcome", String(16)),
    Column("error_class", String(32)),
    Column("error_message", Text),
    Column("error_fingerprint", String(64)),
    Column("summary", Text),  # what was committed and where the next sync resumes
    Column("records_read", BigInteger, nullable=False, default=0),
    Column("records_written", BigInteger, nullable=False, default=0),
    Column("records_unchanged", BigInteger, nullable=False, default=0),
    Column("records_filtered", BigInteger, nullable=False, default=0),
    Column("records_rejected", BigInteger, nullable=False, default=0),
    Column("records_deleted", BigInteger, nullable=False, default=0),  # in the destination; not among those read
    Column("bytes", BigInteger, nullable=False, default=0),
)
Index("ix_syncs_connector_created", syncs.c.connector_id, syncs.c.created_at, syncs.c.id)
OPEN_SYNC = syncs.c.finished_at.is_(None)
"""Syncs that have not ended. Say it beside `state` in a condition: without it the store reads the whole history."""
UNSUCCESSFUL_SYNC = syncs.c.outcome != literal_column("'success'")
"""Say it beside a condition on `outcome`, for the same reason."""
Index("ix_syncs_open", syncs.c.state, syncs.c.created_at, syncs.c.id, sqlite_where=OPEN_SYNC, postgresql_where=OPEN_SYNC)
Index("ix_syncs_created", syncs.c.created_at, syncs.c.id)
Index("ix_syncs_finished", syncs.c.finished_at, syncs.c.id)
Index(
    "ix_syncs_unsuccessful",
    syncs.c.outcome,
    syncs.c.created_at,
    syncs.c.id,
    syncs.c.error_fingerprint,  # so that grouping failures reads nothing else
    sqlite_where=UNSUCCESSFUL_SYNC,
    postgresql_where=UNSUCCESSFUL_SYNC,
)
Index("uq_syncs_due", syncs.c.connector_id, syncs.c.due_at, unique=True, sqlite_where=syncs.c.due_at.isnot(None))
"""One sync for one due time, whoever asks: the last line of defence behind the lease."""

sync_streams = Table(
    "sync_streams",
    metadata,
    Column("sync_id", String(32), ForeignKey("syncs.id", ondelete="CASCADE"), primary_key=True),
    Column("stream", String(255), primary_key=True),
    Column("sync_mode", String(32), nullable=False),
    Column("action", String(16), nullable=False),
    Column("outcome", String(16)),
    Column("started_at", Instant),
    Column("finished_at", Instant),
    Column("duration_ms", BigInteger),
    Column("records_read", BigInteger, nullable=False, default=0),
    Column("records_written", BigInteger, nullable=False, default=0),
    Column("records_unchanged", BigInteger, nullable=False, default=0),
    Column("records_filtered", BigInteger, nullable=False, default=0),
    Column("records_rejected", BigInteger, nullable=False, default=0),
    Column("records_deleted", BigInteger, nullable=False, default=0),  # in the destination; not among those read
    Column("bytes", BigInteger, nullable=False, default=0),
    Column("cursor_before", Text),
    Column("cursor_after", Text),
    Column("error_class", String(32)),
    Column("error_message", Text),
)

attempts = Table(
    "attempts",
    metadata,
    Column("sync_id", String(32), ForeignKey("syncs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("finished_at", Instant),
    Column("outcome", String(16)),
    Column("error_class", String(32)),
    Column("error_message", Text),
    Column("retry_at", Instant),
    Column("progressed", Boolean, nullable=False, default=False),
)

log_lines = Table(
    "log_lines",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("sync_id", String(32)),
    Column("connector_id", String(32)),
    Column("at", Instant, nullable=False),
    Column("level", String(16), nullable=False),
    Column("message", Text, nullable=False),
)
Index("ix_log_lines_connector", log_lines.c.connector_id, log_lines.c.id)
Index("ix_log_lines_sync", log_lines.c.sync_id, log_lines.c.id)
Index("ix_log_lines_at", log_lines.c.at)

failed_records = Table(
    "failed_records",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("sync_id", String(32), nullable=False),
    Column("connector_id", String(32), nullable=False),
    Column("stream", String(255), nullable=False),
    Column("at", Instant, nullable=False),
    Column("key", Text),
    Column("action", String(16), nullable=False),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("payload", Text, nullable=False),
    Column("state", String(16), nullable=False, default="open"),  # open | retried | resolved | dismissed
)
Index("ix_failed_records_connector", failed_records.c.connector_id, failed_records.c.id)
Index("ix_failed_records_sync", failed_records.c.sync_id, failed_records.c.stream, failed_records.c.id)
Index("ix_failed_records_at", failed_records.c.at)

audit_events = Table(
    "audit_events",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("at", Instant, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("role", String(16), nullable=False),
    Column("operation", String(64), nullable=False),
    Column("object_type", String(32), nullable=False),
    Column("object_id", String(32)),
    Column("object_name", String(200)),
    Column("refused", Boolean, nullable=False, default=False),
    Column("before", Text),  # JSON, secrets masked
    Column("after", Text),  # JSON, secrets masked
    Column("hash", String(64), nullable=False),  # SHA-256 over the row and the hash of the row before
)
Index("ix_audit_events_object", audit_events.c.object_id, audit_events.c.id)

cursor_versions = Table(
    "cursor_versions",
    metadata,
    Column("connector_id", String(32), primary_key=True),
    Column("stream", String(255), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("cursor", Text),
    Column("sync_id", String(32)),
    Column("at", Instant, nullable=False),
)
Index("ix_cursor_versions_at", cursor_versions.c.at)

rollup_hours = Table(
    "rollup_hours",
    metadata,
    Column("hour_at", Instant, primary_key=True),
    Column("trigger", String(16), primary_key=True),
    Column("succeeded", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("cancelled", Integer, nullable=False, default=0),
    Column("records", BigInteger, nullable=False, default=0),
    Column("rejected", BigInteger, nullable=False, default=0),
    Column("bytes", BigInteger, nullable=False, default=0),
    Column("duration_ms", BigInteger, nullable=False, default=0),
    Column("histogram", Text, nullable=False, default="{}"),  # JSON: logarithmic duration bin → successes
)

rollup_days = Table(
    "rollup_days",
    metadata,
    Column("subject_id", String(32), primary_key=True),  # a connector's, a source's or a destination's id
    Column("day_at", Instant, primary_key=True),
    Column("succeeded", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("cancelled", Integer, nullable=False, default=0),
    Column("records", BigInteger, nullable=False, default=0),
    Column("rejected", BigInteger, nullable=False, default=0),
    Column("bytes", BigInteger, nullable=False, default=0),
    Column("duration_ms", BigInteger, nullable=False, default=0),
)
Index("ix_rollup_days_day_at", rollup_days.c.day_at)
