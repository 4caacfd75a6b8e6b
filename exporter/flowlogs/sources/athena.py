"""Questions to Athena: a flow log's files in S3, counted where they are.

https://docs.aws.amazon.com/athena/latest/APIReference/API_StartQueryExecution.html
https://docs.aws.amazon.com/athena/latest/APIReference/API_GetQueryResults.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from exporter.aws.errors import attempt
from exporter.flowlogs.formats import Format
from exporter.flowlogs.sources.athena_table import Table, column, table
from exporter.flowlogs.sources.pushdown import (
    PATIENCE,
    Answer,
    Bins,
    Meter,
    Pause,
    QueryFailed,
    checked,
    earliest,
)
from exporter.model import FlowLog

KIND = "athena"

# A statement may have 262,144 characters; an interface takes 24.
INTERFACES_PER_QUERY = 10_000
ROWS_PER_PAGE = 1000
_DATABASE = re.compile(r"[A-Za-z0-9_-]{1,255}")
_WORKGROUP = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Where queries run and leave their results; empty means the workgroup's own settings.

    `database` has to be there; tables are made in it. `output` is like s3://bucket/prefix/.
    """

    workgroup: str
    database: str
    output: str


def ask(
    athena: Any,
    settings: Settings,
    flow_log: FlowLog,
    layout: Format,
    account: str,
    region: str,
    interfaces: Iterable[str],
    first: int,
    last: int,
    since: float,
    sleep: Callable[[float], object],
    *,
    interfaces_per_query: int = INTERFACES_PER_QUERY,
    patience: float = PATIENCE,
    meter: Meter | None = None,
) -> Answer:
    """Return the bins of the interfaces' records that start from `first` to `last`, inclusive.

    Whole seconds, in minutes that are complete; records that start before `since` are left out.
    `account` and `region` are those of the flow log. Its table is made when it is not there.
    `meter` is a new one for each question and tells what even a failed one used.

    Raises QueryFailed when a query fails or takes too long, or a name cannot be put safely into
    a statement; AWS's errors pass. A query that still runs then is stopped.
    """
    meter = Meter() if meter is None else meter
    bins, wanted, begin = Bins(layout), checked(interfaces), earliest(first, since)
    if not wanted or begin > last:
        return bins.answer(meter)
    files = table(flow_log, layout, account, region)
    # Statements that define something are not billed, so they are on no meter.
    _run(athena, settings, files.create, Pause(sleep, patience), Meter())
    for i in range(0, len(wanted), interfaces_per_query):
        sql = select(files, layout, wanted[i : i + interfaces_per_query], begin, last)
        query_id = _run(athena, settings, sql, Pause(sleep, patience), meter)
        for row in _rows(athena, query_id):
            _add(bins, row)
    return bins.answer(meter)


def select(files: Table, layout: Format, interfaces: Iterable[str], first: int, last: int) -> str:
    """Return the statement that counts the records of these interfaces.

    A row has minute, interface, action, records, bytes, packets, refused connections and the
    newest end. What is no record (NODATA, SKIPDATA, lines of another layout) has the action `-`.
    """

    def number(field: str) -> str:
        return files.number(field) if field in layout.fields else "CAST(NULL AS BIGINT)"

    counted = f"{column('action')} IN ('ACCEPT', 'REJECT')"
    if layout.log_status is not None:
        counted += f" AND {column('log-status')} = 'OK'"
    wanted = ", ".join(f"'{interface_id}'" for interface_id in interfaces)
    # SYN is 2, ACK is 16; flags come OR-ed, `-` is none.
    syn_alone = "action_ = 'REJECT' AND flags_ % 4 >= 2 AND flags_ % 32 < 16"
    return f"""
SELECT start_ - start_ % 60, interface_, action_, COUNT(*), SUM(bytes_), SUM(packets_),
  SUM(CASE WHEN {syn_alone} THEN 1 ELSE 0 END), MAX(end_)
FROM (
  SELECT {number("start")} AS start_, {number("end")} AS end_,
    {column("interface-id")} AS interface_,
    CASE WHEN {counted} THEN {column("action")} ELSE '-' END AS action_,
    {number("bytes")} AS bytes_, {number("packets")} AS packets_, {number("tcp-flags")} AS flags_
  FROM "{files.name}"
  WHERE ({files.delivered(first, last)})
    AND {column("interface-id")} IN ({wanted})
) AS records
WHERE start_ BETWEEN {first} AND {last}
GROUP BY 1, 2, 3
""".strip()  # noqa: S608  # every name in it is of the right form: `checked`, `table`


def _run(athena: Any, settings: Settings, sql: str, pause: Pause, meter: Meter) -> str:
    """Run a statement to its end and return its id."""
    if not _DATABASE.fullmatch(settings.database):
        raise QueryFailed(f"not a database's name: {settings.database!r}")
    request: dict[str, Any] = {
        "QueryString": sql,
        "QueryExecutionContext": {"Database": settings.database},
    }
    if settings.workgroup:
        if not _WORKGROUP.fullmatch(settings.workgroup):
            raise QueryFailed(f"not a workgroup's name: {settings.workgroup!r}")
        request["WorkGroup"] = settings.workgroup
    if settings.output:
        request["ResultConfiguration"] = {"OutputLocation": settings.output}
    query_id = str(athena.start_query_execution(**request)["QueryExecutionId"])
    meter.queries += 1
    running = True
    try:
        while True:
            pause.wait()
            execution = athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]
            statistics = execution.get("Statistics") or {}
            meter.scanned[query_id] = int(statistics.get("DataScannedInBytes", 0))
            state = execution["Status"]["State"]
            running = state not in ("SUCCEEDED", "FAILED", "CANCELLED")
            if state == "SUCCEEDED":
                return query_id
            if not running:
                why = execution["Status"].get("StateChangeReason", "no reason given")
                raise QueryFailed(f"Athena: a query ended {state}: {why}")
    finally:
        if running:
            attempt(partial(athena.stop_query_execution, QueryExecutionId=query_id))


def _rows(athena: Any, query_id: str) -> Iterator[list[str | None]]:
    """Yield the rows of a SELECT; the first of the first page has the columns' names."""
    token: dict[str, str] = {}
    heading = 1
    while True:
        answer = athena.get_query_results(
            QueryExecutionId=query_id, MaxResults=ROWS_PER_PAGE, **token
        )
        for row in answer["ResultSet"]["Rows"][heading:]:
            yield [cell.get("VarCharValue") for cell in row["Data"]]
        if not answer.get("NextToken"):
            return
        token, heading = {"NextToken": answer["NextToken"]}, 0


def _add(bins: Bins, row: list[str | None]) -> None:
    minute, interface_id, action, *sums, newest = row
    if newest is not None:
        bins.seen(int(newest))
    bins.add(int(minute or ""), interface_id or "", action or "", *(int(s or 0) for s in sums))
