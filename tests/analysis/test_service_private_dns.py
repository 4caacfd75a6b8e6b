"""The proof of a service's private name."""

from __future__ import annotations

import pytest

from exporter.model import Known, PrivateDnsName, Unavailable
from tests.analysis.lab import DENIED, NOW
from tests.analysis.pair import pair


def name(state: str, of: str = "api.example.com", record: str = "_a1b2") -> PrivateDnsName:
    return PrivateDnsName(of, state, "TXT", record, "vpce:c3d4")


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("verified", "pass"),
        ("pendingVerification", "warn"),
        ("failed", "fail"),
        ("paused", "unknown"),
    ],
)
def test_each_state_of_the_proof(state: str, status: str) -> None:
    """A private name counts when it is verified; until then the record to publish is told."""
    estate = pair(private_dns=name(state))
    found = estate.of_service("service_private_dns")
    assert found.status == status
    if status in ("warn", "fail"):
        assert '_a1b2.api.example.com TXT "vpce:c3d4"' in (found.fix or "")
        assert (found.fix or "").endswith(
            "aws ec2 start-vpc-endpoint-service-private-dns-verification "
            f"--service-id {estate.service.id} --region eu-west-1"
        )


@pytest.mark.parametrize(
    ("of", "record", "full"),
    [
        ("api.example.com", "_a1b2", "_a1b2.api.example.com"),
        ("*.api.example.com", "_a1b2", "_a1b2.api.example.com"),
        ("api.example.com", "_a1b2.api.example.com", "_a1b2.api.example.com"),
        ("api.example.com", "api.example.com", "api.example.com"),
    ],
    ids=["label", "wildcard", "full name", "the name itself"],
)
def test_the_full_name_of_the_record(of: str, record: str, full: str) -> None:
    """AWS gives a label: the record stands before the private name, without its star."""
    estate = pair(private_dns=name("failed", of, record))
    found = estate.of_service("service_private_dns")
    assert any(f"the TXT record {full} with" in text for text in found.evidence)


def test_without_a_private_name_there_is_nothing_to_prove() -> None:
    """Most services have none."""
    assert pair().of_service("service_private_dns").status == "not_applicable"


@pytest.mark.parametrize(
    ("state", "uses", "endpoint_state", "status"),
    [
        ("failed", False, "available", "not shown"),
        ("failed", True, "available", "warn"),
        ("pendingVerification", True, "available", "warn"),
        ("failed", True, "pending", "fail"),
        ("verified", True, "available", "not shown"),
    ],
    ids=["does not use it", "goes on", "not yet", "is refused", "proven"],
)
def test_only_consumers_that_use_the_name_are_told(
    state: str, uses: bool, endpoint_state: str, status: str
) -> None:
    """Connections that stand go on when a proof fails: theirs is no failure."""
    more = {"private_dns_enabled": uses, "state": endpoint_state}
    estate = pair(private_dns=name(state), endpoint=more)
    assert estate.status_on_endpoint("service_private_dns") == status


def test_the_proof_of_an_old_listing_is_unknown() -> None:
    """It may have failed since."""
    estate = pair(private_dns=name("verified"))
    known = Known({estate.service.id: estate.service}, NOW)
    estate.provider.instead["services"] = Unavailable(DENIED.reason, "denied", known)
    assert estate.of_service("service_private_dns").status == "unknown"
