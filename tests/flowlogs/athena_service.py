"""An Athena in memory: tables by their DDL over objects by their keys, SELECT by DuckDB."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import duckdb

DATABASE = duckdb.connect(config={"threads": 1})
TYPES = {"string": "VARCHAR", "bigint": "BIGINT", "int": "INTEGER"}
CREATE = re.compile(
    r"CREATE EXTERNAL TABLE IF NOT EXISTS `(?P<name>\w+)` \((?P<columns>.*?)\)\n"
    r"PARTITIONED BY \((?P<partitions>.*?)\)\n"
    r"(?P<stored>.*)\n"
    r"LOCATION '(?P<location>[^']+)'\n"
    r"TBLPROPERTIES \((?P<properties>.*)\)",
    re.DOTALL,
)
TEXT = "ROW FORMAT DELIMITED FIELDS TERMINATED BY ' ' STORED AS TEXTFILE"


def columns(text: str) -> dict[str, str]:
    return dict(re.findall(r"`([a-z0-9_]+)` (\w+)", text))


@dataclass
class Athena:
    """`objects` has lines, or rows of columns (Parquet), by URL. `ends` is by statement."""

    objects: dict[str, list[Any]] = field(default_factory=dict)
    page: int = 1000
    polls: int = 1
    ends: dict[int, str] = field(default_factory=dict)
    tables: dict[str, dict[str, str]] = field(default_factory=dict)
    calls: list[dict[str, Any]] = field(default_factory=list)
    left: dict[str, int] = field(default_factory=dict)
    stopped: list[str] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    results: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def start_query_execution(self, **call: Any) -> dict[str, str]:
        assert len(call["QueryString"]) <= 262_144
        self.calls.append(call)
        query_id = str(len(self.calls) - 1)
        self.left[query_id] = self.polls
        return {"QueryExecutionId": query_id}

    def get_query_execution(self, QueryExecutionId: str) -> dict[str, Any]:  # noqa: N803
        if self.left[QueryExecutionId]:
            self.left[QueryExecutionId] -= 1
            state = "QUEUED" if self.left[QueryExecutionId] else "RUNNING"
        else:
            state = self.ends.get(int(QueryExecutionId), "SUCCEEDED")
        call = self.calls[int(QueryExecutionId)]
        if state == "SUCCEEDED" and call["QueryString"].startswith("CREATE"):
            found = CREATE.fullmatch(call["QueryString"])
            assert found, call["QueryString"]
            self.tables.setdefault(found["name"], found.groupdict())
        status = {"State": state, "StateChangeReason": "because"}
        scanned = {"DataScannedInBytes": 0 if "CREATE" in call["QueryString"] else 1000}
        return {"QueryExecution": {"Status": status, "Statistics": scanned}}

    def stop_query_execution(self, QueryExecutionId: str) -> None:  # noqa: N803
        self.stopped.append(QueryExecutionId)

    def get_query_results(
        self,
        QueryExecutionId: str,  # noqa: N803
        MaxResults: int,  # noqa: N803
        NextToken: str = "0",  # noqa: N803
    ) -> dict[str, Any]:
        assert MaxResults <= 1000
        if QueryExecutionId not in self.results:
            sql = self.calls[int(QueryExecutionId)]["QueryString"]
            self.results[QueryExecutionId] = self.evaluate(sql)
        rows = self.results[QueryExecutionId]
        begin, end = int(NextToken), int(NextToken) + min(self.page, MaxResults)
        page = [
            {"Data": [{} if v is None else {"VarCharValue": str(v)} for v in row]}
            for row in rows[begin:end]
        ]
        more = {"NextToken": str(end)} if end < len(rows) else {}
        return {"ResultSet": {"Rows": page}, **more}

    def evaluate(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the rows, first the columns' names; note which partitions were read."""
        (name,) = re.findall(r'FROM "(\w+)"', sql)
        made = self.tables[name]
        kinds = columns(made["columns"]) | columns(made["partitions"])
        with DATABASE.cursor() as db:
            db.execute(definition(name, kinds))
            if rows := self.rows(made):
                marks = ", ".join(f"({', '.join('?' for _ in kinds)})" for _ in rows)
                db.execute(f'INSERT INTO "{name}" VALUES {marks}', list(chain(*rows)))
            (pruned,) = re.findall(r"WHERE \((.*)\)\n", sql)
            keys = ", ".join(columns(made["partitions"]))
            found = db.execute(f'SELECT DISTINCT {keys} FROM "{name}" WHERE {pruned}').fetchall()
            self.read |= {"/".join(f"{v:02}" for v in values) for values in found}
            result = db.execute(sql)
            heading = tuple(d[0] for d in result.description or ())
            return [heading, *result.fetchall()]

    def rows(self, made: dict[str, str]) -> list[list[Any]]:
        properties = dict(re.findall(r"'([^']+)' = '([^']*)'", made["properties"]))
        assert properties["projection.enabled"] == "true"
        template = re.escape(properties["storage.location.template"])
        for name in columns(made["partitions"]):
            assert properties[f"projection.{name}.type"] == "integer"
            digits = properties[f"projection.{name}.digits"]
            place = rf"(?P<{name}>\d{{{digits}}})"
            template = template.replace(re.escape(f"${{{name}}}"), place)
        found = []
        names = list(columns(made["columns"]))
        skipped = int(properties.get("skip.header.line.count", 0))
        for url, content in self.objects.items():
            where = re.fullmatch(template + r"[^/]+", url)
            if where is None:
                continue
            assert url.startswith(made["location"])
            for line in content[skipped:]:
                if made["stored"] == TEXT:
                    cells = (line.split(" ") + [None] * len(names))[: len(names)]
                else:
                    assert made["stored"] == "STORED AS PARQUET"
                    cells = [line[c] for c in names]
                found.append([*cells, *map(int, where.groups())])
        return found


def definition(name: str, kinds: dict[str, str]) -> str:
    typed = ", ".join(f'"{column}" {TYPES[kind]}' for column, kind in kinds.items())
    return f'CREATE OR REPLACE TEMP TABLE "{name}" ({typed})'
