"""Resource and ServiceNetwork endpoints, whose names come with their associations.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_VpcEndpointAssociation.html
"""

from __future__ import annotations

from typing import Any

from exporter.simulator.names import publish
from exporter.simulator.stage import Stage, Vpc
from exporter.simulator.state import PUBLIC, Row

_HOSTED_ZONE = "Z0123456789EXAMPLE"


def resource(stage: Stage, vpc: Vpc, name: str, summary: str, **deviation: Any) -> str:
    """Add an endpoint of one resource, shared by the provider; returns its id."""
    configuration = _arn(stage, "resourceconfiguration", "rcfg")
    endpoint_id = stage.endpoint(
        name,
        vpc,
        "",
        summary,
        kind="Resource",
        ResourceConfigurationArn=configuration,
        **deviation,
    )
    associate(stage, endpoint_id, AssociatedResourceArn=configuration)
    return endpoint_id


def service_network(
    stage: Stage, vpc: Vpc, name: str, summary: str, failing: int = 0, **deviation: Any
) -> str:
    """Add an endpoint of a service network with two associations, some failing; returns its id."""
    network = _arn(stage, "servicenetwork", "sn")
    endpoint_id = stage.endpoint(
        name, vpc, "", summary, kind="ServiceNetwork", ServiceNetworkArn=network, **deviation
    )
    for number in range(2):
        failure = {
            "AssociatedResourceAccessibility": "Inaccessible",
            "FailureCode": "INSUFFICIENT_IP_ADDRESSES",
            "FailureReason": "The subnets have too few free IP addresses.",
        }
        associate(
            stage,
            endpoint_id,
            ServiceNetworkArn=network,
            ServiceNetworkName=name,
            AssociatedResourceArn=_arn(stage, "service", "svc"),
            **(failure if number < failing else {}),
        )
    return endpoint_id


def associate(stage: Stage, endpoint_id: str, **members: str) -> None:
    """Add an association of an endpoint, and its name to the endpoint's."""
    where, endpoint = stage.world.find("VpcEndpoints", "VpcEndpointId", endpoint_id)
    association_id = stage.consumer.new_id("vpce-rsc-asc")
    name = (
        f"{endpoint_id}-{association_id.rpartition('-')[2][:8]}"
        f".{stage.consumer.new_id('rcfg')}.4232ccc.vpc-lattice-rsc.{where.region}.on.aws"
    )
    entry = {"DnsName": name, "HostedZoneId": _HOSTED_ZONE}
    row: Row = {
        "Id": association_id,
        "VpcEndpointId": endpoint_id,
        "AssociatedResourceAccessibility": "Accessible",
        "DnsEntry": entry,
        "Tags": [],
        **members,
    }
    stage.world.table("VpcEndpointAssociations", *where).append(row)
    endpoint["DnsEntries"].append(entry)
    interfaces = [
        stage.row("NetworkInterfaces", "NetworkInterfaceId", i)
        for i in endpoint["NetworkInterfaceIds"]
    ]
    if row["AssociatedResourceAccessibility"] == "Accessible":
        addresses = [i["PrivateIpAddress"] for i in interfaces]
        endpoint["Names"].setdefault(PUBLIC, {})[name] = addresses
        publish(stage.world, endpoint)


def _arn(stage: Stage, kind: str, prefix: str) -> str:
    account, region = stage.provider.where
    return f"arn:aws:vpc-lattice:{region}:{account}:{kind}/{stage.provider.new_id(prefix)}"
