"""Tables made from any Judge say of each record what the Judge says."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.flowlogs.attribute import Index, Lifetime, Own, Place, Resource, with_addresses
from exporter.flowlogs.judge import Judge
from exporter.flowlogs.parse import Record
from exporter.model import ACTIONS, FlowLog
from tests.flowlogs.files import RICH_V3, as_line, read, total
from tests.flowlogs.judges import BEGIN, FLOW_LOG
from tests.flowlogs.test_columns import one_by_one

DELIVERED = BEGIN + 600.0
VPCS = {"vpc-0a1": ["subnet-0a1", "subnet-0a2"], "vpc-0b1": ["subnet-0b1"]}
# Few addresses in both VPCs, so that they are shared, reused and overlap.
ADDRESSES = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1", "10.0.0.100"]
INTERFACES = [f"eni-0{i}" for i in range(6)]
CLIENTS = [f"eni-0c{i}" for i in range(4)]
SPEAKERS = [FLOW_LOG.id, "fl-0a2", "fl-0a1/insights"]


def make_index(draw: random.Random) -> Index:
    """Return endpoints, clients and flow logs, anyhow."""
    places = {
        i: Place(vpc, draw.choice(VPCS[vpc]))
        for i in (*INTERFACES, *CLIENTS)
        for vpc in [draw.choice(["vpc-0a1", "vpc-0a1", "vpc-0b1"])]
    }
    own, lives = {}, {}
    for i in draw.sample(INTERFACES, draw.randrange(len(INTERFACES) + 1)):
        endpoint_id = f"vpce-0{draw.randrange(3)}"
        own[i] = Own(endpoint_id, places[i], tuple(draw.sample(ADDRESSES, draw.randrange(3))))
        born = draw.choice([0, BEGIN + 50, BEGIN + 100])
        lives[i] = Lifetime(born, born + draw.choice([100, float("inf")]), endpoint_id)
    listed = {i: p for i, p in places.items() if i in own or draw.random() < 0.7}
    resource = draw.choice(["vpc-0a1", "subnet-0a1", INTERFACES[0], CLIENTS[0]])
    flow_log = FlowLog(FLOW_LOG.id, resource, "ALL", "s3", "arn:aws:s3:::logs", "")
    vpc = listed[resource].vpc_id if resource in listed else "vpc-0a1"
    index = Index(BEGIN + 3600, {}, listed, {}, {flow_log.id: flow_log}, {flow_log.id: vpc})
    return with_addresses(index, own, lives)


def make_judge(draw: random.Random) -> Judge:
    index = make_index(draw)
    resources = ["vpc-0a1", "subnet-0a1", "subnet-0a2", INTERFACES[0], INTERFACES[1], CLIENTS[0]]
    choices: dict[Resource, list[tuple[float, str]]] = {}
    for resource in draw.sample(resources, draw.randrange(len(resources))):
        for action in draw.sample(ACTIONS, draw.randrange(1, 3)):
            cuts = sorted(draw.sample(range(0, 400, 50), draw.randrange(3)), reverse=True)
            choices[resource, action] = [
                *((BEGIN + cut, draw.choice(SPEAKERS)) for cut in cuts),
                (0.0, draw.choice(SPEAKERS)),
            ]
    name = draw.choice([FLOW_LOG.id, "fl-0a1/insights"])
    first_seen = {FLOW_LOG.id: BEGIN + draw.choice([-100.0, 0.0, 60.5])}
    return Judge(index, choices, {name: FLOW_LOG.id}, first_seen, draw.choice([300.0, 1800.0]))


def make_record(draw: random.Random, judge: Judge) -> Record:
    start = BEGIN + draw.randrange(-100, 400)
    resource, places = judge.index.flow_logs[FLOW_LOG.id].resource_id, judge.index.places
    here = [
        i
        for i in (*INTERFACES, *CLIENTS, "eni-0ff", "-")
        # A flow log has the records of what it is on; others are of what was never listed.
        if i not in places or resource in (i, *places[i])
    ]
    sources, targets = (tuple(draw.choices([*ADDRESSES, "-"], k=2)) for _ in range(2))
    return Record(
        draw.choice(here),
        draw.choice(ACTIONS),
        start,
        start + draw.choice([-1, 0, 30, 60, 5000]),
        draw.choice([1, 100]),
        draw.choice([40, 2**48 + 1]),
        draw.choice([2, 3, 18, None]),
        draw.choice([6, 17, 999]),
        draw.choice([443, 70_000]),
        draw.choice([443, 80, None]),
        sources,
        targets,
    )


@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_tables_say_what_the_judge_says(seed: int) -> None:
    """Whatever the VPCs, lives, addresses and cuts: the same counters, rejected, ports."""
    draw = random.Random(seed)
    judge = make_judge(draw)
    lines = [as_line(make_record(draw, judge)) for _ in range(draw.randrange(1, 40))]
    found, _ = read(b"".join(lines), RICH_V3, judge=judge)
    assert total(found) == total(one_by_one(lines, RICH_V3, judge, DELIVERED))
