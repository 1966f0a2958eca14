"""How the counts of a sync balance, in words."""

from __future__ import annotations

from syncterm.engine.model import StreamCounts
from syncterm.text import count, width


def balance_text(counts: StreamCounts) -> str:
    """How a sync balances: 1,000 read = 900 written + 90 unchanged + 5 filtered + 5 rejected; terms of nothing are left out."""
    terms = {
        "written": counts.written,
        "unchanged": counts.unchanged,
        "filtered": counts.filtered,
        "rejected": counts.rejected,
    }
    if not counts.read and not any(terms.values()):
        return "nothing was read"
    parts = [f"{count(number)} {name}" for name, number in terms.items() if number] or ["0 written"]
    return f"{count(counts.read)} read {'=' if counts.balanced else '!='} {' + '.join(parts)}"


def balance_within(counts: StreamCounts, cells: int) -> str:
    """`balance_text`, its words cut short where there is no room for them."""
    text = balance_text(counts)
    if width(text) <= cells:
        return text
    for word, short in (("unchanged", "unch."), ("filtered", "filt."), ("rejected", "rej.")):
        text = text.replace(word, short)
    return text
