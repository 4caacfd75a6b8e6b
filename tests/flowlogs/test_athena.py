"""Athena: whatever the layout of the files, the bins are those of plain Python."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.aws.errors import AWS_ERRORS, unavailable
from exporter.flowlogs.formats import Format
from exporter.flowlogs.sources import athena
from exporter.flowlogs.sources.athena_table import table
from exporter.flowlogs.sources.pushdown import Answer, Meter, QueryFailed
from exporter.model import FlowLog
from tests.flowlogs.athena_service import Athena
from tests.flowlogs.binned import BEGIN, INTERFACES, LAYOUT_IDS, LAYOUTS, line, lines, sinces, truth

DEFAULT, FLAGS = LAYOUTS[0], LAYOUTS[1]
ACCOUNT, REGION = "111122223333", "eu-west-1"
SETTINGS = athena.Settings("privatelink", "flow_logs", "s3://results/athena/")
FLOW_LOG = FlowLog("fl-0a1", "vpc-1", "ALL", "s3", "arn:aws:s3:::logs/some/prefix/", "")
TEXTS = {"version", "interface_id", "action", "log_status", "vpc_id"}


def ask(
    service: Athena, flow_log: FlowLog = FLOW_LOG, layout: Format = DEFAULT, **more: Any
) -> Answer:
    known: dict[str, Any] = {
        "interfaces": INTERFACES,
        "first": BEGIN,
        "last": BEGIN + 599,
        "since": 0,
        "sleep": lambda _: None,
    }
    known |= more
    return athena.ask(service, SETTINGS, flow_log, layout, ACCOUNT, REGION, **known)


def folder(flow_log: FlowLog, slot: float) -> str:
    """The folder of a slot of delivery, as AWS describes it."""
    when = datetime.fromtimestamp(slot, UTC)
    if flow_log.hive:
        path = f"aws-account-id={ACCOUNT}/aws-service=vpcflowlogs/aws-region={REGION}/"
        path += when.strftime("year=%Y/month=%m/day=%d/")
        path += when.strftime("hour=%H/") if flow_log.per_hour else ""
    else:
        path = f"{ACCOUNT}/vpcflowlogs/{REGION}/{when:%Y/%m/%d/}"
        path += when.strftime("%H/") if flow_log.per_hour else ""
    prefix = flow_log.destination.partition(":::")[2].rstrip("/")
    return f"s3://{prefix}/AWSLogs/{path}"


def deliver(service: Athena, flow_log: FlowLog, layout: Format, message: str, late: int) -> None:
    """Put a line into the file of its slot of five minutes, `late` slots after its end."""
    end = int(message.split(" ")[layout.end])
    slot = end // 300 * 300 + 300 * late
    name = f"{ACCOUNT}_vpcflowlogs_{REGION}_fl-0a1_{slot}_0a.log.gz"
    names = [field.replace("-", "_") for field in layout.fields]
    if flow_log.file_format == "parquet":
        row = {
            n: (v if n in TEXTS else None if v == "-" else int(v))
            for n, v in zip(names, message.split(" "), strict=True)
        }
        service.objects.setdefault(folder(flow_log, slot) + name, []).append(row)
    else:
        content = service.objects.setdefault(
            folder(flow_log, slot) + name, [" ".join(layout.fields)]
        )
        content.append(message)


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
@settings(max_examples=25)
@given(data=st.data())
def test_bins_equal_a_plain_group_by(layout: Format, data: st.DataObject) -> None:
    """Random records, files, windows and pages, over the end of a day: every bin once."""
    flow_log = replace(
        FLOW_LOG,
        file_format=data.draw(st.sampled_from(["", "plain-text", "parquet"])),
        hive=data.draw(st.booleans()),
        per_hour=data.draw(st.booleans()),
        destination=data.draw(st.sampled_from(["arn:aws:s3:::logs", FLOW_LOG.destination])),
    )
    service = Athena(page=data.draw(st.integers(1, 9)), polls=data.draw(st.integers(0, 3)))
    messages = data.draw(lines(layout, span=9000))  # from 22:00 to 00:30
    for message in messages:
        deliver(service, flow_log, layout, message, data.draw(st.integers(0, 3)))
    first = BEGIN + 60 * data.draw(st.integers(0, 150))
    last = first + 60 * data.draw(st.integers(1, 150)) - 1
    since = data.draw(sinces(9000))
    interfaces = data.draw(st.lists(st.sampled_from(INTERFACES), max_size=4))
    answer = ask(
        service,
        flow_log,
        layout,
        interfaces=interfaces,
        first=first,
        last=last,
        since=since,
        interfaces_per_query=data.draw(st.integers(1, 3)),
    )
    assert (answer.bins, answer.newest) == truth(
        layout, messages, interfaces, max(first, since), last
    )
    assert answer.queries == sum("SELECT" in c["QueryString"] for c in service.calls)
    assert answer.scanned == 1000 * answer.queries


def test_the_window_has_both_its_ends() -> None:
    """The first and the last second are in it, those beside them are not, nor what is too old."""
    service = Athena()
    for start in (BEGIN - 1, BEGIN, BEGIN + 1, BEGIN + 59, BEGIN + 60):
        message = line(
            DEFAULT,
            interface_id="eni-0a1",
            start=start,
            end=start,
            action="ACCEPT",
            log_status="OK",
        )
        deliver(service, FLOW_LOG, DEFAULT, message, 0)
    for since, records in ((0, 3), (BEGIN, 3), (BEGIN + 0.5, 2), (BEGIN + 1, 2), (BEGIN + 1.5, 1)):
        answer = ask(service, last=BEGIN + 59, since=since)
        assert [(b.minute, b.records) for b in answer.bins] == [(BEGIN, records)]
        assert answer.newest == BEGIN + 59


HOURS = ["2024/02/28/23", "2024/02/29/22", "2024/02/29/23", "2024/03/01/00", "2024/03/01/01"]


@pytest.mark.parametrize(
    ("per_hour", "window", "read"),
    [
        (True, ("2024-02-29T22:00:00", "2024-02-29T22:59:59"), HOURS[1:3]),
        (True, ("2024-02-29T22:59:00", "2024-02-29T23:00:59"), HOURS[1:4]),
        (True, ("2024-02-29T23:00:00", "2024-02-29T23:00:59"), HOURS[2:4]),
        (False, ("2024-02-29T00:00:00", "2024-02-29T00:00:59"), ["2024/02/29", "2024/03/01"]),
        (False, ("2024-02-28T23:59:00", "2024-02-28T23:59:59"), ["2024/02/28", "2024/02/29"]),
    ],
)
def test_only_the_needed_partitions_are_read(
    per_hour: bool, window: tuple[str, str], read: list[str]
) -> None:
    """Those of the window and one more: a record is delivered after it starts."""
    flow_log = replace(FLOW_LOG, per_hour=per_hour)
    service = Athena()
    for hour in HOURS:
        slot = datetime.strptime(hour, "%Y/%m/%d/%H").replace(tzinfo=UTC).timestamp()
        message = line(DEFAULT, interface_id="eni-0a1", start=int(slot), end=int(slot))
        deliver(service, flow_log, DEFAULT, message, 0)
    first, last = (int(datetime.fromisoformat(t).replace(tzinfo=UTC).timestamp()) for t in window)
    ask(service, flow_log, first=first, last=last)
    assert sorted(service.read) == read


def test_a_statement_says_where_it_runs() -> None:
    """Workgroup, database and output are those configured; without them the workgroup decides."""
    service = Athena()
    ask(service)
    for call in service.calls:
        assert call["WorkGroup"] == "privatelink"
        assert call["QueryExecutionContext"] == {"Database": "flow_logs"}
        assert call["ResultConfiguration"] == {"OutputLocation": "s3://results/athena/"}
    bare = athena.Settings("", "flow_logs", "")
    athena.ask(service, bare, FLOW_LOG, DEFAULT, ACCOUNT, REGION, INTERFACES, 0, 59, 0, print)
    assert set(service.calls[-1]) == {"QueryString", "QueryExecutionContext"}


def test_a_changed_layout_is_another_table() -> None:
    """The name changes with format, place and options, and with nothing else."""
    same = replace(FLOW_LOG, aggregation=60, destination="arn:aws:s3:::logs/some/prefix")
    assert table(same, DEFAULT, ACCOUNT, REGION) == table(FLOW_LOG, DEFAULT, ACCOUNT, REGION)
    options: list[dict[str, Any]] = [
        {
            "hive": hive,
            "per_hour": per_hour,
            "file_format": kind,
            "destination": f"arn:aws:s3:::{to}",
        }
        for hive, per_hour, kind, to in product(
            (False, True), (False, True), ("plain-text", "parquet"), ("logs", "logs/a")
        )
    ]
    names = {
        table(replace(FLOW_LOG, **o), layout, ACCOUNT, REGION).name
        for o in options
        for layout in LAYOUTS
    }
    assert len(names) == 16 * len(LAYOUTS)
    assert all(name.startswith("privatelink_fl_0a1_") for name in names)


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED"])
def test_a_failed_query_fails_the_question(state: str) -> None:
    """The reason is Athena's; what was scanned is known all the same; nothing is stopped."""
    service, meter = Athena(ends={1: state}), Meter()
    with pytest.raises(AWS_ERRORS) as failure:
        ask(service, meter=meter)
    assert f"{state}: because" in unavailable(failure.value).reason
    assert (meter.queries, meter.total, service.stopped) == (1, 1000, [])


def test_a_query_that_never_ends_is_stopped() -> None:
    """After the patience, and when a poll fails."""
    service = Athena(polls=10**6)
    with pytest.raises(QueryFailed, match="no result"):
        ask(service, patience=60)
    assert service.stopped == ["0"]

    def broken(**_: object) -> None:
        raise OSError("connection reset")

    service.get_query_execution = broken  # type: ignore[assignment]
    with pytest.raises(OSError, match="connection reset"):
        ask(service)
    assert service.stopped == ["0", "1"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"id": "fl-1`; DROP"}, "flow log's id"),
        ({"destination": "arn:aws:s3:::Lo'gs"}, "bucket's name"),
        ({"destination": "arn:aws:s3:::logs/a'b"}, "prefix"),
        ({"destination": "arn:aws:s3:::logs/${a}"}, "prefix"),
        ({"destination": "/log/group"}, "bucket's name"),
        ({"destination": "arn:aws:sqs:::logs"}, "bucket's ARN"),
    ],
)
def test_what_cannot_be_quoted_is_refused(changed: dict[str, str], message: str) -> None:
    """Words that others wrote enter no statement unless they are of the right form."""
    service = Athena()
    with pytest.raises(QueryFailed, match=message):
        ask(service, replace(FLOW_LOG, **changed))  # type: ignore[arg-type]
    assert service.calls == []


def test_only_interfaces_are_asked_for() -> None:
    """Nothing but the id of an interface gets into a query; without any there is no query."""
    service = Athena()
    with pytest.raises(QueryFailed, match="not an interface"):
        ask(service, interfaces=["eni-1') OR ('1' = '1"])
    for settings_ in (athena.Settings("", "a`b", ""), athena.Settings("a b", "ab", "")):
        with pytest.raises(QueryFailed, match="name"):
            athena.ask(
                service, settings_, FLOW_LOG, DEFAULT, ACCOUNT, REGION, INTERFACES, 0, 59, 0, print
            )
    assert ask(service, interfaces=[]) == Answer((), None, 0, 0)
    assert ask(service, since=BEGIN + 600) == Answer((), None, 0, 0)
    assert service.calls == []
