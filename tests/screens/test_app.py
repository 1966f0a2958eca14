"""The app: opening, header, appearance, what a crash prints, what markup can do, settings and state."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.color import Color
from textual.content import Content
from textual.widgets import Static

from syncterm.actions import clashes
from syncterm.app import ExitReason, SyncTermApp
from syncterm.engine.errors import ConfigError
from syncterm.screens.connectors import ConnectorsScreen
from syncterm.settings import DEFAULT_DATE_FORMAT, Dates, OnDisconnect, ScreenState, Settings, load, write_private
from syncterm.text import GLYPHS_ASCII, GLYPHS_UNICODE, width
from syncterm.themes import MONO, THEME_NAMES, appearance
from syncterm.widgets.footer import FooterKey, footer_pieces
from syncterm.widgets.header import Badge, EngineSummary, Header, header_pieces
from syncterm.widgets.status_line import pieces_width
from tests.samples import SAMPLES
from tests.screens.conftest import Stage, picture, settle, toasts, until

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
CANARY = "hunter2-canary"

# --- Opening


async def test_the_first_paint_does_not_wait_for_the_store(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    app = stage.app()
    start = app.host.start
    monkeypatch.setattr(app.host, "start", lambda: None)
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        shown = "\n".join(picture(app))
        assert "Opening the store …" in shown
        assert "opening the store" in shown.splitlines()[0]
        assert "Name" in shown
        start()
        await settle(pilot)
        assert "billing-pg" in "\n".join(picture(app))


async def test_a_store_that_cannot_be_opened_says_why_and_what_to_do(empty_stage: Stage) -> None:
    empty_stage.workspace.create()
    empty_stage.workspace.store_path.write_bytes(b"this is no store " * 100)
    async with empty_stage.open(size=(100, 30)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        assert app.store_error is not None
        shown = " ".join(" ".join(picture(app)).split())
        assert "The store could not be opened." in shown
        assert app.store_error.remedy.split(".")[0] in shown
        await pilot.press("r", "D", "q")
        await until(pilot, lambda: not app.is_running)


async def test_no_connectors_says_what_to_do_next(empty_stage: Stage) -> None:
    async with empty_stage.open(size=(80, 24)) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        shown = "\n".join(picture(app))
        assert "syncterm demo" in shown
        assert "syncterm apply FILE" in shown


async def test_an_engine_elsewhere_is_named_in_the_header(stage: Stage) -> None:
    import sqlite3

    with sqlite3.connect(stage.workspace.store_path) as store:
        store.execute("UPDATE lease SET pid = ?, host = 'elsewhere', user_name = 'bo\x1b[31m'", (os.getppid(),))
    store.close()
    async with stage.open(size=(160, 30)) as pilot:
        header = pilot.app.screen.query_one(Header).text
        assert f"engine: pid {os.getppid()} bo\\x1b[31m@elsewhere" in header


async def test_the_countdown_ticks(stage: Stage) -> None:
    async with stage.open() as pilot:
        header = pilot.app.screen.query_one(Header)
        assert header.text.endswith("next 00:42  ")
        stage.clock.advance(1)
        await until(pilot, lambda: header.text.endswith("next 00:41  "))


# --- Header and footer, as functions


ENGINE = EngineSummary(running=3, queued=2, failed=1, next_fire_at=NOW + timedelta(seconds=42), holder="engine: pid 123 user@host")
BADGES = (Badge("READ-ONLY", loud=True), Badge("FILTER err (12/340)"), Badge("3 marked"))


@pytest.mark.parametrize("columns", [*range(0, 60, 7), 80, 100, 120, 160, 200])
@pytest.mark.parametrize("glyphs", [GLYPHS_UNICODE, GLYPHS_ASCII])
def test_the_header_fits_any_width(columns: int, glyphs: object) -> None:
    assert isinstance(glyphs, type(GLYPHS_UNICODE))
    pieces = header_pieces(columns, ("Connectors", "請求-" * 20), BADGES, ENGINE, NOW, glyphs)
    assert pieces_width(pieces) <= columns


@pytest.mark.parametrize(
    ("columns", "engine", "expected"),
    [
        (60, EngineSummary(note="opening the store …"), "  Connectors                            opening the store …  "),
        (60, EngineSummary(), "  Connectors                           ● 0 running · 0 failed  "),
        (70, EngineSummary(1, 0, 2, NOW), "  Connectors                        ● 1 running · 2 failed · next 00:00  "),
        (80, ENGINE, "  Connectors                     ● 3 running · 2 queued · 1 failed · next 00:42  "),
        (40, ENGINE, "  Connectors          ● 3 running · 1 failed  "),
    ],
)
def test_the_header_drops_what_matters_least_first(columns: int, engine: EngineSummary, expected: str) -> None:
    text = "".join(text for text, _ in header_pieces(columns, ("Connectors",), (), engine, NOW, GLYPHS_UNICODE))
    assert " ".join(text.split()) == " ".join(expected.split())
    assert width(text) == columns


def test_badges_outlive_the_engine_parts() -> None:
    text = "".join(text for text, _ in header_pieces(80, ("Connectors",), BADGES, ENGINE, NOW, GLYPHS_UNICODE))
    assert all(badge.text in text for badge in BADGES)


@pytest.mark.parametrize("columns", [*range(0, 50, 5), 80, 120, 200])
def test_the_footer_fits_and_its_cells_belong_to_their_keys(columns: int) -> None:
    keys = [FooterKey("a", "enter", "Open"), FooterKey("b", "x", "Cancel", enabled=False), FooterKey("c", "q", "Quit", pinned=True)]
    pieces, spans = footer_pieces(columns, keys)
    text = "".join(text for text, _ in pieces)
    assert len(text) <= max(columns, 4)
    titles = {key.action: f"{key.key} {key.title}" for key in keys}
    for start, end, action in spans:
        assert text[start:end] == titles[action]
    if columns >= 80:
        assert [action for _, _, action in spans] == ["a", "b", "c"]


async def test_a_click_on_the_footer_runs_the_action(stage: Stage) -> None:
    async with stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await pilot.click("Footer", offset=(picture(app)[-1].index("Details"), 0))
        await pilot.pause()
        assert app.screen.has_class("-details")


# --- Appearance


@pytest.mark.parametrize(
    ("theme", "environ", "expected"),
    [
        ("", {}, ("syncterm-dark", True, False)),
        ("nord", {"LANG": "de_CH.UTF-8"}, ("nord", True, False)),
        ("nord", {"NO_COLOR": "1"}, (MONO, False, False)),
        ("nord", {"NO_COLOR": ""}, (MONO, False, False)),
        ("nord", {"TERM": "dumb"}, (MONO, False, False)),
        ("no-such-theme", {}, ("syncterm-dark", True, False)),
        ("", {"LANG": "de_CH.ISO-8859-1"}, ("syncterm-dark", True, True)),
        ("", {"LANG": "C"}, ("syncterm-dark", True, True)),
        ("", {"LANG": "C", "LC_ALL": "en_US.utf8"}, ("syncterm-dark", True, False)),
    ],
)
def test_appearance_is_decided_from_the_environment(theme: str, environ: dict[str, str], expected: tuple[str, bool, bool]) -> None:
    found = appearance(theme, ascii=False, environ=environ)
    assert (found.theme, found.colours, found.ascii) == expected


async def test_every_theme_on_offer_exists(stage: Stage) -> None:
    async with stage.open(size=(80, 24)) as pilot:
        assert set(THEME_NAMES) <= set(pilot.app.available_themes)


@pytest.mark.parametrize("keys", [(), ("question_mark",), ("m",), ("s",), ("colon",), ("d",), ("D",), ("slash", "a")])
@pytest.mark.parametrize("no_color", [True, False])
async def test_mono_has_no_colours_and_nothing_is_invisible(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, keys: tuple[str, ...], no_color: bool
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    async with stage.open(size=(80, 24), settings=Settings(theme=MONO)) as pilot:
        await pilot.press(*keys)
        await pilot.pause()
        reversed_cells = 0
        for strip in pilot.app.screen._compositor.render_strips():
            for segment in strip.apply_filter(pilot.app._filters[-1], pilot.app.screen.background_colors[0]) if no_color else strip:
                style = segment.style
                if style is None or not segment.text.strip():
                    continue
                if no_color:
                    assert style.color in (None, Color.parse("default"))
                    assert style.bgcolor in (None, Color.parse("default"))
                elif style.color is not None and style.bgcolor is not None and not style.color.is_default:
                    assert style.color != style.bgcolor, segment.text
                reversed_cells += bool(style.reverse)
        assert reversed_cells, "the cursor is visible without colours"


@pytest.mark.parametrize(
    "keys", [(), ("question_mark",), ("m",), ("s",), ("colon",), ("d",), ("D",), ("slash", "a"), ("r",), ("e",)]
)
async def test_ascii_is_ascii_everywhere(stage: Stage, keys: tuple[str, ...]) -> None:
    async with stage.open(size=(80, 24), ascii=True) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        await pilot.press(*keys)
        await pilot.pause(0.1)
        for line in picture(app):
            assert line.isascii(), line


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (40, 10), (20, 5)])
async def test_every_size_shows_a_table(stage: Stage, size: tuple[int, int]) -> None:
    async with stage.open(size=size) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        lines = picture(app)
        assert any("billing-pg" in line for line in lines)
        assert all(width(line) <= size[0] for line in lines)


# --- Crash, markup, dangerous actions


async def test_a_crash_prints_no_local_variables(stage: Stage) -> None:
    app = stage.app()
    try:
        async with app.run_test() as pilot:
            await settle(pilot)

            def fail() -> None:
                password = CANARY
                raise RuntimeError(f"failed with a secret of {len(password)} characters\x1b]52;c;UFdO\x07")

            app.call_later(fail)
            await until(pilot, lambda: not app.is_running)
    except RuntimeError as error:
        assert "failed with" in str(error)  # noqa: PT017  # the test pilot raises the app's error again
    assert app.exit_reason is ExitReason.CRASH
    report = app.crash_report
    assert "in fail" in report
    assert CANARY not in report
    assert "\x1b" not in report


@pytest.mark.parametrize(
    "action",
    [
        "app.screenshot('planted.svg', '{folder}')",
        "app.simulate_key('q')",
        "app.push_screen('connectors')",
        "app.pop_screen",
        "app.switch_mode('connectors')",
        "app.suspend_process",
        "app.add_class('Header', 'planted')",
        "app.toggle_dark",
        "app.notify('planted')",
        "app.change_theme",
        "app.deliver_screenshot",
        "screen.dismiss",
        "screen.toggle('visible')",
        "screen.maximize",
    ],
)
async def test_actions_that_markup_could_call_do_nothing(stage: Stage, action: str, tmp_path: Path) -> None:
    async with stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        before = picture(app)
        await app.run_action(action.format(folder=tmp_path), app.screen)
        await pilot.pause()
        assert picture(app) == before
        assert app.is_running
        assert not list(tmp_path.glob("*.svg"))  # noqa: ASYNC240


async def test_a_toast_is_never_markup(stage: Stage) -> None:
    async with stage.open() as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        app.notify("[@click=app.quit]a[/nope]b\x1b[31m", title="[red]t\x07", markup=True)
        await pilot.pause()
        assert toasts(app) == ["[red]t\\x07: [@click=app.quit]a[/nope]b\\x1b[31m"]
        assert any("[@click=app.quit]a[/nope]b" in line for line in picture(app))


async def test_content_carries_no_links_from_outside(stage: Stage) -> None:
    async with stage.open() as pilot:
        await pilot.app.screen.mount(Static(Content("[@click=app.quit]press me[/]"), id="planted"))
        await pilot.pause()
        assert pilot.app.screen.query_one("#planted", Static).render().plain == "[@click=app.quit]press me[/]"  # type: ignore[union-attr]  # it is Content


async def test_keys_that_the_keymap_takes_away_are_said_once(stage: Stage) -> None:
    async with stage.open(settings=Settings(keymap={"details": "r"})) as pilot:
        app = pilot.app
        assert isinstance(app, SyncTermApp)
        assert toasts(app) == ["Keymap in config.toml: The key r does details now; sync_now has lost it."]


def test_clashes_of_a_keymap() -> None:
    assert clashes({}) == []
    assert clashes({"details": "r", "sync_now": "d"}) == []
    assert clashes({"details": "r", "sync_now": "r"}) == [("r", "sync_now", "details")]
    assert clashes({"details": "q"}) == [("q", "details", "quit")]


# --- Settings and state


def write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_no_configuration_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path / "none.toml", state=tmp_path / "state.json") == Settings(state_path=tmp_path / "state.json")


def test_a_configuration_is_read(tmp_path: Path) -> None:
    text = """
theme = "nord"
ascii = true
mouse = false
on_disconnect = "stop"
dates = "absolute"
date_format = "%d.%m. %H:%M"
[keymap]
sync_now = "r,f5"
"""
    found = load(write(tmp_path, text), state=tmp_path / "state.json")
    assert found == Settings(
        theme="nord",
        ascii=True,
        mouse=False,
        on_disconnect=OnDisconnect.STOP,
        dates=Dates.ABSOLUTE,
        date_format="%d.%m. %H:%M",
        keymap={"sync_now": "r,f5"},
        state_path=tmp_path / "state.json",
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ascii = true\n\ntehme = 'nord'\n", ["line 3", "'tehme'", "theme"]),
        ("theme = 'pink'\n", ["line 1", "'pink'"]),
        ("ascii = 'yes'\n", ["line 1", "true or false"]),
        ("\n\non_disconnect = 'explode'\n", ["line 3", "keep-running"]),
        ("date_format = '\x1b[31m'\n", ["config.toml"]),
        ("date_format = ''\n", ["line 1", "visible"]),
        ("[keymap]\nfly = 'r'\n", ["line 1", "'fly'"]),
        ("[keymap]\nsync_now = ''\n", ["sync_now"]),
        ("ascii = \n", ["not valid TOML", "line 1"]),
        ("ascii = true\nascii = false\n", ["not valid TOML"]),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_line(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text), state=tmp_path / "state.json")
    for word in words:
        assert word in str(caught.value)


def test_the_default_date_format_is_accepted_when_written_down(tmp_path: Path) -> None:
    found = load(write(tmp_path, f"date_format = '{DEFAULT_DATE_FORMAT}'\n"), state=tmp_path / "state.json")
    assert found.date_format == DEFAULT_DATE_FORMAT


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_state_is_kept_privately_and_atomically(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state.json"
    state = ScreenState(path)
    state.put("connectors", sort="name")
    state.put("app", theme="nord")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["state.json"]
    assert ScreenState(path).get("connectors") == {"sort": "name"}


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state.json"
    write_private(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"connectors": 7}'])
def test_a_broken_state_file_means_the_defaults(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    state = ScreenState(path)
    assert state.get("connectors") == {}
    state.put("connectors", sort="name")
    assert json.loads(path.read_text())["connectors"] == {"sort": "name"}


@pytest.mark.parametrize(
    "stored",
    [
        {"sort": "no-such-column"},
        {"sort": 7, "descending": "yes"},
        {"columns": ["nothing"]},
        {"columns": []},
        {"columns": "name"},
        {"columns": ["name", "name"]},
        {"columns": [["name"], {}]},
        {"columns": ["name", {}]},
        {"wide": "yes"},
    ],
)
async def test_nonsense_in_the_state_is_ignored(stage: Stage, tmp_path: Path, stored: dict[str, object]) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"connectors": stored, "app": {"theme": ["x"]}}))
    async with stage.open(settings=Settings(state_path=path)) as pilot:
        screen = pilot.app.screen
        assert isinstance(screen, ConnectorsScreen)
        assert screen.table.table_query.sort == "name"
        assert screen.view.shown[0] == "name"


def test_the_samples_lie_beside_the_tests() -> None:
    assert (SAMPLES / "hostile_names.json").is_file()
