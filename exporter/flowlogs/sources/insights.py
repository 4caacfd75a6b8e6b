"""Questions to CloudWatch Logs Insights: a log group's records, counted where they are.

https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_StartQuery.html
https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetQueryResults.html
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from exporter.aws.errors import AWS_ERRORS, attempt, unavailable
from exporter.flowlogs.formats import Format
from exporter.flowlogs.sources.insights_query import add, query
from exporter.flowlogs.sources.pushdown import (
    PATIENCE,
    Answer,
    Bins,
    Incomplete,
    Meter,
    Pause,
    QueryFailed,
    checked,
    earliest,
)

KIND = "insights"

# AWS's limits. More rows can be had, page by page, but not everywhere.
LIMIT = 10_000
LONGEST_QUERY = 10_000
# Rows that an interface has a minute, about: its actions, and its TCP flags where they are asked.
_ROWS, _ROWS_WITH_FLAGS = 2, 6
_FAILED = frozenset(["Failed", "Cancelled", "Timeout"])


class _Part(NamedTuple):
    """A piece of the question: seconds, both ends inclusive, and interfaces."""

    first: int
    last: int
    interfaces: tuple[str, ...]


def ask(
    logs: Any,
    group: str,
    layout: Format,
    interfaces: Iterable[str],
    first: int,
    last: int,
    since: float,
    sleep: Callable[[float], object],
    *,
    limit: int = LIMIT,
    in_flight: int = 5,
    patience: float = PATIENCE,
    meter: Meter | None = None,
) -> Answer:
    """Return the bins of the interfaces' records that start from `first` to `last`, inclusive.

    Whole seconds, in minutes that are complete; records that start before `since` are left out.
    An event's stamp is its record's start. Every interface's lines in the group must be of the
    one layout. `meter` is a new one for each question and tells what even a failed one used.

    Raises QueryFailed when a query fails or takes too long, Incomplete when a result stays at
    its limit; AWS's errors pass. What still runs then is stopped.
    """
    meter = Meter() if meter is None else meter
    bins, pause = Bins(layout), Pause(sleep, patience)
    waiting = deque(_parts(layout, checked(interfaces), earliest(first, since), last, limit))
    running: dict[str, _Part] = {}
    try:
        while waiting or running:
            while waiting and len(running) < in_flight:
                query_id = _start(logs, group, layout, waiting[0], limit, bool(running))
                if query_id is None:
                    break
                meter.queries += 1
                running[query_id] = waiting.popleft()
            pause.wait()
            for query_id in list(running):
                rows = _rows(logs, query_id, meter)
                if rows is None:
                    continue
                part = running.pop(query_id)
                pause.reset()
                if len(rows) >= limit:
                    waiting.extendleft(_split(part, limit))
                    continue
                for row in rows:
                    add(bins, layout, row)
    finally:
        for query_id in running:
            attempt(partial(logs.stop_query, queryId=query_id))
    return bins.answer(meter)


def _start(
    logs: Any, group: str, layout: Format, part: _Part, limit: int, others: bool
) -> str | None:
    """Start a part's query and return its id; None while AWS lets no more run beside others."""
    try:
        answer = logs.start_query(
            logGroupName=group,
            startTime=part.first,
            endTime=part.last,
            queryString=query(layout, part.interfaces),
            limit=limit,
        )
    except AWS_ERRORS as error:
        if others and unavailable(error).outcome == "throttled":
            return None
        raise
    return str(answer["queryId"])


def _rows(logs: Any, query_id: str, meter: Meter) -> list[dict[str, str]] | None:
    """Return all rows of a query that is complete, None while it is not."""
    answer = logs.get_query_results(queryId=query_id)
    meter.scanned[query_id] = int((answer.get("statistics") or {}).get("bytesScanned", 0))
    status = answer["status"]
    if status in _FAILED:
        raise QueryFailed(f"Logs Insights: a query ended {status}")
    if status != "Complete":
        return None
    results = list(answer["results"])
    while answer.get("nextToken"):
        answer = logs.get_query_results(queryId=query_id, nextToken=answer["nextToken"])
        results.extend(answer["results"])
    return [{cell["field"]: cell.get("value", "") for cell in row} for row in results]


def _parts(
    layout: Format, interfaces: tuple[str, ...], first: int, last: int, limit: int
) -> Iterator[_Part]:
    """Yield the question in parts whose query fits, and whose rows are likely to.

    A result that turns out too large was paid for in vain; shorter windows cost nothing more.
    """
    if not interfaces or first > last:
        return
    size = max(len(interface_id) for interface_id in interfaces) + len('"",')
    most = (LONGEST_QUERY - len(query(layout, ()))) // size
    if most < 1:
        raise QueryFailed("the format has too many fields for a Logs Insights query")
    rows = _ROWS if layout.tcp_flags is None else _ROWS_WITH_FLAGS
    for i in range(0, len(interfaces), most):
        chunk = interfaces[i : i + most]
        step = 60 * max(1, limit // (rows * len(chunk)))
        for begin in range(first // 60 * 60, last + 1, step):
            yield _Part(max(begin, first), min(begin + step - 1, last), chunk)


def _split(part: _Part, limit: int) -> tuple[_Part, _Part]:
    """Return the halves of a part: of its minutes, or of its interfaces in a single minute."""
    first, last, interfaces = part
    middle = (first // 60 + last // 60 + 1) // 2 * 60
    if first // 60 < last // 60:
        return _Part(first, middle - 1, interfaces), _Part(middle, last, interfaces)
    if len(interfaces) < 2:
        raise Incomplete(f"more than {limit} rows for {interfaces[0]} in one minute")
    half = len(interfaces) // 2
    return _Part(first, last, interfaces[:half]), _Part(first, last, interfaces[half:])
