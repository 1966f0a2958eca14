"""Tests both ends of a connector, step by step, and keeps what was found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncterm.engine import credentials, lifecycle
from syncterm.engine.adapter_factory import AdapterFactory
from syncterm.engine.adapters import Adapter
from syncterm.engine.clock import Clock
from syncterm.engine.connector_setup import ConnectorSetup, load_setup
from syncterm.engine.control import Control
from syncterm.engine.errors import CancelledSyncError, ConnectionTimeoutError, ErrorClass, SynctermError
from syncterm.engine.model import CheckReport, CheckResult, CheckStep, EndpointKind
from syncterm.engine.redaction import redact
from syncterm.engine.store.database import Database
from syncterm.engine.threads import in_thread

DEADLINE = 30.0
"""Seconds that a test of one end may take."""
_RESULTS = {
    ErrorClass.AUTH: CheckResult.AUTHENTICATION_FAILED,
    ErrorClass.TIMEOUT: CheckResult.TIMEOUT,
    ErrorClass.PERMISSION: CheckResult.PERMISSION_DENIED,
}


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
    steps: list[CheckStep] = []
    fault: SynctermError | None = None
    failed_end: EndpointKind | None = None
    for end in EndpointKind:
        try:
            await _test_end(end, setup, adapters, clock, steps, on_step)
        except SynctermError as error:
            fault, failed_end = error, end
            break
    report = _report(fault, failed_end, tuple(steps))
    await _keep(database, clock, setup, fault, failed_end, report)
    return report


async def _test_end(
    end: EndpointKind,
    setup: ConnectorSetup,
    adapters: AdapterFactory,
    clock: Clock,
    steps: list[CheckStep],
    on_step: Callable[[EndpointKind, CheckStep], None],
) -> None:
    loop = asyncio.get_running_loop()
    control = Control()

    def tell(step: CheckStep) -> None:
        steps.append(step)
        on_step(end, step)

    def check() -> None:
        adapter: Adapter = adapters.source(setup.source) if end is EndpointKind.SOURCE else adapters.destination(setup.destination)
        try:
            with control.interrupter(adapter.interrupt):
                for step in adapter.check():
                    loop.call_soon_threadsafe(tell, step)
        finally:
            adapter.close()

    deadline = loop.call_later(
        DEADLINE, control.stop, ConnectionTimeoutError(f"The {end} did not answer within {DEADLINE:.0f} seconds.")
    )
    try:
        await in_thread(check, control, f"test {setup.name}")
    except asyncio.CancelledError:
        control.stop(CancelledSyncError("The test was cancelled."))
        raise
    finally:
        deadline.cancel()


def _report(fault: SynctermError | None, end: EndpointKind | None, steps: tuple[CheckStep, ...]) -> CheckReport:
    if fault is None:
        return CheckReport(CheckResult.WORKING, "", "", steps)
    result = _RESULTS.get(fault.error_class, CheckResult.FAILED)
    name = str(end).capitalize()
    return CheckReport(result, redact(f"{name}: {fault.message}"), redact(fault.remedy), steps)


async def _keep(
    database: Database,
    clock: Clock,
    setup: ConnectorSetup,
    fault: SynctermError | None,
    failed_end: EndpointKind | None,
    report: CheckReport,
) -> None:
    """The connector's last test, and what it says of the credentials of both ends."""
    now = clock.now()
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
        for end, endpoint in ((EndpointKind.SOURCE, setup.source), (EndpointKind.DESTINATION, setup.destination)):
            if fault is None or (end is EndpointKind.SOURCE and failed_end is EndpointKind.DESTINATION):
                await credentials.accepted(connection, end, endpoint.id, now)
            elif end is failed_end and fault.error_class is ErrorClass.AUTH:
                await credentials.refused(connection, end, endpoint.id, now, report.cause)
