"""Runs Athena's SQL with DuckDB, over copies of the objects that the tables are made of.

https://docs.aws.amazon.com/athena/latest/ug/functions-env3.html
"""

from __future__ import annotations

import gzip
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from exporter.simulator.athena_tables import StatementError, Table

Read = Callable[[str, str], bytes | None]
Keys = Callable[[str, str], list[str] | None]
# Trino's functions that DuckDB has by another name, or that is null there and 0 in Trino.
_MACROS = (
    "approx_distinct(x) AS approx_count_distinct(x)",
    "bitwise_and(a, b) AS (a & b)",
    "bitwise_or(a, b) AS (a | b)",
    "count_if(x) AS count(CASE WHEN x THEN 1 END)",
    "date_format(t, f) AS strftime(t, replace(replace(f, '%i', '%M'), '%s', '%S'))",
    "from_unixtime(s) AS to_timestamp(s)",
    "regexp_like(s, p) AS regexp_matches(s, p)",
    "to_unixtime(t) AS epoch(t)",
)
_SETTINGS = (
    "threads = 1",
    "integer_division = true",
    "TimeZone = 'UTC'",
    "autoinstall_known_extensions = false",
)
# What the columns of a result are called in Trino; sums of BIGINT are wider in DuckDB.
_TRINO = {"HUGEINT": "bigint", "TIMESTAMP WITH TIME ZONE": "timestamp with time zone"}
# As what a column may be stored in Parquet.
_STORED = {
    "INTEGER": {"INT32"},
    "BIGINT": {"INT32", "INT64"},
    "DOUBLE": {"FLOAT", "DOUBLE"},
    "VARCHAR": {"BYTE_ARRAY"},
}
_LITERAL = r"(?:'(?:[^']|'')*'|\d+)"


class Result(NamedTuple):
    """What a query returns: columns with types, rows of texts, and how many bytes it read."""

    columns: list[tuple[str, str]]
    rows: list[list[str | None]]
    scanned: int


def run(
    sql: str,
    database: str,
    tables: Mapping[tuple[str, str], Table],
    keys: Keys,
    read: Read,
) -> Result:
    """Return the result of a SELECT; `tables` by database and name.

    Raises StatementError for what is wrong with it, or when DuckDB is not installed.
    """
    try:
        import duckdb
    except ImportError as error:
        raise StatementError(
            "DuckDB runs what Athena is asked here: pip install 'privatelink-exporter[dev]'"
        ) from error
    sql = re.sub(r'"?awsdatacatalog"?\s*\.\s*', "", sql.strip().rstrip(";"), flags=re.IGNORECASE)
    used = _used(sql, database, tables)
    with tempfile.TemporaryDirectory(prefix="athena-") as directory, duckdb.connect() as db:
        for setting in _SETTINGS:
            db.execute(f"SET {setting}")
        for macro in _MACROS:
            db.execute(f"CREATE MACRO {macro}")
        scanned = 0
        for schema in {d for d, _ in tables} | {database}:
            db.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        for number, (schema, table) in enumerate(used):
            place = Path(directory) / str(number)
            place.mkdir()
            scanned += _load(db, schema, table, _where(sql), keys, read, place)
        db.execute(f"""SET search_path = '"{database}",main'""")
        # What is asked may read nothing but these tables.
        db.execute("SET enable_external_access = false")
        try:
            db.execute(sql)
        except duckdb.Error as error:
            text = str(error).partition("\n")[0]
            raise StatementError(f"SYNTAX_ERROR: {text}") from error
        columns = [(d[0], _TRINO.get(str(d[1]), str(d[1]).lower())) for d in db.description or ()]
        rows = [[_text(value) for value in row] for row in db.fetchall()]
    return Result(columns, rows, scanned)


def _used(
    sql: str, database: str, tables: Mapping[tuple[str, str], Table]
) -> Iterator[tuple[str, Table]]:
    """Yield the tables that a statement names."""
    for (schema, name), table in tables.items():
        qualified = rf'\b"?{schema}"?\s*\.\s*"?{name}"?(?!\w)'
        alone = rf'(?<![\w."])"?{name}"?(?!\w)'
        if re.search(qualified, sql, re.IGNORECASE) or (
            schema == database and re.search(alone, sql, re.IGNORECASE)
        ):
            yield schema, table


def _where(sql: str) -> str:
    """Return the conditions that every row has to meet; empty when that is not sure."""
    words = re.sub(r"'(?:[^']|'')*'", "''", sql)
    if len(re.findall(r"\bselect\b", words, re.IGNORECASE)) > 1 or re.search(
        r"\b(or|not|case|join|union)\b", words, re.IGNORECASE
    ):
        return ""
    found = re.search(
        r"\bwhere\b(.*?)(?:\bgroup\s+by\b|\border\s+by\b|\blimit\b|$)",
        sql,
        re.IGNORECASE | re.DOTALL,
    )
    return found.group(1) if found else ""


def _load(
    db: Any, schema: str, table: Table, where: str, keys: Keys, read: Read, place: Path
) -> int:
    """Make the table in DuckDB of the objects of its partitions; returns their size."""
    bucket, prefix = table.place
    listed = keys(bucket, prefix)
    if listed is None:
        raise StatementError(f"The S3 location does not exist: s3://{bucket}")
    files = _pruned(db, table, table.files(listed), where)
    name = f'"{schema}"."{table.name}"'
    columns = {**table.columns, **table.partitions}
    declared = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    db.execute(f"CREATE TABLE {name} ({declared})")
    contents = [(v, c) for k, v in files if (c := read(bucket, k)) is not None]
    if contents:
        load = _load_parquet if table.parquet else _load_text
        load(db, name, table, contents, place)
    return sum(len(content) for _, content in contents)


def _pruned(
    db: Any, table: Table, files: list[tuple[str, tuple[str, ...]]], where: str
) -> list[tuple[str, tuple[str, ...]]]:
    """Return the files of the partitions that the conditions leave."""
    conditions = []
    for column in table.partitions:
        compared = rf'(?<!\w)"?{column}"?\s*(?:(?:=|<=|>=|<|>)\s*{_LITERAL}'
        chosen = rf"|in\s*\(\s*{_LITERAL}(?:\s*,\s*{_LITERAL})*\s*\)"
        between = rf"|between\s+{_LITERAL}\s+and\s+{_LITERAL})"
        conditions += re.findall(compared + chosen + between, where, re.IGNORECASE)
    if not conditions or not files:
        return files
    named = ", ".join(f'CAST(? AS {kind}) AS "{name}"' for name, kind in table.partitions.items())
    met = " AND ".join(conditions)
    asked = f"SELECT count(*) FROM (SELECT {named}) WHERE {met}"  # noqa: S608  # what was asked
    wanted = {
        values: bool(db.execute(asked, list(values)).fetchone()[0])
        for values in {v for _, v in files}
    }
    return [(key, values) for key, values in files if wanted[values]]


def _load_text(
    db: Any,
    name: str,
    table: Table,
    contents: Sequence[tuple[tuple[str, ...], bytes]],
    place: Path,
) -> None:
    """Insert lines: columns by their position, null where a value is not of its type."""
    wide = len(table.columns)
    path = place / "lines"
    with path.open("w") as out:
        for values, content in contents:
            plain = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            for line in plain.decode().splitlines()[table.skip :]:
                fields = line.split(table.delimiter)[:wide]
                padded = [*fields, *["\\N"] * (wide - len(fields)), *values]
                out.write("\t".join(padded) + "\n")
    columns = {**table.columns, **table.partitions}
    kinds = ", ".join(f"'{column}': 'VARCHAR'" for column in columns)
    casts = ", ".join(f'TRY_CAST("{column}" AS {kind})' for column, kind in columns.items())
    # Two steps: in one, DuckDB would have the reader convert, and fail on what is no number.
    db.execute(
        f"CREATE OR REPLACE TEMP TABLE lines AS FROM read_csv('{path}', delim='\t', header=false, "
        f"quote='', escape='', nullstr='\\N', auto_detect=false, columns={{{kinds}}})"
    )
    db.execute(f"INSERT INTO {name} SELECT {casts} FROM lines")  # noqa: S608  # the table's own names
    db.execute("DROP TABLE lines")


def _load_parquet(
    db: Any,
    name: str,
    table: Table,
    contents: Sequence[tuple[tuple[str, ...], bytes]],
    place: Path,
) -> None:
    """Insert rows: columns by their name, null where a file lacks one; raises StatementError."""
    for i, (values, content) in enumerate(contents):
        path = place / f"{i}.parquet"
        path.write_bytes(content)
        found = db.execute(f"SELECT name, type FROM parquet_schema('{path}')").fetchall()  # noqa: S608  # our own path
        stored = {column.lower(): kind for column, kind in found}
        for column, kind in table.columns.items():
            if column in stored and stored[column] not in _STORED.get(kind, {stored[column]}):
                raise StatementError(
                    f"HIVE_BAD_DATA: Field {column}'s type {stored[column]} in parquet file is "
                    f"incompatible with type {kind.lower()} defined in table schema"
                )
        selected = [f'"{c}"' if c in stored else "NULL" for c in table.columns]
        marks = ["?"] * len(values)
        db.execute(
            f"INSERT INTO {name} SELECT {', '.join([*selected, *marks])} "  # noqa: S608  # names that the table has
            f"FROM read_parquet('{path}')",
            list(values),
        )


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        zone = " UTC" if value.tzinfo else ""
        return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond // 1000:03d}{zone}"
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
