"""How the rows of the tables are drawn: glyphs, the present instant, and a person's wishes about dates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from syncterm.settings import DEFAULT_DATE_FORMAT, Dates
from syncterm.text import NOTHING, Glyphs, ago, until, width


@dataclass(frozen=True, slots=True)
class Look:
    """How rows are drawn: glyphs, the present instant, the person's wishes about dates."""

    glyphs: Glyphs
    now: datetime
    dates: Dates = Dates.RELATIVE
    date_format: str = DEFAULT_DATE_FORMAT

    def exact(self, instant: datetime | None) -> str:
        """An instant in the local time zone, with the zone."""
        if instant is None:
            return NOTHING
        local = instant.astimezone()
        return f"{local.strftime(self.date_format)} {local.strftime('%Z')}"

    def past(self, instant: datetime | None) -> str:
        """An instant of the past for a column: to the minute, so that a quiet table stays quiet."""
        if instant is None:
            return "never"
        if self.dates is Dates.ABSOLUTE:
            return instant.astimezone().strftime(self.date_format)
        if timedelta(0) <= self.now - instant < timedelta(minutes=1):
            return "just now"
        return ago(instant, self.now)

    def future(self, instant: datetime | None) -> str:
        """An instant to come for a column, likewise to the minute."""
        if instant is None:
            return NOTHING
        if self.dates is Dates.ABSOLUTE:
            return instant.astimezone().strftime(self.date_format)
        if timedelta(0) < instant - self.now < timedelta(minutes=1):
            return "< 1 min"
        return until(instant, self.now)

    def instant_width(self, relative: int) -> int:
        """Cells of a column of instants that needs `relative` where they are shown as distances."""
        return max(relative, width(self.past(self.now)) + 2) if self.dates is Dates.ABSOLUTE else relative
