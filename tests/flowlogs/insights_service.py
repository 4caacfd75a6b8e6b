"""A Logs Insights in memory: it carries out the queries that it is given, on lines of a layout."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from botocore.exceptions import ClientError

from exporter.flowlogs.formats import DEFAULT, Format, from_log_format

DISCOVERED = [
    *("version", "accountId", "interfaceId", "srcAddr", "dstAddr", "srcPort", "dstPort"),
    *("protocol", "packets", "bytes", "startTime", "endTime", "action", "logStatus"),
]
FILTER = re.compile(r"(\w+) in \[(.*?)\](?: and (\w+) not like / /)?")
Row = dict[str, str]


@dataclass
class Insights:
    """One log group. `polls` says how often a query is not done yet, `ends` how each ends."""

    layout: Format
    messages: list[str]
    page: int = 1000
    polls: int = 1
    ends: dict[int, str] = field(default_factory=dict)
    end_name: str = "endTime"
    dashes: bool = True
    calls: list[dict[str, Any]] = field(default_factory=list)
    running: dict[str, int] = field(default_factory=dict)
    most_running: int = 0
    allowed: int = 100
    refusal: str = "LimitExceededException"
    stopped: list[str] = field(default_factory=list)

    def start_query(self, **call: Any) -> Row:
        assert len(call["queryString"]) <= 10_000
        if len(self.running) >= self.allowed:
            raise ClientError({"Error": {"Code": self.refusal}}, "StartQuery")
        self.calls.append(call)
        query_id = str(len(self.calls) - 1)
        self.running[query_id] = self.polls
        self.most_running = max(self.most_running, len(self.running))
        return {"queryId": query_id}

    def get_query_results(self, queryId: str, nextToken: str = "0") -> dict[str, Any]:  # noqa: N803
        """Pages of a result; a part of it, and of what was scanned, while it is not done."""
        call = self.calls[int(queryId)]
        rows = self.evaluate(call["queryString"], call["startTime"], call["endTime"])
        begin = int(nextToken)
        rows, more = rows[: call["limit"]], begin + self.page
        answer = {
            "status": "Complete",
            "statistics": {"bytesScanned": 100.0},
            "results": [
                [{"field": k, "value": v} for k, v in row.items()] for row in rows[begin:more]
            ],
        }
        if self.running.get(queryId, 0):
            self.running[queryId] -= 1
            return answer | {"status": "Running", "statistics": {"bytesScanned": 50.0}}
        self.running.pop(queryId, None)
        answer["status"] = self.ends.get(int(queryId), "Complete")
        return answer | ({"nextToken": str(more)} if more < len(rows) else {})

    def stop_query(self, queryId: str) -> dict[str, bool]:  # noqa: N803
        self.stopped.append(queryId)
        del self.running[queryId]  # KeyError where AWS has an error: it has ended
        return {"success": True}

    def evaluate(self, query: str, first: int, last: int) -> list[Row]:
        *parsing, filtering, stats = query.split(" | ")
        rows = [
            fields
            for message in self.messages
            if first <= int(message.split(" ")[self.layout.start]) <= last
            and (fields := self.fields(message, parsing)) is not None
        ]
        condition = FILTER.fullmatch(filtering.removeprefix("filter "))
        assert condition
        name, listed, guarded = condition.groups()
        wanted = [text.strip('"') for text in listed.split(",")]
        rows = [r for r in rows if r.get(name) in wanted and " " not in r.get(guarded or "", "")]
        sums, _, keys = stats.removeprefix("stats ").partition(" by ")
        groups: dict[tuple[str | None, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(row.get(k) for k in keys.split(", ")), []).append(row)
        return [
            {k: v for k, v in zip(keys.split(", "), key, strict=True) if v is not None}
            | dict(aggregates(sums.split(", "), members))
            for key, members in groups.items()
        ]

    def fields(self, message: str, parsing: list[str]) -> Row | None:
        start = int(message.split(" ")[self.layout.start])
        minute = datetime.fromtimestamp(start // 60 * 60, UTC).strftime("%Y-%m-%d %H:%M:%S.000")
        if parsing:
            command = re.fullmatch(r'parse @message "([* ]+)" as ([\w,]+)', parsing[0])
            assert command
            stars, names = command[1], command[2].split(",")
            assert stars.count("*") == len(names)
            found = re.fullmatch(stars[:-1].replace("*", "(.*?)") + "(.*)", message)
            fields = dict(zip(names, found.groups() if found else (), strict=found is not None))
        else:
            assert self.layout == from_log_format(DEFAULT)
            fields = dict(zip(DISCOVERED, message.split(" "), strict=True))
            fields[self.end_name] = fields.pop("endTime")
        if not self.dashes:
            fields = {k: v for k, v in fields.items() if v != "-"}
        return fields | {"bin(1m)": minute}


def aggregates(sums: Iterable[str], rows: list[Row]) -> Iterable[tuple[str, str]]:
    for text in sums:
        what = re.fullmatch(r"(count|sum|max)\(([\w*]+)\) as (\w+)", text)
        assert what
        numbers = [int(r[what[2]]) for r in rows if r.get(what[2], "").isdecimal()]
        if what[1] == "count":
            yield what[3], str(len(rows))
        elif numbers:
            value = sum(numbers) if what[1] == "sum" else max(numbers)
            yield what[3], str(Decimal(value).normalize())  # 1000 is 1E+3
