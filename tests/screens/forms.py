"""Opening catalog and form on a stage, and third-party adapters for them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from pydantic import Field, SecretStr
from textual.pilot import Pilot

from syncterm.app import SyncTermApp
from syncterm.engine import adapters
from syncterm.engine.adapters import SOURCES_GROUP, AdapterConfig
from syncterm.engine.drafts import Saved
from syncterm.engine.model import CheckStep, EndpointKind
from syncterm.engine.schema import Catalog
from syncterm.engine.sources.base import Source, SourceBatch, SourceCapabilities
from syncterm.screens.adding import add_endpoint, edit_endpoint
from syncterm.screens.endpoint_form import EndpointForm
from syncterm.screens.type_catalog import TypeCatalog
from tests.screens.conftest import Stage, until


class WeatherConfig(AdapterConfig):
    station: str
    api_key: SecretStr
    days: int = Field(default=7, ge=1)
    hourly: bool = False


class WeatherSource(Source):
    """As another package would bring it along: hardly a word about its fields."""

    type = "weather"
    title = "[red]Weather[/] \x1b[31mstations"
    summary = "Observations of one station."
    Config = WeatherConfig
    capabilities = SourceCapabilities(incremental=True, real_time=True)

    def check(self) -> Iterator[CheckStep]:
        yield CheckStep("Initiate test", True, 0.004)

    def discover(self) -> Catalog:
        return Catalog(())

    def read(self, *_: Any) -> Iterator[SourceBatch]:
        return iter(())


class NoSource:
    """Registered, but no adapter."""


class Distribution:
    """Stands for the package that registered an entry point."""

    name = "syncterm-weather"


@pytest.fixture
def other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three sources of another package: one that works, one that does not load, one that is none."""
    found = dict(adapters._entry_points(SOURCES_GROUP))
    for name, value in (
        ("weather", f"{__name__}:WeatherSource"),
        ("broken", "package_that_is_not_there:Source"),
        ("nothing", f"{__name__}:NoSource"),
    ):
        entry = EntryPoint(name, value, SOURCES_GROUP)
        vars(entry)["dist"] = Distribution()
        found[name] = entry
    real = adapters._entry_points
    monkeypatch.setattr(adapters, "_entry_points", lambda group: found if group == SOURCES_GROUP else real(group))


class Visit:
    """A person in the form, and what came of it."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot
        self.saved: Saved | None = None
        self.over = False

    @property
    def app(self) -> SyncTermApp:
        assert isinstance(self.pilot.app, SyncTermApp)
        return self.pilot.app

    @property
    def form(self) -> EndpointForm:
        assert isinstance(self.app.screen, EndpointForm), self.app.screen
        return self.app.screen

    @property
    def focused(self) -> str:
        """The title of the field that has the focus; empty for a button."""
        view = self.form.view
        return next((row.title for row in view._rows() if row.editor.has_focus), "")

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.pilot.pause()

    async def type(self, text: str) -> None:
        """Type a text, letter by letter."""
        names = {" ": "space", "/": "slash", ".": "full_stop", "_": "underscore", "-": "minus", ":": "colon", "=": "equals_sign"}
        await self.press(*(names.get(letter, letter) for letter in text))

    async def to(self, title: str) -> None:
        """Go to a field by the arrow key, as a person would."""
        for _ in range(40):
            if self.focused == title:
                return
            await self.press("down")
        raise AssertionError(f"no key leads to {title}")

    async def until_form(self) -> None:
        await until(self.pilot, lambda: isinstance(self.app.screen, EndpointForm), "the form is open")
        await self.pilot.pause()

    async def until_tested(self) -> None:
        await until(self.pilot, lambda: self.form.steps.report is not None, "the test is over")
        await self.pilot.pause()

    async def until_over(self) -> None:
        await until(self.pilot, lambda: self.over, "the form was left")
        await self.pilot.pause()


@asynccontextmanager
async def catalog(
    stage: Stage, kind: EndpointKind = EndpointKind.SOURCE, *, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[Visit]:
    """The catalog, loaded."""
    async with stage.open(size=size, **options) as pilot:
        visit = Visit(pilot)
        start(visit, kind)
        await until(pilot, lambda: isinstance(pilot.app.screen, TypeCatalog) and pilot.app.screen.loaded, "the catalog is loaded")
        await pilot.pause()
        yield visit


def start(visit: Visit, kind: EndpointKind, edit: str = "") -> None:
    """Begin to add one, or to edit one."""

    async def work() -> None:
        going = edit_endpoint(visit.app, kind, edit) if edit else add_endpoint(visit.app, kind)
        visit.saved = await going
        visit.over = True

    visit.app.run_worker(work(), exit_on_error=True)


@asynccontextmanager
async def new_form(
    stage: Stage, type_: str, kind: EndpointKind = EndpointKind.SOURCE, *, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[Visit]:
    """The empty form of a type, by way of the catalog."""
    async with catalog(stage, kind, size=size, **options) as visit:
        await visit.type(type_)
        await visit.press("enter")
        await visit.until_form()
        yield visit


@asynccontextmanager
async def edit_form(
    stage: Stage, endpoint_id: str, kind: EndpointKind = EndpointKind.SOURCE, *, size: tuple[int, int] = (80, 24), **options: Any
) -> AsyncIterator[Visit]:
    """The form of one that exists."""
    async with stage.open(size=size, **options) as pilot:
        visit = Visit(pilot)
        start(visit, kind, endpoint_id)
        await visit.until_form()
        yield visit
