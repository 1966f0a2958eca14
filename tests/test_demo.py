"""The demo empties no folder but its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncterm.demo import MARK, _claim, run_demo
from syncterm.engine.errors import ConfigError
from syncterm.engine.workspace import Workspace


@pytest.mark.parametrize("fresh", [True, False])
def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path, fresh: bool) -> None:
    data = tmp_path / "data" / "mine.csv"
    data.parent.mkdir()
    data.write_text("1\n")
    with pytest.raises(ConfigError, match=str(tmp_path)):
        run_demo(tmp_path, headless=True, fresh=fresh)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [data]


@pytest.mark.parametrize("exists", [True, False])
def test_a_new_or_empty_folder_becomes_the_demos_and_can_begin_again(tmp_path: Path, exists: bool) -> None:
    folder = tmp_path / "demo"
    if exists:
        folder.mkdir()
    workspace = Workspace(folder)
    _claim(workspace, fresh=False)
    (folder / "left").touch()
    _claim(workspace, fresh=False)
    assert {path.name for path in folder.iterdir()} == {MARK, "left"}
    _claim(workspace, fresh=True)
    assert {path.name for path in folder.iterdir()} == {MARK}
