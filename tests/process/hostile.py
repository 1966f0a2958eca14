"""Judges what a program wrote to a terminal while hostile names were on its screen."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tests.samples import SAMPLES

_CASES = json.loads((SAMPLES / "hostile_names.json").read_text("utf-8"))["cases"]
STORABLE = [str(case["s"]) for case in _CASES if not re.search("[\ud800-\udfff]", str(case["s"]))]
"""The samples, without lone surrogates: those are no text that a store could hold."""
ONE_OF_EACH = list({case["category"]: str(case["s"]) for case in _CASES if str(case["s"]) in STORABLE}.values())
"""A sample of each category, for what takes long."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
# The mouse pointer's shape (OSC 22) is the only string that the dashboard sends.
SEQUENCE = re.compile(rb"\x1b(?:\](22;[a-z-]+\x07)|\[([<=>?]?)[0-9;:]*([ -/]*[@-~])|([^\[]))")


@dataclass(frozen=True)
class Controls:
    """The control sequences in what a program wrote."""

    kinds: set[tuple[bytes, ...]]
    """String, prefix and final character of each."""
    modes: Counter[bytes]
    """Those that switch the terminal's modes (alternate screen, mouse, focus, paste), how often."""

    @classmethod
    def of(cls, raw: bytes) -> Controls:
        found = list(SEQUENCE.finditer(raw))
        switched = Counter(match[0] for match in found if re.search(rb"\[\?(1\d{3}|2004)[hl]", match[0]))
        return cls({tuple(part or b"" for part in match.groups()) for match in found}, switched)


def judge(raw: bytes, names: Iterable[str], usual: Controls) -> None:
    """Assert that only sequences that the program itself writes are in its output, and no control character of a name.

    Args:
        usual: what the program writes when every name is harmless.
    """
    written = Controls.of(raw)
    foreign = written.kinds - usual.kinds
    assert not foreign, f"only sequences that the dashboard itself writes, not {foreign}"
    assert written.modes == usual.modes
    text = SEQUENCE.sub(b"", raw).decode("utf-8")
    assert not CONTROL.findall(text.replace("\r", "").replace("\n", ""))
    for name in names:
        for found in CONTROL.finditer(name):
            told = name[found.start() : found.start() + 12].encode("utf-8")
            if len(told) > 3 and not SEQUENCE.fullmatch(told):
                assert told not in raw, name
