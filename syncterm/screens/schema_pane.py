"""The Schema tab: a connector's streams and columns, edited in place, saved after a look at what follows from it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.worker import Worker, WorkerState

from syncterm.editing.stream_baseline import Baseline
from syncterm.editing.stream_consequences import consequences
from syncterm.editing.stream_editing import StreamEditing
from syncterm.engine.errors import SynctermError
from syncterm.engine.model import Actor, Role, StreamConfig
from syncterm.engine.schema import StreamSchema
from syncterm.engine.stream_defaults import Suggestion
from syncterm.screens.menu import Choice, Menu
from syncterm.screens.stream_editor import StreamEditor
from syncterm.text import Glyphs, clean, count, fit
from syncterm.widgets.confirm import Confirm
from syncterm.widgets.lines import Line, Lines
from syncterm.widgets.stream_lines import StreamFacts
from syncterm.widgets.stream_tree import StreamTree

if TYPE_CHECKING:
    from textual.widget import Widget

    from syncterm.engine.host import EngineHost
    from syncterm.engine.queries import ConnectorDetail
    from syncterm.engine.queries.streams import ConnectorStreams
    from syncterm.screens.dashboard import Dashboard


class ConnectorStreamReader:
    """Reads what the editor needs to know of a saved connector's streams."""

    def __init__(self, host: EngineHost, connector_id: str) -> None:
        self._host = host
        self._connector_id = connector_id
        self.actor: Actor | None = None
        self.source_id: str | None = None

    async def columns(self, stream: str) -> StreamSchema | None:
        return await self._host.call(lambda engine: engine.queries.stream_schema(self._connector_id, stream))

    async def suggestions(self) -> Mapping[str, Suggestion]:
        source_id = self.source_id
        if source_id is None:
            return {}
        return await self._host.call(lambda engine: engine.queries.stream_suggestions(source_id))

    async def streams_with_column(self, text: str) -> Collection[str]:
        return await self._host.call(lambda engine: engine.queries.streams_with_column(self._connector_id, text))

    async def check_cursor(self, stream: StreamConfig) -> tuple[str, ...]:
        source_id, actor = self.source_id, self.actor
        if source_id is None or actor is None:
            return ()
        return await self._host.call(lambda engine: engine.operations.check_cursor(actor, source_id, stream))


class SchemaPane(Vertical):
    """The tab of one connector."""

    DEFAULT_CSS = """
    SchemaPane #schema-change { color: $text-warning; }
    SchemaPane StreamEditor { height: 1fr; }
    """

    class Changed(Message):
        """The number of unsaved changes is another one."""

    def __init__(self, host: EngineHost, connector_id: str, symbols: Glyphs, *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._host = host
        self._connector_id = connector_id
        self._glyphs = symbols
        self._change = Lines(id="schema-change")
        self._reader = ConnectorStreamReader(host, connector_id)
        self.editor = StreamEditor(self._reader, symbols, savable=True, id="schema-editor")
        self._found: ConnectorStreams | None = None
        """What the store held at the last look."""
        self._looking = asyncio.Lock()
        self._own_version = 0
        """The version that this screen saved last."""

    def compose(self) -> ComposeResult:
        yield self._change
        yield self.editor

    @property
    def _dashboard(self) -> Dashboard:
        return cast("Dashboard", self.app)

    @property
    def focus_target(self) -> Widget:
        return self.editor.focus_target

    @property
    def stream_tree(self) -> StreamTree:
        return self.editor.tree_view

    @property
    def unsaved(self) -> int:
        """Streams with edits that are not saved."""
        editing = self.editor.editing if self.is_mounted else None
        return len(editing.changed) if editing is not None else 0

    @property
    def badge(self) -> str:
        """The unsaved changes, for the header; empty where there are none."""
        unsaved = self.unsaved
        return f"{count(unsaved)} UNSAVED {'CHANGE' if unsaved == 1 else 'CHANGES'}" if unsaved else ""

    # --- What the store holds

    async def show_schema(self, change: Sequence[Line]) -> None:
        """Look at the store's streams; edits stay. Above the tree stands what waits for approval."""
        self._change.show(change)
        self.editor.locked = self._lock()
        await self._look_again()

    async def _look_again(self) -> None:
        async with self._looking:  # two looks at once could end in the wrong order
            found = await self._host.call(lambda engine: engine.queries.connector_streams(self._connector_id))
            if found is not None:
                await self._take(found)

    def read_source(self) -> None:
        """Ask the source what it offers now, where this person may; then look at the store again."""
        if self._reader.source_id is not None and not self._lock():
            self.run_worker(self._discover(self._reader.source_id), group="schema-discover", exclusive=True, exit_on_error=False)

    async def _discover(self, source_id: str) -> None:
        actor = self._dashboard.actor
        self.notify(f"Reading what the source offers{self._glyphs.ellipsis}")
        try:
            found = await self._host.call(lambda engine: engine.operations.discover(actor, source_id))
        except SynctermError as error:
            self._dashboard.notify_error(error)
            return
        await self._look_again()
        self.notify(f"The source offers {count(found)} {'stream' if found == 1 else 'streams'}.")

    def _lock(self) -> str:
        if self._dashboard.actor.role is not Role.VIEWER:
            return ""
        return "This dashboard is read-only." if self._dashboard.read_only else "Editing the schema needs the role user."

    async def _take(self, found: ConnectorStreams) -> None:
        editing, before = self.editor.editing, self._found
        self._reader.source_id, self._reader.actor = found.draft.source_id, self._dashboard.actor
        if editing is None:
            editing = self._dashboard.unsaved_edits.get(self._connector_id)
        if editing is None:
            actor, draft = self._dashboard.actor, found.draft
            abilities = await self._host.call(
                lambda engine: engine.operations.abilities(actor, draft.source_id, draft.destination_id)
            )
            editing = StreamEditing(await asyncio.to_thread(_baseline, found), abilities=abilities)
        elif before is None or not await asyncio.to_thread(_same_streams, before, found):
            base = await asyncio.to_thread(_baseline, found)
            both = editing.rebase(base)
            self.editor.read_again()
            if before is not None and found.draft.version not in (before.draft.version, self._own_version):
                self._say_others(editing, both)
        self._found = found
        self.editor.show(editing, StreamFacts(found.cursors, _notes(found)))
        self._note_changes()

    def _say_others(self, editing: StreamEditing, both: Mapping[str, Sequence[str]]) -> None:
        """Somebody else saved the set-up while this person edits it."""
        unsaved = len(editing.changed)
        if not unsaved:
            return
        text = f"Your edits of {count(unsaved)} {'stream' if unsaved == 1 else 'streams'} stay, on top of what was saved."
        if both:
            name, fields = next(iter(both.items()))
            more = f" and {count(len(both) - 1)} more" if len(both) > 1 else ""
            what = ", ".join(_FIELD_WORDS.get(each, each.replace("_", " ")) for each in fields)
            text += f" Both changed {name}{more} ({what}): yours counts once you save."
        self.notify(clean(text, limit=500), title="Somebody else saved this connector", severity="warning", timeout=15)

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        if event.state is WorkerState.ERROR:
            event.stop()
            self._dashboard.report(event.worker.error)

    @on(StreamEditor.Edited)
    def _edited(self, event: StreamEditor.Edited) -> None:
        event.stop()
        self._note_changes()

    def _note_changes(self) -> None:
        """Show how much is not saved, and let the app hold it, so that it outlives this screen."""
        edits, editing = self._dashboard.unsaved_edits, self.editor.editing
        if editing is not None and editing.changed:
            edits[self._connector_id] = editing
        else:
            edits.pop(self._connector_id, None)
        self.post_message(self.Changed())

    def clear_search(self) -> bool:
        """Close the search line; False where it was closed."""
        return self.editor.clear_search()

    # --- Saving

    @on(StreamEditor.SaveWanted)
    def _save_wanted(self, event: StreamEditor.SaveWanted) -> None:
        event.stop()
        if self.editor.refused():
            return
        if not self.unsaved:
            self.notify("Nothing was edited.")
            return
        self.run_worker(self.save(), group="schema-save", exclusive=True, exit_on_error=False)

    async def save(self) -> bool:
        """Show what follows from the edits, and save them; whether they are saved. Call it in a worker."""
        editing, found = self.editor.editing, self._found
        if editing is None or found is None:
            return False
        question = Confirm(
            "Save",
            title=f"Save the changes of {count(self.unsaved)} {'stream' if self.unsaved == 1 else 'streams'}?",
            consequences=await asyncio.to_thread(consequences, editing, found.cursors, await self._volumes(editing)),
            dangerous=bool(editing.troubled),
            ascii=self._dashboard.ascii,
        )
        if not await self.app.push_screen_wait(question):
            return False
        draft = replace(found.draft, streams=await asyncio.to_thread(editing.streams))
        actor = self._dashboard.actor
        try:
            saved = await self._host.call(lambda engine: engine.operations.save_connector(actor, draft))
        except SynctermError as error:
            self._dashboard.notify_error(error)
            await self._look_again()  # it may have been changed meanwhile: the edits go on from what is there now
            return False
        self._own_version = saved.version
        await self._look_again()
        self.editor.edited()
        self.notify(clean(saved.message), title=clean(saved.name))
        return True

    async def _volumes(self, editing: StreamEditing) -> Mapping[str, tuple[int, int]]:
        edited = frozenset(editing.changed)
        try:
            return await self._host.call(lambda engine: engine.queries.stream_volumes(self._connector_id, edited))
        except SynctermError:  # saving says it where it matters
            return {}

    async def may_leave(self) -> bool:
        """Ask what becomes of unsaved edits; whether the screen may be left. Call it in a worker."""
        unsaved = self.unsaved
        if not unsaved:
            return True
        choice = await self.app.push_screen_wait(
            Menu(
                f"{count(unsaved)} {'stream has' if unsaved == 1 else 'streams have'} edits that are not saved",
                [
                    Choice("stay", "Stay", "s", "go on editing"),
                    Choice("save", "Save", "y", "after a look at what follows from it"),
                    Choice("discard", "Discard", "x", "forget the edits"),
                ],
                self._glyphs,
            )
        )
        if choice == "save":
            return await self.save()
        if choice == "discard" and self.editor.editing is not None:
            self.editor.editing.discard()
            self.editor.edited()
            self._note_changes()
        return choice == "discard"


_FIELD_WORDS = {"selected": "whether it is synced", "cursor_field": "cursor", "include_null_cursor": "records without cursor"}


def _baseline(found: ConnectorStreams) -> Baseline:
    return Baseline(found.entries, found.saved, unselected=found.unselected, applied=found.applied)


def _same_streams(before: ConnectorStreams, now: ConnectorStreams) -> bool:
    fields = ("fingerprint", "saved", "unselected", "entries", "applied")
    return all(getattr(before, field) == getattr(now, field) for field in fields)


def _notes(found: ConnectorStreams) -> dict[str, str]:
    """What is worth saying of streams beside their set-up."""
    withheld = {
        name: f"{count(number)} {'delete waits' if number == 1 else 'deletes wait'} for approval"
        for name, number in found.withheld.items()
    }
    return withheld | dict.fromkeys(found.resyncs, "re-sync asked for")


def change_lines(detail: ConnectorDetail, cells: int, symbols: Glyphs) -> tuple[Line, ...]:
    """The schema change that waits for a person; nothing where none does."""
    if detail.schema_change is None:
        return ()
    change = json.loads(detail.schema_change)
    parts = [
        f"{sign} {', '.join(change[kind])}"
        for kind, sign in (("added", "+"), ("removed", "-"), ("retyped", "~"))
        if change.get(kind)
    ]
    texts = (
        f" {symbols.warning} {change['stream']} changed in the source: {'  '.join(parts) or change.get('blocking') or ''}",
        f"   {change.get('blocking') or ''} A approves it.",
    )
    return tuple(
        ((fit(clean(text), cells, ellipsis=symbols.ellipsis), style),) for text, style in zip(texts, ("bold", ""), strict=True)
    )
