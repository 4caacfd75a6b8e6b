"""The state of an endpoint, and how long it may wait."""

from __future__ import annotations

import pytest

from exporter.model import EndpointAssociation, Known
from tests.analysis.lab import DENIED, NOW, PROVIDER, Lab, diagnosis, finding
from tests.aws.cloudtrail import change


@pytest.mark.parametrize(
    ("state", "minutes", "status"),
    [
        ("available", 60, "pass"),
        ("pending", 14, "warn"),
        ("pending", 16, "fail"),
        ("pending_acceptance", 1, "fail"),
        ("rejected", 1, "fail"),
        ("failed", 1, "fail"),
        ("expired", 1, "fail"),
        ("partial", 1, "warn"),
        ("deleting", 1, "not_applicable"),
        ("deleted", 1, "not_applicable"),
        ("unknown", 1, "unknown"),
    ],
)
def test_each_state_has_its_status(state: str, minutes: int, status: str) -> None:
    """A state is judged by the table; pending is a fault after a quarter of an hour."""
    lab = Lab()
    endpoint = lab.add_endpoint(
        lab.add_vpc("10.0.0.0/16"), {}, state=state, created=NOW - 60 * minutes
    )
    found = finding("endpoint_state", endpoint, lab)
    assert (found.status, bool(found.fix)) == (status, status == "fail")


def test_nothing_is_judged_of_what_is_being_deleted() -> None:
    """No check concerns an endpoint on its way out, and the verdict is no failure."""
    lab = Lab()
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, state="deleting")
    found = diagnosis(endpoint, lab)
    assert {f.status for f in found.checks} == {"not_applicable"}
    assert found.root_cause is None


def test_a_state_of_an_old_listing_is_unknown() -> None:
    """What was available when the listing last succeeded may be anything now."""
    lab = Lab()
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {})
    known = Known({endpoint.id: endpoint}, NOW - 3600)
    lab.instead["endpoints"] = type(DENIED)(DENIED.reason, DENIED.outcome, known)
    found = finding("endpoint_state", endpoint, lab)
    assert found.status == "unknown"
    assert "AccessDenied" in found.summary


def test_the_command_to_accept_names_service_and_endpoint() -> None:
    """Where the provider is watched too, its account gets the command to paste."""
    lab, other = Lab(), Lab(PROVIDER)
    vpc = other.add_vpc("10.200.0.0/16")
    service = other.add_service(vpc, [other.add_subnet(vpc, "10.200.0.0/24")])
    endpoint = lab.add_endpoint(
        lab.add_vpc("10.0.0.0/16"),
        {},
        service=service.service_name,
        state="pending_acceptance",
        created=NOW - 3 * 3600,
    )
    other.connect(service, endpoint, "pending_acceptance")
    found = finding("endpoint_state", endpoint, lab, other)
    assert "3 hours" in found.summary
    assert found.resources == (endpoint.id, service.id)
    assert f"--service-id {service.id} --vpc-endpoint-ids {endpoint.id}" in (found.fix or "")
    assert PROVIDER.account in (found.fix or "")


def test_the_owner_of_a_service_that_is_not_watched_gets_a_command_too() -> None:
    """A provider's service has its id and its Region in its name; any other name has no command."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    service_id = f"vpce-svc-{1:017x}"
    of_others = lab.add_endpoint(
        vpc,
        {},
        service=f"com.amazonaws.vpce.us-east-1.{service_id}",
        state="pending_acceptance",
    )
    found = finding("endpoint_state", of_others, lab)
    assert (found.fix or "").endswith(
        f"aws ec2 accept-vpc-endpoint-connections --service-id {service_id} "
        f"--vpc-endpoint-ids {of_others.id} --region us-east-1"
    )
    odd = lab.add_endpoint(vpc, {}, service="com.example.x", state="pending_acceptance")
    assert "aws " not in (finding("endpoint_state", odd, lab).fix or "")


_RESOURCE = (
    "arn:aws:vpc-lattice:eu-west-1:444455556666:resourceconfiguration/rcfg-0123456789abcdef0"
)
_FULL = "INSUFFICIENT_IP_ADDRESSES The subnets have too few free IP addresses."


@pytest.mark.parametrize("kind", ["Resource", "ServiceNetwork"])
@pytest.mark.parametrize(
    ("state", "told", "status"),
    [
        ("available", ["Accessible"], "pass"),
        ("available", [""], "pass"),
        ("available", [], "pass"),
        ("available", ["Inaccessible"], "fail"),
        ("available", ["Inaccessible", "Accessible"], "warn"),
        ("available", ["Inaccessible", "Inaccessible"], "fail"),
        ("available", ["Draining"], "unknown"),
        ("partial", ["Inaccessible", "Inaccessible"], "fail"),
        ("partial", ["Inaccessible", "Accessible"], "warn"),
        ("partial", ["Accessible"], "warn"),
    ],
)
def test_what_it_leads_to(kind: str, state: str, told: list[str], status: str) -> None:
    """Whatever its state, all associations that are inaccessible are a fault, some a warning."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    subnet = lab.add_subnet(vpc, "10.0.1.0/24")
    endpoint = lab.add_endpoint(vpc, {"10.0.1.5": subnet}, type=kind, state=state)
    for number, word in enumerate(told):
        failure = _FULL if word == "Inaccessible" else None
        name = f"vpce-rsc-asc-{number:017x}"
        one = EndpointAssociation(name, endpoint.id, "", "", _RESOURCE, word, failure)
        lab.add("endpoint_associations", one)
    found = finding("endpoint_state", endpoint, lab)
    assert found.status == status, found
    if "Inaccessible" in told:
        assert _RESOURCE in found.evidence[0]
        assert _FULL in found.evidence[0]
        assert f"describe-subnets --subnet-ids {subnet.id} " in (found.fix or "")


def test_whom_to_ask_about_a_resource() -> None:
    """Without another reason its owner is asked, whose account its ARN has."""
    lab = Lab()
    endpoint = lab.add_endpoint(lab.add_vpc("10.0.0.0/16"), {}, type="Resource")
    one = EndpointAssociation(
        f"vpce-rsc-asc-{1:017x}", endpoint.id, "", "", _RESOURCE, "Inaccessible"
    )
    lab.add("endpoint_associations", one)
    fix = finding("endpoint_state", endpoint, lab).fix or ""
    assert "account 444455556666" in fix
    assert f"describe-vpc-endpoint-associations --vpc-endpoint-ids {endpoint.id} " in fix


def test_associations_that_may_not_be_listed() -> None:
    """Whether an available endpoint leads anywhere is then not known; others have none."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    resource, plain = lab.add_endpoint(vpc, {}, type="Resource"), lab.add_endpoint(vpc, {})
    lab.instead["endpoint_associations"] = DENIED
    assert finding("endpoint_state", resource, lab).status == "unknown"
    assert finding("endpoint_state", plain, lab).status == "pass"


@pytest.mark.parametrize(
    ("created", "changed", "more", "off", "status"),
    [
        (30 * 1440, 5, {}, (), "warn"),
        (30 * 1440, 16, {}, (), "fail"),
        (30 * 1440, 5, {"outcome": "denied"}, (), "unknown"),
        (30 * 1440, 5, {"event": "DeleteTags"}, (), "unknown"),
        (30 * 1440, None, {}, (), "unknown"),
        (30 * 1440, None, {}, ("changes",), "unknown"),
        (60, None, {}, ("changes",), "fail"),
        (14, 400, {}, (), "warn"),
        (None, None, {}, (), "unknown"),
        (None, 5, {}, (), "warn"),
        (None, 16, {}, (), "fail"),
    ],
)
def test_since_when_it_is_pending(
    created: int | None,
    changed: int | None,
    more: dict[str, str],
    off: tuple[str, ...],
    status: str,
) -> None:
    """Whoever changes an endpoint makes it pending anew; what neither tells is not known."""
    lab = Lab()
    endpoint = lab.add_endpoint(
        lab.add_vpc("10.0.0.0/16"),
        {},
        state="pending",
        created=None if created is None else NOW - 60 * created,
    )
    if changed is not None:
        fields = {"event": "ModifyVpcEndpoint", **more}
        lab.changes = (change(touched=endpoint.id, at=NOW - 60 * changed, **fields),)
    found = finding("endpoint_state", endpoint, lab, off=off)
    assert found.status == status, found


@pytest.mark.parametrize("state", ["pending", "failed", "expired"])
def test_an_endpoint_that_another_service_made(state: str) -> None:
    """AWS refuses to delete it: its maker does."""
    lab = Lab()
    vpc = lab.add_vpc("10.0.0.0/16")
    endpoint = lab.add_endpoint(vpc, {}, state=state, requester_managed=True)
    fix = finding("endpoint_state", endpoint, lab).fix or ""
    assert "managed by the service that made it: change it there" in fix
    assert "delete" not in fix
