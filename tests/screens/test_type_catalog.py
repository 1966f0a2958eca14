"""The catalog of types: search, what each can do, other packages, and those that do not load."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from syncterm.engine.adapter_catalog import CatalogType, catalog_types
from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP
from syncterm.engine.model import EndpointKind
from syncterm.screens.endpoint_form import EndpointForm
from syncterm.screens.type_catalog import TypeCatalog, matching, type_lines
from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, width
from tests.screens.conftest import Stage, picture, settle, toasts, until
from tests.screens.forms import Visit, catalog, other_packages, start

__all__ = ["other_packages"]


def test_every_type_is_there_with_what_it_can_do() -> None:
    assert {each.type for each in catalog_types(SOURCES_GROUP)} >= {"duckdb", "file", "postgres", "sqlite"}
    for group in (SOURCES_GROUP, DESTINATIONS_GROUP):
        for each in catalog_types(group):
            assert each.title
            assert each.summary
            assert each.abilities
            assert not each.problem
            assert not each.package


@pytest.mark.usefixtures("other_packages")
def test_other_packages_are_named_and_what_does_not_load_says_why() -> None:
    found = {each.type: each for each in catalog_types(SOURCES_GROUP)}
    assert found["weather"].package == "syncterm-weather"
    assert dict(found["weather"].abilities)["real time"]
    assert found["broken"].problem == "It cannot be loaded: ModuleNotFoundError: No module named 'package_that_is_not_there'"
    assert found["nothing"].problem == "It is registered as a source, but is none."
    assert [each.type for each in catalog_types(SOURCES_GROUP)][-2:] == ["broken", "nothing"]


TYPES = (
    CatalogType("pg", "PostgreSQL", "Tables of a database", (("incremental", True), ("real time", False))),
    CatalogType("s3", "S3", "Objects of a bucket", (("incremental", False), ("real time", True)), "other-package"),
    CatalogType("x", "x", "", (), "other-package", "It cannot be loaded."),
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["pg", "s3", "x"]),
        ("postg", ["pg"]),
        ("real time", ["s3"]),
        ("incremental", ["pg"]),
        ("OTHER", ["s3", "x"]),
        ("objects bucket", ["s3"]),
        ("nothing like it", []),
    ],
)
def test_search(text: str, found: list[str]) -> None:
    assert [each.type for each in matching(TYPES, text)] == found


@pytest.mark.parametrize("each", TYPES, ids=lambda each: each.type)
@pytest.mark.parametrize("cells", [60, 90])
def test_lines_fit_and_are_plain_where_asked(each: CatalogType, cells: int) -> None:
    lines = type_lines(each, cells, GLYPHS_UNICODE).plain.split("\n")
    assert len(lines) == 2
    assert all(width(line) <= cells for line in lines)
    assert type_lines(each, cells, GLYPHS_ASCII).plain.isascii()


@pytest.mark.usefixtures("other_packages")
async def test_choosing_by_keys(stage: Stage) -> None:
    async with catalog(stage) as visit:
        assert "from syncterm-weather" in "\n".join(picture(visit.app))
        await visit.type("broken")
        await visit.press("enter")
        assert isinstance(visit.app.screen, TypeCatalog)
        assert any("No module named" in toast for toast in toasts(visit.app))
        await visit.press("ctrl+u", "down", "up", "pagedown", "pageup", "enter")
        await until(visit.pilot, lambda: isinstance(visit.app.screen, EndpointForm))


async def test_keys_that_come_faster_than_the_list(stage: Stage) -> None:
    async with catalog(stage) as visit:
        await visit.pilot.press("p", "o", "s", "t")  # no pause: as a paste, or a slow line, brings them
        screen = visit.app.screen
        assert isinstance(screen, TypeCatalog)
        with screen.prevent(Input.Changed):
            screen.query_one(Input).value = "files"
        await visit.press("enter")
        await visit.until_form()
        assert visit.form.subject.draft.type == "file"


async def test_nothing_matches(stage: Stage) -> None:
    async with catalog(stage, EndpointKind.DESTINATION) as visit:
        await visit.type("zzz")
        assert "No destination type matches." in "\n".join(picture(visit.app))
        await visit.press("enter")
        assert isinstance(visit.app.screen, TypeCatalog)
        await visit.press("escape")
        await visit.until_over()
        assert visit.saved is None


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("kind", list(EndpointKind))
@pytest.mark.usefixtures("other_packages")
def test_picture(stage: Stage, size: tuple[int, int], kind: EndpointKind, snap_compare: Callable[..., bool]) -> None:
    async def prepare(pilot: Pilot[None]) -> None:
        await settle(pilot)
        visit = Visit(pilot)
        start(visit, kind)
        await until(pilot, lambda: isinstance(visit.app.screen, TypeCatalog) and visit.app.screen.loaded)
        await pilot.pause()

    assert snap_compare(stage.app(), terminal_size=size, run_before=prepare)
