"""For tests and rehearsals: a clock that is set by hand, and a source that misbehaves by script.

The scripted source is registered like any other (type `scripted`), so that a rehearsal runs through the whole engine.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from pydantic import Field as Setting
from pydantic import SecretStr

from syncterm.engine.adapters import AdapterConfig, AdapterContext
from syncterm.engine.errors import (
    AuthenticationError,
    PermissionDeniedError,
    RateLimitedError,
    SourceUnavailableError,
)
from syncterm.engine.model import CheckStep, StreamConfig, Window
from syncterm.engine.schema import Catalog, Field, LogicalType, StreamSchema
from syncterm.engine.sources.base import Source, SourceBatch, SourceCapabilities

FIRST_INSTANT = datetime(2025, 1, 1, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is told to move; `sleep` waits for that."""

    def __init__(self, start: datetime = FIRST_INSTANT) -> None:
        self._now = start
        self._monotonic = 0.0
        self._sleepers: list[tuple[float, asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        event = asyncio.Event()
        with self._lock:
            self._sleepers.append((self._monotonic + seconds, asyncio.get_running_loop(), event))
        if seconds > 0:
            await event.wait()

    def advance(self, step: timedelta | float) -> None:
        """Move on by that much (seconds, where a number); wakes those who slept until then. Thread-safe."""
        seconds = step.total_seconds() if isinstance(step, timedelta) else step
        with self._lock:
            self._now += timedelta(seconds=seconds)
            self._monotonic += seconds
            due = [sleeper for sleeper in self._sleepers if sleeper[0] <= self._monotonic]
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self._monotonic]
        for _, loop, event in due:
            loop.call_soon_threadsafe(event.set)

    def jump(self, step: timedelta) -> None:
        """Set the wall clock forward or back; elapsed time stays what it is."""
        self._now += step


FaultKind = Literal[
    "slow", "hang", "drop", "unauthorized", "forbidden", "rate_limited", "bad_rows", "drift", "crash", "exit", "stubborn"
]


class Fault(AdapterConfig):
    """One thing that goes wrong."""

    kind: FaultKind = Setting(title="Kind", description="What goes wrong.")
    after: int = Setting(default=0, ge=0, title="After", description="Records delivered before it happens.")
    reads: int = Setting(default=0, ge=0, title="Reads", description="How many reads it happens in; 0: in every one.")
    seconds: float = Setting(default=0.05, ge=0, le=86_400, title="Seconds", description="Delay per batch, or the wait asked for.")
    every: int = Setting(default=10, ge=1, title="Every", description="Of the records, every how many-th is bad.")


class ScriptedConfig(AdapterConfig):
    """What the scripted source delivers."""

    script: str = Setting(default="script", title="Script", description="Name under which reads are counted.")
    stream: str = Setting(default="events", min_length=1, title="Stream")
    more_streams: tuple[str, ...] = Setting(default=(), title="More streams", description="Names of further streams, all alike.")
    records: int = Setting(default=1000, ge=0, le=100_000_000, title="Records")
    batch_records: int = Setting(default=100, ge=1, le=100_000, title="Records a batch")
    token: SecretStr | None = Setting(
        default=None,
        title="Token",
        description="Sent nowhere; messages of refused access repeat it, as those of careless systems do.",
    )
    faults: tuple[Fault, ...] = Setting(default=(), title="Faults")


_ENDS: tuple[FaultKind, ...] = ("hang", "stubborn", "drop", "rate_limited", "exit", "crash")
READS: Counter[str] = Counter()
"""Script → reads begun, in this process."""
_FIELDS = (
    Field("id", LogicalType("int64"), nullable=False, native="bigint"),
    Field("at", LogicalType("timestamptz"), nullable=False),
    Field("name", LogicalType("text")),
    Field("amount", LogicalType("decimal", 18, 2)),
)


class ScriptedSource(Source):
    """A stream of numbered records, one a second since 2025, with faults by script."""

    type = "scripted"
    title = "Scripted source"
    summary = "Made-up records and scripted faults, for rehearsals and tests."
    Config = ScriptedConfig
    capabilities = SourceCapabilities(incremental=True, deletes=True)
    config: ScriptedConfig

    def __init__(self, config: ScriptedConfig, context: AdapterContext) -> None:
        super().__init__(config, context)
        self._wake = threading.Event()

    def interrupt(self) -> None:
        super().interrupt()
        self._wake.set()

    def check(self) -> Iterator[CheckStep]:
        yield CheckStep("Initiate test", True, 0.0)
        self._refuse_access()
        yield CheckStep("Authentication check", True, 0.0)
        yield CheckStep("Connectivity test", True, 0.0, f"{self.config.records} records")

    def discover(self) -> Catalog:
        self._refuse_access()
        fields: tuple[Field, ...] = _FIELDS
        if self._fault("drift", READS[self.config.script] + 1):
            fields = (*_FIELDS, Field("note", LogicalType("text")))
        return Catalog(
            tuple(
                StreamSchema(
                    name,
                    fields,
                    primary_key=("id",),
                    cursor_candidates=("id", "at"),
                    estimated_rows=self.config.records,
                )
                for name in (self.config.stream, *self.config.more_streams)
            )
        )

    def high(self, stream: StreamConfig, schema: StreamSchema) -> str | None:
        if not self.config.records:
            return None
        last = self.config.records
        return str(last) if stream.cursor_field == "id" else str(FIRST_INSTANT + timedelta(seconds=last))

    def read(
        self, stream: StreamConfig, schema: StreamSchema, fields: tuple[Field, ...], window: Window | None
    ) -> Iterator[SourceBatch]:
        import pyarrow as pa

        from syncterm.engine.convert import convert

        READS[self.config.script] += 1
        number = READS[self.config.script]
        bad = self._fault("bad_rows", number)
        for start in range(1, self.config.records + 1, self.config.batch_records):
            self._misbehave(start - 1, number)
            ids = range(start, min(start + self.config.batch_records, self.config.records + 1))
            text = {
                "id": [str(identifier) for identifier in ids],
                "at": [str(FIRST_INSTANT + timedelta(seconds=identifier)) for identifier in ids],
                "name": [f"record {identifier}" for identifier in ids],
                "amount": [
                    "not a number" if bad and identifier % bad.every == 0 else str(Decimal(identifier) / 100) for identifier in ids
                ],
                "note": ["drifted"] * len(ids),
            }
            yield convert([pa.array(text[field.name], pa.string()) for field in fields], fields, stream=stream.name)
        self._misbehave(self.config.records, number)

    def _fault(self, kind: FaultKind, number: int) -> Fault | None:
        return next((f for f in self.config.faults if f.kind == kind and (not f.reads or number <= f.reads)), None)

    def _refuse_access(self) -> None:
        number = READS[self.config.script] + 1
        if self._fault("unauthorized", number):
            READS[self.config.script] += 1
            echo = f": Bearer {self.config.token.get_secret_value()}" if self.config.token is not None else ""
            raise AuthenticationError(f"The scripted source refused the credentials (401){echo}.", remedy="Enter them again.")
        if self._fault("forbidden", number):
            READS[self.config.script] += 1
            raise PermissionDeniedError("The scripted source refuses to read this stream (403).", remedy="Ask for the right.")

    def _misbehave(self, delivered: int, number: int) -> None:
        """What the script has planned before the batch that follows `delivered` records."""
        self.raise_if_interrupted()
        if fault := self._fault("slow", number):
            self._wake.wait(fault.seconds)
        for kind in _ENDS:
            found = self._fault(kind, number)
            if found is None or delivered < found.after:
                continue
            if kind == "hang":
                self._wake.wait()
            elif kind == "stubborn":  # a library call that nothing interrupts
                threading.Event().wait(found.seconds)
            elif kind == "exit":
                raise SystemExit(3)
            elif kind == "drop":
                raise SourceUnavailableError(f"The scripted source dropped the connection after {delivered} records.")
            elif kind == "rate_limited":
                raise RateLimitedError("The scripted source is rate limited (429).", retry_after=found.seconds)
            else:
                raise ZeroDivisionError("The scripted source has a fault of its own.")
        self.raise_if_interrupted()
