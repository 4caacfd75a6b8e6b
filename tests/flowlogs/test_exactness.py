"""Every counter equals the truth, whatever happens on the way: a walk through all that can."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flowlogs.attribute import Allowed
from exporter.flowlogs.formats import from_log_format
from exporter.flowlogs.ingest import Ingest, Report
from exporter.flowlogs.sourcing import Settings
from exporter.flowlogs.tally import CLIENT_RECORDS, CLIENT_REJECTED, LINES, RECORDS
from exporter.publisher import Publisher
from exporter.store import FILE, CounterKey, Store
from tests.flowlogs.estate import (
    BEGIN,
    FOREVER,
    FORMAT,
    LOOKBACK,
    SCOPE,
    Estate,
    How,
    Line,
    Vpc,
)
from tests.flowlogs.insights_service import Insights

T = TypeVar("T")


class Killed(BaseException):
    """The process was killed."""


class Mortal(Store):
    """A store whose process may be killed right before or after a transaction."""

    draw = random.Random()
    danger = 0.0

    def write(self, statement: Callable[[Any], T], *rest: Any) -> T:
        before, after = (self.draw.random() < self.danger / 2 for _ in range(2))
        if before:
            raise Killed
        result = super().write(statement, *rest)
        if after:
            raise Killed
        return result


@dataclass
class Logs:
    """CloudWatch Logs: groups to be read, and one that queries count in."""

    estate: Estate
    group: str
    insights: Insights = field(default_factory=lambda: Insights(from_log_format(FORMAT), []))
    trouble: float = 0.0

    def filter_log_events(self, **call: Any) -> Any:
        return self.estate.logs.filter_log_events(**call)

    def start_query(self, **call: Any) -> Any:
        assert call["logGroupName"] == self.group
        self.insights.messages = [e["message"] for e in self.estate.logs.groups[self.group]]
        number = len(self.insights.calls)
        if self.estate.draw.random() < self.trouble:
            self.insights.ends[number] = "Failed"
        return self.insights.start_query(**call)

    def get_query_results(self, **call: Any) -> Any:
        return self.insights.get_query_results(**call)

    def stop_query(self, **call: Any) -> Any:
        return self.insights.stop_query(**call)


@dataclass
class Walk:
    """An exporter, of which nothing but its store survives a restart, in an estate."""

    directory: Path
    estate: Estate
    logs: Logs
    queried: Vpc
    source: str = "auto"
    notified: bool = False
    store: Mortal = field(init=False)
    ingest: Ingest = field(init=False)
    restarted: float = BEGIN

    def __post_init__(self) -> None:
        self.open(60)

    def open(self, budget: float) -> None:
        self.store = Mortal(self.directory)
        self.store.draw = self.estate.draw
        named = {self.queried.flow_logs[0][1].id: self.source}
        chosen = Settings(60, LOOKBACK, budget, Allowed("auto", named), 1e9)
        self.ingest = Ingest(SCOPE, self.store, lambda: self.estate.now, chosen, lambda _: None)
        self.restarted = self.estate.now

    def restart(self, budget: float = 60) -> None:
        self.store.close()
        self.open(budget)

    def clients(self, service: str) -> Any:
        return {"logs": self.logs, "s3": self.estate.buckets}[service]

    def run(self, age: float = 0.0) -> Report | None:
        """Make a pass with an index of that age; None when the process was killed in it.

        What was listed before the process began it does not have.
        """
        index = self.estate.index(max(self.estate.now - age, self.restarted))
        try:
            report = self.ingest.run(self.clients, index)
        except Killed:
            self.restart()
            return None
        for flow_log_id in index.flow_logs:
            self.estate.met.setdefault(flow_log_id, index.as_of)
        return report

    def notify(self, age: float = 0.0) -> None:
        """Hand over some of the notifications, as a queue does: what is not done comes again."""
        draw, index = self.estate.draw, self.estate.index(self.estate.now - age)
        draw.shuffle(self.estate.notices)
        some = self.estate.notices[: draw.randrange(1, 11)]
        if self.estate.now - age < self.restarted:
            return
        files = [file for file in some if self.ingest.expects(index, file)]
        try:
            done = self.ingest.notified(self.clients, index, files)
        except Killed:
            self.restart()
            return
        self.estate.notices = [x for x in self.estate.notices if x not in some or x.key not in done]

    def until_well(self) -> Report:
        """Make passes that nothing disturbs, until one has ended; return what it committed."""
        with self.undisturbed():
            report = self.run()
        assert report
        return report

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        before = self.store.danger, self.estate.buckets.trouble, self.logs.trouble
        fails = self.estate.logs.fail_after
        self.disturb(0, 0, None)
        yield
        self.disturb(before[0], before[1], fails)
        self.logs.trouble = before[2]

    def disturb(self, danger: float, trouble: float, fail_after: int | None) -> None:
        self.store.danger = danger
        self.estate.buckets.trouble = self.logs.trouble = trouble
        self.estate.logs.fail_after = fail_after


def step(walk: Walk) -> None:
    """Let some time pass, and something happen."""
    estate, draw = walk.estate, walk.estate.draw
    seconds = draw.choice([5, 20, 60, 60, 90, 200, 400])
    estate.traffic(seconds)
    estate.now += seconds
    if draw.random() < 0.05:
        estate.now += draw.choice([1000, 3000])  # the machine slept
    if draw.random() < 0.2:
        estate.phantom()
    if draw.random() < 0.2:
        estate.rewrite()
    estate.deliver()
    if draw.random() < 0.15:
        remove_endpoint(walk)
    if draw.random() < 0.1:
        replace_flow_log(walk)
    if draw.random() < 0.1:
        walk.notified = not walk.notified
    if draw.random() < 0.12:
        walk.source = draw.choice(["auto", "cloudwatch", "insights", "insights"])
        walk.restart()
    elif draw.random() < 0.1:
        walk.restart(draw.choice([-1, 60]))
    walk.disturb(
        draw.choice([0, 0, 0.05, 0.3]),
        draw.choice([0, 0, 0.3]),
        draw.choice([None, None, draw.randrange(12)]),
    )
    passes: list[Callable[[float], object]] = [walk.run] * (draw.random() < 0.8)
    if walk.notified:
        passes += [walk.notify] * draw.randrange(3)
    draw.shuffle(passes)
    for begin in passes:
        begin(draw.choice([0, 0, 30, 300]))


def remove_endpoint(walk: Walk) -> None:
    """Take an endpoint away after it was listed a last time; another one gets its address."""
    estate = walk.estate
    walk.until_well()
    there = [x for x in estate.interfaces if x.endpoint_id and x.gone == FOREVER]
    gone = estate.draw.choice(there)
    gone.gone = estate.now + 1
    estate.now += 2
    estate.endpoint(estate.vpcs[gone.vpc], gone.address)


def replace_flow_log(walk: Walk) -> None:
    """Add a flow log that speaks from now on; the old one goes on to deliver."""
    estate = walk.estate
    vpc = estate.draw.choice([v for v in estate.vpcs.values() if v is not walk.queried])
    if len(vpc.flow_logs) > 2:
        return
    same = vpc.flow_logs[0][1].destination if estate.draw.random() < 0.4 else ""
    estate.flow_log(vpc, vpc.how, same, subnet=estate.draw.random() < 0.5)


def walk_about(seed: int, steps: int, directory: Path) -> None:
    """Walk, then let everything come in, and compare."""
    draw = random.Random(seed)
    estate = Estate(draw)
    estate.logs.page, estate.logs.seed = draw.choice([2, 7, 50]), seed
    for how in ("logs", "text", "parquet", "text"):
        estate.vpc(how)
    queried = estate.vpc("logs")
    estate.queried = {queried.id}
    walk = Walk(directory, estate, Logs(estate, queried.flow_logs[0][1].destination), queried)
    walk.until_well()
    for vpc in estate.vpcs.values():
        if vpc is not queried:
            estate.old_record(vpc)
    for _ in range(steps):
        step(walk)
    walk.restart()
    walk.disturb(0, 0, None)
    for _ in range(16):
        estate.now += 300
        estate.deliver()
        if walk.notified:
            walk.notify()
        report = walk.run()
    assert not estate.pending
    assert report
    assert not report.problems()
    walk.store.close()
    compare(report, estate, queried)


def compare(report: Report, estate: Estate, queried: Vpc) -> None:
    """Compare every counter with the truth, and the lines' fates with what was delivered."""
    # A query does not tell of clients.
    endpoints = {x.endpoint_id for x in estate.interfaces if x.endpoint_id}
    untold = {x.endpoint_id for x in estate.interfaces if x.vpc == queried.id}

    def told(key: CounterKey) -> bool:
        return key.name not in (CLIENT_RECORDS, CLIENT_REJECTED) or key.subject not in untold

    counted = {k: n for k, n in report.counters.items() if k.subject in endpoints and n and told(k)}
    assert counted == {k: n for k, n in estate.truth.items() if n and told(k)}
    lines: Counter[str] = Counter()
    for vpc in estate.vpcs.values():
        for _, flow_log in vpc.flow_logs:
            lines[vpc.id] += sum(
                n for k, n in report.counters.items() if k[:2] == (flow_log.id, LINES)
            )
        if vpc is not queried:
            most = estate.sure[vpc.id] + estate.loose[vpc.id]
            assert estate.sure[vpc.id] <= lines[vpc.id] <= most, vpc


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32))
def test_every_counter_equals_the_truth(seed: int) -> None:
    """Late, doubled, rewritten, killed, replaced, reused: each record counts exactly once."""
    with tempfile.TemporaryDirectory() as directory:
        walk_about(seed, 20, Path(directory))


@pytest.mark.prove
@pytest.mark.timeout(1500)
@settings(max_examples=100)
@given(seed=st.integers(0, 2**32))
def test_every_counter_equals_the_truth_at_length(seed: int) -> None:
    """The same, longer and more often."""
    with tempfile.TemporaryDirectory() as directory:
        walk_about(seed, 60, Path(directory))


def small(directory: Path, *hows: How, budget: float = 60) -> Walk:
    """Return an exporter of a few VPCs, the first of which may be asked by query; it has begun."""
    estate = Estate(random.Random(1))
    queried = estate.vpc("logs")
    for how in hows:
        estate.vpc(how)
    walk = Walk(directory, estate, Logs(estate, queried.flow_logs[0][1].destination), queried)
    walk.restart(budget)
    walk.until_well()
    return walk


def records(report: Report | None) -> int:
    assert report
    return sum(n for key, n in report.counters.items() if key.name == RECORDS)


def put(walk: Walk, vpc: Vpc, start: float, due: float) -> None:
    """Have a record delivered at that time to every flow log of the VPC."""
    own = next(x for x in walk.estate.interfaces if x.vpc == vpc.id and x.endpoint_id)
    text = walk.estate.text(own.id, "10.9.9.9", own.address, "ACCEPT", 2, int(start), int(start))
    for _, flow_log in vpc.flow_logs:
        walk.estate.pending.append(Line(flow_log, vpc.id, start, start, due, text, True))


def test_an_older_copy_of_the_store_is_gone_on_from(tmp_path: Path) -> None:
    """What was counted since it was made is read again by the next pass, and counted once."""
    walk = small(tmp_path, "logs", "text", "parquet")
    file, older = tmp_path / FILE, tmp_path / "older"
    for number in range(12):
        walk.estate.traffic(60)
        walk.estate.now += 60
        walk.estate.deliver()
        walk.until_well()
        if number == 8:
            older.write_bytes(file.read_bytes())
            before = walk.until_well().counters
    walk.restart()  # its first pass reads everything that there is
    everything = walk.until_well().counters
    walk.until_well()
    assert before != everything
    older.replace(file)
    assert walk.until_well().counters == everything
    walk.store.close()


def test_what_a_log_group_has_still_to_tell_is_read_after_hours(tmp_path: Path) -> None:
    """A query took over, the machine slept: records from before the cut count all the same."""
    walk = small(tmp_path)
    walk.estate.now += 100
    put(walk, walk.queried, BEGIN + 50, BEGIN + 400)
    walk.source = "insights"
    walk.restart()
    walk.run()
    walk.estate.now += 3 * 3600
    walk.estate.deliver()
    assert records(walk.run()) == 1
    walk.store.close()


def test_what_a_query_has_still_to_tell_is_asked(tmp_path: Path) -> None:
    """Lines are read again: records from before the cut are still the query's to count."""
    walk = small(tmp_path)
    walk.source = "insights"
    walk.restart()
    walk.estate.now += 100
    walk.run()
    put(walk, walk.queried, BEGIN + 170, BEGIN + 500)
    walk.estate.now += 200
    walk.run()
    walk.source = "cloudwatch"
    walk.restart()
    walk.run()
    walk.estate.now += 300
    walk.estate.deliver()
    assert records(walk.run()) == 1
    walk.store.close()


def test_an_older_index_does_not_bring_back_the_flow_log_before(tmp_path: Path) -> None:
    """A pass that waited with an older listing counts by the younger one."""
    walk = small(tmp_path, "text")
    vpc = walk.estate.vpcs["vpc-2"]
    walk.estate.now += 60
    walk.estate.flow_log(vpc, "text")
    walk.estate.now += 60
    walk.run()
    put(walk, vpc, BEGIN + 130, BEGIN + 200)
    walk.estate.now += 200
    walk.estate.deliver()
    walk.run()
    assert records(walk.run(age=300)) == 1
    assert records(walk.run()) == 1
    walk.store.close()


def test_files_are_read_even_when_time_is_always_up(tmp_path: Path) -> None:
    """Files that are known are no progress: each pass reads a new one."""
    walk = small(tmp_path, "text", budget=-1)
    for i in range(12):
        put(walk, walk.estate.vpcs["vpc-2"], BEGIN + 1, BEGIN + 31 + 30 * i)
    walk.estate.now += 500
    walk.estate.deliver()
    for _ in range(12):
        report = walk.run()
    assert records(report) == 12
    walk.store.close()


def test_interfaces_are_remembered_while_their_records_are_to_be_read(tmp_path: Path) -> None:
    """An endpoint that went before a long outage has the records that were delivered in it."""
    walk = small(tmp_path)
    own = next(x for x in walk.estate.interfaces if x.endpoint_id)
    put(walk, walk.queried, BEGIN + 10, BEGIN + 300)
    walk.estate.now += 20
    walk.run()
    own.gone = walk.estate.now
    walk.estate.now += 5 * 3600
    walk.estate.deliver()
    assert records(walk.run()) == 1
    walk.store.close()


def test_no_report_takes_a_counter_back(tmp_path: Path) -> None:
    """Of reports that cross on their way to the publisher the one that was read later stands."""
    walk = small(tmp_path)
    publisher = Publisher(lambda: walk.estate.now, dict, lambda: True)
    publisher.watch(SCOPE)
    before, after = walk.ingest.committed(), walk.ingest.committed()
    for report in (after, before):
        publisher.put_report(SCOPE, report)
    assert publisher._held.reports[SCOPE] is after
    walk.store.close()
