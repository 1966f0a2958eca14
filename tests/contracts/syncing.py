"""A sync of one stream without an engine: through the pipeline, as the runner does it."""

from __future__ import annotations

from typing import Any

from syncterm.engine.control import Control
from syncterm.engine.model import RejectedRecord, StreamConfig, SyncMode
from syncterm.engine.pipeline import LoadedStream, StreamHooks, StreamTask, run_stream
from tests.contracts.destination_harness import DestinationHarness
from tests.contracts.source_harness import SourceHarness


def sync(
    source: SourceHarness,
    destination: DestinationHarness,
    mode: SyncMode,
    *,
    full: bool = False,
    rejected: list[RejectedRecord] | None = None,
    connector: str = "connector",
    approved_deletes: int = 0,
    control: Control | None = None,
    **settings: Any,
) -> LoadedStream:
    """One sync of the source's stream, as the runner does it.

    Args:
        rejected: where rejected records are gathered; None where there must be none.
        settings: of the stream, beyond its key, its cursor and its table.
    """
    reader, writer = source.make(), destination.make()
    gathered: list[RejectedRecord] = []
    try:
        schema = reader.discover().stream(source.stream)
        assert schema is not None
        cursor = "seen" if mode.incremental else None
        stream = StreamConfig(
            source.stream, mode, **{"primary_key": ("id",), "cursor_field": cursor, "table": "orders", **settings}
        )
        state = writer.state(connector, "").get(source.stream)
        task = StreamTask(connector, "sync", 1, "", stream, schema, full, state, approved_deletes=approved_deletes)
        hooks = StreamHooks(gathered.extend, lambda counts, cursor: None, lambda: True)
        loaded = run_stream(reader, writer, task, control or Control(), hooks)
    finally:
        reader.close()
        writer.close()
    if rejected is None:
        assert gathered == []
    else:
        rejected += gathered
    return loaded
