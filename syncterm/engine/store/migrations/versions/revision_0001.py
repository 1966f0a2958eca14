"""The store's first revision."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG_INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create every table."""
    op.create_table(
        "audit_events",
        sa.Column("id", BIG_INTEGER, autoincrement=True, nullable=False),
        sa.Column("at", BIG_INTEGER, nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("operation", sa.String(length=64), nullable=False),
        sa.Column("object_type", sa.String(length=32), nullable=False),
        sa.Column("object_id", sa.String(length=32), nullable=True),
        sa.Column("object_name", sa.String(length=200), nullable=True),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_events")),
    )
    op.create_index("ix_audit_events_object", "audit_events", ["object_id", "id"], unique=False)
    op.create_table(
        "cursor_versions",
        sa.Column("connector_id", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("sync_id", sa.String(length=32), nullable=True),
        sa.Column("at", BIG_INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("connector_id", "stream", "version", name=op.f("pk_cursor_versions")),
    )
    op.create_index("ix_cursor_versions_at", "cursor_versions", ["at"], unique=False)
    op.create_table(
        "destinations",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("credentials", sa.String(length=16), nullable=False),
        sa.Column("credentials_at", BIG_INTEGER, nullable=True),
        sa.Column("credentials_ok_at", BIG_INTEGER, nullable=True),
        sa.Column("credentials_error_class", sa.String(length=32), nullable=True),
        sa.Column("credentials_message", sa.Text(), nullable=True),
        sa.Column("created_at", BIG_INTEGER, nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("updated_at", BIG_INTEGER, nullable=False),
        sa.Column("deleted_at", BIG_INTEGER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destinations")),
    )
    op.create_index("uq_destinations_live_name", "destinations", ["name"], unique=True, sqlite_where=sa.text("deleted_at IS NULL"))
    op.create_table(
        "failed_records",
        sa.Column("id", BIG_INTEGER, autoincrement=True, nullable=False),
        sa.Column("sync_id", sa.String(length=32), nullable=False),
        sa.Column("connector_id", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=255), nullable=False),
        sa.Column("at", BIG_INTEGER, nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_failed_records")),
    )
    op.create_index("ix_failed_records_at", "failed_records", ["at"], unique=False)
    op.create_index("ix_failed_records_connector", "failed_records", ["connector_id", "id"], unique=False)
    op.create_index("ix_failed_records_sync", "failed_records", ["sync_id", "stream", "id"], unique=False)
    op.create_table(
        "lease",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("epoch", BIG_INTEGER, nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=True),
        sa.Column("scope", sa.String(length=32), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("host", sa.String(length=255), nullable=True),
        sa.Column("user_name", sa.String(length=255), nullable=True),
        sa.Column("acquired_at", BIG_INTEGER, nullable=True),
        sa.Column("beats", BIG_INTEGER, nullable=False),
        sa.Column("heartbeat_at", BIG_INTEGER, nullable=True),
        sa.Column("expires_at", BIG_INTEGER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lease")),
    )
    op.create_table(
        "log_lines",
        sa.Column("id", BIG_INTEGER, autoincrement=True, nullable=False),
        sa.Column("sync_id", sa.String(length=32), nullable=True),
        sa.Column("connector_id", sa.String(length=32), nullable=True),
        sa.Column("at", BIG_INTEGER, nullable=False),
        sa.Column("level", sa.String(length=16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_lines")),
    )
    op.create_index("ix_log_lines_at", "log_lines", ["at"], unique=False)
    op.create_index("ix_log_lines_connector", "log_lines", ["connector_id", "id"], unique=False)
    op.create_index("ix_log_lines_sync", "log_lines", ["sync_id", "id"], unique=False)
    op.create_table(
        "rollup_days",
        sa.Column("subject_id", sa.String(length=32), nullable=False),
        sa.Column("day_at", BIG_INTEGER, nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("records", BIG_INTEGER, nullable=False),
        sa.Column("rejected", BIG_INTEGER, nullable=False),
        sa.Column("bytes", BIG_INTEGER, nullable=False),
        sa.Column("duration_ms", BIG_INTEGER, nullable=False),
        sa.PrimaryKeyConstraint("subject_id", "day_at", name=op.f("pk_rollup_days")),
    )
    op.create_index("ix_rollup_days_day_at", "rollup_days", ["day_at"], unique=False)
    op.create_table(
        "rollup_hours",
        sa.Column("hour_at", BIG_INTEGER, nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("succeeded", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Integer(), nullable=False),
        sa.Column("records", BIG_INTEGER, nullable=False),
        sa.Column("rejected", BIG_INTEGER, nullable=False),
        sa.Column("bytes", BIG_INTEGER, nullable=False),
        sa.Column("duration_ms", BIG_INTEGER, nullable=False),
        sa.Column("histogram", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("hour_at", "trigger", name=op.f("pk_rollup_hours")),
    )
    op.create_table(
        "sources",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("type", sa.String(length=64), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("credentials", sa.String(length=16), nullable=False),
        sa.Column("credentials_at", BIG_INTEGER, nullable=True),
        sa.Column("credentials_ok_at", BIG_INTEGER, nullable=True),
        sa.Column("credentials_error_class", sa.String(length=32), nullable=True),
        sa.Column("credentials_message", sa.Text(), nullable=True),
        sa.Column("created_at", BIG_INTEGER, nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("updated_at", BIG_INTEGER, nullable=False),
        sa.Column("deleted_at", BIG_INTEGER, nullable=True),
        sa.Column("catalog", sa.Text(), nullable=True),
        sa.Column("catalog_at", BIG_INTEGER, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
    )
    op.create_index("uq_sources_live_name", "sources", ["name"], unique=True, sqlite_where=sa.text("deleted_at IS NULL"))
    op.create_table(
        "connectors",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("source_id", sa.String(length=32), nullable=True),
        sa.Column("destination_id", sa.String(length=32), nullable=True),
        sa.Column("source_version", sa.Integer(), nullable=True),
        sa.Column("collection", sa.String(length=255), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", BIG_INTEGER, nullable=False),
        sa.Column("created_by", sa.String(length=255), nullable=False),
        sa.Column("updated_at", BIG_INTEGER, nullable=False),
        sa.Column("deleted_at", BIG_INTEGER, nullable=True),
        sa.Column("deleted_by", sa.String(length=255), nullable=True),
        sa.Column("configuration_complete", sa.Boolean(), nullable=False),
        sa.Column("incomplete_reason", sa.Text(), nullable=True),
        sa.Column("schema_change", sa.Text(), nullable=True),
        sa.Column("schema_policy", sa.String(length=32), nullable=False),
        sa.Column("reject_limit_count", sa.Integer(), nullable=False),
        sa.Column("reject_limit_share", sa.Integer(), nullable=False),
        sa.Column("stall_limit_ms", BIG_INTEGER, nullable=False),
        sa.Column("schedule_kind", sa.String(length=16), nullable=False),
        sa.Column("schedule_every_ms", BIG_INTEGER, nullable=True),
        sa.Column("schedule_expression", sa.String(length=255), nullable=True),
        sa.Column("schedule_timezone", sa.String(length=64), nullable=False),
        sa.Column("catch_up", sa.String(length=8), nullable=False),
        sa.Column("anchor_at", BIG_INTEGER, nullable=True),
        sa.Column("offset_ms", BIG_INTEGER, nullable=False),
        sa.Column("next_fire_at", BIG_INTEGER, nullable=True),
        sa.Column("due_since", BIG_INTEGER, nullable=True),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("paused_by", sa.String(length=16), nullable=True),
        sa.Column("paused_reason", sa.Text(), nullable=True),
        sa.Column("paused_at", BIG_INTEGER, nullable=True),
        sa.Column("check_result", sa.String(length=32), nullable=True),
        sa.Column("check_error_class", sa.String(length=32), nullable=True),
        sa.Column("check_message", sa.Text(), nullable=True),
        sa.Column("check_at", BIG_INTEGER, nullable=True),
        sa.Column("last_sync_id", sa.String(length=32), nullable=True),
        sa.Column("last_sync_at", BIG_INTEGER, nullable=True),
        sa.Column("last_outcome", sa.String(length=16), nullable=True),
        sa.Column("last_error_class", sa.String(length=32), nullable=True),
        sa.Column("last_error_message", sa.Text(), nullable=True),
        sa.Column("last_success_at", BIG_INTEGER, nullable=True),
        sa.Column("last_duration_ms", BIG_INTEGER, nullable=True),
        sa.Column("last_records", BIG_INTEGER, nullable=True),
        sa.Column("last_bytes", BIG_INTEGER, nullable=True),
        sa.Column("last_rejected", BIG_INTEGER, nullable=True),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        sa.Column("failing_since", BIG_INTEGER, nullable=True),
        sa.Column("activity", sa.String(length=16), nullable=False),
        sa.Column("activity_reason", sa.Text(), nullable=True),
        sa.Column("activity_at", BIG_INTEGER, nullable=True),
        sa.Column("active_sync_id", sa.String(length=32), nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=True),
        sa.Column("back_off_until", BIG_INTEGER, nullable=True),
        sa.Column("progress_stream", sa.String(length=255), nullable=True),
        sa.Column("progress_records", BIG_INTEGER, nullable=True),
        sa.Column("progress_bytes", BIG_INTEGER, nullable=True),
        sa.Column("progress_expected", BIG_INTEGER, nullable=True),
        sa.Column("changed_at", BIG_INTEGER, nullable=False),
        sa.Column("listed_at", BIG_INTEGER, nullable=False),
        sa.ForeignKeyConstraint(["destination_id"], ["destinations.id"], name=op.f("fk_connectors_destination_id_destinations")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_connectors_source_id_sources")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connectors")),
    )
    op.create_index("ix_connectors_changed_at", "connectors", ["changed_at"], unique=False)
    op.create_index(
        "ix_connectors_due", "connectors", ["next_fire_at"], unique=False, sqlite_where=sa.text("next_fire_at IS NOT NULL")
    )
    op.create_index(
        "ix_connectors_live_activity",
        "connectors",
        ["activity", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_connectors_live_created",
        "connectors",
        ["created_at", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_connectors_live_destination",
        "connectors",
        ["destination_id", "source_id", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_connectors_live_duration",
        "connectors",
        ["last_duration_ms", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_connectors_live_last_sync",
        "connectors",
        ["last_sync_at", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_connectors_live_next_fire",
        "connectors",
        ["next_fire_at", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_connectors_live_records",
        "connectors",
        ["last_records", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "ix_connectors_live_source",
        "connectors",
        ["source_id", "destination_id", "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_index(
        "uq_connectors_live_name",
        "connectors",
        ["name"],
        unique=True,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "streams",
        sa.Column("connector_id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.Column("sync_mode", sa.String(length=32), nullable=False),
        sa.Column("primary_key", sa.Text(), nullable=False),
        sa.Column("cursor_field", sa.String(length=255), nullable=True),
        sa.Column("columns", sa.Text(), nullable=True),
        sa.Column("casts", sa.Text(), nullable=False),
        sa.Column("row_filter", sa.Text(), nullable=True),
        sa.Column("include_null_cursor", sa.Boolean(), nullable=False),
        sa.Column("look_back_ms", BIG_INTEGER, nullable=True),
        sa.Column("target_table", sa.String(length=255), nullable=True),
        sa.Column("schema_fingerprint", sa.String(length=16), nullable=True),
        sa.Column("schema", sa.Text(), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("resync_requested", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["connector_id"], ["connectors.id"], name=op.f("fk_streams_connector_id_connectors")),
        sa.PrimaryKeyConstraint("connector_id", "name", name=op.f("pk_streams")),
    )
    op.create_table(
        "syncs",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("connector_id", sa.String(length=32), nullable=False),
        sa.Column("trigger", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("due_at", BIG_INTEGER, nullable=True),
        sa.Column("missed", sa.Integer(), nullable=False),
        sa.Column("streams", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("epoch", BIG_INTEGER, nullable=True),
        sa.Column("created_at", BIG_INTEGER, nullable=False),
        sa.Column("claimed_at", BIG_INTEGER, nullable=True),
        sa.Column("started_at", BIG_INTEGER, nullable=True),
        sa.Column("finished_at", BIG_INTEGER, nullable=True),
        sa.Column("duration_ms", BIG_INTEGER, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("cancel_requested_at", BIG_INTEGER, nullable=True),
        sa.Column("cancel_requested_by", sa.String(length=255), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("error_class", sa.String(length=32), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("summary", sa.Text(), nullable=True),
        sa.Column("records_read", BIG_INTEGER, nullable=False),
        sa.Column("records_written", BIG_INTEGER, nullable=False),
        sa.Column("records_unchanged", BIG_INTEGER, nullable=False),
        sa.Column("records_filtered", BIG_INTEGER, nullable=False),
        sa.Column("records_rejected", BIG_INTEGER, nullable=False),
        sa.Column("bytes", BIG_INTEGER, nullable=False),
        sa.ForeignKeyConstraint(["connector_id"], ["connectors.id"], name=op.f("fk_syncs_connector_id_connectors")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_syncs")),
    )
    op.create_index("ix_syncs_connector_created", "syncs", ["connector_id", "created_at", "id"], unique=False)
    op.create_index("ix_syncs_created", "syncs", ["created_at", "id"], unique=False)
    op.create_index("ix_syncs_finished", "syncs", ["finished_at", "id"], unique=False)
    op.create_index(
        "ix_syncs_open",
        "syncs",
        ["state", "created_at", "id"],
        unique=False,
        sqlite_where=sa.text("finished_at IS NULL"),
        postgresql_where=sa.text("finished_at IS NULL"),
    )
    op.create_index(
        "ix_syncs_unsuccessful",
        "syncs",
        ["outcome", "created_at", "id", "error_fingerprint"],
        unique=False,
        sqlite_where=sa.text("outcome != 'success'"),
        postgresql_where=sa.text("outcome != 'success'"),
    )
    op.create_index("uq_syncs_due", "syncs", ["connector_id", "due_at"], unique=True, sqlite_where=sa.text("due_at IS NOT NULL"))
    op.create_table(
        "attempts",
        sa.Column("sync_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("epoch", BIG_INTEGER, nullable=False),
        sa.Column("started_at", BIG_INTEGER, nullable=False),
        sa.Column("finished_at", BIG_INTEGER, nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("error_class", sa.String(length=32), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("retry_at", BIG_INTEGER, nullable=True),
        sa.Column("progressed", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["sync_id"], ["syncs.id"], name=op.f("fk_attempts_sync_id_syncs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sync_id", "number", name=op.f("pk_attempts")),
    )
    op.create_table(
        "sync_streams",
        sa.Column("sync_id", sa.String(length=32), nullable=False),
        sa.Column("stream", sa.String(length=255), nullable=False),
        sa.Column("sync_mode", sa.String(length=32), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("started_at", BIG_INTEGER, nullable=True),
        sa.Column("finished_at", BIG_INTEGER, nullable=True),
        sa.Column("duration_ms", BIG_INTEGER, nullable=True),
        sa.Column("records_read", BIG_INTEGER, nullable=False),
        sa.Column("records_written", BIG_INTEGER, nullable=False),
        sa.Column("records_unchanged", BIG_INTEGER, nullable=False),
        sa.Column("records_filtered", BIG_INTEGER, nullable=False),
        sa.Column("records_rejected", BIG_INTEGER, nullable=False),
        sa.Column("bytes", BIG_INTEGER, nullable=False),
        sa.Column("cursor_before", sa.Text(), nullable=True),
        sa.Column("cursor_after", sa.Text(), nullable=True),
        sa.Column("error_class", sa.String(length=32), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["sync_id"], ["syncs.id"], name=op.f("fk_sync_streams_sync_id_syncs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sync_id", "stream", name=op.f("pk_sync_streams")),
    )
    op.create_index(
        "ix_connectors_live_name",
        "connectors",
        [sa.text("lower(name)"), "id"],
        unique=False,
        sqlite_where=sa.text("deleted_at IS NULL"),
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
