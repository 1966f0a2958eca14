"""What the widgets write to a real pseudo-terminal: how much, and nothing of what hostile names hold."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import pytest

from syncterm.text import clean, clip
from syncterm.widgets.confirm import NAMES_SHOWN
from tests.process.terminal import Terminal
from tests.samples import SAMPLES

ROOT = Path(__file__).parent.parent.parent
HOSTILE = [case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text("utf-8"))["cases"] if case["s"] is not None]
UNSEEN = [
    "\x1b]0;title\x07",
    "\x1b_Gi=1;AAAA\x1b\\",
    "\x1b^private\x1b\\",
    "\x9d52;c;eA==\x9c",
    "\x90q\x9c",
    "\x1b[>4;2m",
    "\x1b#8",
    "\x1bc",
    "\u2066a\u2069",
    "\U000e0001\U000e007f",
    "a" + "\u0489" * 40,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1e9\U0001f1ea",
    "\u1112\u1161\u11ab",
    "กำ้ ที่นี่",
    "हिन्दी क्षत्रिय",
    "\u3164\u115f",
    "[$error]x[/] [bold]\\[/bold]",
    "[@click=app.quit()]" + "x" * 50,
    "\\[@click=app.quit]x[/]",
    "\udfff\ud800",
    "\x85\xa0\xad",
]
NAMES = HOSTILE + UNSEEN

_OWN = re.compile(
    r"\x1b\[[0-9;:?<>=]*[ -/]*[@-~]"  # control sequences
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"  # operating system commands
    r"|\x1bP[^\x1b]*\x1b\\"
    r"|\x1b[()][0B]|\x1b[=>78]"
)
_FORBIDDEN = re.compile(
    "[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)


def foreign(raw: bytes) -> tuple[set[str], list[str]]:
    """The operating-system commands in an output, and whatever in it is neither a terminal sequence nor visible text."""
    text = raw.decode("utf-8", "surrogateescape")
    commands = {match for match in _OWN.findall(text) if match.startswith(("\x1b]", "\x1bP"))}
    return commands, _FORBIDDEN.findall(_OWN.sub("", text))


@pytest.fixture(scope="module")
def own_commands(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The commands a table of harmless names sends."""
    with table(tmp_path_factory.mktemp("plain"), ["plain"] * 3) as terminal:
        terminal.settle()
        terminal.press("q")
        terminal.wait()
        return foreign(bytes(terminal.raw))[0]


def scenario(folder: Path, names: Sequence[str]) -> str:
    path = folder / "names.json"
    path.write_text(json.dumps({"names": list(names)}), "utf-8")
    return str(path)


def table(folder: Path, names: Sequence[str] = (), *, count: int = 0, columns: int = 120, rows: int = 40) -> Terminal:
    command = [sys.executable, "-m", "tests.widgets.demo_table", str(count or len(names)), scenario(folder, names)]
    terminal = Terminal(command, columns=columns, rows=rows, cwd=ROOT)
    terminal.wait_for(lambda now: "min ago" in now.line(2))
    terminal.settle()
    return terminal


def spent(terminal: Terminal, key: str) -> int:
    """Bytes that follow a key."""
    before = terminal.written
    terminal.press(key)
    terminal.settle()
    return terminal.written - before


def test_bytes_on_the_line(tmp_path: Path) -> None:
    with table(tmp_path, count=10_000) as terminal:
        assert spent(terminal, "0") == 0, "nothing changed"
        for _ in range(3):
            assert 0 < spent(terminal, "1") <= 100, "one cell changed"
        assert 0 < spent(terminal, "j") <= 800, "the cursor moved"
        assert spent(terminal, "2") <= 100, "a row came above the ones in view"
        assert 0 < spent(terminal, "pagedown") <= 13_000
        terminal.press(*"j" * 45)
        terminal.settle()
        for _ in range(3):
            assert 0 < spent(terminal, "j") <= 800, "the page moved by a line"
        before = terminal.written
        terminal.settle(1.0)
        assert terminal.written == before, "nobody does anything"


def test_what_is_painted_in_differences_is_what_is_painted_anew(tmp_path: Path) -> None:
    with table(tmp_path, NAMES, count=300) as terminal:
        for keys in ("jjjjj", "1", "2", "\x1b[6~", "jjjjjjjj", "kk ", "\x1b[6~\x1b[6~", "v\x1b[5~v", "S", "G", "k k", "g", "*"):
            terminal.send(keys)
            terminal.settle()
            shown = terminal.display
            terminal.resize(119, 40)
            terminal.settle()
            terminal.resize(120, 40)
            terminal.settle()
            assert terminal.display == shown, keys


def test_hostile_names_in_the_table(tmp_path: Path, own_commands: set[str]) -> None:
    with table(tmp_path, NAMES, rows=len(NAMES) + 2) as terminal:
        control = terminal.line(1).index("Status")
        for number, name in enumerate(NAMES):
            y = number + 2
            status = "● Active" if number % 5 else "✗ Broken"
            assert terminal.cells(y, control, control + 8) == status, ascii(name)
            shown = clip(clean(name, limit=200), 20, "")
            # The emulator composes marks with their letters.
            assert unicodedata.normalize("NFC", terminal.cells(y, 2, control)).startswith(unicodedata.normalize("NFC", shown)), (
                ascii(name)
            )
        for number in range(len(NAMES)):
            terminal.click(5, number + 2)
            terminal.hover(6, number + 2)
        terminal.settle()
        assert terminal.process.poll() is None, "no action ran"
        terminal.press("q")
        assert terminal.wait() == 0
        commands, forbidden = foreign(bytes(terminal.raw))
        assert not forbidden
        assert {command for command in commands if "]22;" not in command} <= own_commands


LEFT_EDGE, RIGHT_EDGE = 13, 86
"""Where the confirmation's border stands on a terminal of 100 columns."""


def dialog_lines(terminal: Terminal) -> list[int]:
    """The lines of the confirmation that name something."""
    return [y for y in range(50) if terminal.cells(y, LEFT_EDGE, LEFT_EDGE + 5) == "│  • " and "id-" in terminal.line(y)]


def test_hostile_names_in_every_other_widget(tmp_path: Path, own_commands: set[str]) -> None:
    command = [sys.executable, "-m", "tests.widgets.gallery", scenario(tmp_path, NAMES)]
    with Terminal(command, columns=100, rows=50, cwd=ROOT) as terminal:
        terminal.wait_for("filtered 0")
        for first in range(0, len(NAMES), NAMES_SHOWN):
            asked = min(first + NAMES_SHOWN, len(NAMES))
            terminal.press("c")
            terminal.wait_for(lambda now, wanted=asked - first: len(dialog_lines(now)) == wanted)  # type: ignore[misc]  # bound by default
            assert any(f"asked {asked}" in line for line in terminal.display)
            for y in dialog_lines(terminal):
                assert terminal.cell(LEFT_EDGE, y) == terminal.cell(RIGHT_EDGE, y) == "│", terminal.line(y)
            terminal.press("n")
            terminal.wait_for(lambda now: not dialog_lines(now))
        for number in range(1, len(NAMES) + 1):
            terminal.press("e")
            terminal.wait_for(f"filtered {number} ")
        terminal.press("b", "b", "g", "G")
        terminal.settle()
        assert terminal.process.poll() is None, "no action ran"
        terminal.press("q")
        assert terminal.wait() == 0
        commands, forbidden = foreign(bytes(terminal.raw))
        assert not forbidden
        assert {command for command in commands if "]22;" not in command} <= own_commands
