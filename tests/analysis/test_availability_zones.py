"""The endpoint's zones and its service's, by their ids."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from exporter import analysis
from exporter.model import Endpoint, Facts
from tests.analysis.lab import CONSUMER, DENIED, PROVIDER, Lab, finding

SERVICE = "com.amazonaws.vpce.eu-west-1.vpce-svc-0123456789abcdef0"


def estate(mine: tuple[int, ...], theirs: tuple[int, ...], **more: Any) -> tuple[Lab, Endpoint]:
    """An endpoint in some zones of a VPC of three, and a service in some."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    subnets = {z: lab.add_subnet(vpc, f"10.0.{z}.0/24", zone=z) for z in (1, 2, 3)}
    addresses = {f"10.0.{z}.10": subnets[z] for z in mine}
    endpoint = lab.add_endpoint(vpc, addresses, service=SERVICE, **more)
    (detail,) = lab.listings["service_details"].values()
    zone_ids = tuple(f"euw1-az{z}" for z in theirs)
    lab.change("service_details", detail, zone_ids=zone_ids, zones=("eu-west-1a", "eu-west-1b"))
    return lab, endpoint


@pytest.mark.parametrize(
    ("mine", "theirs", "more", "status", "words"),
    [
        ((1, 2), (1, 2, 3), {}, "pass", "euw1-az1 (eu-west-1a here), euw1-az2"),
        ((1,), (1,), {}, "pass", "euw1-az1"),
        ((1,), (2, 3), {}, "fail", "no zone in common"),
        ((1, 2), (2, 3), {}, "warn", "not in euw1-az1 (eu-west-1a here)"),
        ((1,), (2,), {"service_region": "us-east-1"}, "not_applicable", "us-east-1"),
        ((1,), (2,), {"type": "GatewayLoadBalancer"}, "fail", "no zone in common"),
        ((1,), (2,), {"type": "Resource"}, "not_applicable", "Resource"),
        ((1,), (2,), {"type": "ServiceNetwork"}, "not_applicable", "ServiceNetwork"),
        ((1,), (2,), {"type": "Gateway"}, "not_applicable", "Gateway"),
        ((1,), (), {}, "not_applicable", "not judged"),
        ((), (1,), {}, "not_applicable", "no interfaces"),
        ((1,), (2,), {"state": "deleting"}, "not_applicable", "deleted"),
    ],
)
def test_zones(
    mine: tuple[int, ...], theirs: tuple[int, ...], more: dict[str, str], status: str, words: str
) -> None:
    """No zone in common fails, some outside warn; what has no zones to compare is not judged."""
    lab, endpoint = estate(mine, theirs, **more)
    found = finding("availability_zones", endpoint, lab)
    assert (found.status, words in found.summary) == (status, True), found


def test_names_of_zones_are_not_compared() -> None:
    """The service has a zone of the same name, which is another zone."""
    lab, endpoint = estate((1,), (2,))
    (detail,) = lab.listings["service_details"].values()
    (interface,) = lab.listings["interfaces"].values()
    assert interface.zone in detail.zones
    assert finding("availability_zones", endpoint, lab).status == "fail"


def test_the_provider_s_own_listing_goes_first() -> None:
    """Where the provider is watched, its account says in which zones the service is."""
    other = Lab(PROVIDER)
    vpc = other.add_vpc("10.200.0.0/16")
    service = other.add_service(vpc, [other.add_subnet(vpc, "10.200.2.0/24", zone=2)])
    other.change("services", service, service_name=SERVICE)
    lab, endpoint = estate((1,), (1,))
    assert finding("availability_zones", endpoint, lab, other).status == "fail"
    # What it was when it could be listed says nothing of now: then as consumers see it.
    other.instead["services"] = DENIED
    assert finding("availability_zones", endpoint, lab, other).status == "pass"


@pytest.mark.parametrize("part", ["endpoints", "interfaces", "service_details"])
def test_what_could_not_be_listed(part: str) -> None:
    """Zones that are not seen are not known to be right."""
    lab, endpoint = estate((1,), (1,))
    if part == "endpoints":
        known = lab.inventory().endpoints
        lab.instead[part] = type(DENIED)(DENIED.reason, "denied", known)  # type: ignore[arg-type]
    else:
        lab.instead[part] = DENIED
    found = finding("availability_zones", endpoint, lab)
    assert (found.status, "AccessDenied" in found.summary) == ("unknown", True)


def test_a_service_that_was_listed_before_the_endpoint_was_there() -> None:
    """That a listing lacks the service says nothing when it was not asked for it."""
    lab, _ = estate((1,), (1,))
    lab.listings["service_details"].clear()
    site = lab.site()
    kept = {**site.inventory.kept_to, "service_details": frozenset[str]()}
    site = replace(site, inventory=replace(site.inventory, kept_to=kept))
    (found,) = analysis.diagnose(Facts(0, (site,)))
    (zones,) = [f for f in found.checks if f.check == "availability_zones"]
    assert zones.status == "unknown"


def test_the_endpoint_is_moved_to_zones_of_the_service() -> None:
    """One subnet of each such zone is added, of the address family, and the others are removed."""
    lab, endpoint = estate((1,), (2, 3))
    subnets = {s.zone_id: s for s in lab.listings["subnets"].values()}
    six = subnets["euw1-az3"]
    lab.change("subnets", six, cidrs=(ip_network("2001:db8::/64"),))
    found = finding("availability_zones", endpoint, lab)
    assert found.fix is not None
    assert found.fix.splitlines()[0] == (
        f"aws ec2 modify-vpc-endpoint --vpc-endpoint-id {endpoint.id} "
        f"--add-subnet-ids {subnets['euw1-az2'].id} "
        f"--remove-subnet-ids {subnets['euw1-az1'].id} --region {CONSUMER.region}"
    )


def test_a_vpc_without_a_subnet_there() -> None:
    """Then a subnet has to be made first."""
    lab, endpoint = estate((1,), (4,))
    fix = finding("availability_zones", endpoint, lab).fix or ""
    assert fix.startswith(f"Create a subnet of {endpoint.vpc_id} in euw1-az4")
    lab, endpoint = estate((1, 2), (2,))
    fix = finding("availability_zones", endpoint, lab).fix or ""
    assert "--remove-subnet-ids subnet-" in fix
    assert "--add-subnet-ids" not in fix


@pytest.mark.parametrize(
    ("zone", "status"), [(1, "pass"), (2, "fail"), (None, "unknown"), ("no subnet", "unknown")]
)
def test_an_interface_without_its_zone(zone: int | str | None, status: str) -> None:
    """Its subnet's zone is its own; where that is not told either, nothing is compared."""
    lab, endpoint = estate((1,), (1,))
    (interface,) = lab.listings["interfaces"].values()
    lab.change("interfaces", interface, zone_id="")
    subnet = lab.listings["subnets"][interface.subnet_id]
    lab.change("subnets", subnet, zone_id=f"euw1-az{zone}" if zone else "")
    if zone == "no subnet":
        del lab.listings["subnets"][subnet.id]
    found = finding("availability_zones", endpoint, lab)
    assert found.status == status, found
