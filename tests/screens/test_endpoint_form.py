"""The form of a source or destination: by keyboard alone, on a small terminal, with real tests of real connections."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP, adapter_types
from syncterm.engine.model import CheckReport, CheckResult, CheckStep, EndpointKind
from syncterm.engine.redaction import MASK
from syncterm.engine.store import tables
from syncterm.engine.store.database import Database
from syncterm.screens.endpoint_form import EndpointForm
from syncterm.screens.menu import Menu
from syncterm.screens.type_catalog import TypeCatalog
from syncterm.widgets.check_steps import Phase
from syncterm.widgets.form.exact_input import ExactInput, SecretInput, visible
from tests.samples import SAMPLES
from tests.screens.conftest import Stage, connector_id, picture, settle, toasts, until
from tests.screens.forms import Visit, edit_form, new_form, other_packages, start
from tests.screens.test_check import silent_server
from tests.servers.postgres import PostgresDatabase

__all__ = ["other_packages"]

HOSTILE = [case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text())["cases"] if case.get("s")]
SECRET = "correct-horse-93"
URL = f"postgres://etl:{SECRET}@127.0.0.1:5433/shop?sslmode=require&connect_timeout=3"


def shown(visit: Visit) -> str:
    return "\n".join(picture(visit.app))


def words(visit: Visit) -> str:
    """What is shown, without regard to where lines end."""
    return " ".join(shown(visit).replace("\xa0", " ").split())


async def paste(visit: Visit, title: str, text: str) -> None:
    row = next(row for row in visit.form.view._all_rows() if row.title == title)
    assert isinstance(row.editor, ExactInput)
    row.editor.paste_text(text)
    await visit.pilot.pause()


async def stored(visit: Visit, kind: EndpointKind, id_: str) -> Any:
    draft = await visit.app.host.call(lambda engine: engine.queries.endpoint_draft(kind, id_))
    assert draft is not None
    return draft


# By keyboard alone, at 80x24


async def test_a_file_source_is_filled_and_saved_by_keys(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "orders.csv").write_text("id,name\n1,a\n")
    async with new_form(stage, "file") as visit:
        assert visit.focused == "Name"
        await visit.press("tab")
        assert visit.focused == "Path"
        await visit.type(str(tmp_path / "orders.csv"))
        await visit.press("enter")
        assert visit.focused == "Format"
        await visit.press("enter")
        assert isinstance(visit.app.screen, Menu)
        await visit.press("down", "enter")
        assert visit.form.values.get("format") == "csv"
        await visit.press("right")
        assert visit.form.values.get("format") == "jsonl"
        assert "Delimiter" not in shown(visit)
        await visit.press("left")
        await visit.to("Header")
        await visit.press("space")
        assert visit.form.values.get("header") is False
        await visit.press("shift+tab")
        assert visit.focused == "Quote"
        await visit.press("ctrl+r")
        await visit.until_tested()
        assert "Connection is working" in shown(visit)
        await visit.press("ctrl+s")
        await visit.until_over()
        assert visit.saved is not None
        assert visit.saved.name == "orders.csv"  # the name that was suggested
        draft = await stored(visit, EndpointKind.SOURCE, visit.saved.id)
        assert draft.config == {"path": str(tmp_path / "orders.csv"), "format": "csv", "header": False}


async def test_every_field_and_button_is_reached_by_tab(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        seen = []
        for _ in range(20):
            focused = visit.form.focused
            assert focused is not None
            assert focused.region.height == 1
            assert visit.form.view.region.contains_region(focused.region) or focused.id in ("test", "save", "draft", "cancel")
            seen.append(visit.focused or str(focused.id))
            await visit.press("tab")
            if visit.focused == "Name":
                break
        assert seen[:5] == ["Name", "Connection URL", "Host", "Port", "Database"]
        assert seen[-4:] == ["test", "save", "draft", "cancel"]


# Faults


async def test_no_fault_is_shown_before_a_field_was_touched(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        assert "This is needed" not in shown(visit)
        await visit.to("Port")
        await visit.press("x")
        assert "This must be a whole number." in shown(visit)
        assert "This is needed" not in shown(visit)
        await visit.press("backspace")
        assert "whole number" not in shown(visit)
        await visit.press("ctrl+s")
        assert shown(visit).count("This is needed.") == 2
        assert "2 fields need your attention: Database, User. F3 keeps it as a draft." in shown(visit)
        assert visit.focused == "Database"


async def test_a_name_that_is_taken(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        await visit.type("pg-main")
        assert "There is a source of this name already." in shown(visit)


# URLs


@pytest.mark.parametrize("field", ["Connection URL", "Host", "Name", "Database"])
async def test_a_pasted_url_fills_the_form(stage: Stage, field: str) -> None:
    async with new_form(stage, "postg") as visit:
        await paste(visit, field, URL)
        await visit.pilot.pause()
        text = words(visit)
        for part in ("127.0.0.1/shop", "5433", "etl", "require", "Filled Host, Port", "Not used: connect_timeout."):
            assert part in text, part
        assert "•" * len(SECRET) in text
        assert SECRET not in text
        assert visit.form.values.config()["password"] == SECRET


async def test_a_url_that_is_typed_never_shows_its_password(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        await visit.press("down")
        for letter in "postgres://etl:hunter2":
            await visit.type(letter)
            assert "hun" not in shown(visit)
        await visit.press("at")
        await visit.type("db1/shop")
        assert "postgres://etl:•••••••@db1/shop" in shown(visit)
        await visit.press("enter")
        assert visit.form.values.config() == {"host": "db1", "database": "shop", "user": "etl", "password": "hunter2"}
        assert visit.form.view.url_row is not None
        assert visit.form.view.url_row.editor.value == ""  # type: ignore[attr-defined]


async def test_a_url_of_another_scheme_is_refused_with_the_reason(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        await paste(visit, "Connection URL", "mysql://root:hunter2@h/db")
        await visit.pilot.pause()
        assert "mysql:// is not for this type" in shown(visit)
        assert "hunter2" not in shown(visit)
        assert not visit.form.changed


async def test_what_is_pasted_into_a_filled_form_is_text(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        await visit.to("User")
        await visit.type("a")
        await paste(visit, "Database", "postgres://x")
        assert visit.form.values.get("database") == "postgres://x"


# Secrets


async def test_a_secret_is_masked_revealed_and_logged_nowhere(
    stage: Stage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages: list[str] = []
    post = Widget.post_message

    def noted(self: Widget, message: Message) -> bool:
        messages.append(f"{message!r} {vars(message) if hasattr(message, '__dict__') else ''}")
        return post(self, message)

    monkeypatch.setattr(Widget, "post_message", noted)
    with caplog.at_level(logging.DEBUG):
        async with new_form(stage, "postg") as visit:
            await visit.to("Password")
            await visit.type(SECRET)
            editor = visit.form.focused
            assert isinstance(editor, SecretInput)
            assert "•" * len(SECRET) in shown(visit)
            assert SECRET not in shown(visit)
            await visit.press("home", "shift+end", "ctrl+c", "ctrl+x")
            assert visit.app.clipboard == ""
            assert editor.value == SECRET
            await visit.press("ctrl+t")
            assert SECRET in shown(visit)
            await visit.press("ctrl+t")
            assert SECRET not in shown(visit)
            await visit.pilot.click("Tail")
            assert SECRET in shown(visit)
            await visit.press("ctrl+t")
            assert SECRET not in repr(visit.form) + repr(editor) + " ".join(toasts(visit.app))
    assert messages
    assert not [message for message in messages if SECRET in message]
    assert SECRET not in caplog.text


async def test_a_stored_secret_stays_unless_something_is_typed(stage: Stage) -> None:
    id_ = connector_id("pg-main")
    set_config(stage, {"host": "db1", "database": "shop", "user": "etl", "password": SECRET})
    async with edit_form(stage, id_) as visit:
        assert "stored – type to replace" in shown(visit).replace("\xa0", " ")
        assert SECRET not in shown(visit)
        await visit.to("Password")
        await visit.press("ctrl+t", "x")
        assert visit.form.values.config()["password"] == "x"
        await visit.press("backspace")
        assert visit.form.values.config()["password"] == MASK
        assert not visit.form.changed


async def test_a_reference_is_shown_and_checked(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    async with new_form(stage, "postg") as visit:
        await visit.to("Password")
        await paste(visit, "Password", "${env:NOT_THERE}")
        await visit.pilot.pause()
        assert "${env:NOT_THERE}" in shown(visit)
        assert "it is not set in this process" in words(visit)
        await paste(visit, "Password", "x")
        await visit.pilot.pause()
        assert "NOT_THERE" not in shown(visit)


async def test_a_key_of_many_lines_is_pasted_whole(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        await paste(visit, "Password", "-----BEGIN KEY-----\nabc\n-----END KEY-----\n")
        assert visit.form.values.get("password") == "-----BEGIN KEY-----\nabc\n-----END KEY-----"


# Testing the connection


async def test_a_test_that_fails_says_why_and_goes_to_the_field(stage: Stage, postgres_database: PostgresDatabase) -> None:
    async with new_form(stage, "postg") as visit:
        for title, key in (("Host", "host"), ("Port", "port"), ("Database", "database"), ("User", "user")):
            visit.form.view.enter(row(visit, title), str(postgres_database.parameters[key]))
        visit.form.view.enter(row(visit, "Password"), "wrong")
        await visit.press("ctrl+r")
        await visit.until_tested()
        report = visit.form.steps.report
        assert report is not None
        assert report.result is CheckResult.AUTHENTICATION_FAILED
        assert "Authentication failed" in shown(visit)
        assert visit.focused == "Password"
        visit.form.view.enter(row(visit, "Password"), str(postgres_database.parameters["password"]))
        visit.form.view.enter(row(visit, "Database"), "not_there")
        await visit.press("f5")
        await until(visit.pilot, lambda: visit.form.steps.report not in (None, report))
        await visit.pilot.pause()
        assert visit.focused == "Database"
        visit.form.view.enter(row(visit, "Database"), str(postgres_database.parameters["database"]))
        await visit.press("ctrl+r")
        await until(visit.pilot, lambda: "Connection is working" in shown(visit))
        assert "Permission check" in shown(visit) or "Connectivity test" in shown(visit)


def row(visit: Visit, title: str) -> Any:
    return next(row for row in visit.form.view._all_rows() if row.title == title)


async def test_a_test_that_hangs_is_cancelled_by_escape(stage: Stage) -> None:
    with silent_server() as port:
        async with new_form(stage, "postg") as visit:
            for title, value in (("Host", "127.0.0.1"), ("Port", str(port)), ("Database", "d"), ("User", "u")):
                visit.form.view.enter(row(visit, title), value)
            await visit.press("ctrl+r")
            await until(visit.pilot, lambda: "working," in shown(visit))
            await visit.press("escape")
            assert visit.form.steps.phase is Phase.CANCELLED
            assert "The test was cancelled." in shown(visit)
            await until(visit.pilot, lambda: not any(worker.group == "test" and worker.is_running for worker in visit.app.workers))


async def test_an_unfinished_form_is_not_tested(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        await visit.press("ctrl+r")
        assert "2 fields need your attention" in shown(visit)
        assert not visit.form.has_class("-tested")


# Drafts and leaving


async def test_an_unfinished_form_is_kept_as_a_draft(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        await visit.type("half done")
        await visit.press("f3")
        await visit.until_over()
        assert visit.saved is not None
        assert visit.saved.name == "half done"
        assert visit.saved.incomplete_reason


async def test_values_that_make_no_sense_are_no_draft_either(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        visit.form.view.enter(row(visit, "Port"), "99999")
        await visit.press("f3")
        await until(visit.pilot, lambda: "Not saved." in shown(visit))
        assert visit.focused == "Port"


@pytest.mark.parametrize(
    ("keys", "stays", "saves"), [(("enter",), True, False), (("escape",), True, False), (("down", "enter"), False, True)]
)
async def test_leaving_with_changes_asks(stage: Stage, keys: Sequence[str], stays: bool, saves: bool) -> None:
    async with new_form(stage, "postg") as visit:
        await visit.type("mine")
        await visit.press("escape")
        assert "Keep editing" in shown(visit)
        await visit.press(*keys)
        if stays:
            assert isinstance(visit.app.screen, EndpointForm)
            assert visit.form.view.entered_name == "mine"
        else:
            await visit.until_over()
        assert (visit.saved is not None) is saves


async def test_what_is_discarded_is_gone_and_an_untouched_form_leads_back_to_the_catalog(stage: Stage) -> None:
    async with new_form(stage, "postg") as visit:
        await visit.press("escape")
        await until(visit.pilot, lambda: isinstance(visit.app.screen, TypeCatalog))
        await visit.press("escape")
        await visit.until_over()
        start(visit, EndpointKind.SOURCE)
        await until(visit.pilot, lambda: isinstance(visit.app.screen, TypeCatalog) and visit.app.screen.loaded)
        await visit.press("p", "enter")
        await visit.until_form()
        await visit.type("x")
        visit.over = False
        await visit.press("escape", "down", "down", "enter")
        await visit.until_over()
        assert visit.saved is None


# Editing


def set_config(stage: Stage, config: dict[str, Any]) -> None:
    """Give the standard source pg-main a configuration."""

    async def write(database: Database, _: Sequence[Any]) -> None:
        async with database.write() as connection:
            statement = update(tables.sources).where(tables.sources.c.name == "pg-main")
            await connection.execute(statement.values(config=json.dumps(config)))

    stage.write(write, ())


async def test_editing_shows_what_is_there_marks_what_changed_and_says_who_uses_it(stage: Stage) -> None:
    set_config(stage, {"host": "db1", "database": "shop", "user": "etl", "password": SECRET})
    async with edit_form(stage, connector_id("pg-main")) as visit:
        text = shown(visit)
        for part in (
            "Sources",
            "pg-main",
            "Edit",
            "db1",
            "shop",
            "connectors stay on version 1 until refreshed; new secrets",
        ):
            assert part in text, part
        await visit.to("Host")
        await visit.press("end", "0")
        assert "* Host" in shown(visit)
        await visit.press("backspace")
        assert "* Host" not in shown(visit)


async def test_an_edit_is_saved_as_a_new_version(stage: Stage) -> None:
    set_config(stage, {"host": "db1", "database": "shop", "user": "etl"})
    async with edit_form(stage, connector_id("pg-main")) as visit:
        visit.form.view.enter(row(visit, "Host"), "db2")
        await visit.press("ctrl+s")
        await visit.until_over()
        assert visit.saved is not None
        assert visit.saved.version == 2
        draft = await stored(visit, EndpointKind.SOURCE, visit.saved.id)
        assert draft.config["host"] == "db2"


# Every type, hostile strings


@pytest.mark.parametrize(
    ("kind", "type_"),
    [(EndpointKind.SOURCE, type_) for type_ in adapter_types(SOURCES_GROUP)]
    + [(EndpointKind.DESTINATION, type_) for type_ in adapter_types(DESTINATIONS_GROUP)],
)
async def test_every_type_opens_fills_and_is_saved(stage: Stage, tmp_path: Path, kind: EndpointKind, type_: str) -> None:
    valid = {"path": str(tmp_path / "shop.db"), "database": "shop", "user": "etl"}
    async with new_form(stage, type_, kind) as visit:
        assert visit.form.subject.draft.type == type_
        for field in visit.form.form.fields:
            if field.required:
                visit.form.view.enter(visit.form.view.rows[field.id], valid[field.path[-1]])
        await visit.press("ctrl+s")
        await visit.until_over()
        assert visit.saved is not None
        assert visit.saved.incomplete_reason is None


@pytest.mark.usefixtures("other_packages")
async def test_a_third_party_type_gets_a_form_from_its_plain_model(stage: Stage) -> None:
    async with new_form(stage, "stations") as visit:
        text = shown(visit)
        for part in ("[red]Weather[/] \\x1b[31", "Station", "Api key", "Days", "Hourly"):
            assert part in text, part
        await visit.to("Station")
        await visit.type("LSZH")
        await visit.press("down")
        await visit.type("hunter2")
        assert "hunter2" not in shown(visit)
        await visit.press("ctrl+r")
        await visit.until_tested()
        assert "Connection is working" in shown(visit)


@pytest.mark.parametrize("text", HOSTILE[:: max(1, len(HOSTILE) // 40)])
async def test_hostile_strings_in_every_field(stage: Stage, text: str) -> None:
    async with new_form(stage, "postg") as visit:
        for each in visit.form.view._rows():
            if isinstance(each.editor, ExactInput) and each is not visit.form.view.url_row:
                visit.form.view.enter(each, text[:2000])
                each.editor.focus()
                await visit.pilot.pause()
        lines = picture(visit.app)
        assert len(lines) == 24
        for line in lines:
            assert line.isprintable() or "\xa0" in line, ascii(line)
        assert isinstance(visit.app.screen, EndpointForm)
        await visit.press("ctrl+s")


@pytest.mark.parametrize("text", HOSTILE)
def test_what_cannot_be_seen_is_one_sign_each(text: str) -> None:
    assert len(visible(text)) == len(text)
    assert visible(text).isprintable()
    assert visible(text, ascii=True).replace("?", "").isprintable()


# Pictures


STEPS = (
    CheckStep("Initiate test", True, 0.004, "PostgreSQL at db1:5432"),
    CheckStep("Authentication check", True, 0.031, "as 'etl'"),
    CheckStep("Connectivity test", True, 0.012, "PostgreSQL 17.2"),
)


def show_test(visit: Visit, report: CheckReport | None, steps: Sequence[CheckStep]) -> None:
    """A test as it looks, with times that do not change."""
    form = visit.form
    form.add_class("-tested")
    form.steps.ends[0].name = form.view.entered_name
    form.steps.begin()
    for step in steps:
        form.steps.step_ended(form.steps.ends[0], step)
    if report is not None:
        form.steps.finish(report)
    form._show_running()


FAILED = CheckReport(
    CheckResult.AUTHENTICATION_FAILED,
    "PostgreSQL at db1:5432, database 'shop', user 'etl' answers: password authentication failed for user \"etl\"",
    "Check user and password, and the server's pg_hba.conf.",
    STEPS[:1],
)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=["80x24", "120x40"])
@pytest.mark.parametrize("state", ["empty", "errors", "filled", "edit", "running", "failed", "working", "leaving", "third-party"])
@pytest.mark.usefixtures("other_packages")
def test_picture(stage: Stage, size: tuple[int, int], state: str, snap_compare: Callable[..., bool]) -> None:
    set_config(stage, {"host": "db1", "database": "shop", "user": "etl", "password": SECRET})

    async def prepare(pilot: Pilot[None]) -> None:
        await settle(pilot)
        visit = Visit(pilot)
        start(visit, EndpointKind.SOURCE, connector_id("pg-main") if state == "edit" else "")
        if state != "edit":
            await until(pilot, lambda: isinstance(visit.app.screen, TypeCatalog) and visit.app.screen.loaded)
            await visit.type("stations" if state == "third-party" else "postg")
            await visit.press("enter")
        await visit.until_form()
        if state == "errors":
            await visit.to("Port")
            await visit.press("x", "ctrl+s")
        elif state == "edit":
            await visit.to("Host")
            await visit.press("end", "2")
        elif state not in ("empty", "third-party"):
            await paste(visit, "Connection URL", URL.replace("127.0.0.1", "db1"))
            await pilot.pause()
        if state in ("running", "failed", "working"):
            report = {"failed": FAILED, "working": CheckReport(CheckResult.WORKING, "", "", STEPS)}.get(state)
            show_test(visit, report, STEPS[:1] if state == "failed" else STEPS[:2] if state == "running" else STEPS)
            if state == "failed":
                visit.form._go_to(next(field for field in visit.form.form.fields if field.id == "password"))
        if state == "leaving":
            await visit.press("escape")
        await pilot.pause()

    assert snap_compare(stage.app(), terminal_size=size, run_before=prepare)


def test_picture_in_ascii(stage: Stage, snap_compare: Callable[..., bool]) -> None:
    async def prepare(pilot: Pilot[None]) -> None:
        await settle(pilot)
        visit = Visit(pilot)
        start(visit, EndpointKind.SOURCE)
        await until(pilot, lambda: isinstance(visit.app.screen, TypeCatalog) and visit.app.screen.loaded)
        await visit.type("postg")
        await visit.press("enter")
        await visit.until_form()
        await paste(visit, "Connection URL", URL)
        await pilot.pause()
        lines = picture(visit.app)
        assert "".join(lines).replace("\xa0", " ").isascii()

    assert snap_compare(stage.app(ascii=True), terminal_size=(80, 24), run_before=prepare)
