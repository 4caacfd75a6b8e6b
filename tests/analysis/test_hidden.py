"""What is there and could not be seen is not taken for something that is not there."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest

from exporter import analysis
from exporter.analysis.clients import LATE
from exporter.model import Accepted, Expected, FlowLog, Known, Scope, Traffic
from tests.analysis.lab import DENIED, NOW, PROVIDER, Lab, facts, finding
from tests.analysis.net import Net, net, reject
from tests.analysis.pair import CLIENT, Pair, pair
from tests.analysis.test_nlb_security_group import guarded

FLOW_LOG = FlowLog("fl-1", "vpc-1", "ALL", "s3", "arn:aws:s3:::example", "")
WHY = "bucket: ListObjectsV2: AccessDenied"
BY_CLIENTS = ("security_group", "network_acl", "route")


def logged(estate: Net, read_to: float | None = NOW, **more: Any) -> None:
    """A flow log is on the endpoint, and was read up to then."""
    estate.lab.traffic[estate.endpoint.id] = Traffic(
        covering=(FLOW_LOG,), read_to=read_to, **{"rejected": (), **more}
    )


def judged(check: str, estate: Net, *others: Lab, **more: Any) -> str:
    return finding(check, estate.endpoint, estate.lab, *others, **more).status


@pytest.mark.parametrize("check", BY_CLIENTS)
@pytest.mark.parametrize(
    ("blind", "read_to", "off", "status"),
    [
        ("", None, (), "pass"),
        (WHY, None, (), "unknown"),
        (WHY, NOW - LATE - 1, (), "unknown"),
        (WHY, NOW - LATE, (), "pass"),
        (WHY, None, ("flow_logs",), "pass"),
    ],
    ids=["nothing is denied", "never read", "read long ago", "of another log", "switched off"],
)
def test_clients_that_flow_logs_know(
    check: str, blind: str, read_to: float | None, off: tuple[str, ...], status: str
) -> None:
    """Who comes is not known while the endpoint's flow log cannot be read: no pass then."""
    estate = net()
    logged(estate, read_to)
    if blind:
        estate.lab.blind["flow_logs"] = blind
    assert judged(check, estate, off=off) == status
    # Without a flow log on it, nothing is hidden.
    estate.lab.traffic.clear()
    assert judged(check, estate) == "pass"


@pytest.mark.parametrize("check", BY_CLIENTS)
def test_flow_logs_that_could_not_be_listed(check: str) -> None:
    """There may be one on the endpoint."""
    estate = net()
    estate.lab.instead["flow_logs"] = DENIED
    assert judged(check, estate) == "unknown"


def test_what_no_packet_passes_fails_whoever_the_clients_are() -> None:
    """It takes no flow log to see that nobody can come in."""
    estate = net()
    estate.lab.drop_rules(estate.group, egress=False)
    logged(estate, None)
    estate.lab.blind["flow_logs"] = WHY
    assert judged("security_group", estate) == "fail"


@pytest.mark.parametrize(
    ("rejected", "ago", "status"),
    [((), 0.0, "pass"), ((), LATE + 1, "unknown"), ((reject(ago=800),), LATE + 1, "warn")],
    ids=["read just now", "read long ago", "what was seen stands"],
)
def test_rejects_that_are_not_read_any_more(rejected: Any, ago: float, status: str) -> None:
    """That nobody was rejected is told by records that are read, not by their absence."""
    estate = net()
    logged(estate, NOW - ago, rejected=rejected)
    estate.lab.blind["flow_logs"] = WHY
    assert judged("flow_rejects", estate) == status


@pytest.mark.parametrize("part", ["endpoints", "interfaces"])
def test_rejects_of_interfaces_that_are_not_known(part: str) -> None:
    """Whose flow logs would tell, is not known."""
    estate = net()
    last = Known(estate.lab.listings[part], NOW)
    estate.lab.instead[part] = replace(DENIED, last=last)
    assert judged("flow_rejects", estate) == "unknown"


@pytest.mark.parametrize(
    ("row", "status"), [(reject("10.9.0.1"), "unknown"), (reject("10.9.0.1", 8443), "pass")]
)
def test_who_is_rejected_may_be_in_a_subnet_that_was_not_listed(row: Any, status: str) -> None:
    """It is no stranger while not all subnets are known; at a port that is served."""
    estate = net()
    logged(estate, rejected=(row,))
    other = Lab(PROVIDER)
    other.instead["subnets"] = DENIED
    assert judged("flow_rejects", estate, other) == status
    assert judged("flow_rejects", estate) == "pass"


@pytest.mark.parametrize(
    ("part", "proven", "status"),
    [("subnets", False, "unknown"), ("subnets", True, "pass"), ("interfaces", False, "unknown")],
)
def test_a_client_whose_own_rules_are_hidden(part: str, proven: bool, status: str) -> None:
    """Its security group may not let it out; what was answered was let out."""
    estate = net(("10.0.0.0/8",))
    other = Lab(PROVIDER)
    vpc = other.add_vpc("10.9.0.0/16")
    closed = other.add_group(vpc)
    other.drop_rules(closed, egress=True)
    other.add_interface(other.add_subnet(vpc, "10.9.1.0/24"), "10.9.1.10", groups=[closed])
    seen = Accepted(ip_address("10.9.1.10"), NOW - 60, NOW - 60 if proven else None)
    logged(estate, clients=(seen,))
    assert judged("security_group", estate, other) == ("pass" if proven else "fail")
    other.instead[part] = DENIED
    assert judged("security_group", estate, other) == status


def at_provider(estate: Pair, **closed: str) -> Any:
    """The facts in which the consumer knows whose the service is."""
    details = estate.consumer.listings["service_details"]
    for detail in list(details.values()):
        estate.consumer.change("service_details", detail, owner=PROVIDER.account)
    if not closed:
        return facts(estate.consumer, estate.provider)
    why = {Scope(PROVIDER.account, region): said for region, said in closed.items()}
    return replace(facts(estate.consumer), closed=why)


def shown(found: Any, noun: Any, check: str) -> str:
    diagnosis = {d.id: d for d in analysis.diagnose(found)}[noun.id]
    return next((f.status for f in diagnosis.checks if f.check == check), "not shown")


@pytest.mark.parametrize(
    ("region", "status"),
    [("", "unknown"), ("eu-west-1", "unknown"), ("us-east-1", "not shown")],
    ids=["the account", "its Region", "another Region"],
)
def test_a_provider_of_which_nothing_is_seen(region: str, status: str) -> None:
    """It is watched, so its endpoint is not well for want of anything wrong."""
    estate = pair()
    found = at_provider(estate, **{region: "AssumeRole: AccessDenied"})
    assert shown(found, estate.endpoint, "service_state") == status
    found = replace(found, closed={})
    assert shown(found, estate.endpoint, "service_state") == "not shown"


def test_services_that_could_not_be_listed() -> None:
    """The provider's account is seen, its services are not: neither are their ports."""
    estate = pair()
    assert shown(at_provider(estate), estate.endpoint, "service_state") == "not shown"
    estate.provider.instead["services"] = DENIED
    found = replace(at_provider(estate), reachable=frozenset({estate.vpc.id}))
    assert shown(found, estate.endpoint, "service_state") == "unknown"
    assert shown(found, estate.endpoint, "connectivity") == "unknown"
    estate.consumer.expected[estate.endpoint.id] = Expected((443,))
    found = replace(at_provider(estate), reachable=frozenset({estate.vpc.id}))
    assert shown(found, estate.endpoint, "connectivity") == "unknown"


def test_consumers_that_could_not_be_listed() -> None:
    """Where they come to is not known; those of an account that is not watched are not missed."""
    estate = pair()
    assert shown(at_provider(estate), estate.service, "nlb_listener") == "pass"
    estate.consumer.instead["endpoints"] = DENIED
    assert shown(at_provider(estate), estate.service, "nlb_listener") == "unknown"
    assert shown(facts(estate.provider), estate.service, "nlb_listener") == "pass"
    closed = {Scope(estate.endpoint.scope.account, ""): "AssumeRole: AccessDenied"}
    found = replace(facts(estate.provider), closed=closed)
    assert shown(found, estate.service, "nlb_listener") == "unknown"


@pytest.mark.parametrize("told", [False, True], ids=["nothing told", "a port is configured"])
def test_ports_that_flow_logs_know(told: bool) -> None:
    """To which ports the clients come is not known while their flow log cannot be read."""
    estate = pair()
    estate.consumer.traffic[estate.endpoint.id] = Traffic(covering=(FLOW_LOG,))
    estate.consumer.blind["flow_logs"] = WHY
    if told:
        estate.consumer.expected[estate.endpoint.id] = Expected((443,))
    status = "pass" if told else "unknown"
    assert shown(at_provider(estate), estate.service, "nlb_listener") == status


def test_clients_of_a_load_balancer_that_judges_them() -> None:
    """Those that were seen may come in; whether others may not is not known."""
    estate = guarded(("10.1.0.0/16", 443))
    estate.seen(CLIENT)
    assert estate.of_service("nlb_security_group").status == "pass"
    told = estate.consumer.traffic[estate.endpoint.id]
    estate.consumer.traffic[estate.endpoint.id] = replace(told, covering=(FLOW_LOG,))
    estate.consumer.blind["flow_logs"] = WHY
    assert estate.of_service("nlb_security_group").status == "unknown"
