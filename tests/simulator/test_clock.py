"""The clock: records as the world's rules have them, in every flow log's own way."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest

from exporter.flowlogs.formats import DEFAULT, from_log_format
from exporter.simulator import records
from exporter.simulator.clock import CLOSED, Clock
from exporter.simulator.delivery import Delivery
from exporter.simulator.organisation import CONSUMER, organisation
from exporter.simulator.state import REGION, Row, World
from exporter.simulator.world import RICH_FORMAT, Builder

WINDOW = (1_700_000_000, 1_700_000_060)


@pytest.fixture(scope="module")
def made() -> tuple[World, list[Delivery]]:
    """Ten windows of the organisation."""
    world = organisation()
    clock = Clock(world, 60, 1)
    for i in range(10):
        clock.make(WINDOW[0] + 60 * i, WINDOW[1] + 60 * i)
    return world, clock.deliveries.pending


def parsed(deliveries: list[Delivery]) -> dict[str, list[Row]]:
    """Return the records by interface, read by the format of their flow log."""
    found: dict[str, list[Row]] = defaultdict(list)
    for d in deliveries:
        fields = from_log_format(d.flow_log["LogFormat"]).fields
        values = d.line.split(" ")
        assert len(values) == len(fields), d.line
        row = dict(zip(fields, values, strict=True))
        if row.get("log-status", "OK") == "OK":
            found[row["interface-id"]].append(row)
    return found


def seen(made: tuple[World, list[Delivery]], name: str) -> tuple[set[Any], set[Any]]:
    """Return the directions and actions at a scenario's endpoint, and at its clients."""
    world, deliveries = made
    rows = parsed(deliveries)
    endpoint = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios[name].id)
    own = endpoint["NetworkInterfaceIds"]
    addresses = {
        world.row("NetworkInterfaces", "NetworkInterfaceId", i)["PrivateIpAddress"] for i in own
    }
    clients = {
        t.client_interface_id for t in world.traffic if t.endpoint_id == endpoint["VpcEndpointId"]
    }
    at_endpoint = {(r["flow-direction"], r["action"]) for i in own for r in rows[i]}
    at_clients = {
        (r["flow-direction"], r["action"])
        for i in clients
        for r in rows[i]
        if addresses & {r["srcaddr"], r["dstaddr"]}
    }
    return at_endpoint, at_clients


IN, OUT = "ingress", "egress"
HEALTHY = ({(IN, "ACCEPT"), (OUT, "ACCEPT")}, {(OUT, "ACCEPT"), (IN, "ACCEPT")})
SEEN = {
    "secrets": HEALTHY,
    "hub-kms": ({(IN, "ACCEPT"), (OUT, "ACCEPT")}, {(OUT, "ACCEPT"), (IN, "ACCEPT")}),
    "sg-port-missing": ({(IN, "REJECT")}, {(OUT, "ACCEPT")}),
    "client-egress-closed": (set(), {(OUT, "REJECT")}),
    "nacl-inbound": ({(IN, "REJECT")}, {(OUT, "ACCEPT")}),
    "nacl-return": ({(IN, "ACCEPT"), (OUT, "REJECT")}, {(OUT, "ACCEPT")}),
    "late-rejects": (
        {(IN, "ACCEPT"), (OUT, "ACCEPT"), (IN, "REJECT")},
        {(OUT, "ACCEPT"), (IN, "ACCEPT")},
    ),
    "to-all-unhealthy": ({(IN, "ACCEPT")}, {(OUT, "ACCEPT")}),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_is_seen_where(made: tuple[World, list[Delivery]], name: str) -> None:
    """Each fault leaves its own trace at the endpoint and at its clients."""
    assert seen(made, name) == SEEN[name]


def test_late_rejects_have_no_syn(made: tuple[World, list[Delivery]]) -> None:
    """Packets after a close are refused without a SYN; a refused connection has one."""
    world, deliveries = made
    rows = parsed(deliveries)
    flags = {}
    for name in ("late-rejects", "sg-port-missing"):
        endpoint = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios[name].id)
        flags[name] = {
            r["tcp-flags"]
            for i in endpoint["NetworkInterfaceIds"]
            for r in rows[i]
            if r["action"] == "REJECT"
        }
    assert flags == {"late-rejects": {"0"}, "sg-port-missing": {"2"}}


def test_flow_logs_have_what_they_are_set_to(made: tuple[World, list[Delivery]]) -> None:
    """One of ACCEPT has no REJECT, a failed one nothing, overlapping ones each record twice."""
    world, deliveries = made
    rows = parsed(deliveries)
    by_group = defaultdict(list)
    for d in deliveries:
        by_group[d.group].append(d)
    assert "/vpc/undelivered" not in by_group
    assert all(" REJECT " not in d.line for d in by_group["/vpc/accepts"])
    assert all(d.stream.endswith("-accept") for d in by_group["/vpc/accepts"])
    own = world.scenarios["overlapping-logs"].id
    interface = world.row("VpcEndpoints", "VpcEndpointId", own)["NetworkInterfaceIds"][0]
    lines = [tuple(r.values()) for r in rows[interface]]
    assert len(lines) == 2 * len(set(lines)) > 0
    truth = [d for d in deliveries if d.truth and d.truth[0] == own]
    streams = {d.stream for d in by_group["/vpc/twice"] if interface in d.stream}
    assert streams == {f"{interface}-all"}
    both = [d for d in by_group["/vpc/twice"] if d.truth is None and " ACCEPT " in d.line]
    assert truth
    assert both


def test_long_aggregation(made: tuple[World, list[Delivery]]) -> None:
    """Records of a flow log of ten minutes all come at its end, each with its own start."""
    world, deliveries = made
    slow = [d for d in deliveries if d.group == "/vpc/slow" and d.truth]
    quick = [d for d in deliveries if d.group == "/vpc/shop" and d.truth]
    assert len({d.start for d in slow}) == len({d.start for d in quick}) == 10
    assert min(d.due for d in slow) >= WINDOW[1]
    first = [d.due for d in slow if d.start == WINDOW[0]]
    assert min(first) > max(d.due for d in quick if d.start == WINDOW[0])
    del world


def test_records_at_clients_count_once_and_in_the_vpc(
    made: tuple[World, list[Delivery]],
) -> None:
    """A client's records are an endpoint's when it is in its VPC, of one of its flow logs."""
    world, deliveries = made
    rows = [d for d in deliveries if d.clients_of[0]]
    found = defaultdict(set)
    for d in rows:
        assert d.truth is None
        for endpoint in d.clients_of[0]:
            found[endpoint].add(d.stream.removesuffix("-all").removesuffix("-accept"))
    vpcs = {
        i["NetworkInterfaceId"]: i["VpcId"]
        for tables in world.tables.values()
        for i in tables.get("NetworkInterfaces", ())
    }
    hub = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios["hub-kms"].id)
    clients = {
        t.client_interface_id for t in world.traffic if t.endpoint_id == hub["VpcEndpointId"]
    }
    here = {c for c in clients if vpcs[c] == hub["VpcId"]}
    assert found[hub["VpcEndpointId"]] == here < clients
    twice = world.scenarios["overlapping-logs"].id
    lines = [d.line for d in rows if twice in d.clients_of[0]]
    assert len(lines) == len(set(lines)) > 0
    six = world.scenarios["ipv6"].id
    assert any(" 2001:db8:" in d.line for d in rows if six in d.clients_of[0])


def test_the_toggled_group_leaves_events() -> None:
    """The clock opens and closes a group through the calls that CloudTrail records."""
    world = organisation()
    clock = Clock(world, 60, 1)
    before = len(world.table("Events", CONSUMER, REGION))
    actions = []
    for i in range(CLOSED * 2 + 1):
        clock.make(i, i + 1)
        fresh = [d for d in clock.deliveries.pending if d.truth]
        own = world.scenarios["sg-toggled"].id
        actions.append({d.truth[1] for d in fresh if d.truth and d.truth[0] == own})
        clock.deliveries.pending.clear()
    assert actions[0] == actions[-1] == {"REJECT"}
    assert actions[CLOSED] == {"ACCEPT"}
    events = world.table("Events", CONSUMER, REGION)[before:]
    assert [e["EventName"] for e in events] == [
        "AuthorizeSecurityGroupIngress",
        "RevokeSecurityGroupIngress",
    ]
    assert {e["Username"] for e in events} == {"change-window"}


def test_the_version_of_a_line() -> None:
    """A line's version is the highest among its fields."""
    names = {
        text: text.replace("${", "").replace("}", "").split() for text in (DEFAULT, RICH_FORMAT)
    }
    assert [records.version(n) for n in names.values()] == [2, 5]
    assert records.version(["vpc-id", "action"]) == 3


def test_no_traffic_is_no_data() -> None:
    """An interface without traffic has a line that says so."""
    world = World()
    build = Builder(world, 1)
    build.zones(("eu-west-1a", "euw1-az1"))
    vpc = build.vpc("10.1.0.0/16", "quiet")
    build.endpoint(vpc, "idle", "com.amazonaws.eu-west-1.sqs", zones=(0,))
    build.flow_log(vpc, "/vpc/quiet")
    clock = Clock(world, 60, 1)
    clock.make(*WINDOW)
    (delivery,) = clock.deliveries.pending
    assert delivery.line.split()[-2:] == ["-", "NODATA"]
    assert delivery.truth is None
