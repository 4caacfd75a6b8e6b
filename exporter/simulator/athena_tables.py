"""Athena's tables: what CREATE EXTERNAL TABLE says, and which objects are in which partition.

https://docs.aws.amazon.com/athena/latest/ug/create-table.html
https://docs.aws.amazon.com/athena/latest/ug/partition-projection.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# The types that columns may have, as DuckDB has them.
TYPES = {
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "int": "INTEGER",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "boolean": "BOOLEAN",
    "string": "VARCHAR",
    "varchar": "VARCHAR",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_NAME = r"`?(\w+)`?(?:\s*\.\s*`?(\w+)`?)?"
_CREATE = re.compile(
    rf"create\s+external\s+table\s+(if\s+not\s+exists\s+)?{_NAME}\s*\(", re.IGNORECASE
)
_ADD = re.compile(
    rf"alter\s+table\s+{_NAME}\s+add\s+(?:if\s+not\s+exists\s+)?(.*)", re.IGNORECASE | re.DOTALL
)
_PARTITION = re.compile(r"partition\s*\(([^)]*)\)\s*(?:location\s*'([^']*)')?", re.IGNORECASE)
_PAIR = re.compile(r"""['"]([^'"]+)['"]\s*=\s*['"]([^'"]*)['"]""")
_VALUE = re.compile(r"""`?(\w+)`?\s*=\s*'?([^',]+)'?""")
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class StatementError(Exception):
    """Raised for a statement that Athena would not run; says why."""


@dataclass(frozen=True, slots=True)
class Table:
    """A registered table; columns and partitions are names and types as DuckDB has them.

    `registered` are partitions without projection: their values, and where their objects are.
    """

    name: str
    columns: Mapping[str, str]
    partitions: Mapping[str, str]
    parquet: bool
    delimiter: str
    skip: int
    location: str
    properties: Mapping[str, str]
    registered: dict[tuple[str, ...], str] = field(default_factory=dict)

    @property
    def place(self) -> tuple[str, str]:
        """The bucket, and what every key begins with."""
        # Of a template only what stands before its first variable.
        bucket, _, prefix = self._base.partition("$")[0].removeprefix("s3://").partition("/")
        return bucket, prefix

    @property
    def _base(self) -> str:
        if self._projected and self.partitions:
            return self._template
        return self.location.rstrip("/") + "/"

    @property
    def _projected(self) -> bool:
        return self.properties.get("projection.enabled", "").lower() == "true"

    @property
    def _template(self) -> str:
        given = self.properties.get("storage.location.template")
        if given:
            return given.rstrip("/") + "/"
        return self.location.rstrip("/") + "".join(f"/{n}=${{{n}}}" for n in self.partitions) + "/"

    def repair(self, keys: Iterable[str]) -> None:
        """Register the partitions that keys of the form name=value show."""
        for key in keys:
            found = [re.search(rf"(?:^|/){name}=([^/]+)/", key) for name in self.partitions]
            if all(found):
                end = max(m.end() for m in found if m)
                values = tuple(m.group(1) for m in found if m)
                self.registered[values] = f"s3://{self.place[0]}/{key[:end]}"

    def files(self, keys: Iterable[str]) -> list[tuple[str, tuple[str, ...]]]:
        """Return the keys that are the table's, each with its partitions' values."""
        bucket, prefix = self.place
        own = [k for k in keys if k.startswith(prefix) and k.rpartition("/")[2][:1] not in "_."]
        if not self.partitions:
            return [(key, ()) for key in own]
        if self._projected:
            pattern = self._pattern()
            matches = [(key, pattern.match(f"s3://{bucket}/{key}")) for key in own]
            found = [(k, tuple(m.group(n) for n in self.partitions)) for k, m in matches if m]
            return [(k, values) for k, values in found if self._in_projection(values)]
        return [
            (key, values)
            for key in own
            for values, place in self.registered.items()
            if f"s3://{bucket}/{key}".startswith(place.rstrip("/") + "/")
        ]

    def _pattern(self) -> re.Pattern[str]:
        """Return what an object's address begins with; raises StatementError."""
        text, position = "", 0
        for variable in _VARIABLE.finditer(self._template):
            name = variable.group(1).lower()
            if name not in self.partitions:
                raise StatementError(f"no partition column {name} for the template")
            text += re.escape(self._template[position : variable.start()])
            text += f"(?P<{name}>{self._form(name)})"
            position = variable.end()
        missing = [name for name in self.partitions if f"(?P<{name}>" not in text]
        if missing:
            raise StatementError(f"the template lacks {', '.join(missing)}")
        return re.compile(text + re.escape(self._template[position:]))

    def _form(self, name: str) -> str:
        """Return what a partition's values look like: a date may have slashes."""
        kind = self.properties.get(f"projection.{name}.type", "")
        if not kind:
            raise StatementError(f"projection.{name}.type is missing")
        form = self.properties.get(f"projection.{name}.format", "yyyy-MM-dd")
        if kind == "date":
            return re.sub(r"[A-Za-z]", r"\\d", re.escape(form).replace("\\-", "-"))
        return "[^/]+"

    def _in_projection(self, values: tuple[str, ...]) -> bool:
        """Whether a partition is one that the projection speaks of."""
        for name, value in zip(self.partitions, values, strict=True):
            kind = self.properties[f"projection.{name}.type"]
            choices = self.properties.get(f"projection.{name}.values", "")
            if kind == "enum" and value not in [c.strip() for c in choices.split(",")]:
                return False
            first = self.properties.get(f"projection.{name}.range", "").split(",")[0].strip()
            if kind == "date" and first[:1].isdigit() and value < first:
                return False
        return True


def create(statement: str, database: str) -> tuple[str, Table, bool]:
    """Return the database, the table, whether it may exist; raises StatementError."""
    head = _CREATE.match(statement.strip())
    if head is None:
        raise StatementError("mismatched input: not a CREATE EXTERNAL TABLE with columns")
    columns, rest = _bracketed(statement.strip(), head.end())
    partitions: dict[str, str] = {}
    partitioned = re.search(r"partitioned\s+by\s*\(", rest, re.IGNORECASE)
    if partitioned:
        inside, rest = _bracketed(rest, partitioned.end())
        partitions = _columns(inside)
    location = re.search(r"location\s*'(s3://[^']+)'", rest, re.IGNORECASE)
    if location is None:
        raise StatementError("No location specified for the table")
    properties = re.search(r"tblproperties\s*\((.*)\)", rest, re.IGNORECASE | re.DOTALL)
    pairs = dict(_PAIR.findall(properties.group(1))) if properties else {}
    delimiter = re.search(r"fields\s+terminated\s+by\s*'(.)'", rest, re.IGNORECASE)
    given, table = (head.group(2), head.group(3)) if head.group(3) else (database, head.group(2))
    return (
        given.lower(),
        Table(
            table.lower(),
            _columns(columns),
            partitions,
            "parquet" in rest[: rest.lower().find("location")].lower(),
            delimiter.group(1) if delimiter else "\x01",
            int(pairs.get("skip.header.line.count", 0)),
            location.group(1),
            pairs,
        ),
        bool(head.group(1)),
    )


def added(statement: str) -> tuple[str, str, list[tuple[dict[str, str], str]]] | None:
    """Return what ALTER TABLE ADD PARTITION adds: database or "", table, values and locations."""
    found = _ADD.match(statement.strip())
    if found is None:
        return None
    first, second, rest = found.groups()
    database, table = (first, second) if second else ("", first)
    return (
        database.lower(),
        table.lower(),
        [
            ({k.lower(): v for k, v in _VALUE.findall(values)}, place)
            for values, place in _PARTITION.findall(rest)
        ],
    )


def _bracketed(text: str, begin: int) -> tuple[str, str]:
    """Return what stands up to the closing parenthesis, and what follows it."""
    depth = 1
    for i in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return text[begin:i], text[i + 1 :]
    raise StatementError("missing ')'")


def _columns(text: str) -> dict[str, str]:
    found = {}
    for part in text.split(","):
        match = re.match(r"\s*`?(\w+)`?\s+(\w+)", part)
        if match is None or match.group(2).lower() not in TYPES:
            raise StatementError(f"mismatched input: no column: {part.strip()!r}")
        found[match.group(1).lower()] = TYPES[match.group(2).lower()]
    return found
