"""What is typed into a form, and what of it goes into the configuration."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from syncterm.editing.setup_form import FieldKind, FormField, FormValues, describe
from syncterm.editing.setup_form.mending import field_of_message, field_to_mend
from syncterm.editing.setup_form.pasting import UrlError, fill_from_url
from syncterm.editing.setup_form.references import about_reference
from syncterm.editing.setup_form.texts import TextError, text_of, value_of
from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP, AdapterConfig, adapter_class, adapter_types
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import CheckResult
from syncterm.engine.postgres import PostgresConfig
from syncterm.engine.redaction import MASK
from syncterm.engine.sources.file import FileConfig
from syncterm.engine.testing import ScriptedConfig
from tests.editing.setup_form.test_description import Plain
from tests.samples import SAMPLES

HOSTILE = [case["s"] for case in json.loads((SAMPLES / "hostile_names.json").read_text())["cases"] if case.get("s")]
STORED = {"host": "db1", "database": "shop", "user": "etl", "password": MASK, "port": 5432}


def values(model: type[BaseModel], config: dict[str, Any] | None = None, **entered: Any) -> FormValues:
    made = FormValues(describe(model), config)
    for id_, value in entered.items():
        made.set(id_, value)
    return made


# Configurations


def test_a_new_form_holds_nothing_but_what_was_entered() -> None:
    made = values(PostgresConfig, database="shop", user="etl")
    assert made.config() == {"database": "shop", "user": "etl"}
    assert not made.faults()
    assert values(PostgresConfig).config() == {}


def test_looking_at_a_set_up_changes_nothing() -> None:
    for config in (STORED, {**STORED, "schema_name": "x"}, {"null_values": ["", "a,b"]}):
        model = FileConfig if "null_values" in config else PostgresConfig
        made = values(model, config)
        found = made.config()
        assert {"schema_name" if key == "schema" else key: value for key, value in found.items()} == config
        assert not made.changed


def test_a_stored_secret_is_never_known_and_stays_unless_something_is_typed() -> None:
    made = values(PostgresConfig, STORED)
    assert made.stored == {"password"}
    assert made.get("password") == ""
    made.set("password", "new")
    assert made.config()["password"] == "new"
    made.set("password", "")
    assert made.config()["password"] == MASK
    assert not made.changed


def test_a_reference_is_no_secret() -> None:
    made = values(PostgresConfig, {**STORED, "password": "${env:PGPASSWORD}"})
    assert made.get("password") == "${env:PGPASSWORD}"
    assert not made.stored


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("${env:9}", "that is not a name"),
        ("${file:relative}", "absolute"),
        ("${keyring:one}", "service/name"),
        ("${vault:x}", "use ${env"),
    ],
)
def test_a_reference_is_checked(text: str, fault: str) -> None:
    assert fault in values(PostgresConfig, STORED, password=text).faults().fields["password"]


def test_what_a_reference_means(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET_HERE", "hunter2")
    assert "it is set here" in about_reference("${env:SET_HERE}")
    assert "hunter2" not in about_reference("${env:SET_HERE}")
    assert "not set" in about_reference("${env:NOT_SET_HERE}")
    assert "/run/x" in about_reference("${file:/run/x}")
    assert "shop" in about_reference("${keyring:shop/etl}")


def test_hidden_fields_are_neither_checked_nor_saved() -> None:
    made = values(FileConfig, path="/data/x.csv", delimiter="too long")
    assert set(made.faults().fields) == {"delimiter"}
    made.set("format", "parquet")
    assert not made.faults()
    assert made.config() == {"path": "/data/x.csv", "format": "parquet"}
    assert {field.id for field in made.visible()} == {"path", "format"}


@pytest.mark.parametrize(
    ("id_", "value", "config"),
    [
        ("port", "", {}),  # emptied: the default
        ("host", "", {}),
        ("port", " 5 433 ", {"port": 5433}),
        ("schema", "public ", {"schema": "public "}),
        ("sslmode", "require", {"sslmode": "require"}),
    ],
)
def test_what_is_entered_goes_into_the_configuration(id_: str, value: Any, config: dict[str, Any]) -> None:
    made = values(PostgresConfig, database="d", user="u")
    made.set(id_, value)
    assert made.config() == {"database": "d", "user": "u", **config}


def test_an_empty_text_is_kept_where_it_means_something() -> None:
    assert values(FileConfig, path="/x", quote="").config()["quote"] == ""


def test_optional_models_and_variants() -> None:
    made = values(Plain, None, **{"base_url": "u", "api_key": "k", "login.user": "a", "login.password": "b"})
    assert made.config() == {"base_url": "u", "api_key": "k", "login": {"user": "a", "password": "b"}}
    assert not made.faults()
    made.set("spare", True)
    assert {"spare.user@True", "spare.password@True"} == set(made.faults().fields)
    made.set("spare.user@True", "c")
    made.set("spare.password@True", "d")
    made.set("auth.kind", "token")
    assert "auth.token@token" in made.faults().fields
    made.set("auth.token@token", "t")
    assert not made.faults()
    assert made.config()["spare"] == {"user": "c", "password": "d"}
    assert made.config()["auth"] == {"kind": "token", "token": "t"}
    made.set("spare", False)
    assert "spare" not in made.config()


# Faults


@pytest.mark.parametrize(
    ("model", "entered", "id_", "words"),
    [
        (PostgresConfig, {}, "database", "This is needed."),
        (PostgresConfig, {"port": "x"}, "port", "This must be a whole number."),
        (PostgresConfig, {"port": "5.5"}, "port", "This must be a whole number."),
        (PostgresConfig, {"port": "0"}, "port", "This must be at least 1."),
        (PostgresConfig, {"port": "99999"}, "port", "This must be at most 65,535."),
        (PostgresConfig, {"port": "9" * 5000}, "port", "too large"),
        (PostgresConfig, {"sslmode": "never"}, "sslmode", "Choose one of disable, prefer"),
        (FileConfig, {"path": "/etc/x"}, "path", "which is the operating system's"),
        (FileConfig, {"delimiter": "ab"}, "delimiter", "This must be auto or one ASCII character"),
        (FileConfig, {"encoding": "klingon"}, "encoding", "This is not the name of a text encoding."),
        (FileConfig, {"quote": "ab"}, "quote", "One character at most."),
        (FileConfig, {"null_values": '"open'}, "null_values", "is not closed"),
        (ScriptedConfig, {"faults": "kind=boo"}, "faults", "Item 1, kind: Choose one of"),
        (ScriptedConfig, {"faults": "kind"}, "faults", "Write key=value"),
        (ScriptedConfig, {"faults": "[{]"}, "faults", "This must be JSON"),
        (Plain, {"ratio": "2"}, "ratio", "This must be less than 1."),
        (Plain, {"since": "soon"}, "since", "This must be a date, such as 2025-01-31."),
        (Plain, {"secret_headers": "x"}, "secret_headers", "This must be JSON"),
        (Plain, {"anything": "{" * 100_000}, "anything", "JSON"),
    ],
)
def test_faults_in_plain_words(model: type[BaseModel], entered: dict[str, Any], id_: str, words: str) -> None:
    assert words in values(model, **entered).faults().fields[id_]


class Whole(AdapterConfig):
    first: int = 1
    last: int = 2
    token: SecretStr = SecretStr("")
    mode: Literal["fine", "raises", "refuses"] = "fine"

    @model_validator(mode="after")
    def _in_order(self) -> Whole:
        if self.first > self.last:
            raise ValueError("the first must not come after the last")
        if self.mode == "raises":
            raise RuntimeError(self.token.get_secret_value())
        if self.mode == "refuses":
            raise ConfigError(f"The service knows no token {self.token.get_secret_value()}.")
        return self

    @field_validator("token")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if value.get_secret_value() == "hunter2-short":
            raise ValueError(f"{value.get_secret_value()} is too short")
        return value


def test_what_is_wrong_with_the_whole() -> None:
    assert values(Whole, first="5").faults().whole == ("The first must not come after the last.",)


@pytest.mark.parametrize("mode", ["raises", "refuses"])
def test_no_fault_repeats_a_secret(mode: str) -> None:
    faults = values(Whole, token="hunter2-secret", mode=mode).faults()
    assert faults.whole
    assert "hunter2" not in " ".join(faults.whole)
    assert values(Whole, token="hunter2-short").faults().fields["token"] == f"{MASK} is too short."


# Texts


def field_of(kind: FieldKind) -> FormField:
    return FormField("x", ("x",), "X", kind)


@given(st.lists(st.text()))
def test_lists_come_back(items: list[str]) -> None:
    field = field_of(FieldKind.LIST)
    assert value_of(field, text_of(field, items)) == items


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_mappings_come_back(mapping: dict[str, str]) -> None:
    field = field_of(FieldKind.MAPPING)
    assert value_of(field, text_of(field, mapping)) == mapping


@given(st.lists(st.dictionaries(st.text(min_size=1), st.text(), min_size=1)))
def test_records_come_back(records: list[dict[str, str]]) -> None:
    field = field_of(FieldKind.RECORDS)
    assert value_of(field, text_of(field, records)) == records


@given(st.sampled_from([FieldKind.LIST, FieldKind.MAPPING, FieldKind.RECORDS, FieldKind.DOCUMENT, FieldKind.INTEGER]), st.text())
def test_no_text_breaks_it(kind: FieldKind, text: str) -> None:
    with suppress(TextError):
        value_of(field_of(kind), text)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (FieldKind.LIST, "a, b ,c", ["a", "b", "c"]),
        (FieldKind.LIST, "a\nb\n", ["a", "b"]),
        (FieldKind.LIST, '"", "a,b", "say ""hi"""', ["", "a,b", 'say "hi"']),
        (FieldKind.LIST, "  ", []),
        (FieldKind.LIST, '5" pipe', ['5" pipe']),
        (FieldKind.MAPPING, "a=1, b = 2", {"a": "1", "b": "2"}),
        (FieldKind.MAPPING, '{"a": "1"}', {"a": "1"}),
        (FieldKind.RECORDS, "a=1, b=2; a=3", [{"a": "1", "b": "2"}, {"a": "3"}]),
        (FieldKind.INTEGER, "1_000", 1000),
    ],
)
def test_how_people_write(kind: FieldKind, text: str, value: Any) -> None:
    assert value_of(field_of(kind), text) == value


# Every adapter, hostile strings

VALID = {
    "path": "/data/shop.db",
    "database": "shop",
    "user": "etl",
}


@pytest.mark.parametrize(
    ("group", "type_"), [(group, type_) for group in (SOURCES_GROUP, DESTINATIONS_GROUP) for type_ in adapter_types(group)]
)
def test_every_adapter_is_filled_and_valid(group: str, type_: str) -> None:
    adapter = adapter_class(group, type_)
    made = FormValues(describe(adapter.Config))
    for field in made.form.fields:
        if field.required:
            made.set(field.id, VALID[field.path[-1]])
    assert not made.faults()
    assert adapter.Config.model_validate(made.config())


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_strings_are_kept_exactly_or_refused(text: str) -> None:
    made = values(PostgresConfig)
    for field in made.form.fields:
        if field.kind in (FieldKind.TEXT, FieldKind.SECRET):
            made.set(field.id, text)
    faults = made.faults()
    config = made.config()
    for field in made.visible():
        if field.kind in (FieldKind.TEXT, FieldKind.SECRET) and field.id not in faults.fields and text:
            assert config[field.path[0]] == text


# URLs and mending


def test_a_url_fills_the_form() -> None:
    made = values(PostgresConfig)
    unused = fill_from_url(made, "postgres://etl:p%40ss@db1/shop?sslmode=require&connect_timeout=3")
    assert unused == ("connect_timeout",)
    assert made.config() == {"host": "db1", "database": "shop", "user": "etl", "password": "p@ss", "sslmode": "require"}
    with pytest.raises(UrlError, match="mysql://"):
        fill_from_url(made, "mysql://h/db")
    with pytest.raises(UrlError):
        fill_from_url(values(ScriptedConfig), "postgres://h/db")


@pytest.mark.parametrize(
    ("result", "cause", "remedy", "field"),
    [
        (CheckResult.WORKING, "", "", None),
        (CheckResult.AUTHENTICATION_FAILED, "password authentication failed", "Check user and password.", "password"),
        (CheckResult.FAILED, 'database "x" does not exist', "Correct the database's name.", "database"),
        (CheckResult.FAILED, "Nothing accepts connections at h:1", "Check host and port, and whether it runs.", "host"),
        (CheckResult.TIMEOUT, "It did not answer.", "", "host"),
        (CheckResult.PERMISSION_DENIED, "no right", "Ask for it.", None),
    ],
)
def test_the_field_to_mend(result: CheckResult, cause: str, remedy: str, field: str | None) -> None:
    found = field_to_mend(describe(PostgresConfig).fields, result, cause, remedy)
    assert (found.id if found else None) == field


@pytest.mark.parametrize(
    ("message", "id_"),
    [("Port: too large.", "port"), ("It is not valid. Port: too large.", "port"), ("sslmode: no.", "sslmode"), ("Report: x", None)],
)
def test_the_field_that_a_refusal_names(message: str, id_: str | None) -> None:
    found = field_of_message(describe(PostgresConfig).fields, message)
    assert (found.id if found else None) == id_


def test_bounds_are_told_by_the_model_of_another_package() -> None:
    class Limits(BaseModel):
        names: list[str] = Field(default=[], max_length=1)
        text: str = Field(default="abc", min_length=3, max_length=5, pattern="^[a-c]+$")

    assert values(Limits, names="a, b").faults().fields == {"names": "At most 1 item."}
    assert values(Limits, text="a").faults().fields == {"text": "At least 3 characters."}
    assert values(Limits, text="abcdef").faults().fields == {"text": "At most 5 characters."}
    assert "expected form" in values(Limits, text="xyz").faults().fields["text"]
