"""The form of a source or a destination: fill it, test the connection, save it, or keep it as a draft."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, cast

from pydantic import BaseModel
from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Static
from textual.worker import Worker, WorkerState

from syncterm.editing.setup_form import FormField, FormValues, describe
from syncterm.editing.setup_form.description import PathKind
from syncterm.editing.setup_form.mending import field_of_message, field_to_mend
from syncterm.editing.setup_form.texts import TextError
from syncterm.engine.document_tree import LONGEST_NAME, check_nothing_hidden
from syncterm.engine.drafts import EndpointDraft, Saved
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import CheckReport, CheckResult, CheckStep, EndpointKind
from syncterm.screens.menu import Choice, Menu, Ticks
from syncterm.text import Glyphs, clean, clip, width
from syncterm.widgets.check_steps import CheckSteps, EndProgress
from syncterm.widgets.file_picker import FilePicker
from syncterm.widgets.form.choosers import ChoiceBox, SeveralBox
from syncterm.widgets.form.field_row import FieldRow
from syncterm.widgets.form.form_view import FormView
from syncterm.widgets.header import Header

if TYPE_CHECKING:
    from syncterm.engine.engine import Engine
    from syncterm.screens.dashboard import Dashboard

NOTHING = "(nothing)"


@dataclass(frozen=True, slots=True)
class FormSubject:
    """What a form is about."""

    draft: EndpointDraft
    """As stored, secrets masked; of a new one, only its kind and type."""
    title: str
    """The type's name for people."""
    model: type[BaseModel]
    taken: Collection[str] = ()
    """Names that others of this kind have."""
    in_use: int = 0
    """Connectors that use it."""


class EndpointForm(ModalScreen[Saved | None]):
    """A whole screen; the result is what was saved, None where nothing was. It lets no key through to the screens below."""

    BINDING_GROUP_TITLE = "Form"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+s,f2", "save", "Save", id="form.save"),
        Binding("ctrl+r,f5", "test", "Test connection", id="form.test"),
        Binding("f3", "save_draft", "Save as draft", id="form.draft"),
        Binding("escape", "leave", "Leave", id="form.leave"),
        Binding("tab", "app.focus_next", "Next", show=False, id="form.next"),
        Binding("shift+tab", "app.focus_previous", "Previous", show=False, id="form.previous"),
    ]

    DEFAULT_CSS = """
    EndpointForm {
        background: $surface;
        layout: vertical;

        #body { height: 1fr; layout: vertical; }
        FormView { height: 1fr; width: 1fr; padding: 1 1 0 0; }
        #pane {
            display: none;
            height: auto;
            max-height: 50%;
            padding: 0 1;
            border-top: solid $panel;
            scrollbar-size-vertical: 1;
        }
        &.-tested #pane { display: block; }
        &.-wide #body { layout: horizontal; }
        &.-wide #pane { width: 46%; height: 1fr; max-height: 100%; padding: 1 1; border-top: none; border-left: solid $panel; }
        #notice { display: none; height: auto; padding: 0 2; color: $text-muted; }
        &.-notice #notice { display: block; }
        #help { height: 2; padding: 0 2; background: $surface; color: $text-muted; }
        #buttons { height: 1; padding: 0 1; background: $panel; }
        #buttons Button { margin-right: 2; min-width: 4; background: $panel; color: $foreground; text-style: none; }
        #buttons Button:focus { background: $primary 30%; text-style: bold; }
        #buttons Button:disabled { opacity: 100%; color: $text-disabled; }
    }
    .-mono EndpointForm #buttons Button:focus { text-style: reverse; }
    .-ascii EndpointForm #pane { border-top: ascii $panel; }
    .-ascii EndpointForm.-wide #pane { border-top: none; border-left: ascii $panel; }
    """

    class StepEnded(Message):
        """A step of the test has ended; posted from the engine's thread."""

        def __init__(self, number: int, step: CheckStep) -> None:
            super().__init__()
            self.number = number
            self.step = step

    def __init__(self, subject: FormSubject) -> None:
        super().__init__()
        self.HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-wide")]
        self.subject = subject
        self.form = describe(subject.model)
        self.values = FormValues(self.form, subject.draft.config)
        self._is_new = subject.draft.id is None
        self._number = 0
        """Of the present test."""
        self._test_left: tuple[object, ...] = ()
        """The field one was in, and what was entered, when the present test began."""
        self._saving = False

    @property
    def dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    @property
    def _glyphs(self) -> Glyphs:
        return self.dashboard.glyphs

    @property
    def kind(self) -> EndpointKind:
        return self.subject.draft.kind

    @property
    def view(self) -> FormView:
        return self.query_one(FormView)

    @property
    def steps(self) -> CheckSteps:
        return self.query_one(CheckSteps)

    @property
    def changed(self) -> bool:
        """Whether anything was entered that is not saved."""
        return self.values.changed or (self._view.changed if hasattr(self, "_view") else False)

    @property
    def _whereabouts(self) -> tuple[object, ...]:
        """The field one is in, and what is entered there."""
        return (self.focused, self.focused.value if isinstance(self.focused, Input) else None)

    def compose(self) -> ComposeResult:
        self._header = Header(self._glyphs)
        yield self._header
        yield Static(id="notice")
        self._view = FormView(
            self.form,
            self.values,
            self._glyphs,
            name=self.subject.draft.name,
            suggest_name=self.suggested_name,
            name_fault=self.name_fault,
            is_new=self._is_new,
        )
        with Horizontal(id="body"):
            yield self._view
            with VerticalScroll(id="pane", can_focus=False):
                end = EndProgress(str(self.kind).capitalize(), self.subject.title)
                yield CheckSteps((end,), self._glyphs, again="ctrl+r")
        yield Static(id="help")
        with Horizontal(id="buttons"):
            for id_, word, key in (
                ("test", "Test", "ctrl+r"),
                ("save", "Save", "ctrl+s"),
                ("draft", "Save as draft", "f3"),
                ("cancel", "Cancel", "esc"),
            ):
                yield Button(Content.assemble((key, "bold $primary"), f" {word}"), id=id_, compact=True)

    def on_mount(self) -> None:
        what = str(self.kind).capitalize() + "s"
        name = self.subject.draft.name
        self._header.set_crumbs((what, *((name, "Edit") if name else (f"Add {self.subject.title}",))))
        self.set_interval(1.0, self._update_header)
        self._update_header()
        self._say_in_use()

    def _update_header(self) -> None:
        self._header.set_engine(self.dashboard.engine_summary, self.dashboard.now())

    def _say_in_use(self) -> None:
        uses, version = self.subject.in_use, self.subject.draft.version
        if not uses:
            return
        if self.kind is EndpointKind.SOURCE:
            stay = "1 connector stays" if uses == 1 else f"{uses:,} connectors stay"
            text = f"{stay} on version {version} until refreshed; new secrets apply at once."
        else:
            use = "1 connector uses" if uses == 1 else f"{uses:,} connectors use"
            text = f"{use} what you change from the next sync on."
        self.query_one("#notice", Static).update(Content(text))
        self.add_class("-notice")

    # --- The name

    def suggested_name(self) -> str:
        """A free name for what is entered; the present one of something that exists."""
        if self.subject.draft.name:
            return self.subject.draft.name
        suggest = getattr(self.subject.model, "suggested_name", None)
        try:
            name = str(suggest(self.values.draft())) if suggest is not None else ""
        except Exception:
            name = ""
        name = clean(name, limit=LONGEST_NAME).strip()[: LONGEST_NAME - 6] or clean(self.subject.title, limit=100)
        number, free = 2, name
        while free in self.subject.taken:
            free, number = f"{name} {number}", number + 1
        return free

    def name_fault(self, name: str) -> str:
        """What is wrong with a name; empty where nothing is."""
        if not name.strip():
            return "This is needed."
        if name in self.subject.taken:
            return f"There is a {self.kind} of this name already."
        if len(name) > LONGEST_NAME:
            return f"At most {LONGEST_NAME} characters."
        hidden = check_nothing_hidden(name)
        return f"It {hidden}." if hidden else ""

    # --- What the form says

    @on(FormView.HelpChanged)
    def _show_help(self, event: FormView.HelpChanged) -> None:
        event.stop()
        cells = max(20, self.size.width - 4)
        keys = f"{event.keys}" if event.keys else ""
        text = clip(clean(event.text, limit=600), cells * 2 - width(keys) - 4, self._glyphs.ellipsis)
        self.query_one("#help", Static).update(Content.assemble(text, "  " if text and keys else "", (keys, "$primary")))

    def say(self, text: str, *, bad: bool = False) -> None:
        """Say something at the foot, until another field is looked at."""
        self.query_one("#help", Static).update(Content.styled(clean(text, limit=600), "$text-error" if bad else "$text-success"))

    @on(FormView.UrlPasted)
    def _url_pasted(self, event: FormView.UrlPasted) -> None:
        event.stop()
        self.say(event.text, bad=event.refused)

    @on(FormView.Edited)
    def _edited(self, event: FormView.Edited) -> None:
        event.stop()
        whole = self.view.faults.whole
        if whole and self.values.touched:
            self.say(" ".join(whole), bad=True)

    # --- Choices and paths

    @on(ChoiceBox.Opened)
    def _open_choices(self, event: ChoiceBox.Opened) -> None:
        event.stop()
        box = event.chooser
        row = box.query_ancestor(FieldRow)
        if not isinstance(box, ChoiceBox) or row.field is None:
            return
        options = list(box.options)
        if isinstance(box, SeveralBox):
            ticks = [
                Choice(str(index), option.title, detail=option.detail, checked=option.value in box.value)
                for index, option in enumerate(options)
            ]

            def ticked(ids: tuple[str, ...] | None) -> None:
                if ids is not None:
                    box.choose(tuple(options[int(id_)].value for id_ in ids))

            self.app.push_screen(Ticks(row.title, ticks, self._glyphs, hint="space ticks, enter applies"), ticked)
            return
        choices = [
            Choice(str(index), option.title, detail=option.detail, checked=option.value == box.value)
            for index, option in enumerate(options)
        ]
        if row.field.nullable:
            choices.append(Choice("", NOTHING, checked=box.value is None))

        def chosen(id_: str | None) -> None:
            if id_ is not None:
                box.choose(options[int(id_)].value if id_ else None)

        self.app.push_screen(Menu(row.title, choices, self._glyphs), chosen)

    @on(FieldRow.BrowseWanted)
    def _browse(self, event: FieldRow.BrowseWanted) -> None:
        event.stop()
        row, field = event.row, event.row.field
        if field is None:
            return

        def picked(path: str | None) -> None:
            if path is not None:
                self.view.enter(row, path)

        kind = field.path_kind or PathKind.ANY
        picker = FilePicker(
            str(self.values.get(field.id)),
            self._glyphs,
            title=row.title,
            folders=kind in (PathKind.FOLDER, PathKind.ANY),
            files=kind is not PathKind.FOLDER,
            new=kind is PathKind.NEW_FILE or kind is PathKind.FOLDER,
        )
        self.app.push_screen(picker, picked)

    # --- Testing

    def _checked_draft(self, *, unfinished: bool) -> EndpointDraft | None:
        """What was entered; None, and the faults shown, where it is not ready.

        Args:
            unfinished: whether missing fields do not matter.
        """
        view = self.view
        try:
            config = self.values.config()
        except TextError:
            config = None
        name_fault = self.name_fault(view.entered_name)
        faulty = config is None or bool(name_fault) or (not unfinished and bool(self.values.faults()))
        if config is not None and not faulty:
            return replace(self.subject.draft, name=view.entered_name, config=config)
        titles = view.show_all_faults()
        whole = " ".join(view.faults.whole)
        number = len(titles)
        counted = f"{number} field needs" if number == 1 else f"{number} fields need"
        draft = "" if unfinished else " F3 keeps it as a draft."
        text = f"{counted} your attention: {', '.join(titles)}.{draft}" if titles else f"{whole}{draft}"
        self.say(text, bad=True)
        return None

    def action_test(self) -> None:
        if self.steps.running:
            return
        draft = self._checked_draft(unfinished=False)
        if draft is None:
            return
        self._number += 1
        self._test_left = self._whereabouts
        self.add_class("-tested")
        self.steps.ends[0].name = draft.name
        self.steps.begin()
        self.say("")
        self._show_running()
        self._test(self._number, draft)

    @work(group="test", exclusive=True, exit_on_error=False)
    async def _test(self, number: int, draft: EndpointDraft) -> None:
        def told(step: CheckStep) -> None:
            self.post_message(self.StepEnded(number, step))

        async def test(engine: Engine) -> CheckReport:
            return await engine.operations.test_endpoint(self.dashboard.actor, draft, told)

        try:
            report = await self.dashboard.host.call(test)
        except SynctermError as error:
            report = CheckReport(CheckResult.FAILED, error.message, error.remedy, ())
        except Exception as error:
            self.dashboard.report(error)
            report = CheckReport(CheckResult.FAILED, "The test itself failed.", "The log says more; then test again.", ())
        if number == self._number and self.steps.running:
            if report.steps:
                self.steps.ends[0].steps[:] = report.steps
            self.steps.finish(report)
            self._show_running()
            if self._whereabouts == self._test_left:  # somebody who types on meanwhile stays where they are
                self._go_to(field_to_mend(self.values.visible(), report.result, report.cause, report.remedy))

    def on_endpoint_form_step_ended(self, event: StepEnded) -> None:
        event.stop()
        if event.number == self._number and self.steps.running:
            self.steps.step_ended(self.steps.ends[0], event.step)

    def _cancel_test(self) -> None:
        self.steps.cancel()
        self.workers.cancel_group(self, "test")
        self._show_running()

    def _show_running(self) -> None:
        """Let the buttons say what they do now."""
        running = self.steps.running
        self.query_one("#test", Button).disabled = running
        self.query_one("#cancel", Button).label = Content.assemble(("esc", "bold $primary"), " Stop" if running else " Cancel")

    def _go_to(self, field: FormField | None) -> None:
        if field is not None:
            # After the pane of the test has taken its place.
            self.call_after_refresh(self.view.focus_field, field)

    # --- Saving

    def action_save(self) -> None:
        self._begin_saving(unfinished=False)

    def action_save_draft(self) -> None:
        self._begin_saving(unfinished=True)

    def _begin_saving(self, *, unfinished: bool) -> None:
        if self._saving:
            return
        if self.steps.running:
            self._cancel_test()
        draft = self._checked_draft(unfinished=unfinished)
        if draft is not None:
            self._saving = True
            self._save(draft)

    @work(group="save", exclusive=True, exit_on_error=False)
    async def _save(self, draft: EndpointDraft) -> None:
        try:
            saved = await self.dashboard.host.call(lambda engine: engine.operations.save_endpoint(self.dashboard.actor, draft))
        except SynctermError as error:
            field = field_of_message(self.values.visible(), error.message)
            if field is not None:
                self._go_to(field)
            elif error.message.startswith("Name:"):
                self.view.focus_row(self.view.name_row, quietly=True)
            self.say(f"Not saved. {error}", bad=True)
        else:
            self.dismiss(saved)
        finally:
            self._saving = False

    # --- Leaving

    def action_leave(self) -> None:
        if self.steps.running:
            self._cancel_test()
        elif not self.view.changed:
            self.dismiss(None)
        else:
            self._ask_before_leaving()

    def _ask_before_leaving(self) -> None:
        choices = [
            Choice("stay", "Keep editing", checked=True),
            Choice("draft", "Save as draft", detail="nothing runs on it until it is complete"),
            Choice("discard", "Discard", detail="what you entered is lost"),
        ]

        def chosen(id_: str | None) -> None:
            if id_ == "draft":
                self.action_save_draft()
            elif id_ == "discard":
                self.dismiss(None)

        self.app.push_screen(Menu("Leave without saving?", choices, self._glyphs), chosen)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        match event.button.id:
            case "test":
                self.action_test()
            case "save":
                self.action_save()
            case "draft":
                self.action_save_draft()
            case _:
                self.action_leave()

    def on_key(self, event: events.Key) -> None:
        """Left and right go through the buttons."""
        if isinstance(self.focused, Button) and event.key in ("left", "right", "up", "down"):
            event.stop()
            (self.focus_next if event.key in ("right", "down") else self.focus_previous)()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """What goes wrong behind the form is logged and said."""
        if event.state is WorkerState.ERROR:
            self.dashboard.report(event.worker.error)
