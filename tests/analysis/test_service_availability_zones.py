"""Whether a load balancer is in every zone that the service offers."""

from __future__ import annotations

import pytest

from exporter.model import Known, Unavailable
from tests.analysis.lab import NOW
from tests.analysis.pair import pair
from tests.analysis.test_nlb_listener import blind

CHECK = "availability_zones"


@pytest.mark.parametrize("kind", ["Interface", "GatewayLoadBalancer"])
@pytest.mark.parametrize(
    ("zone_ids", "status"),
    [
        (("euw1-az1", "euw1-az2"), "pass"),
        (("euw1-az1",), "pass"),
        (("euw1-az1", "euw1-az2", "euw1-az3"), "warn"),
        (("euw1-az3",), "warn"),
    ],
)
def test_zones_are_compared_by_id(zone_ids: tuple[str, ...], status: str, kind: str) -> None:
    """A zone that is offered and has no load balancer leads nowhere."""
    estate = pair(zone_ids=zone_ids, types=(kind,))
    found = estate.of_service(CHECK)
    assert found.status == status
    assert status == "pass" or "euw1-az3" in found.summary


def test_without_ids_the_names_are_compared() -> None:
    """Within one account a name means one zone."""
    estate = pair(zone_ids=())
    names = ("eu-west-1a", "eu-west-1c")
    estate.provider.change("services", estate.service, zones=names)
    found = estate.of_service(CHECK)
    assert found.status == "warn"
    assert "eu-west-1c" in found.summary


def test_the_consumers_endpoint_does_not_show_it() -> None:
    """Its own zones are compared by its own check: it may be in none of those."""
    estate = pair(zone_ids=("euw1-az1", "euw1-az2", "euw1-az3"))
    found = estate.on_endpoint(CHECK)
    assert found is None or "offers" not in found.summary


def test_without_a_load_balancer_there_is_nothing_to_compare() -> None:
    """That it has none is told by another check."""
    assert pair(load_balancer_arns=()).of_service(CHECK).status == "not_applicable"


@pytest.mark.parametrize("part", ["services", "load_balancers", "subnets"])
def test_what_cannot_be_seen(part: str) -> None:
    """The zones of a load balancer are known by its subnets."""
    estate = pair()
    blind(estate, part)
    if part == "services":
        known = Known({estate.service.id: estate.service}, NOW)
        estate.provider.instead["services"] = Unavailable("denied", "denied", known)
    assert estate.of_service(CHECK).status == "unknown"
