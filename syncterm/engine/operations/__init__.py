"""What a person can do. Every operation names the role it needs, checks it, and writes the audit trail, also when it refuses.

Operations change the store and nothing else; the engine that holds the lease, in this process or another, acts on what it finds
there. One module a concern; `Operations` is all of them.
"""

from __future__ import annotations

from syncterm.engine.operations.connectors import ConnectorOperations
from syncterm.engine.operations.deletes import DeleteOperations
from syncterm.engine.operations.deleting import DeletingOperations
from syncterm.engine.operations.documents import DocumentOperations
from syncterm.engine.operations.endpoints import EndpointOperations
from syncterm.engine.operations.keys import KeyOperations
from syncterm.engine.operations.running import RunningOperations
from syncterm.engine.operations.schema_changes import SchemaChangeOperations
from syncterm.engine.operations.testing_connections import ConnectionTestOperations


class Operations(
    ConnectorOperations,
    EndpointOperations,
    RunningOperations,
    DeletingOperations,
    DeleteOperations,
    SchemaChangeOperations,
    ConnectionTestOperations,
    DocumentOperations,
    KeyOperations,
):
    """The operations on one store."""
