"""Athena: tables are registered, queries run, results read in pages.

https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from exporter.simulator import athena_engine, athena_tables
from exporter.simulator.athena_engine import Result
from exporter.simulator.athena_tables import StatementError, Table
from exporter.simulator.buckets import Buckets
from exporter.simulator.state import Row, Where
from exporter.simulator.wire import AwsError

OPERATIONS = frozenset(
    ["StartQueryExecution", "GetQueryExecution", "GetQueryResults", "StopQueryExecution"]
)
PAGE, REMEMBERED = 1000, 1000
_MAKE = re.compile(r"(?i)create\s+(?:database|schema)\s+(if\s+not\s+exists\s+)?`?(\w+)")
_NAMED = re.compile(
    r"(?i)(drop\s+table\s+(?:if\s+exists\s+)?|msck\s+repair\s+table\s+)"
    r"(?:`?(\w+)`?\.)?`?(\w+)`?"
)
_NOTHING = Result([], [], 0)


@dataclass(slots=True)
class _Execution:
    """A query; `asked` counts how often its state has been."""

    id: str
    where: Where
    request: Row
    submitted: datetime
    asked: int = 0
    completed: datetime | None = None
    result: Result = _NOTHING
    failure: str = ""
    cancelled: bool = False

    @property
    def state(self) -> str:
        """Queued and running are seen once at least, however quick the query was."""
        if self.cancelled:
            return "CANCELLED"
        if self.asked <= 1:
            return "QUEUED"
        if self.asked == 2 or self.completed is None:
            return "RUNNING"
        return "FAILED" if self.failure else "SUCCEEDED"


@dataclass(slots=True)
class _Catalog:
    """The databases of an account and Region, and the tables in them."""

    databases: set[str] = field(default_factory=lambda: {"default"})
    tables: dict[tuple[str, str], Table] = field(default_factory=dict)


class Athena:
    """The queries and tables of a simulator; objects are read from `buckets`."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets
        self._lock = threading.Lock()
        # One query at a time: the machine is the exporter's.
        self._engine = threading.Lock()
        self._executions: dict[str, _Execution] = {}
        self._tokens: dict[tuple[Where, str], str] = {}
        self._catalogs: dict[Where, _Catalog] = {}

    def answer(self, where: Where, operation: str, request: Row) -> Row:
        """Return the answer to one of OPERATIONS; raises AwsError."""
        if operation == "StartQueryExecution":
            return self._start(where, request)
        with self._lock:
            found = self._executions.get(request["QueryExecutionId"])
            if found is None or found.where != where:
                raise _invalid(f"QueryExecution {request['QueryExecutionId']} was not found")
            if operation == "StopQueryExecution":
                found.cancelled = found.cancelled or found.state in ("QUEUED", "RUNNING")
                return {}
            if operation == "GetQueryExecution":
                found.asked += 1
                return {"QueryExecution": _described(found)}
            return _page(found, request)

    def _start(self, where: Where, request: Row) -> Row:
        own = (request.get("ResultConfiguration") or {}).get("OutputLocation")
        if not own and request.get("WorkGroup", "primary") == "primary":
            raise _invalid(
                "No output location provided. An output location is required either through the "
                "Workgroup result configuration setting or as an API input."
            )
        if request.get("ExecutionParameters"):
            raise _invalid("not simulated: ExecutionParameters")
        token = (where, request.get("ClientRequestToken") or str(uuid4()))
        with self._lock:
            if token in self._tokens:
                return {"QueryExecutionId": self._tokens[token]}
            execution = _Execution(str(uuid4()), where, request, datetime.now(UTC))
            self._tokens[token] = execution.id
            self._executions[execution.id] = execution
            while len(self._executions) > REMEMBERED:
                del self._executions[next(iter(self._executions))]
                del self._tokens[next(iter(self._tokens))]
            catalog = self._catalogs.setdefault(where, _Catalog())
        arguments = (execution, catalog)
        threading.Thread(target=self._run, args=arguments, name="athena", daemon=True).start()
        return {"QueryExecutionId": execution.id}

    def _run(self, execution: _Execution, catalog: _Catalog) -> None:
        with self._engine:
            try:
                execution.result = self._execute(execution.request, catalog)
            except StatementError as error:
                execution.failure = str(error)
            except Exception as error:  # noqa: BLE001  # whoever waits must be told
                execution.failure = f"GENERIC_INTERNAL_ERROR: {error!r}"
            execution.completed = datetime.now(UTC)

    def _execute(self, request: Row, catalog: _Catalog) -> Result:
        statement = _plain(request["QueryString"])
        database = (
            (request.get("QueryExecutionContext") or {}).get("Database") or "default"
        ).lower()
        if _is_query(statement):
            if database not in catalog.databases:
                raise StatementError(f"SCHEMA_NOT_FOUND: Schema '{database}' does not exist")
            return athena_engine.run(
                statement, database, catalog.tables, self._buckets.keys, self._buckets.read
            )
        self._define(statement, database, catalog)
        return _NOTHING

    def _define(self, statement: str, database: str, catalog: _Catalog) -> None:
        """Change the catalog as a statement says; raises StatementError."""
        made = _MAKE.match(statement)
        named = _NAMED.fullmatch(statement)
        partitions = athena_tables.added(statement)
        if made:
            if made.group(2).lower() in catalog.databases and not made.group(1):
                raise StatementError(f"Database {made.group(2)} already exists")
            catalog.databases.add(made.group(2).lower())
        elif named:
            key = ((named.group(2) or database).lower(), named.group(3).lower())
            if named.group(1).lower().startswith("msck"):
                table = _table(catalog, key)
                table.repair(self._buckets.keys(*table.place) or ())
            elif catalog.tables.pop(key, None) is None and "exists" not in named.group(1).lower():
                raise StatementError(f"Table not found: {'.'.join(key)}")
        elif partitions:
            schema, name, found = partitions
            table = _table(catalog, (schema or database, name))
            for values, place in found:
                if set(values) != set(table.partitions) or not place:
                    raise StatementError("partition spec does not match the table's partitions")
                table.registered[tuple(values[n] for n in table.partitions)] = place
        else:
            schema, table, may_exist = athena_tables.create(statement, database)
            if schema not in catalog.databases:
                raise StatementError(f"SemanticException: Database does not exist: {schema}")
            if (schema, table.name) not in catalog.tables:
                catalog.tables[schema, table.name] = table
            elif not may_exist:
                raise StatementError(f"AlreadyExistsException: Table {table.name} already exists")


def _table(catalog: _Catalog, key: tuple[str, str]) -> Table:
    if key not in catalog.tables:
        raise StatementError(f"Table not found: {'.'.join(key)}")
    return catalog.tables[key]


def _described(found: _Execution) -> Row:
    state = found.state
    status: Row = {"State": state, "SubmissionDateTime": found.submitted}
    if state in ("SUCCEEDED", "FAILED"):
        status["CompletionDateTime"] = found.completed
    if state == "FAILED":
        status["StateChangeReason"] = found.failure
    statement = found.request["QueryString"]
    return {
        "QueryExecutionId": found.id,
        "Query": statement,
        "StatementType": "DML" if _is_query(_plain(statement)) else "DDL",
        "ResultConfiguration": found.request.get("ResultConfiguration") or {},
        "QueryExecutionContext": found.request.get("QueryExecutionContext") or {},
        "WorkGroup": found.request.get("WorkGroup", "primary"),
        "Status": status,
        "Statistics": {"DataScannedInBytes": found.result.scanned} if state == "SUCCEEDED" else {},
    }


def _page(found: _Execution, request: Row) -> Row:
    """Return a page of rows; the first begins with the columns' names."""
    if found.state in ("QUEUED", "RUNNING"):
        raise _invalid(f"Query has not yet finished. Current state: {found.state}")
    if found.state != "SUCCEEDED":
        raise _invalid(f"Query did not finish successfully. Final query state: {found.state}")
    size = request.get("MaxResults") or PAGE
    if size > PAGE:
        raise _invalid(f"MaxResults is more than maximum allowed length {PAGE}")
    columns = found.result.columns
    rows: list[list[str | None]] = [[name for name, _ in columns], *found.result.rows]
    begin = int(request.get("NextToken") or 0)
    end = begin + size
    return {
        "UpdateCount": 0,
        "ResultSet": {
            "Rows": [
                {"Data": [{} if v is None else {"VarCharValue": v} for v in row]}
                for row in (rows[begin:end] if columns else ())
            ],
            "ResultSetMetadata": {
                "ColumnInfo": [
                    {"Name": name, "Label": name, "Type": kind, "CatalogName": "hive"}
                    for name, kind in columns
                ]
            },
        },
        **({"NextToken": str(end)} if end < len(rows) else {}),
    }


def _plain(statement: str) -> str:
    """Return a statement without comments, and without the semicolon at its end."""
    without = re.sub(r"--[^\n]*|/\*.*?\*/", " ", statement, flags=re.DOTALL)
    return without.strip().rstrip(";").strip()


def _is_query(statement: str) -> bool:
    return re.match(r"\(*\s*(select|with|values)\b", statement, re.IGNORECASE) is not None


def _invalid(message: str) -> AwsError:
    return AwsError("InvalidRequestException", message)
