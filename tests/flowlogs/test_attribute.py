"""Which flow log speaks for an interface, and how much of an endpoint is covered."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address

import pytest

from exporter.flowlogs.attribute import (
    Allowed,
    Index,
    Lifetime,
    Own,
    Place,
    choose,
    coverage,
    covering,
    index,
    readable,
    relevant,
    unreadable,
    with_addresses,
)
from exporter.model import (
    ACTIONS,
    Endpoint,
    FlowLog,
    Interface,
    Inventory,
    Known,
    Scope,
    Unavailable,
)

SCOPE = Scope("111122223333", "eu-west-1")
BASE = FlowLog("fl-5", "vpc-1", "ALL", "cloud-watch-logs", "/g", "", 600, "ACTIVE", "SUCCESS")
RICH = (
    "${interface-id} ${action} ${start} ${end} ${a} ${b} ${c} ${d} ${e} ${f} ${g} ${h} ${i} ${j} "
    "${k}"
)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (BASE, replace(BASE, id="fl-1", destination_type="kinesis-data-firehose")),
        (BASE, replace(BASE, id="fl-1", destination="")),
        (BASE, replace(BASE, id="fl-1", format="${start}")),
        (BASE, replace(BASE, id="fl-1", delivery_status="FAILED")),
        (BASE, replace(BASE, id="fl-1", status="DELETED")),
        (BASE, replace(BASE, id="fl-1", traffic_type="REJECT")),
        (replace(BASE, format=RICH), replace(BASE, id="fl-1")),
        (replace(BASE, aggregation=60), replace(BASE, id="fl-1")),
        (replace(BASE, id="fl-1"), BASE),
        (replace(BASE, destination_type="s3", destination="arn:aws:s3:::b", id="fl-1"), BASE),
    ],
    ids=[
        "readable",
        "a destination",
        "usable format",
        "delivers",
        "active",
        "ALL",
        "richest",
        "shortest",
        "id",
        "S3 is as good",
    ],
)
def test_one_flow_log_speaks(better: FlowLog, worse: FlowLog) -> None:
    """Of overlapping flow logs one is chosen, whatever the order they are listed in."""
    assert choose("REJECT", [better, worse]) == better
    assert choose("REJECT", [worse, better]) == better


def test_only_the_configured_source() -> None:
    """Where the configuration allows one source, a flow log that it reads goes before others."""
    s3 = replace(BASE, id="fl-1", destination_type="s3", destination="arn:aws:s3:::b")
    assert choose("REJECT", [BASE, s3], Allowed("cloudwatch")) == BASE
    assert choose("REJECT", [BASE, s3], Allowed("insights")) == BASE
    assert choose("REJECT", [BASE, s3], Allowed("s3")) == s3
    assert choose("REJECT", [BASE, s3], Allowed("athena")) == s3
    assert not readable(BASE, Allowed("s3"))
    assert "allows s3 alone" in (unreadable(BASE, Allowed("s3")) or "")
    assert "lacks interface-id, action" in (unreadable(replace(BASE, format="${start}")) or "")
    assert unreadable(BASE) is None


def test_a_flow_log_of_one_action_says_nothing_of_the_other() -> None:
    """A flow log of ACCEPT only is not chosen for REJECT."""
    accept = replace(BASE, traffic_type="ACCEPT")
    assert choose("ACCEPT", [accept]) == accept
    assert choose("REJECT", [accept]) is None


def interface(number: int, subnet: str = "", vpc: str = "vpc-1", address: str = "") -> Interface:
    return Interface(
        f"eni-{number}",
        vpc,
        subnet or f"subnet-{number}",
        "a",
        "az1",
        (ip_address(address or f"10.0.0.{number}"),),
    )


ENDPOINT = Endpoint(
    "vpce-1",
    SCOPE,
    "Interface",
    "available",
    "s",
    "vpc-1",
    interface_ids=("eni-1", "eni-2"),
    created=7.0,
)
# Besides the endpoint's two: a client in the first subnet, and one in another VPC.
INTERFACES = (
    interface(1),
    interface(2),
    interface(3, "subnet-1"),
    interface(4, vpc="vpc-2", address="10.0.0.1"),
)


def inventory(
    *flow_logs: FlowLog,
    endpoints: tuple[Endpoint, ...] = (ENDPOINT,),
    interfaces: tuple[Interface, ...] = INTERFACES,
) -> Inventory:
    return Inventory(
        SCOPE,
        endpoints=Known({e.id: e for e in endpoints}, 30.0),
        interfaces=Known({i.id: i for i in interfaces}, 20.0),
        flow_logs=Known({f.id: f for f in flow_logs}, 40.0),
    )


def made(*flow_logs: FlowLog) -> Index:
    found = index(inventory(*flow_logs))
    assert found
    return found


def test_the_index() -> None:
    """The endpoints' interfaces with addresses; the places of all in their VPCs, and no others."""
    found = made(BASE, replace(BASE, id="fl-9", resource_id="vpc-2"))
    assert found.as_of == 20.0  # the oldest of what it is made from
    assert found.own == {
        "eni-1": Own("vpce-1", Place("vpc-1", "subnet-1"), ("10.0.0.1",), 7.0),
        "eni-2": Own("vpce-1", Place("vpc-1", "subnet-2"), ("10.0.0.2",), 7.0),
    }
    assert found.places == {
        "eni-1": Place("vpc-1", "subnet-1"),
        "eni-2": Place("vpc-1", "subnet-2"),
        "eni-3": Place("vpc-1", "subnet-1"),
    }
    assert set(found.flow_logs) == {"fl-5"}
    assert found.vpc_of == {"fl-5": "vpc-1"}
    assert set(found.addresses) == {"vpc-1"}
    assert found.addresses["vpc-1"]["10.0.0.1"] == (Lifetime(0.0, float("inf"), "vpce-1"),)


@pytest.mark.parametrize("resource", ["vpc-1", "subnet-1", "subnet-2", "eni-1", "eni-3"])
def test_flow_logs_on_anything_in_the_vpc(resource: str) -> None:
    """A flow log on the VPC, or on a subnet or interface in it, is one of that VPC."""
    found = made(replace(BASE, resource_id=resource))
    assert found.vpc_of == {"fl-5": "vpc-1"}
    assert set(relevant(inventory(replace(BASE, resource_id=resource)))) == {"fl-5"}
    own = covering(inventory(replace(BASE, resource_id=resource)))
    assert [f.id for f in own["vpce-1"]] == (["fl-5"] if resource != "eni-3" else [])


def test_flow_logs_that_overlap() -> None:
    """On VPC, subnet and interface at once: each interface has one speaker, and all agree on it."""
    vpc = BASE
    subnet = replace(BASE, id="fl-6", resource_id="subnet-1", aggregation=60)
    own = replace(BASE, id="fl-7", resource_id="eni-1", traffic_type="REJECT", aggregation=60)
    best = replace(BASE, id="fl-8", resource_id="eni-2", format=RICH)
    flow_logs = [vpc, subnet, own, best]
    found = made(*flow_logs)
    names = {
        (i, a): f.id if (f := found.speaker(i, a)) else None
        for i in ("eni-1", "eni-2", "eni-3", "eni-404")
        for a in ACTIONS
    }
    assert names == {
        ("eni-1", "ACCEPT"): "fl-6",
        # Both of it are as good but for the traffic type: ALL goes first.
        ("eni-1", "REJECT"): "fl-6",
        ("eni-2", "ACCEPT"): "fl-8",
        ("eni-2", "REJECT"): "fl-8",
        ("eni-3", "ACCEPT"): "fl-6",
        ("eni-3", "REJECT"): "fl-6",
        ("eni-404", "ACCEPT"): None,
        ("eni-404", "REJECT"): None,
    }


def test_the_order_of_lists_does_not_matter() -> None:
    """However AWS orders its lists, the index is the same."""
    flow_logs = [
        replace(BASE, id=f"fl-{i}", resource_id=resource, traffic_type=kind)
        for i, (resource, kind) in enumerate(
            (r, k) for r in ("vpc-1", "subnet-1", "eni-1", "eni-3") for k in ("ALL", "REJECT")
        )
    ]
    first = made(*flow_logs)
    draw = random.Random(1)
    for _ in range(20):
        draw.shuffle(flow_logs)
        interfaces = draw.sample(INTERFACES, len(INTERFACES))
        again = index(inventory(*flow_logs, interfaces=tuple(interfaces)))
        assert again == first


def test_overlapping_addresses() -> None:
    """The same address in two VPCs is two endpoints', each in its own VPC."""
    other = replace(ENDPOINT, id="vpce-2", vpc_id="vpc-2", interface_ids=("eni-4",), created=None)
    found = index(inventory(BASE, endpoints=(ENDPOINT, other)))
    assert found
    assert [x.endpoint_id for x in found.addresses["vpc-1"]["10.0.0.1"]] == ["vpce-1"]
    assert [x.endpoint_id for x in found.addresses["vpc-2"]["10.0.0.1"]] == ["vpce-2"]


def test_an_address_that_is_used_again() -> None:
    """An interface that has gone keeps its address for its life; who has it now has another one."""
    place = Place("vpc-1", "subnet-1")
    own = {
        "eni-0": Own("vpce-0", place, ("10.0.0.1", "10.0.0.9")),
        "eni-1": Own("vpce-1", place, ("10.0.0.1",)),
    }
    lives = {"eni-0": Lifetime(0, 50, "vpce-0"), "eni-1": Lifetime(60, float("inf"), "vpce-1")}
    found = with_addresses(made(BASE), own, lives)
    assert found.addresses == {
        "vpc-1": {"10.0.0.1": (lives["eni-0"], lives["eni-1"]), "10.0.0.9": (lives["eni-0"],)}
    }
    # It is still where it was: its VPC's flow log speaks for what comes late of it.
    assert found.places["eni-0"] == place
    assert found.speaker("eni-0", "REJECT") == BASE


def test_coverage_is_a_share_of_interfaces() -> None:
    """An interface counts where its action is logged, delivered and readable."""
    subnet = replace(BASE, resource_id="subnet-1", traffic_type="REJECT")
    assert coverage(ENDPOINT, made(subnet)) == {"ACCEPT": 0.0, "REJECT": 0.5}
    assert coverage(ENDPOINT, made(BASE)) == {"ACCEPT": 1.0, "REJECT": 1.0}
    failing = made(replace(BASE, delivery_status="FAILED"))
    assert coverage(ENDPOINT, failing) == {"ACCEPT": 0.0, "REJECT": 0.0}
    assert coverage(ENDPOINT, made(BASE), lambda _: False) == {"ACCEPT": 0.0, "REJECT": 0.0}
    assert coverage(ENDPOINT, made()) == {"ACCEPT": 0.0, "REJECT": 0.0}


def test_no_coverage_where_it_is_not_known() -> None:
    """Nothing is said of an endpoint without interfaces, or with one that was not listed yet."""
    assert coverage(replace(ENDPOINT, interface_ids=()), made(BASE)) == {}
    unlisted = replace(ENDPOINT, interface_ids=("eni-1", "eni-404"))
    assert coverage(unlisted, made(BASE)) == {}


def test_no_index_while_a_part_is_unknown() -> None:
    """Nothing is attributed by half of what attribution needs."""
    found = inventory(BASE)
    assert index(replace(found, flow_logs=Unavailable("denied"))) is None
    assert index(replace(found, interfaces=Unavailable("denied"))) is None
    assert index(replace(found, endpoints=Unavailable("denied"))) is None
