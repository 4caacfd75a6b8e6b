"""CloudWatch Logs Insights: queries over the events that moto's log groups have.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/CWL_AnalyzeLogData-discoverable-fields.html
"""

from __future__ import annotations

import threading
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from moto.logs import logs_backends

from exporter.simulator import insights_query
from exporter.simulator.insights_values import Event, MalformedError, Millis
from exporter.simulator.state import Row, Where
from exporter.simulator.wire import AwsError

OPERATIONS = frozenset(["StartQuery", "GetQueryResults", "StopQuery"])
MOST_GROUPS, MOST_AT_ONCE, PAGE = 50, 100, 10_000
# What Insights finds by itself in lines of the default format.
_DISCOVERED = (
    *("version", "accountId", "interfaceId", "srcAddr", "dstAddr", "srcPort", "dstPort"),
    *("protocol", "packets", "bytes", "startTime", "endTime", "action", "logStatus"),
)


@dataclass(slots=True)
class _Execution:
    """A query that has been started; a token is the number of the next page's first row."""

    where: Where
    rows: list[Event]
    statistics: dict[str, float]
    status: str = "Scheduled"


class Insights:
    """The queries of a simulator; `lock` is held by whoever writes events."""

    def __init__(self, lock: threading.RLock) -> None:
        self._written = lock
        self._lock = threading.Lock()
        self._executions: dict[str, _Execution] = {}

    def answer(self, where: Where, operation: str, request: Row) -> Row:
        """Return the answer to one of OPERATIONS; raises AwsError."""
        if operation == "StartQuery":
            return self._start(where, request)
        with self._lock:
            found = self._executions.get(request["queryId"])
            if found is None or found.where != where:
                raise AwsError("ResourceNotFoundException", "The query ID does not exist.")
            return self._stop(found) if operation == "StopQuery" else _results(found, request)

    def _start(self, where: Where, request: Row) -> Row:
        if request["startTime"] > request["endTime"]:
            raise AwsError("InvalidParameterException", "The end time is before the start time.")
        try:
            query = insights_query.read(request["queryString"])
        except MalformedError as error:
            raise AwsError("MalformedQueryException", str(error)) from error
        events = self._events(where, _groups(request), request)
        rows, matched = query.run(events, request.get("limit"))
        statistics = {
            "recordsMatched": float(matched),
            "recordsScanned": float(len(events)),
            "bytesScanned": float(sum(len(str(e["@message"])) for e in events)),
            "logGroupsScanned": float(len(_groups(request))),
            "resultCount": float(len(rows)),
        }
        query_id = str(uuid4())
        with self._lock:
            active = [e for e in self._executions.values() if e.status in ("Scheduled", "Running")]
            if len(active) >= MOST_AT_ONCE:
                raise AwsError("LimitExceededException", "Too many queries at once.")
            # Old results go: nobody asks for them any more.
            while len(self._executions) > 10 * MOST_AT_ONCE:
                del self._executions[next(iter(self._executions))]
            self._executions[query_id] = _Execution(where, rows, statistics)
        return {"queryId": query_id}

    def _events(self, where: Where, names: list[str], request: Row) -> list[Event]:
        backend: Any = logs_backends[where.account][where.region]
        first, last = request["startTime"] * 1000, request["endTime"] * 1000 + 999
        with self._written:
            found = []
            for name in names:
                if name not in backend.groups:
                    raise AwsError(
                        "ResourceNotFoundException", f"Log group '{name}' does not exist."
                    )
                found += [
                    (name, stream, event)
                    for stream, kept in backend.groups[name].streams.items()
                    for event in kept.events
                    if first <= event.timestamp <= last
                ]
        return [_event(where, *one) for one in found]

    def _stop(self, found: _Execution) -> Row:
        if found.status not in ("Scheduled", "Running"):
            raise AwsError("InvalidParameterException", "The query is not running.")
        found.status = "Cancelled"
        return {"success": True}


def _groups(request: Row) -> list[str]:
    """Return the names of the groups that are asked; raises AwsError."""
    given = [
        request[key]
        for key in ("logGroupName", "logGroupNames", "logGroupIdentifiers")
        if request.get(key)
    ]
    if len(given) != 1:
        raise AwsError("InvalidParameterException", "Exactly one list of log groups is needed.")
    names = [given[0]] if isinstance(given[0], str) else list(given[0])
    if len(names) > MOST_GROUPS:
        raise AwsError("InvalidParameterException", f"At most {MOST_GROUPS} log groups.")
    return [name.partition(":log-group:")[2] or name for name in names]


def _event(where: Where, group: str, stream: str, event: Any) -> Event:
    found: Row = {
        "@timestamp": Millis(event.timestamp),
        "@ingestionTime": Millis(event.ingestion_time),
        "@message": event.message,
        "@logStream": stream,
        "@log": f"{where.account}:{group}",
        "@ptr": b64encode(f"{group}/{stream}/{event.event_id}".encode()).decode(),
    }
    values = event.message.split(" ")
    if len(values) == len(_DISCOVERED) and values[0] == "2":
        found.update(zip(_DISCOVERED, values, strict=True))
    return found


def _results(found: _Execution, request: Row) -> Row:
    """Return a page; the first time the query is still running and has only some of its rows."""
    if found.status == "Scheduled":
        found.status = "Running"
        rows, token = found.rows[: min(PAGE, len(found.rows) // 2)], None
    elif found.status == "Running":
        found.status = "Complete"
    if found.status != "Running":
        begin = int(request.get("nextToken") or 0)
        end = begin + (request.get("maxItems") or PAGE)
        rows, token = found.rows[begin:end], str(end) if end < len(found.rows) else None
        if found.status == "Cancelled":
            rows, token = [], None
    return {
        "queryLanguage": "CWLI",
        "results": [
            [{"field": name, "value": insights_query.shown(v)} for name, v in row.items()]
            for row in rows
        ],
        "statistics": found.statistics,
        "status": found.status,
        **({"nextToken": token} if token else {}),
    }
