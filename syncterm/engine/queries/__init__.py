"""Everything that the screens and the command line show, read from the store.

The row types are light to import, so that a screen may name them before the store is open; `Queries` brings SQLAlchemy with it and
is imported when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from syncterm.engine.queries.rows import (
    AttemptRow,
    AuditRow,
    ConnectorCounts,
    ConnectorDetail,
    ConnectorQuery,
    ConnectorRow,
    EndpointDetail,
    EndpointError,
    EndpointRow,
    EndpointUse,
    EndpointVersion,
    EngineState,
    FailedRecordRow,
    FailureGroup,
    LogLine,
    SchemaChangeRow,
    StreamResultRow,
    SyncDetail,
    SyncRow,
    TrendPoint,
)

if TYPE_CHECKING:
    from syncterm.engine.queries.queries import Queries

__all__ = [
    "AttemptRow",
    "AuditRow",
    "ConnectorCounts",
    "ConnectorDetail",
    "ConnectorQuery",
    "ConnectorRow",
    "EndpointDetail",
    "EndpointError",
    "EndpointRow",
    "EndpointUse",
    "EndpointVersion",
    "EngineState",
    "FailedRecordRow",
    "FailureGroup",
    "LogLine",
    "Queries",
    "SchemaChangeRow",
    "StreamResultRow",
    "SyncDetail",
    "SyncRow",
    "TrendPoint",
]


def __getattr__(name: str) -> Any:
    if name == "Queries":
        from syncterm.engine.queries.queries import Queries

        return Queries
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
