"""Endpoints that another AWS service made: no fix is a command that AWS would refuse."""

from __future__ import annotations

import json

import pytest

from exporter.model import DnsName, Scope
from tests.analysis.lab import Lab, finding

SQS = "sqs.eu-west-1.amazonaws.com"
_DENY = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}


def estate(managed: bool, check: str, region: str = "eu-west-1") -> tuple[Lab, str]:
    """An endpoint in which the check finds a fault, and the fix of that."""
    lab = Lab(Scope("222233334444", region))
    vpc = lab.add_vpc("10.0.0.0/16")
    subnet = lab.add_subnet(vpc, "10.0.1.0/24", zone=4 if check == "availability_zones" else 1)
    lab.add_subnet(vpc, "10.0.2.0/24", zone=2)
    endpoint = lab.add_endpoint(
        vpc,
        {"10.0.1.5": subnet},
        private_name=SQS,
        private_dns_enabled=check != "private_dns",
        policy=json.dumps({"Statement": _DENY}),
        requester_managed=managed,
    )
    if check == "private_dns":
        lab.answer(endpoint, DnsName(SQS, "service"), "203.0.113.9")
    found = finding(check, endpoint, lab)
    assert found.status == "fail", found
    return lab, found.fix or ""


@pytest.mark.parametrize("check", ["private_dns", "availability_zones", "endpoint_policy"])
def test_what_modifies_it(check: str) -> None:
    """The fix of one's own endpoint is a command; of another's it says who can change it."""
    assert "modify-vpc-endpoint" in estate(False, check)[1]
    fix = estate(True, check)[1]
    assert "managed by the service that made it: change it there" in fix
    assert "modify-vpc-endpoint" not in fix


@pytest.mark.parametrize(
    ("region", "takes"),
    [
        ("eu-west-1", True),
        ("us-gov-east-1", True),
        ("us-isob-east-1", True),
        ("eusc-de-east-1", True),
        ("mx-central-1", True),
        ("eu-west", False),
        ("eu-west-1; x", False),
        ("Eu-west-1", False),
        ("europe-west-1", False),
    ],
)
def test_regions_in_commands(region: str, takes: bool) -> None:
    """A command has any Region of AWS's form, and nothing else for one."""
    fix = estate(False, "endpoint_policy", region)[1]
    assert (f"--region {region}" in fix) == takes
