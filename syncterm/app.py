"""The dashboard: first paint, the engine's host behind it, themes, keymap, signals, and what a crash may print."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from rich.text import Text
from textual.message import Message
from textual.notifications import SeverityLevel
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.signal import Signal
from textual.worker import Worker, WorkerState

from syncterm.account import account_name
from syncterm.actions import ACTIONS, Scope, allowed, bindings, clashes
from syncterm.engine.errors import SynctermError
from syncterm.engine.events import EVERYTHING, Change, Subscription
from syncterm.engine.model import Actor, Role
from syncterm.navigation import Navigation
from syncterm.painting import FrameDifference
from syncterm.screens.base import DashboardScreen
from syncterm.screens.connector_actions import ConnectorActions
from syncterm.screens.endpoint_actions import EndpointActions
from syncterm.screens.menu import Choice, Menu
from syncterm.screens.row_actions import LastDeletion
from syncterm.settings import ScreenState, Settings
from syncterm.terminal_driver import end_at_once
from syncterm.text import clean, count, glyphs
from syncterm.themes import MONO, appearance, own_themes
from syncterm.widgets.header import EngineSummary

if TYPE_CHECKING:
    from rich.console import RenderableType

    from syncterm.editing.stream_editing import StreamEditing
    from syncterm.engine.engine import Engine
    from syncterm.engine.host import EngineHost

logger = logging.getLogger(__name__)

T = TypeVar("T")

TICK = 1.0  # seconds between two looks at the countdown
ERROR_TIMEOUT = 15.0  # seconds an error stays
TRACEBACK_LIMIT = 20  # frames of a crash
TRACEBACK_CHARACTERS = 20_000


class ExitReason(StrEnum):
    """Why the dashboard ended: what the command line goes on with."""

    QUIT = "quit"
    """Stop the engine of this process; its syncs resume at the next start."""
    DETACH = "detach"
    """Leave the terminal; an engine without a screen goes on with the syncs."""
    HANGUP = "hangup"
    """The terminal went away: the setting `on_disconnect` decides."""
    TERMINATED = "terminated"
    """SIGTERM, SIGINT or SIGQUIT."""
    CRASH = "crash"


SIGNALS = {
    "SIGHUP": ExitReason.HANGUP,
    "SIGTERM": ExitReason.TERMINATED,
    "SIGINT": ExitReason.TERMINATED,
    "SIGQUIT": ExitReason.TERMINATED,
}


class EngineChanged(Message):
    """Something in the store changed."""

    def __init__(self, change: Change) -> None:
        super().__init__()
        self.change = change

    def can_replace(self, message: Message) -> bool:
        """A burst costs one look."""
        if isinstance(message, EngineChanged):
            message.change = self.change.merge(message.change)
            return True
        return False


class AsciiScrollBarRender(ScrollBarRender):
    """A scroll bar of whole cells, for terminals without block characters."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


def collect_garbage_from_now_on() -> None:
    """Where garbage collection waited for the start: begin it, and leave out what is there, the imported modules above all.

    A full collection that walks all of them stops every thread for tens of milliseconds.
    """
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


class SyncTermApp(Navigation, inherit_bindings=False):
    """The dashboard on one engine host.

    Args:
        host: The engine on its own thread. The app starts it after the first paint; whoever made it stops it, after `run` returned
            and `exit_reason` said why.
        settings: What config.toml says.
        ascii: Draw with ASCII characters only; also chosen by a locale without UTF-8.
        read_only: Look, but change nothing.
        actor: Who is at the keyboard.
    """

    CSS_PATH = "app.tcss"
    TITLE = "syncterm"
    ENABLE_COMMAND_PALETTE = False  # the product has its own, with arguments
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (110, "-wide")]  # noqa: RUF012  # Textual declares it so
    BINDINGS: ClassVar[list[Any]] = bindings(Scope.APP)

    def __init__(
        self,
        host: EngineHost,
        settings: Settings,
        *,
        ascii: bool = False,  # noqa: A002
        read_only: bool = False,
        actor: Actor | None = None,
    ) -> None:
        self.settings = settings
        self.state = ScreenState(settings.state_path)
        stored_theme = self.state.get("app").get("theme")
        self.appearance = appearance(
            stored_theme if isinstance(stored_theme, str) else settings.theme,
            ascii=ascii or settings.ascii,
            environ=os.environ,
        )
        # Textual picks its colour filters here, once: without colours it must know before, or paints black on black.
        super().__init__(ansi_color=None if self.appearance.colours else True)
        self.host = host
        self.ascii = self.appearance.ascii
        self.set_class(self.ascii, "-ascii")
        self.glyphs = glyphs(self.ascii)
        self.read_only = read_only
        actor = actor or Actor(account_name(), Role.ADMINISTRATOR)
        self.actor = Actor(actor.name, Role.VIEWER) if read_only else actor
        self.exit_reason = ExitReason.QUIT
        self.exit_signal: int | None = None
        """The signal that ended it, if one did."""
        self._signals = 0
        self.opened = asyncio.Event()
        self.store_error: SynctermError | None = None
        self.header_hidden = bool(self.state.get("app").get("header_hidden"))
        self.engine_summary = EngineSummary(note=f"opening the store {self.glyphs.ellipsis}")
        self.engine_changes: Signal[Change] = Signal(self, "engine-changes")
        self.crash_report = ""
        """What was printed at a crash."""
        self.connector_actions = ConnectorActions(self)
        self.endpoint_actions = EndpointActions(self)
        self.last_deletion = LastDeletion()
        self.unsaved_edits: dict[str, StreamEditing] = {}
        self._subscription: Subscription | None = None
        self._frame = FrameDifference()
        for theme in own_themes():
            self.register_theme(theme)
        self.theme = self.appearance.theme
        self.set_keymap(dict(settings.keymap))

    # --- Life

    def on_mount(self) -> None:
        self._install_signal_handlers()
        self.set_interval(TICK, self.tick)
        self.call_after_refresh(self._open_store_soon)
        if self.ascii:
            ScrollBar.renderer = AsciiScrollBarRender
        if self.state.problem:
            self.notify(self.state.problem, severity="warning")
        for key, winner, loser in clashes(self.settings.keymap):
            self.notify(f"The key {key} does {winner} now; {loser} has lost it.", title="Keymap in config.toml", severity="warning")

    def _open_store_soon(self) -> None:
        self.run_worker(self._open_store(), group="store", exit_on_error=False)

    async def _open_store(self) -> None:
        try:
            self.host.start()
            await self.host.ready()
        except SynctermError as error:
            self.store_error = error
            self.engine_summary = EngineSummary(note="the store is closed", trouble=True)
            self._update_header()
            self.engine_changes.publish(EVERYTHING)
            return
        finally:
            collect_garbage_from_now_on()
        self._subscription = self.host.subscribe(self._engine_changed)
        self.opened.set()
        self.engine_summary = EngineSummary()
        await self._look_at_engine()
        self.engine_changes.publish(EVERYTHING)

    def on_unmount(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
        if self.ascii:
            ScrollBar.renderer = ScrollBarRender
        self._remove_signal_handlers()

    def _install_signal_handlers(self) -> None:
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        for name, reason in SIGNALS.items():
            number = getattr(signal, name, None)
            if number is not None:
                loop.add_signal_handler(number, self._end_by_signal, int(number), reason)
                if reason is ExitReason.TERMINATED:
                    # Beside the loop, which may wait for a terminal that nobody reads: a second signal waits for nothing.
                    signal.signal(number, self._count_signal)

    def _remove_signal_handlers(self) -> None:
        if self.is_headless:
            return
        loop = asyncio.get_running_loop()
        for name in SIGNALS:
            if (number := getattr(signal, name, None)) is not None:
                loop.remove_signal_handler(number)
                if SIGNALS[name] is ExitReason.HANGUP is self.exit_reason:
                    signal.signal(number, signal.SIG_IGN)  # a shell and the terminal each send one; the engine outlives both

    def _count_signal(self, number: int, _: object) -> None:
        self._signals += 1
        if self._signals > 1:
            end_at_once(self._driver, 128 + number)

    def terminal_lost(self) -> None:
        """The terminal went away; may be called from any thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end_by_signal, int(signal.SIGHUP), ExitReason.HANGUP)

    def _end_by_signal(self, number: int, reason: ExitReason) -> None:
        self.exit_reason = reason
        self.exit_signal = number
        self.exit(return_code=128 + number)

    def on_resize(self) -> None:
        # Also when it is as large as before: a terminal that was small for a moment has cut the picture, and a return from the
        # shell begins with an empty one.
        self.call_after_refresh(self._repaint)

    def _repaint(self) -> None:
        self._frame.forget()
        self.screen.refresh()

    # --- The engine

    def _engine_changed(self, change: Change) -> None:
        # In the engine's thread: posting is thread-safe, and nothing here waits for the screens.
        self.post_message(EngineChanged(change))

    async def on_engine_changed(self, event: EngineChanged) -> None:
        self.run_worker(self._look_at_engine(), group="engine-state", exclusive=True, exit_on_error=False)
        self.engine_changes.publish(event.change)

    def now(self) -> datetime:
        return self.host.clock.now()

    def tick(self) -> None:
        if not self.opened.is_set():
            return
        due = self.engine_summary.next_fire_at
        if due is not None and due <= self.now():
            self.run_worker(self._look_at_engine(), group="engine-state", exclusive=True, exit_on_error=False)
        self._update_header()

    async def _look_at_engine(self) -> None:
        state = await self.attempt(lambda engine: engine.queries.engine_state())
        if state is None:
            return
        holder = state.holder
        elsewhere = holder is not None and holder.alive and holder.pid != os.getpid()
        self.engine_summary = EngineSummary(
            running=state.running,
            queued=state.queued,
            failed=state.failed,
            next_fire_at=state.next_fire_at,
            holder=clean(f"engine: pid {holder.pid} {holder.user}@{holder.host}") if holder is not None and elsewhere else "",
            idle=holder is None or not holder.alive,
        )
        self._update_header()

    def _update_header(self) -> None:
        shown = self.screen_stack[-1:]  # none while the app ends
        if shown and isinstance(shown[0], DashboardScreen):
            shown[0].update_header()

    async def attempt(self, function: Callable[[Engine], Awaitable[T]]) -> T | None:
        try:
            return await self.host.call(function)
        except SynctermError as error:
            self.notify_error(error)
        return None

    def notify_error(self, error: SynctermError) -> None:
        self.notify(error.remedy or str(error.error_class), title=error.message, severity="error", timeout=ERROR_TIMEOUT)

    def report(self, error: BaseException | None) -> None:
        if isinstance(error, SynctermError):
            self.notify_error(error)
        else:
            logger.error("Work behind the screens failed.", exc_info=error)
            self.notify(f"{type(error).__name__}: {error}", title="A defect of syncterm", severity="error")

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            self.report(event.worker.error)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        super()._display(screen, self._frame.reduce(renderable))

    # --- Text from outside never becomes markup or an action

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Show a toast. Message and title are cleaned and shown literally, whatever `markup` says."""
        super().notify(
            clean(message, newlines=True, limit=2000),
            title=clean(title, limit=500),
            severity=severity,
            timeout=timeout,
            markup=False,
        )

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Only the registry's actions and moving the focus can be run; Textual's others (screenshot, simulate_key, …) never."""
        spec = ACTIONS.get(action)
        if spec is None or Scope.APP not in spec.scopes:
            return action in ("focus_next", "focus_previous")
        return None if self._reason_against(action) else True

    def _reason_against(self, action: str) -> str:
        if not allowed(ACTIONS[action], self.actor.role):
            return "This dashboard is read-only." if self.read_only else f"It needs the role {ACTIONS[action].role}."
        if action == "last_view" and self._before is None:
            return "There is no other view yet."
        if action == "choose_theme" and not self.appearance.colours:
            return "NO_COLOR is set: there is one theme, without colours."
        return ""

    def get_system_commands(self, screen: Screen[Any]) -> Any:
        """None of Textual's."""
        return iter(())

    # --- Crash

    def _fatal_error(self) -> None:
        """End after an unhandled exception. Textual would print the local variables of every frame, and they may hold secrets."""
        self.exit_reason = ExitReason.CRASH
        error = sys.exc_info()[1]
        lines = traceback.format_exception(error, limit=-TRACEBACK_LIMIT) if error is not None else ["unknown error\n"]
        report = clean("".join(lines), newlines=True, limit=TRACEBACK_CHARACTERS)
        self.crash_report = f"{report}\nThe dashboard ended because of this error. It is a defect of syncterm: please report it."
        self._exit_renderables.append(Text(self.crash_report))
        self._close_messages_no_wait()

    # --- Actions of the app

    def on_key(self, event: Any) -> None:
        active = self.screen.active_bindings.get(event.key)
        if active is not None and not active.enabled and active.node is self:
            self.notify(self._reason_against(active.binding.action), severity="warning")

    def action_help(self) -> None:
        from syncterm.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    def action_palette(self) -> None:
        from syncterm.screens.palette import PaletteScreen

        self.push_screen(PaletteScreen(self.screen))

    def action_hide_header(self) -> None:
        self.header_hidden = not self.header_hidden
        self.screen.set_class(self.header_hidden, "-no-header")
        self.remember("app", header_hidden=self.header_hidden)

    def remember(self, screen: str, **values: object) -> None:
        try:
            self.state.put(screen, **values)
        except SynctermError as error:
            self.notify(error.remedy, title=error.message, severity="warning")

    def action_choose_theme(self) -> None:
        before = self.theme

        def chosen(name: str | None) -> None:
            self.theme = name or before
            if name:
                self.remember("app", theme=name)

        choices = [Choice(name, name, checked=name == before) for name in self.appearance.choices]
        self.push_screen(Menu("Theme", choices, self.glyphs, on_highlight=self._preview_theme), chosen)

    def _preview_theme(self, name: str) -> None:
        self.theme = name

    def set_theme_by_name(self, name: str) -> None:
        """Use a theme and remember it."""
        self.theme = name
        self.remember("app", theme=name)

    def watch_theme(self, name: str) -> None:
        self.set_class(name == MONO, "-mono")

    def action_suspend(self) -> None:
        self.action_suspend_process()

    def action_copy_or_hint(self) -> None:
        self.notify("Press q to quit.")

    async def action_quit(self) -> None:
        if self.unsaved_edits:
            self._ask_about_edits()
        else:
            self._ask_about_syncs()

    def _ask_about_edits(self) -> None:
        number = len(self.unsaved_edits)
        choices = [
            Choice("stay", "Stay", "n", "ctrl+s on its Schema tab saves them"),
            Choice("discard", "Discard them and quit", "x"),
        ]

        def chosen(choice: str | None) -> None:
            if choice == "discard":
                self.unsaved_edits.clear()
                self._ask_about_syncs()

        what = "1 connector has" if number == 1 else f"{count(number)} connectors have"
        self.push_screen(Menu(f"{what} edits that are not saved", choices, self.glyphs), chosen)

    def _ask_about_syncs(self) -> None:
        running = self.engine_summary.running
        if not running or self.engine_summary.holder or not self.opened.is_set():
            self.leave(ExitReason.QUIT)
            return
        syncs = "1 sync is" if running == 1 else f"{count(running)} syncs are"
        choices = [
            Choice("stay", "Stay", "n", "keep the dashboard"),
            Choice(ExitReason.DETACH, "Leave, syncs go on", "l", "an engine without a screen takes them over"),
            Choice(ExitReason.QUIT, "Stop and quit", "s", "they stop at a batch and resume at the next start"),
        ]

        def chosen(choice: str | None) -> None:
            if choice is not None and choice != "stay":
                self.leave(ExitReason(choice))

        self.push_screen(Menu(f"{syncs} running", choices, self.glyphs), chosen)

    def leave(self, reason: ExitReason) -> None:
        """End the dashboard."""
        self.exit_reason = reason
        self.exit()
