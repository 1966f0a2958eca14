"""Connection tests, step by step."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import select

from syncterm.engine import audit
from syncterm.engine.authorisation import operation
from syncterm.engine.connection_test import test_connector
from syncterm.engine.events import changed
from syncterm.engine.model import Actor, CheckReport, CheckStep, EndpointKind, Role
from syncterm.engine.operations.base import OperationsBase
from syncterm.engine.store.tables import connectors


class ConnectionTestOperations(OperationsBase):
    """Testing what is saved, and what is not yet."""

    @operation(Role.USER)
    async def test_connection(
        self, actor: Actor, connector_id: str, on_step: Callable[[EndpointKind, CheckStep], None]
    ) -> CheckReport:
        """Test both ends of a connector, step by step; the result is kept with the connector.

        Args:
            on_step: called on the engine's loop with each step as it ends.
        """
        await self._permitted(actor, "test_connection", connector_id)
        report = await test_connector(self._database, self._clock, self._adapters, connector_id, on_step)
        async with self._database.write() as connection:
            name = (await connection.execute(select(connectors.c.name).where(connectors.c.id == connector_id))).scalar()
            await audit.record(
                connection,
                actor=actor,
                operation="test_connection",
                object_type="connector",
                object_id=connector_id,
                object_name=name,
                after={"result": report.result, "cause": report.cause},
                now=self._clock.now(),
            )
        await self._told(changed([connector_id]))
        return report
