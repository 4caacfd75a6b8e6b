"""Is the endpoint service available?

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ServiceConfiguration.html
"""

from __future__ import annotations

from exporter.analysis.case import ServiceCase
from exporter.analysis.commands import at_provider, aws
from exporter.analysis.judged import Judged, failed, need, passed, unknown, warned


def judge(case: ServiceCase) -> Judged:
    """Judge the state that DescribeVpcEndpointServiceConfigurations gives."""
    # Kept after a listing that failed, it is no longer the state.
    need(case.site.inventory.services, "services")
    service = case.service
    word = service.aws_state or service.state
    evidence = [f"DescribeVpcEndpointServiceConfigurations: ServiceState {word}"]
    if service.state == "available":
        return passed("The service is available.", [service.id], evidence)
    if service.state == "pending":
        return warned(
            f"The service {service.id} is being created or changed.", [service.id], evidence
        )
    if service.state == "failed":
        look = aws(
            case.scope,
            "ec2 describe-vpc-endpoint-service-configurations",
            "--service-ids",
            service.id,
        )
        return failed(
            f"AWS says that the service {service.id} has failed: nobody can connect to it.",
            [service.id],
            evidence,
            at_provider(
                case,
                look,
                after="Where nothing is changing it, create the service anew, or ask AWS Support.",
            ),
        )
    return unknown(
        f"AWS says that the service {service.id} is {word}, a state not known here.",
        [service.id],
        evidence,
    )
