"""The nouns: names in DNS, states, and what ageing makes of a sight."""

from __future__ import annotations

import pytest

from exporter.model import (
    FlowLog,
    Interface,
    Known,
    Part,
    Unavailable,
    carry,
    classify_name,
    endpoint_state,
    last_known,
    settle,
)

E = "vpce-0abc123def456789a"


@pytest.mark.parametrize(
    ("name", "kind", "zone"),
    [
        (f"{E}-x1y2z3w4.svc.eu-west-1.vpce.amazonaws.com", "regional", None),
        (f"{E}-x1y2z3w4-eu-west-1a.svc.eu-west-1.vpce.amazonaws.com", "zonal", "eu-west-1a"),
        (f"{E}-x-us-west-2-lax-1a.ec2.us-west-2.vpce.amazonaws.com", "zonal", "us-west-2-lax-1a"),
        (f"*.{E}-x1y2z3w4.s3.eu-west-1.vpce.amazonaws.com", "regional", None),
        (f"*.{E}-x1y2z3w4-eu-west-1b.s3.eu-west-1.vpce.amazonaws.com", "zonal", "eu-west-1b"),
        (f"{E}-x.svc.cn-north-1.vpce.amazonaws.com.cn", "regional", None),
        (f"{E}-x-us-gov-west-1b.svc.us-gov-west-1.vpce.amazonaws.com", "zonal", "us-gov-west-1b"),
        (f"{E}-x-eusc-de-east-1a.sqs.eusc-de-east-1.example", "zonal", "eusc-de-east-1a"),
        (f"{E}-snra-0c1.rcfg-0e.4232.vpc-lattice-rsc.eu-west-1.on.aws", "regional", None),
        ("*.execute-api.eu-west-1.amazonaws.com", "private", None),
        ("Payments.Example.com.", "private", None),
    ],
)
def test_a_name_is_classified_by_itself(name: str, kind: str, zone: str | None) -> None:
    """What a name is, its labels tell; not its place in the list."""
    found = classify_name(name, E)
    assert (found.kind, found.zone) == (kind, zone)


@pytest.mark.parametrize(
    ("wire", "state"),
    [
        ("available", "available"),
        ("Available", "available"),
        ("pendingAcceptance", "pending_acceptance"),
        ("PendingAcceptance", "pending_acceptance"),
        ("partial", "partial"),
        ("Sleeping", "unknown"),
        ("", "unknown"),
    ],
)
def test_states(wire: str, state: str) -> None:
    """The API's and the wire's spelling give one state; a new one is unknown."""
    assert endpoint_state(wire) == state


def test_a_failed_pass_keeps_what_was_seen_until_it_is_too_old() -> None:
    """A denied call does not empty a listing; after `keep` seconds the listing is unknown."""
    seen: Part[list[int]] = Known([1], 100.0)
    failed: Part[list[int]] = carry(seen, Unavailable("denied", "denied"))
    assert settle(failed, 200, 900) == seen
    late = settle(failed, 1001, 900)
    assert isinstance(late, Unavailable)
    assert late.reason == "denied"
    assert last_known(late) == [1]
    again = carry(failed, Unavailable("throttled"))
    assert last_known(again) == [1]
    assert isinstance(settle(seen, 1001, 900), Unavailable)
    never: Part[list[int]] = Unavailable("denied")
    assert settle(never, 0, 900) == never
    assert last_known(never) is None


@pytest.mark.parametrize(
    ("resource", "covers"), [("eni-1", True), ("subnet-1", True), ("vpc-1", True), ("vpc-2", False)]
)
def test_a_flow_log_covers_by_interface_subnet_or_vpc(resource: str, covers: bool) -> None:
    """An interface is logged through its own id, its subnet's or its VPC's."""
    interface = Interface("eni-1", "vpc-1", "subnet-1", "a", "az1", ())
    assert FlowLog("fl-1", resource, "ALL", "s3", "b", "").covers(interface) is covers


@pytest.mark.parametrize(
    ("status", "delivery", "delivers"),
    [
        ("ACTIVE", "SUCCESS", True),
        ("ACTIVE", "", True),
        ("ACTIVE", "FAILED", False),
        ("INACTIVE", "SUCCESS", False),
    ],
)
def test_delivery(status: str, delivery: str, delivers: bool) -> None:
    """A flow log delivers unless AWS says otherwise; before the first attempt AWS says nothing."""
    flow_log = FlowLog("fl-1", "vpc-1", "ALL", "s3", "b", "", 60, status, delivery)
    assert flow_log.delivers is delivers
