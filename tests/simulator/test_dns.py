"""DNS with a split horizon: the public view, and each VPC's own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import httpx
import pytest

from exporter.simulator.dns import DnsServers
from exporter.simulator.server import Simulator
from exporter.simulator.state import Row, World

SQS = "sqs.eu-west-1.amazonaws.com"
KMS = "kms.eu-west-1.amazonaws.com"


@pytest.fixture
def resolvers(quiet: Simulator) -> Iterator[Simulator]:
    """The quiet organisation, its resolvers as they should be afterwards."""
    yield quiet
    quiet.world.dns_behaviours = {}


def ask(
    simulator: Simulator, vpc: str, name: str, kind: str = "A", tcp: bool = False
) -> dns.message.Message:
    """Return a view's answer; of the public one without a VPC."""
    port = simulator.dns_ports[vpc] if vpc else simulator.dns_port
    query = dns.message.make_query(name, kind)
    how = dns.query.tcp if tcp else dns.query.udp
    return how(query, "127.0.0.1", port=port, timeout=0.5)


def answers(message: dns.message.Message) -> list[str]:
    return sorted(
        item.to_text()
        for rrset in message.answer
        if rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
        for item in rrset
    )


def endpoint(simulator: Simulator, name: str) -> tuple[Row, list[str]]:
    """Return the endpoint of that scenario, and its interfaces' addresses."""
    world = simulator.world
    row = world.row("VpcEndpoints", "VpcEndpointId", world.scenarios[name].id)
    found = [
        world.row("NetworkInterfaces", "NetworkInterfaceId", i) for i in row["NetworkInterfaceIds"]
    ]
    v4 = [i["PrivateIpAddress"] for i in found if "PrivateIpAddress" in i]
    return row, sorted(v4)


def test_own_names_are_public(quiet: Simulator) -> None:
    """Regional and zonal names are answered from anywhere, with the endpoint's own addresses."""
    row, addresses = endpoint(quiet, "secrets")
    regional, *zonal = [e["DnsName"] for e in row["DnsEntries"]][:3]
    for vpc in ("", row["VpcId"], quiet.world.host_vpc):
        assert answers(ask(quiet, vpc, regional)) == addresses
    assert sorted(a for name in zonal for a in answers(ask(quiet, "", name))) == addresses


def test_private_names_are_the_vpcs_own(quiet: Simulator) -> None:
    """An AWS service's name is public outside of the VPC and the endpoint's within."""
    row, addresses = endpoint(quiet, "secrets")
    name = "secretsmanager.eu-west-1.amazonaws.com"
    assert answers(ask(quiet, row["VpcId"], name)) == addresses
    assert all(a.startswith("203.0.113.") for a in answers(ask(quiet, "", name)))
    assert answers(ask(quiet, row["VpcId"], name, tcp=True)) == addresses
    assert answers(ask(quiet, row["VpcId"], "none.example.com")) == []
    assert ask(quiet, row["VpcId"], "none.example.com").rcode() == dns.rcode.NXDOMAIN


def test_a_providers_private_name_is_an_alias(quiet: Simulator) -> None:
    """A provider's private name is a CNAME of the regional one, in the VPC only."""
    row, addresses = endpoint(quiet, "orders-api")
    answer = ask(quiet, row["VpcId"], "orders.example.com")
    assert answer.answer[0].rdtype == dns.rdatatype.CNAME
    assert answers(answer) == addresses
    assert ask(quiet, "", "orders.example.com").rcode() == dns.rcode.NXDOMAIN


def test_v6(quiet: Simulator) -> None:
    """A dualstack endpoint has A and AAAA, an IPv6 one only AAAA."""
    row, addresses = endpoint(quiet, "dualstack")
    assert answers(ask(quiet, row["VpcId"], KMS)) == addresses
    assert len(answers(ask(quiet, row["VpcId"], KMS, "AAAA"))) == 2
    row, _ = endpoint(quiet, "ipv6")
    name = "lambda.eu-west-1.amazonaws.com"
    assert answers(ask(quiet, row["VpcId"], name)) == []
    assert len(answers(ask(quiet, row["VpcId"], name, "AAAA"))) == 2


def test_wildcards(quiet: Simulator) -> None:
    """Any label answers for a wildcard."""
    row, addresses = endpoint(quiet, "wildcard-name")
    name = "abc123.execute-api.eu-west-1.amazonaws.com"
    assert answers(ask(quiet, row["VpcId"], name)) == addresses


def test_names_that_are_wrong(quiet: Simulator) -> None:
    """Each scenario of DNS has the answer that it is named for."""
    for name in ("dns-hostnames-off", "private-dns-off", "private-dns-off-no-internet"):
        row, _ = endpoint(quiet, name)
        assert answers(ask(quiet, row["VpcId"], SQS)) == answers(ask(quiet, "", SQS))
    row, addresses = endpoint(quiet, "foreign-answer")
    assert answers(ask(quiet, row["VpcId"], SQS)) == ["10.250.0.10"]
    assert "10.250.0.10" not in addresses
    row, addresses = endpoint(quiet, "names-lost")
    assert answers(ask(quiet, row["VpcId"], SQS)) == addresses
    regional = row["DnsEntries"][0]["DnsName"]
    assert ask(quiet, row["VpcId"], regional).rcode() == dns.rcode.NXDOMAIN
    assert answers(ask(quiet, "", regional)) == addresses


def test_a_shared_zone(quiet: Simulator) -> None:
    """A private hosted zone answers in the hub and in the spoke."""
    row, addresses = endpoint(quiet, "hub-kms")
    world = quiet.world
    spoke = next(v["VpcId"] for v in world.table("Vpcs", row["OwnerId"]) if named(v, "spoke"))
    assert answers(ask(quiet, row["VpcId"], KMS)) == answers(ask(quiet, spoke, KMS)) == addresses


def named(row: Row, name: str) -> bool:
    return bool(row["Tags"][0]["Value"] == name)


def test_every_vpc_has_a_resolver(quiet: Simulator) -> None:
    """The resolvers' list has each VPC once, each at an address of its own."""
    found = quiet.resolvers()
    assert [v for r in found for v in r["vpcs"]] == quiet.world.vpc_ids()
    assert len({r["address"] for r in found}) == len(found)


@pytest.mark.parametrize("behaviour", ["refused", "servfail", "silent", "slow", "lying"])
def test_behaviours(resolvers: Simulator, behaviour: str) -> None:
    """A resolver can be made to misbehave, and no other does."""
    row, addresses = endpoint(resolvers, "secrets")
    vpc, regional = row["VpcId"], row["DnsEntries"][0]["DnsName"]
    httpx.post(f"{resolvers.url}/_simulator/dns", json={vpc: behaviour}).raise_for_status()
    if behaviour in ("refused", "servfail"):
        assert ask(resolvers, vpc, regional).rcode() == dns.rcode.from_text(behaviour)
    elif behaviour == "lying":
        assert answers(ask(resolvers, vpc, regional)) == ["192.0.2.66"]
    else:
        with pytest.raises(dns.exception.Timeout):
            ask(resolvers, vpc, regional)
    began = time.monotonic()
    assert answers(ask(resolvers, "", regional)) == addresses
    assert time.monotonic() - began < 0.4


def test_a_port_that_is_only_free_for_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where UDP's half of a port is taken, another port is; with none to be had it says so."""
    real = asyncio.BaseEventLoop.create_datagram_endpoint
    taken = 3

    async def sometimes(self: asyncio.BaseEventLoop, *args: Any, **kwargs: Any) -> Any:
        nonlocal taken
        taken -= 1
        if taken >= 0:
            raise OSError("Address already in use")
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(asyncio.BaseEventLoop, "create_datagram_endpoint", sometimes)
    servers = DnsServers(World())
    servers.start()
    assert set(servers.ports) == {""}
    servers.stop()
    taken = 10**6
    with pytest.raises(OSError, match="in use"):
        DnsServers(World()).start()
