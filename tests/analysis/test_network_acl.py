"""The network ACLs of the endpoint's subnets and of the clients', for packets and replies."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_network

import pytest

from exporter.model import Finding, NetworkAclEntry
from tests.analysis.lab import ALLOW_ALL, DENIED, Lab, finding
from tests.analysis.net import STRANGER, Net, net, reject

ALL_IN, ALL_OUT = ALLOW_ALL
REST = NetworkAclEntry(32767, False, False, "-1", ip_network("0.0.0.0/0"))
REST_OUT = NetworkAclEntry(32767, True, False, "-1", ip_network("0.0.0.0/0"))


def entry(
    number: int,
    ports: tuple[int, int],
    cidr: str = "0.0.0.0/0",
    *,
    allow: bool = True,
    egress: bool = False,
) -> NetworkAclEntry:
    return NetworkAclEntry(number, egress, allow, "6", ip_network(cidr), *ports)


def judged(estate: Net) -> Finding:
    return finding("network_acl", estate.endpoint, estate.lab)


def guarded(*entries: NetworkAclEntry, at: str = "inner", client: str | None = "10.0.1.10") -> Net:
    """An ACL of the endpoint's subnet (inner), the client's (app) or both; the client was seen."""
    estate = net()
    subnets = {"inner": [estate.inner], "app": [estate.app], "both": [estate.inner, estate.app]}
    estate.lab.add_acl(estate.vpc, entries, subnets[at])
    if client:
        estate.saw(reject(client))
    return estate


def same_subnet() -> Net:
    """A client beside the endpoint, in a subnet whose ACL lets nothing pass."""
    estate = guarded(REST, REST_OUT, client=None)
    estate.lab.add_interface(estate.inner, "10.0.2.9", groups=[estate.client_group])
    estate.saw(reject("10.0.2.9"))
    return estate


def beside() -> Net:
    """Nobody was seen, and there is an interface beside the endpoint's."""
    estate = guarded(REST, ALL_OUT, client=None)
    estate.lab.add_interface(estate.inner, "10.0.2.9", groups=[estate.client_group])
    return estate


def denied(part: str) -> Net:
    estate = guarded(ALL_IN, ALL_OUT)
    estate.lab.instead[part] = DENIED
    return estate


def told(*entries: NetworkAclEntry) -> Net:
    estate = guarded(*entries, client=None)
    estate.told("10.0.1.0/24")
    return estate


HTTPS = (443, 443)
EPHEMERAL = (1024, 65535)
LINUX = (32768, 61000)
TO_VPC = "10.0.0.0/16"
CASES: dict[str, tuple[Callable[[], Net], str]] = {
    "the default one": (net, "pass"),
    "explicit entries for both ways": (
        lambda: guarded(entry(100, HTTPS, TO_VPC), entry(100, EPHEMERAL, TO_VPC, egress=True)),
        "pass",
    ),
    "443 is denied to the clients": (
        lambda: guarded(entry(90, HTTPS, "10.0.0.0/8", allow=False), ALL_IN, ALL_OUT),
        "fail",
    ),
    "443 is denied to others": (
        lambda: guarded(entry(90, HTTPS, "172.16.0.0/12", allow=False), ALL_IN, ALL_OUT),
        "pass",
    ),
    "denied after it is allowed": (
        lambda: guarded(entry(110, HTTPS, allow=False), ALL_IN, ALL_OUT),
        "pass",
    ),
    "no answer gets out": (lambda: guarded(ALL_IN, entry(100, HTTPS, egress=True)), "fail"),
    "answers get out to some ports": (
        lambda: guarded(ALL_IN, entry(100, LINUX, egress=True)),
        "warn",
    ),
    "answers get out to others": (
        lambda: guarded(ALL_IN, entry(100, EPHEMERAL, "172.16.0.0/12", egress=True)),
        "fail",
    ),
    "nobody known, 443 denied to some": (
        lambda: guarded(entry(90, HTTPS, "10.0.0.0/8", allow=False), ALL_IN, ALL_OUT, client=None),
        "pass",
    ),
    "nobody known, nothing gets in": (lambda: guarded(REST, ALL_OUT, client=None), "fail"),
    "nobody known, no answer gets out": (
        lambda: guarded(ALL_IN, entry(100, HTTPS, egress=True), client=None),
        "fail",
    ),
    "nobody known, answers get out to some ports": (
        lambda: guarded(ALL_IN, entry(100, LINUX, egress=True), client=None),
        "warn",
    ),
    "the client's own lets nothing out": (
        lambda: guarded(ALL_IN, REST_OUT, at="app"),
        "fail",
    ),
    "the client's own lets no answer in": (
        lambda: guarded(entry(100, HTTPS), ALL_OUT, at="app"),
        "fail",
    ),
    "the client's own lets answers in": (
        lambda: guarded(entry(100, EPHEMERAL), entry(100, HTTPS, egress=True), at="app"),
        "pass",
    ),
    "a stranger is kept out": (
        lambda: guarded(
            entry(90, HTTPS, "198.51.100.0/24", allow=False), ALL_IN, ALL_OUT, client=STRANGER
        ),
        "pass",
    ),
    "within one subnet it is not asked": (same_subnet, "pass"),
    "a told network, part of it denied": (
        lambda: told(entry(90, HTTPS, "10.0.1.128/25", allow=False), ALL_IN, ALL_OUT),
        "fail",
    ),
    "a told network whose answers are partly denied": (
        lambda: told(
            ALL_IN, entry(90, EPHEMERAL, "10.0.1.0/28", allow=False, egress=True), ALL_OUT
        ),
        "fail",
    ),
    "nobody known, nothing gets in but from beside": (beside, "warn"),
    "ACLs denied": (lambda: denied("network_acls"), "unknown"),
    "subnets denied": (lambda: denied("subnets"), "unknown"),
    "interfaces denied": (lambda: denied("interfaces"), "unknown"),
}


@pytest.mark.parametrize("name", CASES)
def test_packets_and_replies(name: str) -> None:
    """Each ACL has its status; a failure names it and what to add."""
    build, status = CASES[name]
    found = judged(build())
    assert found.status == status, found
    if status == "fail":
        assert found.resources[0].startswith("acl-")
        assert found.fix


def test_the_entry_that_decides_is_named_and_one_before_it_is_added() -> None:
    """Entry 90 denies: the command allows at 89, for the client's subnet alone."""
    found = judged(guarded(entry(90, HTTPS, "10.0.0.0/8", allow=False), ALL_IN, ALL_OUT))
    assert "inbound rule 90" in found.evidence[0]
    assert "denies tcp 443 from 10.0.0.0/8" in found.evidence[0]
    assert "--ingress --rule-number 89 " in (found.fix or "")
    assert "--cidr-block 10.0.1.0/24 --rule-action allow" in (found.fix or "")


def test_all_that_is_missing_is_added_at_once() -> None:
    """An ACL that denies everything, on both subnets: packets and answers, in and out."""
    found = judged(guarded(REST, REST_OUT, at="both"))
    lines = (found.fix or "").splitlines()
    ways = sorted(line.split()[5] for line in lines)
    assert ways == ["--egress", "--egress", "--ingress", "--ingress"]
    assert len(set(lines)) == 4


def test_answers_need_the_ephemeral_ports() -> None:
    """What lets no answer out is mended outbound, for ports 1024 to 65535."""
    found = judged(guarded(ALL_IN, entry(100, HTTPS, egress=True), REST_OUT))
    assert "back to the client" in found.summary
    assert "--egress --rule-number 200 " in (found.fix or "")
    assert "--port-range From=1024,To=65535" in (found.fix or "")


def test_a_gateway_load_balancer_endpoint_is_not_concerned() -> None:
    """Its traffic is judged where it comes from."""
    lab = Lab()
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, type="GatewayLoadBalancer")
    assert finding("network_acl", endpoint, lab).status == "not_applicable"


def test_each_entry_to_add_has_a_number_of_its_own() -> None:
    """Clients of two subnets need two entries; two of one subnet share one."""
    for denies, numbers in ((True, ["89", "88"]), (False, ["200", "300"])):
        first = [entry(90, (443, 443), allow=False), ALL_IN] if denies else [entry(100, (80, 80))]
        estate = guarded(*first, REST, ALL_OUT, client=None)
        estate.lab.add_subnet(estate.vpc, "10.0.5.0/24")
        estate.saw(*(reject(f"10.0.{net}.{host}") for net in (1, 5) for host in (20, 21)))
        commands = (judged(estate).fix or "").splitlines()
        words = [command.split() for command in commands]
        assert [w[w.index("--rule-number") + 1] for w in words] == numbers
        assert {w[w.index("--cidr-block") + 1] for w in words} == {"10.0.1.0/24", "10.0.5.0/24"}
