"""Is it proven that the service's private name is its owner's?

https://docs.aws.amazon.com/vpc/latest/privatelink/manage-dns-names.html
"""

from __future__ import annotations

from exporter.analysis.case import ServiceCase
from exporter.analysis.commands import at_provider, aws
from exporter.analysis.judged import (
    Judged,
    failed,
    need,
    not_applicable,
    passed,
    unknown,
    warned,
)
from exporter.model import PrivateDnsName


def judge(case: ServiceCase) -> Judged:
    """Judge the state of the proof; of a consumer only where it uses private names."""
    need(case.site.inventory.services, "services")
    service = case.service
    name = service.private_dns
    if name is None:
        return not_applicable("The service has no private name.")
    consumer = case.consumer
    if consumer is not None and not consumer.endpoint.private_dns_enabled:
        return not_applicable("The endpoint does not use the service's private name.")
    if name.verified:
        return passed(f"The private name {name.name} is verified.", [service.id])
    evidence = [
        f"DescribeVpcEndpointServiceConfigurations: PrivateDnsNameConfiguration State {name.state}",
        f"The proof is the {name.record_type or 'TXT'} record {_record(name)} with the value "
        f'"{name.record_value}"',
    ]
    fix = _fix(case, name)
    state = name.state.lower()
    if state not in ("pendingverification", "failed"):
        return unknown(
            f"AWS says that the private name {name.name} is {name.state}, a state not known here.",
            [service.id],
            evidence,
        )
    if consumer is not None and consumer.endpoint.state == "available":
        return warned(
            f"It is not proven that the private name {name.name} is the provider's: this endpoint "
            "goes on to use it, one that is created or changed may not.",
            [service.id],
            evidence,
            fix,
        )
    if state == "failed":
        return failed(
            f"The proof that the private name {name.name} is the provider's has failed: endpoints "
            "that ask for private DNS are refused; older ones go on.",
            [service.id],
            evidence,
            fix,
        )
    return warned(
        f"It is not proven yet that the private name {name.name} is the provider's: nobody can "
        "use it until the record is found.",
        [service.id],
        evidence,
        fix,
    )


def _record(name: PrivateDnsName) -> str:
    """Return the full name of the record: AWS gives the label, to stand before the name."""
    domain = name.name.removeprefix("*.").rstrip(".")
    label = name.record_name.rstrip(".")
    return label if label == domain or label.endswith(f".{domain}") else f"{label}.{domain}"


def _fix(case: ServiceCase, name: PrivateDnsName) -> str | None:
    command = aws(
        case.scope,
        "ec2 start-vpc-endpoint-service-private-dns-verification",
        "--service-id",
        case.service.id,
    )
    record = (
        f"Publish this record in the public DNS zone of {name.name}, then run the command:\n"
        f'{_record(name)} {name.record_type or "TXT"} "{name.record_value}"'
    )
    return at_provider(case, command, before=record)
