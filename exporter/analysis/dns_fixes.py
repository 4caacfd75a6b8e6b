"""What to do about names that lead elsewhere."""

from __future__ import annotations

from exporter.analysis.fixes import aws, by_account, by_its_maker, ec2, lines
from exporter.model import Endpoint, Scope, VpcAttributes

# As JSON, which the AWS CLI takes for a structure.
_TRUE = '{"Value":true}'


def allow_private_names(
    scope: Scope, vpc_id: str, attributes: VpcAttributes, owner: str
) -> str | None:
    """Return the commands that switch on the attributes that private names need; None without any.

    They are for the account `owner`, whose VPC it is: who shares it may not change it.
    AWS changes one attribute a call, and hostnames only where there is support.
    https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns-updating.html
    """
    wanted = (
        ("--enable-dns-support", attributes.dns_support),
        ("--enable-dns-hostnames", attributes.dns_hostnames),
    )
    commands = (
        ec2(scope.region, "modify-vpc-attribute", "--vpc-id", vpc_id, flag, _TRUE, ids=[vpc_id])
        for flag, on in wanted
        if not on
    )
    return by_account(scope.account, ((owner, command) for command in commands))


def enable_private_dns(
    scope: Scope, endpoint: Endpoint, attributes: VpcAttributes | None, owner: str
) -> str | None:
    """Return the commands that switch private DNS on, the VPC's attributes first."""
    command = by_its_maker(endpoint) or ec2(
        scope.region,
        "modify-vpc-endpoint",
        "--vpc-endpoint-id",
        endpoint.id,
        "--private-dns-enabled",
        ids=[endpoint.id],
    )
    before = allow_private_names(scope, endpoint.vpc_id, attributes, owner) if attributes else None
    then = f"Then in account {scope.account}:" if before and owner != scope.account else None
    return lines((before, then, command))


def shadows(scope: Scope, vpc_id: str, names: str) -> str | None:
    """Return where to look for what answers instead of AWS's own zones.

    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/hosted-zone-private-considerations.html
    """
    region = scope.region
    of_vpc = ("--vpc-id", vpc_id, "--vpc-region", region)
    zones = aws(region, "route53", "list-hosted-zones-by-vpc", *of_vpc, ids=[vpc_id])
    rules = aws(
        region,
        "route53resolver",
        "list-resolver-rule-associations",
        "--filters",
        f"Name=VPCId,Values={vpc_id}",
        ids=[vpc_id],
    )
    if not (zones and rules):
        return None
    return (
        f"A hosted zone, a resolver rule or a DNS server of your own answers for {names}. These "
        f"are the zones and rules of {vpc_id}:\n{zones}\n{rules}\n"
        "Disassociate from the VPC the one that answers; have a DNS server of your own forward "
        "these names to the VPC's resolver (the base of the VPC's network plus two)."
    )
