"""The steps that choose the two ends: the source, and the destination with its collection."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import Input, Static

from syncterm.editing.connector_wizard import ConnectorWizard, End, Step
from syncterm.engine.connector_rules import check_collection
from syncterm.engine.document import LONGEST_COLLECTION
from syncterm.engine.errors import ConfigError
from syncterm.engine.events import Change
from syncterm.engine.model import EndpointKind
from syncterm.engine.queries import EndpointRow
from syncterm.screens.wizard.end_list import EndList
from syncterm.screens.wizard.step import StepView
from syncterm.text import clean, clip, count
from syncterm.widgets.clean_input import CleanInput
from syncterm.widgets.footer import FooterKey
from syncterm.widgets.lines import Line, Lines

TABLES_NAMED = 3
_TEXT_LIMIT = 300


def end_of(kind: EndpointKind, row: EndpointRow) -> End:
    """A row of a table of sources or destinations, as the wizard takes it."""
    return End(kind, row.id, row.name, row.type_title or row.type, row.incomplete_reason)


class SearchLine(CleanInput):
    """Where a list is searched: down and enter go to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,enter", "to_list", "To the list", show=False, id="search.to_list"),
    ]

    def action_to_list(self) -> None:
        self.screen.focus_next()


class EndStep(StepView):
    """Choosing among what there is, or adding a new one."""

    KIND: ClassVar[EndpointKind]
    GUIDE: ClassVar[str]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "add", "Add", show=False, id="wizard.add"),
        Binding("e", "edit", "Edit", show=False, id="wizard.edit_end"),
        Binding("slash", "search", "Search", show=False, id="wizard.search"),
    ]

    DEFAULT_CSS = """
    EndStep {
        .-guide { height: 1; color: $text-muted; margin-bottom: 1; }
        SearchLine { height: 1; background: $panel; margin-bottom: 1; display: none; }
        SearchLine.-shown { display: block; }
        EndList { height: 1fr; }
    }
    """

    def __init__(self, wizard: ConnectorWizard) -> None:
        super().__init__(wizard)
        self._rows: dict[str, EndpointRow] = {}

    def compose(self) -> ComposeResult:
        yield Static(Content(self.GUIDE), classes="-guide")
        yield SearchLine(compact=True, placeholder=f"search {self.KIND}s by name or type", id=f"search-{self.KIND}")
        yield EndList(self.KIND, self.glyphs, id=f"ends-{self.KIND}")

    def on_mount(self) -> None:
        self.dashboard.engine_changes.subscribe(self, self._changed)
        self.reload()

    def _changed(self, change: Change) -> None:
        self.reload()

    @property
    def ends(self) -> EndList:
        return self.query_one(EndList)

    @property
    def chosen(self) -> End | None:
        return self.wizard.source if self.KIND is EndpointKind.SOURCE else self.wizard.destination

    def focus_first(self) -> None:
        self.ends.focus()

    def keys(self) -> tuple[FooterKey, ...]:
        if self.typing():
            return ()
        on_row = self.ends.row_at_cursor is not None
        return (
            FooterKey("choose", "enter", "Choose" if on_row else "Add"),
            FooterKey("add", "a", f"Add {self.KIND}"),
            FooterKey("edit", "e", "Edit", enabled=on_row),
            FooterKey("search", "/", "Search"),
        )

    def go_back(self) -> bool:
        line = self.query_one(SearchLine)
        if not line.has_class("-shown"):
            return False
        line.value = ""
        line.remove_class("-shown")
        self.ends.focus()
        return True

    # --- The list

    def reload(self) -> None:
        """Read the ends again; what was chosen has its present name then."""
        self.run_worker(self._reload(), group=f"ends-{self.KIND}", exclusive=True, exit_on_error=False)

    async def _reload(self) -> None:
        source = self.KIND is EndpointKind.SOURCE
        rows = await self.attempt(lambda engine: engine.queries.sources() if source else engine.queries.destinations())
        if rows is None:
            return
        self._rows = {row.id: row for row in rows}
        self._take_over(self._saved_end())
        self.ends.show(rows)
        self.ends.choose(self.chosen.id if self.chosen is not None else None)
        self.post_message(self.Changed())

    def _saved_end(self) -> str | None:
        """What is chosen, or was in the connector as it is saved."""
        if self.chosen is not None:
            return self.chosen.id
        saved = self.wizard.saved
        return saved.source_id if self.KIND is EndpointKind.SOURCE else saved.destination_id

    def _take_over(self, endpoint_id: str | None) -> None:
        row = self._rows.get(endpoint_id or "")
        if row is not None:
            self._take(row)

    def _take(self, row: EndpointRow) -> None:
        end = end_of(self.KIND, row)
        if self.KIND is EndpointKind.SOURCE:
            self.wizard.choose_source(end)
        else:
            self.wizard.choose_destination(end)

    @on(EndList.Chosen)
    def _chosen_in_list(self, event: EndList.Chosen) -> None:
        row = self.ends.row_at_cursor
        if row is None:
            self.action_add()
        else:
            self.choose(row)

    def choose(self, row: EndpointRow) -> None:
        """Take that one, and go on where nothing else is asked here."""
        self._take(row)
        line = self.query_one(SearchLine)
        if line.has_class("-shown"):
            line.value = ""
            line.remove_class("-shown")
            self.ends.search("")
        self.ends.choose(row.id)
        self.post_message(self.Changed())
        self.after_choice()

    def after_choice(self) -> None:
        self.post_message(self.Ready())

    @on(EndList.Highlighted)
    def _highlighted(self) -> None:
        self.post_message(self.Changed())

    @on(Input.Changed)
    def _searched(self, event: Input.Changed) -> None:
        if isinstance(event.input, SearchLine):
            event.stop()
            self.ends.search(event.value)

    # --- Actions

    def action_choose(self) -> None:
        self.ends.action_choose()

    def action_search(self) -> None:
        line = self.query_one(SearchLine)
        line.add_class("-shown")
        line.focus()

    def action_add(self) -> None:
        self.run_worker(self._add(), group="add", exclusive=True, exit_on_error=False)

    async def _add(self) -> None:
        from syncterm.screens.adding import add_endpoint

        saved = await add_endpoint(self.dashboard, self.KIND)
        if saved is None:
            return
        await self._reload()
        if saved.id in self._rows:
            self.choose(self._rows[saved.id])

    def action_edit(self) -> None:
        row = self.ends.row_at_cursor
        if row is not None:
            self.run_worker(self._edit(row.id), group="add", exclusive=True, exit_on_error=False)

    async def _edit(self, endpoint_id: str) -> None:
        from syncterm.screens.adding import edit_endpoint

        if await edit_endpoint(self.dashboard, self.KIND, endpoint_id) is not None:
            await self._reload()


class SourceStep(EndStep):
    """Where the data comes from."""

    STEP = Step.SOURCE
    KIND = EndpointKind.SOURCE
    GUIDE = "Where does the data come from?"


class CollectionInput(CleanInput):
    """The collection's name; enter goes on."""


class DestinationStep(EndStep):
    """Where the data goes, and under which name there."""

    STEP = Step.DESTINATION
    KIND = EndpointKind.DESTINATION
    GUIDE = "Where does the data go?"

    DEFAULT_CSS = """
    DestinationStep {
        .-label { height: 1; margin-top: 1; text-style: bold; }
        CollectionInput { height: 1; background: $panel; }
        CollectionInput:focus { background: $panel-lighten-1; }
        #collection-hint { height: auto; max-height: 6; background: $surface; }
    }
    """

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield Static(Content("Collection"), classes="-label")
        yield CollectionInput(
            self.wizard.collection,
            compact=True,
            placeholder="empty: the destination's default",
            max_length=LONGEST_COLLECTION,
            id="collection",
        )
        yield Lines(id="collection-hint")

    def entered(self) -> None:
        self._look_for_others()
        self._hint()

    def after_choice(self) -> None:
        self.query_one(CollectionInput).focus()
        self._look_for_others()
        self._hint()

    def keys(self) -> tuple[FooterKey, ...]:
        if isinstance(self.screen.focused, CollectionInput):
            return (FooterKey("choose", "enter", "Go on"),)
        return super().keys()

    def action_choose(self) -> None:
        if isinstance(self.screen.focused, CollectionInput):
            self.post_message(self.Ready())
        else:
            super().action_choose()

    @on(Input.Submitted, "#collection")
    def _entered(self) -> None:
        self.post_message(self.Ready())

    @on(Input.Changed, "#collection")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.wizard.collection = event.value.strip()
        self._hint()
        self._look_for_others()
        self.post_message(self.Changed())

    def _look_for_others(self) -> None:
        self.run_worker(self._others(), group="others", exclusive=True, exit_on_error=False)

    async def _others(self) -> None:
        wizard = self.wizard
        destination, collection = wizard.destination, wizard.collection
        if destination is None:
            return
        tables = [stream.target for stream in wizard.draft().streams]
        shared = await self.attempt(
            lambda engine: engine.queries.shared_tables(destination.id, collection, tables, wizard.saved.id)
        )
        abilities = await self.attempt(
            lambda engine: engine.operations.abilities(
                self.dashboard.actor, wizard.source.id if wizard.source is not None else None, destination.id
            )
        )
        if shared is not None and wizard.destination == destination and wizard.collection == collection:
            wizard.shared_tables = shared
        if abilities is not None and wizard.streams is not None:
            wizard.streams.set_abilities(abilities)
        self._hint()
        self.post_message(self.Changed())

    def _hint(self) -> None:
        """What will be made there, and who else writes there."""
        self.query_one("#collection-hint", Lines).show(self.hint_lines())

    def hint_lines(self) -> tuple[Line, ...]:
        wizard, glyphs = self.wizard, self.glyphs
        try:
            check_collection(wizard.collection)
        except ConfigError as error:
            return (((f"{glyphs.failed} {clean(str(error))}", "$text-error"),),)
        if wizard.destination is None:
            return ((("A schema, folder or prefix in the destination, so that connectors do not meet.", "dim"),),)
        streams = wizard.draft().streams
        tables = [f"{wizard.collection}.{stream.target}" if wizard.collection else stream.target for stream in streams]
        named = ", ".join(clip(clean(table, limit=_TEXT_LIMIT), 30, glyphs.ellipsis) for table in tables[:TABLES_NAMED])
        more = f" and {count(len(tables) - TABLES_NAMED)} more" if len(tables) > TABLES_NAMED else ""
        place = clip(clean(wizard.destination.name, limit=_TEXT_LIMIT), 30, glyphs.ellipsis)
        lines: list[Line] = [
            (
                ("The first sync makes " if tables else "Tables are made at the first sync, in ", "dim"),
                (f"{named}{more}" if tables else "", ""),
                (" in " if tables else "", "dim"),
                (place, "bold"),
                (".", "dim"),
            )
        ]
        lines += [
            ((f"{glyphs.warning} {clean(problem.message)}", "$text-warning"),)
            for problem in wizard.problems_of(Step.DESTINATION)
            if not problem.blocking
        ]
        return tuple(lines)
