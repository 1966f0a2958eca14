"""Connection URLs: as libpq, SQLAlchemy, JDBC and people write them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncterm.engine.adapters import parse_config
from syncterm.engine.connection_url import parse_url, path_of_url, url_scheme
from syncterm.engine.errors import ConfigError
from syncterm.engine.postgres import PostgresConfig
from syncterm.engine.sources.postgres import PostgresSource
from syncterm.engine.sources.sqlite import SQLiteConfig

SCHEMES = ("postgres", "postgresql")


@pytest.mark.parametrize(
    ("url", "values", "unused"),
    [
        (
            "postgres://user:pass@h:5432/db?sslmode=require",
            {"host": "h", "port": 5432, "database": "db", "user": "user", "password": "pass", "sslmode": "require"},
            (),
        ),
        ("  postgresql://u@h/db\n", {"host": "h", "database": "db", "user": "u"}, ()),
        ("POSTGRES://u:p@H/db", {"host": "H", "database": "db", "user": "u", "password": "p"}, ()),
        ("postgresql+asyncpg://u:p@h/db", {"host": "h", "database": "db", "user": "u", "password": "p"}, ()),
        ("jdbc:postgresql://h/db?user=a&password=b@c", {"host": "h", "database": "db", "user": "a", "password": "b@c"}, ()),
        ("postgres://u:p%40%2F%3A@h/db", {"host": "h", "database": "db", "user": "u", "password": "p@/:"}, ()),
        ("postgres://u:p@ss@h/db", {"host": "h", "database": "db", "user": "u", "password": "p@ss"}, ()),
        ("postgres://u:p@ss/w@h/db", {"host": "h", "database": "db", "user": "u", "password": "p@ss/w"}, ()),
        ("postgres://u:p#s?x@h:1/db", {"host": "h", "port": 1, "database": "db", "user": "u", "password": "p#s?x"}, ()),
        ("postgres://u:a:b@h/db", {"host": "h", "database": "db", "user": "u", "password": "a:b"}, ()),
        ("postgres://u:100%@h/db", {"host": "h", "database": "db", "user": "u", "password": "100%"}, ()),
        ("postgres://u:%ff@h/db", {"host": "h", "database": "db", "user": "u", "password": "%ff"}, ()),
        ("postgres://[2001:db8::1]:5433/db", {"host": "2001:db8::1", "port": 5433, "database": "db"}, ()),
        ("postgres:///db?host=/var/run/pg&port=6000", {"host": "/var/run/pg", "port": "6000", "database": "db"}, ()),
        ("postgres://u@%2Fvar%2Frun/db", {"host": "/var/run", "database": "db", "user": "u"}, ()),
        ("postgres://h/db?application_name=a@b", {"host": "h", "database": "db"}, ("application_name",)),
        ("postgres://h/db?sslmode=allow&sslcert=x", {"host": "h", "database": "db", "sslmode": "prefer"}, ("sslcert",)),
        ("postgres://h/db?options=-csearch_path%3Dshop,public", {"host": "h", "database": "db", "schema": "shop"}, ()),
        ("postgres://h/db?currentSchema=shop", {"host": "h", "database": "db", "schema": "shop"}, ()),
        ("postgres://h", {"host": "h"}, ()),
        ("postgres://", {}, ()),
    ],
)
def test_what_a_url_says(url: str, values: dict[str, Any], unused: tuple[str, ...]) -> None:
    settings = PostgresConfig.from_url(url)
    assert (dict(settings.values), settings.unused) == (values, unused)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("mysql://root:hunter2@h/db", "mysql://"),
        ("hunter2", "not a connection URL"),
        ("postgres://a:hunter2@h:x/db", "no host"),
        ("postgres://a:hunter2@[::1/db", "no host"),
        ("postgres://u:hunter2@h1:1,h2:2/db", ""),
        ("postgres://u:hunter2@h1,h2/db", "several hosts"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_and_not_repeated(url: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        PostgresConfig.from_url(url)
    assert words in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.remedy


part = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(
    user=part,
    password=part,
    database=part,
    host=st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
    port=st.integers(1, 65535),
)
def test_an_encoded_url_comes_back_whole(user: str, password: str, database: str, host: str, port: int) -> None:
    encoded = (quote(text, safe="") for text in (user, password, database))
    url = f"postgres://{next(encoded)}:{next(encoded)}@{host}:{port}/{next(encoded)}"
    parts = parse_url(url, SCHEMES)
    assert (parts.user, parts.password, parts.host, parts.port, parts.path) == (user, password, host, port, database)


@given(password=st.text(st.characters(exclude_characters="%\n\r", exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1))
def test_a_password_that_was_not_encoded_is_kept_too(password: str) -> None:
    parts = parse_url(f"postgres://u:{password}@host:5432/db", SCHEMES)
    if "@" not in password:
        assert (parts.password, parts.host, parts.port, parts.path) == (password, "host", 5432, "db")


@given(st.text(max_size=200).map(lambda text: f"postgres://{text}"))
def test_no_text_breaks_it(text: str) -> None:
    with suppress(ConfigError):
        assert parse_url(text, SCHEMES).scheme == "postgres"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/data/x.db", "/data/x.db"),
        ("data/x.db", "data/x.db"),
        ("file:///data/a%20b.db", "/data/a b.db"),
        ("file://localhost/data/x.db", "/data/x.db"),
        ("sqlite:///data/x.db", "data/x.db"),
        ("sqlite:////data/x.db?mode=ro", "/data/x.db"),
    ],
)
def test_the_path_of_a_file(text: str, path: str) -> None:
    assert path_of_url(text, ("file", "sqlite")) == path
    assert SQLiteConfig.from_url(text).values == {"path": path}


@pytest.mark.parametrize("text", ["s3://bucket/x", "file://server/x", "sqlite://", "duckdb:///x"])
def test_no_path_of_this_machine(text: str) -> None:
    with pytest.raises(ConfigError):
        path_of_url(text, ("file", "sqlite"))


@pytest.mark.parametrize(
    ("text", "scheme"), [("a:b", ""), ("mysql+x://", "mysql"), (" Postgres://x", "postgres"), ("://", ""), ("", "")]
)
def test_what_looks_like_a_url(text: str, scheme: str) -> None:
    assert url_scheme(text) == scheme


@pytest.mark.parametrize(
    ("settings", "name"),
    [({"host": "db1", "database": "shop"}, "db1/shop"), ({"database": "shop"}, "localhost/shop"), ({"host": "db1"}, "")],
)
def test_the_name_that_is_suggested(settings: dict[str, Any], name: str) -> None:
    assert PostgresConfig.suggested_name(settings) == name
    assert SQLiteConfig.suggested_name({"path": "/data/shop.db"}) == "shop.db"
    assert SQLiteConfig.suggested_name({}) == ""


@pytest.mark.parametrize("field", ["host", "database", "schema", "user"])
def test_a_url_in_another_field_is_refused_and_not_repeated(field: str) -> None:
    config = {"host": "db", "database": "shop", "user": "etl", field: "postgres://etl:hunter2@db/shop"}
    with pytest.raises(ConfigError, match="belongs into Connection URL") as refused:
        parse_config(PostgresSource, config)
    assert "hunter2" not in str(refused.value)
