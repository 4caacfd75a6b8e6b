"""Counting exactly once: late, re-read, interrupted, restarted."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flowlogs.attribute import Allowed, Index, Own, Place, Resource
from exporter.flowlogs.ingest import Clients, Ingest, Report
from exporter.flowlogs.sources import s3
from exporter.flowlogs.sourcing import Settings
from exporter.flowlogs.tally import LINES, RECORDS, REJECTED_CONNECTIONS
from exporter.model import ACTIONS, FlowLog, Scope
from exporter.store import Batch, CounterKey, Seen, Store, StoreError
from tests.flowlogs.log_group import LogGroups

SCOPE = Scope("111122223333", "eu-west-1")
FORMAT = "${interface-id} ${action} ${start} ${end} ${bytes} ${tcp-flags} ${log-status}"
FLOW_LOG = FlowLog(
    "fl-1", "vpc-1", "ALL", "cloud-watch-logs", "/group", FORMAT, 60, "ACTIVE", "SUCCESS"
)
BEGIN = 1_700_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A store of its own for each test."""
    opened = Store(tmp_path)
    yield opened
    opened.close()


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = BEGIN

    def __call__(self) -> float:
        return self.now


HERE = Place("vpc-1", "subnet-1")


def make_index(as_of: float, *flow_logs: FlowLog, own: bool = True) -> Index:
    """Return an index in which the first of the flow logs speaks."""
    flow_logs = flow_logs or (FLOW_LOG,)
    chosen: dict[Resource, FlowLog] = {("vpc-1", action): flow_logs[0] for action in ACTIONS}
    return Index(
        as_of,
        {"eni-1": Own("vpce-1", HERE, ("10.0.0.1",))} if own else {},
        {"eni-1": HERE} if own else {},
        chosen,
        {f.id: f for f in flow_logs},
        {f.id: "vpc-1" for f in flow_logs},
    )


def make_ingest(store: Store, clock: Clock, lookback: float = 1800, budget: float = 60) -> Ingest:
    return Ingest(SCOPE, store, clock, Settings(60, lookback, budget))


def clients(logs: object) -> Clients:
    """Return clients of which only that of CloudWatch Logs answers."""
    return {"logs": logs}.__getitem__


def record(start: float, action: str = "REJECT", eni: str = "eni-1", seconds: int = 60) -> str:
    return f"{eni} {action} {start:.0f} {start + seconds:.0f} 40 2 OK"


def counted(report: Report, action: str = "REJECT") -> int | None:
    return report.counters.get(CounterKey("vpce-1", RECORDS, action))


def lines(report: Report, flow_log: str = "fl-1") -> dict[str, int]:
    return {
        key.label: n
        for key, n in report.counters.items()
        if key.name == LINES and key.subject == flow_log and n
    }


def test_covered_counters_begin_at_zero(store: Store) -> None:
    """What a flow log covers is 0 after the first whole read, and nothing before."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    ingest = make_ingest(store, clock)
    assert ingest.committed().counters == {}
    report = ingest.run(clients(logs), make_index(clock.now))
    assert counted(report) == 0
    assert counted(report, "ACCEPT") == 0
    assert report.counters[CounterKey("vpce-1", REJECTED_CONNECTIONS, "")] == 0
    assert set(lines(report)) == set()


def test_each_line_has_one_fate(store: Store) -> None:
    """Counted, before the start, other, gaps, malformed: each line once, however often read."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(clock.now))
    for message in (
        record(BEGIN),
        record(BEGIN, "ACCEPT"),
        record(BEGIN - 30),
        record(BEGIN, eni="eni-2"),
        f"eni-1 - {BEGIN:.0f} {BEGIN + 60:.0f} - - NODATA",
        f"eni-1 - {BEGIN:.0f} {BEGIN + 60:.0f} - - SKIPDATA",
        "eni-1 REJECT",
        record(BEGIN).replace(" OK", "  OK"),
    ):
        logs.put("/group", "eni-1-all", message, BEGIN, BEGIN + 90)
    for _ in range(20):
        clock.now += 60
        report = ingest.run(clients(logs), make_index(clock.now))
    assert (counted(report), counted(report, "ACCEPT")) == (1, 1)
    assert lines(report) == {
        "counted": 2,
        "before_start": 1,
        "other": 1,
        "no_data": 1,
        "skip_data": 1,
        "malformed": 2,
    }
    assert report.newest_records == {"fl-1": BEGIN + 60}


def test_a_record_waits_for_an_index_that_is_younger(store: Store) -> None:
    """A record that ended after the interfaces were listed is left to a later pass."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN))
    logs.put("/group", "s", record(BEGIN + 10), BEGIN + 10, BEGIN + 71)
    clock.now = BEGIN + 100
    assert counted(ingest.run(clients(logs), make_index(BEGIN + 69))) == 0
    assert counted(ingest.run(clients(logs), make_index(BEGIN + 70))) == 1


def test_late_records_count_within_the_look_back(store: Store) -> None:
    """A record counts when it came within the look-back after its end, and is `late` beyond."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN))
    for minute in range(1, 46):
        clock.now = BEGIN + 60 * minute
        if minute == 30:
            logs.put("/group", "s", record(BEGIN), BEGIN, clock.now - 5)  # 29 min after its end
        if minute == 32:
            logs.put("/group", "s", record(BEGIN), BEGIN, clock.now - 5)  # 31 min after its end
        report = ingest.run(clients(logs), make_index(clock.now))
    assert counted(report) == 1
    assert lines(report).get("late", 0) + lines(report)["counted"] == 2


def test_events_of_one_millisecond_all_count(store: Store) -> None:
    """Events that share stream, stamp and text are told apart by their ids."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN))
    for _ in range(10):
        logs.put("/group", "s", record(BEGIN), BEGIN, BEGIN + 90)
    clock.now += 120
    assert counted(ingest.run(clients(logs), make_index(clock.now))) == 10


def test_an_outage_is_caught_up(store: Store) -> None:
    """After hours without the exporter everything is counted, and the backlog tells meanwhile."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    make_ingest(store, clock).run(clients(logs), make_index(BEGIN))
    for minute in range(300):
        start = BEGIN + 60 * minute
        logs.put("/group", "s", record(start), start, start + 120)
    clock.now = BEGIN + 300 * 60
    ingest = make_ingest(store, clock, budget=-1)  # one chunk a pass
    report = ingest.run(clients(logs), make_index(clock.now))
    behind = report.sources["/group"].read_to
    assert behind is not None
    assert clock.now - behind > 4 * 3600
    passes = 1
    while counted(report) != 300:
        clock.now += 60
        report = ingest.run(clients(logs), make_index(clock.now))
        passes += 1
        assert passes < 60
    for _ in range(6):
        clock.now += 60
        report = ingest.run(clients(logs), make_index(clock.now))
    read_to = report.sources["/group"].read_to
    assert read_to is not None
    assert clock.now - read_to < 60
    assert counted(report) == 300


def test_a_vanished_group_leaves_the_others(store: Store) -> None:
    """A group that is gone is reported; the other group's records are counted."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    gone = replace(FLOW_LOG, id="fl-0", destination="/gone")
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN, FLOW_LOG, gone))
    logs.put("/group", "s", record(BEGIN), BEGIN, BEGIN + 90)
    clock.now += 120
    report = ingest.run(clients(logs), make_index(clock.now, FLOW_LOG, gone))
    assert counted(report) == 1
    assert list(report.problems()) == ["/gone"]
    assert "ResourceNotFoundException" in report.problems()["/gone"]
    assert report.sources["/gone"].read_to is None


def test_a_group_that_cannot_be_read_has_no_counters(store: Store) -> None:
    """Denied from the start, a counter is absent: nobody knows that it is 0."""
    clock = Clock()
    report = make_ingest(store, clock).run(clients(LogGroups()), make_index(BEGIN))
    assert report.counters == {}


def test_formats_may_mix_in_one_group(store: Store) -> None:
    """Each line is read by the format that it fits; one that another flow log speaks for is not
    counted twice."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    short = replace(FLOW_LOG, id="fl-2", format="${interface-id} ${action} ${start} ${end}")
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN, FLOW_LOG, short))
    logs.put("/group", "s", record(BEGIN), BEGIN, BEGIN + 90)
    logs.put("/group", "s", f"eni-1 REJECT {BEGIN:.0f} {BEGIN + 60:.0f}", BEGIN, BEGIN + 90)
    clock.now += 120
    report = ingest.run(clients(logs), make_index(clock.now, FLOW_LOG, short))
    assert counted(report) == 1
    assert lines(report) == {"counted": 1}
    assert lines(report, "fl-2") == {"duplicate": 1}


def test_most_passes_read_only_the_tail(store: Store) -> None:
    """The look-back is re-read at widening steps: at every pass it would cost 30 times as much."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    ingest = make_ingest(store, clock)
    for _ in range(60):
        ingest.run(clients(logs), make_index(clock.now))
        clock.now += 60
    read = sum(end - start for _, start, end in logs.reads) / 1000
    assert read < 60 * 900  # on average less than a quarter of an hour, not 32 minutes


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), page=st.integers(1, 7))
def test_counters_equal_the_truth(seed: int, page: int) -> None:
    """Random deliveries, late or not, random failures and restarts: every record exactly once."""
    draw = random.Random(seed)
    truth: Counter[str] = Counter()
    clock, logs = Clock(), LogGroups(page=page, seed=seed, groups={"/group": []})
    pending: list[tuple[float, float, str]] = []
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory))
        ingest = make_ingest(store, clock, lookback=600)
        ingest.run(clients(logs), make_index(BEGIN))
        for minute in range(60):
            if minute < 40:
                for _ in range(draw.randrange(4)):
                    action = draw.choice(["ACCEPT", "REJECT"])
                    start = clock.now + draw.randrange(60)
                    due = start + 60 + draw.choice([30, 300, 590])
                    pending.append((due, start, record(start, action)))
                    truth[action] += 1
            clock.now += 60
            for due, start, message in [p for p in pending if p[0] <= clock.now]:
                logs.put("/group", "eni-1-all", message, start, due)
            pending = [p for p in pending if p[0] > clock.now]
            logs.fail_after = draw.randrange(3) if draw.random() < 0.3 else None
            if draw.random() < 0.2:
                store.close()
                store = Store(Path(directory))
                ingest = make_ingest(store, clock, lookback=600)
            if draw.random() < 0.8:  # else the machine slept
                report = ingest.run(clients(logs), make_index(clock.now - draw.randrange(60)))
        logs.fail_after = None
        for _ in range(16):
            clock.now += 60
            report = ingest.run(clients(logs), make_index(clock.now))
        store.close()
    assert {a: counted(report, a) for a in ("ACCEPT", "REJECT")} == {
        a: truth[a] for a in ("ACCEPT", "REJECT")
    }


def test_a_failed_commit_counts_nothing(store: Store) -> None:
    """When the transaction fails nothing of it is there, and only a later commit is well again."""
    source = store.source(SCOPE, "cloudwatch", "/group")
    batch = Batch({CounterKey("vpce-1", RECORDS, "REJECT"): 1}, seen={Seen(1, b"x")})
    store.commit(SCOPE, source.id, batch)
    with pytest.raises(StoreError):
        store.commit(SCOPE, source.id, batch)  # seen before: refused as a whole
    assert store.counters(SCOPE)[CounterKey("vpce-1", RECORDS, "REJECT")] == 1
    assert not store.ok
    store.commit(SCOPE, source.id, Batch())
    assert store.ok


VPC_LOG = replace(FLOW_LOG, id="fl-1")
SUBNET_LOG = replace(FLOW_LOG, id="fl-2", resource_id="subnet-1")


def test_overlapping_flow_logs_of_one_format_in_one_group_count_once(store: Store) -> None:
    """Copies of a record that only their event ids tell apart are one record."""
    clock, logs = Clock(), LogGroups(groups={"/group": []}, page=1)
    both = make_index(BEGIN, VPC_LOG, SUBNET_LOG)
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), both)
    for i in range(5):
        for _ in range(2):
            logs.put("/group", "eni-1-all", record(BEGIN + i), BEGIN + i, BEGIN + 90)
    for _ in range(3):
        clock.now += 120
        report = ingest.run(clients(logs), replace(both, as_of=clock.now))
    assert counted(report) == 5
    assert lines(report) == {"counted": 5, "duplicate": 5}


def test_a_change_of_flow_log_is_one_cut(store: Store) -> None:
    """Records from before the cut count from the old flow log, whenever they are delivered."""
    clock, logs = Clock(), LogGroups(groups={"/group": [], "/new": []})
    new = replace(FLOW_LOG, id="fl-2", destination="/new")
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN))
    cut = BEGIN + 20 * 60
    for minute in range(60):
        clock.now = BEGIN + 60 * (minute + 1)
        start = clock.now - 60
        logs.put("/group", "s", record(start), start, clock.now + 360)
        if start >= cut:
            logs.put("/new", "s", record(start), start, clock.now + 360)
    # Everything comes six minutes late; show the group as it was at each moment.
    everything = {name: list(events) for name, events in logs.groups.items()}
    for minute in range(80):
        clock.now = BEGIN + 60 * (minute + 1)
        for name, events in everything.items():
            logs.groups[name] = [e for e in events if e["ingestionTime"] <= clock.now * 1000]
        chosen = (FLOW_LOG, new) if clock.now < cut else (new, FLOW_LOG)
        report = ingest.run(clients(logs), make_index(clock.now, *chosen))
    assert counted(report) == 60


def test_an_interface_that_left_its_endpoint_keeps_its_last_records(store: Store) -> None:
    """Records of an interface that is gone still count for the endpoint that had it."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN))
    clock.now += 300
    logs.put("/group", "s", record(BEGIN), BEGIN, clock.now - 10)
    report = ingest.run(clients(logs), make_index(clock.now, own=False))
    assert counted(report) == 1


def test_lines_that_poison(store: Store) -> None:
    """Numbers no window can have, and ends in the far future, are malformed; the rest goes on."""
    clock, logs = Clock(), LogGroups(groups={"/group": []}, page=100)
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN))
    huge = record(BEGIN).replace(" 40 ", f" {2**63 - 1} ")
    for message in (huge, huge, f"eni-1 REJECT {BEGIN:.0f} 9999999999 40 2 OK", record(BEGIN)):
        logs.put("/group", "s", message, BEGIN, BEGIN + 90)
    clock.now += 120
    report = ingest.run(clients(logs), make_index(clock.now))
    assert counted(report) == 1
    assert lines(report) == {"counted": 1, "malformed": 3}


def test_an_answer_without_events_is_no_empty_answer(store: Store) -> None:
    """A malformed FilterLogEvents answer is a problem, not a finished read of nothing."""

    class Nonsense:
        def filter_log_events(self, **_: object) -> dict[str, object]:
            return {}

    report = make_ingest(store, Clock()).run(clients(Nonsense()), make_index(BEGIN))
    assert report.counters == {}
    assert "malformed answer" in report.problems()["/group"]


def test_a_flow_log_that_was_deleted_is_read_to_its_end(store: Store) -> None:
    """What it had written when it was deleted is still delivered for some minutes, and counted."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    ingest = make_ingest(store, clock)
    ingest.run(clients(logs), make_index(BEGIN))
    clock.now += 120
    none = replace(make_index(clock.now), chosen={}, flow_logs={}, vpc_of={})
    ingest.run(clients(logs), none)
    logs.put("/group", "s", record(BEGIN + 30), BEGIN + 30, clock.now + 200)
    clock.now += 300
    assert counted(ingest.run(clients(logs), replace(none, as_of=clock.now))) == 1
    # Its log group may go with it: that is no problem, and after a while nobody asks any more.
    logs.groups.clear()
    clock.now += 60
    assert ingest.run(clients(logs), replace(none, as_of=clock.now)).problems() == {}
    clock.now += 2 * 3600
    asked = len(logs.reads)
    report = ingest.run(clients(logs), replace(none, as_of=clock.now))
    assert (report.sources, len(logs.reads)) == ({}, asked)
    assert counted(report) == 1


def test_files_are_expected_where_files_are_read(store: Store) -> None:
    """A queue's files are fetched only for flow logs whose files are read, from their bucket."""
    file = s3.object_of(
        "logs",
        "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2023/11/14/"
        "111122223333_vpcflowlogs_eu-west-1_fl-1_20231114T2210Z_abc.log.gz",
    )
    assert file is not None
    flow_log = replace(FLOW_LOG, destination_type="s3", destination="arn:aws:s3:::logs")
    index = make_index(BEGIN, flow_log)
    for allowed, expected in (("auto", True), ("s3", True), ("cloudwatch", False)):
        settings = Settings(60, 1800, 60, Allowed(allowed))
        ingest = Ingest(SCOPE, store, Clock(), settings)
        nothing = Empty()
        ingest.run({"s3": nothing}.__getitem__, index)
        assert ingest.expects(index, file) is expected
        assert not ingest.expects(index, file._replace(bucket="other"))


class Empty:
    """A bucket with nothing in it."""

    def list_objects_v2(self, **_: str) -> dict[str, object]:
        return {"KeyCount": 0}


def test_counting_may_begin_earlier(store: Store) -> None:
    """With a history, what ended before the flow log was first seen counts, up to that long ago."""
    clock, logs = Clock(), LogGroups(groups={"/group": []})
    for ago in (1700, 1000, 300):
        logs.put("/group", "eni-1-all", record(clock.now - ago), clock.now - ago, clock.now - 200)
    ingest = Ingest(SCOPE, store, clock, Settings(60, 1800, 60, history=1200))
    report = ingest.run(clients(logs), make_index(clock.now))
    assert counted(report) == 2
    (source,) = report.sources.values()
    assert source.read_to == clock.now
