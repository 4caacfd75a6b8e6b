"""The security groups of the endpoint and of its clients."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from exporter.model import Finding, Rejected, SecurityGroup, Traffic
from tests.analysis.lab import DENIED, Lab, finding, rule
from tests.analysis.net import STRANGER, Net, net, reject


def judged(estate: Net) -> Finding:
    return finding("security_group", estate.endpoint, estate.lab)


def client_out(estate: Net, *rules: tuple[object, ...]) -> Net:
    """The client's group lets out only what the rules say."""
    estate.lab.drop_rules(estate.client_group, egress=True)
    for one in rules:
        estate.lab.add_rule(rule(estate.client_group.id, *one, egress=True))  # type: ignore[arg-type]
    return estate


def seen(*rules: tuple[object, ...], **more: object) -> Net:
    estate = net(*rules)
    estate.saw(reject(**more))  # type: ignore[arg-type]
    return estate


def told(*rules: tuple[object, ...], clients: tuple[str, ...] = ("10.0.1.0/24",)) -> Net:
    estate = net(*rules)
    estate.told(*clients)
    return estate


def by_group(member: bool, known: bool = True) -> Net:
    """The endpoint lets a group in: the client's, or another one."""
    estate = net(("10.9.9.9/32",))
    wanted = estate.client_group if member else estate.lab.add_group(estate.vpc)
    estate.lab.drop_rules(estate.group, egress=False)
    estate.lab.add_rule(rule(estate.group.id, wanted.id))
    if not known:
        del estate.lab.listings["interfaces"][estate.client.id]
    estate.saw(reject())
    return estate


def accepted(estate: Net, *addresses: str, ago: float = 60.0, also: Rejected | None = None) -> Net:
    estate.saw(*([also] if also else []), accepted=addresses, ports=[443, 8080], ago=ago)
    return estate


def nat_gateway() -> Net:
    estate = net()
    estate.lab.add_interface(estate.app, "10.0.1.77", type="nat_gateway")
    estate.saw(accepted=["10.0.1.77"], ports=[443])
    return estate


def udp() -> Net:
    """The provider's listener at 514 is of UDP, and so is the rule."""
    estate = net(service="com.amazonaws.vpce.eu-west-1.vpce-svc-00000000000000abc")
    estate.lab.drop_rules(estate.group, egress=False)
    estate.lab.add_rule(rule(estate.group.id, "10.0.0.0/16", 514, protocol="udp"))
    estate.told("10.0.1.0/24", ports=[514])
    traffic = Traffic({"ACCEPT": 1.0}, accepted_ports=frozenset({(17, 514)}), rejected=())
    estate.lab.traffic[estate.endpoint.id] = traffic
    return estate


def hidden_list() -> Net:
    estate = net(("10.9.9.9/32",))
    office = estate.lab.add_prefix_list("10.0.0.0/16")
    estate.lab.drop_rules(estate.group, egress=False)
    estate.lab.add_rule(rule(estate.group.id, office.id))
    estate.lab.details["prefix_list_entries"][office.id] = DENIED
    estate.saw(reject())
    return estate


def denied(part: str) -> Net:
    estate = seen(("10.0.0.0/16",))
    estate.lab.instead[part] = DENIED
    return estate


def unlisted_subnets() -> Net:
    estate = seen(("10.0.1.0/24",), address="10.77.0.1")
    estate.lab.instead["subnets"] = DENIED
    return estate


CASES: dict[str, tuple[Callable[[], Net], str]] = {
    # No client is known: only what no packet could pass fails.
    "a rule for the VPC": (lambda: net(), "pass"),
    "no rule for the port": (lambda: net(("10.0.0.0/16", 8443)), "fail"),
    "no rule at all": (lambda: client_free(), "fail"),
    "a rule for one far client": (lambda: net(("192.0.2.1/32",)), "pass"),
    "a group that may have members": (lambda: by_reference(), "pass"),
    "IPv6 rules for an IPv4 endpoint": (lambda: net(("::/0",)), "fail"),
    # Clients that flow logs saw.
    "a client that is let in": (lambda: seen(("10.0.1.0/24",)), "pass"),
    "a client that is not let in": (lambda: seen(("10.0.9.0/24",)), "fail"),
    "a client at a port that nobody serves": (lambda: seen(("10.0.1.0/24",), port=8443), "pass"),
    "late packets of a client that is not let in": (
        lambda: seen(("10.0.9.0/24",), packets="other"),
        "pass",
    ),
    "a format without flags": (lambda: seen(("10.0.9.0/24",), packets=""), "fail"),
    "a stranger is no client": (lambda: seen(("10.0.9.0/24",), address=STRANGER), "pass"),
    "a stranger, and no rule": (lambda: seen(("10.0.9.0/24", 1), address=STRANGER), "fail"),
    "who it is cannot be told": (unlisted_subnets, "unknown"),
    "an accepted client that is let in": (
        lambda: accepted(net(("10.0.1.0/24",)), "10.0.1.10"),
        "pass",
    ),
    "a NAT gateway has no groups": (nat_gateway, "pass"),
    "a client that was accepted long ago": (
        lambda: accepted(net(("10.0.9.0/24",)), "10.0.1.10", ago=1900.0),
        "pass",
    ),
    "a client rejected at a port that once accepted": (
        lambda: accepted(net(("10.0.0.0/16",)), "10.0.1.10", also=reject(port=8080)),
        "pass",
    ),
    "a told port of UDP": (udp, "pass"),
    "an accepted client whose rule has gone": (
        lambda: accepted(net(("10.0.9.0/24",)), "10.0.1.10"),
        "fail",
    ),
    # Clients that the configuration names.
    "a told network that is let in": (lambda: told(("10.0.1.0/24",)), "pass"),
    "a told network, half of it let in": (lambda: told(("10.0.1.0/25",)), "fail"),
    "a told network in two rules": (
        lambda: told(("10.0.1.0/25",), ("10.0.1.128/25",)),
        "pass",
    ),
    "a told network far away": (
        lambda: told(("10.0.1.0/24",), clients=("172.16.0.0/12",)),
        "fail",
    ),
    # Groups.
    "a member of the group": (lambda: by_group(member=True), "pass"),
    "no member of the group": (lambda: by_group(member=False), "fail"),
    "a client whose groups are not known": (lambda: by_group(True, known=False), "unknown"),
    "a client of unknown groups that was accepted": (
        lambda: accepted(by_group(True, known=False), "10.0.1.10"),
        "pass",
    ),
    # The client's own groups.
    "the client is let out to the VPC": (
        lambda: client_out(seen(("10.0.0.0/16",)), ("10.0.0.0/16",)),
        "pass",
    ),
    "the client is let out to the endpoint's group": (lambda: out_to_group(), "pass"),
    "the client is not let out": (
        lambda: client_out(seen(("10.0.0.0/16",)), ("10.0.0.0/16", 8443)),
        "fail",
    ),
    "the client is let out to nothing": (lambda: client_out(seen(("10.0.0.0/16",))), "fail"),
    # What could not be seen.
    "a prefix list that cannot be read": (hidden_list, "unknown"),
    "rules denied": (lambda: denied("security_group_rules"), "unknown"),
    "interfaces denied": (lambda: denied("interfaces"), "unknown"),
}


def client_free() -> Net:
    estate = net()
    estate.lab.drop_rules(estate.group, egress=False)
    return estate


def by_reference() -> Net:
    estate = net(("10.9.9.9/32",))
    estate.lab.drop_rules(estate.group, egress=False)
    estate.lab.add_rule(rule(estate.group.id, estate.client_group.id))
    return estate


def out_to_group() -> Net:
    estate = seen(("10.0.0.0/16",))
    return client_out(estate, (estate.group.id,))


@pytest.mark.parametrize("name", CASES)
def test_who_is_let_in(name: str) -> None:
    """Each case of rules and clients has its status; a failure names the group and a remedy."""
    build, status = CASES[name]
    estate = build()
    found = judged(estate)
    assert found.status == status, found
    if status == "fail":
        assert found.resources[0] in (estate.group.id, estate.client_group.id)
        assert found.fix


def test_the_command_opens_as_little_as_it_can() -> None:
    """The group of a client that is seen, the address of one that is not; nothing to a stranger."""
    estate = seen(("10.0.9.0/24",))
    fix = judged(estate).fix or ""
    assert f"--group-id {estate.group.id} " in fix
    assert f'"UserIdGroupPairs":[{{"GroupId":"{estate.client_group.id}"}}]' in fix
    assert "--region eu-west-1" in fix
    estate.saw(reject("10.0.1.77"), reject(STRANGER))
    fix = judged(estate).fix or ""
    assert '"CidrIp":"10.0.1.77/32"' in fix
    assert STRANGER not in fix


def test_the_clients_own_group_is_named_and_opened_to_the_endpoint() -> None:
    """What keeps a client in is its own group: the command lets it out to the endpoint's group."""
    estate = client_out(seen(("10.0.0.0/16",)), ("10.0.0.0/16", 8443))
    found = judged(estate)
    assert found.resources[0] == estate.client_group.id
    assert "authorize-security-group-egress" in (found.fix or "")
    assert estate.group.id in (found.fix or "")


def test_the_group_that_is_opened_is_the_narrowest() -> None:
    """Never the default one, which everything may have; nor is it referred to."""
    estate = net(("10.0.9.0/24",))
    lab = estate.lab
    default = SecurityGroup("sg-000000000000000aa", estate.vpc.id, "default")
    lab.add("security_groups", default)
    own = (default.id, estate.client_group.id)
    lab.change("interfaces", estate.client, security_group_ids=own)
    (interface_id,) = estate.endpoint.interface_ids
    interface = lab.listings["interfaces"][interface_id]
    lab.change("interfaces", interface, security_group_ids=(default.id, estate.group.id))
    lab.add_rule(rule(default.id, default.id, None, protocol="-1", egress=True))
    estate.saw(reject())
    fix = judged(estate).fix or ""
    assert f"--group-id {estate.group.id} " in fix
    assert default.id not in fix


def test_a_port_scan_yields_no_advice_to_open() -> None:
    """Whoever is neither told nor in our subnets is not let in by any command."""
    estate = net()
    estate.saw(*(reject(STRANGER, port) for port in range(430, 450)))
    found = judged(estate)
    assert (found.status, found.fix) == ("pass", None)


def test_every_told_port_has_to_be_open() -> None:
    """Of told ports each counts; of a provider's or accepted ports one that is open is enough."""
    estate = net(("10.0.0.0/16",))
    estate.told("10.0.1.0/24", ports=[443, 8443])
    assert judged(estate).status == "fail"
    assert "8443" in judged(estate).summary
    estate.told(ports=[443, 8443])
    assert judged(estate).status == "fail"
    estate = net(("10.0.0.0/16",))
    estate.saw(accepted=["10.0.1.10"], ports=[443, 9000])
    assert judged(estate).status == "pass"


@pytest.mark.parametrize(("rules", "status"), [([("10.0.0.0/16", 1)], "pass"), ([], "fail")])
def test_without_a_known_port_only_no_rule_at_all_fails(
    rules: list[tuple[object, ...]], status: str
) -> None:
    """A provider that is not watched, and nothing accepted yet: the ports are not guessed."""
    estate = net(*rules, service="com.amazonaws.vpce.eu-west-1.vpce-svc-00000000000000abc")
    if not rules:
        estate.lab.drop_rules(estate.group, egress=False)
    assert judged(estate).status == status


def test_overlapping_blocks_do_not_lend_a_client_anothers_groups() -> None:
    """A client in an address block that two VPCs have is in none of them for certain."""
    estate = by_group(member=True)
    for _ in range(2):
        other = estate.lab.add_vpc("10.50.0.0/16")
        subnet = estate.lab.add_subnet(other, "10.50.1.0/24")
        estate.lab.add_interface(subnet, "10.50.1.1", groups=[estate.client_group])
    estate.saw(reject("10.50.1.1"))
    assert judged(estate).status == "unknown"


def test_a_gateway_load_balancer_endpoint_has_no_groups() -> None:
    """The check does not concern it."""
    lab = Lab()
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, type="GatewayLoadBalancer")
    assert finding("security_group", endpoint, lab).status == "not_applicable"


@pytest.mark.parametrize(
    ("service", "open_", "status"),
    [
        ("email-smtp", 465, "pass"),
        ("email-smtp", 25, "pass"),
        ("email-smtp", 2587, "pass"),
        ("email-smtp", 443, "fail"),
        ("iot.data", 8883, "pass"),
        ("iot.data", 443, "pass"),
        ("iot.data", 1883, "fail"),
    ],
)
def test_services_with_several_ports(service: str, open_: int, status: str) -> None:
    """Clients use one of the ports that AWS offers: that it is open suffices."""
    for told in (False, True):
        estate = net(("10.0.0.0/16", open_), service=f"com.amazonaws.eu-west-1.{service}")
        if told:
            estate.told("10.0.1.0/24")
        assert judged(estate).status == status, (told, judged(estate))
