"""Logs Insights: whatever is split, paged or in flight, the bins are those of plain Python."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from exporter.aws.errors import AWS_ERRORS, unavailable
from exporter.flowlogs.formats import Format, from_log_format
from exporter.flowlogs.sources import insights
from exporter.flowlogs.sources.pushdown import Answer, Incomplete, Meter, QueryFailed, dollars
from tests.flowlogs.binned import BEGIN, INTERFACES, LAYOUT_IDS, LAYOUTS, line, lines, sinces, truth
from tests.flowlogs.insights_service import Insights

DEFAULT, FLAGS = LAYOUTS[0], LAYOUTS[1]


def ask(service: Insights, **more: Any) -> Answer:
    known: dict[str, Any] = {
        "interfaces": INTERFACES,
        "first": BEGIN,
        "last": BEGIN + 599,
        "since": 0,
        "sleep": lambda _: None,
    }
    return insights.ask(service, "/group", service.layout, **(known | more))


@pytest.mark.parametrize("layout", LAYOUTS, ids=LAYOUT_IDS)
@given(data=st.data())
def test_bins_equal_a_plain_group_by(layout: Format, data: st.DataObject) -> None:
    """Random records, windows, limits, pages and names: every bin once, and nothing else."""
    messages = data.draw(lines(layout))
    first = BEGIN + 60 * data.draw(st.integers(0, 5))
    last = first + 60 * data.draw(st.integers(1, 10)) - 1
    since = data.draw(sinces(600))
    interfaces = data.draw(st.lists(st.sampled_from(INTERFACES), max_size=4))
    service = Insights(
        layout,
        messages,
        page=data.draw(st.integers(1, 9)),
        polls=data.draw(st.integers(0, 3)),
        end_name=data.draw(st.sampled_from(["endTime", "end"])),
        dashes=data.draw(st.booleans()),
    )
    in_flight = data.draw(st.integers(1, 5))
    answer = ask(
        service,
        interfaces=interfaces,
        first=first,
        last=last,
        since=since,
        # More than the rows of one interface and minute: two actions, eight flags, two gaps.
        limit=data.draw(st.integers(5 if layout.tcp_flags is None else 19, 60)),
        in_flight=in_flight,
    )
    assert (answer.bins, answer.newest) == truth(
        layout, messages, interfaces, max(first, since), last
    )
    assert answer.queries == len(service.calls)
    assert answer.scanned == 100 * answer.queries
    assert service.most_running <= in_flight
    assert not service.running


@pytest.mark.parametrize(
    ("interfaces", "limit"), [(INTERFACES, 9), (INTERFACES[:1], 13)], ids=["interfaces", "minutes"]
)
def test_a_full_result_is_split_until_it_is_whole(interfaces: tuple[str, ...], limit: int) -> None:
    """Minutes, then interfaces: nothing at the edge of a piece is lost or counted twice."""
    messages = [
        line(FLAGS, interface_id=i, start=start, end=start, action=action, log_status="OK",
             tcp_flags=flags)
        for i in INTERFACES for minute in range(10) for flags in range(4)
        for action in ("ACCEPT", "REJECT")
        for start in (BEGIN + 60 * minute, BEGIN + 60 * minute + 59)
    ]  # fmt: skip
    service = Insights(FLAGS, messages)
    answer = ask(service, interfaces=interfaces, limit=limit)
    assert len(answer.bins) == 20 * len(interfaces)
    assert {b.records for b in answer.bins} == {8}
    assert {(b.action, b.refused) for b in answer.bins} == {("ACCEPT", 0), ("REJECT", 4)}
    assert len(service.calls) > 10


def test_a_window_is_asked_for_in_pieces_that_are_likely_to_fit() -> None:
    """A result that is too large was paid for in vain, so long windows are cut beforehand."""
    service = Insights(DEFAULT, [])
    ask(service, last=BEGIN + 86_399, interfaces=[f"eni-{i:017x}" for i in range(100)])
    assert len(service.calls) == -(-1440 // 50)
    ends = sorted((c["startTime"], c["endTime"]) for c in service.calls)
    assert ends[0][0] == BEGIN
    assert ends[-1][1] == BEGIN + 86_399
    assert all(a[1] + 1 == b[0] for a, b in pairwise(ends))


def test_what_cannot_be_split_is_incomplete() -> None:
    """One interface, one minute, still at the limit: an error, not a count."""
    messages = [
        line(DEFAULT, interface_id="eni-0a1", start=BEGIN, end=BEGIN, action=action,
             log_status="OK")
        for action in ("ACCEPT", "REJECT")
    ]  # fmt: skip
    with pytest.raises(Incomplete, match="eni-0a1"):
        ask(Insights(DEFAULT, messages), limit=2)


def test_many_interfaces_are_asked_for_in_queries_of_legal_length() -> None:
    """Each interface is in one query; every query stays under AWS's 10,000 characters."""
    wanted = [f"eni-{i:017x}" for i in range(1000)]
    service = Insights(FLAGS, [])
    ask(service, interfaces=wanted, last=BEGIN + 59)
    assert len(service.calls) == 3
    asked = [i for c in service.calls for i in wanted if f'"{i}"' in c["queryString"]]
    assert sorted(asked) == wanted


@pytest.mark.parametrize("status", ["Failed", "Cancelled", "Timeout"])
def test_a_failed_query_fails_the_question(status: str) -> None:
    """The others are stopped, the reason is told, and what was scanned is known all the same."""
    service = Insights(FLAGS, [], polls=5, ends={1: status})
    meter = Meter()
    service.get_query_results = uneven(service, {"1": 1})  # type: ignore[method-assign]
    with pytest.raises(AWS_ERRORS) as failure:
        ask(service, limit=1, meter=meter)
    assert status in unavailable(failure.value).reason
    assert set(service.stopped) >= {"0", "2", "3", "4"}
    assert not service.running
    assert meter.queries == 5
    assert meter.total >= 100


def uneven(service: Insights, polls: Mapping[str, int]) -> Any:
    real = service.get_query_results

    def get(queryId: str, **more: Any) -> dict[str, Any]:  # noqa: N803
        if queryId in service.running:
            service.running[queryId] = min(service.running[queryId], polls.get(queryId, 9))
        return real(queryId, **more)

    return get


def test_a_query_that_never_ends_is_given_up() -> None:
    """After the patience it is stopped; the pauses grow to a few seconds."""
    pauses: list[float] = []
    service = Insights(DEFAULT, [], polls=10**6)
    with pytest.raises(QueryFailed, match="no result"):
        ask(service, sleep=pauses.append, patience=60)
    assert service.stopped == ["0"]
    assert pauses == sorted(pauses)
    assert 60 <= sum(pauses) <= 65
    assert max(pauses) == 5


def test_errors_of_aws_pass_and_leave_nothing_running() -> None:
    """A start that is refused stops what was started before."""
    service = Insights(DEFAULT, [], allowed=2, refusal="AccessDeniedException")
    with pytest.raises(ClientError):
        ask(service, limit=1)
    assert service.stopped == ["0", "1"]


def test_queries_wait_their_turn_where_aws_lets_no_more_run() -> None:
    """The account's limit is no failure while a query of our own goes on and makes room."""
    service = Insights(DEFAULT, [], allowed=2)
    ask(service, limit=1)
    assert len(service.calls) == 10
    assert service.most_running == 2
    with pytest.raises(ClientError):
        ask(Insights(DEFAULT, [], allowed=0))


def test_only_interfaces_are_asked_for() -> None:
    """Nothing but the id of an interface gets into a query; without any there is no query."""
    service = Insights(DEFAULT, [])
    for bad in ('eni-1"] | limit 1 #', "vpce-1", "eni-", "eni-1\n"):
        with pytest.raises(QueryFailed, match="not an interface"):
            ask(service, interfaces=[bad])
    assert ask(service, interfaces=[]) == Answer((), None, 0, 0)
    assert ask(service, since=BEGIN + 600) == Answer((), None, 0, 0)
    assert service.calls == []


def test_lines_of_another_layout_are_not_counted() -> None:
    """A longer or shorter line in the same group is none of this layout's."""
    short = from_log_format("${interface-id} ${action} ${start} ${end}")
    message = line(short, interface_id="eni-0a1", action="ACCEPT", start=BEGIN, end=BEGIN + 9)
    answer = ask(Insights(short, [message, message + " 2 443", message]))
    assert [b.records for b in answer.bins] == [2]


def test_the_price() -> None:
    """A gigabyte of Logs Insights; Athena's terabyte and its least bytes a query."""
    assert dollars("insights", 10**9) == pytest.approx(0.005)
    assert dollars("athena", 10**12) == pytest.approx(5)
    assert dollars("athena", 1, queries=2) == pytest.approx(2 * 10 * 2**20 / 10**12 * 5)
