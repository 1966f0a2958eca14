"""Configuration as code."""

from __future__ import annotations

from syncterm.engine.authorisation import operation
from syncterm.engine.configuration import apply_document, export_document
from syncterm.engine.document import Document
from syncterm.engine.document_plan import Plan
from syncterm.engine.events import EVERYTHING
from syncterm.engine.model import Actor, Role
from syncterm.engine.operations.base import OperationsBase


class DocumentOperations(OperationsBase):
    """Applying a document, and writing one."""

    @operation(Role.USER)
    async def apply(self, actor: Actor, document: Document, *, prune: bool = False, dry_run: bool = False) -> Plan:
        """Make the store what a document says; the plan of what was (or would be) done.

        Raises:
            ConfigError: naming the path; nothing was changed.
        """
        plan = await apply_document(
            self._database, self._clock, self._adapters.key_path, actor, document, prune=prune, dry_run=dry_run
        )
        if not dry_run:
            await self._told(EVERYTHING)
        return plan

    @operation(Role.USER)
    async def export(self, actor: Actor) -> Document:
        """All sources, destinations and connectors; `document.export` writes it without secrets."""
        return await export_document(self._database, self._adapters.key_path)
