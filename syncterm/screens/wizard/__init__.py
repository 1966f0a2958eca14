"""Adding a connector step by step, and changing one: the way in. The screens load when they are first needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncterm.screens.dashboard import Dashboard


async def add_connector(dashboard: Dashboard, source_id: str | None = None) -> str | None:
    """Let a person set up a connector; its id, None where nothing was saved. The connector's own screen opens.

    Args:
        source_id: the source it reads from, chosen already.
    """
    from syncterm.editing.connector_wizard import ConnectorWizard
    from syncterm.screens.wizard.screen import WizardScreen

    screen = WizardScreen(dashboard, ConnectorWizard(), source_id=source_id)
    saved = await dashboard.push_screen_wait(screen)
    if saved is None:
        return None
    dashboard.notify(saved.message, title=screen.shown_name)
    dashboard.open_connector(saved.id, tab="history" if screen.synced else "schema")
    return saved.id


async def edit_connector(dashboard: Dashboard, connector_id: str) -> None:
    """Let a person change a connector's set-up, section by section."""
    from syncterm.editing.connector_wizard import ConnectorWizard
    from syncterm.screens.wizard.screen import WizardScreen

    draft = await dashboard.attempt(lambda engine: engine.queries.connector_draft(connector_id))
    if draft is None:
        dashboard.notify("It does not exist any more.", title="Edit setup", severity="warning")
        return
    screen = WizardScreen(dashboard, ConnectorWizard(draft))
    saved = await dashboard.push_screen_wait(screen)
    if saved is not None:
        dashboard.notify(saved.message, title=screen.shown_name)
