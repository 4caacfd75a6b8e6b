"""Records and their verdicts: whose each is, and whether it counts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.flowlogs.attribute import Own, Place
from exporter.flowlogs.judge import CLOCKS_DIFFER, Verdict
from exporter.flowlogs.parse import LARGEST, Record
from exporter.flowlogs.table import Table
from exporter.flowlogs.tally import LINES, Tally
from exporter.flowlogs.text import Reader
from exporter.model import ACTIONS, Action
from exporter.store import CounterKey
from tests.flowlogs.files import RICH_V3, as_line
from tests.flowlogs.judges import BEGIN, CLIENT, FLOW_LOG, OWN, SUBNET, VPC, make_judge

END = BEGIN + 60
DELIVERED = BEGIN + 600.0
MINE, OTHERS, ELSEWHERE = "10.1.0.10", "10.1.0.110", "10.2.0.5"
IN = Record("eni-0a1", "REJECT", BEGIN, END, 10, 840, 2, 6, 49152, 443, (ELSEWHERE,), (MINE,))
OUT = IN._replace(sources=(MINE,), targets=(ELSEWHERE,), source_port=443, target_port=49152)
SEEN = IN._replace(interface_id=CLIENT, sources=(MINE,), targets=(ELSEWHERE,))


def counted(endpoint_id: str, side: str, inbound: bool | None) -> Verdict:
    return Verdict(FLOW_LOG.id, "counted", endpoint_id, side, inbound)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (IN, counted("vpce-0a1", "endpoint", True)),
        (OUT, counted("vpce-0a1", "endpoint", False)),
        (IN._replace(targets=("10.9.9.9",)), counted("vpce-0a1", "endpoint", None)),
        (IN._replace(targets=(), sources=()), counted("vpce-0a1", "endpoint", None)),
        (IN._replace(targets=("2001:db8::a:10",)), counted("vpce-0a1", "endpoint", True)),
        (IN._replace(targets=("10.1.0.11",)), counted("vpce-0a1", "endpoint", True)),
        (IN._replace(targets=(OTHERS,)), counted("vpce-0a1", "endpoint", None)),
        (IN._replace(sources=(OTHERS,)), counted("vpce-0a1", "endpoint", True)),
        (IN._replace(interface_id="eni-0b1"), counted("vpce-0b1", "endpoint", None)),
        (IN._replace(targets=("10.9.9.9", MINE)), counted("vpce-0a1", "endpoint", True)),
        (OUT._replace(sources=("10.9.9.9", MINE)), counted("vpce-0a1", "endpoint", False)),
        (IN._replace(interface_id=CLIENT), counted("vpce-0a1", "client", True)),
        (SEEN, counted("vpce-0a1", "client", False)),
        (SEEN._replace(sources=(OTHERS,)), counted("vpce-0b1", "client", False)),
        (IN._replace(interface_id="eni-0ff"), counted("vpce-0a1", "client", True)),
        (IN._replace(interface_id="-"), counted("vpce-0a1", "client", True)),
        (
            IN._replace(interface_id=CLIENT, targets=("10.9.9.9", OTHERS)),
            counted("vpce-0b1", "client", True),
        ),
    ],
    ids=[
        "in",
        "out",
        "neither address is the endpoint's",
        "no addresses",
        "IPv6",
        "another of its interfaces' addresses",
        "another endpoint's address",
        "from another endpoint",
        "at another endpoint",
        "in by its pkt-dstaddr",
        "out by its pkt-srcaddr",
        "to it, at a client",
        "from it, at a client",
        "from another, at a client",
        "at an interface that was never listed",
        "at no interface",
        "at a client, by its pkt-dstaddr",
    ],
)
def test_whose_a_record_is(record: Record, expected: Verdict) -> None:
    """At an endpoint's interface it is the endpoint's; at any other its peer's, in this VPC."""
    assert make_judge().verdict(record, DELIVERED) == expected


@pytest.mark.parametrize(
    ("record", "result"),
    [
        (IN._replace(interface_id="eni-0ff", targets=("10.9.9.9",)), "other"),
        (IN._replace(interface_id="-", targets=("-",), sources=("-",)), "other"),
        (IN._replace(interface_id=CLIENT, targets=(), sources=()), "other"),
        (IN._replace(start=BEGIN), "counted"),
        (IN._replace(start=BEGIN - 1), "before_start"),
        (IN._replace(start=END), "counted"),
        (IN._replace(start=END + 1), "malformed"),
        (IN._replace(start=BEGIN - 1, end=BEGIN - 2), "malformed"),
        (IN._replace(packets=LARGEST), "counted"),
        (IN._replace(packets=LARGEST + 1), "malformed"),
        (IN._replace(bytes=LARGEST + 1), "malformed"),
        (IN._replace(packets=None, bytes=None), "counted"),
        (IN._replace(end=int(DELIVERED + CLOCKS_DIFFER)), "counted"),
        (IN._replace(end=int(DELIVERED + CLOCKS_DIFFER) + 1), "malformed"),
        (IN._replace(end=2**62), "malformed"),
        (IN._replace(interface_id=CLIENT, start=BEGIN - 1), "before_start"),
        # What is nobody's is not looked at any further.
        (IN._replace(interface_id=CLIENT, targets=(), packets=LARGEST + 1), "other"),
    ],
)
def test_fates(record: Record, result: str) -> None:
    """Nonsense, a future end, a start before the flow log was seen: each has its name."""
    assert make_judge().verdict(record, DELIVERED).result == result
    # Whole slices say the same.
    tally = Tally()
    Reader(Table(make_judge()), DELIVERED, tally, RICH_V3).read([as_line(record)])
    lines = {k: n for k, n in tally.counters.items() if k.name == LINES and n}
    assert lines == {CounterKey(FLOW_LOG.id, LINES, result): 1}


@pytest.mark.parametrize(
    ("delivered", "result"),
    [
        (END - CLOCKS_DIFFER - 1, "malformed"),
        (END - CLOCKS_DIFFER, "counted"),
        (END, "counted"),
        (END + 1800.0, "counted"),
        (END + 1800.5, "late"),
        (END + 86_400.0, "late"),
    ],
)
def test_when_it_was_delivered(delivered: float, result: str) -> None:
    """What is delivered more than the look-back after its end is late, whenever it is read."""
    assert make_judge(lookback=1800.0).verdict(IN, delivered).result == result


def test_before_late() -> None:
    """A record of before the start is that, however late it is."""
    old = IN._replace(start=BEGIN - 1)
    assert make_judge().verdict(old, DELIVERED + 86_400).result == "before_start"


@pytest.mark.parametrize(
    ("start", "results"),
    [
        (BEGIN + 50, ("counted", "duplicate", "duplicate")),
        (BEGIN + 99, ("counted", "duplicate", "duplicate")),
        (BEGIN + 100, ("duplicate", "counted", "duplicate")),
        (BEGIN + 199, ("duplicate", "counted", "duplicate")),
        (BEGIN + 200, ("duplicate", "duplicate", "counted")),
    ],
)
def test_one_speaks_at_a_time(start: int, results: tuple[str, ...]) -> None:
    """Of what several flow logs deliver one counts, by its start; the rest is duplicate."""
    names = ("fl-0a1", "fl-0a2", "fl-0a3")
    flow_logs = [replace(FLOW_LOG, id=name) for name in names]
    cuts = [(BEGIN + 200.0, "fl-0a3"), (BEGIN + 100.0, "fl-0a2"), (0.0, "fl-0a1")]
    choices = {(VPC, action): cuts for action in ACTIONS}
    record = IN._replace(start=start, end=BEGIN + 260)
    for name, result in zip(names, results, strict=True):
        judge = make_judge(*flow_logs, choices=choices, speaker=name)
        assert judge.verdict(record, DELIVERED).result == result
        client = record._replace(interface_id=CLIENT)
        assert judge.verdict(client, DELIVERED).result == result


def test_nearer_choices_come_first() -> None:
    """An interface's own choice goes before its subnet's, that before its VPC's, by action."""
    names = ("fl-0a1", "fl-0a2", "fl-0a3")
    flow_logs = [replace(FLOW_LOG, id=name) for name in names]
    choices = {
        (VPC, "REJECT"): [(0.0, "fl-0a1")],
        (VPC, "ACCEPT"): [(0.0, "fl-0a1")],
        (SUBNET, "REJECT"): [(0.0, "fl-0a2")],
        ("eni-0a1", "REJECT"): [(0.0, "fl-0a3")],
    }

    def speaks(interface_id: str, action: Action) -> str:
        record = IN._replace(interface_id=interface_id, action=action, targets=(MINE,))
        results = {
            name: make_judge(*flow_logs, choices=choices, speaker=name).verdict(record, DELIVERED)  # type: ignore[arg-type]
            for name in names
        }
        ((name, verdict),) = ((n, v) for n, v in results.items() if v.result == "counted")
        assert verdict.flow_log_id == name
        return name

    assert speaks("eni-0a1", "REJECT") == "fl-0a3"
    assert speaks("eni-0a1", "ACCEPT") == "fl-0a1"
    assert speaks("eni-0a2", "REJECT") == "fl-0a2"
    assert speaks(CLIENT, "REJECT") == "fl-0a1"
    assert speaks("eni-0ff", "REJECT") == "fl-0a1"


def test_nothing_chosen_yet() -> None:
    """Where no flow log was ever chosen, whoever delivered the record speaks."""
    assert make_judge(choices={}).verdict(IN, DELIVERED).result == "counted"


def test_a_reused_address() -> None:
    """At a client an address is an endpoint's only while it had it; at its own always."""
    judge = make_judge()
    # eni-0b0 had 10.1.0.11 until BEGIN + 200; eni-0a2 has it since BEGIN + 300.
    reused = IN._replace(interface_id=CLIENT, targets=("10.1.0.11",))
    for start, end, expected in (
        (BEGIN, BEGIN + 200, "vpce-0b0"),
        (BEGIN + 150, BEGIN + 201, ""),
        (BEGIN + 210, BEGIN + 290, ""),
        (BEGIN + 290, BEGIN + 350, ""),
        (BEGIN + 300, BEGIN + 350, "vpce-0a1"),
    ):
        record = reused._replace(start=start, end=end)
        verdict = judge.verdict(record, DELIVERED)
        assert verdict.endpoint_id == expected
        assert verdict.result == ("counted" if expected else "other")
    late = IN._replace(interface_id="eni-0b0", start=BEGIN + 300, end=BEGIN + 350)
    assert judge.verdict(late, DELIVERED).endpoint_id == "vpce-0b0"


def test_overlapping_addresses() -> None:
    """The same address in two VPCs is two endpoints': the record's interface says which."""
    there = "vpc-0d1"
    own = {
        **OWN,
        "eni-0d1": Own("vpce-0d1", Place(there, "subnet-0d1"), (MINE,)),
    }
    judge = make_judge(own=own)
    assert judge.verdict(IN, DELIVERED).endpoint_id == "vpce-0a1"
    assert judge.verdict(IN._replace(interface_id=CLIENT), DELIVERED).endpoint_id == "vpce-0a1"
    # An interface that is in no listing is in the flow log's VPC.
    assert judge.verdict(IN._replace(interface_id="eni-0ff"), DELIVERED).endpoint_id == "vpce-0a1"
    # A flow log of the first VPC says nothing of the second one's clients.
    index = replace(judge.index, places={**judge.index.places, "eni-0d2": Place(there, "")})
    other = replace(judge, index=index)
    at_client = IN._replace(interface_id="eni-0d2")
    assert other.verdict(at_client, DELIVERED).endpoint_id == "vpce-0d1"
    only = {i: x for i, x in own.items() if x.place.vpc_id == there}
    alone = replace(make_judge(own=only), index=replace(make_judge(own=only).index, vpc_of={}))
    assert alone.verdict(IN._replace(interface_id=CLIENT), DELIVERED).result == "other"
