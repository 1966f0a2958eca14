"""The picture at the top of README.md is a snapshot, so that it always shows the product as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.screens.conftest import Stage, settle

README = Path(__file__).parent.parent.parent / "README.md"


def test_dashboard(stage: Stage, snap_compare: Any) -> None:
    assert snap_compare(stage.app(), terminal_size=(120, 24), run_before=settle)


def test_the_readme_shows_it() -> None:
    assert "(snapshots/test_readme/test_dashboard.svg)" in README.read_text()
