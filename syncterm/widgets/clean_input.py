"""An input line that never holds what would reach the terminal as a command."""

from __future__ import annotations

from textual.widgets import Input

from syncterm.text import clean

LONGEST = 10_000
"""Characters taken; more are cut off."""


class CleanInput(Input):
    """Textual's Input writes pasted control characters to the terminal as they are; here they turn into visible escapes."""

    def validate_value(self, value: str) -> str:
        return clean(value, limit=self.max_length or LONGEST)
