"""Configuration as code: hostile documents, the two forms, every mistake with path and line, export, plan."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from datetime import time, timedelta
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncterm.engine import redaction
from syncterm.engine.adapters import AdapterContext
from syncterm.engine.document import ConnectorDocument, DestinationDocument, Document, SourceDocument, export, load_document
from syncterm.engine.document_json import parse_json
from syncterm.engine.document_plan import ChangeKind, ObjectKind, plan
from syncterm.engine.document_tree import DocumentError, DocumentFault, show_path
from syncterm.engine.document_yaml import dump_yaml, parse_yaml
from syncterm.engine.model import (
    MANUAL_SCHEDULE,
    BlackoutWindow,
    DeleteHandling,
    Schedule,
    ScheduleKind,
    SchemaPolicy,
    StreamConfig,
    SyncMode,
)
from tests.samples import SAMPLES

BAD_CONFIGS = SAMPLES / "bad_configs"
MANIFEST: list[dict[str, Any]] = json.loads((BAD_CONFIGS / "manifest.json").read_text())["cases"]
BUILT_IN = ("postgres", "sqlite", "duckdb", "file")
SECRET = "s3cr3t-CANARY-7f3a"


@pytest.fixture(autouse=True)
def _no_known_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_forms", {})


def refusal_of(load: Callable[[], object]) -> DocumentError | None:
    """The refusal of a document, or None where it is accepted; a refusal is one short line without secrets."""
    try:
        load()
    except DocumentError as error:
        refusal = error
    else:
        return None
    message = str(refusal)
    assert "CANARY" not in message
    assert message.isprintable()
    assert len(message) < 2000
    return refusal


def fault_of(load: Callable[[], object]) -> DocumentError:
    refusal = refusal_of(load)
    assert refusal is not None, "the document was accepted"
    return refusal


# The samples ----------------------------------------------------------------------------------------------------------------

ACCEPTED = {
    "schema_error_or_incomplete",
    "accept_literal",
    "accept_or_refuse",
    "accept_escaped_or_refuse",
    "accept_or_schema_error",
    "accept_with_warning",
}
REFUSED_BY = {
    "parse_error": {DocumentFault.PARSE_ERROR},
    "limit_error": {DocumentFault.LIMIT_ERROR},
    "unsafe_tag": {DocumentFault.UNSAFE_TAG},
    "parse_or_schema_error": {DocumentFault.PARSE_ERROR, DocumentFault.SCHEMA_ERROR},
    "refuse_path": {DocumentFault.REFUSED_PATH},
    "refuse_path_or_os_permission": {DocumentFault.REFUSED_PATH, DocumentFault.SCHEMA_ERROR},  # an adapter's model may refuse first
}
"""Manifest's expectation → kinds of mistake; all others are mistakes of the schema."""


def source_type(case: dict[str, Any]) -> str:
    mutation = case.get("mutation", {})
    return str(mutation["value"]["type"]) if mutation.get("path") == "/source" else "postgres"


@pytest.mark.parametrize("case", MANIFEST, ids=lambda case: case["file"])
def test_bad_samples(case: dict[str, Any], tmp_path: Path) -> None:
    type_ = source_type(case)
    store = tmp_path / "syncterm.db"
    path = BAD_CONFIGS / case["file"]
    if b"<STORE>" in path.read_bytes():
        path = tmp_path / path.name
        path.write_text((BAD_CONFIGS / case["file"]).read_text().replace("<STORE>", str(store)))
    context = AdapterContext(forbidden_paths=(store,), base_folder=tmp_path)
    expected = case["expect"]
    if expected == "accept_literal":
        name = case["mutation"]["value"]
        assert list(load_document(path, context=context).connectors) == [name]
        return
    if expected in ACCEPTED and type_ in BUILT_IN:
        refusal = refusal_of(lambda: load_document(path, context=context))
        assert refusal is None or refusal.fault is DocumentFault.SCHEMA_ERROR
        return
    error = fault_of(lambda: load_document(path, context=context))
    wanted = REFUSED_BY.get(expected, {DocumentFault.SCHEMA_ERROR}) if type_ in BUILT_IN else {DocumentFault.SCHEMA_ERROR}
    assert error.fault in wanted
    assert str(error).startswith(path.name)
    assert not (Path("/tmp") / "pwned").exists()
    if case["file"] != "p18_empty.yaml":
        assert error.line is not None
    if "mutation" in case:
        assert error.path[: len(case["mutation"]["path"].split("/")) - 1], str(error)


def test_the_valid_sample() -> None:
    document = load_document(BAD_CONFIGS / "valid_base.yaml")
    assert document.sources["orders-sync"].type == "postgres"
    assert document.sources["orders-sync"].config["password"] == SECRET
    assert document.destinations["orders-sync"] == DestinationDocument(
        "orders-sync", "duckdb", {"path": "warehouse.duckdb", "schema": "main"}
    )
    assert document.connectors["orders-sync"] == ConnectorDocument(
        name="orders-sync",
        source="orders-sync",
        destination="orders-sync",
        streams=(StreamConfig("orders", SyncMode.INCREMENTAL_UPSERT, ("id",), "updated_at", casts={"amount": "decimal(18,2)"}),),
        schedule=Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=1)),
    )


def test_bombs_cost_no_memory(tmp_path: Path) -> None:
    """Every hostile sample and some larger ones, in one process whose memory is measured."""
    (tmp_path / "doubling.yaml").write_text(
        "\n".join([f"a0: &a0 [{'x, ' * 1000}]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 25))])
    )
    (tmp_path / "many.yaml").write_text("- " + "[" + "x," * 490_000 + "]")
    (tmp_path / "many.json").write_text("[" + "1," * 490_000 + "1]")
    (tmp_path / "scalar.yaml").write_text("x: " + "y" * 3_000_000)
    (tmp_path / "keys.yaml").write_text("{" + "".join(f"k{n}: 1, " for n in range(75_000)) + "}")
    (tmp_path / "deep.yaml").write_text("- " * 400_000)
    (tmp_path / "braces.yaml").write_text("{a: " * 200_000)
    (tmp_path / "quotes.json").write_text('["' * 300_000)
    program = dedent("""
        import resource, sys
        from pathlib import Path
        from syncterm.engine.document import load_document
        from syncterm.engine.document_tree import DocumentError
        load_document(Path(sys.argv[1]) / "valid_base.yaml")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for folder in sys.argv[1:]:
            for path in sorted(Path(folder).iterdir()):
                try:
                    load_document(path)
                except DocumentError as error:
                    assert len(str(error)) < 2000
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """)
    result = subprocess.run(
        [sys.executable, "-c", program, str(BAD_CONFIGS), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(result.stdout) * unit < 64 * 2**20


# Text to values -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),
        ("no", "no"),
        ("on", "on"),
        ("y", "y"),
        ("12:30:00", "12:30:00"),
        ("2001-01-01", "2001-01-01"),
        ("0123", "0123"),
        ("0o17", "0o17"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("+5", 5),
        ("-0.5", -0.5),
        ("1e3", 1000.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'true'", "true"),
        ('"1"', "1"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_unquoted_words_and_numbers(text: str, value: object) -> None:
    parsed = parse_yaml(f"x: {text}").value["x"]
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "fault", "line"),
    [
        ("a: 1\nb:\n  c: 1\n  c: 2", DocumentFault.DUPLICATE_KEY, 4),
        ('{"a": 1,\n "a": 2}', DocumentFault.DUPLICATE_KEY, 2),
        ("a: &x\n  b: *x", DocumentFault.PARSE_ERROR, 2),
        ("a: 1\nb: *CANARY", DocumentFault.PARSE_ERROR, 2),
        ("a: 1\nconfig:\n  password: !CANARY", DocumentFault.UNSAFE_TAG, 3),
        ("a: !!python/object/apply:os.system ['touch /tmp/pwned']", DocumentFault.UNSAFE_TAG, 1),
        ("a: !!str x", DocumentFault.UNSAFE_TAG, 1),
        ("a: !include /etc/passwd", DocumentFault.UNSAFE_TAG, 1),
        ("!!map {a: 1}", DocumentFault.UNSAFE_TAG, 1),
        ("!!str a: 1", DocumentFault.UNSAFE_TAG, 1),
        ("? [a]\n: 1", DocumentFault.SCHEMA_ERROR, 1),
        ("? {a: b}\n: 1", DocumentFault.SCHEMA_ERROR, 1),
        ("null: 1", DocumentFault.SCHEMA_ERROR, 1),
        ("a: .inf", DocumentFault.SCHEMA_ERROR, 1),
        ("a: -.INF", DocumentFault.SCHEMA_ERROR, 1),
        ("a: .nan", DocumentFault.SCHEMA_ERROR, 1),
        ("a: 1e999", DocumentFault.SCHEMA_ERROR, 1),
        ("a: " + "9" * 5000, DocumentFault.SCHEMA_ERROR, 1),
        ("[" + "9" * 5000 + "]", DocumentFault.SCHEMA_ERROR, 1),
        ("a: 1\n---\na: 2", DocumentFault.SCHEMA_ERROR, 2),
        ("a: [1, 2\nb: 3", DocumentFault.PARSE_ERROR, 2),
        ("a: 'CANARY", DocumentFault.PARSE_ERROR, 1),
        ("a: \0", DocumentFault.PARSE_ERROR, 1),
        ("a: 1\nb: \x1b[2J", DocumentFault.PARSE_ERROR, 2),
        ("a: 1\nb: \ud800", DocumentFault.PARSE_ERROR, 2),
        ('{"a": "\\ud800"}', DocumentFault.PARSE_ERROR, 1),
        ("x: &a [1]\n" + "\n".join(f"x{n}: *a" for n in range(51)), DocumentFault.LIMIT_ERROR, 52),
        ("- " * 60 + "x", DocumentFault.LIMIT_ERROR, 1),
        ("[" * 60 + "]" * 60, DocumentFault.LIMIT_ERROR, 1),
        ("{" * 60, DocumentFault.PARSE_ERROR, 1),
        ("a: &a " + "[" * 30 + "]" * 30 + "\nb: " + "[" * 30 + "*a" + "]" * 30, DocumentFault.LIMIT_ERROR, 2),
        ("x" * 1_000_001, DocumentFault.LIMIT_ERROR, None),
        ('{"a": 1} x', DocumentFault.PARSE_ERROR, 1),
        ('{"a": 01}', DocumentFault.PARSE_ERROR, 1),
        ('{"a": -Infinity}', DocumentFault.PARSE_ERROR, 1),
        ('{"a": 1,}', DocumentFault.PARSE_ERROR, 1),
        ("{'a': 1}", DocumentFault.PARSE_ERROR, 1),
        ('{"a": "CANARY\n"}', DocumentFault.PARSE_ERROR, 1),
        ("[1 2]", DocumentFault.PARSE_ERROR, 1),
        ("", DocumentFault.SCHEMA_ERROR, None),
        ("   \n# only a comment", DocumentFault.SCHEMA_ERROR, None),
        ("just text", DocumentFault.SCHEMA_ERROR, 1),
        ("[]", DocumentFault.SCHEMA_ERROR, 1),
    ],
)
def test_unreadable_texts(text: str, fault: DocumentFault, line: int | None) -> None:
    error = fault_of(lambda: load_document(text))
    assert error.fault is fault, str(error)
    assert error.line == line


def test_aliases_within_limits_are_kept() -> None:
    assert parse_yaml("a: &a {x: [1]}\nb: *a\nc: [*a]").value == {"a": {"x": [1]}, "b": {"x": [1]}, "c": [{"x": [1]}]}


def test_tags_are_named_but_not_where_a_secret_may_stand() -> None:
    assert "!!python/name:os.system" in str(fault_of(lambda: parse_yaml("x: !!python/name:os.system")))
    assert "!include" in str(fault_of(lambda: parse_yaml("x: !include y")))


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=12,
)


@given(plain_values)
def test_values_written_as_yaml_read_back_equal(value: object) -> None:
    parsed = parse_yaml(dump_yaml(value)).value
    assert parsed == value
    assert json.dumps(parsed) == json.dumps(value)  # 1 and True are equal, their JSON is not


@given(plain_values, st.sampled_from([None, 2]), st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(value: object, spaces: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=spaces, ensure_ascii=ascii_only)
    assert parse_json(text).value == json.loads(text)


@settings(max_examples=200)
@given(
    st.text(max_size=60)
    | st.text(alphabet="{}[],:\"'&*!|>-? \n\tab1#%@~.", max_size=60)
    | st.text(alphabet='{}[],:"\\ \n01eE+-.truefalsn', max_size=60)
)
def test_any_text_is_read_or_refused_by_type(text: str) -> None:
    for parse in (parse_yaml, parse_json):
        try:
            value = parse(text).value
        except DocumentError:
            continue
        json.dumps(value, allow_nan=False)


@pytest.mark.parametrize("kind", ["folder", "fifo", "missing", "nul"])
def test_files_that_are_none(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    paths = {"folder": tmp_path, "fifo": tmp_path / "fifo", "missing": tmp_path / "missing", "nul": Path("a\0b")}
    assert fault_of(lambda: load_document(paths[kind])).fault is DocumentFault.PARSE_ERROR


# The two forms --------------------------------------------------------------------------------------------------------------

ENDPOINTS = """
version: 1
sources:
  shop:
    type: postgres
    config: {host: db.example.com, database: shop, user: app, password: "${env:SHOP_PASSWORD}"}
destinations:
  warehouse:
    type: duckdb
    config: {path: warehouse.duckdb}
"""


def full(connector: str, name: str = "orders") -> str:
    return f"{ENDPOINTS}connectors:\n  {json.dumps(name)}:\n{indent(dedent(connector).strip(), '    ')}\n"


def streams(stream: str) -> str:
    return full(f"source: shop\ndestination: warehouse\nstreams:\n- {stream}")


def test_the_full_form() -> None:
    document = load_document(
        full("""
            source: shop
            destination: warehouse
            collection: raw
            paused: true
            schema_policy: apply_additions
            catch_up: skip
            schedule: {kind: cron, expression: "0  6 * * 1-5", timezone: Europe/Berlin}
            streams:
            - {name: orders, sync_mode: full_refresh}
            - {name: lines, sync_mode: incremental, cursor_field: at, row_filter: "a > 1\\nand b < 2", include_null_cursor: true}
            - name: items
              sync_mode: incremental
              primary_key: [id]
              cursor_field: at
              columns: [id, at, price]
              fields: {price: {cast: "Decimal(10, 2)"}}
              look_back: 2h
              table: articles
        """)
    )
    assert document.connectors["orders"] == ConnectorDocument(
        name="orders",
        source="shop",
        destination="warehouse",
        collection="raw",
        paused=True,
        schema_policy=SchemaPolicy.APPLY_ADDITIONS,
        catch_up="skip",
        schedule=Schedule(ScheduleKind.CRON, expression="0 6 * * 1-5", timezone="Europe/Berlin"),
        streams=(
            StreamConfig("orders", SyncMode.REPLACE),
            StreamConfig(
                "lines", SyncMode.INCREMENTAL_APPEND, cursor_field="at", row_filter="a > 1\nand b < 2", include_null_cursor=True
            ),
            StreamConfig(
                "items",
                SyncMode.INCREMENTAL_UPSERT,
                ("id",),
                "at",
                ("id", "at", "price"),
                {"price": "decimal(10,2)"},
                look_back=timedelta(hours=2),
                table="articles",
            ),
        ),
    )


def test_connectors_may_name_what_exists_already() -> None:
    current = load_document(ENDPOINTS)
    text = "version: 1\nconnectors: {c: {source: shop, destination: warehouse, streams: [{name: a, sync_mode: replace}]}}"
    assert load_document(text, current=current).connectors["c"].source == "shop"
    assert fault_of(lambda: load_document(text)).path == ("connectors", "c", "source")


def test_blackout_windows_and_what_streams_say_for_themselves() -> None:
    text = ENDPOINTS + dedent("""
        connectors:
          c:
            source: shop
            destination: warehouse
            blackout: [{days: [saturday, sunday], start: "22:00", end: "06:30", timezone: Europe/Berlin}]
            streams:
            - {name: a, sync_mode: replace, delete_handling: remove, schema_policy: pause, schedule: {kind: interval, every: 6h}}
        """)
    found = load_document(text).connectors["c"]
    assert found.blackout == (BlackoutWindow(frozenset({5, 6}), time(22), time(6, 30), "Europe/Berlin"),)
    (stream,) = found.streams
    assert (stream.delete_handling, stream.schema_policy) == (DeleteHandling.REMOVE, SchemaPolicy.PAUSE)
    assert stream.schedule == Schedule(ScheduleKind.INTERVAL, every=timedelta(hours=6))


@pytest.mark.parametrize(
    ("window", "reason"),
    [
        ('{days: [], start: "22:00", end: "06:00"}', "needs a day"),
        ('{days: [caturday], start: "22:00", end: "06:00"}', "saturday"),
        ('{days: [monday], start: "25:00", end: "06:00"}', "is not a time of day"),
        ('{days: [monday], start: "22:00"}', "end is missing"),
        ('{days: [monday], start: "22:00", end: "06:00", timezone: Mars/Base}', "is not a time zone"),
    ],
)
def test_blackout_windows_that_are_none(window: str, reason: str) -> None:
    connector = f"source: shop, destination: warehouse, blackout: [{window}], streams: []"
    error = fault_of(lambda: load_document(f"{ENDPOINTS}\nconnectors: {{c: {{{connector}}}}}"))
    assert error.path[:4] == ("connectors", "c", "blackout", 0)
    assert reason in str(error)


def check_mistake(text: str, path: str, line: int, reason: str) -> None:
    error = fault_of(lambda: load_document(text))
    assert error.fault is DocumentFault.SCHEMA_ERROR
    assert show_path(error.path) == path
    assert error.line == line
    assert f"line {line}" in str(error)
    assert reason in str(error)


@pytest.mark.parametrize(
    ("text", "path", "line", "reason"),
    [
        ("version: 2\nsources: {}", "version", 1, "version 1"),
        ("version: '1'\nsources: {}", "version", 1, "version 1"),
        ("version: true\nsources: {}", "version", 1, "version 1"),
        ("sources: {}", "", 1, "version is missing"),
        ("version: 1\nsorces: {}", "sorces", 2, "no such key"),
        ("version: 1\nconnectors: {}\nsorces: {}", "sorces", 3, "Did you mean sources"),
        ("version: 1\nname: x", "", 1, "source is missing"),
        ("version: 1\nsources: []", "sources", 2, "a mapping, not a list"),
        ("version: 1\nsources: {x: {type: postgers}}", "sources.x.type", 2, "Did you mean postgres"),
        ("version: 1\nsources: {x: {type: postgres, config: {}}}", "sources.x.config.database", 2, "required"),
        ("version: 1\nsources: {x: {type: postgres, config: []}}", "sources.x.config", 2, "a mapping, not a list"),
        (
            "version: 1\nsources: {x: {type: postgres, config: {database: d, user: u, port: true}}}",
            "sources.x.config.port",
            2,
            "true or false",
        ),
        (
            "version: 1\nsources: {x: {type: postgres, config: {database: d, user: u, port: 1.5}}}",
            "sources.x.config.port",
            2,
            "integer",
        ),
        ("version: 1\nsources: {x: {typ: postgres}}", "sources.x.typ", 2, "Did you mean type"),
        ("version: 1\nsources: {'': {type: postgres}}", "sources.''", 2, "empty"),
        ('version: 1\nsources: {"a\\nb": {type: postgres}}', "sources.'a\\nb'", 2, "U+000A"),
    ],
)
def test_mistakes_at_the_top_name_path_and_line(text: str, path: str, line: int, reason: str) -> None:
    check_mistake(text, path, line, reason)


ONE_STREAM = "streams: [{name: a, sync_mode: replace}]"


@pytest.mark.parametrize(
    ("keys", "path", "line", "reason"),
    [
        (f"source: shp\ndestination: warehouse\n{ONE_STREAM}", ".source", 13, "Did you mean shop"),
        ("source: shop\ndestination: warehouse", "", 12, "streams is missing"),
        (f"source: shop\n{ONE_STREAM}", "", 12, "destination is missing"),
        (f"source: shop\ndestination: warehouse\npaused: 'no'\n{ONE_STREAM}", ".paused", 15, "true or false"),
        (f"source: shop\ndestination: warehouse\nschema_policy: apply\n{ONE_STREAM}", ".schema_policy", 15, "apply_all"),
        (f"source: shop\ndestination: warehouse\ncatch_up: never\n{ONE_STREAM}", ".catch_up", 15, "once, skip"),
    ],
)
def test_mistakes_of_connectors_name_path_and_line(keys: str, path: str, line: int, reason: str) -> None:
    check_mistake(full(keys), f"connectors.orders{path}", line, reason)


@pytest.mark.parametrize(
    ("keys", "path", "line", "reason"),
    [
        ("kind: crom", ".kind", 16, "Did you mean cron"),
        ("kind: [cron]", ".kind", 16, "text, not a list"),
        ("every: 1h", "", 15, "no kind"),
        ("kind: interval", ".kind", 16, "needs every"),
        ("kind: interval\nevery: 5", ".every", 17, "quotes"),
        ("kind: interval\nevery: '5'", ".every", 17, "no unit"),
        ("kind: cron\nexpression: 0 0 31 2 *", ".expression", 17, "never fires"),
        ("kind: interval\nevery: 1h\ntimezone: Mars/Phobos", ".timezone", 18, "not a time zone"),
        ("kind: interval\nevry: 1h", ".evry", 17, "Did you mean every"),
    ],
)
def test_mistakes_of_schedules_name_path_and_line(keys: str, path: str, line: int, reason: str) -> None:
    text = full(f"source: shop\ndestination: warehouse\nschedule:\n{indent(keys, '  ')}\n{ONE_STREAM}")
    check_mistake(text, f"connectors.orders.schedule{path}", line, reason)


@pytest.mark.parametrize(
    ("keys", "path", "reason"),
    [
        ("sync_mode: replace", "", "name is missing"),
        ("name: a", "", "sync_mode is missing"),
        ("name: a, sync_mode: incremantal", ".sync_mode", "Did you mean incremental"),
        ("name: a, sync_mode: incremental", "", "needs cursor_field"),
        ("name: a, sync_mode: incremental_upsert, cursor_field: at", "", "needs primary_key"),
        ("name: a, sync_mode: replace, primary_key: id", ".primary_key", "a list, not text"),
        ("name: a, sync_mode: replace, primary_key: [id, id]", ".primary_key[1]", "twice"),
        ("name: a, sync_mode: replace, primary_key: [1]", ".primary_key[0]", "text, not a number"),
        ("name: a, sync_mode: replace, columns: []", ".columns", "No column"),
        ("name: a, sync_mode: replace, look_back: 1h", ".look_back", "no look-back"),
        ("name: a, sync_mode: replace, fields: {x: {cast: integer}}", ".fields.x.cast", "not a type"),
        ("name: a, sync_mode: replace, fields: {x: text}", ".fields.x", "a mapping, not text"),
        ("name: a, sync_mode: replace, columns: [y], fields: {x: {cast: text}}", ".fields.x", "not among"),
        ("name: a, sync_mode: replace, row_filter: ''", ".row_filter", "1 to"),
        ('name: a, sync_mode: replace, row_filter: "a\\u0007"', ".row_filter", "U+0007"),
        ("name: a, sync_mode: replace, pk: [id]", ".pk", "no such key"),
    ],
)
def test_mistakes_of_streams_name_path_and_line(keys: str, path: str, reason: str) -> None:
    check_mistake(streams(f"{{{keys}}}"), f"connectors.orders.streams[0]{path}", 16, reason)


@pytest.mark.parametrize(
    ("second", "reason"), [("{name: a, sync_mode: append}", "twice"), ("{name: b, sync_mode: append, table: a}", "same table")]
)
def test_streams_that_collide_are_refused(second: str, reason: str) -> None:
    check_mistake(streams(f"{{name: a, sync_mode: replace}}\n- {second}"), "connectors.orders.streams[1]", 17, reason)


def test_faults_of_a_configuration_are_told_together_without_values() -> None:
    text = ENDPOINTS.replace("host: db.example.com", f"host: 5, prt: 1, port: {SECRET}").replace("${env:SHOP_PASSWORD}", SECRET)
    error = fault_of(lambda: load_document(text))
    assert error.path[:3] == ("sources", "shop", "config")
    assert error.line == 6
    for field in ("config.host", "config.port", "config.prt"):
        assert field in str(error)


def test_malformed_references_are_mistakes() -> None:
    error = fault_of(lambda: load_document(ENDPOINTS.replace("${env:", "${vault:")))
    assert "password: ${vault:SHOP_PASSWORD}" in str(error)


@pytest.mark.parametrize(
    "path",
    [
        "/proc/self/mem",
        "/etc/shadow",
        "/dev/sda",
        "/sys/x",
        "x/../../../../../../../../etc/shadow",
        "STORE",
        "LINK",
        "HARD",
        "sub/../syncterm.db",
    ],
)
def test_paths_that_no_connector_touches(tmp_path: Path, path: str) -> None:
    store = tmp_path / "syncterm.db"
    store.touch()
    (tmp_path / "link").symlink_to(store)
    (tmp_path / "hard").hardlink_to(store)
    path = {"STORE": str(store), "LINK": "link", "HARD": "hard"}.get(path, path)
    context = AdapterContext(forbidden_paths=(store,), base_folder=tmp_path)
    error = fault_of(lambda: load_document(ENDPOINTS.replace("warehouse.duckdb", path), context=context))
    assert error.fault is DocumentFault.REFUSED_PATH
    assert error.path == ("destinations", "warehouse", "config", "path")


HOSTILE: list[str] = [
    case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text())["cases"] if isinstance(case.get("s"), str)
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_names_are_taken_literally_or_refused(number: int) -> None:
    name = HOSTILE[number]
    document = {
        **parse_yaml(ENDPOINTS).value,
        "connectors": {name: {"source": "shop", "destination": "warehouse", "streams": [{"name": name, "sync_mode": "replace"}]}},
    }
    refusal = refusal_of(lambda: load_document(json.dumps(document)))
    if refusal is not None:
        assert refusal.fault in (DocumentFault.SCHEMA_ERROR, DocumentFault.PARSE_ERROR)
        assert (
            any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in name)
            or not 1 <= len(name) <= 200
            or not name.strip()
        )
        return
    loaded = load_document(json.dumps(document))
    assert list(loaded.connectors) == [name]
    assert loaded.connectors[name].streams[0].name == name
    assert load_document(export(loaded)) == loaded
    assert plan(load_document(export(loaded)), loaded).empty


# Export and plan ------------------------------------------------------------------------------------------------------------

names = st.text(st.characters(blacklist_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=20).filter(
    lambda name: name.strip()
)
secrets = st.sampled_from(["${env:SHOP_PASSWORD}", "${file:/run/secrets/x}", "${keyring:a/b}", SECRET, "NO", "1e5", "ü '\" : #"])
schedules = st.one_of(
    st.just(MANUAL_SCHEDULE),
    st.integers(1, 366 * 86_400).map(lambda seconds: Schedule(ScheduleKind.INTERVAL, every=timedelta(seconds=seconds))),
    st.builds(
        lambda expression, zone: Schedule(ScheduleKind.CRON, expression=expression, timezone=zone),
        st.sampled_from(["0 6 * * 1-5", "@daily", "*/5 * * * *", "0 0 L * *"]),
        st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    ),
)


@st.composite
def stream_configs(draw: st.DrawFn, name: str) -> StreamConfig:
    mode = draw(st.sampled_from(list(SyncMode)))
    columns = draw(st.none() | st.lists(names, min_size=1, max_size=3, unique=True).map(tuple))
    cast_columns = draw(st.lists(st.sampled_from(columns) if columns else names, max_size=2, unique=True))
    return StreamConfig(
        name=name,
        sync_mode=mode,
        primary_key=draw(st.lists(names, min_size=mode is SyncMode.INCREMENTAL_UPSERT, max_size=2, unique=True).map(tuple)),
        cursor_field=draw(names if mode.incremental else st.none() | names),
        columns=columns,
        casts={column: draw(st.sampled_from(["text", "int64", "decimal(18,2)"])) for column in cast_columns},
        row_filter=draw(st.none() | names),
        include_null_cursor=draw(st.booleans()),
        look_back=timedelta(seconds=draw(st.integers(1, 10**6)))
        if mode is SyncMode.INCREMENTAL_UPSERT and draw(st.booleans())
        else None,
        delete_handling=draw(st.sampled_from(list(DeleteHandling))),
        schema_policy=draw(st.none() | st.sampled_from(list(SchemaPolicy))),
        schedule=draw(st.none() | schedules),
    )


windows = st.builds(
    BlackoutWindow,
    st.frozensets(st.integers(0, 6), min_size=1, max_size=3),
    st.builds(time, st.integers(0, 11), st.integers(0, 59)),
    st.builds(time, st.integers(12, 23), st.integers(0, 59)),
    st.sampled_from(["UTC", "Europe/Berlin"]),
)


@st.composite
def documents(draw: st.DrawFn) -> Document:
    sources = {
        name: SourceDocument(
            name, "postgres", {"host": draw(st.sampled_from(["a", "b"])), "database": "d", "user": "u", "password": draw(secrets)}
        )
        for name in draw(st.lists(names, min_size=1, max_size=2, unique=True))
    }
    destinations = {
        name: DestinationDocument(name, "duckdb", {"path": draw(st.sampled_from(["a.duckdb", "b.duckdb"])), "schema": draw(names)})
        for name in draw(st.lists(names, min_size=1, max_size=2, unique=True))
    }
    connectors = {
        name: ConnectorDocument(
            name=name,
            source=draw(st.sampled_from(sorted(sources))),
            destination=draw(st.sampled_from(sorted(destinations))),
            streams=tuple(draw(stream_configs(stream)) for stream in draw(st.lists(names, min_size=1, max_size=3, unique=True))),
            schedule=draw(schedules),
            collection=draw(st.just("") | names),
            paused=draw(st.none() | st.booleans()),
            schema_policy=draw(st.none() | st.sampled_from(list(SchemaPolicy))),
            catch_up=draw(st.none() | st.sampled_from(["once", "skip"])),
            blackout=draw(st.none() | st.lists(windows, max_size=2).map(tuple)),
        )
        for name in draw(st.lists(names, max_size=2, unique=True))
    }
    return Document(sources, destinations, connectors)


def masked(document: Document) -> Document:
    """What an export reads back as: `***` for literal secrets."""
    sources = {}
    for name, each in document.sources.items():
        password = each.config["password"]
        shown = password if password.startswith("${") else "***"
        sources[name] = SourceDocument(name, each.type, {**each.config, "password": shown})
    return Document(sources, document.destinations, document.connectors)


@settings(max_examples=60, deadline=None)
@given(documents(), st.booleans())
def test_an_export_reads_back_equal_and_plans_nothing(document: Document, prune: bool) -> None:
    text = export(document)
    assert "CANARY" not in text
    loaded = load_document(text)
    assert loaded == masked(document)
    assert plan(loaded, document, prune=prune).empty
    assert export(loaded) == text


@settings(max_examples=40, deadline=None)
@given(documents(), documents())
def test_a_plan_names_every_difference_and_no_secret(wanted: Document, current: Document) -> None:
    found = plan(wanted, current, prune=True)
    assert "CANARY" not in repr(found)
    by_name = {(change.object, change.name): change.kind for change in found.changes}
    for kind, ours, theirs in (
        (ObjectKind.SOURCE, wanted.sources, current.sources),
        (ObjectKind.DESTINATION, wanted.destinations, current.destinations),
        (ObjectKind.CONNECTOR, wanted.connectors, current.connectors),
    ):
        for name in {*ours, *theirs}:
            change = by_name[(kind, name)]
            assert (change is ChangeKind.CREATE) == (name not in theirs)
            assert (change is ChangeKind.DELETE) == (name not in ours)
    assert plan(wanted, wanted, prune=True).empty


CURRENT = load_document(full("source: shop\ndestination: warehouse\npaused: true\nstreams: [{name: a, sync_mode: replace}]"))


def changed(text: str, **options: bool) -> dict[tuple[str, str], list[tuple[str, object, object]]]:
    found = plan(load_document(text, current=CURRENT), CURRENT, **options)
    return {
        (change.kind.value, f"{change.object} {change.name}"): [(each.path, each.before, each.after) for each in change.fields]
        for change in found.changes
        if change.kind is not ChangeKind.UNCHANGED
    }


def test_differences_are_told_field_by_field() -> None:
    text = full(
        "source: shop\ndestination: warehouse\nschedule: {kind: interval, every: 1h}\nstreams: [{name: a, sync_mode: append}]"
    )
    assert changed(text.replace("db.example.com", "new.example.com")) == {
        ("update", "source shop"): [("config.host", "db.example.com", "new.example.com")],
        ("update", "connector orders"): [
            ("schedule.kind", "manual", "interval"),
            ("streams.a.sync_mode", "replace", "append"),
            ("schedule.every", None, "1h"),
        ],
    }


def test_a_changed_secret_is_told_but_not_shown() -> None:
    assert changed(ENDPOINTS.replace("${env:SHOP_PASSWORD}", SECRET)) == {
        ("update", "source shop"): [("config.password", "${env:SHOP_PASSWORD}", "***")]
    }


def test_an_explicit_default_is_no_difference() -> None:
    assert changed(ENDPOINTS.replace("host: db.example.com", "host: db.example.com, port: 5432")) == {}


def test_what_stays_out_of_a_document_is_deleted_only_when_told() -> None:
    assert changed("version: 1\nsources: {}") == {}
    assert list(changed("version: 1\nsources: {}", prune=True)) == [
        ("delete", "connector orders"),
        ("delete", "destination warehouse"),
        ("delete", "source shop"),
    ]


def test_pruning_what_a_connector_needs_is_refused() -> None:
    text = "version: 1\nconnectors: {c: {source: shop, destination: warehouse, streams: [{name: a, sync_mode: replace}]}}"
    assert list(changed(text)) == [("create", "connector c")]
    assert "would be deleted" in str(fault_of(lambda: changed(text, prune=True)))


def test_a_masked_secret_is_refused_for_a_new_source_and_for_a_changed_one() -> None:
    current = load_document(ENDPOINTS.replace("${env:SHOP_PASSWORD}", SECRET))
    exported = export(current)
    assert "password: '***'" in exported
    assert plan(load_document(exported), current).empty
    for text, reason, existing in (
        (exported, "none is stored", Document()),
        (exported.replace("db.example.com", "evil.example.com"), "another field changes", current),
    ):
        document = load_document(text)
        error = fault_of(lambda document=document, existing=existing: plan(document, existing))  # type: ignore[misc]
        assert reason in str(error)
        assert error.path == ("sources", "shop", "config", "password")


def test_a_type_never_changes_under_a_name() -> None:
    current = Document(destinations={"warehouse": DestinationDocument("warehouse", "duckdb", {"path": "x"})})
    document = Document(destinations={"warehouse": DestinationDocument("warehouse", "file", {"path": "out"})})
    assert "cannot change" in str(fault_of(lambda: plan(document, current)))


def test_an_adapter_that_is_gone_shows_none_of_its_texts() -> None:
    gone = Document(sources={"x": SourceDocument("x", "gone", {"token": SECRET, "port": 1, "more": {"key": SECRET}})})
    assert "CANARY" not in export(gone)
    assert "CANARY" not in repr(plan(gone, Document()))
