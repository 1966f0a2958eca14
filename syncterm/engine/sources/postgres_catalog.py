"""What a PostgreSQL schema holds, from the server's own catalog."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from syncterm.engine.destinations.base import STATE_TABLE
from syncterm.engine.postgres_types import logical_type
from syncterm.engine.schema import Field, StreamSchema

Fetch = Callable[..., list[Any]]
"""Runs a query with its arguments; rows by name."""

RELATIONS = """
SELECT c.oid::bigint AS oid,
       c.relname::text AS name,
       c.relkind::text AS kind,
       has_any_column_privilege(c.oid, 'SELECT') AS readable,
       has_table_privilege(c.oid, 'SELECT') AS lockable,
       row_security_active(c.oid) AS row_security,
       CASE WHEN c.relkind = 'p' THEN
                 (SELECT sum(leaf.reltuples) FILTER (WHERE leaf.reltuples >= 0)
                    FROM pg_partition_tree(c.oid) AS part JOIN pg_class AS leaf ON leaf.oid = part.relid WHERE part.isleaf)
            WHEN c.relkind IN ('r', 'm') AND c.reltuples >= 0 THEN c.reltuples
       END::bigint AS rows,
       ARRAY(SELECT a.attname::text
               FROM pg_index AS i
              CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS key (number, position)
               JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = key.number
              WHERE i.indrelid = c.oid AND i.indisprimary AND key.position <= i.indnkeyatts
              ORDER BY key.position) AS primary_key
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition AND c.relname <> $2
   AND ($3::text IS NULL OR c.relname = $3)
 ORDER BY c.relname COLLATE "C"
"""
"""Tables, partitioned tables, views and materialised views of a schema; partitions are read through their parent."""

INDEXED_COLUMNS = """
SELECT a.attname::text AS name
  FROM pg_class AS c
  JOIN pg_namespace AS n ON n.oid = c.relnamespace
  LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL
  LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
 WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'm')
"""
"""The first column of each index of a table, NULL for an expression; no row for what can have no index."""

_COLUMNS = """
WITH RECURSIVE typed AS (
    SELECT a.attrelid, a.attnum, a.attname, a.attnotnull AS required, a.atttypid AS type, a.atttypmod AS modifier
      FROM pg_attribute AS a
     WHERE a.attrelid = ANY ($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT typed.attrelid, typed.attnum, typed.attname, typed.required OR t.typnotnull, t.typbasetype, t.typtypmod
      FROM typed JOIN pg_type AS t ON t.oid = typed.type
     WHERE t.typtype = 'd'
)
SELECT typed.attrelid::bigint AS relation,
       typed.attname::text AS name,
       NOT typed.required AS nullable,
       CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname::text ELSE '' END AS type,
       typed.modifier AS modifier,
       format_type(typed.type, typed.modifier) AS native
  FROM typed JOIN pg_type AS t ON t.oid = typed.type
 WHERE t.typtype <> 'd'
 ORDER BY typed.attrelid, typed.attnum
"""
"""Columns in their order, without dropped ones; domains are followed to the type they are made of."""

CURSOR_TYPES = ("timestamptz", "timestamp", "date", "int64", "int32", "int16")
"""Logical types that make a good cursor, the best first."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view, and what can be done with it."""

    stream: StreamSchema
    lockable: bool
    """Whether this user may lock it: not a materialised view, nor one of which only some columns may be read."""


def read_relations(fetch: Fetch, schema: str, name: str | None = None) -> list[Relation]:
    """The relations of a schema, or the one of that name.

    Args:
        fetch: on a connection whose `search_path` is `pg_catalog` alone, so that types of the database's own carry their schema.
    """
    relations = fetch(RELATIONS, schema, STATE_TABLE, name)
    fields: dict[int, list[Field]] = {relation["oid"]: [] for relation in relations}
    for column in fetch(_COLUMNS, list(fields)):
        logical = logical_type(column["type"], column["modifier"])
        fields[column["relation"]].append(Field(column["name"], logical, column["nullable"], column["native"]))
    return [
        Relation(
            StreamSchema(
                name=relation["name"],
                fields=tuple(fields[relation["oid"]]),
                primary_key=tuple(relation["primary_key"]),
                cursor_candidates=_cursor_candidates(fields[relation["oid"]]),
                estimated_rows=relation["rows"],
            ),
            lockable=relation["lockable"] and relation["kind"] != "m",
        )
        for relation in relations
    ]


def _cursor_candidates(fields: list[Field]) -> tuple[str, ...]:
    fitting = [field for field in fields if field.type.name in CURSOR_TYPES]
    return tuple(field.name for field in sorted(fitting, key=lambda field: CURSOR_TYPES.index(field.type.name)))
