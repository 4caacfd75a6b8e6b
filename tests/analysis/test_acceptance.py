"""Connections that wait to be accepted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from exporter.model import Inventory
from tests.analysis.lab import DENIED, NOW, Lab
from tests.analysis.pair import Pair, pair


def wait(estate: Pair, hours: float = 3) -> None:
    """Let the connections wait for so long."""
    found = estate.provider.listings["connections"]
    for connection in list(found.values()):
        found[connection.id] = replace(
            connection, state="pending_acceptance", created=NOW - 3600 * hours
        )


@pytest.mark.parametrize("required", [True, False])
def test_a_connection_that_waits_is_told_with_its_age_and_owner(required: bool) -> None:
    """Also one that has waited since before acceptance was switched off."""
    estate = pair(acceptance_required=required)
    wait(estate)
    found = estate.of_service("acceptance")
    assert found.status == "warn"
    assert estate.endpoint.id in found.summary
    assert "222233334444 has waited for 3 hours" in found.summary
    assert (
        f"aws ec2 accept-vpc-endpoint-connections --service-id {estate.service.id} "
        f"--vpc-endpoint-ids {estate.endpoint.id} --region eu-west-1" in (found.fix or "")
    )


def test_the_one_that_waits_longest_is_named_first() -> None:
    """Of many the command accepts all, and leaves it to the reader whom to leave out."""
    estate = pair(acceptance_required=True)
    wait(estate)
    younger = estate.another()
    estate.provider.listings["connections"] = {
        c.id: c if c.endpoint_id == estate.endpoint.id else replace(c, state="pending_acceptance")
        for c in estate.provider.listings["connections"].values()
    }
    found = estate.of_service("acceptance")
    assert found.summary.startswith(f"2 endpoints wait, {estate.endpoint.id}")
    assert f"{estate.endpoint.id} {younger.id}" in (found.fix or "")


@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("state", ["available", "rejected", "failed"])
def test_nothing_waits(required: bool, state: str) -> None:
    """Whoever was accepted, and whoever was rejected, does not wait."""
    estate = pair(acceptance_required=required)
    found = estate.provider.listings["connections"]
    for connection in list(found.values()):
        found[connection.id] = replace(connection, state=state)
    assert estate.of_service("acceptance").status == "pass"


@pytest.mark.parametrize(("required", "status"), [(True, "unknown"), (False, "pass")])
def test_connections_that_cannot_be_seen(required: bool, status: str) -> None:
    """No connection listed is not no connection; where none needs to be accepted none waits."""
    estate = pair(acceptance_required=required)
    estate.provider.instead["connections"] = DENIED
    assert estate.of_service("acceptance").status == status


def test_connections_that_were_not_listed_for_this_service() -> None:
    """A service that is newer than the listing is not one without connections."""
    estate = pair(acceptance_required=True)
    late = Late(**vars(estate.provider))
    estate.provider = late
    assert estate.of_service("acceptance").status == "unknown"


class Late(Lab):
    """A lab whose connections were listed before the service was there."""

    def inventory(self) -> Inventory:
        found = super().inventory()
        return replace(found, kept_to={**found.kept_to, "connections": frozenset()})


def test_the_consumer_is_not_told_twice() -> None:
    """The state of its endpoint says it already; other endpoints are none of its concern."""
    estate = pair(acceptance_required=True, endpoint={"state": "pending_acceptance"})
    other = estate.another()
    wait(estate)
    assert estate.status_on_endpoint("acceptance") == "not shown"
    assert estate.status_on_endpoint("acceptance", other) == "not shown"
