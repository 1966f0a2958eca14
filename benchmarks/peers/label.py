"""The smallest Textual program: one label. What any Textual program pays before its first paint."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.widgets import Label


class LabelApp(App[None]):
    def compose(self) -> ComposeResult:
        yield Label("Painted")


if __name__ == "__main__":
    LabelApp().run()
