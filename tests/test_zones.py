"""In which zone a target is, by every way in which AWS lets us know."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from exporter.model import (
    Interface,
    Inventory,
    Known,
    LoadBalancer,
    LoadBalancerZone,
    Scope,
    Subnet,
    Target,
    TargetGroup,
    Unavailable,
    Zones,
)

A, B = (
    Subnet(f"subnet-{z}", "vpc-1", f"eu-west-1{z}", f"euw1-az{n}", (ip_network(f"10.0.{n}.0/24"),))
    for z, n in (("a", 3), ("b", 1))
)
ELSEWHERE = replace(A, id="subnet-c", vpc_id="vpc-2", zone="eu-west-1c", zone_id="euw1-az2")
ENI = Interface("eni-1", "vpc-1", "subnet-b", "", "euw1-az1", (ip_address("10.0.1.9"),))
INVENTORY = Inventory(
    Scope("111122223333", "eu-west-1"),
    subnets=Known({s.id: s for s in (A, B, ELSEWHERE)}, 0),
    interfaces=Known({"eni-1": replace(ENI, instance_id="i-1")}, 0),
)
GROUP = TargetGroup("arn", "g", "TCP", 443, "vpc-1", "ip")


@pytest.mark.parametrize(
    ("kind", "target", "zone_id"),
    [
        ("ip", Target("10.0.9.9", 1, "eu-west-1a", "healthy"), "euw1-az3"),
        ("ip", Target("10.0.9.9", 1, "eu-west-1z", "healthy"), "unknown"),
        ("ip", Target("10.0.3.7", 1, "", "healthy"), "euw1-az3"),
        ("ip", Target("10.0.1.9", 1, "all", "healthy"), "euw1-az1"),
        ("ip", Target("192.0.2.1", 1, "all", "healthy"), "unknown"),
        ("ip", Target("not an address", 1, "", "healthy"), "unknown"),
        ("instance", Target("i-1", 1, "", "healthy"), "euw1-az1"),
        ("instance", Target("i-2", 1, "", "healthy"), "unknown"),
        ("alb", Target("arn:alb", 1, "", "healthy"), "unknown"),
    ],
    ids=[
        "named",
        "named, but not listed",
        "by its subnet",
        "by its interface",
        "outside the VPC",
        "nonsense",
        "instance",
        "unknown instance",
        "load balancer",
    ],
)
def test_the_zone_of_a_target(kind: str, target: Target, zone_id: str) -> None:
    """Where AWS names no zone, the subnet of the address or the instance tells; else unknown."""
    assert Zones(INVENTORY).of_target(target, replace(GROUP, target_type=kind)) == zone_id


def test_overlapping_addresses_are_told_apart_by_vpc() -> None:
    """The same address in another VPC is in that VPC's zone."""
    group = replace(GROUP, vpc_id="vpc-2")
    assert Zones(INVENTORY).of_target(Target("10.0.3.7", 1, "", "healthy"), group) == "euw1-az2"


def test_the_zones_of_a_load_balancer() -> None:
    """By its subnets; unknown where these could not be seen."""
    zones = (LoadBalancerZone("eu-west-1a", "subnet-a"), LoadBalancerZone("eu-west-1b", "gone"))
    balancer = LoadBalancer("arn", "n", "network", "active", "vpc-1", zones)
    assert Zones(INVENTORY).of_load_balancer(balancer) == ("euw1-az1", "euw1-az3")
    blind = replace(INVENTORY, subnets=Unavailable("denied"))
    assert Zones(blind).of_load_balancer(balancer) == ("unknown",)
