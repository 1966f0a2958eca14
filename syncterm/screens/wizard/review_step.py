"""The last step, and the first of editing: everything on a page, what is wrong and where it is mended, and finishing."""

from __future__ import annotations

from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Input, Static

from syncterm.editing.connector_wizard import ConnectorWizard, Step
from syncterm.engine.document_tree import LONGEST_NAME
from syncterm.engine.model import MANUAL_SCHEDULE
from syncterm.screens.menu import Choice, Menu
from syncterm.screens.wizard.review_list import Finish, ReviewList, review_rows
from syncterm.screens.wizard.step import StepView
from syncterm.widgets.clean_input import CleanInput
from syncterm.widgets.footer import FooterKey

SYNC, SAVE, DRAFT = "sync", "save", "draft"


class NameInput(CleanInput):
    """The connector's name; enter and down go on to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,enter", "to_list", "To the list", show=False, id="name.to_list"),
    ]

    def action_to_list(self) -> None:
        self.screen.query_one(ReviewList).focus()


class ReviewStep(StepView):
    """Everything that was chosen."""

    STEP = Step.REVIEW
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("v", "dry_run", "Dry run", show=False, id="wizard.dry_run"),
        Binding("r", "finish('sync')", "Create and sync now", show=False, id="wizard.create_and_sync"),
        Binding("w", "finish('draft')", "Save as draft", show=False, id="wizard.save_draft"),
        Binding("n", "name", "Name", show=False, id="wizard.name"),
    ]

    DEFAULT_CSS = """
    ReviewStep {
        #name-row { height: 1; margin-bottom: 1; }
        #name-label { width: 8; text-style: bold; }
        NameInput { width: 1fr; height: 1; background: $panel; }
        NameInput:focus { background: $panel-lighten-1; }
        ReviewList { height: 1fr; }
    }
    """

    class Finished(Message):
        """The person wants it saved: `sync`, `save` or `draft`."""

        def __init__(self, how: str) -> None:
            super().__init__()
            self.how = how

    def __init__(self, wizard: ConnectorWizard) -> None:
        super().__init__(wizard)
        self._pointed = False

    def compose(self) -> ComposeResult:
        with Horizontal(id="name-row"):
            yield Static(Content("Name"), id="name-label")
            yield NameInput(self.wizard.name, compact=True, max_length=LONGEST_NAME, placeholder="what it is called", id="name")
        yield ReviewList()

    @property
    def list(self) -> ReviewList:
        return self.query_one(ReviewList)

    def entered(self) -> None:
        line = self.query_one(NameInput)
        if line.value != self.wizard.name:
            with line.prevent(Input.Changed):
                line.value = self.wizard.name
        self.show()
        if not self._pointed and not self.wizard.editing_saved:
            first = next((f"step:{p.step}" for p in self.wizard.problems() if p.blocking and p.step is not Step.REVIEW), SYNC)
            self.list.point_at(first)
            self._pointed = True

    def focus_first(self) -> None:
        self.list.focus()

    def show(self) -> None:
        """Draw the list anew."""
        cells = max(40, (self.list.size.width or self.app.size.width - 4) - 1)
        self.list.show(review_rows(self.wizard, self.finishes(), self.glyphs, cells))

    def on_resize(self, event: events.Resize) -> None:
        self.show()

    def finishes(self) -> tuple[Finish, ...]:
        """How it can be finished, each with why it cannot, where that is so."""
        wizard = self.wizard
        lacking = "" if wizard.complete else "mend what is marked above first"
        if wizard.editing_saved:
            return (
                Finish(SAVE, "ctrl+s", "Save", "nothing changed" if not wizard.changed else _incomplete(wizard)),
                Finish(SYNC, "r", "Save and sync now", "", lacking),
            )
        later = "it waits until somebody asks" if wizard.schedule == MANUAL_SCHEDULE else "the first sync comes by its schedule"
        return (
            Finish(SYNC, "r", "Create and sync now", "", lacking),
            Finish(SAVE, "ctrl+s", "Create", later, lacking),
            Finish(DRAFT, "w", "Save as draft", "go on with it later; nothing syncs until then"),
        )

    def keys(self) -> tuple[FooterKey, ...]:
        if self.typing():
            return (FooterKey("name_done", "enter", "Done"),)
        at = self.list.action_at_cursor
        word = "Change" if at.startswith("step:") or at == "name" else "Do it"
        return (FooterKey("choose", "enter", word), FooterKey("name", "n", "Name"), FooterKey("dry_run", "v", "Dry run"))

    @on(Input.Changed, "#name")
    def _named(self, event: Input.Changed) -> None:
        event.stop()
        self.wizard.rename(event.value)
        self.show()
        self.post_message(self.Changed())

    @on(ReviewList.Highlighted)
    def _highlighted(self) -> None:
        self.post_message(self.Changed())

    @on(ReviewList.Chosen)
    def _chosen(self) -> None:
        action = self.list.action_at_cursor
        if action.startswith("step:"):
            self.post_message(self.Wanted(Step(action.removeprefix("step:"))))
        elif action == "name":
            self.action_name()
        elif action == "dry_run":
            self.action_dry_run()
        elif action:
            self.action_finish(action)

    def action_choose(self) -> None:
        self.list.action_choose()

    def action_name(self) -> None:
        self.query_one(NameInput).focus()

    def action_name_done(self) -> None:
        self.list.focus()

    def action_finish(self, how: str) -> None:
        finish = next((each for each in self.finishes() if each.id == how), None)
        if finish is None:
            return
        if finish.reason:
            self.notify(f"{finish.reason[0].upper()}{finish.reason[1:]}.", severity="warning")
        else:
            self.post_message(self.Finished(how))

    def action_dry_run(self) -> None:
        self.run_worker(self._dry_run(), group="dry-run", exclusive=True, exit_on_error=False)

    async def _dry_run(self) -> None:
        from syncterm.screens.wizard.dry_run import DryRunScreen

        draft = self.wizard.draft()
        if not draft.streams:
            self.notify("No stream is selected.", severity="warning")
            return
        number = 0
        if len(draft.streams) > 1:
            choices = [Choice(str(index), stream.name) for index, stream in enumerate(draft.streams)]
            picked = await self.app.push_screen_wait(Menu("Dry run of", choices, self.glyphs))
            if picked is None:
                return
            number = int(picked)
        await self.app.push_screen_wait(DryRunScreen(self.dashboard, draft, draft.streams[number].name))


def _incomplete(wizard: ConnectorWizard) -> str:
    return "" if wizard.complete else "it will be Incomplete, and not sync"
