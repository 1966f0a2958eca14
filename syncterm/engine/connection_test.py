"""Tests a source or a destination, or both ends of a connector, step by step, and keeps what was found."""

from __future__ import annotations

import asyncio
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from syncterm.engine import credentials, lifecycle
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.adapters import Adapter
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import ConnectorSetup, Endpoint, load_setup
from syncterm.engine.control import Control
from syncterm.engine.errors import CancelledSyncError, ConnectionTimeoutError, ErrorClass, SynctermError
from syncterm.engine.model import CheckReport, CheckResult, CheckStep, EndpointKind
from syncterm.engine.redaction import redact
from syncterm.engine.store.database import Database
from syncterm.engine.threads import in_thread

DEADLINE = 30.0
"""Seconds that a test of one end may take."""
RESULT_HOLDS = timedelta(minutes=10)
"""How long after a test its result is kept with a configuration that is saved."""
_REMEMBERED = 32
_RESULTS = {
    ErrorClass.AUTH: CheckResult.AUTHENTICATION_FAILED,
    ErrorClass.TIMEOUT: CheckResult.TIMEOUT,
    ErrorClass.PERMISSION: CheckResult.PERMISSION_DENIED,
}


@dataclass(frozen=True, slots=True)
class EndTest:
    """What testing one end found."""

    fault: SynctermError | None
    steps: tuple[CheckStep, ...]

    @property
    def report(self) -> CheckReport:
        if self.fault is None:
            return CheckReport(CheckResult.WORKING, "", "", self.steps)
        result = _RESULTS.get(self.fault.error_class, CheckResult.FAILED)
        return CheckReport(result, _sentence(redact(self.fault.message)), redact(self.fault.remedy), self.steps)


def _sentence(text: str) -> str:
    """What a system answered ends as it pleases; what follows it here begins a new sentence."""
    text = text.strip()
    return text if text.endswith((".", "?", "!", "…")) else f"{text}."


async def test_endpoint(
    adapters: AdapterFactory, kind: EndpointKind, endpoint: Endpoint, on_step: Callable[[CheckStep], None]
) -> EndTest:
    """Test one end, step by step, within `DEADLINE`. Cancelling the call ends the test."""
    loop = asyncio.get_running_loop()
    control = Control()
    steps: list[CheckStep] = []

    def tell(step: CheckStep) -> None:
        if not control.stopped:  # the deadline's word is the last one
            steps.append(step)
            on_step(step)

    def check() -> None:
        adapter: Adapter = adapters.source(endpoint) if kind is EndpointKind.SOURCE else adapters.destination(endpoint)
        try:
            with control.interrupter(adapter.interrupt):
                for step in adapter.check():
                    loop.call_soon_threadsafe(tell, replace(step, title=redact(step.title), detail=redact(step.detail)))
        finally:
            adapter.close()

    late = ConnectionTimeoutError(
        f"The {kind} did not answer within {DEADLINE:.0f} seconds.",
        remedy="Is its address right, and does a firewall between here and there let connections through?",
    )
    deadline = loop.call_later(DEADLINE, control.stop, late)
    fault: SynctermError | None = None
    try:
        await in_thread(check, control, f"test {endpoint.name}")
    except SynctermError as error:
        fault = control.reason or error
    except asyncio.CancelledError:
        control.stop(CancelledSyncError("The test was cancelled."))
        raise
    finally:
        deadline.cancel()
    return EndTest(fault, tuple(steps))


async def note_result(connection: AsyncConnection, kind: EndpointKind, endpoint_id: str, found: EndTest, now: datetime) -> None:
    """Keep the result with the source or destination, and what it says of its credentials."""
    table, report = credentials.TABLES[kind], found.report
    values = {"check_result": report.result, "check_message": report.cause or None, "check_at": now}
    await connection.execute(update(table).where(table.c.id == endpoint_id).values(values))
    if found.fault is None:
        await credentials.accepted(connection, kind, endpoint_id, now)
    elif found.fault.error_class is ErrorClass.AUTH:
        await credentials.refused(connection, kind, endpoint_id, now, report.cause)


class TestedConfigs:
    """What the latest tests of configurations found that were perhaps not saved yet, so that saving one keeps its result.

    Holds digests of configurations under a key of this process, and none of their secrets.
    """

    __test__ = False  # it is no test of pytest's

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._found: dict[bytes, tuple[EndTest, datetime]] = {}

    def remember(self, kind: EndpointKind, type_: str, config: Mapping[str, Any], found: EndTest, now: datetime) -> None:
        """Keep a result; the oldest is forgotten where there are many."""
        digest = self._digest(kind, type_, config)
        self._found.pop(digest, None)
        self._found[digest] = (found, now)
        if len(self._found) > _REMEMBERED:
            del self._found[next(iter(self._found))]

    def found(self, kind: EndpointKind, type_: str, config: Mapping[str, Any], now: datetime) -> tuple[EndTest, datetime] | None:
        """What a test of exactly this configuration found a while ago, and when; None where there was none."""
        result = self._found.get(self._digest(kind, type_, config))
        return result if result is not None and now - result[1] <= RESULT_HOLDS else None

    def _digest(self, kind: EndpointKind, type_: str, config: Mapping[str, Any]) -> bytes:
        text = json.dumps([kind, type_, config], sort_keys=True)
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")


async def test_connector(
    database: Database,
    clock: Clock,
    adapters: AdapterFactory,
    connector_id: str,
    on_step: Callable[[EndpointKind, CheckStep], None],
) -> CheckReport:
    """Test the source, then the destination; stops at the first fault. Cancelling the call ends the test.

    Raises:
        ConfigError: where the connector does not exist.
    """
    async with database.read() as connection:
        setup = await load_setup(connection, connector_id)
    found: dict[EndpointKind, EndTest] = {}
    for kind, endpoint in ((EndpointKind.SOURCE, setup.source), (EndpointKind.DESTINATION, setup.destination)):
        found[kind] = await test_endpoint(adapters, kind, endpoint, partial(on_step, kind))
        if found[kind].fault is not None:
            break
    last_kind, last = list(found.items())[-1]
    steps = tuple(step for each in found.values() for step in each.steps)
    report = replace(last.report, steps=steps)
    if last.fault is not None:
        report = replace(report, cause=f"{str(last_kind).capitalize()}: {report.cause}")
    await _keep(database, clock, setup, found, report)
    return report


async def _keep(
    database: Database, clock: Clock, setup: ConnectorSetup, found: Mapping[EndpointKind, EndTest], report: CheckReport
) -> None:
    """The connector's last test, and what it says of the credentials of both ends."""
    now = clock.now()
    fault = next((each.fault for each in found.values() if each.fault is not None), None)
    async with database.write() as connection:
        await lifecycle.touch(
            connection,
            setup.id,
            {
                "check_result": report.result,
                "check_error_class": fault.error_class if fault else None,
                "check_message": report.cause or None,
                "check_at": now,
            },
        )
        for kind, endpoint in ((EndpointKind.SOURCE, setup.source), (EndpointKind.DESTINATION, setup.destination)):
            if kind in found and endpoint.present_account:
                await note_result(connection, kind, endpoint.id, found[kind], now)
