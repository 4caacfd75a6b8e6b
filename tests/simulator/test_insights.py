"""Logs Insights: queries are really run over the events in the log groups."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.logs import logs_backends

from exporter.simulator import insights
from exporter.simulator.faults import Fault
from exporter.simulator.insights_query import read
from exporter.simulator.insights_values import Event, MalformedError, Millis
from exporter.simulator.server import Simulator
from exporter.simulator.state import ACCOUNT, REGION, World
from tests.simulator.conftest import Client, clients_of

GROUP, RICH, MANY = "/insights/default", "/insights/rich", "/insights/many"
# A whole minute, in seconds.
BEGIN = 1_700_000_040
LINES = [
    # Seconds after BEGIN, interface, source, port, packets, bytes, action.
    (0, "eni-a", "10.0.0.1", 443, 3, 300, "ACCEPT"),
    (59, "eni-a", "10.0.0.2", 443, 4, 400, "REJECT"),
    (60, "eni-a", "10.0.0.1", 8443, 5, 1500, "ACCEPT"),
    (61, "eni-b", "10.0.0.3", 443, 6, 60, "ACCEPT"),
    (120, "eni-b", "10.0.0.3", 443, 7, 70, "REJECT"),
]


def line(at: int, interface: str, source: str, port: int, packets: int, size: int, act: str) -> str:
    return (
        f"2 {ACCOUNT} {interface} {source} 10.0.9.9 40000 {port} 6 {packets} {size} "
        f"{BEGIN + at} {BEGIN + at + 60} {act} OK"
    )


@pytest.fixture(scope="module")
def logs() -> Iterator[tuple[Simulator, Any]]:
    world = World(keys={"AKIAIOSFODNN7EXAMPLE": ACCOUNT})
    world.log_groups[ACCOUNT, REGION] = [GROUP, RICH, MANY]
    simulator = Simulator(world)
    backend = logs_backends[ACCOUNT][REGION]
    for group, ending in ((GROUP, ""), (RICH, " vpc-1")):
        for row in LINES:
            stream = f"{row[1]}-all"
            if stream not in backend.groups[group].streams:
                backend.create_log_stream(group, stream)
            backend.groups[group].streams[stream].put_log_events(
                [{"timestamp": (BEGIN + row[0]) * 1000, "message": line(*row) + ending}]
            )
    nothing = f"2 {ACCOUNT} eni-c - - - - - - - {BEGIN} {BEGIN + 60} - NODATA"
    for group in (GROUP, RICH):
        backend.create_log_stream(group, "eni-c-all")
        backend.groups[group].streams["eni-c-all"].put_log_events(
            [
                {
                    "timestamp": BEGIN * 1000 + 999,
                    "message": nothing + ("" if group == GROUP else " -"),
                }
            ]
        )
    backend.create_log_stream(MANY, "many")
    backend.groups[MANY].streams["many"].put_log_events(
        [{"timestamp": BEGIN * 1000, "message": f"{i}"} for i in range(10_050)]
    )
    simulator.start(clock=False)
    client: Client = clients_of(simulator)
    yield simulator, client("logs")
    simulator.stop()


def start(logs: Any, query: str, *groups: str, begin: int = 0, end: int = 600, **more: Any) -> str:
    query_id: str = logs.start_query(
        logGroupNames=list(groups or (GROUP,)),
        startTime=BEGIN + begin,
        endTime=BEGIN + end,
        queryString=query,
        **more,
    )["queryId"]
    return query_id


def ask(logs: Any, query: str, *groups: str, **more: Any) -> Any:
    """Return the whole answer of a query that has completed."""
    query_id = start(logs, query, *groups, **more)
    assert logs.get_query_results(queryId=query_id)["status"] == "Running"
    answer = logs.get_query_results(queryId=query_id)
    assert answer["status"] == "Complete"
    return answer


def rows(answer: Any) -> list[dict[str, str]]:
    return [
        {f["field"]: f["value"] for f in row if f["field"] != "@ptr"} for row in answer["results"]
    ]


def test_stats_by_minute(logs: tuple[Simulator, Any]) -> None:
    """Discovered fields are summed by interface, action and minute."""
    answer = ask(
        logs[1],
        """
        # What the interfaces had.
        filter interfaceId in ["eni-a", 'eni-b'] and logStatus = "OK"
        | stats count(*) as records, sum(bytes) as b, max(packets) as most, min(packets)
            by bin(1m) as minute, interfaceId, action
        | sort minute asc, action desc, interfaceId
        """,
    )
    keys = ("minute", "interfaceId", "action", "records", "b", "most", "min(packets)")
    assert rows(answer) == [
        dict(zip(keys, row, strict=True))
        for row in (
            ("2023-11-14 22:14:00.000", "eni-a", "REJECT", "1", "400", "4", "4"),
            ("2023-11-14 22:14:00.000", "eni-a", "ACCEPT", "1", "300", "3", "3"),
            ("2023-11-14 22:15:00.000", "eni-a", "ACCEPT", "1", "1500", "5", "5"),
            ("2023-11-14 22:15:00.000", "eni-b", "ACCEPT", "1", "60", "6", "6"),
            ("2023-11-14 22:16:00.000", "eni-b", "REJECT", "1", "70", "7", "7"),
        )
    ]
    statistics = answer["statistics"]
    assert (statistics["recordsMatched"], statistics["recordsScanned"]) == (5, 6)
    assert statistics["resultCount"] == 5
    size = sum(len(line(*row)) for row in LINES)
    assert size < statistics["bytesScanned"] < size + 100


def test_parse(logs: tuple[Simulator, Any]) -> None:
    """A custom format has no fields but those that parse finds; globs end at the next literal."""
    assert rows(ask(logs[1], "filter ispresent(interfaceId) | stats count(*) as n", RICH)) == [
        {"n": "0"}
    ]
    answer = ask(
        logs[1],
        'parse @message "* * * * * * * * * * * * * * *" as v, acct, eni, src, dst, sport, dport, '
        "proto, pkts, size, begin, finish, act, status, vpc "
        "| filter status like /^O./ and not (act = 'REJECT' or dport > 443) "
        "| stats sum(size) as total by eni, vpc | sort total desc",
        RICH,
    )
    assert rows(answer) == [
        {"eni": "eni-a", "vpc": "vpc-1", "total": "300"},
        {"eni": "eni-b", "vpc": "vpc-1", "total": "60"},
    ]
    named = ask(
        logs[1], r"parse @message /(?<eni>eni-\w+) (?<src>[\d.]+)/ | stats count(src) by eni"
    )
    assert {r["eni"]: r["count(src)"] for r in rows(named) if "eni" in r} == {
        "eni-a": "3",
        "eni-b": "2",
    }


def test_fields(logs: tuple[Simulator, Any]) -> None:
    """Without stats the rows are events, the latest first, with what has been asked for."""
    answer = ask(logs[1], "fields @timestamp, srcAddr, bytes * 8 as bits | filter bytes >= 300")
    assert rows(answer) == [
        {"@timestamp": "2023-11-14 22:15:00.000", "srcAddr": "10.0.0.1", "bits": "12000"},
        {"@timestamp": "2023-11-14 22:14:59.000", "srcAddr": "10.0.0.2", "bits": "3200"},
        {"@timestamp": "2023-11-14 22:14:00.000", "srcAddr": "10.0.0.1", "bits": "2400"},
    ]
    assert all(row[-1]["field"] == "@ptr" for row in answer["results"])
    plain = rows(ask(logs[1], "filter @logStream like 'eni-b' | sort bytes | limit 1"))
    assert [set(r) for r in plain] == [{"@timestamp", "@message"}]
    assert " 60 " in plain[0]["@message"]


@pytest.mark.parametrize(
    ("begin", "end", "expected"), [(0, 59, 3), (0, 60, 4), (1, 120, 4), (60, 60, 1), (121, 130, 0)]
)
def test_both_ends_are_inclusive(
    logs: tuple[Simulator, Any], begin: int, end: int, expected: int
) -> None:
    """A query has what lies between its ends, to the last millisecond of the last second."""
    answer = ask(logs[1], "stats count(*) as n", begin=begin, end=end)
    assert rows(answer) == [{"n": str(expected)}]


def test_limits_cut(logs: tuple[Simulator, Any]) -> None:
    """A limit cuts; without one there are 10,000 rows; a greater one is read in pages."""
    one, other = "stats count(*) by interfaceId | limit 2", "stats count(*) by interfaceId"
    assert len(ask(logs[1], one)["results"]) == 2
    assert len(ask(logs[1], other, limit=1)["results"]) == 1
    answer = ask(logs[1], "fields @message", MANY)
    assert len(answer["results"]) == 10_000
    assert answer["statistics"]["recordsMatched"] == 10_050
    assert "nextToken" not in answer
    query_id = start(logs[1], "stats count(*) by @message | limit 20000", MANY)
    partly = logs[1].get_query_results(queryId=query_id)
    assert partly["status"] == "Running"
    assert len(partly["results"]) < 10_050
    first = logs[1].get_query_results(queryId=query_id)
    rest = logs[1].get_query_results(queryId=query_id, nextToken=first["nextToken"])
    assert (len(first["results"]), len(rest["results"])) == (10_000, 50)
    assert "nextToken" not in rest


def test_stop(logs: tuple[Simulator, Any]) -> None:
    """A query that runs can be stopped, and one that has ended cannot."""
    query_id = start(logs[1], "stats count(*)")
    assert logs[1].stop_query(queryId=query_id)["success"]
    assert logs[1].get_query_results(queryId=query_id)["status"] == "Cancelled"
    with pytest.raises(ClientError, match="InvalidParameterException"):
        logs[1].stop_query(queryId=query_id)


@pytest.mark.parametrize(
    ("code", "query", "groups", "more"),
    [
        ("MalformedQueryException", "stats count(*", [GROUP], {}),
        ("ResourceNotFoundException", "stats count(*)", ["/insights/none"], {}),
        ("InvalidParameterException", "stats count(*)", [GROUP] * 51, {}),
        ("InvalidParameterException", "stats count(*)", [GROUP], {"begin": 9, "end": 8}),
        ("InvalidParameterException", "stats count(*)", [GROUP], {"logGroupName": GROUP}),
    ],
)
def test_refusals(
    logs: tuple[Simulator, Any], code: str, query: str, groups: list[str], more: dict[str, Any]
) -> None:
    """A query that cannot be read or run is refused at its start."""
    with pytest.raises(ClientError, match=code):
        start(logs[1], query, *groups, **more)


def test_too_many_at_once(logs: tuple[Simulator, Any]) -> None:
    """So many queries run at a time, and one more is refused."""
    started = [start(logs[1], "stats count(*)", end=1) for _ in range(insights.MOST_AT_ONCE)]
    with pytest.raises(ClientError, match="LimitExceededException"):
        start(logs[1], "stats count(*)", end=1)
    for query_id in started:
        logs[1].stop_query(queryId=query_id)


def test_faults(logs: tuple[Simulator, Any]) -> None:
    """What Insights answers can be made to fail like everything else."""
    simulator, client = logs
    simulator.faults.faults = [Fault("throttled", "logs", "StartQuery", times=1)]
    with pytest.raises(ClientError, match="ThrottlingException"):
        start(client, "stats count(*)")
    assert rows(ask(client, "stats count(*) as n")) == [{"n": "6"}]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "fields",
        "fields a b",
        "filter",
        "filter a = ",
        "filter a in b",
        "filter a not b",
        "filter nothing(a)",
        "filter ispresent(a, b)",
        "filter a like /(/",
        "filter a = ;",
        "stats",
        "stats bytes",
        "stats median(a)",
        "stats count(*) by bin(5)",
        "stats count(*) by bin(0m)",
        'parse @message "* *" as one',
        "limit 0",
        "limit many",
        "fields a |",
        "delete a",
    ],
)
def test_what_cannot_be_read(query: str) -> None:
    """A query that is not of the language says so, and does not do half of it."""
    with pytest.raises(MalformedError):
        read(query)


EVENTS: list[Event] = [
    {"@timestamp": Millis(1000), "@message": "a", "n": "9", "s": "x"},
    {"@timestamp": Millis(2000), "@message": "b", "n": "10", "s": "y"},
    {"@timestamp": Millis(3000), "@message": "c", "n": "-"},
]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("n < 10", "a"),
        ("n >= 9 and n != 10", "a"),
        ("n = '-'", "c"),
        ("s = 'x' or @message = 'c'", "ac"),
        ("not s = 'x'", "bc"),
        ("s != 'x'", "bc"),
        ("ispresent(s)", "ab"),
        ("not ispresent(s)", "c"),
        ("s in ['y', 'z']", "b"),
        ("s not in ['y', 'z']", "ac"),
        ("n in [9, 10]", "ab"),
        ("@message like /[ab]/ and s not like 'x'", "b"),
        ("@message =~ /A|c/", "c"),
        ("n + 1 = 10 or (n - 1) * 2 = 18", "ab"),
        ("n % 2 = 0", "b"),
        ("n / 0 = 0", ""),
        ("@timestamp > 2000", "c"),
        ("coalesce(s, 'none') = 'none'", "c"),
        ("`n` = 9 # and a comment", "a"),
        ("concat(s, n) = 'x9'", "a"),
        ("-n = -9", "a"),
    ],
)
def test_conditions(condition: str, expected: str) -> None:
    """Numbers compare as numbers, the rest as text; what is missing equals nothing."""
    rows, matched = read(f"filter {condition} | sort @timestamp").run(EVENTS)
    assert "".join(str(r["@message"]) for r in rows) == expected
    assert matched == len(expected)


def test_aggregates() -> None:
    """Sums are of numbers only; extremes also of text; keys may be missing."""
    query = "stats sum(n) as total, avg(n), max(s), min(n), count(s), count_distinct(s) as d by q"
    (row,), _ = read(query).run(EVENTS)
    assert row == {
        "total": 19,
        "avg(n)": 9.5,
        "max(s)": "y",
        "min(n)": 9,
        "count(s)": 2,
        "d": 2,
    }
