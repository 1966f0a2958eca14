"""Changes of a source's schema for review: what waits, line by line, what approving it does, and below what became of earlier ones.

Approving approves the change that is shown, by its number. What the source offers meanwhile waits for its own approval.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen

from syncterm.actions import key_label
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import ChangeState, Role, SchemaPolicy
from syncterm.engine.schema_change import Treatment, treatment
from syncterm.engine.schema_difference import CLASS_WORDS, ChangeClass, Entry
from syncterm.screens.looking import Looking
from syncterm.text import Glyphs, ago, clean, clip, count, fit, width
from syncterm.widgets.check_steps import KeyLabel
from syncterm.widgets.confirm import Confirm, Target
from syncterm.widgets.lines import Line, Lines, wrapped
from syncterm.widgets.row_view import RowView

if TYPE_CHECKING:
    from datetime import datetime

    from syncterm.engine.engine import Engine
    from syncterm.engine.events import Change
    from syncterm.engine.operation_results import OperationResult
    from syncterm.engine.queries import SchemaChangeRow
    from syncterm.screens.dashboard import Dashboard

PAST_SHOWN = 100
"""Earlier changes that are listed."""
EFFECT_LINES = 3
"""Lines of the foot for what approving does."""
NAME_LIMIT = 500
"""Characters of a name or an entry that are looked at."""
REFUSALS_SHOWN = 4

STATES = {
    ChangeState.WAITING: ("waits", "waiting", "$text-warning"),
    ChangeState.APPLIED: ("applied", "check", "$text-success"),
    ChangeState.APPROVED: ("approved", "check", "$text-success"),
    ChangeState.REJECTED: ("rejected", "cross", "$text-error"),
    ChangeState.SUPERSEDED: ("superseded", "disabled", "dim"),
}
"""State → the word on screen, the name of its glyph, and its style."""
CLASS_STYLES = {ChangeClass.ADDITIVE: "$text-success", ChangeClass.NARROWING: "$text-warning", ChangeClass.BREAKING: "$text-error"}
SIGN_STYLES = {"+": "$text-success", "-": "$text-error", "~": "$text-warning"}
TREATMENTS = {Treatment.APPLY: "applied", Treatment.WAIT: "waits", Treatment.STOP: "stops"}
POLICY_WORDS = {
    SchemaPolicy.APPROVE: "approve by hand",
    SchemaPolicy.APPLY_ADDITIONS: "apply additions",
    SchemaPolicy.APPLY_ALL: "apply all",
    SchemaPolicy.PAUSE: "pause on any change",
}
"""Schema policy → its words on screen."""
SHORT_WORDS = {policy: policy.value.replace("_", " ") for policy in SchemaPolicy}


@dataclass(frozen=True, slots=True)
class ReviewLine:
    """One line of the list."""

    change: SchemaChangeRow | None = None
    """None: a heading."""
    entry: Entry | None = None
    """None: the head of its change."""
    title: str = ""


def review_lines(changes: Sequence[SchemaChangeRow]) -> list[ReviewLine]:
    """The list: each change that waits with its entries, then the others with theirs."""
    lines: list[ReviewLine] = []
    for change in (change for change in changes if change.waits):
        lines.append(ReviewLine(change))
        lines.extend(ReviewLine(change, entry) for entry in change.entries)
    past = [change for change in changes if not change.waits]
    if past:
        lines.append(ReviewLine(title="Earlier changes"))
    for change in past:
        lines.append(ReviewLine(change))
        lines.extend(ReviewLine(change, entry) for entry in change.entries)
    return lines


def sign_of(entry: Entry, symbols: Glyphs) -> str:
    """`+`, `−` or `~`."""
    return "−" if entry.sign == "-" and not symbols.arrow.isascii() else entry.sign


def entry_title(entry: Entry, symbols: Glyphs) -> str:
    """What changed, cleaned."""
    title = entry.title if not symbols.arrow.isascii() else entry.title.replace(" → ", " -> ")
    return clean(title, limit=NAME_LIMIT)


def draw_line(line: ReviewLine, marked: bool, cells: int, now: datetime, symbols: Glyphs) -> Line:
    """One line of the list, for that many cells."""
    change, entry = line.change, line.entry
    if change is None:
        return ((f" {fit(line.title, max(1, cells - 2))}", "bold dim"),)
    if entry is not None:
        words = "" if change.state is ChangeState.SUPERSEDED else CLASS_WORDS[entry.change_class] if entry.used else "not used"
        room = max(4, cells - 8 - width(words))
        style = SIGN_STYLES[entry.sign] if change.waits else "dim"
        return (
            (f"     {sign_of(entry, symbols)} ", style),
            (fit(entry_title(entry, symbols), room, ellipsis=symbols.ellipsis), "" if change.waits else "dim"),
            (f" {words}", CLASS_STYLES[entry.change_class] if change.waits and entry.used else "dim"),
        )
    word, glyph, style = STATES[change.state]
    mark = symbols.mark if marked else " "
    if change.waits:
        said = ("stops the connector" if change.blocking else "waits, syncs go on") + f", found {ago(change.found_at, now)}"
    else:
        by = f" by {clean(change.decided_by, limit=200)}" if change.decided_by else ""
        said = f"{word}{by}, {ago(change.decided_at or change.found_at, now)}"
    said = clip(said, max(8, cells // 2), symbols.ellipsis)
    room = max(4, cells - 5 - width(said))
    return (
        (f"{mark} ", "bold $primary"),
        (f"{getattr(symbols, glyph)} ", style),
        (fit(clean(change.stream, limit=NAME_LIMIT), room, ellipsis=symbols.ellipsis), "bold" if change.waits else ""),
        (f" {said}", style if change.waits else "dim"),
    )


def foot_lines(line: ReviewLine | None, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    """What approving does, what each policy makes of it, and why it stops the connector."""
    if line is None or line.change is None:
        return ((("", ""),),) * (EFFECT_LINES + 2)
    change = line.change
    entries = (line.entry,) if line.entry is not None else change.entries
    lead = "If approved: " if change.waits and all(entry.approvable for entry in entries) else ""
    effects = " ".join(dict.fromkeys(entry.effect for entry in entries if entry.effect))
    if line.entry is None and change.blocking and change.reason:
        effects = f"{change.reason} {lead}{effects}"
        lead = ""
    texts = wrapped(lead + effects, cells - 2, EFFECT_LINES, symbols.ellipsis)
    lines: list[Line] = [((f" {text}", ""),) for text in texts]
    lines += [(("", ""),)] * (EFFECT_LINES - len(lines))
    present = f" Policy of the stream: {POLICY_WORDS[change.policy]}."
    lines.append(((fit(present, cells, ellipsis=symbols.ellipsis), "dim"),))
    others = [policy for policy in SchemaPolicy if policy is not change.policy]
    said = "; ".join(f"{SHORT_WORDS[policy]}: {TREATMENTS[gravest(entries, policy)]}" for policy in others)
    lines.append(((fit(f" Others: {said}.", cells, ellipsis=symbols.ellipsis), "dim"),))
    return tuple(lines)


def gravest(entries: Sequence[Entry], policy: SchemaPolicy) -> Treatment:
    """What a policy does with the entries together."""
    return max((treatment(entry, policy) for entry in entries), key=tuple(Treatment).index)


class ReviewList(RowView):
    """The changes, a line each and a line for each entry."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "screen.mark", "Mark", show=False, id="schema_changes.mark"),
        Binding("asterisk,ctrl+a", "screen.mark_all", "Mark all", show=False, id="schema_changes.mark_all"),
    ]

    def __init__(self, draw: Callable[[int, int], Line], symbols: Glyphs) -> None:
        super().__init__(id="changes")
        self._draw = draw
        self._glyphs = symbols
        self.lines_shown: list[ReviewLine] = []

    def row_count(self) -> int:
        return len(self.lines_shown)

    def row_line(self, index: int, cells: int) -> Line:
        return self._draw(index, cells)

    def empty_lines(self, cells: int) -> tuple[Line, ...]:
        texts = (
            "The source's schema has not changed since the first sync.",
            "It is looked at before each sync; what changed shows here.",
        )
        return tuple(((fit(f" {text}", cells, ellipsis=self._glyphs.ellipsis), "dim"),) for text in texts)


class SchemaReview(ModalScreen[None]):
    """Review, approve, reject."""

    BINDING_GROUP_TITLE = "Schema changes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "approve", "Approve", id="schema_changes.approve"),
        Binding("n", "reject", "Reject", id="schema_changes.reject"),
        Binding("A", "approve_always", "Approve always", id="schema_changes.always"),
        Binding("escape,backspace,q", "close", "Close", id="schema_changes.close"),
    ]

    DEFAULT_CSS = """
    SchemaReview { align: center middle; }
    SchemaReview > Vertical {
        width: 96%;
        max-width: 120;
        height: 92%;
        background: $surface;
        border: round $primary;
        border-title-style: bold;
        border-title-color: $primary;
        border-subtitle-color: $text-muted;
    }
    SchemaReview ReviewList { background: $surface; }
    SchemaReview #review-foot { background: $panel; }
    SchemaReview Horizontal { height: auto; padding: 0 1; }
    SchemaReview.-looking .-decides { display: none; }
    """

    def __init__(self, dashboard: Dashboard, connector_id: str) -> None:
        super().__init__()
        self._dashboard = dashboard
        self._connector_id = connector_id
        self._name = ""
        self._changes: tuple[SchemaChangeRow, ...] = ()
        self._marks: set[int] = set()
        self._looking = Looking(self, self._read)
        self.loaded = False
        """Whether the list shows what the store holds."""

    @property
    def _glyphs(self) -> Glyphs:
        return self._dashboard.glyphs

    def compose(self) -> ComposeResult:
        self.list = ReviewList(self._draw_line, self._glyphs)
        self._foot = Lines(id="review-foot")
        with Vertical():
            yield self.list
            yield self._foot
            with Horizontal():
                yield KeyLabel("y", "Approve", "approve").add_class("-decides")
                yield KeyLabel("n", "Reject", "reject").add_class("-decides")
                yield KeyLabel("A", "Always", "approve_always").add_class("-decides")
                yield KeyLabel("space", "Mark", "mark").add_class("-decides")
                yield KeyLabel(key_label("escape", ascii=self._dashboard.ascii), "Close", "close")

    def on_mount(self) -> None:
        self.set_class(self._reason_against() != "", "-looking")
        self.list.focus()
        self._dashboard.engine_changes.subscribe(self, self._engine_changed)
        self._looking.soon()

    def _engine_changed(self, change: Change) -> None:
        if change.connector_ids is None or self._connector_id in change.connector_ids:
            self._looking.soon()

    async def _read(self) -> None:
        connector_id = self._connector_id

        async def read(engine: Engine) -> tuple[str, tuple[SchemaChangeRow, ...]] | None:
            rows = await engine.queries.connector_rows([connector_id])
            if connector_id not in rows:
                return None
            return rows[connector_id].name, await engine.queries.schema_changes(connector_id, limit=PAST_SHOWN)

        found = await self._dashboard.host.call(read)
        if found is None:
            self.notify("The connector was deleted.", severity="warning")
            self.dismiss(None)
            return
        self._name, self._changes = found
        self._marks &= {change.id for change in self._changes if change.waits}
        place = self._line
        self.list.lines_shown = review_lines(self._changes)
        self._return_to(place)
        self.list.rows_changed(everything=True)
        self.loaded = True
        self._draw()

    def _return_to(self, place: ReviewLine | None) -> None:
        """Keep the cursor on the change that it was on, wherever that stands now."""
        if place is None or place.change is None:
            return
        for index, line in enumerate(self.list.lines_shown):
            same = line.change is not None and line.change.id == place.change.id
            if same and (line.entry is None) == (place.entry is None) and (line.entry is None or line.entry == place.entry):
                self.list.cursor = index
                return

    # --- Drawing

    @property
    def _line(self) -> ReviewLine | None:
        lines = self.list.lines_shown
        return lines[self.list.cursor] if self.list.cursor < len(lines) else None

    def _draw_line(self, index: int, cells: int) -> Line:
        line = self.list.lines_shown[index]
        marked = line.change is not None and line.change.id in self._marks
        return draw_line(line, marked, cells, self._dashboard.now(), self._glyphs)

    def _draw(self) -> None:
        if not self.is_mounted:
            return
        box = self.query_one(Vertical)
        box.border_title = Content(clip(f"Schema changes: {clean(self._name, limit=NAME_LIMIT)}", 70, self._glyphs.ellipsis))
        waiting = sum(change.waits for change in self._changes)
        words = "nothing waits" if not waiting else f"{count(waiting)} {'waits' if waiting == 1 else 'wait'}"
        marks = f", {count(len(self._marks))} marked" if self._marks else ""
        box.border_subtitle = Content(words + marks)
        cells = self._foot.size.width or self.app.size.width - 6
        self._foot.show(foot_lines(self._line, cells, self._glyphs))

    @on(RowView.Highlighted)
    def _moved(self, event: RowView.Highlighted) -> None:
        event.stop()
        self._draw()

    @on(RowView.Chosen)
    def _chosen(self, event: RowView.Chosen) -> None:
        event.stop()
        self.action_approve()

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    # --- Actions

    def _reason_against(self) -> str:
        if self._dashboard.read_only:
            return "This dashboard is read-only."
        return "Approving needs the role user." if self._dashboard.actor.role is Role.VIEWER else ""

    def _targets(self) -> list[SchemaChangeRow]:
        """The changes that an action is about: the marked ones, else the one under the cursor; says why there is none."""
        reason = self._reason_against()
        if reason:
            self.notify(reason, severity="warning")
            return []
        marked = [change for change in self._changes if change.id in self._marks]
        if marked:
            return marked
        line = self._line
        if line is not None and line.change is not None and line.change.waits:
            return [line.change]
        waits = any(change.waits for change in self._changes)
        self.notify(
            "That change was decided already." if waits and line is not None else "No schema change waits.", severity="warning"
        )
        return []

    def action_mark(self) -> None:
        line = self._line
        if line is not None and line.change is not None and line.change.waits:
            self._marks ^= {line.change.id}
            self.list.rows_changed()
            self._to_next_change(line.change)
            self._draw()

    def _to_next_change(self, change: SchemaChangeRow) -> None:
        lines = self.list.lines_shown
        for index in range(self.list.cursor + 1, len(lines)):
            other = lines[index].change
            if other is not None and other.id != change.id and other.waits:
                self.list.cursor = index
                return

    def action_mark_all(self) -> None:
        waiting = {change.id for change in self._changes if change.waits}
        self._marks = set() if self._marks == waiting else waiting
        self.list.rows_changed()
        self._draw()

    def action_approve(self) -> None:
        self._start(self._decide(self._targets(), "Approve"))

    def action_approve_always(self) -> None:
        self._start(self._decide(self._targets(), "Approve always"))

    def action_reject(self) -> None:
        self._start(self._decide(self._targets(), "Reject"))

    def _start(self, action: Awaitable[None]) -> None:
        self.run_worker(action, group="decide", exclusive=True, exit_on_error=False)

    async def _decide(self, changes: Sequence[SchemaChangeRow], verb: str) -> None:
        """Ask where it must, and decide: these changes, whatever the list shows by then."""
        if not changes:
            return
        ids = [change.id for change in changes]
        if (verb != "Reject" and any(map(_is_grave, changes))) or verb == "Approve always":
            question = Confirm(
                verb,
                [Target(str(change.id), change.stream) for change in changes],
                title=f"{verb}: {count(len(changes))} schema {'change' if len(changes) == 1 else 'changes'}?",
                consequences=consequences(changes, always=verb == "Approve always"),
                dangerous=any(map(_is_grave, changes)),
                must_type=False,
                ascii=self._dashboard.ascii,
            )
            if not await self.app.push_screen_wait(question):
                return
        actor = self._dashboard.actor

        async def decide(engine: Engine) -> tuple[OperationResult, ...]:
            operations = engine.operations
            if verb == "Reject":
                return await operations.reject_schema_changes(actor, ids)
            return await operations.approve_schema_changes(actor, ids, always=verb == "Approve always")

        try:
            self._tell(verb, await self._dashboard.host.call(decide))
        except SynctermError as error:
            self._dashboard.notify_error(error)
        self._marks.clear()
        self._looking.soon()

    def _tell(self, verb: str, results: Sequence[OperationResult]) -> None:
        done, refused = ([result for result in results if result.done is wanted] for wanted in (True, False))
        lines = [done[0].message] if len(done) == 1 else [f"{count(len(done))} changes: done."] if done else []
        lines += [result.message for result in refused[:REFUSALS_SHOWN]]
        if len(refused) > REFUSALS_SHOWN:
            lines.append(f"and {count(len(refused) - REFUSALS_SHOWN)} more were refused.")
        self.notify("\n".join(lines), title=verb, severity="warning" if refused else "information")

    def action_close(self) -> None:
        if self._marks:
            self._marks.clear()
            self.list.rows_changed()
            self._draw()
        else:
            self.dismiss(None)

    def on_click(self, event: events.Click) -> None:
        if event.widget is self:
            self.dismiss(None)


def _is_grave(change: SchemaChangeRow) -> bool:
    """Whether approving it is asked about first."""
    return any(entry.used and entry.change_class is ChangeClass.BREAKING for entry in change.entries)


def consequences(changes: Sequence[SchemaChangeRow], *, always: bool) -> list[str]:
    """What approving does, for the question before it: each consequence once, at most six."""
    effects = dict.fromkeys(clean(entry.effect, limit=NAME_LIMIT) for change in changes for entry in change.entries if entry.used)
    lines = [effect for effect in effects if effect][:6]
    if always:
        lines.append("From now on the policy applies such changes by itself; breaking ones always wait.")
    return [*lines, "No column is dropped from the destination."]


async def review_schema(dashboard: Dashboard, connector_id: str) -> None:
    """Show a connector's schema changes for review; returns when the person is done."""
    await dashboard.push_screen_wait(SchemaReview(dashboard, connector_id))
