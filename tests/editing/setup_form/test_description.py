"""What a form asks for, from models with metadata and from plain ones of other packages."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, SecretStr

from syncterm.editing.setup_form import FieldKind, Form, FormField, describe
from syncterm.editing.setup_form.description import Condition, PathKind
from syncterm.engine.adapters import DESTINATIONS_GROUP, SOURCES_GROUP, adapter_class, adapter_types
from syncterm.engine.postgres import PostgresConfig
from syncterm.engine.sources.file import FileConfig


class Colour(Enum):
    RED = "r"
    BLUE = "b"


class Login(BaseModel):
    user: str
    password: SecretStr


class Basic(BaseModel):
    kind: Literal["basic"] = "basic"
    user: str = "me"


class Token(BaseModel):
    kind: Literal["token"] = "token"
    token: SecretStr


class Plain(BaseModel):
    """As another package may write it: no titles, no help, no metadata."""

    base_url: str
    retries: int = Field(default=3, ge=0, le=10)
    ratio: float = Field(default=0.5, gt=0, lt=1)
    price: Decimal = Decimal("1.50")
    since: date | None = None
    verify: bool = True
    proxy: bool | None = None
    colour: Colour = Colour.RED
    level: Literal["low", "high"] | None = None
    tags: list[str] = []
    kinds: list[Literal["a", "b"]] = ["a"]
    headers: dict[str, str] = {}
    secret_headers: dict[str, SecretStr] = {}
    api_key: SecretStr
    folder: Path = Path("/data")
    login: Login
    spare: Login | None = None
    logins: list[Basic] = []
    auth: Annotated[Basic | Token, Field(discriminator="kind")] = Basic()
    anything: Any = None
    text_or_number: str | int = "x"


def by_id(form: Form) -> dict[str, FormField]:
    return {field.id: field for field in form.fields}


@pytest.mark.parametrize(
    ("id_", "expected"),
    [
        ("base_url", {"title": "Base url", "kind": FieldKind.TEXT, "required": True}),
        ("retries", {"kind": FieldKind.INTEGER, "bounds": "0 to 10", "default": 3}),
        ("ratio", {"kind": FieldKind.NUMBER, "bounds": "more than 0 to less than 1"}),
        ("price", {"kind": FieldKind.TEXT, "default": "1.50"}),
        ("since", {"kind": FieldKind.TEXT, "nullable": True}),
        ("verify", {"kind": FieldKind.SWITCH, "default": True}),
        ("proxy", {"kind": FieldKind.CHOICE, "nullable": True}),
        ("colour", {"kind": FieldKind.CHOICE, "default": "r"}),
        ("level", {"kind": FieldKind.CHOICE, "nullable": True}),
        ("tags", {"kind": FieldKind.LIST, "default": []}),
        ("kinds", {"kind": FieldKind.SEVERAL, "default": ["a"]}),
        ("headers", {"kind": FieldKind.MAPPING, "default": {}}),
        ("secret_headers", {"kind": FieldKind.SECRET, "composite": True}),
        ("api_key", {"kind": FieldKind.SECRET, "required": True, "composite": False}),
        ("folder", {"kind": FieldKind.TEXT, "path_kind": PathKind.ANY, "default": "/data"}),
        ("login.user", {"group": "Login", "required": True}),
        ("login.password", {"kind": FieldKind.SECRET, "path": ("login", "password")}),
        ("spare", {"kind": FieldKind.SWITCH, "presence": True, "default": False}),
        ("spare.user@True", {"conditions": (Condition(("spare",), (True,)),)}),
        ("logins", {"kind": FieldKind.RECORDS}),
        ("auth.kind", {"kind": FieldKind.CHOICE, "default": "basic"}),
        ("auth.user@basic", {"conditions": (Condition(("auth", "kind"), ("basic",)),)}),
        ("auth.token@token", {"kind": FieldKind.SECRET}),
        ("anything", {"kind": FieldKind.DOCUMENT}),
        ("text_or_number", {"kind": FieldKind.TEXT}),
    ],
)
def test_a_plain_model_gives_a_decent_form(id_: str, expected: dict[str, Any]) -> None:
    field = by_id(describe(Plain))[id_]
    assert {name: getattr(field, name) for name in expected} == expected


def test_groups_conditions_and_paths_come_from_metadata() -> None:
    form = describe(PostgresConfig)
    assert form.groups == ("Connection", "Credentials", "TLS")
    fields = by_id(form)
    assert [field.path[0] for field in form.fields][:4] == ["host", "port", "database", "schema"]
    assert fields["port"].bounds == "1 to 65,535"
    assert fields["sslrootcert"].conditions == (Condition(("sslmode",), ("verify-ca", "verify-full")),)
    assert fields["sslrootcert"].path_kind is PathKind.FILE
    assert [option.value for option in fields["sslmode"].options][:2] == ["disable", "prefer"]
    assert describe(FileConfig).groups == ("", "Text files")


class Odd(BaseModel):
    a: str = Field(default="", json_schema_extra={"group": 7, "shown_when": "never", "path": "moon", "placeholder": None})
    b: str = Field(default_factory=lambda: [""][1])


def test_metadata_that_makes_no_sense_is_left_aside() -> None:
    a, b = describe(Odd).fields
    assert (a.group, a.conditions, a.path_kind, a.placeholder) == ("", (), None, "")
    assert b.default is None


class Node(BaseModel):
    name: str = ""
    below: Node | None = None


def test_a_model_that_holds_itself_comes_to_an_end() -> None:
    fields = describe(Node).fields
    assert fields[-1].kind in (FieldKind.DOCUMENT, FieldKind.TEXT)
    assert len(fields) < 40


@pytest.mark.parametrize(
    ("group", "type_"), [(group, type_) for group in (SOURCES_GROUP, DESTINATIONS_GROUP) for type_ in adapter_types(group)]
)
def test_every_registered_type_says_what_its_fields_mean(group: str, type_: str) -> None:
    form = describe(adapter_class(group, type_).Config)
    assert form.fields
    assert len({field.id for field in form.fields}) == len(form.fields)
    for field in form.fields:
        assert field.title
        assert field.title[0].isupper() or field.title[0].isdigit()
