"""What is known of a destination's table in PostgreSQL, and the statements that make, extend and replace it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncterm.engine.deletes import DELETED_AT, DeletePlan
from syncterm.engine.destinations.base import LoadTarget
from syncterm.engine.destinations.rules import schema_changed
from syncterm.engine.errors import ConfigError
from syncterm.engine.model import DeleteHandling
from syncterm.engine.postgres import quote_name, quote_text
from syncterm.engine.postgres_session import Session
from syncterm.engine.postgres_types import column_sql, holds

if TYPE_CHECKING:
    from asyncpg import Connection

ORDINAL = "_syncterm_ordinal"
"""Column of an upsert's stage: the order in which the rows were read."""
KEY_INDEX = "_syncterm_key_"
"""What the unique index of an upsert's key begins with."""

_TABLE = """
SELECT c.oid::bigint AS oid, c.relkind::text AS kind, c.relkind IN ('r', 'p') AS writable,
       coalesce(array_agg(a.attname::text) FILTER (WHERE a.attname IS NOT NULL), '{}') AS names,
       coalesce(array_agg(format_type(a.atttypid, a.atttypmod)) FILTER (WHERE a.attname IS NOT NULL), '{}') AS types
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE n.nspname = $1 AND c.relname = $2
 GROUP BY c.oid
"""
_KEY = """
SELECT 1
  FROM pg_index AS i
 WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
   AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C")
          FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS key (number, position)
          JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = key.number
         WHERE key.position <= i.indnkeyatts) = $2::text[]
"""
_BOUND = """
SELECT c.relowner <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
    OR c.relkind <> 'r' OR c.relrowsecurity OR c.relispartition OR c.reloptions IS NOT NULL
    OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid OR inhparent = c.oid)
    OR EXISTS (SELECT FROM pg_description WHERE classoid = 'pg_class'::regclass AND objoid = c.oid)
    OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT NULL)
    OR EXISTS (SELECT
                 FROM pg_depend AS d LEFT JOIN pg_class AS user_of ON d.classid = 'pg_class'::regclass AND user_of.oid = d.objid
                WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
                  AND d.classid <> 'pg_type'::regclass
                  AND user_of.oid IS DISTINCT FROM c.reltoastrelid
                  AND NOT coalesce(user_of.relkind = 'i' AND starts_with(user_of.relname, $2), false)) AS bound,
       ARRAY(SELECT a.privilege_type FROM aclexplode(c.relacl) AS a WHERE a.grantee <> c.relowner ORDER BY a) AS privileges,
       ARRAY(SELECT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END
                    || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
               FROM aclexplode(c.relacl) AS a WHERE a.grantee <> c.relowner ORDER BY a) AS grantees
  FROM pg_class AS c WHERE c.oid = $1
"""
"""Whether something would be lost with a table (another's property, a view, a foreign key, an index, a policy, a comment, …), and
what is granted on it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table that exists."""

    oid: int
    columns: Mapping[str, str]
    """Name → type, as `format_type` writes it."""


def find_table(session: Session, connection: Connection, schema: str, name: str) -> Table | None:
    """The table of that name, or None.

    Raises:
        ConfigError: where the name belongs to something that rows cannot be written to: a view, a sequence, …
    """
    found = session.fetch(connection, _TABLE, schema, name)
    if not found:
        return None
    if not found[0]["writable"]:
        raise ConfigError(
            f"{schema}.{name} exists, but is not a table (pg_class.relkind {found[0]['kind']!r}).",
            remedy="Choose another table name.",
        )
    return Table(found[0]["oid"], dict(zip(found[0]["names"], found[0]["types"], strict=True)))


def grants_or_bound(session: Session, connection: Connection, table: Table, name: str) -> list[str] | None:
    """The statements that grant on the table `name` what is granted on `table`.

    None where more than grants would be lost with the table, so that its rows are to be exchanged instead.
    """
    found = session.fetch(connection, _BOUND, table.oid, KEY_INDEX)[0]
    if found["bound"]:
        return None
    pairs = zip(found["privileges"], found["grantees"], strict=True)
    return [f"GRANT {privilege} ON {name} TO {grantee}" for privilege, grantee in pairs]


def has_key(session: Session, connection: Connection, table: Table, key: Iterable[str]) -> bool:
    """Whether a unique index on exactly these columns, in any order, exists."""
    return bool(session.fetch(connection, _KEY, table.oid, sorted(key, key=lambda name: name.encode())))


def check_types(table: Table, target: LoadTarget, described: str) -> None:
    """Raises: SchemaChangedError: where a column exists whose type does not hold what the stream now delivers."""
    for field in target.fields:
        wanted = column_sql(field)
        existing = table.columns.get(field.name, wanted)
        if not holds(existing, wanted):
            raise schema_changed(target, field.name, wanted, existing, described)


def add_columns_sql(table: Table, target: LoadTarget, name: str) -> str:
    """The statement that adds the columns that the table lacks; empty where it lacks none."""
    missing = [field for field in target.fields if field.name not in table.columns]
    if not missing:
        return ""
    return f"ALTER TABLE {name} " + ", ".join(f"ADD COLUMN {quote_name(field.name)} {column_sql(field)}" for field in missing)


def keep_columns_sql(table: Table, target: LoadTarget, stage: str) -> str:
    """The statement that gives a stage the columns that only the table has, so that none is dropped; empty where there are none."""
    delivered = {field.name for field in target.fields}
    kept = [f"ADD COLUMN {quote_name(name)} {type_}" for name, type_ in table.columns.items() if name not in delivered]
    return f"ALTER TABLE {stage} {', '.join(kept)}" if kept else ""


def create_sql(target: LoadTarget, name: str, *, stage: bool = False) -> str:
    """The statement that makes the table; as a stage it is not logged, and remembers the order of its rows."""
    columns = [f"{quote_name(field.name)} {column_sql(field)}" for field in target.fields]
    if stage:
        columns.append(f"{ORDINAL} bigint GENERATED ALWAYS AS IDENTITY (CACHE 10000)")
    return f"CREATE {'UNLOGGED ' if stage else ''}TABLE {name} ({', '.join(columns)})"


def key_sql(target: LoadTarget, name: str) -> str:
    """The statement that makes the unique index of an upsert's key."""
    columns = ", ".join(quote_name(column) for column in target.primary_key)
    return f"CREATE UNIQUE INDEX {fresh_name(KEY_INDEX)} ON {name} ({columns})"


def latest_sql(target: LoadTarget, stage: str) -> str:
    """The query of a stage's rows without older versions of a key: the highest cursor wins, then the row read last."""
    key = ", ".join(quote_name(column) for column in target.primary_key)
    cursor = f"{quote_name(target.cursor_field)} DESC NULLS LAST, " if target.cursor_field else ""
    return f"SELECT DISTINCT ON ({key}) {column_list(target)} FROM {stage} ORDER BY {key}, {cursor}{ORDINAL} DESC"


def merge_sql(target: LoadTarget, stage: str, name: str) -> str:
    """The statement that inserts a stage's latest rows, or updates the rows that have their keys."""
    changing = [field.name for field in target.fields if field.name not in target.primary_key] or list(target.primary_key)
    changes = ", ".join(f"{quote_name(column)} = excluded.{quote_name(column)}" for column in changing)
    key = ", ".join(quote_name(column) for column in target.primary_key)
    return (
        f"INSERT INTO {name} ({column_list(target)}) SELECT {column_list(target)} FROM ({latest_sql(target, stage)}) AS latest"
        f" ON CONFLICT ({key}) DO UPDATE SET {changes}"
    )


def keys_sql(target: LoadTarget, name: str) -> str:
    """The statement that makes the table of the keys that the source lists."""
    types = {field.name: column_sql(field) for field in target.fields}
    return f"CREATE UNLOGGED TABLE {name} ({', '.join(f'{quote_name(key)} {types[key]}' for key in target.primary_key)})"


@dataclass(frozen=True, slots=True)
class DeleteStatements:
    """What finds and deletes the records whose keys are not listed."""

    clear: str
    """Takes the marks off records that are listed again; empty where records are removed."""
    count: str
    """How many are `missing`, of how many that are `held`."""
    delete: str


def delete_statements(target: LoadTarget, name: str, keys: str, plan: DeletePlan) -> DeleteStatements:
    """The statements for the table `name` and the table `keys` of what is listed."""
    mark = quote_name(DELETED_AT.name)
    same_key = " AND ".join(f"target.{quote_name(key)} = keys.{quote_name(key)}" for key in target.primary_key)
    known = " AND ".join(f"target.{quote_name(key)} IS NOT NULL" for key in target.primary_key)
    listed = f"EXISTS (SELECT FROM {keys} AS keys WHERE {same_key})"
    gone = f"{known} AND NOT {listed}"
    if plan.handling is DeleteHandling.REMOVE:
        count = f"SELECT count(*) FILTER (WHERE {gone}) AS missing, count(*) AS held FROM {name} AS target"
        return DeleteStatements("", count, f"DELETE FROM {name} AS target WHERE {gone}")
    live = f"target.{mark} IS NULL"
    noticed = f"{quote_text(plan.noticed_at.isoformat())}::timestamptz"
    return DeleteStatements(
        f"UPDATE {name} AS target SET {mark} = NULL WHERE {mark} IS NOT NULL AND {listed}",
        f"SELECT count(*) FILTER (WHERE {gone}) AS missing, count(*) AS held FROM {name} AS target WHERE {live}",
        f"UPDATE {name} AS target SET {mark} = {noticed} WHERE {live} AND {gone}",
    )


def column_list(target: LoadTarget) -> str:
    """The quoted names of the target's columns."""
    return ", ".join(quote_name(field.name) for field in target.fields)


def fresh_name(prefix: str) -> str:
    """A name that nothing has yet, safe without quotes."""
    return f"{prefix}{secrets.token_hex(8)}"


def state_update_sql(target: LoadTarget, state: str, cursor: str | None, rows: int, made_table: bool, expected_loads: int) -> str:
    """The statement that moves the cursor: only where no newer engine and no other load has come in between."""
    return (
        f"UPDATE {state} SET table_name = {quote_text(target.table)}, epoch = {target.epoch},"
        f" sync_id = {quote_text(target.sync_id)}, cursor = {'NULL' if cursor is None else quote_text(cursor)},"
        f" loads = loads + 1, rows = {rows},"
        f" made_table = {made_table}"
        f" WHERE connector_id = {quote_text(target.connector_id)} AND stream = {quote_text(target.stream)}"
        f" AND epoch <= {target.epoch} AND loads = {expected_loads}"
    )
