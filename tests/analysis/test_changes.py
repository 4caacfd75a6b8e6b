"""What explains a fault: changes that touched what failed, before it did."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from exporter import analysis
from exporter.analysis.around import Around
from exporter.analysis.case import World
from exporter.analysis.changes import (
    CAUSES,
    MOST,
    explain,
    related,
    related_to_service,
    told,
    with_changes,
)
from exporter.aws.events import EVENTS
from exporter.model import (
    Change,
    Endpoint,
    EndpointService,
    Finding,
    FlowLog,
    PrivateDnsName,
    Rejected,
    Traffic,
    Unavailable,
)
from tests.analysis.lab import ALLOW_ALL, NOW, PROVIDER, Lab, facts
from tests.aws.cloudtrail import change

FAULT = Finding("security_group", "fail", "Closed.", ("sg-0a1", "vpce-0a1"))
RELATED = frozenset(["vpce-0a1", "sg-0a1", "sg-0b1", "acl-0a1"])
MINUTE = 60.0


def lines(
    *changes: Change, finding: Finding = FAULT, since: float | None = None, now: float = NOW
) -> tuple[str, ...]:
    return explain(finding, changes, since, now, RELATED)


def test_what_a_line_says() -> None:
    """When, what, on what, by whom, from where, and what changed."""
    assert lines(change(at=NOW - 600)) == (
        "08:43 UTC RevokeSecurityGroupIngress on sg-0a1 by role/deploy (session alice) "
        "from 198.51.100.31: revoked tcp 443 from 10.0.0.0/8",
    )


def test_another_day_has_its_date() -> None:
    """Of yesterday the date is told; what came from nowhere names no address."""
    (line,) = lines(change(at=NOW - 10 * 3600, address="", what=""))
    assert line == (
        "2025-10-08 22:53 UTC RevokeSecurityGroupIngress on sg-0a1 by role/deploy (session alice)"
    )


def test_an_arn_is_shortened() -> None:
    """Of an ARN what follows the account is told."""
    arn = "arn:aws:elasticloadbalancing:eu-west-1:444455556666:loadbalancer/net/pay/0a1"
    assert " on loadbalancer/net/pay/0a1 by " in told(change("SetSubnets", arn), NOW)


@pytest.mark.parametrize(
    ("more", "explains"),
    [
        ({}, True),
        ({"outcome": "denied", "error": "AccessDenied"}, False),
        ({"outcome": "error", "error": "InvalidPermission.NotFound"}, False),
        ({"event": "AuthorizeSecurityGroupIngress"}, False),
        ({"event": "DeleteRoute"}, False),
        ({"touched": "sg-0b1"}, True),
        ({"touched": "sg-0f1"}, False),
        ({"subjects": frozenset(["sg-0f1"])}, False),
        ({"at": NOW + 1}, False),
    ],
    ids=[
        "does",
        "denied",
        "failed",
        "opens",
        "of another kind",
        "related",
        "elsewhere",
        "names it only",
        "later",
    ],
)
def test_which_changes_explain(more: dict[str, Any], explains: bool) -> None:
    """What changed nothing, cannot be the reason, or touched something else explains nothing."""
    assert bool(lines(change(**more))) == explains


def test_what_came_after_the_beginning_is_no_reason() -> None:
    """Where the fault's beginning is known, only what came before it, two minutes spared."""
    since = NOW - 30 * MINUTE
    for minutes, explains in ((-90, True), (-31, True), (-28.5, True), (-27, False), (0, False)):
        assert bool(lines(change(at=NOW + minutes * MINUTE), since=since)) == explains, minutes


def test_at_most_three_the_newest_first() -> None:
    """What touched the finding's own resources goes before what belongs around."""
    around = [change(touched="sg-0b1", at=NOW - i * MINUTE, id_=f"r{i}") for i in range(1, 5)]
    own = [change(at=NOW - i * MINUTE, id_=f"o{i}") for i in (30, 31)]
    found = lines(*around, *own)
    assert len(found) == MOST
    assert [line[:9] for line in found] == ["08:52 UTC", "08:23 UTC", "08:22 UTC"]
    assert [" on sg-0b1 " in line for line in found] == [True, False, False]


def test_every_cause_is_an_event_that_is_watched() -> None:
    """The table names no event that cannot come; an event that opens only is no cause."""
    watched = frozenset().union(*EVENTS.values())
    for check, events in CAUSES.items():
        assert events <= watched, check
    every = frozenset().union(*CAUSES.values())
    assert watched - every == {
        "AcceptVpcEndpointConnections",
        "AuthorizeSecurityGroupIngress",
        "AuthorizeSecurityGroupEgress",
    }


def consumer() -> tuple[Lab, Endpoint]:
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    subnet = lab.add_subnet(vpc, "10.0.1.0/24")
    clients, prefixes = lab.add_group(vpc), lab.add_prefix_list("10.9.0.0/16")
    group = lab.add_group(vpc, (clients.id,), (prefixes.id,))
    name = "sqs.eu-west-1.amazonaws.com"
    endpoint = lab.add_endpoint(vpc, {"10.0.1.10": subnet}, [group], private_name=name)
    log = FlowLog("fl-0a1", vpc.id, "ALL", "cloud-watch-logs", "/vpc", "")
    lab.add("flow_logs", log)
    return lab, endpoint


def test_what_concerns_an_endpoint() -> None:
    """Its own parts, what its rules name, what judges and routes its subnets, its flow logs."""
    lab, endpoint = consumer()
    other = lab.add_vpc("10.7.0.0/16")
    found = related(Around(lab.inventory()), endpoint)
    tables, acls = lab.listings["route_tables"], lab.listings["network_acls"]
    assert found >= {
        endpoint.id,
        *endpoint.interface_ids,
        *endpoint.subnet_ids,
        *endpoint.security_group_ids,
        *lab.listings["security_groups"],
        *lab.listings["prefix_lists"],
        *(acl.id for acl in acls.values() if acl.vpc_id == endpoint.vpc_id),
        *(table.id for table in tables.values() if table.vpc_id == endpoint.vpc_id),
        "fl-0a1",
        endpoint.vpc_id,
        endpoint.service_name,
        "sqs.eu-west-1.amazonaws.com",
    }
    assert other.id not in found
    assert not any(acl.id in found for acl in acls.values() if acl.vpc_id == other.id)


def test_a_subnet_s_own_acl_and_table_stand_for_the_default_ones() -> None:
    """What does not judge the subnet does not concern the endpoint."""
    lab, endpoint = consumer()
    vpc = lab.listings["vpcs"][endpoint.vpc_id]
    subnets = [lab.listings["subnets"][i] for i in endpoint.subnet_ids]
    default = next(a.id for a in lab.listings["network_acls"].values() if a.default)
    main = next(t.id for t in lab.listings["route_tables"].values() if t.main)
    acl, table = lab.add_acl(vpc, ALLOW_ALL, subnets), lab.add_table(vpc, (), subnets)
    found = related(Around(lab.inventory()), endpoint)
    assert {acl.id, table.id} <= found
    assert found.isdisjoint({default, main})


def test_what_was_last_known_will_do() -> None:
    """Where nothing can be seen any more the last sight tells; where nothing ever was, the own."""
    lab, endpoint = consumer()
    whole = related(Around(lab.inventory()), endpoint)
    for name in lab.listings:
        known = lab.inventory()
        lab.instead[name] = Unavailable("denied", "denied", getattr(known, name))
    assert related(Around(lab.inventory()), endpoint) == whole
    nothing = Lab()
    assert endpoint.vpc_id in related(Around(nothing.inventory()), endpoint)


def provider() -> tuple[Lab, EndpointService]:
    lab = Lab(PROVIDER)
    vpc = lab.add_vpc("10.200.0.0/16")
    subnet = lab.add_subnet(vpc, "10.200.1.0/24")
    guard, target = lab.add_group(vpc), lab.add_group(vpc)
    private = PrivateDnsName("pay.example.com", "verified", "TXT", "_0a1", "vpce:0a1")
    service = lab.add_service(
        vpc, [subnet], groups=[guard], target_groups=[target], private_dns=private
    )
    return lab, service


def test_what_concerns_a_service() -> None:
    """Load balancers, listeners, target groups, their groups, and the consumers' endpoints."""
    lab, service = provider()
    endpoint = Lab().add_endpoint(lab.add_vpc("10.0.0.0/16"), {})
    lab.connect(service, endpoint)
    found = related_to_service(Around(lab.inventory()), service)
    (arn,) = service.load_balancer_arns
    assert found >= {
        service.id,
        service.service_name,
        arn,
        *(listener.id for listener in lab.details["listeners"][arn].value),  # type: ignore[union-attr]
        *lab.listings["target_groups"],
        *lab.listings["security_groups"],
        *lab.listings["subnets"],
        endpoint.id,
        "pay.example.com",
        "_0a1.pay.example.com",
    }


def test_both_ways_agree() -> None:
    """What an id touches are the endpoints and services that it concerns."""
    lab, endpoint = consumer()
    behind, service = provider()
    for one, subject, ids in (
        (lab, endpoint.id, related(Around(lab.inventory()), endpoint)),
        (behind, service.id, related_to_service(Around(behind.inventory()), service)),
    ):
        index = Around(one.inventory()).related
        touched = index.touched_by([*ids, "sg-0f1", "vpc-0f1"])
        assert set(touched[subject]) == ids


def case(changes: tuple[Change, ...], traffic: Traffic | None = None) -> Any:
    lab, endpoint = consumer()
    lab.changes = changes
    if traffic:
        lab.traffic[endpoint.id] = traffic
    found = World(facts(lab)).endpoint(endpoint.id)
    assert found is not None
    return found


def of(finding: Finding, case_: Any) -> Finding:
    finding = replace(finding, resources=case_.endpoint.security_group_ids)
    (found,) = with_changes((finding,), case_)
    return found


@pytest.mark.parametrize(
    ("status", "explained"),
    [("fail", True), ("warn", True), ("pass", False), ("unknown", False)],
)
def test_only_what_is_wrong_is_explained(status: Any, explained: bool) -> None:
    """A finding that fails or warns has the change after its own evidence."""
    blank = case(())
    group = blank.endpoint.security_group_ids[0]
    finding = Finding("security_group", status, "Closed.", (group,), ("its rules",))
    lab, endpoint = consumer()
    lab.changes = (change(touched=endpoint.security_group_ids[0]),)
    found_case = World(facts(lab)).endpoint(endpoint.id)
    found = of(finding, found_case)
    assert found.evidence[0] == "its rules"
    assert len(found.evidence) == 1 + explained


def refused(*firsts: float, packets: str = "syn") -> Traffic:
    address = Lab().add_vpc("10.0.0.0/16").cidrs[0][9]
    return Traffic(
        rejected=tuple(
            Rejected(address, 443, 6, "endpoint", "to_endpoint", packets, 9, 0, first, NOW)
            for first in firsts
        )
    )


@pytest.mark.parametrize(
    ("traffic", "explained"),
    [
        (Traffic(), True),
        (refused(NOW - 9 * MINUTE), True),
        (refused(NOW - 50 * MINUTE), False),
        (refused(NOW - 50 * MINUTE, NOW - 9 * MINUTE), True),
        (refused(NOW - 50 * MINUTE, packets="other"), True),
    ],
    ids=["nothing refused", "after it", "before it", "somebody before, somebody after", "late"],
)
def test_refused_connections_tell_the_beginning(traffic: Traffic, explained: bool) -> None:
    """A change ten minutes ago explains what was refused since; late packets tell nothing."""
    lab, endpoint = consumer()
    lab.traffic[endpoint.id] = traffic
    lab.changes = (change(touched=endpoint.security_group_ids[0], at=NOW - 10 * MINUTE),)
    found = of(FAULT, World(facts(lab)).endpoint(endpoint.id))
    assert bool(found.evidence) == explained


def test_the_diagnosis_has_it() -> None:
    """A rejected endpoint names who rejected it, though that is in the provider's trail."""
    lab, other = Lab(), Lab(PROVIDER)
    vpc = other.add_vpc("10.200.0.0/16")
    service = other.add_service(vpc, [other.add_subnet(vpc, "10.200.1.0/24")])
    endpoint = lab.add_endpoint(
        lab.add_vpc("10.0.0.0/16"), {}, service=service.service_name, state="rejected"
    )
    other.connect(service, endpoint, "rejected")
    other.changes = (
        change("RejectVpcEndpointConnections", endpoint.id, scope=PROVIDER, what="rejected it"),
    )
    found = {d.id: d for d in analysis.diagnose(facts(lab, other))}[endpoint.id]
    assert found.root_cause is not None
    assert found.root_cause.check == "endpoint_state"
    assert found.root_cause.evidence[-1].startswith("08:43 UTC RejectVpcEndpointConnections on ")


@pytest.mark.parametrize("since", [None, NOW - 40 * MINUTE])
def test_of_many_changes_the_same_are_told_as_by_looking_at_each(since: float | None) -> None:
    """What is found by id are the newest: as many ids and changes as there may be."""
    chance = random.Random(7)
    for _ in range(40):
        lab, endpoint = consumer()
        group, *_ = endpoint.security_group_ids
        ids = [group, endpoint.id, endpoint.vpc_id, *lab.listings["security_groups"], "sg-0f1"]
        lab.changes = tuple(
            change(
                chance.choice(["RevokeSecurityGroupIngress", "ModifyVpcEndpoint", "DeleteRoute"]),
                at=NOW - chance.randrange(-5, 90) * MINUTE,
                id_=f"c{number}",
                subjects=frozenset(chance.sample(ids, chance.randrange(1, 3))),
                outcome=chance.choice(["ok", "ok", "ok", "denied"]),
            )
            for number in range(50)
        )
        if since is not None:
            row = Rejected(
                ip_address("10.0.1.20"), 443, 6, "endpoint", "to_endpoint", "syn", 1, 0, since, NOW
            )
            lab.traffic[endpoint.id] = Traffic(rejected=(row,))
        world = World(facts(lab))
        (case,) = world.endpoints()
        finding = replace(FAULT, resources=(group, endpoint.id))
        (told_of,) = with_changes((finding,), case)
        every = explain(finding, lab.changes, since, NOW, related(case.around, endpoint))
        assert told_of.evidence == every
