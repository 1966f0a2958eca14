"""The "why" panel: what is wrong with a connector, why, and the actions that mend it, each one key away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content

from syncterm.actions import ACTIONS, keys_of
from syncterm.engine.model import EndpointKind
from syncterm.engine.queries.troubleshooting import Troubles
from syncterm.engine.troubleshooting import Finding, Mend
from syncterm.screens.menu import Choice, Menu
from syncterm.text import Glyphs, clean

if TYPE_CHECKING:
    from syncterm.screens.dashboard import Dashboard

CAUSE_LIMIT = 500
"""Characters of a cause."""


@dataclass(frozen=True, slots=True)
class _Wording:
    title: str
    detail: str = ""


_WORDINGS: Mapping[Mend, _Wording] = {
    Mend.EDIT_SOURCE: _Wording("Edit the source", "its address, its credentials"),
    Mend.EDIT_DESTINATION: _Wording("Edit the destination", "its address, its credentials"),
    Mend.EDIT_SETUP: _Wording("Edit setup"),
    Mend.REVIEW_SCHEMA: _Wording("Review the schema change"),
    Mend.TEST_CONNECTION: _Wording("Test connection"),
    Mend.SYNC_NOW: _Wording("Sync now"),
    Mend.RESUME: _Wording("Resume"),
    Mend.EDIT_SCHEDULE: _Wording("Edit schedule"),
    Mend.APPROVE_DELETES: _Wording("Approve deletes"),
    Mend.FAILED_RECORDS: _Wording("Open the last sync", "its failed records"),
    Mend.LOGS: _Wording("Logs"),
}


def why_text(findings: Sequence[Finding], symbols: Glyphs) -> Content:
    """What the panel says: each finding with its cause and what to do."""
    return Content("\n\n").join(_finding_text(finding, symbols) for finding in findings)


def _finding_text(finding: Finding, symbols: Glyphs) -> Content:
    return Content.assemble(
        (f"{symbols.warning} {finding.title}\n", "bold $text-warning"),
        (f"{clean(finding.cause, limit=CAUSE_LIMIT)}\n", "$foreground"),
        (f"{symbols.arrow} {finding.remedy}", "$text-muted"),
    )


def why_choices(findings: Sequence[Finding], keymap: Mapping[str, str]) -> list[Choice]:
    """The actions that mend what was found, the most pressing first, each with its key."""
    mends = dict.fromkeys(mend for finding in findings for mend in finding.mends)
    return [
        Choice(mend, _WORDINGS[mend].title, _key(mend, number, keymap), _WORDINGS[mend].detail)
        for number, mend in enumerate(mends, 1)
    ]


def _key(mend: Mend, number: int, keymap: Mapping[str, str]) -> str:
    """The action's own key where it has one on the screens, else its number."""
    spec = ACTIONS.get(mend)
    return (keys_of(spec, keymap)[0] if spec is not None else "") or str(number)


async def show_why(dashboard: Dashboard, connector_id: str) -> None:
    """Show the panel of a connector, and do what is chosen in it."""
    troubles = await dashboard.attempt(lambda engine: engine.queries.troubles(connector_id))
    if troubles is None:
        return
    text = why_text(troubles.findings, dashboard.glyphs)
    if not troubles.findings:
        detail = await dashboard.attempt(lambda engine: engine.queries.connector(connector_id))
        text = Content(clean(f"Nothing is wrong. {detail.why if detail is not None else ''}", limit=2000))
    close = Choice("close", "Close", "n")
    choices = [*why_choices(troubles.findings, dashboard.settings.keymap), close]
    chosen = await dashboard.push_screen_wait(Menu(f"Why: {troubles.name}", choices, dashboard.glyphs, text=text))
    if chosen is not None and chosen != close.id:
        await mend(dashboard, troubles, Mend(chosen))


async def mend(dashboard: Dashboard, troubles: Troubles, chosen: Mend) -> None:
    """Do what mends a finding, as its key on the connector's screen would."""
    match chosen:
        case Mend.EDIT_SOURCE | Mend.EDIT_DESTINATION:
            from syncterm.screens.adding import edit_endpoint

            kind = EndpointKind.SOURCE if chosen is Mend.EDIT_SOURCE else EndpointKind.DESTINATION
            endpoint_id = troubles.source_id if kind is EndpointKind.SOURCE else troubles.destination_id
            if endpoint_id is not None:
                await edit_endpoint(dashboard, kind, endpoint_id)
        case Mend.FAILED_RECORDS:
            from syncterm.screens.sync_detail import SyncDetailScreen

            if troubles.last_sync_id is not None:
                dashboard.push_screen(SyncDetailScreen(dashboard.host, troubles.last_sync_id))
        case _:
            await dashboard.run_command(chosen, troubles.connector_id)
