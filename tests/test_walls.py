"""The load-bearing walls: who may import whom, and what may never be imported."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import syncterm

PACKAGE = Path(syncterm.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
LAYERS = {
    "screens": {
        "engine",
        "screens",
        "widgets",
        "text",
        "actions",
        "settings",
        "themes",
        "editing",
    },
    "widgets": {
        "widgets",
        "text",
        "actions",
        "editing",
        "folder_listing",
        "engine.advice",
        "engine.blackout",
        "engine.errors",
        "engine.model",
        "engine.schema",
        "engine.status",
        "engine.queries",
        "engine.schedule",
    },
    "editing": {"editing", "engine", "text"},
    "engine": {"engine"},
}
"""Folder → what of syncterm its modules may import."""
HEAVY = ("sqlalchemy", "pyarrow", "duckdb", "asyncpg", "adbc_driver_sqlite", "alembic")
"""Imported when a store or a sync first needs them, never before the first paint."""


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def loaded_after(statement: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}\nimport sys\nprint(' '.join(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    layer = path.relative_to(PACKAGE).parts[0]
    if layer not in LAYERS:
        return
    own = {name.removeprefix("syncterm.") for name in imports(path) if name.startswith("syncterm.")}
    allowed = LAYERS[layer]
    strangers = {name for name in own if not any(name == a or name.startswith(f"{a}.") for a in allowed)}
    assert not strangers


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_no_module_unpickles_or_escapes_markup_by_hand(path: Path) -> None:
    assert not imports(path) & {"pickle", "marshal", "shelve", "dill", "textual.markup.escape", "rich.markup.escape"}


def test_the_engine_knows_no_screen() -> None:
    names = [module_name(path) for path in MODULES if path.is_relative_to(PACKAGE / "engine") and "migrations" not in path.parts]
    loaded = loaded_after("import " + ", ".join(names))
    assert not loaded & {"textual", "rich"}


def test_the_editing_models_know_no_screen() -> None:
    names = [module_name(path) for path in MODULES if path.is_relative_to(PACKAGE / "editing")]
    assert not loaded_after("import " + ", ".join(names)) & {"textual", "rich"}


def test_the_dashboard_paints_before_it_loads_the_store_and_the_data_path() -> None:
    loaded = loaded_after("import syncterm.app, syncterm.engine.host, syncterm.screens.connectors, syncterm.screens.connector")
    assert not loaded & set(HEAVY)


def test_the_adapters_can_be_described_without_their_libraries() -> None:
    statement = (
        "from syncterm.engine.adapters import *\n"
        "[adapter_class(group, name).Config.model_json_schema() for group in (SOURCES_GROUP, DESTINATIONS_GROUP)"
        " for name in adapter_types(group)]"
    )
    assert not loaded_after(statement) & {"pyarrow", "duckdb", "asyncpg", "adbc_driver_sqlite"}


def test_a_command_that_only_asks_loads_no_screen() -> None:
    assert "textual" not in loaded_after("import syncterm.cli")


def test_engine_tests_import_no_textual() -> None:
    folder = Path(__file__).parent / "engine"
    for path in folder.rglob("*.py"):
        assert not {name.partition(".")[0] for name in imports(path)} & {"textual", "rich"}, path
