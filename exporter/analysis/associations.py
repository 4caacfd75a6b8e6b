"""Does what a Resource or ServiceNetwork endpoint leads to work?

Such an endpoint is available whatever becomes of its resources: AWS tells that by association.
https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpointAssociation.html
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from exporter.analysis.case import EndpointCase
from exporter.analysis.fixes import ec2
from exporter.analysis.judged import Judged, failed, unknown, warned
from exporter.analysis.phrases import some
from exporter.model import EndpointAssociation

_TYPES = ("Resource", "ServiceNetwork")
# https://docs.aws.amazon.com/vpc/latest/privatelink/use-resource-endpoint.html
_FULL = re.compile(r"insufficient.*address|free ip address", re.IGNORECASE)
_ACCOUNT = re.compile(r"arn:[a-z-]+:[a-z-]+:[a-z0-9-]+:(\d{12}):.+")
_MOST = 5


def broken(case: EndpointCase) -> Judged | None:
    """Return what is wrong with its associations; None where nothing is told. Raises Unseen.

    All that do not work is a fault, some is a warning.
    """
    if case.endpoint.type not in _TYPES:
        return None
    found = sorted(case.around.associations(case.endpoint.id), key=lambda a: a.id)
    lost = [a for a in found if a.failure or a.accessibility.lower() == "inaccessible"]
    odd = [a for a in found if a.accessibility.lower() not in ("", "accessible", "inaccessible")]
    if not lost and not odd:
        return None
    ids = [case.endpoint.id, *(a.id for a in lost or odd)]
    evidence = [_told(a) for a in (lost or odd)[:_MOST]]
    evidence += [f"and {len(lost or odd) - _MOST} more"] if len(lost or odd) > _MOST else []
    if not lost:
        return unknown(
            f"AWS says that {_name(odd[0])} is {odd[0].accessibility}, a word not known here.",
            ids,
            evidence,
        )
    if len(lost) == len(found):
        what = "its only resource" if len(found) == 1 else f"any of its {len(found)} resources"
        return failed(
            f"The endpoint does not lead to {what}: {_why(lost[0])}.",
            ids,
            evidence,
            _fix(case, lost),
        )
    return warned(
        f"The endpoint is partly available: {len(lost)} of its {len(found)} associations "
        f"do{'es' * (len(lost) == 1)} not work: {_why(lost[0])}.",
        ids,
        evidence,
        _fix(case, lost),
    )


def partial(case: EndpointCase) -> Judged:
    """Judge an endpoint that AWS calls partly available; raises Unseen."""
    found = broken(case)
    if found is not None:
        return found
    return warned(
        "The endpoint is partly available; AWS does not say which of its associations do not work.",
        [case.endpoint.id],
        [f"DescribeVpcEndpoints: State {case.endpoint.aws_state or case.endpoint.state}"],
    )


def _name(of: EndpointAssociation) -> str:
    return of.resource_arn or of.service_network_name or of.service_network_arn or of.id


def _why(of: EndpointAssociation) -> str:
    return f"{_name(of)} is inaccessible" + (f" ({of.failure.rstrip('.')})" if of.failure else "")


def _told(of: EndpointAssociation) -> str:
    failure = f", {of.failure}" if of.failure else ""
    return (
        f"DescribeVpcEndpointAssociations: {of.id} to {_name(of)}: "
        f"AssociatedResourceAccessibility {of.accessibility or 'not told'}{failure}"
    )


def _fix(case: EndpointCase, lost: Sequence[EndpointAssociation]) -> str | None:
    """Return what to do next: free addresses where they lack, else ask whose the resource is."""
    endpoint, region = case.endpoint, case.scope.region
    if any(_FULL.search(a.failure or "") for a in lost) and endpoint.subnet_ids:
        subnets = list(endpoint.subnet_ids)
        command = ec2(
            region,
            "describe-subnets",
            *("--subnet-ids", *subnets),
            ids=subnets,
        )
        what = (
            f"Free addresses in {some(subnets)}, or add a subnet that has some to {endpoint.id} in "
            "the VPC console: Endpoints, Actions, Manage subnets."
        )
        return (
            f"{what} How many each has, by AvailableIpAddressCount:\n{command}" if command else what
        )
    owners = dict.fromkeys(m[1] for a in lost if (m := _ACCOUNT.fullmatch(a.resource_arn)))
    who = f"account {some(owners)}" if owners else "the owner of the resource"
    command = ec2(
        region,
        "describe-vpc-endpoint-associations",
        *("--vpc-endpoint-ids", endpoint.id),
        ids=[endpoint.id],
    )
    what = (
        f"Have {who} see to it that {_name(lost[0])} is active and still shared with account "
        f"{case.scope.account}, in the VPC console under PrivateLink and Lattice."
    )
    return f"{what} What AWS says of each association:\n{command}" if command else what
