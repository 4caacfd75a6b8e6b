"""Endpoints that look wrong and are right."""

from __future__ import annotations

import json

from exporter.flowlogs.formats import DEFAULT
from exporter.simulator.networks import route
from exporter.simulator.stage import Stage
from exporter.simulator.state import REGION

_CUSTOM_FORMAT = (
    "${action} ${end} ${start} ${interface-id} ${pkt-srcaddr} ${pkt-dstaddr} ${srcport} "
    "${dstport} ${protocol} ${tcp-flags} ${bytes} ${packets} ${log-status} ${az-id} ${version}"
)
_RESTRICTS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::222233334444:root"},
                "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"],
                "Resource": f"arn:aws:sqs:{REGION}:222233334444:orders",
                "Condition": {"StringEquals": {"aws:PrincipalOrgID": "o-exampleorgid"}},
            }
        ],
    }
)


def declare(stage: Stage) -> None:
    """Declare them."""
    _hub_and_spoke(stage)
    _groups(stage)
    _shared(stage)
    odd = stage.vpc("odd")
    endpoint = stage.endpoint
    endpoint(
        "requester-managed",
        odd,
        "lambda",
        "An AWS service keeps it for the account.",
        RequesterManaged=True,
    )
    endpoint(
        "wildcard-name",
        odd,
        "execute-api",
        "Its private name is a wildcard.",
        private_name=f"*.execute-api.{REGION}.amazonaws.com",
    )
    endpoint("restricting-policy", odd, "sqs", "Its policy allows one queue.", policy=_RESTRICTS)
    endpoint(
        "hidden-interfaces",
        odd,
        "ssm",
        "Its interfaces are hidden from who does not ask for managed resources.",
        hidden=True,
    )
    endpoint(
        "late-rejects",
        odd,
        "monitoring",
        "REJECT without SYN: packets that came after their connection was closed.",
        late_rejects=True,
    )
    endpoint(
        "scanned",
        odd,
        "ssmmessages",
        "A stranger tries its ports, the one that it serves among them.",
        scanned=True,
    )
    _flow_logs(stage)


def _hub_and_spoke(stage: Stage) -> None:
    """Add an endpoint without private DNS whose name a private hosted zone answers for."""
    hub = stage.vpc("hub")
    spoke = stage.vpc("spoke", internet=False)
    for here, there in ((hub, spoke), (spoke, hub)):
        main = next(
            row
            for row in stage.consumer.table("RouteTables")
            if row["VpcId"] == here.id and row["Associations"][0]["Main"]
        )
        main["Routes"].append(route(there.cidr, "tgw-0123456789abcdef0"))
    name = f"kms.{REGION}.amazonaws.com"
    endpoint_id = stage.endpoint(
        "hub-kms",
        hub,
        "kms",
        "Private DNS is off on purpose: a shared private hosted zone answers in hub and spoke.",
        private_dns=False,
        ingress=[("tcp", 443, "10.0.0.0/8")],
        clients=(*hub.clients, *spoke.clients),
        tags={"team": "network"},
    )
    interfaces = stage.row("VpcEndpoints", "VpcEndpointId", endpoint_id)["NetworkInterfaceIds"]
    addresses = [
        stage.row("NetworkInterfaces", "NetworkInterfaceId", i)["PrivateIpAddress"]
        for i in interfaces
    ]
    for vpc in (hub, spoke):
        stage.world.names.setdefault(vpc.id, {})[name] = addresses


def _groups(stage: Stage) -> None:
    """Add endpoints whose groups say in other ways that the clients may come in."""
    # Its flow log is text in a bucket.
    vpc = stage.vpc("groups", flow_log={"bucket": "flow-logs-groups", "prefix": "vpc"})
    ranges = stage.consumer.prefix_list("office", vpc.cidr, "192.0.2.0/24")
    by_group = [("tcp", 443, vpc.client_group)]
    stage.endpoint("sg-by-group", vpc, "sqs", "Lets a group in, the clients'.", ingress=by_group)
    by_list = [("tcp", 443, ranges)]
    stage.endpoint("sg-by-prefix-list", vpc, "sns", "Lets a prefix list in.", ingress=by_list)
    any_protocol = [("-1", None, vpc.cidr)]
    stage.endpoint("sg-all-protocols", vpc, "logs", "Lets every protocol in.", ingress=any_protocol)


def _shared(stage: Stage) -> None:
    """Add an endpoint in a VPC that its owner shares: both accounts list it."""
    hourly = {"bucket": "flow-logs-shared", "hive": True, "per_hour": True}
    vpc = stage.vpc("shared", flow_log=hourly)
    endpoint_id = stage.endpoint(
        "shared-vpc", vpc, "sts", "In a shared VPC: the participant lists the owner's endpoint too."
    )
    participant = stage.provider
    for table, key, value in (
        ("Vpcs", "VpcId", vpc.id),
        ("VpcEndpoints", "VpcEndpointId", endpoint_id),
    ):
        rows = [row for row in stage.consumer.table(table) if row[key] == value]
        participant.table(table).extend(rows)
    # The same subnets, by the names that their zones have in the participant's account.
    names = {z["ZoneId"]: z["ZoneName"] for z in participant.table("AvailabilityZones")}
    participant.table("Subnets").extend(
        {**subnet, "AvailabilityZone": names[subnet["AvailabilityZoneId"]]}
        for subnet in stage.consumer.subnets(vpc.id)
    )


def _flow_logs(stage: Stage) -> None:
    """Add endpoints whose flow logs are set up in another way."""
    custom = stage.vpc("custom", log_format=_CUSTOM_FORMAT)
    stage.endpoint("custom-format", custom, "kms", "Its flow log has a format of its own.")
    slow = stage.vpc("slow", flow_log=False)
    stage.consumer.flow_log(slow.id, "/vpc/slow", aggregation=600)
    stage.endpoint("slow-aggregation", slow, "kms", "Its flow log aggregates over ten minutes.")
    twice = stage.vpc("twice", log_format=DEFAULT)
    for subnet in stage.consumer.subnets(twice.id, "endpoints"):
        stage.consumer.flow_log(subnet["SubnetId"], "/vpc/twice")
    stage.endpoint(
        "overlapping-logs", twice, "kms", "Its VPC's and its subnets' flow logs see the same twice."
    )
