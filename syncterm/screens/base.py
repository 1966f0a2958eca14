"""What every full screen of the dashboard shares: header, footer, actions with a reason when they do not apply, going back."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.screen import Screen
from textual.worker import Worker, WorkerState

from syncterm.actions import ACTIONS, ActionSpec, Scope, allowed, in_scope, key_label, keys_of
from syncterm.screens.dashboard import Place
from syncterm.widgets.footer import Footer, FooterKey, KeyLine
from syncterm.widgets.header import Badge, Header
from syncterm.widgets.live_table import LiveTable

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.screens.dashboard import Dashboard

PINNED = ("palette", "help", "quit")
"""Actions that keep their place at the right of the footer."""


@cache
def bound_actions(screen: type[Screen[Any]]) -> frozenset[str]:
    """The actions that a screen class binds itself, without their parameters."""
    return frozenset(binding.action.partition("(")[0] for binding in screen.BINDINGS if isinstance(binding, Binding))


class DashboardScreen(Screen[None]):
    """A screen with a header, a body and a footer.

    A subclass names its `SCOPE`, yields its body from `compose_body`, and may say why an action does not apply (`reason_against`).
    """

    SCOPE: ClassVar[Scope]
    AUTO_FOCUS = ""
    """Each screen says itself where its keys go; Textual would give them to the filter line, which is hidden."""
    never: Mapping[str, str] = {}
    """Actions of the scope that never apply here, with the reason why; not on the footer."""
    place = Place()
    """What it shows, for the way back to it."""

    @property
    def dashboard(self) -> Dashboard:
        """The app, as what it is."""
        return cast("Dashboard", self.app)

    # --- What a subclass provides

    def compose_body(self) -> ComposeResult:
        """The widgets between header and footer."""
        raise NotImplementedError

    def crumb(self) -> str:
        """What this screen shows, in a word or two; may be from outside."""
        raise NotImplementedError

    def crumbs(self) -> tuple[str, ...]:
        """Where the person is, from the outermost."""
        stack = self.app.screen_stack
        below = stack[: stack.index(self)] if self in stack else ()
        return (*(screen.crumb() for screen in below if isinstance(screen, DashboardScreen)), self.crumb())

    def badges(self) -> tuple[Badge, ...]:
        """What must not be overlooked in this view."""
        return ()

    def reason_against(self, action: str) -> str:
        """Why an action does nothing here and now, as a sentence; empty where it can be done."""
        return ""

    def inner(self) -> tuple[Scope, Widget] | None:
        """A widget in view with actions of its own, and their scope."""
        return None

    def go_back(self) -> None:
        """What esc does: the first thing that can be closed or cleared; here, the screen itself."""
        if len(self.app.screen_stack) > 1:
            self.app.pop_screen()

    # --- Picture

    def compose(self) -> ComposeResult:
        self._header = Header(self.dashboard.glyphs)
        self._footer = Footer()
        yield self._header
        yield from self.compose_body()
        yield self._footer

    def on_mount(self) -> None:
        self.set_class(self.dashboard.header_hidden, "-no-header")
        self.bindings_updated_signal.subscribe(self, lambda _: self.update_footer())
        self.update_header()
        self.update_footer()

    def on_screen_resume(self) -> None:
        self.dashboard.arrived(self)
        self.set_class(self.dashboard.header_hidden, "-no-header")
        self.update_header()

    def update_header(self) -> None:
        """Show crumbs, badges and the engine's state as they are now; only the cells that changed are sent."""
        if not self.is_mounted:
            return
        header = self._header
        read_only = (Badge("READ-ONLY", loud=True),) if self.dashboard.read_only else ()
        header.set_crumbs(self.crumbs())
        header.set_badges((*read_only, *self.badges()))
        header.set_engine(self.dashboard.engine_summary, self.dashboard.now())

    def update_footer(self) -> None:
        """Show the keys of this screen, dim where they do nothing now."""
        if self.is_mounted:
            self._footer.set_keys(self._footer_keys())

    def _footer_keys(self) -> list[FooterKey]:
        keymap = self.dashboard.settings.keymap
        inner = self.inner()
        keys = [
            FooterKey(
                spec.id,
                key_label(keys_of(spec, keymap)[0], ascii=self.dashboard.ascii),
                spec.footer,
                enabled=not self.full_reason_against(spec),
            )
            for spec in (in_scope(inner[0]) if inner is not None else ())
            if spec.footer
        ]
        for spec in (*in_scope(self.SCOPE), *in_scope(Scope.APP)):
            node = self if self.SCOPE in spec.scopes else self.app
            state = node.check_action(spec.id, ()) if spec.footer and spec.id not in self.never else False
            if state is not False:
                label = key_label(keys_of(spec, keymap)[0], ascii=self.dashboard.ascii)
                keys.append(FooterKey(spec.id, label, spec.footer, enabled=bool(state), pinned=spec.id in PINNED))
        return keys

    async def on_key_line_pressed(self, event: KeyLine.Pressed) -> None:
        await self.perform(event.action)

    def on_header_pressed(self, event: Header.Pressed) -> None:
        for _ in range(len(self.crumbs()) - 1 - event.crumb):
            self.go_back()

    # --- What goes wrong behind the screen is logged and said

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.dashboard.report(event.worker.error)

    @on(LiveTable.LoadFailed)
    def _rows_not_read(self, event: LiveTable.LoadFailed) -> None:
        self.dashboard.report(event.error)

    # --- Actions

    def full_reason_against(self, spec: ActionSpec) -> str:
        """Why an action does nothing here: missing, not this person's role, or the screen's own reason."""
        if reason := self.never.get(spec.id):
            return reason
        if not allowed(spec, self.dashboard.actor.role):
            return "This dashboard is read-only." if self.dashboard.read_only else f"{spec.title} needs the role {spec.role}."
        return self.reason_against(spec.id)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """True: can be done. None: shown dim, and the key says why. False: not bound (dangerous ones of a read-only dashboard).

        Only the registry's actions and those that a screen binds itself can be run here; Textual's others never.
        """
        spec = ACTIONS.get(action)
        if spec is None or self.SCOPE not in spec.scopes:
            return action in bound_actions(type(self)) or action == "copy_text"
        if spec.dangerous and self.dashboard.read_only:
            return False
        return None if self.full_reason_against(spec) else True

    def on_key(self, event: events.Key) -> None:
        active = self.active_bindings.get(event.key)
        if active is not None and not active.enabled and active.node is self:
            event.stop()
            self.explain(active.binding.action)

    def explain(self, action: str) -> None:
        """Say why an action does nothing."""
        reason = self.full_reason_against(ACTIONS[action])
        if reason:
            self.notify(reason, severity="warning")

    async def perform(self, action: str) -> None:
        """Do an action of this screen or of the app as its key would, or say why not. For the footer, menus and the palette."""
        spec = ACTIONS[action]
        inner = self.inner()
        if inner is not None and inner[0] in spec.scopes:
            await self.app.run_action(action, inner[1])
        elif self.SCOPE not in spec.scopes:
            await self.app.run_action(action, self.app)
        elif self.check_action(action, ()):
            await self.app.run_action(action, self)
        else:
            self.explain(action)
