"""Adding and changing sources and destinations: the catalog, then the form. To be awaited in a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from syncterm.engine.drafts import EndpointDraft, Saved
from syncterm.engine.errors import ConfigError, SynctermError
from syncterm.engine.model import EndpointKind
from syncterm.screens.endpoint_form import EndpointForm, FormSubject
from syncterm.screens.type_catalog import GROUPS, TypeCatalog

if TYPE_CHECKING:
    from syncterm.engine.adapters import Adapter
    from syncterm.screens.dashboard import Dashboard


async def add_endpoint(dashboard: Dashboard, kind: EndpointKind) -> Saved | None:
    """Let a person choose a type and fill its form; what was saved, None where nothing was."""
    while True:
        type_ = await dashboard.push_screen_wait(TypeCatalog(kind))
        if type_ is None:
            return None
        subject = await _subject(dashboard, EndpointDraft(kind, type_), in_use=0)
        if subject is None:
            continue
        form = EndpointForm(subject)
        saved = await dashboard.push_screen_wait(form)
        if saved is not None or form.changed:
            return saved  # an untouched form leads back to the catalog


async def edit_endpoint(dashboard: Dashboard, kind: EndpointKind, endpoint_id: str) -> Saved | None:
    """Let a person change one that exists; what was saved, None where nothing was."""
    draft = await dashboard.attempt(lambda engine: engine.queries.endpoint_draft(kind, endpoint_id))
    if draft is None:
        dashboard.notify(f"The {kind} does not exist any more.", severity="warning")
        return None
    detail = await dashboard.attempt(lambda engine: engine.queries.endpoint_detail(kind, endpoint_id))
    subject = await _subject(dashboard, draft, in_use=detail.row.connectors if detail is not None else 0)
    return await dashboard.push_screen_wait(EndpointForm(subject)) if subject is not None else None


async def _subject(dashboard: Dashboard, draft: EndpointDraft, *, in_use: int) -> FormSubject | None:
    """What the form is about; None, and the reason said, where its type cannot be loaded."""
    try:
        adapter = await asyncio.to_thread(_load, draft)
    except SynctermError as error:
        dashboard.notify_error(error)
        return None
    rows = await dashboard.attempt(
        lambda engine: engine.queries.sources() if draft.kind is EndpointKind.SOURCE else engine.queries.destinations()
    )
    taken = frozenset(row.name for row in rows or () if row.id != draft.id)
    return FormSubject(draft, adapter.title, adapter.Config, taken, in_use)


def _load(draft: EndpointDraft) -> type[Adapter]:
    from syncterm.engine.document_config import load_adapter

    try:
        return load_adapter(GROUPS[draft.kind], draft.type)
    except SynctermError:
        raise
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"The adapter {draft.type!r} cannot be loaded ({type(error).__name__}).", remedy="Install it again."
        ) from None
